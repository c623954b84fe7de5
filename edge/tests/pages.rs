//! The edge's pages and metrics: a whole edge with files and receivers, asked over HTTP; its metrics against `docs/metrics.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared with the tests crate, which uses other parts")]
#[path = "../../tests/harness/disk.rs"]
mod sim_disk;

#[allow(dead_code, unreachable_pub, reason = "shared by several tests, each of which uses other parts")]
#[path = "bed/host.rs"]
mod host;

#[path = "pages/exposition.rs"]
mod exposition;
#[path = "pages/limits.rs"]
mod limits;
#[path = "pages/paths.rs"]
mod paths;
#[path = "pages/site.rs"]
mod site;
#[path = "pages/table.rs"]
mod table;

use serde_json::Value;
use site::Site;

const RECEIVERS: &str =
    "  - {job_name: sys, syslog: {listen_address: '127.0.0.1:0', labels: {job: sys}}}\n  - {job_name: gelf, gelf: {listen_address: '127.0.0.1:0'}}\n";

#[tokio::test]
async fn every_page_comes_as_html_json_and_text() {
    let site = Site::start("[{static_labels: {env: test}}]", RECEIVERS).await;
    site.write("a.log", "one\ntwo\n");
    site.until("the file is read", |text| text.contains("offset=8")).await;
    for page in ["", "targets", "service-discovery", "config"] {
        let html = site.get(page, "text/html,application/xhtml+xml,*/*;q=0.8").await;
        assert!(
            html.kind.starts_with("text/html") && html.body.starts_with("<!doctype html>") && html.policy.contains("default-src 'none'"),
            "{page}: {html:?}"
        );
        let json = site.get(page, "application/json").await;
        assert!(json.kind.starts_with("application/json") && serde_json::from_str::<Value>(&json.body).is_ok(), "{page}: {json:?}");
        let text = site.get(page, "*/*").await;
        assert!(text.kind.starts_with("text/plain") && !text.body.is_empty() && !text.body.contains('<'), "{page}: {text:?}");
        assert_eq!(site.get(&format!("{page}?format=json"), "text/html").await.kind, json.kind);
    }
    let targets: Value = serde_json::from_str(&site.get("targets", "application/json").await.body).unwrap();
    let file = &targets["files"][0];
    assert!(file["path"].as_str().unwrap().ends_with("/a.log") && file["job"] == "files" && file["state"] == "reading", "{targets}");
    assert_eq!((&file["offset"], &file["size"], &file["behind"], &file["lines"]), (&8.into(), &8.into(), &0.into(), &2.into()));
    let receivers: Vec<&str> = targets["receivers"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(receivers, ["gelf", "syslog"]);
    assert!(targets["receivers"][1]["addresses"][0].as_str().unwrap().starts_with("127.0.0.1:"), "{targets}");
    site.end().await;
}

#[tokio::test]
async fn secrets_are_on_no_page_and_discovery_says_what_became_of_each() {
    let more = "  - {job_name: other, static_configs: [{labels: {__path__: /x/*.log, __host__: elsewhere}}]}\n  - {job_name: pushed, forward: {listen_address: '127.0.0.1:0', shared_key: geheim}}\n";
    let site = Site::start("[]", more).await;
    for form in ["html", "json", "text"] {
        let config = site.get(&format!("config?format={form}"), "*/*").await.body;
        assert!(config.contains("secret") && config.contains("shared_key") && !config.contains("geheim"), "{config}");
    }
    let found: Value = serde_json::from_str(&site.get("service-discovery?format=json", "*/*").await.body).unwrap();
    let jobs: Vec<&Value> = found.as_array().unwrap().iter().map(|job| &job["job"]).collect();
    assert_eq!(jobs, ["files", "other"], "jobs that are sent to discover nothing");
    assert_eq!((&found[0]["targets"][0]["labels"]["job"], &found[1]["dropped_targets"][0]["reason"]), (&"files".into(), &"wrong_host".into()));
    site.end().await;
}

#[tokio::test]
async fn a_sender_and_its_mistakes_are_shown() {
    let site = Site::start("[]", RECEIVERS).await;
    site.send("syslog", b"<34>1 2023-10-11T22:14:15.003Z host app - - - a message\n").await;
    site.until("the message is shown", |text| text.contains("job=\"sys\" kind=syslog") && text.contains(" records=1 bytes=9 ")).await;
    let status: Value = serde_json::from_str(&site.get("status", "*/*").await.body).unwrap();
    let sys = status["receivers"].as_array().unwrap().iter().find(|one| one["job"] == "sys").unwrap().clone();
    assert!(sys["last_entry_s"].as_u64().is_some_and(|seconds| seconds < 60), "{sys}");
    assert!(site.metrics().await.value("tributary_edge_job_lines_total", &[("job_name", "sys")]) == Some(1.0));
    site.end().await;
}

#[tokio::test]
async fn metrics_are_those_of_the_table() {
    let stages = "[{drop: {expression: 'drop me'}}, {match: {selector: '{job=\"files\"}', stages: [{limit: {rate: 0.01, burst: 1, drop: true, by_label_name: job}}]}}, \
                  {metrics: {seen: {type: Histogram, description: \"a \\\"quoted\\\" one\", source: filename, config: {buckets: [1, 2]}}, hits: {type: Counter, config: {match_all: true, action: inc}}}}]";
    let site = Site::start(stages, RECEIVERS).await;
    site.write("we\"ird\\name.log", "one\ndrop me\ntwo\nthree\n");
    site.until("the file is read", |text| text.contains("offset=22")).await;
    let table = table::read();
    let found = site.metrics().await;
    let mut wrong = Vec::new();
    for (name, family) in &found.families {
        let Some(row) = table.iter().find(|row| row.names(name)) else {
            wrong.push(format!("{name} is not in docs/metrics.md"));
            continue;
        };
        if !row.is_open() && row.kind != family.kind {
            wrong.push(format!("{name} is a {} and not a {}", family.kind, row.kind));
        }
        for labels in family.labels().filter(|labels| !row.is_open() && *labels != row.labels) {
            wrong.push(format!("{name} has the labels {labels:?} and not {:?}", row.labels));
        }
    }
    for row in table.iter().filter(|row| row.there == "always" && !found.families.contains_key(&row.name)) {
        wrong.push(format!("{} of docs/metrics.md is not there", row.name));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for name in ["promtail_custom_hits", "logentry_dropped_lines_by_label_total", "process_resident_memory_bytes"] {
        assert!(found.families.contains_key(name), "{name} is not there: the test does not see what it should");
    }
    let path = site.path("we\"ird\\name.log");
    assert_eq!(found.value("promtail_read_lines_total", &[("path", &path)]), Some(4.0), "a name is read back as it is");
    assert_eq!(found.value("logentry_dropped_lines_total", &[("reason", "drop_stage")]), Some(1.0));
    site.end().await;
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_of_the_table() {
    let table = table::read();
    let names: Vec<&str> = table.iter().map(|row| row.name.as_str()).collect();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let alerts = std::fs::read_to_string(format!("{root}/deploy/prometheus/edge-alerts.yaml")).unwrap();
    let dashboard = std::fs::read_to_string(format!("{root}/deploy/grafana/edge-dashboard.json")).unwrap();
    let parsed: Value = serde_json::from_str(&dashboard).unwrap();
    let targets = parsed["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut asked: Vec<String> = targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    let rules: Value = proto_boot::settings::parse_all::<Value>("alerts", &alerts).0.unwrap();
    let rules = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    asked.extend(rules.map(|rule| rule["expr"].as_str().unwrap().to_owned()));
    assert!(asked.len() > 40, "{}", asked.len());
    for asks in &asked {
        let words = asks.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let metrics: Vec<&str> =
            words.filter(|word| ["tributary_", "promtail_", "logentry_", "process_"].iter().any(|begin| word.starts_with(begin))).collect();
        assert!(!metrics.is_empty(), "{asks} asks for nothing of the edge");
        for metric in metrics {
            assert!(names.contains(&metric), "{metric} in {asks} is not in docs/metrics.md");
        }
    }
}
