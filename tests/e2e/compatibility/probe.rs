//! The probes that the page is written in, each asked of a hub.
//!
//! Parts: [`probe`] (steps, one after the other, on the site or on one with limits of its own), `step` (one of them), the verbs.
//! Must not do: judge by anything but what the hub answers; `TEST` alone looks into the sources.

use serde_json::{Value, json};
use tests::ask::{Ask, percent};
use tests::hub::Hub;
use tests::place;

use super::root;
use crate::compatibility::edges;
use crate::site::{SECOND, Site, lines, read_as_grafana};

const RANGE: &str = "/loki/api/v1/query_range";

pub(super) type Held = Result<(), String>;

/// A probe: steps joined by ` && `; behind `UNDER {limits}` a hub of its own, whose tenant has these limits.
pub(super) async fn probe(site: &Site, text: &str) -> Held {
    let Some(rest) = text.strip_prefix("UNDER {") else { return steps(site, text).await };
    let (limits, rest) = rest.split_once("} ").ok_or("UNDER {limits} STEP")?;
    steps(&Site::start_under(Some(limits)).await, rest).await
}

async fn steps(site: &Site, text: &str) -> Held {
    for one in text.split(" && ") {
        Box::pin(step(site, one)).await.map_err(|found| format!("{one}: {found}"))?;
    }
    Ok(())
}

async fn step(site: &Site, text: &str) -> Held {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    match verb {
        "TEST" => return test(rest),
        "LIMIT" => return limit(rest),
        "REFUSED-LIMIT" => return if limit(rest).is_err() { Ok(()) } else { Err("it is taken".to_owned()) },
        "QUERY" | "EMPTY" => return query(site, rest, verb == "QUERY").await,
        "GET" | "HEADER" | "ANON" | "ADMIN" | "CONFIG" => return get(site, verb, rest).await,
        _ => {}
    }
    let (asked, expected) = halves(rest);
    match verb {
        "INSTANT" => instant(site, asked, 120, expected).await,
        "AT" => {
            let (second, asked) = asked.split_once(' ').ok_or("AT SECOND QUERY")?;
            instant(site, asked, second.parse().map_err(|_| "no second")?, expected).await
        }
        "REFUSED" => {
            let (status, text) = range(site, asked).await;
            holds(&format!("400 {expected}"), status, &text)
        }
        "READ" | "READ-BACK" => read(site, asked, expected, verb == "READ").await,
        "LINES" => within(site, asked, expected).await,
        "PAGES" => pages(site, asked, expected).await,
        "TAIL" => tail(site, asked, expected).await,
        "CROWD" => crowd(site, asked, expected).await,
        "EDGE" => edges::lives(asked, expected).await,
        "SETTINGS" => settings(asked, expected),
        "OPERATE" => operate(site, asked, expected).await,
        _ => post(site, verb, asked, expected).await,
    }
}

/// What is asked and what is expected.
fn halves(rest: &str) -> (&str, &str) {
    rest.strip_prefix("=> ").map(|expected| ("", expected)).or_else(|| rest.rsplit_once(" => ")).unwrap_or_else(|| panic!("{rest} expects nothing"))
}

fn told(status: u16, text: &str) -> String {
    format!("{status} {}", text.chars().take(300).collect::<String>())
}

/// `STATUS`, `STATUS part of the text`, or `STATUS !what is not in it`.
fn holds(expected: &str, status: u16, text: &str) -> Held {
    let (number, part) = expected.split_once(' ').unwrap_or((expected, ""));
    let fits = part.strip_prefix('!').map_or_else(|| text.contains(part), |absent| !text.contains(absent));
    if number.parse() == Ok(status) && fits { Ok(()) } else { Err(told(status, text)) }
}

/// `GET path`, `ANON path` (without a token), `ADMIN path` and `CONFIG` (as operator), `HEADER name: value GET path`;
/// `STATUS @name: value` asks for a header of the answer.
async fn get(site: &Site, verb: &str, rest: &str) -> Held {
    let (asked, expected) = halves(rest);
    let (ask, target) = match verb {
        "HEADER" => {
            let (header, target) = asked.split_once(" GET ").ok_or("HEADER name: value GET path")?;
            let (name, value) = header.split_once(": ").ok_or("HEADER name: value")?;
            (site.reader().with_header(name, value), target)
        }
        "ANON" => (Ask::new(&site.hub.url(), ""), asked),
        "ADMIN" => (Ask::new(&site.hub.admin_url(), &site.hub.operator), asked),
        "CONFIG" => (Ask::new(&site.hub.url(), &site.hub.operator), "/config"),
        _ => (site.reader(), asked),
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut parameters: Vec<(String, String)> = pairs.map(|(name, value)| (name.to_owned(), unescaped(value))).collect();
    let (start, end) = site.times();
    for (name, value) in [("start", start), ("end", end)] {
        if verb != "ADMIN" && !parameters.iter().any(|(known, _)| known == name) {
            parameters.push((name.to_owned(), value));
        }
    }
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answered = ask.get(path, &parameters).await.map_err(|fault| fault.to_string())?;
    let (status, headers) = (answered.status().as_u16(), answered.headers().clone());
    let text = String::from_utf8_lossy(&answered.bytes().await.map_err(|fault| fault.to_string())?).into_owned();
    let Some((number, header)) = expected.split_once(" @") else { return holds(expected, status, &text) };
    let (name, value) = header.split_once(": ").ok_or("STATUS @name: value")?;
    let found = headers.get(name).and_then(|found| found.to_str().ok()).unwrap_or_default();
    if found == value { holds(number, status, &text) } else { Err(format!("{name}: {found}, {}", told(status, &text))) }
}

/// `METHOD path?query`, by an operator who names the tenant.
async fn operate(site: &Site, asked: &str, expected: &str) -> Held {
    let (method, target) = asked.split_once(' ').ok_or("OPERATE METHOD path")?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameters: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let ask = Ask::new(&site.hub.url(), &site.hub.operator).with_header("X-Scope-OrgID", "acme");
    let (status, text) = ask.send(method, path, &parameters).await;
    holds(expected, status, &text)
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

/// Bodies: `PUSH`, `HUGE`, `OLDPUSH`, `OTLP`, `SNAPPY app`, `PACKED encoding json`, `FORM path`, `ABSORB`. In a body `NOW` is a minute after the
/// first line, `AGO` two hours before it, `AHEAD` some minutes ahead of the hub's time, `LONG` a text of 300,000 bytes.
async fn post(site: &Site, verb: &str, asked: &str, expected: &str) -> Held {
    const JSON: &str = "application/json";
    let now = site.first + 61 * SECOND;
    let minutes = |count: i64| (site.first + count * 60 * SECOND).to_string();
    let body = asked.replace("NOW", &now.to_string()).replace("AGO", &minutes(-120)).replace("AHEAD", &minutes(15)).replace("LONG", &"x".repeat(300_000));
    let (ask, path, kind, bytes) = match verb {
        "FORM" => (site.reader(), asked, "application/x-www-form-urlencoded", format!("query={}&since=1h", percent("{app=\"web\"}")).into_bytes()),
        "PUSH" => (site.writer(), "/loki/api/v1/push", JSON, body.into_bytes()),
        "HUGE" => (site.writer(), "/loki/api/v1/push", JSON, vec![b' '; 17 << 20]),
        "SNAPPY" => (site.writer(), "/loki/api/v1/push", "application/x-protobuf", snappy(asked, now)),
        "PACKED" => {
            let (encoding, json) = body.split_once(' ').ok_or("PACKED encoding json")?;
            (site.writer().with_header("Content-Encoding", encoding), "/loki/api/v1/push", JSON, packed(encoding, json.as_bytes()))
        }
        "OLDPUSH" => {
            let at = jiff::Timestamp::from_nanosecond(i128::from(site.first)).unwrap().to_string();
            let body = json!({"streams": [{"labels": "{app=\"old\"}", "entries": [{"ts": at, "line": "x"}]}]});
            (site.writer(), "/api/prom/push", JSON, body.to_string().into_bytes())
        }
        "OTLP" => {
            let body = json!({"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "otlp"}}]},
                "scopeLogs": [{"logRecords": [{"timeUnixNano": now.to_string(), "body": {"stringValue": "x"}}]}]}]});
            (site.writer(), "/otlp/v1/logs", JSON, body.to_string().into_bytes())
        }
        "ABSORB" => (Ask::new(&site.hub.admin_url(), &site.hub.operator), "/admin/v1/absorb", JSON, Vec::new()),
        other => return Err(format!("no probe is called {other}")),
    };
    let answered = ask.post(path, kind, bytes).await.map_err(|fault| fault.to_string())?;
    holds(expected, answered.status().as_u16(), &answered.text().await.unwrap_or_default())
}

fn packed(encoding: &str, body: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let level = flate2::Compression::fast();
    match encoding {
        "gzip" => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
            packer.write_all(body).unwrap();
            packer.finish().unwrap()
        }
        "deflate" => {
            let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), level);
            packer.write_all(body).unwrap();
            packer.finish().unwrap()
        }
        _ => body.to_vec(),
    }
}

/// A push of one line as Promtail sends it: Loki's protobuf in snappy.
fn snappy(app: &str, at: i64) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).expect("short")], bytes].concat()
    }
    let mut time = vec![8];
    let mut seconds = u64::try_from(at / SECOND).unwrap();
    while seconds > 0x7f {
        time.push(0x80 | (seconds & 0x7f) as u8);
        seconds >>= 7;
    }
    time.push(seconds as u8);
    let entry = [field(1, &time), field(2, b"one line")].concat();
    let stream = [field(1, format!("{{app=\"{app}\"}}").as_bytes()), field(2, &entry)].concat();
    snap::raw::Encoder::new().compress_vec(&field(1, &stream)).unwrap()
}

async fn range(site: &Site, query: &str) -> (u16, String) {
    site.get(&site.reader(), RANGE, &[("query", query), ("step", "15"), ("limit", "1000")]).await
}

async fn query(site: &Site, asked: &str, finds: bool) -> Held {
    let (status, text) = range(site, asked).await;
    let found = status == 200 && !read_as_grafana(&text, false)["data"]["result"].as_array().unwrap().is_empty();
    if status == 200 && found == finds { Ok(()) } else { Err(told(status, &text)) }
}

/// The value `second`s after the first line.
async fn instant(site: &Site, query: &str, second: i64, expected: &str) -> Held {
    let at = (site.first + second * SECOND).to_string();
    let (status, text) = site.reader().text("/loki/api/v1/query", &[("query", query), ("time", &at)]).await;
    if status != 200 {
        return Err(told(status, &text));
    }
    let answer = read_as_grafana(&text, false);
    let result = &answer["data"]["result"];
    let value = if answer["data"]["resultType"] == "scalar" { &result[1] } else { &result[0]["value"][1] };
    if value == expected { Ok(()) } else { Err(text) }
}

/// The lines of a query in the order of the answer, joined by `;`.
async fn read(site: &Site, query: &str, expected: &str, is_forward: bool) -> Held {
    let direction = if is_forward { "forward" } else { "backward" };
    let (status, text) = site.get(&site.reader(), RANGE, &[("query", query), ("direction", direction)]).await;
    let answer: Value = serde_json::from_str(&text).map_err(|_| told(status, &text))?;
    let found = lines(&answer).into_iter().map(|(_, line)| line).collect::<Vec<_>>().join(";");
    if found == expected { Ok(()) } else { Err(found) }
}

/// `FROM..TO query`: how many lines from the one second to the other after the first line.
async fn within(site: &Site, asked: &str, expected: &str) -> Held {
    let (span, query) = asked.split_once(' ').ok_or("FROM..TO query")?;
    let (from, to) = span.split_once("..").ok_or("FROM..TO")?;
    let at = |second: &str| second.parse::<i64>().map(|second| (site.first + second * SECOND).to_string()).map_err(|_| "no second".to_owned());
    let (status, text) = site.get(&site.reader(), RANGE, &[("query", query), ("start", &at(from)?), ("end", &at(to)?)]).await;
    let answer: Value = serde_json::from_str(&text).map_err(|_| told(status, &text))?;
    let found = lines(&answer).len().to_string();
    if found == expected { Ok(()) } else { Err(text) }
}

/// `LIMIT query`: how many different lines pages of that many hold, from cursor to cursor.
async fn pages(site: &Site, asked: &str, expected: &str) -> Held {
    let (limit, query) = asked.split_once(' ').ok_or("LIMIT query")?;
    let (mut cursor, mut found) = ("first".to_owned(), Vec::new());
    loop {
        let (status, text) = site.get(&site.reader(), RANGE, &[("query", query), ("limit", limit), ("cursor", &cursor)]).await;
        let answer: Value = serde_json::from_str(&text).map_err(|_| told(status, &text))?;
        found.extend(lines(&answer));
        match answer["cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    let all = found.len();
    found.sort();
    found.dedup();
    if found.len() == all && all.to_string() == expected { Ok(()) } else { Err(format!("{all} lines, {} different", found.len())) }
}

/// A frame with this text comes over the WebSocket.
async fn tail(site: &Site, query: &str, expected: &str) -> Held {
    use futures::StreamExt as _;
    let mut socket = crate::tails::open(&site.hub, query).await.map_err(|fault| fault.to_string())?;
    let wait = async {
        while let Some(Ok(message)) = socket.next().await {
            if message.to_text().is_ok_and(|text| text.contains(expected)) {
                return Ok(());
            }
        }
        Err("it ended".to_owned())
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.unwrap_or_else(|_| Err("nothing came".to_owned()))
}

/// `COUNT query`: so many at once, answered by one of these statuses, and some by the first.
async fn crowd(site: &Site, asked: &str, expected: &str) -> Held {
    let (count, query) = asked.split_once(' ').ok_or("COUNT query")?;
    let one = || {
        let (ask, query) = (site.reader(), query.to_owned());
        tokio::spawn(async move { ask.text("/loki/api/v1/query", &[("query", &query)]).await })
    };
    let asks: Vec<_> = (0..count.parse().map_err(|_| "no count")?).map(|_| one()).collect();
    let allowed: Vec<u16> = expected.split(' ').map(|status| status.parse().unwrap()).collect();
    let mut first = 0;
    for ask in asks {
        let (status, text) = ask.await.unwrap();
        if !allowed.contains(&status) {
            return Err(told(status, &text));
        }
        first += usize::from(status == allowed[0]);
    }
    if first > 0 { Ok(()) } else { Err(format!("none was answered {}", allowed[0])) }
}

/// A hub's settings with a line more do not pass `check-config`, which says what is wrong.
fn settings(line: &str, expected: &str) -> Held {
    let dir = place::folder("settings");
    let hub = Hub::prepare(dir.path(), &crate::folder_store(dir.path()), &format!("{line}\n"));
    let done = std::process::Command::new(place::program("tributary-hub")).arg("check-config").arg("--config").arg(hub.config()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.code() == Some(2) && said.contains(expected) { Ok(()) } else { Err(said) }
}

fn limit(text: &str) -> Held {
    let map = format!("version: 1\ntenants: {{acme: {{clusters: [alpha], limits: {{{text}}}}}}}");
    hub_tenant::Tenants::parse("tenants.yaml", &map).map(drop).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

/// A test by name in a file: for what no single question to a hub can show.
fn test(rest: &str) -> Held {
    let (file, name) = rest.split_once(' ').ok_or("TEST file name")?;
    let text = std::fs::read_to_string(root().join(file)).map_err(|e| format!("{file}: {e}"))?;
    if text.contains(&format!("fn {name}(")) { Ok(()) } else { Err(format!("no test {name} in {file}")) }
}
