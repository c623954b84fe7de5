//! Printing reads back: generated trees, and what Loki would lose.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::ast::*;
use crate::op::*;
use crate::{parse, pretty};
use proto_model::MatchOp;

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        select(&["a", "b", "__error__", "level", "rate", "sum", "ip", "bytes", "vector", "variants", "x_1", "größe"][..]).prop_map(str::to_owned),
        "x[a-zA-Z0-9_]{0,6}",
    ]
}

fn labels() -> impl Strategy<Value = Vec<String>> {
    vec(label(), 0..3)
}

/// Valid expressions, plain ones and others, with what is hard to quote.
fn regex() -> impl Strategy<Value = String> {
    select(&["a", "a.*", ".+", "a|b", "err|warn.*", "[a-z]+\\d", "^x$", "`\\w`", "\"q\"", "(?i)foo", "a\\\\b", "", "\n|\r\\t"][..]).prop_map(str::to_owned)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    prop_oneof![
        (label(), select(&[MatchOp::Equal, MatchOp::NotEqual][..]), any::<String>()),
        (label(), select(&[MatchOp::Regex, MatchOp::NotRegex][..]), regex()),
    ]
    .prop_map(|(name, op, value)| Matcher { name, op, value })
}

fn selector() -> impl Strategy<Value = Vec<Matcher>> {
    vec(matcher(), 0..3).prop_map(|mut matchers| {
        matchers.push(Matcher { name: "app".to_owned(), op: MatchOp::NotEqual, value: String::new() });
        matchers
    })
}

fn number() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    prop_oneof![any::<i32>().prop_map(f64::from), (-1000..1000).prop_map(|n| f64::from(n) / 8.0), POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO]
}

fn cmp() -> impl Strategy<Value = CmpOp> {
    select(&[CmpOp::Equal, CmpOp::NotEqual, CmpOp::Greater, CmpOp::GreaterOrEqual, CmpOp::Less, CmpOp::LessOrEqual][..])
}

fn label_filter() -> impl Strategy<Value = LabelFilter> {
    let test = prop_oneof![
        matcher().prop_map(LabelFilter::Matcher),
        (label(), cmp(), number()).prop_map(|(name, op, value)| LabelFilter::Number { name, op, value }),
        (label(), cmp(), (i64::MIN + 1)..i64::MAX).prop_map(|(name, op, value_ns)| LabelFilter::Duration { name, op, value_ns }),
        (label(), cmp(), any::<u64>(), 0..64_u32).prop_map(|(name, op, value, shift)| LabelFilter::Bytes { name, op, value: value >> shift }),
        (label(), any::<bool>(), any::<String>()).prop_map(|(name, not, pattern)| LabelFilter::Ip { name, not, pattern }),
    ];
    test.prop_recursive(4, 12, 2, |inner| {
        let pair = (inner.clone(), inner).prop_map(|(left, right)| (Box::new(left), Box::new(right)));
        (any::<bool>(), pair).prop_map(|(and, (left, right))| if and { LabelFilter::And(left, right) } else { LabelFilter::Or(left, right) })
    })
}

fn line_filter() -> impl Strategy<Value = LineFilter> {
    let ops = [LineOp::Contains, LineOp::NotContains, LineOp::Match, LineOp::NotMatch, LineOp::Pattern, LineOp::NotPattern];
    let term = prop_oneof![any::<String>().prop_map(LineTerm::Text), any::<String>().prop_map(LineTerm::Ip)];
    (select(ops.to_vec()), vec(term, 1..4)).prop_map(|(op, mut terms)| {
        terms.truncate(if op.is_negated() { 1 } else { 3 });
        LineFilter { op, terms }
    })
}

fn stage() -> impl Strategy<Value = Stage> {
    let extractions = || vec((label(), any::<String>()).prop_map(|(name, path)| Extraction { name, path }), 0..3);
    let pick = prop_oneof![label().prop_map(LabelPick::Name), matcher().prop_map(LabelPick::Matcher)];
    let value = prop_oneof![label().prop_map(LabelFormatValue::Rename), any::<String>().prop_map(LabelFormatValue::Template)];
    let format = (label(), value).prop_map(|(name, value)| LabelFormat { name, value });
    prop_oneof![
        line_filter().prop_map(Stage::LineFilter),
        line_filter().prop_map(Stage::LineFilter),
        extractions().prop_map(|expressions| Stage::Json { expressions }),
        (any::<bool>(), any::<bool>(), extractions()).prop_map(|(strict, keep_empty, expressions)| Stage::Logfmt { strict, keep_empty, expressions }),
        select(&["<a>", "<_> \"<b>\" \n", "`<x1>` <y"][..]).prop_map(|source| Stage::Pattern(source.to_owned())),
        select(&["(?P<a>.*)", "`\"(?<b>\\d+)\""][..]).prop_map(|source| Stage::Regexp(source.to_owned())),
        label_filter().prop_map(Stage::LabelFilter),
        any::<String>().prop_map(Stage::LineFormat),
        vec(format, 1..3).prop_map(Stage::LabelFormat),
        vec(pick.clone(), 1..3).prop_map(Stage::Drop),
        vec(pick, 1..3).prop_map(Stage::Keep),
        Just(Stage::Unpack),
        Just(Stage::Decolorize),
    ]
}

/// `drop x != "y"` is one stage; no text has it as two.
fn can_follow(before: &Stage, stage: &Stage) -> bool {
    let ends_in_name = matches!(before, Stage::Drop(picks) | Stage::Keep(picks) if matches!(picks.last(), Some(LabelPick::Name(_))));
    let begins_as_matcher = matches!(stage, Stage::LineFilter(LineFilter { op: LineOp::NotContains | LineOp::NotMatch, .. }));
    !(ends_in_name && begins_as_matcher)
}

fn log() -> impl Strategy<Value = LogExpr> {
    (selector(), vec(stage(), 0..5)).prop_map(|(matchers, all)| {
        let mut stages: Vec<Stage> = Vec::new();
        for stage in all {
            if stages.last().is_none_or(|before| can_follow(before, &stage)) {
                stages.push(stage);
            }
        }
        LogExpr { matchers, stages }
    })
}

fn log_range() -> impl Strategy<Value = LogRange> {
    let conversion = option::of(select(UnwrapConversion::ALL));
    let unwrap = (label(), conversion, vec(label_filter(), 0..3)).prop_map(|(label, conversion, filters)| Unwrap { label, conversion, filters });
    let range_ns = (0..9_000_000_000_000_i64).prop_map(|ms| ms * 1_000_000);
    (log(), range_ns, prop_oneof![Just(0), (i64::MIN + 1)..i64::MAX], option::of(unwrap)).prop_map(|(log, range_ns, offset_ns, unwrap)| LogRange {
        log,
        range_ns,
        offset_ns,
        unwrap,
    })
}

fn grouping() -> impl Strategy<Value = Grouping> {
    (any::<bool>(), labels()).prop_map(|(without, labels)| Grouping { without, labels })
}

fn range() -> impl Strategy<Value = MetricExpr> {
    (select(RangeOp::ALL), number(), log_range(), option::of(grouping()), label()).prop_map(|(op, param, mut range, grouping, label)| {
        use RangeOp::*;
        match op {
            CountOverTime | BytesRate | BytesOverTime => range.unwrap = None,
            Rate | AbsentOverTime => {}
            RateCounter | SumOverTime | AvgOverTime | MinOverTime | MaxOverTime | StdvarOverTime | StddevOverTime | QuantileOverTime | FirstOverTime
            | LastOverTime => {
                range.unwrap.get_or_insert(Unwrap { label, conversion: None, filters: Vec::new() });
            }
        }
        let grouping = grouping.filter(|_| !matches!(op, CountOverTime | BytesRate | BytesOverTime | Rate | AbsentOverTime | SumOverTime | RateCounter));
        MetricExpr::Range { op, param: (op == QuantileOverTime).then_some(param.abs()), range, grouping }
    })
}

fn matching() -> impl Strategy<Value = Option<VectorMatching>> {
    let group = option::of(select(&[GroupSide::Left, GroupSide::Right][..]));
    option::of((any::<bool>(), labels(), group, labels()).prop_map(|(on, labels, group, mut include)| {
        if group.is_none() {
            include.clear();
        }
        VectorMatching { on, labels, group, include }
    }))
    .prop_map(|matching| matching.filter(|m| m.on || !m.labels.is_empty() || m.group.is_some()))
}

fn vector(inner: MetricExpr, op: VectorOp, count: u32, grouping: Option<Grouping>) -> MetricExpr {
    let counted = matches!(op, VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk);
    let grouped = !matches!(op, VectorOp::ApproxTopk | VectorOp::Sort | VectorOp::SortDesc);
    let grouping = grouping.filter(|grouping| grouped && !grouping.is_by_nothing());
    MetricExpr::Vector { op, param: counted.then_some(f64::from(count)), inner: Box::new(inner), grouping }
}

fn binary(left: MetricExpr, op: BinOp, right: MetricExpr, matching: Option<VectorMatching>, return_bool: bool) -> MetricExpr {
    // Literals fold, or are refused by set operators.
    let unfolded = |expr| if let MetricExpr::Literal(value) = expr { MetricExpr::VectorLiteral(value.abs()) } else { expr };
    let (left, right) = if op.is_set() { (unfolded(left), unfolded(right)) } else { (left, right) };
    let left = if matches!(right, MetricExpr::Literal(_)) { unfolded(left) } else { left };
    MetricExpr::Binary { op, left: Box::new(left), right: Box::new(right), matching, return_bool }
}

fn metric() -> impl Strategy<Value = MetricExpr> {
    let leaf = prop_oneof![
        4 => range(),
        1 => number().prop_map(MetricExpr::Literal),
        1 => number().prop_map(|value| MetricExpr::VectorLiteral(value.abs())),
    ];
    leaf.prop_recursive(4, 10, 2, |inner| {
        prop_oneof![
            (inner.clone(), select(VectorOp::ALL), 1..u32::MAX, option::of(grouping()))
                .prop_map(|(inner, op, count, grouping)| vector(inner, op, count, grouping)),
            (inner.clone(), select(BinOp::ALL), inner.clone(), matching(), any::<bool>()).prop_map(|(left, op, right, matching, return_bool)| binary(
                left,
                op,
                right,
                matching,
                return_bool
            )),
            (inner, any::<String>(), any::<String>(), any::<String>(), regex()).prop_map(|(inner, dst, replacement, src, regex)| MetricExpr::LabelReplace {
                inner: Box::new(inner),
                dst,
                replacement,
                src,
                regex
            }),
        ]
    })
}

fn expr() -> impl Strategy<Value = Expr> {
    prop_oneof![
        3 => log().prop_map(Expr::Log),
        3 => metric().prop_map(Expr::Metric),
        1 => (vec(metric(), 1..3), log_range()).prop_map(|(variants, of)| Expr::Metric(MetricExpr::Variants { variants, of })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_printed_parses_to_the_same_tree(expr in expr()) {
        for text in [expr.to_string(), pretty(&expr)] {
            match parse(&text) {
                Ok(again) => prop_assert_eq!(&again, &expr, "{}", text),
                Err(fault) => prop_assert!(false, "{fault}\n{text}"),
            }
        }
    }
}

#[test]
fn prints_what_lokis_own_text_would_lose() {
    for (written, printed) in [
        ("{a=\"b\"} | x>1KiB", "{a=\"b\"} | x>1KiB"),
        ("vector(0.0000001)", "vector(0.0000001)"),
        ("vector(1) * on(a) group_left() (vector(2) + vector(3))", "(vector(1.000000) * on (a) group_left () (vector(2.000000) + vector(3.000000)))"),
        ("vector(1) * ignoring() group_left vector(2)", "(vector(1.000000) * ignoring () group_left vector(2.000000))"),
        ("{größe=\"b\"}", "{größe=\"b\"}"),
        ("{a=\"b\"} | x=~\"`.\"", "{a=\"b\"} | x=~\"`.\""),
    ] {
        assert_eq!(parse(written).unwrap().to_string(), printed);
    }
}

#[test]
fn breaks_long_texts_into_lines() {
    let long = "x".repeat(90);
    let query = format!("sum by (a, b) (topk(3, rate({{a=\"{long}\"}} |= \"1\" != \"2\" | json | y>1 [5m] offset 90m)))");
    let lines = format!(
        "sum by (a, b)(\n  topk(\n    3,\n    rate(\n      {{a=\"{long}\"}}\n        |= \"1\" != \"2\"\n        | json\n        | y>1 [5m] offset 1h30m\n    )\n  )\n)"
    );
    assert_eq!(pretty(&parse(&query).unwrap()), lines);
    let query = format!("vector(1) - (vector(2) - label_replace(vector(3), \"{long}\", \"b\", \"c\", \"d\"))");
    let lines = format!(
        "  vector(1.000000)\n-\n  (\n      vector(2.000000)\n    -\n      label_replace(\n        vector(3.000000),\n        \"{long}\",\n        \"b\",\n        \"c\",\n        \"d\"\n      )\n  )"
    );
    assert_eq!(pretty(&parse(&query).unwrap()), lines);
}
