//! Live tails as Grafana opens them, and as nobody should.

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
    let url = format!("ws://127.0.0.1:{}/loki/api/v1/tail?query={}", hub.http, percent(query));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", hub.acme).parse().unwrap());
    connect_async(request).await.map(|(socket, _)| socket)
}

fn now_ns() -> u128 {
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

#[tokio::test(flavor = "multi_thread")]
async fn row_86_a_slow_reader_is_told_what_was_dropped_and_costs_little() {
    let dir = place::folder("tail-slow");
    let mut hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    push(&hub, 1, "first").await;
    let rss = |hub: &mut Hub| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", hub.process().id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    };
    let mut socket = open(&hub, "{app=\"tail\"}").await.unwrap();
    let before = rss(&mut hub);
    let wide = "x".repeat(2_000);
    let pushes = 24;
    for _ in 0..pushes {
        push(&hub, 2_000, &wide).await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    let grown = rss(&mut hub).saturating_sub(before);
    assert!(grown < 400, "{grown} MiB more while nobody reads 96 MiB");
    // Then all is read: what came and what was dropped make what was written, and the tail goes on.
    let (mut seen, mut dropped) = (0_usize, 0_usize);
    push(&hub, 1, "last").await;
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut ended = false;
    while tokio::time::Instant::now() < until && !ended {
        let Ok(Some(Ok(message))) = tokio::time::timeout(Duration::from_secs(15), socket.next()).await else { break };
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        for value in frame["streams"].as_array().unwrap().iter().flat_map(|stream| stream["values"].as_array().unwrap()) {
            seen += 1;
            ended |= value[1].as_str().unwrap().starts_with("last");
        }
        dropped += frame["dropped_entries"].as_array().map_or(0, Vec::len);
    }
    println!("{seen} lines came, {dropped} entries were told to be dropped, {grown} MiB grown");
    assert!(ended, "the newest line comes at last: {seen} lines, {dropped} dropped");
    assert!(seen >= pushes * 2_000 || dropped > 0, "what did not come is told: {seen} lines, {dropped} dropped");
}
