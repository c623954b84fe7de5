//! Every form of query that Logs Drilldown builds, as it writes it: doubled blanks, empty groupings, mixed parsers.

use serde_json::{Value, json};

use crate::site::{Site, lines};

const SELECTOR: &str = "{app=\"web\", cluster=~\"a|x\", env!=\"dev\"}";

#[tokio::test(flavor = "multi_thread")]
async fn logs_with_filters_of_every_kind() {
    let site = Site::shared().await;
    for (rest, expected) in [
        ("", 60),
        ("  | detected_level=\"error\" or detected_level=\"warn\" ", 40),
        (" | detected_level=\"error\" | trace_id=\"t1\"", 3),
        (" |> \"<_>request <_> from<_>\"", 60),
        (" |> \"<_>nothing<_>\" or \"<_>request 7 <_>\"", 1),
        (" !> \"<_>request 7 <_>\"", 59),
        (" |= \"request 1\" |~ \"(?i)REQUEST\" !~ \"(?i)request 10 \"", 10),
        (" | json a_b=\"[\\\"a\\\"][\\\"b\\\"]\" | a_b=\"v1\"", 12),
        (" | json | drop __error__, __error_details__ | status=\"200\" or status=\"300\"", 30),
        (" | json | drop __error__, __error_details__ | status!=\"200\" | status!=\"300\"", 30),
        (" | json | status>400", 15),
        (" | json | dur<=10ms", 11),
        (" | json | size>50KB", 9),
        (" | json | logfmt | drop __error__, __error_details__ | status=~\"5.*\" ", 15),
        (" | json | a_b=\"\"", 0),
        (" | detected_level != \"\"", 60),
        (" | meta = \"v\" | nothing=\"\"", 60),
    ] {
        let query = format!("{SELECTOR}{rest}");
        for direction in ["backward", "forward"] {
            let found = lines(&site.range(&query, &[("direction", direction)]).await);
            assert_eq!(found.len(), expected, "{query}");
        }
    }
    let shown = lines(&site.range(&format!("{SELECTOR} | json | line_format \"{{{{.a_b}}}}\""), &[("limit", "5")]).await);
    assert!(shown.iter().all(|(_, line)| line.starts_with('v')), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mixed_parsing_keeps_lines_of_neither_kind() {
    let site = Site::shared().await;
    let query = "{app=~\"web|db|odd\" } | json | logfmt | drop __error__, __error_details__";
    let answer = site.range(query, &[]).await;
    assert_eq!(lines(&answer).len(), 83);
    assert!(!answer.to_string().contains("__error"), "what a parser could not read is dropped from view");
    let marked = site.range("{app=\"odd\"} | json", &[]).await;
    assert_eq!(marked["data"]["result"][0]["values"][0][2]["parsed"]["__error__"], "JSONParserErr");
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_over_time_by_label_and_by_field() {
    let site = Site::shared().await;
    let series = |answer: &Value, name: &str| {
        let mut all: Vec<String> =
            answer["data"]["result"].as_array().unwrap().iter().map(|series| series["metric"][name].as_str().unwrap_or("").to_owned()).collect();
        all.sort();
        all
    };
    for (query, name, expected) in [
        (format!("sum(count_over_time({SELECTOR} [1m])) by (detected_level)"), "detected_level", vec!["error", "info", "warn"]),
        (
            format!("sum by (status) (count_over_time({SELECTOR} | json | drop __error__, __error_details__ | status!=\"\" [1m]))"),
            "status",
            vec!["200", "300", "400", "500"],
        ),
        (format!("sum by (trace_id) (count_over_time({SELECTOR} | trace_id!=\"\" [1m]))"), "trace_id", vec!["t0", "t1", "t2", "t3", "t4", "t5", "t6"]),
        (format!("sum by (level, detected_level) (count_over_time({SELECTOR} | drop __error__[1m]))"), "detected_level", vec!["error", "info", "warn"]),
    ] {
        assert_eq!(series(&site.range(&query, &[]).await, name), expected, "{query}");
    }
    let whole = site.instant(&format!("sum(count_over_time({SELECTOR} | json | logfmt | drop __error__, __error_details__ [3600s]))")).await;
    assert_eq!(whole[0]["value"][1], "60");
}

#[tokio::test(flavor = "multi_thread")]
async fn averages_with_an_empty_grouping() {
    let site = Site::shared().await;
    for (unwrap, expected) in [("duration(dur)", 0.0295), ("bytes(size)", 29_500.0), ("status", 350.0)] {
        let query = format!("avg_over_time({SELECTOR} | json | drop __error__, __error_details__ | unwrap {unwrap} | __error__=\"\" [3600s]) by ()");
        let samples = site.instant(&query).await;
        assert_eq!((samples.len(), &samples[0]["metric"]), (1, &json!({})), "{query}");
        let value: f64 = samples[0]["value"][1].as_str().unwrap().parse().unwrap();
        assert!((value - expected).abs() < 1e-6 * expected, "{query}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_and_their_fields() {
    let site = Site::shared().await;
    let query = "{app=\"db\"} |> `level=<_> dur=<_> rows=<_> msg=\"query <_>\"` | pattern `level=<field_1> dur=<field_2> rows=<field_3> msg=\"query <field_4>\"` | keep field_1 ,field_2 | line_format \"\"";
    let answer = site.range(query, &[]).await;
    assert!(lines(&answer).iter().all(|(_, line)| line.is_empty()) && lines(&answer).len() == 20, "{answer}");
    let parsed = &answer["data"]["result"][0]["values"][0][2]["parsed"];
    assert_eq!(parsed.as_object().unwrap().keys().collect::<Vec<_>>(), ["field_1", "field_2"]);
    let (status, text) = site.get(&site.reader(), "/loki/api/v1/patterns", &[("query", "{app=\"db\"}"), ("step", "15s")]).await;
    assert_eq!(status, 200, "{text}");
    let found = serde_json::from_str::<Value>(&text).unwrap()["data"].as_array().unwrap().clone();
    assert!(!found.is_empty(), "{text}");
    let mut all = 0;
    for pattern in &found {
        for sample in pattern["samples"].as_array().unwrap() {
            assert!(sample[0].as_i64().is_some_and(|second| second % 15 == 0) && sample[1].is_number(), "{pattern}");
            all += sample[1].as_i64().unwrap();
        }
        // What is mined can be asked for.
        let filter = format!("{{app=\"db\"}} |> `{}`", pattern["pattern"].as_str().unwrap());
        assert!(!lines(&site.range(&filter, &[]).await).is_empty(), "{filter}");
    }
    assert!(all > 0 && all <= 20, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn distributions_of_a_field() {
    let site = Site::shared().await;
    let samples = site.instant(&format!("sum by (status) (count_over_time({SELECTOR} | json | keep status [3600s]))")).await;
    let counts: Vec<&str> = samples.iter().map(|sample| sample["value"][1].as_str().unwrap()).collect();
    assert_eq!(counts, ["15", "15", "15", "15"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregated_metrics_that_are_not_there_are_empty() {
    let site = Site::shared().await;
    let query = "sum by (detected_level) (sum_over_time({__aggregated_metric__=`web` } | logfmt | unwrap count [1m]))";
    assert_eq!(site.range(query, &[("step", "10000ms")]).await["data"]["result"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn sharding_finds_no_shards() {
    let site = Site::shared().await;
    let (status, text) = site.get(&site.reader(), "/loki/api/v1/label/__stream_shard__/values", &[]).await;
    assert_eq!((status, serde_json::from_str::<Value>(&text).unwrap()), (200, json!({"status": "success"})));
    let found = lines(&site.range("{app=\"web\", __stream_shard__=\"\"}", &[]).await);
    assert_eq!(found.len(), 60, "streams without shards");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_the_builder_offers_runs() {
    let site = Site::shared().await;
    for function in ["rate", "bytes_rate", "bytes_over_time", "count_over_time", "absent_over_time"] {
        site.range(&format!("{function}({SELECTOR} [1m])"), &[]).await;
    }
    for function in [
        "rate",
        "rate_counter",
        "sum_over_time",
        "avg_over_time",
        "min_over_time",
        "max_over_time",
        "first_over_time",
        "last_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "absent_over_time",
    ] {
        site.range(&format!("{function}({SELECTOR} | json | unwrap status [1m])"), &[]).await;
    }
    site.range(&format!("quantile_over_time(0.95, {SELECTOR} | json | unwrap duration_seconds(dur) [1m])"), &[]).await;
    for aggregation in ["sum", "avg", "min", "max", "count", "stddev", "stdvar", "topk", "bottomk"] {
        let k = if aggregation.ends_with('k') { "3, " } else { "" };
        site.range(&format!("{aggregation} by (trace_id) ({k}rate({SELECTOR} [1m]))"), &[]).await;
    }
    for stage in [
        "| json",
        "| logfmt --strict --keep-empty",
        "| regexp \"(?P<n>\\\\d+)\"",
        "| pattern \"<a> <_>\"",
        "| unpack",
        "| decolorize",
        "| drop app",
        "| keep app",
        "| label_format x=app",
        "|= ip(\"10.0.0.0/8\")",
        "| json | addr=ip(\"10.0.0.1\")",
    ] {
        site.range(&format!("{SELECTOR} {stage}"), &[]).await;
    }
    for binary in ["+ on (app)", "- ignoring (env)", "* on (app) group_left (cluster)", "> bool", "and", "or", "unless", "== on (app)"] {
        site.range(&format!("sum by (app) (rate({{app=~\"web|db\"}}[1m])) {binary} sum by (app) (rate({{app=~\"web|db\"}}[1m]))"), &[]).await;
    }
}
