//! Loki's own `logcli` against a real hub: what it prints is what the hub's API answers.
//!
//! `tests/logcli/build` builds it from its published module (once, by hand: ten minutes of CPU); without it the tests say that
//! they are skipped. It is a peer that is run, no part of Tributary.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use tests::skip::skipped;

use crate::site::{SECOND, Site, lines};

/// Where it is: `$TRIBUTARY_LOGCLI`, else where `tests/logcli/build` puts it.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("TRIBUTARY_LOGCLI").map(PathBuf::from).filter(|path| path.is_file());
    named.or_else(|| Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/logcli")).filter(|path| path.is_file()))
}

/// It with the site's address and token, over its lines.
struct Logcli<'s> {
    program: PathBuf,
    site: &'s Site,
}

impl<'s> Logcli<'s> {
    fn for_test(test: &str, site: &'s Site) -> Option<Self> {
        let found = program();
        if found.is_none() {
            skipped(test, "logcli is not built: run tests/logcli/build, or name one in TRIBUTARY_LOGCLI");
        }
        found.map(|program| Self { program, site })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("LOKI_ADDR", self.site.hub.url()).env("LOKI_BEARER_TOKEN", &self.site.hub.acme).env("NO_COLOR", "1");
        command
    }

    /// Its output, standard error and whether it ended well.
    fn tried(&self, arguments: &[&str]) -> (String, String, bool) {
        let done = self.command(arguments).output().expect("logcli can be started");
        (String::from_utf8(done.stdout).unwrap(), String::from_utf8_lossy(&done.stderr).into_owned(), done.status.success())
    }

    /// Its output with `--from` and `--to` around all lines.
    fn run(&self, arguments: &[&str]) -> String {
        let rfc3339 = |ns: i64| jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap().to_string();
        let (from, to) = (format!("--from={}", rfc3339(self.site.first - SECOND)), format!("--to={}", rfc3339(self.site.first + 120 * SECOND)));
        let (output, said, is_well) = self.tried(&[&["--quiet", "--timezone=UTC"], arguments, &[&from, &to]].concat());
        assert!(is_well, "{arguments:?}: {said}");
        output
    }
}

/// One JSON value a line.
fn values(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn logcli_reads_lines_and_numbers() {
    let site = Site::shared().await;
    let Some(logcli) = Logcli::for_test("logcli_reads_lines_and_numbers", &site) else { return };
    for query in
        ["{app=\"web\"}", "{app=\"web\"} |= \"request 1\" | json | status >= 300", "{app=~\"web|db\"} | line_format \"{{.app}} {{__line__}}\"", "{app=\"odd\"}"]
    {
        let mut expected = lines(&site.range(query, &[]).await);
        // At once, and in pages of logcli's own making, forward and backward.
        for (batch, direction) in [("1000", None), ("7", None), ("7", Some("--forward"))] {
            let mut arguments = vec!["query", "--output=jsonl", "--limit=1000", "--batch", batch, query];
            arguments.extend(direction);
            let mut found: Vec<(i64, String)> = values(&logcli.run(&arguments))
                .iter()
                .map(|line| {
                    let at: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
                    (i64::try_from(at.as_nanosecond()).unwrap(), line["line"].as_str().unwrap().to_owned())
                })
                .collect();
            let times: Vec<i64> = found.iter().map(|(at, _)| *at).collect();
            assert!(times.is_sorted_by(|a, b| if direction.is_some() { a <= b } else { a >= b }), "{query} {batch} {direction:?}");
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{query}, batches of {batch} {direction:?}");
        }
    }
    let range = logcli.run(&["query", "--step=60s", "sum by (app) (count_over_time({app=~\"web|db\"}[1m]))"]);
    let series: Value = serde_json::from_str(&range).unwrap();
    let expected = site.range("sum by (app) (count_over_time({app=~\"web|db\"}[1m]))", &[("step", "60s")]).await["data"]["result"].clone();
    assert_eq!(series.as_array().map(Vec::len), expected.as_array().map(Vec::len), "{range}");
    for of in expected.as_array().unwrap() {
        assert!(series.as_array().unwrap().iter().any(|found| found["metric"] == of["metric"]), "{range}");
    }
    let at = jiff::Timestamp::from_nanosecond(i128::from(site.first + 60 * SECOND)).unwrap().to_string();
    let (instant, said, is_well) = logcli.tried(&["--quiet", "instant-query", "--now", &at, "sum by (app) (count_over_time({app=~\"web|db\"}[1h]))"]);
    assert!(is_well, "{said}");
    let found: Value = serde_json::from_str(&instant).unwrap();
    let counts: Vec<(&Value, &Value)> = found.as_array().unwrap().iter().map(|sample| (&sample["metric"]["app"], &sample["value"][1])).collect();
    assert_eq!(counts, [(&json!("db"), &json!("20")), (&json!("web"), &json!("60"))]);
    let (_, said, is_well) = logcli.tried(&["query", "{app=\"web\""]);
    assert!(!is_well && said.contains("parse error at line 1, col"), "{said}");
    let (_, said, is_well) = logcli.tried(&["--bearer-token=trib_x_y", "labels"]);
    assert!(!is_well && said.contains("unauthorized"), "{said}");
    // The statistics that it prints with --stats.
    let (_, said, is_well) = logcli.tried(&["--stats", "query", "--since=1h", "{app=\"web\"}"]);
    assert!(is_well && said.contains("Summary.TotalLinesProcessed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logcli_reads_labels_series_stats_volumes_and_fields() {
    let site = Site::shared().await;
    let Some(logcli) = Logcli::for_test("logcli_reads_labels_series_stats_volumes_and_fields", &site) else { return };
    let names: Vec<String> = logcli.run(&["labels"]).lines().map(str::to_owned).collect();
    let (_, text) = site.get(&site.reader(), "/loki/api/v1/labels", &[]).await;
    assert_eq!(json!(names), serde_json::from_str::<Value>(&text).unwrap()["data"]);
    assert_eq!(logcli.run(&["labels", "app"]).lines().collect::<Vec<_>>(), ["db", "odd", "web"]);
    assert_eq!(
        logcli.run(&["series", "{app=\"web\"}"]).trim(),
        "map[app:web cluster:a env:prod service_name:web]".replace("map[", "{").replace(']', "}").replace(':', "=\"").replace(' ', "\", ").replace('}', "\"}")
    );
    assert!(logcli.run(&["series", "{app=~\".+\"}", "--analyze-labels"]).contains("Total Streams:  3"));
    let stats = logcli.run(&["stats", "{app=\"web\"}"]);
    let of = |name: &str| {
        stats.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": ").map(str::to_owned)).unwrap_or_else(|| panic!("{name}: {stats}"))
    };
    assert_eq!((of("streams"), of("entries")), ("1".to_owned(), "60".to_owned()));
    let volume = values_of(&logcli.run(&["volume", "{app=~\".+\"}", "--targetLabels=app"]));
    let (_, text) = site.get(&site.reader(), "/loki/api/v1/index/volume", &[("query", "{app=~\".+\"}"), ("targetLabels", "app")]).await;
    let expected = serde_json::from_str::<Value>(&text).unwrap()["data"]["result"].clone();
    let pairs =
        |of: &Value| -> Vec<(Value, Value)> { of.as_array().unwrap().iter().map(|sample| (sample["metric"].clone(), sample["value"][1].clone())).collect() };
    assert_eq!(pairs(&volume), pairs(&expected), "{volume}");
    let volumes = values_of(&logcli.run(&["volume_range", "{app=~\".+\"}", "--step=60s", "--targetLabels=app"]));
    assert_eq!(volumes.as_array().map(Vec::len), Some(3), "{volumes}");
    let fields = logcli.run(&["detected-fields", "{app=\"web\"}"]);
    for field in ["label: status", "label: trace_id"] {
        assert!(fields.contains(field), "{field}: {fields}");
    }
}

fn values_of(output: &str) -> Value {
    serde_json::from_str(output).unwrap_or_else(|e| panic!("{e}: {output}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn logcli_tails() {
    // Its own: it writes.
    let site = Site::start().await;
    let Some(logcli) = Logcli::for_test("logcli_tails", &site) else { return };
    let mut child =
        logcli.command(&["--quiet", "--output=jsonl", "query", "--tail", "--limit=2", "{app=\"web\"} |= \"tail\""]).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (send, found) = mpsc::channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    let mut seen = Vec::new();
    for round in 0..20 {
        let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos().to_string();
        let body = json!({"streams": [{"stream": {"app": "web", "cluster": "a"}, "values": [[at, format!("tail {round}"), {"k": "v"}]]}]}).to_string();
        let pushed = site.writer().post("/loki/api/v1/push", "application/json", body.into_bytes()).await.unwrap();
        assert_eq!(pushed.status().as_u16(), 204);
        // It may connect late: what was before is its history then.
        while let Ok(line) = found.recv_timeout(Duration::from_millis(500)) {
            seen.push(line);
        }
        if seen.len() >= 5 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let lines: Vec<Value> = seen.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let numbers: Vec<u32> = lines.iter().map(|line| line["line"].as_str().unwrap().strip_prefix("tail ").unwrap().parse().unwrap()).collect();
    assert!(numbers.len() >= 5 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "each once, in order: {seen:#?}");
    assert_eq!(lines[0]["labels"]["app"], "web", "{seen:#?}");
}
