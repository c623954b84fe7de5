//! The API as Grafana and logcli use it: push, query, labels; errors in Loki's words; wrong input answers as listed.

use std::time::Duration;

use serde_json::{Value, json};
use tests::ask::Ask;
use tests::hub::Hub;
use tests::place;

/// A hub with a few lines of two apps, a minute old.
pub(crate) struct Site {
    _dir: tempfile::TempDir,
    pub(crate) hub: Hub,
    pub(crate) now_ns: i64,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let dir = place::folder("api");
        let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let site = Self { _dir: dir, hub, now_ns: i64::try_from(now.as_nanos()).unwrap() / 1_000_000_000 * 1_000_000_000 - 60_000_000_000 };
        let ns = |second: i64| (site.now_ns + second * 1_000_000_000).to_string();
        let body = json!({"streams": [
            {"stream": {"app": "web"}, "values": [
                [ns(0), "{\"level\":\"error\",\"status\":500,\"path\":\"/a\"}"],
                [ns(1), "{\"level\":\"info\",\"status\":200,\"path\":\"/b\"}", {"trace_id": "t1"}],
                [ns(2), "not json"]]},
            {"stream": {"app": "db"}, "values": [[ns(0), "level=warn dur=12ms msg=\"slow query\""], [ns(3), "level=info dur=1ms msg=ok"]]}
        ]});
        let pushed = site.writer().post("/loki/api/v1/push", "application/json", body.to_string().into_bytes()).await.unwrap();
        assert_eq!(pushed.status().as_u16(), 204, "{}", pushed.text().await.unwrap());
        site
    }

    pub(crate) fn reader(&self) -> Ask {
        Ask::new(&self.hub.url(), &self.hub.acme)
    }

    pub(crate) fn writer(&self) -> Ask {
        Ask::new(&self.hub.url(), &self.hub.acme_writer)
    }

    async fn range(&self, ask: &Ask, query: &str, more: &[(&str, &str)]) -> (u16, String) {
        let (start, end) = ((self.now_ns - 1_000_000_000).to_string(), (self.now_ns + 60_000_000_000).to_string());
        let mut parameters = vec![("query", query), ("start", &*start), ("end", &*end)];
        parameters.extend_from_slice(more);
        ask.text("/loki/api/v1/query_range", &parameters).await
    }

    async fn data(&self, query: &str, more: &[(&str, &str)]) -> Value {
        let (status, text) = self.range(&self.reader(), query, more).await;
        assert_eq!(status, 200, "{query}: {text}");
        serde_json::from_str::<Value>(&text).unwrap()["data"].clone()
    }
}

fn lines(data: &Value) -> Vec<String> {
    let streams = data["result"].as_array().unwrap();
    streams.iter().flat_map(|stream| stream["values"].as_array().unwrap().iter().map(|value| value[1].as_str().unwrap().to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_as_grafana_sends_them() {
    let site = Site::start().await;
    let grafana = site.reader().with_header("X-Loki-Response-Encoding-Flags", "categorize-labels");
    let (status, text) = site.range(&grafana, "{app=\"web\"} | json", &[("direction", "backward"), ("step", "1000ms"), ("limit", "1000")]).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.find("\"encodingFlags\"").unwrap() < text.find("\"result\"").unwrap(), "the flags stand before the result: {text}");
    assert!(!text.contains("\"warnings\":null"));
    let data = serde_json::from_str::<Value>(&text).unwrap()["data"].clone();
    assert_eq!(data["encodingFlags"], json!(["categorize-labels"]));
    for stream in data["result"].as_array().unwrap() {
        assert_eq!(stream.as_object().unwrap().keys().collect::<Vec<_>>(), ["stream", "values"]);
        assert_eq!(stream["stream"]["service_name"], "web");
        for value in stream["values"].as_array().unwrap() {
            assert_eq!(value.as_array().unwrap().len(), 3);
            assert!(value[2].as_object().unwrap().keys().all(|key| key == "structuredMetadata" || key == "parsed"), "{value}");
        }
    }
    let plain = site.data("{app=\"web\"}", &[]).await;
    assert!(plain.get("encodingFlags").is_none());
    assert_eq!(plain["result"][0]["values"][0].as_array().unwrap().len(), 2);
    assert!(plain["stats"]["summary"]["totalLinesProcessed"].is_number());

    // The health check of the data source: 4 s after the epoch.
    let health = site.reader().json("/loki/api/v1/query", &[("query", "vector(1)+vector(1)"), ("time", "4000000000")]).await;
    assert_eq!(health["data"]["result"][0]["value"][1], "2");
    let (status, text) = site.reader().text("/loki/api/v1/query", &[("query", "{app=\"web\"}")]).await;
    assert_eq!(status, 400);
    assert!(text.starts_with("log queries are not supported as an instant query type"), "{text}");
    let volume = site.data("sum by (level, detected_level) (count_over_time({app=~\".+\"} | drop __error__[1m]))", &[("step", "60000ms")]).await;
    assert_eq!(volume["resultType"], "matrix");
    assert!(volume["result"].as_array().unwrap().iter().any(|series| series["metric"]["detected_level"] == "error"), "{volume}");
    let basic = site.hub.acme.clone();
    let url = format!("{}/loki/api/v1/labels", site.hub.url());
    let answered = reqwest::Client::new().get(url).basic_auth("anyone", Some(basic)).send().await.unwrap();
    assert_eq!(answered.status().as_u16(), 200, "Basic with the token as password");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_language_of_this_issue() {
    let site = Site::start().await;
    for (query, expected) in [
        ("{app=\"web\"} |= \"error\"", 1),
        ("{app=\"web\"} != \"error\"", 2),
        ("{app=~\"web|db\"} |~ \"(?i)LEVEL\"", 4),
        ("{app=~\"w.*\"} !~ \"j.on\"", 2),
        ("{app=\"web\"} | json | status >= 500", 1),
        ("{app=\"web\"} | json | level=\"info\" or status = 500", 2),
        ("{app=\"db\"} | logfmt | dur > 10ms", 1),
        ("{app=\"web\"} | trace_id=\"t1\"", 1),
        ("{app=\"web\"} | detected_level=\"error\"", 1),
        ("{app=\"web\"} | json | __error__=\"\"", 2),
    ] {
        assert_eq!(lines(&site.data(query, &[]).await).len(), expected, "{query}");
    }
    let mut formatted = lines(&site.data("{app=\"db\"} | logfmt | line_format \"{{.level}}: {{.msg}}\"", &[]).await);
    formatted.sort();
    assert_eq!(formatted, ["info: ok", "warn: slow query"]);
    for (query, expected) in [
        ("sum(count_over_time({app=~\".+\"}[5m]))", "5"),
        ("sum(bytes_over_time({app=\"db\"}[5m]))", "61"),
        ("count(count_over_time({app=~\".+\"}[5m]) > 0)", ""),
        ("max(count_over_time({app=~\".+\"} | drop trace_id, detected_level [5m]))", "3"),
        ("sum(rate({app=\"web\"}[5m])) * 300", "3"),
        ("topk(1, sum by (app) (count_over_time({app=~\".+\"}[5m])))", "3"),
        ("vector(3)", "3"),
    ] {
        let at = (site.now_ns + 30_000_000_000).to_string();
        let answer = site.reader().json("/loki/api/v1/query", &[("query", query), ("time", &at)]).await;
        if !expected.is_empty() {
            assert_eq!(answer["data"]["result"][0]["value"][1], expected, "{query}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_series_and_stats() {
    let site = Site::start().await;
    let ask = site.reader();
    let (start, end) = ((site.now_ns - 1_000_000_000).to_string(), (site.now_ns + 60_000_000_000).to_string());
    let times = [("start", &*start), ("end", &*end)];
    assert_eq!(ask.json("/loki/api/v1/labels", &times).await, json!({"status": "success", "data": ["app", "service_name"]}));
    assert_eq!(ask.json("/loki/api/v1/label/app/values", &times).await["data"], json!(["db", "web"]));
    assert!(ask.json("/loki/api/v1/label/nothing/values", &times).await.get("data").is_none());
    let series = ask.json("/loki/api/v1/series", &[&[("match[]", "{app=\"web\"}")][..], &times].concat()).await;
    assert_eq!(series["data"], json!([{"app": "web", "service_name": "web"}]));
    let stats = ask.json("/loki/api/v1/index/stats", &[&[("query", "{app=\"web\"}")][..], &times].concat()).await;
    assert_eq!((&stats["streams"], &stats["entries"]), (&json!(1), &json!(3)));
    let (status, text) = ask.text("/loki/api/v1/status/buildinfo", &[]).await;
    assert!(status == 200 && text.contains("\"version\""), "{status} {text}");
    assert_eq!(Ask::new(&site.hub.url(), "").text("/ready", &[]).await, (200, "ready\n".to_owned()));
    // RFC 3339 times and the POST form, as others send them.
    let body = "query=%7Bapp%3D%22web%22%7D&limit=10&since=1h".to_owned().into_bytes();
    let answered = ask.post("/loki/api/v1/query_range", "application/x-www-form-urlencoded", body).await.unwrap();
    assert_eq!(answered.status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_queries_are_refused_in_lokis_words() {
    let site = Site::start().await;
    let deep = "(".repeat(10_000);
    let long = format!("{{app=\"{}\"}}", "x".repeat(1024 * 1024));
    let alternation = format!("{{app=~\"{}\"}}", (0..10_000).map(|n| format!("a{n}")).collect::<Vec<_>>().join("|"));
    for (query, word) in [
        ("{", "parse error"),
        ("", "parse error"),
        ("{app=\"web\"", "parse error at line 1, col"),
        ("{}", "at least one"),
        ("{app=~\".*\"}", "queries require at least one regexp or equality matcher that does not have an empty-compatible value"),
        ("{app=\"web\"} |= \"x", "parse error"),
        (&deep, "parse error"),
        (&long, ""),
        ("{app=~\"(a{1000}){1000}\"}", ""),
        (&alternation, ""),
    ] {
        let (start, end) = (site.now_ns.to_string(), (site.now_ns + 1).to_string());
        let body = format!("query={}&start={start}&end={end}", tests::ask::percent(query)).into_bytes();
        let answered = site.reader().post("/loki/api/v1/query_range", "application/x-www-form-urlencoded", body).await.unwrap();
        let shown: String = query.chars().take(60).collect();
        let (status, kind) = (answered.status().as_u16(), answered.headers().get("content-type").cloned());
        let text = answered.text().await.unwrap();
        assert!(status == 400 || (status == 413 && query.len() > 100_000), "{shown}: {status} {text}");
        assert!(text.contains(word), "{shown}: {text}");
        assert!(kind.is_some_and(|kind| kind.to_str().unwrap().starts_with("text/plain")), "{shown}");
    }
    for (more, word) in [
        (&[("start", "10"), ("end", "5")][..], "end timestamp must not be before or equal to start time"),
        (&[("step", "0")][..], "zero or negative query resolution step widths are not accepted"),
        (&[("step", "0.000000001"), ("query", "rate({app=\"web\"}[1m])")][..], "exceeded maximum resolution of 11,000 points"),
        (&[("limit", "-1")][..], "limit must be a positive value"),
        (&[("limit", "1000000000")][..], "max entries limit per query exceeded"),
        (&[("direction", "sideways")][..], "invalid direction"),
        (&[("start", "yesterday")][..], "could not parse 'start' parameter"),
    ] {
        let (start, end) = (site.now_ns.to_string(), (site.now_ns + 60_000_000_000).to_string());
        let mut parameters = std::collections::BTreeMap::from([("query", "{app=\"web\"}"), ("start", &*start), ("end", &*end)]);
        parameters.extend(more.iter().copied());
        let parameters: Vec<(&str, &str)> = parameters.into_iter().collect();
        let (status, text) = site.reader().text("/loki/api/v1/query_range", &parameters).await;
        assert!(status == 400 && text.contains(word), "{more:?}: {status} {text}");
    }
    for path in
        ["//loki/api/v1/labels", "/loki/api/v1/../v1/labels", "/loki/api/v1/labels/", "/loki%2fapi/v1/labels", "/loki/api/v1/labels;x", "/ring", "/nothing"]
    {
        let (status, _) = site.reader().text(path, &[]).await;
        assert!(matches!(status, 200 | 400 | 404), "{path}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_good_bad_and_repeated() {
    let site = Site::start().await;
    let writer = site.writer();
    let ns = site.now_ns.to_string();
    let good = json!({"streams": [{"stream": {"app": "push"}, "values": [[ns, "once"]]}]}).to_string().into_bytes();
    for _ in 0..3 {
        let pushed = writer.with_header("Idempotency-Key", "k1").post("/loki/api/v1/push", "application/json", good.clone()).await.unwrap();
        assert_eq!(pushed.status().as_u16(), 204);
    }
    let counted = site.reader().json("/loki/api/v1/query", &[("query", "sum(count_over_time({app=\"push\"}[5m]))")]).await;
    assert_eq!(counted["data"]["result"][0]["value"][1], "1", "one key, stored once, visible at once: {counted}");
    let many = b"[".repeat(100_000);
    for (kind, body, expected) in [
        ("application/json", b"{\"streams\":[]}".to_vec(), 422),
        ("application/json", b"{".to_vec(), 400),
        ("application/json", br#"{"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]}"#.to_vec(), 400),
        ("application/json", br#"{"streams":[{"stream":{"a":"b"},"values":[["99999999999999999999","x"]]}]}"#.to_vec(), 400),
        ("application/json", br#"{"streams":[{"stream":{"a-b":"c"},"values":[["1","x"]]}]}"#.to_vec(), 400),
        ("application/json", many, 400),
        ("text/plain", b"hello".to_vec(), 400),
        ("application/x-protobuf", b"\x00garbage".to_vec(), 400),
        ("application/json", vec![b'x'; 20 * 1024 * 1024], 413),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let pushed = writer.post("/loki/api/v1/push", kind, body).await.unwrap();
        assert_eq!(pushed.status().as_u16(), expected, "{kind} {shown}: {}", pushed.text().await.unwrap());
    }
    let old = json!({"streams": [{"stream": {"app": "push"}, "values": [["1000000000", "old"], [site.now_ns.to_string(), "new"]]}]}).to_string().into_bytes();
    let pushed = writer.post("/loki/api/v1/push", "application/json", old).await.unwrap();
    assert_eq!(pushed.status().as_u16(), 400, "too old: the whole request is refused");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let counted = site.reader().json("/loki/api/v1/query", &[("query", "sum(count_over_time({app=\"push\"}[5m]))")]).await;
    assert_eq!(counted["data"]["result"][0]["value"][1], "1", "nothing of a refused request is stored");
}
