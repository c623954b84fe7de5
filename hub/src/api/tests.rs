//! Routes whole, without the network: what is pushed is what is answered.

use axum::http::Request;
use axum::http::request::Builder;
use serde_json::{Value, json};

use super::rig::Hub;

/// Texts of all entries, in the order of the answer.
fn texts(answer: &Value) -> Vec<String> {
    let streams = answer["data"]["result"].as_array().unwrap().iter();
    streams.flat_map(|stream| stream["values"].as_array().unwrap().iter().map(|value| value[1].as_str().unwrap().to_owned())).collect()
}

fn otlp(now: i64, lines: &[(&str, i64)]) -> Value {
    let records = lines.iter().map(|(line, age_s)| {
        json!({"timeUnixNano": (now - age_s * 1_000_000_000).to_string(), "severityText": "WARN", "severityNumber": 13, "body": {"stringValue": line},
               "attributes": [{"key": "user.id", "value": {"intValue": "7"}}]})
    });
    let attributes = json!([{"key": "service.name", "value": {"stringValue": "shop"}}, {"key": "host.name", "value": {"stringValue": "n1"}}]);
    json!({"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": [{"scope": {"name": "lib"}, "logRecords": records.collect::<Vec<_>>()}]}]})
}

fn otlp_request() -> Builder {
    Request::post("/otlp/v1/logs").header("content-type", "application/json")
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_logs_are_stored_once_by_lokis_mapping() {
    let hub = Hub::start("").await;
    let body = otlp(hub.api.now().nanos(), &[("hello", 1)]).to_string();
    assert_eq!(hub.send("writer", otlp_request(), body.clone()).await.0, 204);
    // The same again, packed.
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, body.as_bytes()).unwrap();
    assert_eq!(hub.send("writer", otlp_request().header("content-encoding", "gzip"), packer.finish().unwrap()).await.0, 204);
    let (status, answer) =
        hub.ask("/loki/api/v1/query_range", &[("query", "{service_name=\"shop\"}")], &[("x-loki-response-encoding-flags", "categorize-labels")]).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(texts(&answer), ["hello"]);
    let stream = &answer["data"]["result"][0];
    assert_eq!(stream["stream"], json!({"service_name": "shop"}));
    let expected = json!({"detected_level": "warn", "host_name": "n1", "scope_name": "lib", "severity_number": "13", "severity_text": "WARN", "user_id": "7"});
    assert_eq!(stream["values"][0][2]["structuredMetadata"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_tells_which_records_it_left_out() {
    let hub = Hub::start("").await;
    let now = hub.api.now().nanos();
    let (status, body) = hub.send("writer", otlp_request(), otlp(now, &[("new", 1), ("old", 30 * 86_400)]).to_string()).await;
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &told["partialSuccess"]["rejectedLogRecords"]), (200, &json!("1")));
    assert!(told["partialSuccess"]["errorMessage"].as_str().unwrap().contains("has timestamp too old"), "{told}");
    assert_eq!(texts(&hub.get("/loki/api/v1/query_range", &[("query", "{service_name=\"shop\"}")]).await), ["new"]);

    let (status, body) = hub.send("writer", otlp_request(), otlp(now, &[("old", 30 * 86_400)]).to_string()).await;
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &told["code"]), (400, &json!(3)), "all are too old");
    let (status, body) = hub.send("reader", otlp_request(), otlp(now, &[("x", 1)]).to_string()).await;
    assert_eq!((status, serde_json::from_slice::<Value>(&body).unwrap()["code"].clone()), (403, json!(7)));
    let text = Request::post("/otlp/v1/logs").header("content-type", "text/plain");
    let (status, body) = hub.send("writer", text, "x").await;
    let expected = proto_wire::otlp::answer::status(400, "content type: text/plain is not supported", false);
    assert_eq!((status, body), (400, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_line_once() {
    let hub = Hub::start("").await;
    let now = hub.api.now().nanos() - 1_000_000_000;
    let values: Vec<_> = (0..50).map(|n| json!([(now + n / 20).to_string(), format!("line {n:02}")])).collect();
    assert_eq!(hub.push(json!({"streams": [{"stream": {"app": "web"}, "values": values}]})).await.0, 204);
    let (start, end) = ((now - 5).to_string(), (now + 5_000).to_string());
    for direction in ["forward", "backward"] {
        let (mut cursor, mut found) = ("first".to_owned(), Vec::new());
        loop {
            let parameters = [("query", "{app=\"web\"}"), ("limit", "7"), ("direction", direction), ("start", &start), ("end", &end), ("cursor", &cursor)];
            let answer = hub.get("/loki/api/v1/query_range", &parameters).await;
            found.extend(texts(&answer));
            match answer.get("cursor").and_then(Value::as_str) {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        found.sort();
        assert_eq!(found, (0..50).map(|n| format!("line {n:02}")).collect::<Vec<_>>(), "{direction}");
    }
    let plain = hub.get("/loki/api/v1/query_range", &[("query", "{app=\"web\"}"), ("limit", "7")]).await;
    assert!(plain.get("cursor").is_none(), "only where pages are asked for");
    let (status, text) = hub.ask("/loki/api/v1/query_range", &[("query", "{app=\"web\"}"), ("cursor", "x")], &[]).await;
    assert!(status == 400 && text.starts_with("the cursor is none that this hub gave"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_limit_refuses_comes_in_part_where_that_is_asked_for() {
    let hub = Hub::start("max_query_series: 2, max_query_memory: 6KiB").await;
    let streams: Vec<_> =
        ["a", "b", "c"].into_iter().map(|app| json!({"stream": {"app": app}, "values": [[hub.api.now().nanos().to_string(), "x".repeat(3_000)]]})).collect();
    assert_eq!(hub.push(json!({"streams": streams})).await.0, 204);
    let partial = [("x-tributary-partial", "true")];
    let query = [("query", "{app=~\".+\"}")];
    let (status, text) = hub.ask("/loki/api/v1/query_range", &query, &[]).await;
    assert!(status == 400 && text.starts_with("the query needs more memory than it may use (query: "), "{status} {text}");
    let (status, text) = hub.ask("/loki/api/v1/query_range", &query, &partial).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 200);
    assert!(answer["warnings"][0].as_str().unwrap().starts_with("partial answer: the query needs more memory"), "{answer}");

    let query = [("query", "sum by (app) (count_over_time({app=~\".+\"}[5m]))")];
    for path in ["/loki/api/v1/query", "/loki/api/v1/query_range"] {
        let (status, text) = hub.ask(path, &query, &[]).await;
        assert!(status == 400 && text.starts_with("maximum number of series (2) reached for a single query"), "{text}");
        let (status, text) = hub.ask(path, &query, &partial).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, answer["data"]["result"].as_array().unwrap().len()), (200, 2), "{answer}");
        assert!(answer["warnings"][0].as_str().unwrap().contains("maximum number of series (2)"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_tells_what_it_cost_and_a_tenant_what_makes_it_large() {
    let hub = Hub::start("").await;
    hub.push_lines(&["one", "two"]).await;
    let answer = hub.get("/loki/api/v1/query_range", &[("query", "{app=\"web\"}")]).await;
    let cost = &answer["data"]["stats"]["cost"];
    assert!(cost["memoryBytes"].as_u64().unwrap() > 6 && cost["sections"] == 1 && cost["workTime"].is_number(), "{cost}");
    let page = hub.get("/loki/api/v1/cardinality", &[]).await;
    assert_eq!((&page["tenant"], &page["streams"], &page["lines"]), (&json!("acme"), &json!(1), &json!(2)));
    let app = json!({"label": "app", "values": 1, "streams": 1, "top": [{"value": "web", "streams": 1, "lines": 2, "bytes": 6}]});
    assert_eq!(page["labels"][0], app);
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_are_named_and_levelled_as_the_tenant_wants() {
    let hub = Hub::start("discover_service_name: [], discover_log_levels: false").await;
    let (status, text) = hub.push(json!({"streams": [{"stream": {}, "values": [[hub.api.now().nanos().to_string(), "x"]]}]})).await;
    assert_eq!((status, text.as_str()), (400, "error at least one label pair is required per stream\n"));
    hub.push_lines(&["level=error msg=x"]).await;
    let answer = hub.get("/loki/api/v1/query_range", &[("query", "{app=\"web\"}")]).await;
    assert_eq!(answer["data"]["result"][0]["stream"], json!({"app": "web"}));

    let hub = Hub::start("").await;
    let now = hub.api.now().nanos().to_string();
    let (status, text) = hub.push(json!({"streams": [{"stream": {"level": "Verbose"}, "values": [[now, "x", {"a.b": "c"}]]}]})).await;
    assert_eq!((status, text.as_str()), (204, ""));
    let answer = hub.get("/loki/api/v1/query_range", &[("query", "{level=\"Verbose\"}")]).await;
    let expected = json!({"a_b": "c", "detected_level": "Verbose", "level": "Verbose", "service_name": "unknown_service"});
    assert_eq!(answer["data"]["result"][0]["stream"], expected);
}
