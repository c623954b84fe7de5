//! Lines as they come, between the real programs and a real MinIO: tails under edges that move, OTLP to one hub and from another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::{Value, json};
use tests::ask::Ask;
use tests::edge::loopback;
use tests::lines::{Writer, time_base_ns};
use tests::minio::Minio;
use tests::place;
use tokio_tungstenite::tungstenite::Message;

use crate::hubs::two;
use crate::tails::{Socket, now_ns, open};
use crate::{Wish, edge_with};

/// What a tail brings, frame by frame, until `enough` says so.
async fn taken(socket: &mut Socket, found: &mut Vec<(Value, String)>, within: Duration, enough: impl Fn(&[(Value, String)]) -> bool) {
    let until = Instant::now() + within;
    while !enough(found) {
        assert!(Instant::now() < until, "only {} lines came; the last: {:?}", found.len(), found.last());
        let Ok(message) = tokio::time::timeout(Duration::from_secs(5), socket.next()).await else { panic!("a tail is never silent for long") };
        let Message::Text(text) = message.expect("the tail goes on").unwrap() else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        assert!(frame.get("dropped_entries").is_none(), "{text}");
        for stream in frame["streams"].as_array().unwrap() {
            let lines = stream["values"].as_array().unwrap().iter().map(|value| value[1].as_str().unwrap().to_owned());
            found.extend(lines.map(|line| (stream["stream"].clone(), line)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_shows_each_line_once_and_in_order_while_an_edge_moves_under_it() {
    let dir = place::folder("tail-move");
    let minio = Minio::start(dir.path());
    let mut hubs = two(dir.path(), &minio);
    let urls = vec![loopback(hubs[0].link), loopback(hubs[1].link)];
    let mut edge = edge_with(&hubs[0], dir.path(), "alpha", "e0", "auto", &Wish { hubs: urls, ..Wish::default() });
    let base = time_base_ns();
    let mut writers: Vec<Writer> = (0..2).map(|n| Writer::new(&dir.path().join(format!("logs-e0/f{n}.log")), &format!("f{n}"), base).distinct()).collect();
    let mut socket = open(&hubs[1], "{cluster=\"alpha\"}").await.unwrap();
    let mut found = Vec::new();
    let mut write = |count| writers.iter_mut().map(|writer| (writer.write(count), writer.written).1).sum::<u64>() as usize;

    let wanted = write(200);
    taken(&mut socket, &mut found, Duration::from_secs(60), |found| found.len() >= wanted).await;
    assert!(edge.metric("tributary_edge_lines_acked_total", "").await.unwrap_or(0.0) > 0.0);
    // The first hub goes in mid-stream: what it had is in its lane, what follows comes to the second.
    for round in 0..20 {
        write(20);
        tokio::time::sleep(Duration::from_millis(50)).await;
        if round == 8 {
            hubs[0].kill();
        }
    }
    let wanted = write(200);
    taken(&mut socket, &mut found, Duration::from_secs(120), |found| found.len() >= wanted).await;
    // And back: it is killed in mid-stream and told the first alone.
    hubs[0].resume();
    for round in 0..20 {
        write(20);
        tokio::time::sleep(Duration::from_millis(50)).await;
        if round == 8 {
            edge.kill();
            edge.retarget(&[loopback(hubs[0].link)]);
            edge.resume();
        }
    }
    let wanted = write(1);
    taken(&mut socket, &mut found, Duration::from_secs(120), |found| found.len() >= wanted).await;

    let mut of: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (_, line) in &found {
        let mut words = line.split(' ');
        of.entry(words.next().unwrap().to_owned()).or_default().push(words.next().unwrap().parse().unwrap());
    }
    for writer in &writers {
        let numbers = &of[writer.name()];
        let odd = numbers.iter().zip(1..).position(|(number, expected)| *number != expected);
        assert_eq!(odd, None, "{}: {:?}", writer.name(), odd.map(|at| &numbers[at.saturating_sub(2)..numbers.len().min(at + 3)]));
        assert_eq!(numbers.len() as u64, writer.written, "{}", writer.name());
    }
    let lanes = Ask::new(&hubs[1].admin_url(), &hubs[1].operator).json("/admin/v1/lanes", &[]).await;
    assert!(lanes.as_array().unwrap().iter().filter(|lane| lane["head"].as_u64() > Some(1)).count() >= 2, "lines went to two lanes at least: {lanes}");
}

/// OTLP logs of `count` records.
fn otlp(service: &str, from: u128, count: u128) -> Value {
    let records: Vec<Value> = (0..count)
        .map(|n| {
            json!({"timeUnixNano": (from + n).to_string(), "severityText": "ERROR", "severityNumber": 17, "body": {"stringValue": format!("{service} {n}")},
                   "attributes": [{"key": "order.id", "value": {"intValue": n.to_string()}}, {"key": "tags", "value": {"arrayValue": {"values": [{"stringValue": "<a>"}, {"boolValue": true}]}}}],
                   "traceId": "0af7651916cd43dd8448eb211c80319c"})
        })
        .collect();
    let attributes = json!([{"key": "service.name", "value": {"stringValue": service}}, {"key": "k8s.namespace.name", "value": {"stringValue": "shop"}}, {"key": "host.name", "value": {"stringValue": "n1"}}]);
    json!({"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": [{"scope": {"name": "lib", "version": "1"}, "logRecords": records}]}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_to_one_hub_is_tailed_and_read_on_another() {
    let dir = place::folder("otlp");
    let minio = Minio::start(dir.path());
    let mut hubs = two(dir.path(), &minio);
    let writer = Ask::new(&hubs[0].url(), &hubs[0].acme_writer);
    let send = async |body: &Value| {
        let answered = writer.post("/otlp/v1/logs", "application/json", body.to_string().into_bytes()).await.unwrap();
        (answered.status().as_u16(), answered.text().await.unwrap())
    };
    let from = now_ns() - 1_000_000_000;
    let first = otlp("checkout", from, 10);
    assert_eq!(send(&first).await, (204, String::new()));
    assert_eq!(send(&first).await, (204, String::new()), "the same again is stored once");
    let mut socket = open(&hubs[1], "{service_name=\"checkout\", k8s_namespace_name=\"shop\"} | order_id!=\"3\"").await.unwrap();
    let mut found = Vec::new();
    taken(&mut socket, &mut found, Duration::from_secs(30), |found| found.len() >= 9).await;
    assert_eq!(send(&otlp("checkout", from + 1_000, 2)).await.0, 204);
    assert_eq!(send(&otlp("other", from + 2_000, 2)).await.0, 204);
    taken(&mut socket, &mut found, Duration::from_secs(30), |found| found.len() >= 11).await;
    let lines: Vec<&str> = found.iter().map(|(_, line)| line.as_str()).collect();
    let expected: Vec<String> = (0..10).filter(|n| *n != 3).chain(0..2).map(|n| format!("checkout {n}")).collect();
    assert_eq!(lines, expected);

    // As metadata, on the other hub, and once segments were made of it.
    for is_absorbed in [false, true] {
        if is_absorbed {
            let operator = Ask::new(&hubs[0].admin_url(), &hubs[0].operator);
            assert_eq!(operator.post("/admin/v1/absorb", "application/json", Vec::new()).await.unwrap().status().as_u16(), 200);
        }
        let reader = Ask::new(&hubs[1].url(), &hubs[1].acme).with_header("X-Loki-Response-Encoding-Flags", "categorize-labels");
        let answer = reader.json("/loki/api/v1/query_range", &[("query", "{service_name=\"checkout\"} | order_id=\"7\""), ("since", "1h")]).await;
        let stream = &answer["data"]["result"][0];
        assert_eq!(stream["stream"], json!({"k8s_namespace_name": "shop", "service_name": "checkout"}), "{answer}");
        let expected = json!({"detected_level": "error", "host_name": "n1", "order_id": "7", "scope_name": "lib", "scope_version": "1", "severity_number": "17",
            "severity_text": "ERROR", "tags": "[\"\\u003ca\\u003e\",true]", "trace_id": "0af7651916cd43dd8448eb211c80319c"});
        assert_eq!(stream["values"][0][2]["structuredMetadata"], expected);
        assert_eq!(Ask::new(&hubs[1].url(), &hubs[1].acme).count("{service_name=~\"checkout|other\"}").await, 14, "absorbed: {is_absorbed}");
    }
    // What is refused is told, and leaves nothing.
    let mut mixed = otlp("mixed", from, 2);
    mixed["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["timeUnixNano"] = json!("1000000000");
    let (status, text) = send(&mixed).await;
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &told["partialSuccess"]["rejectedLogRecords"]), (200, &json!("1")), "{text}");
    assert_eq!(Ask::new(&hubs[1].url(), &hubs[1].acme).count("{service_name=\"mixed\"}").await, 1);
    hubs[1].kill();
}
