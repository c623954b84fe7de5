//! Queries over the generated lines: most of them find something.

use tests::evaluator::Question;

use crate::chance::Chance;
use crate::data::{APPS, FIRST, LEVELS, METHODS, SPAN_MS, WORDS};

const SECOND: i64 = 1_000_000_000;

/// A query and what is asked beside it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub query: String,
    pub question: Question,
}

/// A label that a pipeline has at its end, and how to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text(&'static [&'static str]),
    Number,
    Duration,
    Size,
    Address,
}

type Known = Vec<(&'static str, Kind)>;

struct Pipe {
    text: String,
    known: Known,
    /// Whether a stage may mark lines.
    may_fail: bool,
}

fn quoted(text: &str) -> String {
    if text.contains('`') || text.contains('\n') { format!("{text:?}") } else { format!("`{text}`") }
}

fn selector(chance: &mut Chance, app: &str) -> String {
    match chance.below(9) {
        0 => format!("{{app=~\"{app}|nothing\"}}"),
        1 => format!("{{app=\"{app}\", env!=\"dev\"}}"),
        2 => format!("{{app=\"{app}\", pod=~\".+-[01]\"}}"),
        3 => format!("{{job=\"fuzz\", app=\"{app}\", zone=\"\"}}"),
        4 => format!("{{app=\"{app}\", pod!~\".*-0\"}}"),
        5 => format!("{{app=~\"{}.*\"}}", &app[..1]),
        _ => format!("{{app=\"{app}\"}}"),
    }
}

fn line_filter(chance: &mut Chance) -> String {
    let word = *chance.pick(&WORDS);
    let other = *chance.pick(&WORDS);
    match chance.below(12) {
        0 => format!(" |= `{word}` or `{other}`"),
        1 => format!(" != `{word}`"),
        2 => format!(" != `{word}` or `{other}`"),
        3 => format!(" |~ `{}.*{}`", &word[..1.max(word.chars().next().map_or(1, char::len_utf8))], chance.pick(&["e", "t", "o"])),
        4 => format!(" |~ `(?i){}|{other}`", word.to_uppercase()),
        5 => format!(" !~ `{word}\\s{other}`"),
        6 => format!(" |> `<_>{word}<_>`"),
        7 => format!(" !> `<_>{word}<_>`"),
        8 => format!(" |= ip(`{}`)", chance.pick(&["10.0.0.0/16", "10.1.0.0/15", "2001:db8::/64", "10.0.0.0-10.1.2.3"])),
        9 => format!(" != ip(`{}`)", chance.pick(&["10.0.0.0/16", "10.2.0.0/16"])),
        10 => " |= ``".to_owned(),
        _ => format!(" |= `{}`", chance.pick(&["e", "t", word])),
    }
}

const JSON: [(&str, Kind); 12] = [
    ("level", Kind::Text(&LEVELS)),
    ("method", Kind::Text(&METHODS)),
    ("status", Kind::Number),
    ("n", Kind::Number),
    ("v", Kind::Number),
    ("dur", Kind::Duration),
    ("size", Kind::Size),
    ("ip", Kind::Address),
    ("user_id", Kind::Text(&["u0", "u1", "u2"])),
    ("app_extracted", Kind::Text(&["other"])),
    ("_9lives", Kind::Text(&["true"])),
    ("ratio", Kind::Number),
];
const LOGFMT: [(&str, Kind); 7] = [
    ("level", Kind::Text(&LEVELS)),
    ("n", Kind::Number),
    ("v", Kind::Number),
    ("dur", Kind::Duration),
    ("size", Kind::Size),
    ("ip", Kind::Address),
    ("pod_extracted", Kind::Text(&["inside"])),
];

fn parser(chance: &mut Chance, app: &str) -> Pipe {
    let pipe = |text: &str, known: &[(&'static str, Kind)], may_fail| Pipe { text: text.to_owned(), known: known.to_vec(), may_fail };
    match (app, chance.below(6)) {
        ("json", 0) => pipe(
            " | json level, id=\"user.id\", first=\"user.tags[0]\", w=\"[\\\"weird-key\\\"]\", n",
            &[("level", Kind::Text(&LEVELS)), ("id", Kind::Text(&["u0", "u1"])), ("n", Kind::Number)],
            true,
        ),
        ("json", 1) => {
            pipe(" | regexp `\"level\":\"(?P<level>\\w+)\".*\"status\":(?P<code>\\d+)`", &[("level", Kind::Text(&LEVELS)), ("code", Kind::Number)], false)
        }
        ("json", _) => pipe(" | json", &JSON, true),
        ("logfmt", 0) => pipe(" | logfmt --strict", &LOGFMT, true),
        ("logfmt", 1) => pipe(" | logfmt --keep-empty", &LOGFMT, false),
        ("logfmt", 2) => pipe(" | logfmt level, num=\"n\", v", &[("level", Kind::Text(&LEVELS)), ("num", Kind::Number), ("v", Kind::Number)], false),
        ("logfmt", 3) => pipe(" | json | logfmt", &LOGFMT, true),
        ("logfmt" | "num", _) => {
            pipe(" | logfmt", if app == "num" { &[("v", Kind::Number), ("n", Kind::Number), ("k", Kind::Text(&["a", "b", "c"]))] } else { &LOGFMT }, false)
        }
        ("access", 0) => {
            pipe(" | regexp `^(?P<ip>\\S+) - (?P<user>\\S+) \"(?P<method>\\w+)`", &[("ip", Kind::Address), ("method", Kind::Text(&METHODS))], false)
        }
        ("access", _) => pipe(
            " | pattern `<ip> - <user> \"<method> <path> <_>\" <status> <bytes> <dur>`",
            &[
                ("ip", Kind::Address),
                ("user", Kind::Text(&["bob", "eve"])),
                ("method", Kind::Text(&METHODS)),
                ("status", Kind::Number),
                ("bytes", Kind::Size),
                ("dur", Kind::Duration),
            ],
            false,
        ),
        ("packed", 0..=1) => pipe(" | unpack | logfmt", &[("container", Kind::Text(&["c0", "c1"])), ("level", Kind::Text(&LEVELS))], true),
        ("packed", _) => pipe(" | unpack", &[("container", Kind::Text(&["c0", "c1"])), ("pod_extracted", Kind::Text(&["inner"]))], true),
        ("ansi", _) => pipe(" | decolorize | logfmt level", &[("level", Kind::Text(&LEVELS))], false),
        _ => pipe("", &[("trace", Kind::Text(&["t0", "t1", "t2"])), ("took", Kind::Duration), ("detected_level", Kind::Text(&LEVELS))], false),
    }
}

fn condition(chance: &mut Chance, known: &Known) -> String {
    let Some((name, kind)) = (!known.is_empty()).then(|| *chance.pick(known)) else { return "env!=\"none\"".to_owned() };
    let op = *chance.pick(&[">", ">=", "<", "<=", "==", "!="]);
    match kind {
        Kind::Text(values) => {
            let value = *chance.pick(values);
            match chance.below(5) {
                0 => format!("{name}!=\"{value}\""),
                1 => format!("{name}=~\"{value}|{}.*\"", &value[..1]),
                2 => format!("{name}!~\"{}.+\"", &value[..1]),
                3 => format!("{name}!=\"\""),
                _ => format!("{name}=\"{value}\""),
            }
        }
        Kind::Number => format!("{name}{op}{}", chance.pick(&["2", "3", "200", "2.5", "-3", "10"])),
        Kind::Duration => format!("{name}{op}{}", chance.pick(&["12ms", "1s", "250us", "1m"])),
        Kind::Size => format!("{name}{op}{}", chance.pick(&["10KB", "1MB", "600B", "3KiB"])),
        Kind::Address => format!("{name}{}ip(\"{}\")", chance.pick(&["=", "!="]), chance.pick(&["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/64"])),
    }
}

fn label_filter(chance: &mut Chance, known: &Known) -> String {
    let one = condition(chance, known);
    match chance.below(5) {
        0 => format!(" | {one} or {}", condition(chance, known)),
        1 => format!(" | {one} and {}", condition(chance, known)),
        2 => format!(" | ({one} or {}) , {}", condition(chance, known), condition(chance, known)),
        _ => format!(" | {one}"),
    }
}

fn template(chance: &mut Chance, known: &Known) -> String {
    let name = known.get(chance.below(known.len().max(1))).map_or("app", |(name, _)| name);
    match chance.below(6) {
        0 => format!("<{{{{.{name}}}}}> {{{{.missing}}}}"),
        1 => format!("{{{{.{name} | {}}}}}", chance.pick(&["upper", "ToLower", "TrimSpace"])),
        2 => format!("{{{{len .{name}}}}}:{{{{__line__}}}}"),
        3 => format!("{{{{if .{name}}}}}has {{{{.{name}}}}}{{{{else}}}}none{{{{end}}}}"),
        4 => format!("{{{{.{name}}}}} {{{{.app}}}}-{{{{.pod}}}}"),
        _ => format!("{{{{upper .{name}}}}}"),
    }
}

/// Stages that leave all labels of `known` usable.
fn stages(chance: &mut Chance, pipe: &mut Pipe, count: usize) {
    for _ in 0..count {
        let stage = match chance.below(9) {
            0..=3 => {
                pipe.may_fail = true;
                label_filter(chance, &pipe.known)
            }
            4 => line_filter(chance),
            5 => format!(" | line_format {}", quoted(&template(chance, &pipe.known))),
            6 => {
                let (first, second) = (template(chance, &pipe.known), template(chance, &vec![("made", Kind::Number)]));
                pipe.known.push(("made", Kind::Text(&["none", "200"])));
                if chance.likely(50) {
                    format!(" | label_format made={}, more={}", quoted(&first), quoted(&second))
                } else {
                    format!(" | label_format made={}", quoted(&first))
                }
            }
            7 => {
                let name = pipe.known.get(chance.below(pipe.known.len().max(1))).map_or("zone", |(name, _)| name);
                if chance.likely(50) { format!(" | label_format renamed={name}") } else { format!(" | drop {name}, __error__, __error_details__, env=\"dev\"") }
            }
            _ => {
                let name = pipe.known.get(chance.below(pipe.known.len().max(1))).map_or("pod", |(name, _)| name);
                format!(" | keep app, pod, {name}, env=~\"p.*\"")
            }
        };
        pipe.text.push_str(&stage);
    }
}

fn pipeline(chance: &mut Chance, app: &str, more: usize) -> Pipe {
    let mut before = String::new();
    if chance.likely(35) {
        before = line_filter(chance);
    }
    let mut pipe = if chance.likely(75) {
        parser(chance, app)
    } else {
        Pipe { text: String::new(), known: vec![("trace", Kind::Text(&["t0", "t1"])), ("detected_level", Kind::Text(&LEVELS))], may_fail: false }
    };
    pipe.text.insert_str(0, &before);
    let count = chance.below(more + 1);
    stages(chance, &mut pipe, count);
    pipe
}

fn log(chance: &mut Chance) -> String {
    let app = *chance.pick(&APPS);
    let selector = selector(chance, app);
    format!("{selector}{}", pipeline(chance, app, 3).text)
}

fn grouping(chance: &mut Chance, unwrapped: Option<&str>) -> String {
    let names = ["app", "pod", "env", "level", "zone", "k", "method", "trace"];
    let word = *chance.pick(&["by", "by", "without"]);
    let labels: Vec<&str> = (0..1 + chance.below(2)).map(|_| *chance.pick(&names)).filter(|name| Some(*name) != unwrapped).collect();
    format!("{word} ({})", labels.join(", "))
}

fn window(chance: &mut Chance) -> String {
    let offset = if chance.likely(15) { *chance.pick(&[" offset 5m", " offset 30s", " offset -2m"]) } else { "" };
    format!("[{}]{offset}", chance.pick(&["30s", "1m", "5m", "10m", "17m", "1h"]))
}

fn range(chance: &mut Chance) -> String {
    let app = *chance.pick(&APPS);
    let selector = selector(chance, app);
    if chance.likely(45) {
        let app = *chance.pick(&["json", "logfmt", "num", "num", "access", "meta"]);
        let mut pipe = parser(chance, app);
        let count = chance.below(2);
        stages(chance, &mut pipe, count);
        let numeric: Vec<(&str, Kind)> = pipe.known.iter().copied().filter(|(_, kind)| matches!(kind, Kind::Number | Kind::Duration | Kind::Size)).collect();
        let (name, kind) = if numeric.is_empty() { ("n", Kind::Number) } else { *chance.pick(&numeric) };
        let unwrap = match kind {
            Kind::Duration => format!("duration({name})"),
            Kind::Size => format!("bytes({name})"),
            Kind::Text(_) | Kind::Number | Kind::Address => name.to_owned(),
        };
        let guard = if chance.likely(85) { " | __error__=\"\"" } else { "" };
        let before = if chance.likely(70) { " | __error__=\"\"" } else { "" };
        let op = *chance.pick(&[
            "sum_over_time",
            "avg_over_time",
            "min_over_time",
            "max_over_time",
            "stdvar_over_time",
            "stddev_over_time",
            "quantile_over_time",
            "first_over_time",
            "last_over_time",
            "rate",
            "absent_over_time",
        ]);
        let param = if op == "quantile_over_time" { *chance.pick(&["0.5, ", "0.9, ", "0, ", "1, ", "1.5, "]) } else { "" };
        let group = if chance.likely(40) && !matches!(op, "sum_over_time" | "rate" | "absent_over_time") {
            format!(" {}", grouping(chance, Some(name)))
        } else {
            String::new()
        };
        return format!("{op}({param}{{app=\"{app}\"}}{}{before} | unwrap {unwrap}{guard} {}){group}", pipe.text, window(chance));
    }
    let mut pipe = pipeline(chance, app, 2);
    if pipe.may_fail && chance.likely(85) {
        pipe.text.push_str(" | __error__=\"\"");
    }
    let op = *chance.pick(&["count_over_time", "count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time"]);
    format!("{op}({selector}{} {})", pipe.text, window(chance))
}

fn aggregated(chance: &mut Chance) -> String {
    let inner = range(chance);
    match chance.below(12) {
        0 => inner,
        1 => format!("{}({}, {inner}) {}", chance.pick(&["topk", "bottomk"]), 1 + chance.below(3), grouping(chance, None)),
        2 => format!("{}({}, {inner})", chance.pick(&["topk", "bottomk"]), 1 + chance.below(4)),
        3 => format!("{}({inner})", chance.pick(&["sum", "avg", "min", "max", "count", "stddev", "stdvar"])),
        4 => format!("sum by () ({inner})"),
        5 => format!("max(sum {} ({inner}))", grouping(chance, None)),
        _ => format!("{} {} ({inner})", chance.pick(&["sum", "sum", "avg", "min", "max", "count", "stddev", "stdvar"]), grouping(chance, None)),
    }
}

fn counted(chance: &mut Chance, by: &str) -> String {
    let app = *chance.pick(&APPS);
    let selector = if chance.likely(50) { "{job=\"fuzz\"}".to_owned() } else { selector(chance, app) };
    format!(
        "sum by ({by}) (count_over_time({selector}{} [{}]))",
        if chance.likely(30) { line_filter(chance) } else { String::new() },
        chance.pick(&["5m", "10m", "20m"])
    )
}

fn binary(chance: &mut Chance) -> String {
    let by = *chance.pick(&["app", "app, env", "pod", "app, pod"]);
    let arithmetic = *chance.pick(&["+", "-", "*", "/", "%", "^"]);
    let comparison = *chance.pick(&["==", "!=", ">", ">=", "<", "<="]);
    let bool = if chance.likely(50) { " bool" } else { "" };
    let (left, right) = (counted(chance, by), counted(chance, by));
    match chance.below(12) {
        0 => format!("{left} {arithmetic} {right}"),
        1 => format!("{left} {comparison}{bool} {right}"),
        2 => format!("{left} {} {right}", chance.pick(&["and", "or", "unless"])),
        3 => format!("{left} {arithmetic} {}", chance.below(5)),
        4 => format!("{} {comparison}{bool} {left}", chance.below(9)),
        5 => format!("{left} {comparison}{bool} {}", chance.below(9)),
        6 => format!("{} {arithmetic} on (app) group_left () {}", counted(chance, "app, pod"), counted(chance, "app")),
        7 => format!("{} {comparison}{bool} on (app) group_right (env) {}", counted(chance, "app"), counted(chance, "app, pod")),
        8 => format!("{} {arithmetic} ignoring (pod) group_left (env) {}", counted(chance, "app, pod"), counted(chance, "app")),
        9 => format!("{} {} on (app) {}", counted(chance, "app, env"), chance.pick(&["and", "or", "unless"]), counted(chance, "app")),
        10 => format!("label_replace({left}, \"{}\", \"$1-x\", \"app\", \"(.).*{}\")", chance.pick(&["app", "made"]), chance.pick(&["", "n"])),
        _ => format!("{left} {arithmetic} ignoring (env) {right}"),
    }
}

fn metric(chance: &mut Chance) -> String {
    match chance.below(10) {
        0..=2 => binary(chance),
        3 => format!("{} {} {}", aggregated(chance), chance.pick(&["*", "+", "-"]), 1 + chance.below(4)),
        4 => range(chance),
        _ => aggregated(chance),
    }
}

/// One query.
pub fn asked(chance: &mut Chance) -> Asked {
    let span = SPAN_MS as i64 / 1_000;
    let at = |chance: &mut Chance| FIRST + chance.below(span as usize) as i64 * SECOND;
    if chance.likely(45) {
        let (start, length) = (at(chance), (300 + chance.below(span as usize) as i64) * SECOND);
        let whole = chance.likely(50);
        let (start, end) = if whole { (FIRST - SECOND, FIRST + (span + 5) * SECOND) } else { (start, start + length) };
        let limit = *chance.pick(&[1_000, 1_000, 1_000, 50, 7, 1]);
        return Asked { query: log(chance), question: Question::Logs { start, end, forward: chance.likely(50), limit } };
    }
    let query = metric(chance);
    if chance.likely(35) {
        let at = at(chance) + chance.below(1_000) as i64 * 1_000_000;
        let sorted = chance.likely(10).then(|| format!("{}({query})", chance.pick(&["sort", "sort_desc"])));
        return Asked { query: sorted.unwrap_or(query), question: Question::Instant { at } };
    }
    let step = *chance.pick(&[15, 60, 120, 420]) * SECOND;
    let start = (at(chance) / step) * step;
    Asked { query, question: Question::Range { start, end: start + step * (1 + chance.below(30) as i64), step } }
}
