//! `docs/compatibility.md` against a real hub: every row of its tables names a probe, and every probe holds.

use std::path::{Path, PathBuf};

use serde_json::json;
use tests::ask::{Ask, percent};

use crate::site::{SECOND, Site, read_as_grafana};

/// A row: what, verdict, probe.
struct Row {
    what: String,
    verdict: String,
    here: String,
    probe: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Cells of a table's line; `\|` is a bar within a cell.
fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{1}");
    inner.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|--")) {
        let cells = cells(line);
        assert_eq!(cells.len(), 4, "{line}");
        if cells[3] == "probe" {
            continue;
        }
        let probe = cells[3].strip_prefix('`').and_then(|probe| probe.strip_suffix('`')).unwrap_or_else(|| panic!("no probe: {line}"));
        rows.push(Row { what: cells[0].clone(), verdict: cells[1].clone(), here: cells[2].clone(), probe: probe.replace("\\n", "\n") });
    }
    rows
}

/// What is asked and what is expected.
fn halves(rest: &str) -> (&str, &str) {
    rest.strip_prefix("=> ").map(|expected| ("", expected)).or_else(|| rest.rsplit_once(" => ")).unwrap_or_else(|| panic!("{rest} expects nothing"))
}

fn holds(expected: &str, status: u16, text: &str) -> Result<(), String> {
    let (number, part) = expected.split_once(' ').unwrap_or((expected, ""));
    let right = number.parse::<u16>().is_ok_and(|number| number == status) && text.contains(part);
    if right { Ok(()) } else { Err(format!("{status} {}", text.chars().take(300).collect::<String>())) }
}

async fn post(ask: &Ask, path: &str, kind: &str, body: String) -> (u16, String) {
    let answered = ask.post(path, kind, body.into_bytes()).await.unwrap();
    (answered.status().as_u16(), answered.text().await.unwrap())
}

async fn get(site: &Site, ask: &Ask, target: &str) -> (u16, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let decoded: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), unescaped(value)))
        .collect();
    let parameters: Vec<(&str, &str)> = decoded.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    site.get(ask, path, &parameters).await
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let code: Vec<u8> = bytes.by_ref().take(2).collect();
            out.push(u8::from_str_radix(std::str::from_utf8(&code).unwrap(), 16).unwrap());
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).unwrap()
}

async fn range(site: &Site, query: &str) -> (u16, String) {
    site.get(&site.reader(), "/loki/api/v1/query_range", &[("query", query), ("step", "15"), ("limit", "1000")]).await
}

async fn instant(site: &Site, query: &str, expected: &str) -> Result<(), String> {
    let at = (site.first + 60 * SECOND).to_string();
    let (status, text) = site.reader().text("/loki/api/v1/query", &[("query", query), ("time", &at)]).await;
    if status != 200 {
        return Err(format!("{status} {text}"));
    }
    let answer = read_as_grafana(&text, false);
    let result = &answer["data"]["result"];
    let value = if answer["data"]["resultType"] == "scalar" { &result[1] } else { &result[0]["value"][1] };
    if value == expected { Ok(()) } else { Err(text) }
}

fn limit(text: &str) -> Result<(), String> {
    let map = format!("version: 1\ntenants: {{acme: {{clusters: [alpha], limits: {{{text}}}}}}}");
    hub_tenant::Tenants::parse("tenants.yaml", &map).map(drop).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

/// A test by name in a file, or, without a name, tests in it or beside it.
fn test(rest: &str) -> Result<(), String> {
    let (file, name) = rest.split_once(' ').unwrap_or((rest, ""));
    let path = root().join(file);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{file}: {e}"))?;
    if name.is_empty() {
        let beside = path.with_extension("").join("tests.rs");
        let found = text.contains("::test") || text.contains("#[test]") || beside.exists() || path.with_extension("").join("tests").exists();
        return if found { Ok(()) } else { Err(format!("no tests in {file} or beside it")) };
    }
    if text.contains(&format!("fn {name}(")) { Ok(()) } else { Err(format!("no test {name} in {file}")) }
}

async fn probe(site: &Site, probe: &str) -> Result<(), String> {
    let (verb, rest) = probe.split_once(' ').unwrap_or((probe, ""));
    let now = || (site.first + 61 * SECOND).to_string();
    match verb {
        "TEST" => return test(rest),
        "LIMIT" => return limit(rest),
        "REFUSED-LIMIT" => return if limit(rest).is_err() { Ok(()) } else { Err("it is taken".to_owned()) },
        "QUERY" | "EMPTY" => {
            let (status, text) = range(site, rest).await;
            let found = status == 200 && !read_as_grafana(&text, false)["data"]["result"].as_array().unwrap().is_empty();
            return if status == 200 && found == (verb == "QUERY") { Ok(()) } else { Err(format!("{status} {}", text.chars().take(300).collect::<String>())) };
        }
        _ => {}
    }
    let (asked, expected) = halves(rest);
    let (status, text) = match verb {
        "GET" => get(site, &site.reader(), asked).await,
        "ANON" => get(site, &Ask::new(&site.hub.url(), ""), asked).await,
        "FORM" => post(&site.reader(), asked, "application/x-www-form-urlencoded", format!("query={}&since=1h", percent("{app=\"web\"}"))).await,
        "PUSH" => post(&site.writer(), "/loki/api/v1/push", "application/json", asked.replace("NOW", &now())).await,
        "OLDPUSH" => {
            let body = json!({"streams": [{"labels": "{app=\"old\"}", "entries": [{"ts": rfc3339(site.first), "line": "x"}]}]});
            post(&site.writer(), "/api/prom/push", "application/json", body.to_string()).await
        }
        "OTLP" => {
            let body = json!({"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "otlp"}}]},
                "scopeLogs": [{"logRecords": [{"timeUnixNano": now(), "body": {"stringValue": "x"}}]}]}]});
            post(&site.writer(), "/otlp/v1/logs", "application/json", body.to_string()).await
        }
        "CARDINALITY" => get(site, &site.reader(), "/loki/api/v1/cardinality").await,
        "INSTANT" => return instant(site, asked, expected).await,
        "REFUSED" => {
            let (status, text) = range(site, asked).await;
            return holds(&format!("400 {expected}"), status, &text);
        }
        other => return Err(format!("no probe is called {other}")),
    };
    holds(expected, status, &text)
}

/// RFC 3339 of whole seconds, as old clients send it.
fn rfc3339(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_page_holds() {
    // A site of its own: some rows write.
    let site = Site::start().await;
    let rows = rows();
    assert!(rows.len() > 250, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        assert!(["same", "better", "absent"].contains(&row.verdict.as_str()), "{}: {}", row.what, row.verdict);
        assert!(row.verdict == "same" || !row.here.is_empty(), "{}: {} without a word", row.what, row.verdict);
        if let Err(found) = probe(&site, &row.probe).await {
            wrong.push(format!("{} | {} | {found}", row.what, row.probe));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows do not hold:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    // The other way round: everything the hub serves that Loki has is on the page.
    let page = std::fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let routes = std::fs::read_to_string(root().join("hub/src/api.rs")).unwrap();
    for route in routes.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(route) || ["/api/prom/tail", "/loki/api/v1/cardinality"].contains(&route), "{route} is not on the page");
    }
}
