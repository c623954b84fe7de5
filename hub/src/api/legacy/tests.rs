use std::sync::Arc;

use hub_query::{AnsweredEntry, AnsweredStream};
use proto_model::Labels;

use super::*;

#[test]
fn an_old_push_becomes_a_new_one() {
    let old = br#"{"streams":[{"labels":"{a=\"b\", c=\"d\\\"\"}","entries":[{"ts":"2019-09-13T18:32:22.380001319Z","line":"x\ny"},{"ts":"2019-09-13T20:32:22+02:00","line":"z","structuredMetadata":{"t":"1"}}]},{"labels":"{e=\"f\"}"}]}"#;
    let new: serde_json::Value = serde_json::from_str(&newer_json(old).unwrap()).unwrap();
    let expected = serde_json::json!({"streams": [
        {"stream": {"a": "b", "c": "d\""}, "values": [["1568399542380001319", "x\ny"], ["1568399542000000000", "z", {"t": "1"}]]},
        {"stream": {"e": "f"}, "values": []}
    ]});
    assert_eq!(new, expected);
    for bad in [&b"{"[..], br#"{"streams":[{"labels":"{a-b=\"c\"}"}]}"#, br#"{"streams":[{"labels":"{a=\"b\"}","entries":[{"ts":"1","line":"x"}]}]}"#] {
        assert!(matches!(newer_json(bad), Err(ApiFault::Wrong(_))), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn answers_have_the_old_shape() {
    let entry = AnsweredEntry {
        time: Timestamp(1_568_399_542_380_001_319),
        line: "super line".to_owned(),
        metadata: vec![("level".to_owned(), "info".to_owned())],
        parsed: Vec::new(),
    };
    let stream = AnsweredStream { labels: Arc::new(Labels::from_pairs([("test", "te\"st")])), entries: vec![entry] };
    let json: serde_json::Value = serde_json::from_str(&streams_json(LogAnswer { streams: vec![stream], ..LogAnswer::default() })).unwrap();
    let entries = serde_json::json!([{"ts": "2019-09-13T18:32:22.380001319Z", "line": "super line"}]);
    assert_eq!(json["streams"], serde_json::json!([{"labels": "{level=\"info\", test=\"te\\\"st\"}", "entries": entries}]));
    assert!(json["stats"]["summary"].is_object());
    assert_eq!(values_json(&[]), "{}");
    assert_eq!(values_json(&["a".to_owned()]), "{\"values\":[\"a\"]}");
}
