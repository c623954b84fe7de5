//! Against answers of Loki.

use crate::{parse, validate};

/// Answers of Loki's engine when it builds the pipelines of these queries.
#[test]
fn stages_that_cannot_be_built_are_refused_as_by_loki() {
    for (stage, reason) in [
        (r#"|~ "(""#, "error parsing regexp: missing closing ): `(`"),
        (r#"|~ "(?=x)""#, "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"),
        (r#"|= ip("10.0.0.x")"#, "ip: invalid pattern: \"10.0.0.x\""),
        (r#"!= ip("1.2.3.4/33")"#, "ip: invalid pattern: \"1.2.3.4/33\""),
        (r#"|= ip("1.2.3.9-1.2.3.4")"#, "ip: invalid pattern: \"1.2.3.9-1.2.3.4\""),
        (r#"|~ ip("1.2.3.4")"#, "ip: invalid operation"),
        (r#"| x=ip("foo")"#, "ip: invalid pattern: \"foo\""),
        (r#"|> "<a><b>""#, "found consecutive capture '<a><b>': invalid expression"),
        (r#"!> "x <a>""#, "named captures are not allowed: found '<a>'"),
        (r#"| json x="..""#, "cannot parse expression [..]: syntax error: unexpected DOT, expecting LSB or FIELD"),
        (r#"| logfmt d="dash-key""#, "cannot parse expression [dash-key]: unexpected char -"),
        ("| label_format x=y,x=z", "multiple label name 'x' not allowed in a single format operation"),
        ("| label_format __error__=x", "__error__ cannot be formatted"),
    ] {
        let expr = parse(&format!("{{a=\"b\"}} {stage}")).unwrap();
        assert_eq!(validate(&expr).unwrap_err().to_string(), format!("parse error : stage '{stage}' : {reason}"));
        let metric = parse(&format!("1 + sum(rate({{a=\"b\"}} {stage} [5m]))")).unwrap();
        assert_eq!(validate(&metric).unwrap_err().to_string(), format!("parse error : stage '{stage}' : {reason}"));
    }
}

#[test]
fn filters_behind_unwrap_are_judged_too() {
    let expr = parse(r#"sum_over_time({a="b"} | unwrap x | y="1" or z=ip("q") [5m])"#).unwrap();
    assert_eq!(validate(&expr).unwrap_err().to_string(), r#"parse error : stage '| ( y="1" or z=ip("q") )' : ip: invalid pattern: "q""#);
}

#[test]
fn stages_that_can_be_built_pass() {
    for stage in [
        r#"|~ "a{2}" !~ "\\d""#,
        r#"|= ip("1.2.3.4") or ip("::1/64") != ip("1.1.1.1-1.1.1.9")"#,
        r#"|> "<_>a<_> <b c>" !> "no captures""#,
        r#"| json x="a.b[0]", y | logfmt --strict z="\"odd key\"""#,
        r#"| label_format x=y, y="{{.x}}""#,
    ] {
        assert_eq!(validate(&parse(&format!("{{a=\"b\"}} {stage}")).unwrap()), Ok(()), "{stage}");
    }
}

#[test]
fn senseless_queries_are_refused_as_by_loki() {
    let unwrapped = r#"{a="b"} | unwrap x [5m]"#;
    let plain = r#"{a="b"}[5m]"#;
    for (query, reason) in [
        (format!("bytes_over_time({unwrapped})"), "invalid aggregation bytes_over_time with unwrap"),
        (format!("avg_over_time({plain})"), "invalid aggregation avg_over_time without unwrap"),
        (format!("rate({plain}) by (x)"), "grouping not allowed for rate aggregation"),
        (format!("sum_over_time({plain}) by (x)"), "grouping not allowed for sum_over_time aggregation"),
        (format!("rate(5, {plain})"), "parameter 5 not supported for operation rate"),
        (format!("quantile_over_time({unwrapped})"), "parameter required for operation quantile_over_time"),
        (format!("topk(rate({plain}))"), "parameter required for operation topk"),
        (format!("topk(0, rate({plain}))"), "invalid parameter (must be greater than 0) topk(0"),
        (format!("bottomk(1e0, rate({plain}))"), "invalid parameter bottomk(1e0,"),
        (format!("avg(5, rate({plain}))"), "unsupported parameter for operation avg(5,"),
        (format!("approx_topk by (x) (5, rate({plain}))"), "grouping not allowed for approx_topk aggregation"),
        (format!("sort(rate({plain})) by (x)"), "sort and sort_desc doesn't allow grouping by "),
        ("vector(1) and 1".to_owned(), "unexpected literal for right leg of logical/set binary operation (and): 1.000000"),
        ("1 unless vector(1)".to_owned(), "unexpected literal for left leg of logical/set binary operation (unless): 1.000000"),
        (r#"1 + {a="b"} |= "x""#.to_owned(), "unexpected type for right leg of binary operation (+): *syntax.PipelineExpr"),
        (r#"{a="b"} | regexp "a""#.to_owned(), "invalid regexp parser: at least one named capture must be supplied"),
        (r#"{a="b"} | regexp "(?P<a>x)|(?P<a>y)""#.to_owned(), "invalid regexp parser: duplicate extracted label name 'a'"),
        (r#"{a="b"} | pattern "<_> x""#.to_owned(), "invalid pattern parser: at least one capture is required"),
        (r#"{a="b"} | pattern "<a><_>""#.to_owned(), "invalid pattern parser: found consecutive capture '<a><_>': invalid expression"),
        (r#"{a="b"} | pattern "<a> <a>""#.to_owned(), "invalid pattern parser: duplicate capture name (a): invalid expression"),
        (r#"{a="b"} | x=~"[""#.to_owned(), "error parsing regexp: missing closing ]: `[`"),
        (r#"{a="b"} | drop x!~"a**""#.to_owned(), "error parsing regexp: invalid nested repetition operator: `**`"),
        (r#"label_replace(vector(1), "a", "b", "c", "(")"#.to_owned(), "invalid regex in label_replace: error parsing regexp: missing closing ): `^(?:()$`"),
    ] {
        assert_eq!(parse(&query).unwrap_err().to_string(), format!("parse error : {reason}"), "{query}");
    }
}

#[test]
fn a_syntax_error_is_named_before_a_senseless_part() {
    assert_eq!(parse(r#"sum(5, rate({a="b"}[5m])) by ("#).unwrap_err().position(), Some((1, 31)));
    assert_eq!(parse("{} |").unwrap_err().position(), Some((1, 5)));
}
