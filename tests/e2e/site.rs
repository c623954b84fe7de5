//! A hub with lines that Grafana and Logs Drilldown are shown: shared by the tests that only read.
//!
//! Parts: [`Site`] (hub, lines, ways to ask). The hub ends with the last test that holds it.

use std::sync::{Arc, Weak};

use serde_json::{Value, json};
use tests::ask::Ask;
use tests::hub::Hub;
use tests::place;
use tokio::sync::Mutex;

pub const SECOND: i64 = 1_000_000_000;

/// A hub with lines.
pub struct Site {
    _dir: tempfile::TempDir,
    pub hub: Hub,
    /// The first line's time: a whole minute, some minutes ago.
    pub first: i64,
}

static SHARED: Mutex<Weak<Site>> = Mutex::const_new(Weak::new());

/// What the text must look like to be read by Grafana's streaming reader; the JSON.
pub fn read_as_grafana(text: &str, categorized: bool) -> Value {
    let answer: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let top: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(answer["status"] == "success" && top.contains(&"data"), "{text}");
    assert!(!answer.as_object().unwrap().get("warnings").is_some_and(Value::is_null), "warnings are absent or a list: {text}");
    let data = answer["data"].as_object().unwrap();
    let keys: Vec<&str> = data.keys().map(String::as_str).collect();
    assert!(keys.contains(&"resultType"), "{text}");
    let flags = keys.iter().position(|key| *key == "encodingFlags");
    let result = keys.iter().position(|key| *key == "result").expect("there is a result");
    assert_eq!(flags.is_some(), categorized && data["resultType"] == "streams", "{text}");
    assert!(flags.is_none_or(|flags| flags < result), "the flags stand before the result: {text}");
    match data["resultType"].as_str().unwrap() {
        "streams" => data["result"].as_array().unwrap().iter().for_each(|stream| stream_is_sound(stream, categorized)),
        "matrix" => data["result"].as_array().unwrap().iter().for_each(|series| series["values"].as_array().unwrap().iter().for_each(point_is_sound)),
        "vector" => data["result"].as_array().unwrap().iter().for_each(|sample| point_is_sound(&sample["value"])),
        other => assert_eq!(other, "scalar"),
    }
    answer
}

fn stream_is_sound(stream: &Value, categorized: bool) {
    assert_eq!(stream.as_object().unwrap().keys().collect::<Vec<_>>(), ["stream", "values"], "{stream}");
    for value in stream["values"].as_array().unwrap() {
        let value = value.as_array().unwrap();
        assert_eq!(value.len(), if categorized { 3 } else { 2 }, "{value:?}");
        assert!(value[0].as_str().is_some_and(|ns| ns.parse::<i64>().is_ok()) && value[1].is_string(), "{value:?}");
        if categorized {
            let categories = value[2].as_object().unwrap();
            assert!(categories.keys().all(|key| key == "structuredMetadata" || key == "parsed"), "{value:?}");
            assert!(categories.values().all(|labels| labels.as_object().unwrap().values().all(Value::is_string)), "{value:?}");
        }
    }
}

fn point_is_sound(point: &Value) {
    assert!(
        point[0].is_number() && point[1].as_str().is_some_and(|number| number == "NaN" || number.ends_with("Inf") || number.parse::<f64>().is_ok()),
        "{point}"
    );
}

impl Site {
    /// The site that all share.
    pub async fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        if let Some(site) = shared.upgrade() {
            return site;
        }
        let site = Arc::new(Self::start().await);
        *shared = Arc::downgrade(&site);
        site
    }

    /// A site of the test's own, for who writes.
    pub async fn start() -> Self {
        Self::start_under(None).await
    }

    /// The same where tenant `acme` has these limits, as YAML `name: value, ..`.
    pub async fn start_under(limits: Option<&str>) -> Self {
        let dir = place::folder("grafana");
        let hub = Hub::prepare(dir.path(), &crate::folder_store(dir.path()), "");
        if let Some(limits) = limits {
            let tenants = format!("version: 1\ntenants: {{acme: {{clusters: [alpha], limits: {{{limits}}}}}, blue: {{clusters: [beta]}}}}\n");
            std::fs::write(hub.dir().join("tenants.yaml"), tenants).unwrap();
        }
        let hub = hub.started();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let first = (i64::try_from(now.as_secs()).unwrap() / 60 - 6) * 60 * SECOND;
        let site = Self { _dir: dir, hub, first };
        let ns = |second: i64| (first + second * SECOND).to_string();
        let web: Vec<Value> = (0..60)
            .map(|n| {
                let level = ["info", "warn", "error"][n % 3];
                let line = json!({"level": level, "status": 200 + n % 4 * 100, "dur": format!("{n}ms"), "size": format!("{n}KB"), "ratio": n as f64 / 4.0, "ok": n % 2 == 0, "a": {"b": format!("v{}", n % 5)}, "msg": format!("request {n} from 10.0.0.{n} done")});
                json!([ns(n as i64), line.to_string(), {"trace_id": format!("t{}", n % 7), "meta": "v"}])
            })
            .collect();
        let db: Vec<Value> =
            (0..20).map(|n| json!([ns(n * 2), format!("level={} dur={n}ms rows={n} msg=\"query {n}\"", ["info", "warn"][n as usize % 2])])).collect();
        let odd: Vec<Value> = (0..3).map(|n| json!([ns(n), format!("{{broken {n}")])).collect();
        let body = json!({"streams": [
            {"stream": {"app": "web", "cluster": "a", "env": "prod"}, "values": web},
            {"stream": {"app": "db", "cluster": "a", "env": "dev"}, "values": db},
            {"stream": {"app": "odd", "cluster": "b", "quoted": "a\"b\\c\nd.*"}, "values": odd}
        ]});
        let pushed = site.writer().post("/loki/api/v1/push", "application/json", body.to_string().into_bytes()).await.unwrap();
        assert_eq!(pushed.status().as_u16(), 204, "{}", pushed.text().await.unwrap());
        site
    }

    /// With the token of a reader.
    pub fn reader(&self) -> Ask {
        Ask::new(&self.hub.url(), &self.hub.acme)
    }

    /// As Grafana's data source asks.
    pub fn grafana(&self) -> Ask {
        self.reader().with_header("X-Loki-Response-Encoding-Flags", "categorize-labels").with_header("X-Query-Tags", "Source=logvolhist")
    }

    /// With the token of a writer.
    pub fn writer(&self) -> Ask {
        Ask::new(&self.hub.url(), &self.hub.acme_writer)
    }

    /// `start` and `end` around all lines.
    pub fn times(&self) -> (String, String) {
        ((self.first - SECOND).to_string(), (self.first + 120 * SECOND).to_string())
    }

    /// A request over all lines.
    pub async fn get(&self, ask: &Ask, path: &str, more: &[(&str, &str)]) -> (u16, String) {
        let (start, end) = self.times();
        let mut parameters = more.to_vec();
        for (name, value) in [("start", &start), ("end", &end)] {
            if !more.iter().any(|(known, _)| known == &name) {
                parameters.push((name, value));
            }
        }
        ask.text(path, &parameters).await
    }

    /// A range query as the data source sends it; the whole answer.
    pub async fn range(&self, query: &str, more: &[(&str, &str)]) -> Value {
        let mut parameters = vec![("query", query)];
        parameters.extend_from_slice(more);
        for (name, value) in [("step", "15000ms"), ("direction", "backward"), ("limit", "1000")] {
            if !more.iter().any(|(known, _)| *known == name) {
                parameters.push((name, value));
            }
        }
        let (status, text) = self.get(&self.grafana(), "/loki/api/v1/query_range", &parameters).await;
        assert_eq!(status, 200, "{query}: {text}");
        read_as_grafana(&text, true)
    }

    /// An instant query at the end of the lines; the result list.
    pub async fn instant(&self, query: &str) -> Vec<Value> {
        let at = (self.first + 60 * SECOND).to_string();
        let (status, text) = self.grafana().text("/loki/api/v1/query", &[("query", query), ("time", &at), ("direction", "backward")]).await;
        assert_eq!(status, 200, "{query}: {text}");
        read_as_grafana(&text, true)["data"]["result"].as_array().unwrap().clone()
    }
}

/// All lines of an answer.
pub fn lines(answer: &Value) -> Vec<(i64, String)> {
    let streams = answer["data"]["result"].as_array().unwrap();
    let of = |value: &Value| (value[0].as_str().unwrap().parse().unwrap(), value[1].as_str().unwrap().to_owned());
    streams.iter().flat_map(|stream| stream["values"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()).collect()
}
