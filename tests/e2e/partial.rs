//! `X-Tributary-Partial: true` on a real hub: what is answered after damage and after a timeout, and that it is said; the query log.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::ask::Ask;
use tests::hub::Hub;
use tests::place;

const RANGE: &str = "/loki/api/v1/query_range";
const COUNT: &str = "sum(count_over_time({app=\"web\"} |= \"line\" [1h]))";

async fn push(hub: &Hub, lines: impl IntoIterator<Item = String>) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() - 60_000_000_000;
    let values: Vec<Value> = lines.into_iter().zip(0..).map(|(line, n)| json!([(now + n).to_string(), line])).collect();
    let body = json!({"streams": [{"stream": {"app": "web"}, "values": values}]}).to_string().into_bytes();
    let pushed = Ask::new(&hub.url(), &hub.acme_writer).post("/loki/api/v1/push", "application/json", body).await.unwrap();
    assert_eq!(pushed.status().as_u16(), 204, "{}", pushed.text().await.unwrap());
}

/// A hub whose tenant `acme` has these limits; `more` = further settings of the hub.
pub(crate) fn hub_with(dir: &Path, limits: &str, more: &str) -> Hub {
    let hub = Hub::prepare(dir, &crate::folder_store(dir), more);
    let tenants = format!("version: 1\ntenants:\n  acme: {{clusters: [alpha], limits: {{{limits}}}}}\n  blue: {{clusters: [beta]}}\n");
    std::fs::write(hub.dir().join("tenants.yaml"), tenants).unwrap();
    hub.started()
}

/// Lane objects in a folder store, by number.
fn objects(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains("/lanes/") && path.to_string_lossy().contains("/log/") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Lines and warnings of an answer.
fn read(text: &str) -> (Vec<String>, Vec<String>) {
    let answer: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let lines = crate::site::lines(&answer).into_iter().map(|(_, line)| line).collect();
    let warnings = answer["warnings"].as_array().into_iter().flatten().map(|warning| warning.as_str().unwrap().to_owned()).collect();
    (lines, warnings)
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_answered_in_part_with_a_warning_where_that_is_asked_for() {
    let dir = place::folder("partial-damage");
    let mut hub = hub_with(dir.path(), "", "");
    for n in 1..=3 {
        push(&hub, [format!("line {n}")]).await;
    }
    hub.kill();
    // The lines are the end of their object.
    let damaged = objects(dir.path()).into_iter().rev().nth(1).expect("each push has an object");
    let mut bytes = std::fs::read(&damaged).unwrap();
    *bytes.last_mut().unwrap() ^= 0xff;
    std::fs::write(&damaged, bytes).unwrap();
    hub.resume();

    let whole = Ask::new(&hub.url(), &hub.acme);
    let part = whole.with_header("X-Tributary-Partial", "true");
    let lines = [("query", "{app=\"web\"}")];
    let (status, text) = whole.text(RANGE, &lines).await;
    assert!(status == 503 && text.contains(" is damaged: "), "{status} {text}");
    let (status, text) = part.text(RANGE, &lines).await;
    assert_eq!(status, 200, "{text}");
    let (mut found, warnings) = read(&text);
    found.sort();
    assert_eq!(found.len(), 2, "{text}");
    assert!(found.iter().all(|line| line.starts_with("line ")), "never other bytes: {found:?}");
    assert!(matches!(&warnings[..], [only] if only.starts_with("partial answer: ") && only.contains(" is damaged: ")), "{warnings:?}");

    let (status, text) = whole.text("/loki/api/v1/query", &[("query", COUNT)]).await;
    assert!(status == 503 && text.contains(" is damaged: "), "{status} {text}");
    let answer = part.json("/loki/api/v1/query", &[("query", COUNT)]).await;
    assert_eq!((&answer["data"]["result"][0]["value"][1], answer["warnings"].as_array().map(Vec::len)), (&json!("2"), Some(1)), "{answer}");
    // Whoever takes pages wants every line.
    let (status, _) = part.text(RANGE, &[("query", "{app=\"web\"}"), ("cursor", "first"), ("limit", "10")]).await;
    assert_eq!(status, 503);
    let (status, text) = whole.with_header("X-Tributary-Partial", "yes").text(RANGE, &lines).await;
    assert_eq!(status, 503, "only true is a yes: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_is_answered_in_part_with_a_warning_where_that_is_asked_for() {
    let dir = place::folder("partial-timeout");
    let hub =
        hub_with(dir.path(), "query_timeout: 1s, max_query_length: 0s, ingestion_rate_mb: 1000, ingestion_burst_size_mb: 1000, per_stream_rate_limit: 0B", "");
    for part in 0..20 {
        push(&hub, (0..10_000).map(|n| format!("line {part} {n} msg=\"{}\"", "x y ".repeat(100)))).await;
    }
    // A second's work several times over, for any machine.
    let heavy = "sum(count_over_time({app=\"web\"} |= \"line\" | line_format `{{ __line__ | b64enc | b64enc | upper | title }}{{ regexReplaceAll \"(x|y) \" __line__ \"$1-\" }}{{ __line__ | title | b64enc }}` | logfmt [1h]))";
    let whole = Ask::new(&hub.url(), &hub.acme);
    let asked = Instant::now();
    let (status, text) = whole.text("/loki/api/v1/query", &[("query", heavy)]).await;
    assert!(status == 504 && text.starts_with("request timed out"), "{status} {text} after {:?}", asked.elapsed());
    let asked = Instant::now();
    let (status, text) = whole.with_header("X-Tributary-Partial", "true").text("/loki/api/v1/query", &[("query", heavy)]).await;
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert!(answer["warnings"][0].as_str().is_some_and(|text| text.starts_with("partial answer: request timed out")), "{text}");
    let counted = answer["data"]["result"][0]["value"][1].as_str().map_or(0.0, |value| value.parse::<f64>().unwrap());
    assert!(counted < 200_000.0, "a part: {counted}");
    assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
    eprintln!("{counted} of 200000 lines counted within the timeout");
}

/// Lines of the hub's log that say `msg=query`.
fn log(hub: &mut Hub) -> Vec<String> {
    let text = std::fs::read_to_string(&hub.process().stderr).unwrap();
    text.lines().filter(|line| line.contains(" msg=query ") || line.contains(" msg=\"query\" ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_query_is_logged_with_who_asked_what_and_what_it_cost() {
    let dir = place::folder("query-log");
    let mut hub = hub_with(dir.path(), "query_timeout: 30s", "");
    push(&hub, (0..50).map(|n| format!("line {n} secret-{n}"))).await;
    let acme = Ask::new(&hub.url(), &hub.acme).with_header("X-Query-Tags", "Source=test");
    acme.json(RANGE, &[("query", "{app=\"web\"} |= \"line 7\""), ("limit", "10")]).await;
    acme.json("/loki/api/v1/query", &[("query", COUNT)]).await;
    Ask::new(&hub.url(), &hub.blue).json(RANGE, &[("query", "{app=\"web\"} |= \"line 7\"")]).await;
    assert_eq!(acme.text("/loki/api/v1/query", &[("query", "sum_over_time({app=\"web\"} | unwrap app [1h])")]).await.0, 400);
    let logged = log(&mut hub);
    assert_eq!(logged.len(), 4, "one line each: {logged:#?}");
    let has = |line: &str, parts: &[&str]| parts.iter().for_each(|part| assert!(line.contains(part), "{part} is not in {line}"));
    has(&logged[0], &["kind=", "tenants=acme", "status=200", "took_ms=", "queued_ms=", "work_ms=", "bytes=", "lines=50", "entries=1", "memory=", "sections=1"]);
    has(&logged[0], &["path=/loki/api/v1/query_range", "token=", "Source=test", "query_hash=", "line 7"]);
    has(&logged[1], &["tenants=acme", "path=/loki/api/v1/query ", "lines=50", "warnings=0"]);
    has(&logged[2], &["tenants=blue", "entries=0"]);
    has(&logged[3], &["status=400", "tenants=acme"]);
    let hash = |line: &str| line.split("query_hash=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
    assert_eq!(hash(&logged[0]), hash(&logged[2]), "the same text");
    assert_ne!(hash(&logged[0]), hash(&logged[1]));
    assert!(!logged.iter().any(|line| line.contains("secret-")), "no line of an answer is logged: {logged:#?}");
    assert!(!logged.iter().any(|line| line.contains(&hub.acme)), "no token is");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_makes_each_tenant_large() {
    let dir = place::folder("cardinality");
    let hub = hub_with(dir.path(), "", "");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos().to_string();
    let streams: Vec<Value> = (0..30).map(|n| json!({"stream": {"app": "web", "pod": format!("web-{n}")}, "values": [[now, "x".repeat(n + 1)]]})).collect();
    let body = json!({"streams": streams}).to_string().into_bytes();
    assert_eq!(Ask::new(&hub.url(), &hub.acme_writer).post("/loki/api/v1/push", "application/json", body).await.unwrap().status().as_u16(), 204);
    let operator = Ask::new(&hub.admin_url(), &hub.operator);
    for is_absorbed in [false, true] {
        if is_absorbed {
            assert_eq!(operator.post("/admin/v1/absorb", "application/json", Vec::new()).await.unwrap().status().as_u16(), 200);
        }
        let page = operator.json("/admin/v1/cardinality", &[("tenant", "acme"), ("limit", "3")]).await;
        assert_eq!((&page["tenant"], &page["streams"], &page["lines"], &page["bytes"]), (&json!("acme"), &json!(30), &json!(30), &json!(465)), "{page}");
        let labels = page["labels"].as_array().unwrap();
        assert_eq!(labels[0]["label"], "pod", "the largest first: {page}");
        assert_eq!((&labels[0]["values"], &labels[0]["streams"]), (&json!(30), &json!(30)));
        let top: Vec<&Value> = labels[0]["top"].as_array().unwrap().iter().map(|value| &value["value"]).collect();
        assert_eq!(top, [&json!("web-29"), &json!("web-28"), &json!("web-27")], "as many values as are asked for, by what they weigh: {page}");
        let app = labels.iter().find(|label| label["label"] == "app").unwrap();
        assert_eq!((&app["values"], &app["top"][0]["streams"]), (&json!(1), &json!(30)));
        let blue = operator.json("/admin/v1/cardinality", &[("tenant", "blue")]).await;
        assert_eq!((&blue["streams"], &blue["labels"]), (&json!(0), &json!([])), "another tenant's are not there");
        assert_eq!(Ask::new(&hub.url(), &hub.blue).json("/loki/api/v1/cardinality", &[]).await["streams"], 0);
        assert_eq!(Ask::new(&hub.url(), &hub.acme).json("/loki/api/v1/cardinality", &[("limit", "3")]).await["labels"], page["labels"], "as the tenant itself");
    }
    for (tenant, status) in [("", 400), ("nobody", 404), ("../acme", 400)] {
        let (found, text) = operator.text("/admin/v1/cardinality", &[("tenant", tenant)]).await;
        let told: Value = serde_json::from_str(&text).unwrap();
        assert!(found == status && told["error"].is_string() && told["fix"].is_string(), "{tenant}: {found} {text}");
    }
    let (status, text) = operator.text("/admin/v1/cardinality", &[("tenant", "acme"), ("start", "20"), ("end", "10")]).await;
    assert!(status == 400 && serde_json::from_str::<Value>(&text).is_ok_and(|told| told["error"].is_string()), "{status} {text}");
    for token in [&hub.acme, &hub.acme_writer] {
        assert_eq!(Ask::new(&hub.admin_url(), token).text("/admin/v1/cardinality", &[("tenant", "acme")]).await.0, 403);
    }
    assert_eq!(Ask::new(&hub.admin_url(), "").text("/admin/v1/cardinality", &[("tenant", "acme")]).await.0, 401);
}
