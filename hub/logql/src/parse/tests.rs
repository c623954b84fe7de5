//! Structure, faults with their places, limits (rows 76 to 79 of the bad-input catalogue), and what must never happen.

use crate::limits::{MATCHERS_MAX, NESTING_MAX, PARENTHESES_MAX, REGEX_BYTES_MAX, TERMS_MAX, TEXT_BYTES_MAX};
use crate::{Expr, LogqlFault, MetricExpr, parse, parse_selector};

fn refusal(text: &str) -> LogqlFault {
    parse(text).expect_err(text)
}

/// What Loki's parser makes of these, seen by its canonical text.
#[test]
fn conditions_join_as_in_loki() {
    for (written, joined) in [
        (r#"x="1" or y="2" and z="3""#, r#"( x="1" or ( y="2" , z="3" ) )"#),
        (r#"x="1" and y="2" or z="3""#, r#"( ( x="1" , y="2" ) or z="3" )"#),
        (r#"x="1" , y="2" or z="3""#, r#"( x="1" , ( y="2" or z="3" ) )"#),
        (r#"x="1" y="2" or z="3""#, r#"( x="1" , ( y="2" or z="3" ) )"#),
        (r#"x="1" or y="2" , z="3""#, r#"( x="1" or ( y="2" , z="3" ) )"#),
        (r#"x="1" and y="2" , z="3" or w="4""#, r#"( x="1" , ( y="2" , ( z="3" or w="4" ) ) )"#),
        (r#"x="1" , y="2" , z="3""#, r#"( x="1" , ( y="2" , z="3" ) )"#),
        (r#"x="1" and y="2" and z="3""#, r#"( ( x="1" , y="2" ) , z="3" )"#),
        (r#"x="1" (y="2")"#, r#"( x="1" , y="2" )"#),
        (r#"((x="1" or y="2"))"#, r#"( x="1" or y="2" )"#),
    ] {
        let printed = parse(&format!("{{a=\"b\"}} | {written}")).unwrap().to_string();
        assert_eq!(printed, format!("{{a=\"b\"}} | {joined}"), "{written}");
    }
}

#[test]
fn operators_bind_as_in_prometheus() {
    for (written, bound) in [
        ("vector(1) + vector(2) * vector(3)", "(vector(1.000000) + (vector(2.000000) * vector(3.000000)))"),
        ("vector(1) - 2 - 3", "((vector(1.000000) - 2) - 3)"),
        ("vector(1) ^ 2 ^ 3", "(vector(1.000000) ^ 8)"),
        ("vector(1) ^ vector(2) ^ 3", "(vector(1.000000) ^ (vector(2.000000) ^ 3))"),
        ("-vector(1)", ""),
        ("vector(1) or vector(2) and vector(3) unless vector(4)", "(vector(1.000000) or ((vector(2.000000) and vector(3.000000)) unless vector(4.000000)))"),
        ("2 + 3 > vector(1)", "(5 > vector(1.000000))"),
        ("vector(1) > bool on(a) vector(2)", "(vector(1.000000) > bool on (a)  vector(2.000000))"),
        ("vector(1) / ignoring(a,b) group_left(c) vector(2)", "(vector(1.000000) / ignoring (a,b) group_left (c) vector(2.000000))"),
        ("vector(1) + ignoring() vector(2)", "(vector(1.000000) + vector(2.000000))"),
    ] {
        assert_eq!(parse(written).map(|expr| expr.to_string()).unwrap_or_default(), bound, "{written}");
    }
}

#[test]
fn scalars_are_folded() {
    for (written, value) in [
        ("1+2", 3.0),
        ("2 ^ 3 ^ 2", 512.0),
        ("-2 ^ 2", 4.0),
        ("1--2", 3.0),
        ("3 > 2", 1.0),
        ("3 < bool 2", 0.0),
        ("-1 % 3", -1.0),
        ("-0", 0.0),
        ("2 * (3 + 4)", 14.0),
    ] {
        assert_eq!(parse(written), Ok(Expr::Metric(MetricExpr::Literal(value))), "{written}");
    }
    for written in ["1 / 0", "0 / 0", "1 % 0"] {
        assert!(matches!(parse(written), Ok(Expr::Metric(MetricExpr::Literal(nan))) if nan.is_nan()), "{written}");
    }
}

#[test]
fn ranges_may_stand_anywhere() {
    let canonical = r#"sum_over_time({a="b"} | json | unwrap x | y="z"[5m] offset 1h0m0s)"#;
    for range in [
        r#"{a="b"} | json | unwrap x | y="z" [5m] offset 1h"#,
        r#"({a="b"} | json | unwrap x | y="z")[5m] offset 1h"#,
        r#"{a="b"}[5m] offset 1h | json | unwrap x | y="z""#,
        r#"(({a="b"}[5m] offset 1h | json | unwrap x | y="z"))"#,
        r#"(({a="b"} | json | unwrap x | y="z" [5m] offset 1h))"#,
    ] {
        assert_eq!(parse(&format!("sum_over_time({range})")).unwrap().to_string(), canonical, "{range}");
    }
    assert_eq!(parse(r#"sum_over_time(({a="b"})[5m] | unwrap x)"#).unwrap().to_string(), r#"sum_over_time({a="b"} | unwrap x[5m])"#);
}

#[test]
fn an_empty_list_counts_where_it_means_something() {
    let grouping = |text: &str| match parse(text) {
        Ok(Expr::Metric(MetricExpr::Range { grouping, .. } | MetricExpr::Vector { grouping, .. })) => grouping,
        other => panic!("{other:?}"),
    };
    assert!(grouping(r#"avg_over_time({a="b"} | unwrap f [5m]) by ()"#).unwrap().is_by_nothing());
    assert_eq!(grouping(r#"avg_over_time({a="b"} | unwrap f [5m])"#), None);
    assert_eq!(grouping(r#"sum by () (rate({a="b"}[5m]))"#), None);
    assert!(grouping(r#"sum without () (rate({a="b"}[5m]))"#).unwrap().without);
}

#[test]
fn faults_name_the_token_and_its_place() {
    for (text, fault) in [
        ("{a=\"b\"}\n  | json\n | x >", "parse error at line 3, col 7: syntax error: unexpected $end"),
        ("{by=\"x\"}", "parse error at line 1, col 2: syntax error: unexpected by, expecting IDENTIFIER or }"),
        ("{a}", "parse error at line 1, col 3: syntax error: unexpected }, expecting = or =~ or !~ or !="),
        ("{a=\"b\",}", "parse error at line 1, col 8: syntax error: unexpected }, expecting IDENTIFIER"),
        ("{a=\"b", "parse error at line 1, col 4: literal not terminated"),
        ("{a=\"b\"} | unwrap x", "parse error at line 1, col 11: syntax error: unexpected unwrap"),
        ("{a=\"b\"}[5m]", "parse error at line 0, col 8: syntax error: unexpected RANGE"),
        ("rate({a=\"b\"}[5m]", "parse error at line 1, col 17: syntax error: unexpected $end, expecting )"),
        ("rate({a=\"b\"}[5x])", "parse error at line 0, col 13: unknown unit \"x\" in duration \"5x\""),
        ("count_over_time((({a=\"b\"}))[5m])", "parse error at line 1, col 27: syntax error: unexpected ), expecting RANGE"),
        ("count_over_time(({a=\"b\"})[5m] | json)", "parse error at line 1, col 33: syntax error: unexpected json, expecting unwrap"),
        ("sum by (x y) (vector(1))", "parse error at line 1, col 11: syntax error: unexpected IDENTIFIER, expecting , or )"),
        ("sum({a=\"b\"})", "parse error at line 1, col 12: syntax error: unexpected )"),
        ("vector(1) + on(a) group_left (vector(2))", "parse error at line 1, col 31: syntax error: unexpected VECTOR, expecting IDENTIFIER or )"),
        ("{a=\"b\"} | x=bytes(5)", "parse error at line 1, col 13: syntax error: unexpected BYTES_CONV"),
        ("label_replace(vector(1), \"a\", \"b\", \"c\")", "parse error at line 1, col 39: syntax error: unexpected ), expecting ,"),
        ("(variants(vector(1)) of ({a=\"b\"}[5m]))", "parse error at line 1, col 38: syntax error: unexpected )"),
        ("\u{a0}{a=\"b\"}", "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"),
    ] {
        assert_eq!(refusal(text).to_string(), fault);
    }
    assert_eq!(refusal("1 +\n[5m]").position(), Some((2, 1)), "the true line, whatever is printed");
}

/// Row 76 of the bad-input catalogue: selectors that would read everything.
#[test]
fn a_selector_must_rule_out_the_empty_value() {
    for text in
        ["{}", "{ }", "{a=~\".*\"}", "{a!=\"x\"}", "{a=\"\"}", "{a=~\"x|\"}", "{a!~\".+\"}", "{a!~\"x\"}", "sum(rate({a=~\"(?i)x?\"}[5m]))", "{a=~\"^$\"}"]
    {
        assert_eq!(refusal(text), LogqlFault::NoMatcher);
    }
    assert!(
        refusal("{}")
            .to_string()
            .starts_with("parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value.")
    );
    for text in ["{a=~\".+\"}", "{a!=\"\"}", "{a!~\".*\"}", "{a=\"x\", b=~\".*\"}", "{a!=\"x\", b=\"y\"}"] {
        assert!(parse(text).is_ok(), "{text}");
    }
}

/// Row 77: unclosed, empty, huge and deep texts are refused at a place, without a stack overflow.
#[test]
fn monstrous_texts_are_refused_at_a_place() {
    let deep = format!("{}vector(1){}", "(".repeat(10_000), ")".repeat(10_000));
    let deep_filter = format!("{{a=\"b\"}} | {}x=1", "(".repeat(10_000));
    let deep_range = format!("rate({}{{a=\"b\"}}[5m]", "(".repeat(10_000));
    let deep_calls = "sum(".repeat(10_000);
    let nested = NESTING_MAX as u32 + 1;
    let parentheses = PARENTHESES_MAX as u32 + 1;
    for (text, place) in [
        (String::new(), (1, 1)),
        ("   ".to_owned(), (1, 4)),
        ("{a=\"b".to_owned(), (1, 4)),
        ("{a=\"b\"".to_owned(), (1, 7)),
        ("{".to_owned(), (1, 2)),
        (deep, (1, parentheses)),
        (deep_filter, (1, 10 + parentheses)),
        (deep_range, (1, 5 + nested)),
        (deep_calls, (1, 4 * (nested - 1) + 1)),
        (format!("{{a=\"b\"}} |= \"{}\"", "x".repeat(1 << 20)), (1, TEXT_BYTES_MAX as u32 + 1)),
        (format!("{{a=\"b\"}}\n{}", "é".repeat(1 << 19)), (2, (TEXT_BYTES_MAX as u32 - 8) / 2 + 1)),
        (format!("1{}", "+1".repeat(TERMS_MAX + 1)), (1, 2 * TERMS_MAX as u32 + 2)),
        (format!("{{{}}}", "a=\"b\",".repeat(MATCHERS_MAX + 1)), (1, 6 * (MATCHERS_MAX as u32 + 1) + 1)),
    ] {
        let fault = refusal(&text);
        assert_eq!(fault.position(), Some(place), "{fault}");
    }
}

#[test]
fn what_lies_within_the_limits_fits_a_small_stack() {
    let checks = || {
        let filters = |join: &str| format!("{{a=\"b\"}} | x=1{}", format!("{join}x=1").repeat(TERMS_MAX - 1));
        let operators = |op: &str| format!("vector(1){}", format!("{op}vector(1)").repeat(TERMS_MAX));
        let nested = format!("{}vector(1){}", "(".repeat(PARENTHESES_MAX), ")".repeat(PARENTHESES_MAX));
        let sums = format!("{}vector(1){}", "sum(".repeat(NESTING_MAX - 1), ")".repeat(NESTING_MAX - 1));
        for text in [filters(","), filters(" or "), filters(" and "), operators("^"), operators("+"), operators(" or "), nested, sums] {
            let expr = parse(&text).unwrap();
            assert!(crate::validate(&expr).is_ok() && !crate::pretty(&expr).is_empty());
            assert_eq!(parse(&expr.to_string()).as_ref(), Ok(&expr), "a chain is printed with a pair of parentheses for each link");
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(checks).unwrap();
    thread.join().unwrap();
}

/// Row 78: expressions that would take long or much. What is left for the compiler is its size limit.
#[test]
fn monstrous_expressions_are_refused() {
    let alternatives = vec!["a"; 10_000].join("|");
    assert!(alternatives.len() > REGEX_BYTES_MAX);
    for source in ["(a{1000}){1000}", "((a{50}){50}){50}", alternatives.as_str()] {
        for query in [format!("{{a=~\"{source}\"}}"), format!("{{a=\"b\"}} | x!~\"{source}\""), format!("{{a=\"b\"}} | regexp \"(?P<n>{source})\"")] {
            assert!(refusal(&query).to_string().contains("error parsing regexp: "), "{query:.100}");
        }
        let line_filter = parse(&format!("{{a=\"b\"}} |~ \"{source}\"")).unwrap();
        assert!(crate::validate(&line_filter).is_err(), "{source:.100}");
    }
}

/// Row 79, as far as a query alone can show it.
#[test]
fn monstrous_ranges_are_refused() {
    assert!(parse("rate({a=\"b\"}[100y])").is_ok(), "whether it is too long is the tenant's limit to say");
    assert!(refusal("rate({a=\"b\"}[300y])").to_string().ends_with("duration out of range"));
    assert!(refusal("rate({a=\"b\"}[-5m])").to_string().contains("not a valid duration string"));
    assert!(refusal("rate({a=\"b\"}[1ns])").to_string().contains("unknown unit \"ns\""));
}

#[test]
fn selectors_alone_are_taken_where_asked_for() {
    let matchers = parse_selector("{a=\"b\", c!~\"d.*\"}").unwrap();
    assert_eq!(matchers.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(parse_selector("({a=\"b\"})").unwrap().len(), 1);
    assert_eq!(parse_selector("{a=\"b\"} |= \"x\"").unwrap_err().to_string(), "only label matchers are supported");
    assert_eq!(parse_selector("vector(1)"), Err(LogqlFault::NotSelector));
    assert_eq!(parse_selector("{}"), Err(LogqlFault::NoMatcher));
    assert_eq!(parse_selector("{a=").unwrap_err().position(), Some((1, 4)));
}

/// What Grafana's Logs Drilldown builds (`grafana-contract`, section 4).
#[test]
fn what_grafana_builds_is_taken() {
    let logs = r#"{a="x", b=~"x|y" , c!="z" }  | detected_level="error" or detected_level="warn" | meta="v" |> "pat" or "pat" !> "pat" |= "x" |~ "(?i)x" !~ "(?i)x" | json k="[\"a\"][\"b\"]" | json | logfmt | drop __error__, __error_details__ | f="v" or f="w" | f!="v" | f!="w" | f=~"v" | n>5 | d<=10ms | line_format "{{.a_b}}""#;
    for query in [
        logs.to_owned(),
        format!("sum(count_over_time({logs}[1m])) by (label)"),
        format!("sum by (f) (count_over_time({logs} | f!=\"\" [1m]))"),
        format!("avg_over_time({logs} | unwrap duration(f) | __error__=\"\" [1m]) by ()"),
        format!("sum by (f) (count_over_time({logs} | keep f [1m]))"),
        "{a=\"b\"} |> `..<_>..` | pattern `..<field_1>..` | keep field_1 ,field_2 | line_format \"\"".to_owned(),
        "sum by (detected_level) (sum_over_time({__aggregated_metric__=`svc` } | logfmt | unwrap count [10s]))".to_owned(),
    ] {
        let expr = parse(&query).unwrap_or_else(|fault| panic!("{query}: {fault}"));
        assert_eq!(crate::validate(&expr), Ok(()), "{query}");
        assert_eq!(parse(&expr.to_string()), Ok(expr));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_it_panic(text: String, soup in proptest::collection::vec(proptest::sample::select(WORDS), 0..30)) {
        for text in [text, soup.join(" "), soup.concat()] {
            if let Ok(expr) = parse(&text) {
                drop((crate::pretty(&expr), crate::validate(&expr)));
            }
        }
    }
}

/// Enough of the language to get deep into the parser by chance.
const WORDS: &[&str] = &[
    "{",
    "}",
    "{a=\"b\"}",
    "{a=~\".+\"",
    "(",
    ")",
    "[5m]",
    "[",
    "|",
    "|=",
    "!=",
    "|~",
    "!~",
    "|>",
    "=",
    "==",
    ">",
    ",",
    "\"x\"",
    "`y`",
    "x",
    "5",
    "-",
    "1.5s",
    "3KB",
    "or",
    "and",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "bool",
    "offset",
    "json",
    "logfmt",
    "--strict",
    "regexp",
    "pattern",
    "unpack",
    "unwrap",
    "line_format",
    "label_format",
    "drop",
    "keep",
    "decolorize",
    "sum",
    "rate",
    "topk",
    "quantile_over_time",
    "vector",
    "label_replace",
    "variants",
    "of",
    "ip",
    "bytes",
    "#",
    "/*",
    "\\",
    "é",
    "\n",
];
