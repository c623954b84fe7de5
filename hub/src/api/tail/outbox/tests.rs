//! What waits for a reader: in order, delayed, bounded, told when dropped.

use axum::http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::*;

fn tailed(lines: &[(i64, &str)]) -> Tailed {
    let entry = |(time, line): &(i64, &str)| AnsweredEntry { time: Timestamp(*time), line: (*line).to_owned(), metadata: Vec::new(), parsed: Vec::new() };
    let labels = Arc::new(Labels::from_pairs([("app", "web")]));
    Tailed { streams: vec![AnsweredStream { labels, entries: lines.iter().map(entry).collect() }], missed: 0 }
}

fn frame(outbox: &mut Outbox, now: Instant) -> Value {
    serde_json::from_str(&outbox.frame(now)).unwrap()
}

#[tokio::test]
async fn lines_wait_for_their_delay_and_leave_in_order_of_time() {
    let (delay, now) = (Duration::from_secs(2), Instant::now());
    let mut outbox = Outbox::new(delay, Form::of(&HeaderMap::new()));
    outbox.take(tailed(&[(5, "b")]), Timestamp(0), now);
    outbox.take(tailed(&[(4, "a")]), Timestamp(0), now + Duration::from_secs(1));
    assert!(!outbox.is_due(now + Duration::from_secs(1)));
    assert_eq!(outbox.due(), Some(now + delay));
    let late = now + Duration::from_secs(4);
    assert!(outbox.is_due(late));
    assert_eq!(frame(&mut outbox, late), json!({"streams": [{"stream": {"app": "web"}, "values": [["4", "a"], ["5", "b"]]}]}));
    assert!(!outbox.is_due(late) && outbox.due().is_none());
}

#[tokio::test]
async fn a_slow_reader_costs_no_more_and_is_told() {
    let now = Instant::now();
    let mut outbox = Outbox::new(Duration::ZERO, Form::of(&HeaderMap::new()));
    let long = "x".repeat(40_000);
    for time in 0..5_000 {
        outbox.take(tailed(&[(time, &long)]), Timestamp(77), now);
        assert!(outbox.bytes <= BYTES_MAX);
    }
    outbox.take(Tailed { streams: Vec::new(), missed: 12 }, Timestamp(78), now);
    let kept = outbox.waiting.len();
    let first = frame(&mut outbox, now);
    let dropped = first["dropped_entries"].as_array().unwrap();
    assert_eq!(dropped[0], json!({"labels": {"app": "web"}, "timestamp": "0"}));
    assert_eq!(dropped.len(), DROPPED_MAX + 2);
    let more = (5_000 - kept - DROPPED_MAX).to_string();
    assert_eq!(dropped[DROPPED_MAX], json!({"labels": {"dropped_lines": more}, "timestamp": "78"}));
    assert_eq!(dropped[DROPPED_MAX + 1]["labels"], json!({"missed_lines": "12"}));
    let mut told = first["streams"][0]["values"].as_array().unwrap().len();
    while outbox.is_due(now) {
        let next = frame(&mut outbox, now);
        assert!(next.get("dropped_entries").is_none(), "told once");
        told += next["streams"][0]["values"].as_array().unwrap().len();
    }
    assert_eq!((told, outbox.bytes), (kept, 0));
}

#[tokio::test]
async fn flags_stand_before_streams() {
    let mut headers = HeaderMap::new();
    headers.insert("x-loki-response-encoding-flags", HeaderValue::from_static("categorize-labels"));
    let (now, mut outbox) = (Instant::now(), Outbox::new(Duration::ZERO, Form::of(&headers)));
    outbox.take(tailed(&[(1, "a")]), Timestamp(0), now);
    assert_eq!(outbox.frame(now), r#"{"encodingFlags":["categorize-labels"],"streams":[{"stream":{"app":"web"},"values":[["1","a",{}]]}]}"#);
}
