//! Loki 3.7's own parser against ours: what it took, what it printed, what it refused and how.
//!
//! Data: `tests/conformance/parser.json` of the workspace, recorded from Loki 3.7.6, an object per line:
//! `{category, query, ok, kind, string, pretty}` or `{.., ok: false, error}`; `string` is left out where
//! it equals `query`, `pretty` where it equals `string`.
//! Every case must agree: acceptance, kind, canonical text, pretty text and error text. Where Loki is
//! plainly wrong, [`WRONG_TEXT`] and [`WRONG_PRETTY`] say so, and ours is checked to be right instead.

use hub_logql::{Expr, MetricExpr, parse, pretty};

#[derive(serde::Deserialize)]
struct Case {
    category: String,
    query: String,
    ok: bool,
    kind: Option<String>,
    string: Option<String>,
    pretty: Option<String>,
    error: Option<String>,
}

/// Queries (by a part of them), and how often they are in the data, whose canonical text in Loki is
/// another query, with the reason.
const WRONG_TEXT: [(&str, usize, &str); 1] = [("1KiB", 2, "Loki prints 1KiB as 1.0kB, which is 1000 bytes, not 1024")];

/// The same for the pretty text.
const WRONG_PRETTY: [(&str, usize, &str); 7] = [
    ("1KiB", 2, "as in the canonical text"),
    ("| decolorize", 4, "Loki forgets the indentation of decolorize when it breaks lines"),
    (")) - ((rate(", 1, "Loki drops parentheses when it breaks lines: a-(b-c) becomes a-b-c"),
    (")) ^ ((", 2, "as above: a^(b>c) becomes a^b>c"),
    (")) % ((", 1, "as above"),
    (")) + ((avg", 1, "as above"),
    ("+ on () group_left", 1, "Loki drops an empty on () and its group_left, which makes another query"),
];

fn cases() -> Vec<Case> {
    let data = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/parser.json"));
    data.lines().map(|line| serde_json::from_str(line).expect("the data is an object per line")).collect()
}

fn kind(expr: &Expr) -> &'static str {
    match expr {
        Expr::Log(_) => "log",
        Expr::Metric(MetricExpr::Variants { .. }) => "variants",
        Expr::Metric(_) => "metric",
    }
}

/// Compares the texts of all accepted cases; those that differ must be the listed ones, and read back
/// to what the query says.
fn compare(recorded: impl Fn(&Case) -> String, print: impl Fn(&Expr) -> String, wrong: &[(&str, usize, &str)]) {
    let mut differing = vec![0; wrong.len()];
    for case in cases().iter().filter(|case| case.ok) {
        let expr = parse(&case.query).unwrap_or_else(|fault| panic!("{}: {fault}", case.query));
        let ours = print(&expr);
        if ours == recorded(case) {
            continue;
        }
        let listed = wrong.iter().position(|(part, _, _)| case.query.contains(part));
        let listed = listed.unwrap_or_else(|| panic!("{}\n{}\nloki: {}\nours: {ours}", case.category, case.query, recorded(case)));
        assert_eq!(parse(&ours).as_ref(), Ok(&expr), "{ours}");
        differing[listed] += 1;
    }
    let expected: Vec<usize> = wrong.iter().map(|(_, count, _)| *count).collect();
    assert_eq!(differing, expected, "the list of exceptions is out of date");
}

#[test]
fn every_query_is_taken_or_refused_as_by_loki() {
    let cases = cases();
    assert_eq!((cases.len(), cases.iter().filter(|case| case.ok).count()), (803, 734));
    for case in cases {
        match (parse(&case.query), case.error) {
            (Ok(expr), None) => assert_eq!(Some(kind(&expr)), case.kind.as_deref(), "{}", case.query),
            (Err(fault), Some(error)) => assert_eq!(fault.to_string(), error, "{}", case.query),
            (ours, loki) => panic!("{}\n{}\nours: {ours:?}\nloki: {loki:?}", case.category, case.query),
        }
    }
}

#[test]
fn canonical_text_is_lokis() {
    compare(|case| case.string.clone().unwrap_or_else(|| case.query.clone()), ToString::to_string, &WRONG_TEXT);
}

#[test]
fn pretty_text_is_lokis() {
    let recorded = |case: &Case| case.pretty.clone().or_else(|| case.string.clone()).unwrap_or_else(|| case.query.clone());
    compare(recorded, pretty, &WRONG_PRETTY);
}
