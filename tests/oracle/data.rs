//! Generated lines: JSON, logfmt, access logs, packed lines, coloured ones, metadata, numbers that are none.

use serde_json::json;
use tests::evaluator::{Line, Set};

use crate::chance::Chance;

/// Half an hour before a midnight, so that lines fall on two days.
pub const FIRST: i64 = (1_750_032_000 - 1_800) * 1_000_000_000;
/// One hour.
pub const SPAN_MS: usize = 3_600_000;

pub const WORDS: [&str; 10] = ["timeout", "login", "cache", "retry", "refused", "opened", "closed", "alpha", "beta", "über"];
pub const LEVELS: [&str; 4] = ["info", "warn", "error", "debug"];
pub const METHODS: [&str; 3] = ["GET", "PUT", "POST"];
const DURATIONS: [&str; 7] = ["12ms", "1.5s", "250µs", "2m", "1h2m", "0s", "soon"];
const SIZES: [&str; 7] = ["10KB", "1.5MiB", "512B", "77", "2GB", "3KiB", "big"];
const VALUES: [&str; 12] = ["1", "2", "3", "2.5", "-3", "0", "10", "1e3", "NaN", "+Inf", "-Inf", "x"];
pub const APPS: [&str; 7] = ["json", "logfmt", "access", "packed", "ansi", "num", "meta"];

fn words(chance: &mut Chance) -> String {
    let count = 1 + chance.below(4);
    (0..count).map(|_| *chance.pick(&WORDS)).collect::<Vec<_>>().join(" ")
}

fn ip(chance: &mut Chance) -> String {
    if chance.likely(10) { format!("2001:db8::{:x}", chance.below(200)) } else { format!("10.{}.{}.{}", chance.below(3), chance.below(4), chance.below(250)) }
}

fn json_line(chance: &mut Chance, at: usize) -> String {
    if chance.likely(8) {
        return words(chance);
    }
    let mut fields = serde_json::Map::new();
    fields.insert("level".to_owned(), json!(chance.pick(&LEVELS)));
    fields.insert("method".to_owned(), json!(chance.pick(&METHODS)));
    fields.insert("status".to_owned(), json!(chance.pick(&[200, 201, 404, 500])));
    fields.insert("n".to_owned(), json!(at));
    if chance.likely(80) {
        fields.insert("dur".to_owned(), json!(chance.pick(&DURATIONS)));
        fields.insert("size".to_owned(), json!(chance.pick(&SIZES)));
    }
    if chance.likely(60) {
        fields.insert("v".to_owned(), json!(chance.pick(&VALUES)));
    }
    fields.insert("ip".to_owned(), json!(ip(chance)));
    fields.insert("user".to_owned(), json!({"id": format!("u{}", chance.below(4)), "tags": ["a", "b"], "addr": {"zip": format!("{:03}", chance.below(5))}}));
    for (name, value) in
        [("weird-key", json!("w")), ("9lives", json!(true)), ("none", json!(null)), ("empty", json!("")), ("app", json!("other")), ("ratio", json!(0.25))]
    {
        if chance.likely(40) {
            fields.insert(name.to_owned(), value);
        }
    }
    fields.insert("msg".to_owned(), json!(format!("{} \"q\"\t{}", words(chance), chance.below(9))));
    serde_json::Value::Object(fields).to_string()
}

fn logfmt_line(chance: &mut Chance, at: usize) -> String {
    let mut parts = vec![format!("level={}", chance.pick(&LEVELS)), format!("n={at}"), format!("msg=\"{} \\\"q\\\"\"", words(chance))];
    for (percent, part) in [
        (80, format!("dur={}", chance.pick(&DURATIONS))),
        (80, format!("size={}", chance.pick(&SIZES))),
        (70, format!("v={}", chance.pick(&VALUES))),
        (40, format!("ip={}", ip(chance))),
        (20, "flag".to_owned()),
        (20, "empty=".to_owned()),
        (20, "level=twice".to_owned()),
        (20, "pod=inside".to_owned()),
        (20, "a.b=dotted".to_owned()),
        (8, "=nokey".to_owned()),
        (8, "bad=va\"lue".to_owned()),
    ] {
        if chance.likely(percent) {
            parts.push(part);
        }
    }
    parts.join(" ")
}

fn access_line(chance: &mut Chance) -> String {
    let status = chance.pick(&["200", "404", "500"]);
    let (path, size) = (chance.pick(&["/", "/a", "/b?id=1", "/long/way"]), chance.below(9_000));
    format!("{} - {} \"{} {path} HTTP/1.1\" {status} {size} {}", ip(chance), chance.pick(&["bob", "-", "eve"]), chance.pick(&METHODS), chance.pick(&DURATIONS))
}

fn packed_line(chance: &mut Chance) -> String {
    match chance.below(10) {
        0 => words(chance),
        1 => json!({"container": "noentry", "k": "v"}).to_string(),
        _ => json!({"container": format!("c{}", chance.below(3)), "k": words(chance), "num": 3, "pod": "inner", "_entry": format!("level={} {}", chance.pick(&LEVELS), words(chance))}).to_string(),
    }
}

fn text_of(app: &str, chance: &mut Chance, at: usize) -> String {
    match app {
        "json" => json_line(chance, at),
        "logfmt" => logfmt_line(chance, at),
        "access" => access_line(chance),
        "packed" => packed_line(chance),
        "ansi" => format!("\u{1b}[3{}m{}\u{1b}[0m level={} \u{1b}[1;35m{}\u{1b}[0m", chance.below(8), words(chance), chance.pick(&LEVELS), words(chance)),
        "num" => format!("v={} n={} k={}", chance.pick(&VALUES), chance.below(5), chance.pick(&["a", "b", "c"])),
        _ if chance.likely(4) => String::new(),
        _ => words(chance),
    }
}

/// Lines in order of arrival: mostly that of time.
pub fn lines(seed: u64) -> Vec<Line> {
    let mut chance = Chance::new(seed);
    let mut all = Vec::new();
    let mut index = 0;
    for app in APPS {
        for pod in 0..2 + chance.below(2) {
            index += 1;
            let mut stream = Set::from([("app".to_owned(), app.to_owned()), ("job".to_owned(), "fuzz".to_owned()), ("pod".to_owned(), format!("{app}-{pod}"))]);
            stream.insert("env".to_owned(), (*chance.pick(&["prod", "dev"])).to_owned());
            if chance.likely(30) {
                stream.insert("zone".to_owned(), "eu.1".to_owned());
            }
            let mut before = FIRST + index;
            for at in 0..12 + chance.below(35) {
                // No two streams share a time; within one some lines do.
                let time = if chance.likely(12) { before } else { FIRST + (chance.below(SPAN_MS) as i64) * 1_000_000 + index };
                before = time;
                let mut metadata = Set::new();
                if app == "meta" || chance.likely(15) {
                    metadata.insert("trace".to_owned(), format!("t{}", chance.below(6)));
                    metadata.insert("took".to_owned(), (*chance.pick(&DURATIONS)).to_owned());
                    if chance.likely(20) {
                        metadata.insert("env".to_owned(), "claimed".to_owned());
                    }
                }
                if chance.likely(50) {
                    metadata.insert("detected_level".to_owned(), (*chance.pick(&LEVELS)).to_owned());
                }
                all.push(Line { stream: stream.clone(), time, metadata, text: text_of(app, &mut chance, at) });
            }
        }
    }
    // Lines late by up to a dozen places.
    all.sort_by_key(|line| line.time);
    for at in 0..all.len() {
        if chance.likely(15) {
            let to = (at + chance.below(12)).min(all.len() - 1);
            all.swap(at, to);
        }
    }
    all
}
