//! What Logs Drilldown, old clients, alert pages and scripts ask beside queries: shapes, parameters and mistakes as Loki answers them.

use serde_json::{Value, json};
use tests::ask::{Ask, percent};
use tests::lines::date;

use crate::api::Site;

const FORM: &str = "application/x-www-form-urlencoded";

impl Site {
    /// `start` and `end` around its lines.
    fn times(&self) -> (String, String) {
        ((self.now_ns - 1_000_000_000).to_string(), (self.now_ns + 60_000_000_000).to_string())
    }

    /// The JSON of a GET over its lines.
    async fn got(&self, path: &str, more: &[(&str, &str)]) -> Value {
        let (start, end) = self.times();
        let mut parameters = vec![("start", &*start), ("end", &*end)];
        parameters.extend_from_slice(more);
        self.reader().json(path, &parameters).await
    }

    /// Status and text of a GET over its lines.
    async fn refused(&self, path: &str, more: &[(&str, &str)]) -> (u16, String) {
        let (start, end) = self.times();
        let mut parameters = Vec::from(more);
        for (name, value) in [("start", &*start), ("end", &*end)] {
            if !more.iter().any(|(given, _)| *given == name) {
                parameters.push((name, value));
            }
        }
        self.reader().text(path, &parameters).await
    }

    /// The JSON of the POST form of the same.
    async fn posted(&self, path: &str, more: &[(&str, &str)]) -> Value {
        let (start, end) = self.times();
        let pairs: Vec<String> = more.iter().chain(&[("start", &*start), ("end", &*end)]).map(|(name, value)| format!("{name}={}", percent(value))).collect();
        let answered = self.reader().post(path, FORM, pairs.join("&").into_bytes()).await.unwrap();
        assert_eq!(answered.status().as_u16(), 200, "{path}");
        assert!(answered.headers()["content-type"].to_str().unwrap().starts_with("application/json"), "{path}");
        answered.json().await.unwrap()
    }

    /// Makes segments of all lines.
    async fn absorb(&self) {
        let operator = Ask::new(&self.hub.admin_url(), &self.hub.operator);
        let done = operator.post("/admin/v1/absorb", "application/json", b"{}".to_vec()).await.unwrap();
        assert_eq!(done.status().as_u16(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_drilldown_finds_what_it_lists() {
    let site = Site::start().await;
    for round in ["sections", "segments"] {
        let volume = site.got("/loki/api/v1/index/volume", &[("query", "{service_name=~`.+`}"), ("limit", "5000")]).await;
        assert_eq!(volume["data"]["resultType"], "vector");
        let rows: Vec<(Value, Value)> =
            volume["data"]["result"].as_array().unwrap().iter().map(|row| (row["metric"].clone(), row["value"][1].clone())).collect();
        assert_eq!(rows, [(json!({"service_name": "web"}), json!("91")), (json!({"service_name": "db"}), json!("61"))], "{round}");
        let labels = site.got("/loki/api/v1/detected_labels", &[("query", "")]).await;
        let expected = json!([{"label": "app", "cardinality": 2}, {"label": "service_name", "cardinality": 2}]);
        assert_eq!(labels, json!({ "detectedLabels": expected }), "{round}");

        let query = "{service_name=\"web\"}     | json | logfmt | drop __error__, __error_details__";
        let fields = site.got("/loki/api/v1/detected_fields", &[("query", query), ("limit", "1000")]).await;
        assert!(fields.get("data").is_none() && fields["limit"] == 1_000, "{fields}");
        let field = |name: &str| fields["fields"].as_array().unwrap().iter().find(|field| field["label"] == name).unwrap().clone();
        assert_eq!(field("status"), json!({"label": "status", "type": "int", "cardinality": 2, "parsers": ["json"], "jsonPath": ["status"]}), "{round}");
        assert_eq!(field("detected_level"), json!({"label": "detected_level", "type": "string", "cardinality": 3, "parsers": null}), "{round}");
        assert_eq!(field("trace_id")["parsers"], Value::Null);
        let db = site.got("/loki/api/v1/detected_fields", &[("query", "{app=\"db\"}")]).await;
        let dur = db["fields"].as_array().unwrap().iter().find(|field| field["label"] == "dur").unwrap();
        assert_eq!((&dur["type"], &dur["parsers"], dur.get("jsonPath")), (&json!("duration"), &json!(["logfmt"]), None), "{round}");
        let values = site.got("/loki/api/v1/detected_field/detected_level/values", &[("query", "{app=\"web\"}"), ("limit", "1000")]).await;
        assert_eq!(values, json!({"values": ["error", "info", "unknown"], "limit": 1_000}), "{round}");

        let patterns = site.got("/loki/api/v1/patterns", &[("query", "{app=\"db\"}"), ("step", "1m")]).await;
        assert_eq!(patterns["status"], "success");
        for pattern in patterns["data"].as_array().unwrap() {
            assert!(pattern["level"].is_string() && pattern["samples"][0][0].is_i64() && pattern["samples"][0][1].is_u64(), "{pattern}");
            // The pattern finds its lines.
            let query = format!("{{app=\"db\"}} |> `{}`", pattern["pattern"].as_str().unwrap());
            let found = site.got("/loki/api/v1/query_range", &[("query", &query)]).await;
            assert_eq!(found["data"]["result"].as_array().unwrap().len(), 1, "{query}");
        }
        let counted: u64 = patterns["data"].as_array().unwrap().iter().flat_map(|p| p["samples"].as_array().unwrap()).map(|s| s[1].as_u64().unwrap()).sum();
        assert_eq!(counted, 2, "{round}: {patterns}");
        site.absorb().await;
    }
    let limits = site.reader().json("/loki/api/v1/drilldown-limits", &[]).await;
    assert_eq!(limits["pattern_ingester_enabled"], true);
    assert_eq!((&limits["limits"]["retention_period"], &limits["limits"]["max_entries_limit_per_query"]), (&json!("30d"), &json!(100_000)));
    assert!(limits["version"].is_string());
    assert_eq!(Ask::new(&site.hub.url(), "").text("/loki/api/v1/drilldown-limits", &[]).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_group_and_step() {
    let site = Site::start().await;
    let by = |more: &'static [(&'static str, &'static str)]| [&[("query", "{service_name=~\".+\"}")][..], more].concat();
    let targets = site.got("/loki/api/v1/index/volume", &by(&[("targetLabels", "app"), ("limit", "1")])).await;
    assert_eq!(targets["data"]["result"][0]["metric"], json!({"app": "web"}));
    assert_eq!(targets["data"]["result"].as_array().unwrap().len(), 1);
    let labels = site.got("/loki/api/v1/index/volume", &by(&[("aggregateBy", "labels"), ("targetLabels", "app,service_name")])).await;
    assert_eq!(labels["data"]["result"][0]["metric"], json!({"app": ""}));
    assert_eq!(labels["data"]["result"][0]["value"][1], "152");
    let steps = site.posted("/loki/api/v1/index/volume_range", &by(&[("step", "1h")])).await;
    assert_eq!(steps["data"]["resultType"], "matrix");
    assert!(steps["data"]["result"][0]["values"][0][0].is_number() && steps["data"]["result"][0]["values"][0][1].is_string(), "{steps}");
    let shards = site.got("/loki/api/v1/index/shards", &by(&[("targetBytesPerShard", "1MB")])).await;
    assert_eq!(shards["shards"][0]["stats"]["entries"], 5);
    for (path, more, word) in [
        ("index/volume", &[("aggregateBy", "cats")][..], "invalid aggregation option"),
        ("index/volume", &[("limit", "-1")][..], "limit must be a positive value"),
        ("index/volume", &[("query", "{app=\"web\"} |= \"x\"")][..], "only label matchers are supported"),
        ("index/volume", &[("query", "{")][..], "parse error"),
        ("index/volume_range", &[("step", "0")][..], "zero or negative query resolution step widths are not accepted"),
        ("index/volume_range", &[("step", "0.001")][..], "exceeded maximum resolution of 11,000 points"),
        ("index/shards", &[][..], "targetBytesPerShard must be a positive value"),
        ("detected_fields", &[("line_limit", "1000000")][..], "max entries limit per query exceeded, limit > max_entries_limit_per_query (1000000 > 100000)"),
        ("detected_fields", &[("line_limit", "0")][..], "limit must be a positive value"),
        ("detected_fields", &[("query", "rate({app=\"web\"}[1m])")][..], "only log selector is supported"),
        ("detected_field/x/values", &[("query", "{}")][..], "at least one"),
        ("patterns", &[("query", "rate({app=\"web\"}[1m])")][..], "only log selector is supported"),
        ("patterns", &[("start", "10"), ("end", "5")][..], "end timestamp must not be before or equal to start time"),
        ("query_range", &[("interval", "-1")][..], "interval must be >= 0"),
        ("query_range", &[("query", "rate({app=\"web\"}[1m])"), ("limit", "0")][..], "limit must be a positive value"),
        ("query", &[("query", "vector(1)"), ("limit", "x")][..], "strconv.Atoi: parsing \"x\": invalid syntax"),
    ] {
        let mut parameters = Vec::from(more);
        if !more.iter().any(|(name, _)| *name == "query") {
            parameters.push(("query", "{app=\"web\"}"));
        }
        let (status, text) = site.refused(&format!("/loki/api/v1/{path}"), &parameters).await;
        assert!(status == 400 && text.contains(word), "{path} {more:?}: {status} {text}");
    }
    // Nothing found: as Loki leaves things out.
    for (path, empty) in [
        ("index/volume", json!([])),
        ("detected_labels", json!({})),
        ("detected_fields", json!({})),
        ("detected_field/status/values", json!({})),
        ("patterns", json!({"status": "success", "data": []})),
    ] {
        let found = site.got(&format!("/loki/api/v1/{path}"), &[("query", "{app=\"nobody\"}")]).await;
        assert_eq!(if path == "index/volume" { &found["data"]["result"] } else { &found }, &empty, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_has_a_post_form() {
    let site = Site::start().await;
    let at = (site.now_ns + 30_000_000_000).to_string();
    for (path, more) in [
        ("/loki/api/v1/query", &[("query", "sum(count_over_time({app=\"web\"}[1h]))"), ("time", &*at)][..]),
        ("/loki/api/v1/query_range", &[("query", "{app=\"web\"}"), ("direction", "FORWARD"), ("interval", "1s")][..]),
        ("/loki/api/v1/labels", &[]),
        ("/loki/api/v1/label/app/values", &[]),
        ("/loki/api/v1/series", &[("match[]", "{app=\"web\"}")]),
        ("/loki/api/v1/index/stats", &[("query", "{app=\"web\"}")]),
        ("/loki/api/v1/index/volume", &[("query", "{app=\"web\"}")]),
        ("/loki/api/v1/detected_labels", &[]),
        ("/loki/api/v1/detected_fields", &[("query", "{app=\"web\"}")]),
        ("/loki/api/v1/detected_field/status/values", &[("query", "{app=\"web\"}")]),
        ("/loki/api/v1/patterns", &[("query", "{app=\"web\"}")]),
        ("/api/prom/query", &[("query", "{app=\"web\"}")]),
        ("/api/prom/label", &[]),
        ("/api/prom/label/app/values", &[]),
    ] {
        assert_eq!(without_stats(site.posted(path, more).await), without_stats(site.got(path, more).await), "{path}");
    }
    // One entry a second at most, newest first unless asked otherwise.
    let found = site.got("/loki/api/v1/query_range", &[("query", "{app=~\"web|db\"}"), ("interval", "2")]).await;
    let mut times: Vec<i64> = found["data"]["result"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|stream| stream["values"].as_array().unwrap())
        .map(|value| (value[0].as_str().unwrap().parse::<i64>().unwrap() - site.now_ns) / 1_000_000_000)
        .collect();
    times.sort_unstable();
    assert_eq!(times, [1, 3]);
}

/// What two equal questions may differ in.
fn without_stats(mut answer: Value) -> Value {
    for at in ["/data", ""] {
        if let Some(Value::Object(map)) = answer.pointer_mut(at) {
            map.remove("stats");
        }
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_printed_as_loki_prints_them() {
    let site = Site::start().await;
    for (query, expected) in [
        ("{ app = \"web\" }|=`x`", "{app=\"web\"} |= \"x\""),
        ("sum by(app)(rate({app=~\"a|b\",env=\"production-with-a-long-name\"} | json | status >= 500 | line_format \"{{.path}} {{.status}}\"[5m]))", ""),
    ] {
        let printed = site.reader().json("/loki/api/v1/format_query", &[("query", query)]).await;
        assert_eq!(printed["status"], "success");
        let text = printed["data"].as_str().unwrap();
        assert!(if expected.is_empty() { text.starts_with("sum by (app)(\n  rate(\n") } else { text == expected }, "{text}");
        let again = site.reader().json("/loki/api/v1/format_query", &[("query", text)]).await;
        assert_eq!(again["data"], text, "printed once is printed for ever");
    }
    let body = format!("query={}", percent("{")).into_bytes();
    let refused = site.reader().post("/loki/api/v1/format_query", FORM, body).await.unwrap();
    assert_eq!(refused.status().as_u16(), 400);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["status"], "invalid-query");
    assert!(refused["error"].as_str().unwrap().starts_with("parse error at line 1, col "), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_api_still_works() {
    let site = Site::start().await;
    let ns = (site.now_ns + 5_000_000_000).to_string();
    let at: i64 = ns.parse().unwrap();
    let second = at / 1_000_000_000;
    let ts = format!("{}Z", date(second));
    let push = json!({"streams": [{"labels": "{app=\"old\"}", "entries": [{"ts": ts, "line": "of the first form"}]}]});
    let pushed = site.writer().post("/api/prom/push", "application/json", push.to_string().into_bytes()).await.unwrap();
    assert_eq!(pushed.status().as_u16(), 204, "{}", pushed.text().await.unwrap());
    let found = site.got("/api/prom/query", &[("query", "{app=\"old\"}"), ("regexp", "first (form|time)")]).await;
    assert_eq!(found["streams"][0]["entries"], json!([{"ts": ts, "line": "of the first form"}]), "{found}");
    assert_eq!(found["streams"][0]["labels"], "{app=\"old\", detected_level=\"unknown\", service_name=\"old\"}");
    let none = site.got("/api/prom/query", &[("query", "{app=\"old\"}"), ("regexp", "last")]).await;
    assert_eq!(none["streams"], json!([]));
    assert_eq!(site.got("/api/prom/label", &[]).await, json!({"values": ["app", "service_name"]}));
    assert_eq!(site.got("/api/prom/label/app/values", &[]).await, json!({"values": ["db", "old", "web"]}));
    assert_eq!(site.got("/api/prom/label/nothing/values", &[]).await, json!({}));
    assert_eq!(site.got("/api/prom/series", &[("match", "{app=\"old\"}")]).await["data"], json!([{"app": "old", "service_name": "old"}]));
    let (status, text) = site.refused("/api/prom/query", &[("query", "rate({app=\"old\"}[1m])")]).await;
    assert!(status == 400 && text.contains("legacy endpoints only support streams result type"), "{status} {text}");
    let refused = site.reader().post("/api/prom/push", "application/json", push.to_string().into_bytes()).await.unwrap();
    assert_eq!(refused.status().as_u16(), 403, "a reader does not push");
    let refused = site.writer().post("/api/prom/push", "application/json", b"{\"streams\":[]}".to_vec()).await.unwrap();
    assert_eq!(refused.status().as_u16(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_settings_and_what_is_not_here() {
    let site = Site::start().await;
    let (reader, operator) = (site.reader(), Ask::new(&site.hub.url(), &site.hub.operator));
    let empty = |name: &str| json!({"status": "success", "data": {name: []}, "errorType": "", "error": ""});
    assert_eq!(reader.json("/prometheus/api/v1/rules", &[("type", "alert"), ("exclude_alerts", "true")]).await, empty("groups"));
    assert_eq!(reader.json("/prometheus/api/v1/alerts", &[]).await, empty("alerts"));
    assert_eq!(reader.text("/loki/api/v1/rules", &[]).await, (404, "no rule groups found\n".to_owned()));
    // Plain, so that Grafana does not offer to edit rules; and so for all that a single hub has not.
    for path in ["/api/prom/rules", "/api/prom/rules/test/test", "/ring", "/distributor/ring", "/memberlist", "/flush", "/ingester/shutdown"] {
        assert_eq!(reader.text(path, &[("subtype", "mimir")]).await, (404, "404 page not found\n".to_owned()), "{path}");
    }
    assert_eq!(reader.text("/config", &[]).await.0, 403, "settings are the operator's");
    let (status, config) = operator.text("/config", &[]).await;
    assert!(status == 200 && config.contains("store: ") && config.contains("limits: "), "{status} {config}");
    let (status, limits) = reader.text("/config/tenant/v1/limits", &[]).await;
    assert!(status == 200 && limits.contains("max_entries_limit_per_query: 100000\n") && limits.contains("retention_period: \"30d\"\n"), "{status} {limits}");
    assert_eq!(reader.json("/log_level", &[]).await, json!({"message": "Current log level is info"}));
    assert_eq!(reader.post("/log_level", FORM, b"log_level=debug".to_vec()).await.unwrap().status().as_u16(), 403);
    let set = operator.post("/log_level", FORM, b"log_level=debug".to_vec()).await.unwrap();
    assert_eq!(set.json::<Value>().await.unwrap(), json!({"message": "Log level set to debug", "status": "success"}));
    assert_eq!(reader.json("/log_level", &[]).await, json!({"message": "Current log level is debug"}));
    let refused = operator.post("/log_level", FORM, b"log_level=loud".to_vec()).await.unwrap();
    assert_eq!(refused.status().as_u16(), 400);
    assert_eq!(refused.json::<Value>().await.unwrap()["message"], "unrecognized log level \"loud\"");
}
