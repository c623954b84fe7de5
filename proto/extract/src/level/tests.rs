//! Tests: Loki's rules case by case, against a plain second writing of them, and a measurement.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn of(line: &str) -> Level {
    of_line(line.as_bytes())
}

#[test]
fn json_lines() {
    for (line, level) in [
        (r#"{"level":"error"}"#, Level::Error),
        (r#" {"a":1,"Level":"WRN"} "#, Level::Warn),
        (r#"{"severity":"Information"}"#, Level::Info),
        (r#"{"log.level":"dbg"}"#, Level::Debug),
        (r#"{"SEVERITY_TEXT":"Trc"}"#, Level::Trace),
        // The first in the text counts, not the first in the list.
        (r#"{"lvl":"fatal","level":"info"}"#, Level::Fatal),
        (r#"{"log":{"level":"critical"},"level":"info"}"#, Level::Critical),
        // Two levels deep and no deeper.
        (r#"{"a":{"b":{"level":"fatal"}},"lvl":"warn"}"#, Level::Warn),
        (r#"{"a":{"b":{"level":"fatal"}}}"#, Level::Fatal),
        // Only strings, only these spellings.
        (r#"{"level":3,"lvl":"debug"}"#, Level::Debug),
        (r#"{"LeVeL":"warn"}"#, Level::Warn),
        (r#"{"LeVeL":"wrn"}"#, Level::Unknown),
        (r#"{"\u006cevel":"dbg"}"#, Level::Debug),
        // Not a level: the words in the line decide.
        (r#"{"level":"notice","msg":"an error occurred"}"#, Level::Error),
        (r#"{"level":"notice"}"#, Level::Unknown),
        (r#"{"error":"x"}"#, Level::Error),
        (r#"{"errors":2}"#, Level::Unknown),
        // Found before the line breaks; not found after.
        (r#"{"level":"inf" oops}"#, Level::Info),
        (r#"{"a" "level":"inf"}"#, Level::Unknown),
        (r#"{"a":[{"level":"inf"}]}"#, Level::Unknown),
        (r#"{"level":"i\u006ef"}"#, Level::Unknown),
        ("{}", Level::Unknown),
    ] {
        assert_eq!(of(line), level, "{line}");
    }
}

#[test]
fn logfmt_lines() {
    for (line, level) in [
        ("ts=1 level=warn msg=x", Level::Warn),
        ("LVL=ERR msg=x", Level::Error),
        ("lvl=debug level=inf", Level::Info),
        ("severity=crit lvl=dbg", Level::Unknown),
        ("severity_text=dbg severity=trc", Level::Trace),
        ("log.level=fatal x=1", Level::Fatal),
        ("level=\"wrn\"", Level::Warn),
        ("msg=\"level=wrn\" a=b", Level::Unknown),
        ("xlevel=wrn", Level::Unknown),
        // A wrong pair ends the search.
        ("a==b level=wrn", Level::Unknown),
        ("level=inf a==b", Level::Info),
        ("level=notice a=error", Level::Error),
        ("level foo severity=wrn", Level::Unknown),
        ("GET /x?level=wrn&a=b HTTP/1.1", Level::Unknown),
    ] {
        assert_eq!(of(line), level, "{line}");
    }
}

#[test]
fn words_in_a_line() {
    for (line, level) in [
        ("2026-11-22 INFO main: started", Level::Info),
        ("[Error] info", Level::Error),
        ("info: trace of warning", Level::Trace),
        ("WARNING: x", Level::Warn),
        ("warn", Level::Warn),
        ("critical error", Level::Critical),
        ("fatal critical", Level::Fatal),
        ("err: x", Level::Error),
        ("debug", Level::Debug),
        ("errors happen", Level::Unknown),
        ("referrer terror", Level::Unknown),
        // Only a word's first occurrence counts.
        ("terror error", Level::Unknown),
        ("terror err", Level::Unknown),
        ("info_x info", Level::Unknown),
        ("reinfo infos information", Level::Unknown),
        ("x-error-y", Level::Error),
        ("error2", Level::Unknown),
        ("panic: q", Level::Unknown),
        ("", Level::Unknown),
        // Bytes are looked at, not characters: the first byte of the closing quote passes for a letter.
        ("“error”", Level::Unknown),
        ("“error”.", Level::Unknown),
        ("« error »", Level::Error),
    ] {
        assert_eq!(of(line), level, "{line}");
    }
    for at in 0..200 {
        let line = "-".repeat(at) + "eRRoR" + &".".repeat(200 - at);
        assert_eq!(of(&line), Level::Error, "{at}");
    }
}

#[test]
fn labels_metadata_and_severity_numbers_come_first() {
    let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
    let meta = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
    let line = b"level=fatal";
    let none = Labels::empty();
    assert_eq!(detect(&labels(&[("level", "WARN"), ("severity", "debug")]), &meta(&[("level", "info")]), line), Level::Warn);
    assert_eq!(detect(&labels(&[("severity", "debug"), ("app", "x")]), &[], line), Level::Debug);
    assert_eq!(detect(&labels(&[("app", "x")]), &meta(&[("lvl", "err")]), line), Level::Error);
    assert_eq!(detect(&none, &meta(&[("level", "info"), ("detected_level", "Err")]), line), Level::Error);
    assert_eq!(detect(&labels(&[("app", "x"), ("stream", "stderr")]), &[], line), Level::Fatal);
    for (number, level) in [
        ("0", Level::Unknown),
        ("4", Level::Trace),
        ("9", Level::Info),
        ("13", Level::Warn),
        ("17", Level::Error),
        ("24", Level::Fatal),
        ("25", Level::Unknown),
        ("x", Level::Info),
    ] {
        assert_eq!(detect(&none, &meta(&[("severity_number", number)]), line), level, "{number}");
    }
    assert_eq!(detect(&none, &meta(&[("severity_number", "")]), line), Level::Fatal);
    // A value of one's own is kept as text, and is no level.
    let own = labels(&[("level", "notice")]);
    assert_eq!((detect(&own, &[], line), detected(&own, &[], line)), (Level::Unknown, "notice"));
    assert_eq!(detected(&labels(&[("level", "Warning")]), &[], line), "warn");
    assert_eq!(detected(&none, &[], line), "fatal");
}

#[test]
fn codes_and_names_are_inverse() {
    for level in Level::ALL {
        assert_eq!(Level::of_code(level.code()), Some(level));
        assert_eq!(Level::named(level.as_str().as_bytes()).unwrap_or_default(), level);
        assert_eq!(level.to_string(), level.as_str());
    }
    assert_eq!(Level::of_code(8), None);
}

/// Loki's rules written plainly: no vectors, no shortcuts.
fn plainly(line: &str) -> Level {
    let value = if line.trim().starts_with('{') && line.trim().ends_with('}') {
        serde_json::from_str::<Value>(line).ok().and_then(|value| json_level(&value, 0))
    } else if line.contains('=') {
        logfmt_level(line)
    } else {
        None
    };
    value.and_then(|value| Level::named(value.as_bytes())).unwrap_or_else(|| {
        let lower = line.to_ascii_lowercase();
        let alone = |word: &str| {
            let Some(at) = lower.find(word) else { return false };
            let part = |byte: Option<&u8>| byte.is_some_and(|b| (*b as char).is_alphanumeric() || *b == b'_');
            let bytes = lower.as_bytes();
            !part(at.checked_sub(1).and_then(|before| bytes.get(before))) && !part(bytes.get(at + word.len()))
        };
        let words = ["trace", "debug", "fatal", "critical", "error", "err", "warning", "warn", "info"];
        words.iter().find(|word| alone(word)).map_or(Level::Unknown, |word| Level::named(word.as_bytes()).unwrap())
    })
}

fn json_level(value: &Value, depth: usize) -> Option<String> {
    for (key, value) in value.as_object()? {
        match value {
            Value::String(text) if LEVEL_FIELDS.contains(&key.as_str()) => return Some(text.clone()),
            Value::Object(_) if depth + 1 < 2 => {
                if let Some(found) = json_level(value, depth + 1) {
                    return Some(found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {}
        }
    }
    None
}

fn logfmt_level(line: &str) -> Option<String> {
    let mut pairs = Vec::new();
    // A wrong pair ends it; what was read before counts.
    logfmt::pairs(line.as_bytes(), true, &mut |key, value| pairs.push((key.to_owned(), value.to_owned()))).unwrap_or_default();
    LEVEL_FIELDS.iter().find_map(|field| pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(field)).map(|(_, value)| value.clone()))
}

fn any_line() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "level",
        "lvl",
        "severity",
        "Severity_Text",
        "log.level",
        "=",
        "=",
        " ",
        " ",
        "\"",
        "error",
        "err",
        "ERROR",
        "Warn",
        "warning",
        "info",
        "information",
        "trace",
        "debug",
        "fatal",
        "critical",
        "_",
        "-",
        "x",
        "é",
        "}",
        "{",
        ":",
        ",",
        "a",
        "1",
        "terror",
        "lev",
        "wrn",
        "inf",
        "some words here",
        "\t",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn any_level_object() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["level", "Level", "lvl", "severity", "a", "b", "log.level", "error"]);
    let text = prop::sample::select(vec!["error", "WARN", "dbg", "notice", "an info line", "", "fatal"]).prop_map(Value::from);
    let leaf = prop_oneof![text, (0..9_i64).prop_map(Value::from), Just(Value::Null)];
    let inner = prop::collection::vec((key.clone(), leaf.clone()), 0..3).prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()));
    let outer = prop::collection::vec((key.clone(), prop_oneof![leaf.clone(), inner]), 0..3)
        .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()));
    prop::collection::vec((key, prop_oneof![leaf, outer]), 0..4).prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_the_plain_rules(line in any_line()) {
        // Lines that begin and end like JSON without being it are compared in the tables above.
        prop_assume!(!is_object(line.as_bytes()) || serde_json::from_str::<Value>(&line).is_ok());
        prop_assert_eq!(of(&line), plainly(&line), "{}", line);
    }

    #[test]
    fn agrees_with_the_plain_rules_on_json(object in any_level_object()) {
        let line = object.to_string();
        prop_assert_eq!(of(&line), plainly(&line), "{}", line);
    }

    #[test]
    fn nothing_panics(line in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Level::ALL.contains(&of_line(&line)));
    }
}

/// Nanoseconds per line, printed; run with `cargo test --release -p proto-extract -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn cost_per_line() {
    type Kind = (&'static str, fn(usize) -> String);
    let kinds: [Kind; 5] = [
        ("json, level first", |n| {
            format!(
                r#"{{"ts":"2026-11-22T10:11:12.123456789Z","level":"info","caller":"server.go:{n}","method":"GET","path":"/api/v1/items/{n}","status":200,"user":{{"id":"u1"}},"msg":"request done"}}"#
            )
        }),
        ("json, level last", |n| {
            format!(
                r#"{{"ts":"2026-11-22T10:11:12.123456789Z","caller":"server.go:{n}","method":"GET","path":"/api/v1/items/{n}","status":200,"user":{{"id":"u1"}},"msg":"request done","level":"info"}}"#
            )
        }),
        ("logfmt", |n| {
            format!(
                r#"ts=2026-11-22T10:11:12.123456789Z caller=server.go:{n} level=info method=GET path=/api/v1/items/{n} status=200 user=u1 msg="request done in time" dur=12.5ms bytes=1234"#
            )
        }),
        ("nginx", |n| {
            format!(
                r#"10.0.0.{} - - [22/Nov/2026:10:11:12 +0000] "GET /api/v1/items/{n}?page=2&sort=name HTTP/1.1" 200 {n} "-" "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0""#,
                n % 250
            )
        }),
        ("log4j", |n| {
            format!(
                "2026-11-22 10:11:12,123 INFO  [main] com.example.shop.OrderService - order {n} accepted for customer {n} with 3 articles in 12 ms, next delivery on Monday afternoon"
            )
        }),
    ];
    for (kind, line) in kinds {
        let lines: Vec<String> = (0..2000).map(line).collect();
        let mut best = f64::MAX;
        for _ in 0..50 {
            let start = std::time::Instant::now();
            for line in &lines {
                std::hint::black_box(of_line(std::hint::black_box(line.as_bytes())));
            }
            best = best.min(start.elapsed().as_secs_f64() * 1e9 / 2000.0);
        }
        println!("{kind}: {best:.0} ns per line of {} bytes", lines[1000].len());
    }
}
