//! Live tails as Grafana opens them, and as nobody should.

use std::io::Write as _;
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};
use tests::ask::{Ask, percent};
use tests::hub::Hub;
use tests::place;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

pub(crate) async fn open(hub: &Hub, query: &str) -> Result<Socket, Error> {
    open_from(hub, query, None).await
}

/// As a page of `origin` opens it.
async fn open_from(hub: &Hub, query: &str, origin: Option<&str>) -> Result<Socket, Error> {
    let url = format!("ws://127.0.0.1:{}/loki/api/v1/tail?query={}", hub.http, percent(query));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", hub.acme).parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

pub(crate) fn now_ns() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
}

async fn push(hub: &Hub, count: usize, line: &str) {
    let from = now_ns();
    let values: Vec<Value> = (0..count).map(|n| json!([(from + n as u128).to_string(), format!("{line} {n}"), {"k": "v"}])).collect();
    let body = json!({"streams": [{"stream": {"app": "tail"}, "values": values}]}).to_string().into_bytes();
    let pushed = Ask::new(&hub.url(), &hub.acme_writer).post("/loki/api/v1/push", "application/json", body).await.unwrap();
    assert_eq!(pushed.status().as_u16(), 204, "{}", pushed.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_31_a_tail_speaks_text_frames_with_times_as_strings() {
    let dir = place::folder("tail");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    push(&hub, 2, "old").await;
    let mut socket = open(&hub, "{app=\"tail\"} | logfmt").await.unwrap();
    let (mut lines, mut pings) = (Vec::new(), 0);
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    let mut pushed = false;
    while lines.len() < 4 || pings == 0 {
        assert!(tokio::time::Instant::now() < until, "{lines:?}, {pings} pings");
        match tokio::time::timeout(Duration::from_secs(20), socket.next()).await.expect("a tail is never silent for long").unwrap().unwrap() {
            Message::Ping(_) => pings += 1,
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                for stream in frame["streams"].as_array().expect("every frame has streams") {
                    assert!(stream["stream"].is_object(), "{frame}");
                    for value in stream["values"].as_array().unwrap() {
                        assert!(value[0].as_str().is_some_and(|ns| ns.len() == 19) && value.as_array().unwrap().len() == 2, "{frame}");
                        lines.push(value[1].as_str().unwrap().to_owned());
                    }
                }
            }
            other => panic!("{other:?}: only text frames and pings"),
        }
        if lines.len() == 2 && !pushed {
            push(&hub, 2, "new").await;
            pushed = true;
        }
    }
    assert_eq!(lines, ["old 0", "old 1", "new 0", "new 1"], "what was, then what comes");
    // What is wrong is plain text before the upgrade.
    for query in ["{", "{app=~\".*\"}"] {
        let Err(Error::Http(answer)) = open(&hub, query).await else { panic!("{query} is refused") };
        assert_eq!(answer.status().as_u16(), 400, "{query}");
        let text = String::from_utf8(answer.into_body().unwrap_or_default()).unwrap();
        assert!(!text.is_empty() && !text.starts_with('{'), "{text}");
    }
    let (status, text) = Ask::new(&hub.url(), &hub.acme).text("/loki/api/v1/tail", &[("query", "{app=\"tail\"}")]).await;
    assert_eq!((status, text.trim()), (400, "Bad Request"));
}

/// MiB that the slow reader's tail matches: `TRIBUTARY_TAIL_MIB` for a longer run by hand.
fn mib_wanted() -> usize {
    std::env::var("TRIBUTARY_TAIL_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(128)
}

/// Lines of one push of [`flood`], and bytes of a line.
const FLOOD: (usize, usize) = (4_000, 2_000);

/// Pushes `pushes` times the same lines, packed, each time under a key of its own; four at once, as fast as the hub takes them.
async fn flood(hub: &Hub, name: &str, pushes: usize) {
    let (from, wide) = (now_ns(), "x".repeat(FLOOD.1));
    let values: Vec<Value> = (0..FLOOD.0).map(|n| json!([(from + n as u128).to_string(), wide])).collect();
    let body = json!({"streams": [{"stream": {"app": "tail"}, "values": values}]}).to_string();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(body.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let ask = Ask::new(&hub.url(), &hub.acme_writer).with_header("Content-Encoding", "gzip");
    futures::stream::iter(0..pushes)
        .for_each_concurrent(4, |n| {
            let (ask, packed) = (ask.with_header("Idempotency-Key", &format!("{name}-{n}")), packed.clone());
            async move {
                let pushed = ask.post("/loki/api/v1/push", "application/json", packed).await.unwrap();
                assert_eq!(pushed.status().as_u16(), 204, "{}", pushed.text().await.unwrap());
            }
        })
        .await;
}

/// Counts what the next message tells; whether it is the last line.
async fn told(socket: &mut Socket, seen: &mut u64, dropped: &mut u64) -> bool {
    let message = tokio::time::timeout(Duration::from_secs(60), socket.next()).await.expect("a tail is never silent for long");
    let Message::Text(text) = message.expect("a slow reader is not cut off").unwrap() else { return false };
    let frame: Value = serde_json::from_str(&text).unwrap();
    let mut ended = false;
    for value in frame["streams"].as_array().unwrap().iter().flat_map(|stream| stream["values"].as_array().unwrap()) {
        *seen += 1;
        ended |= value[1].as_str().unwrap().starts_with("last");
    }
    for entry in frame["dropped_entries"].as_array().into_iter().flatten() {
        assert!(entry["labels"].get("missed_lines").is_none(), "all could be read: {entry}");
        *dropped += entry["labels"]["dropped_lines"].as_str().map_or(1, |number| number.parse().unwrap());
    }
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn row_86_a_slow_reader_is_told_what_was_dropped_and_costs_little() {
    let dir = place::folder("tail-slow");
    let limits = "ingestion_rate_mb: 100000, ingestion_burst_size_mb: 100000, per_stream_rate_limit: 0B";
    let mut hub = crate::partial::hub_with(dir.path(), limits, "cache: {memory: 16MiB}\n");
    // A page of another site opens nothing.
    let foreign = open_from(&hub, "{app=\"tail\"}", Some("https://other.example")).await;
    assert!(matches!(foreign, Err(Error::Http(answer)) if answer.status().as_u16() == 403));

    // What the pushes themselves take stands before it is measured what the tail does.
    flood(&hub, "before", 8).await;
    push(&hub, 1, "first").await;
    let mut socket = open(&hub, "{app=\"tail\"} |= \"x\" or \"first\" or \"last\"").await.unwrap();
    let before = hub.process().rss_bytes() >> 20;
    let pushes = (mib_wanted() << 20) / (FLOOD.0 * FLOOD.1);
    let (mut seen, mut dropped, mut ended) = (0_u64, 0_u64, false);
    let began = std::time::Instant::now();
    // Two frames a second are read: a connection on which nothing moves for long would be cut.
    {
        let writing = flood(&hub, "flood", pushes);
        tokio::pin!(writing);
        let mut pause = tokio::time::interval(Duration::from_millis(500));
        loop {
            tokio::select! {
                () = &mut writing => break,
                _ = pause.tick() => ended |= told(&mut socket, &mut seen, &mut dropped).await,
            }
        }
    }
    let took = began.elapsed();
    let grown = (hub.process().rss_bytes() >> 20).saturating_sub(before);
    // Then all is read: what came and what was dropped make what was written, and the tail goes on.
    push(&hub, 1, "last").await;
    let until = tokio::time::Instant::now() + Duration::from_secs(240);
    while !ended {
        assert!(tokio::time::Instant::now() < until, "the newest line never comes: {seen} lines, {dropped} dropped");
        ended = told(&mut socket, &mut seen, &mut dropped).await;
    }
    let mib = (pushes * FLOOD.0 * FLOOD.1) >> 20;
    eprintln!("{mib} MiB matched in {took:?}: {seen} lines came, {dropped} were told to be dropped, {grown} MiB grown");
    // Before the flood: at most the default 100 lines of history.
    let written = (pushes * FLOOD.0 + 1) as u64;
    assert!((written + 1..=written + 100).contains(&(seen + dropped)), "each line came or was told: {seen} + {dropped} of {written} and a history");
    assert!(dropped > written / 2, "hardly anything was read: {dropped} of {written} dropped");
    assert!(grown < 400, "{grown} MiB more while a slow reader is sent {mib} MiB");
}
