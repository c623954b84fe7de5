//! What Go itself made of templates (Promtail's and Sprig's functions), times and expressions: `tests/conformance/*.jsonl`.
//!
//! Where this crate differs on purpose the case is listed with the reason. Must not do: leave a difference unnamed.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use proto_extract::dialect;
use proto_extract::gotime::Layout;
use proto_extract::template::{Dialect, Fields, Template};
use proto_model::Timestamp;
use serde_json::Value;

/// 2026-11-22T12:00:00Z.
const NOW: Timestamp = Timestamp(1_795_348_800_000_000_000);

/// The values that `tests/conformance/go/language` renders over.
const VALUES: [(&str, &str); 8] = [
    ("level", "Warn"),
    ("msg", " ünï "),
    ("num", "42"),
    ("path", "/var/log/pods/a_b_c/x.log"),
    ("Value", "the Value"),
    ("Entry", "the line {\"a\":1}"),
    ("json", r#"{"a":[1,2.5,"x"],"b":{"c":null,"d":true}}"#),
    ("empty", ""),
];

struct Values;

impl Fields for Values {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        VALUES.iter().find(|(known, _)| *known == name).map(|(_, value)| Cow::Borrowed(*value))
    }

    fn all(&self) -> Vec<(String, String)> {
        VALUES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

fn rendered(source: &str) -> Result<String, String> {
    let template = Template::parse("line", source, Dialect::Promtail).map_err(|fault| fault.to_string())?;
    let mut out = String::new();
    template.render(&Values, b"", NOW, &mut out).map_err(|fault| fault.to_string())?;
    Ok(out)
}

/// Templates of which this crate makes something else, and why.
const OTHER_TEMPLATES: &[(&str, &str)] = &[
    (r#"{{ sha1sum "Hello" }}|{{ sha256sum "Hello" }}"#, "SHA-1 is not there"),
    (r#"{{ set (dict "a" 1) "b" 2 }}|{{ unset (dict "a" 1 "b" 2) "a" }}"#, "what changes a dictionary in place is not there"),
    (r#"{{ $d := dict "a" 1 }}{{ $_ := set $d "b" 2 }}{{ $d }}"#, "the same"),
    (r#"{{ merge (dict "a" 1) (dict "a" 2 "b" 3) }}|{{ mergeOverwrite (dict "a" 1) (dict "a" 2 "b" 3) }}"#, "the same"),
    (r#"{{ urlParse "http://admin:secret@server.com:8080/api?list=false#anchor" }}"#, "addresses are not taken apart"),
    (r#"{{ (urlParse "http://u@server.com:8080/api?list=false#a").host }}"#, "the same"),
    (r#"{{ urlJoin (dict "fragment" "f" "host" "host:80" "path" "/path" "query" "q=1" "scheme" "http") }}"#, "the same"),
    (r#"{{ semver "1.2.3-alpha.1+123" }}"#, "versions are not there"),
    (r#"{{ semverCompare "^1.2.0" "1.2.3" }}|{{ semverCompare ">=1.5" "1.2.3" }}"#, "the same"),
    (r#"{{ trunc 3 .msg }}|{{ abbrev 3 "hello" }}|{{ abbrev 20 "hello" }}|{{ nospace .msg }}|{{ initials "a  b" }}"#, "letters of several bytes stay whole"),
    (r#"{{ ago (toDate "2006" "x") | empty }}"#, "what reads the clock is not there"),
];

/// Rows of a file of answers; those that `difference` names a difference for are told, but for the listed ones.
fn compare(recorded: &str, key: &str, listed: &[(&str, &str)], difference: impl Fn(&Value) -> Option<String>) {
    let (mut count, mut wrong) = (0, Vec::new());
    let mut unused: Vec<&str> = listed.iter().map(|(case, _)| *case).collect();
    for line in recorded.lines() {
        count += 1;
        let row: Value = serde_json::from_str(line).expect("a row is JSON");
        let case = row[key].as_str().expect("a row says what it is about");
        let Some(difference) = difference(&row) else { continue };
        match listed.iter().find(|(known, _)| *known == case) {
            Some(_) => unused.retain(|known| *known != case),
            None => wrong.push(format!("{case}\n{difference}")),
        }
    }
    assert!(count > 80, "{count} rows");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(unused.is_empty(), "no longer different: {unused:?}");
}

#[test]
fn templates_of_promtails_stages() {
    compare(include_str!("../../../tests/conformance/promtail_templates.jsonl"), "template", OTHER_TEMPLATES, |row| {
        let ours = rendered(row["template"].as_str().unwrap());
        let same = match (row["text"].as_str(), &ours) {
            (Some(text), Ok(ours)) => text == ours,
            (None, Err(_)) => true,
            _ => false,
        };
        (!same).then(|| format!("   go: {} {}\n  our: {ours:?}", row["text"], row["error"]))
    });
}

/// Times that this crate reads otherwise, and why.
const OTHER_TIMES: &[(&str, &str)] = &[];

#[test]
fn times() {
    compare(include_str!("../../../tests/conformance/times.jsonl"), "layout", OTHER_TIMES, |row| {
        let text = |key: &str| row[key].as_str();
        let zone = text("zone").map(|name| TimeZone::get(name).unwrap());
        let ours = Layout::parse(text("layout").unwrap()).and_then(|layout| layout.read(text("value").unwrap(), zone.as_ref(), NOW));
        let go = row["seconds"].as_i64().and_then(|seconds| i64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(row["nanos"].as_i64()?)).ok());
        let ours_ns = ours.as_ref().ok().map(|time| time.0);
        (go != ours_ns).then(|| format!("   {row}\n  our: {ours:?} wanted {go:?}"))
    });
}

/// Expressions that this crate reads otherwise, and why.
const OTHER_EXPRESSIONS: &[(&str, &str)] = &[];

#[test]
fn expressions() {
    compare(include_str!("../../../tests/conformance/expressions.jsonl"), "pattern", OTHER_EXPRESSIONS, |row| {
        let ours = dialect::compile(row["pattern"].as_str().unwrap());
        let (regex, found) = match (ours, row["found"].as_array()) {
            (Ok(regex), Some(found)) => (regex, found),
            (Err(_), None) => return None,
            (Ok(_), None) => return Some(format!("only we take it; go: {}", row["error"])),
            (Err(fault), Some(_)) => return Some(format!("only we refuse it: {fault}")),
        };
        let texts = row["texts"].as_array().unwrap();
        let differs = texts.iter().zip(found).filter_map(|(text, go)| {
            let text = text.as_str().unwrap();
            let spans = regex.captures(text.as_bytes()).map(|groups| {
                let span = |at: usize| groups.get(at).map_or([-1, -1], |group| [group.start() as i64, group.end() as i64]);
                (0..groups.len()).flat_map(span).collect::<Vec<i64>>()
            });
            let go = go.as_array().map(|spans| spans.iter().filter_map(Value::as_i64).collect::<Vec<i64>>());
            (spans != go).then(|| format!("  {text:?} go: {go:?} our: {spans:?}"))
        });
        let differs: Vec<String> = differs.collect();
        (!differs.is_empty()).then(|| differs.join("\n"))
    });
}
