//! What breaks Grafana: a test for each trap of its data source, its alert pages and its tail, by number.
//!
//! Each asks the hub as that client does and reads the answer as strictly as it does.

use serde_json::{Value, json};

use crate::site::{SECOND, Site, lines, read_as_grafana};

const LOGS: &str = "/loki/api/v1/query_range";

#[tokio::test(flavor = "multi_thread")]
async fn trap_01_the_encoding_flags_stand_before_the_result() {
    let site = Site::shared().await;
    let (_, text) = site.get(&site.grafana(), LOGS, &[("query", "{app=\"web\"} | json"), ("direction", "backward"), ("step", "1000ms")]).await;
    assert!(text.find("\"encodingFlags\":[\"categorize-labels\"]").unwrap() < text.find("\"result\"").unwrap(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_02_flag_and_third_element_go_together() {
    let site = Site::shared().await;
    for query in ["{app=\"web\"}", "{app=\"db\"}", "{app=\"web\"} | json", "{app=\"nothing\"}"] {
        for (ask, categorized) in [(site.grafana(), true), (site.reader(), false)] {
            let (status, text) = site.get(&ask, LOGS, &[("query", query)]).await;
            assert_eq!(status, 200, "{text}");
            read_as_grafana(&text, categorized);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_03_the_third_element_holds_two_maps_of_strings() {
    let site = Site::shared().await;
    let answer = site.range("{app=\"web\"} | json | label_format n=\"{{ add 1 2 }}\" | line_format \"x\"", &[]).await;
    let third = &answer["data"]["result"][0]["values"][0][2];
    assert!(third["structuredMetadata"]["trace_id"].is_string() && third["parsed"]["status"].is_string() && third["parsed"]["n"] == "3", "{third}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_04_a_stream_has_its_labels_then_its_values() {
    let site = Site::shared().await;
    let (_, text) = site.get(&site.grafana(), LOGS, &[("query", "{app=\"web\"}")]).await;
    let first = text.find("\"result\":[{").unwrap();
    assert!(text[first..].starts_with("\"result\":[{\"stream\":{"), "{}", &text[first..first + 80]);
    read_as_grafana(&text, true);
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_05_times_of_lines_are_strings_and_points_are_number_and_string() {
    let site = Site::shared().await;
    let answer = site.range("sum(count_over_time({app=\"web\"}[1m])) / 0", &[]).await;
    assert_eq!(answer["data"]["result"][0]["values"][0][1], "NaN");
    for (query, expected) in [("vector(1) * 1e308 * 1e308", "+Inf"), ("(0 - vector(1)) * 1e308 * 1e308", "-Inf"), ("vector(0.1)", "0.1")] {
        let samples = site.instant(query).await;
        assert_eq!(samples[0]["value"][1], expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_06_warnings_are_a_list_or_not_there() {
    let site = Site::shared().await;
    for query in ["{app=\"web\"}", "sum(rate({app=\"web\"}[1m]))", "{app=\"nothing\"}"] {
        let (_, text) = site.get(&site.grafana(), LOGS, &[("query", query)]).await;
        assert!(!text.contains("\"warnings\":null"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_07_there_is_always_data_with_a_type() {
    let site = Site::shared().await;
    let answer = site.range("{app=\"nothing\"}", &[]).await;
    assert_eq!((&answer["data"]["resultType"], &answer["data"]["result"]), (&json!("streams"), &json!([])));
    let answer = site.range("sum(rate({app=\"nothing\"}[1m]))", &[]).await;
    assert_eq!((&answer["data"]["resultType"], &answer["data"]["result"]), (&json!("matrix"), &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_08_each_name_is_in_one_place_only() {
    let site = Site::shared().await;
    for query in ["{app=\"web\"} | json", "{app=\"web\"} | label_format app=\"x\", trace_id=\"y\"", "{app=\"web\"} | label_format meta=cluster"] {
        let answer = site.range(query, &[]).await;
        for stream in answer["data"]["result"].as_array().unwrap() {
            for value in stream["values"].as_array().unwrap() {
                let mut names: Vec<&String> = stream["stream"].as_object().unwrap().keys().collect();
                names.extend(value[2].as_object().unwrap().values().flat_map(|labels| labels.as_object().unwrap().keys()));
                let all = names.len();
                names.sort();
                names.dedup();
                assert_eq!(names.len(), all, "{query}: {stream}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_09_without_the_flag_all_labels_are_in_the_stream() {
    let site = Site::shared().await;
    let (_, text) = site.get(&site.reader(), LOGS, &[("query", "{app=\"web\"} | json")]).await;
    let answer = read_as_grafana(&text, false);
    let stream = &answer["data"]["result"][0]["stream"];
    assert!(stream["app"] == "web" && stream["trace_id"].is_string() && stream["status"].is_string() && stream["detected_level"].is_string(), "{stream}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_10_the_health_check_gives_two() {
    let site = Site::shared().await;
    let (status, text) =
        site.grafana().text("/loki/api/v1/query", &[("query", "vector(1)+vector(1)"), ("time", "4000000000"), ("direction", "backward")]).await;
    let answer = read_as_grafana(&text, true);
    assert_eq!((status, answer["data"]["result"].as_array().unwrap().len()), (200, 1));
    assert_eq!(answer["data"]["result"][0]["value"][1], "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_11_an_instant_log_query_is_refused_in_lokis_words() {
    let site = Site::shared().await;
    let (status, text) = site.grafana().text("/loki/api/v1/query", &[("query", "{app=\"web\"}")]).await;
    assert_eq!(status, 400);
    assert!(text.starts_with("log queries are not supported as an instant query type, please change your query to a range query type"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_12_errors_are_plain_text() {
    let site = Site::shared().await;
    for (path, parameters) in [
        (LOGS, [("query", "{"), ("limit", "10")]),
        (LOGS, [("query", "{app=\"web\"}"), ("limit", "-1")]),
        ("/loki/api/v1/labels", [("start", "x"), ("end", "1")]),
    ] {
        let response = site.grafana().get(path, &parameters).await.unwrap();
        assert_eq!(response.status().as_u16(), 400);
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let text = response.text().await.unwrap();
        assert!(!text.trim().is_empty() && !text.starts_with('{'), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_13_errors_are_never_compressed() {
    let site = Site::shared().await;
    let gzip = site.grafana().with_header("Accept-Encoding", "gzip, deflate, br, zstd");
    for (path, query, expected) in [(LOGS, "{", 400), (LOGS, "{app=\"web\"} | json x=", 400), ("/nothing", "", 404), ("/loki/api/v1/series", "{", 400)] {
        let response = gzip.get(path, &[("query", query), ("match[]", query)]).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{path}");
        assert!(response.headers().get("content-encoding").is_none(), "{path}");
        assert!(String::from_utf8(response.bytes().await.unwrap().to_vec()).is_ok(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_14_the_wording_that_clients_look_for() {
    let site = Site::shared().await;
    let text = |query: &'static str| {
        let site = &site;
        async move { site.get(&site.grafana(), LOGS, &[("query", query)]).await.1 }
    };
    assert!(text("{app=").await.starts_with("parse error at line 1, col "));
    // None of these may look like a timeout, which is asked again.
    for query in ["{app=", "{}", "{app=\"web\"} | unwrap x", "sum(rate({app=\"web\"} | json | unwrap msg [1m]))"] {
        let text = text(query).await;
        assert!(!text.contains("timeout") && !text.contains("timed out"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_15_drilldown_limits_have_a_limits_object() {
    let site = Site::shared().await;
    let answer = site.reader().json("/loki/api/v1/drilldown-limits", &[]).await;
    assert!(answer["limits"].is_object() && answer["limits"]["retention_period"].is_string(), "{answer}");
    assert!(answer["limits"]["max_entries_limit_per_query"].is_number() && answer["version"].is_string(), "{answer}");
    assert_eq!(answer["pattern_ingester_enabled"], true, "{answer}");
    assert_eq!(site.reader().text("/loki/api/v1/nothing", &[]).await, (404, "404 page not found\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_16_fields_and_values_are_not_below_data() {
    let site = Site::shared().await;
    for (path, key) in [("/loki/api/v1/detected_fields", "fields"), ("/loki/api/v1/detected_field/status/values", "values")] {
        let (status, text) = site.get(&site.reader(), path, &[("query", "{app=\"web\"}"), ("limit", "1000")]).await;
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer.get("data").is_none() && !answer[key].as_array().unwrap().is_empty(), "{text}");
    }
}

async fn fields(site: &Site, query: &str) -> Vec<Value> {
    let (status, text) = site.get(&site.reader(), "/loki/api/v1/detected_fields", &[("query", query), ("limit", "1000")]).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["fields"].as_array().cloned().unwrap_or_default()
}

fn field<'f>(fields: &'f [Value], name: &str) -> &'f Value {
    fields.iter().find(|field| field["label"] == name).unwrap_or_else(|| panic!("no {name} in {fields:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_17_parsers_are_null_for_metadata() {
    let site = Site::shared().await;
    let all = fields(&site, "{app=\"web\"}").await;
    for name in ["trace_id", "detected_level"] {
        assert!(field(&all, name).as_object().unwrap().get("parsers").is_some_and(Value::is_null), "{all:?}");
    }
    assert_eq!(field(&all, "status")["parsers"], json!(["json"]));
    assert_eq!(field(&fields(&site, "{app=\"db\"}").await, "rows")["parsers"], json!(["logfmt"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_18_types_are_right_and_json_has_its_path() {
    let site = Site::shared().await;
    let all = fields(&site, "{app=\"web\"}").await;
    for (name, kind) in [("status", "int"), ("dur", "duration"), ("size", "bytes"), ("ratio", "float"), ("ok", "boolean"), ("msg", "string")] {
        assert_eq!(field(&all, name)["type"], kind, "{name}: {all:?}");
    }
    assert_eq!(field(&all, "a_b")["jsonPath"], json!(["a", "b"]));
    assert!(field(&fields(&site, "{app=\"db\"}").await, "dur").get("jsonPath").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_19_empty_answers_are_as_lokis() {
    let site = Site::shared().await;
    let old = [("start", "1000000000000000000"), ("end", "1000000001000000000")];
    for (path, parameters, expected) in [
        ("/loki/api/v1/label/nothing/values", &[][..], json!({"status": "success"})),
        ("/loki/api/v1/series", &[("match[]", "{app=\"nothing\"}")][..], json!({"status": "success", "data": []})),
        ("/loki/api/v1/detected_labels", &[("query", "{app=\"nothing\"}")][..], json!({})),
        ("/loki/api/v1/detected_fields", &[("query", "{app=\"nothing\"}")][..], json!({})),
        ("/loki/api/v1/patterns", &[("query", "{app=\"nothing\"}")][..], json!({"status": "success", "data": []})),
    ] {
        let (status, text) = site.get(&site.reader(), path, &[parameters, &old].concat()).await;
        assert_eq!((status, serde_json::from_str::<Value>(&text).unwrap()), (200, expected), "{path}");
    }
    let (status, text) = site.get(&site.reader(), "/loki/api/v1/labels", &old).await;
    assert_eq!(status, 200);
    assert!(matches!(serde_json::from_str::<Value>(&text).unwrap().get("data"), None | Some(Value::Array(_))), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_20_detected_labels_of_an_empty_query_are_all() {
    let site = Site::shared().await;
    for query in ["", "{}"] {
        let (status, text) = site.get(&site.reader(), "/loki/api/v1/detected_labels", &[("query", query)]).await;
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let all = answer["detectedLabels"].as_array().unwrap();
        let cardinality = |name: &str| all.iter().find(|label| label["label"] == name).map(|label| label["cardinality"].clone());
        assert_eq!((cardinality("app"), cardinality("cluster"), cardinality("service_name")), (Some(json!(3)), Some(json!(2)), Some(json!(3))), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_21_volume_is_by_the_labels_of_the_selector() {
    let site = Site::shared().await;
    for query in ["{service_name=~`.+`}", "{service_name=~`(?i).*WEB.*|db`}"] {
        let (status, text) = site.get(&site.reader(), "/loki/api/v1/index/volume", &[("query", query), ("limit", "5000")]).await;
        assert_eq!(status, 200, "{text}");
        let answer = read_as_grafana(&text, false);
        let result = answer["data"]["result"].as_array().unwrap();
        let mut names: Vec<&str> = result.iter().map(|series| series["metric"]["service_name"].as_str().unwrap()).collect();
        let bytes: Vec<u64> = result.iter().map(|series| series["value"][1].as_str().unwrap().parse().unwrap()).collect();
        assert!(bytes.is_sorted_by(|a, b| a >= b) && bytes.iter().all(|bytes| *bytes > 0), "{text}");
        assert!(result.iter().all(|series| series["metric"].as_object().unwrap().len() == 1), "{text}");
        names.sort_unstable();
        assert_eq!(names, if query.contains('+') { vec!["db", "odd", "web"] } else { vec!["db", "web"] }, "each service once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_22_service_name_and_detected_level_are_everywhere() {
    let site = Site::shared().await;
    let volume = site.range("sum by (service_name, detected_level) (count_over_time({service_name=\"web\"}[1m]))", &[]).await;
    let levels: Vec<&Value> = volume["data"]["result"].as_array().unwrap().iter().map(|series| &series["metric"]["detected_level"]).collect();
    assert_eq!(levels.len(), 3, "{volume}");
    let filtered = site.range("{service_name=\"web\"} | detected_level=\"error\" or detected_level=\"warn\"", &[]).await;
    assert_eq!(lines(&filtered).len(), 40);
    let value = &filtered["data"]["result"][0]["values"][0][2]["structuredMetadata"]["detected_level"];
    assert!(value == "error" || value == "warn", "it is metadata: {filtered}");
    let (_, text) =
        site.get(&site.reader(), "/loki/api/v1/detected_field/detected_level/values", &[("query", "{service_name=\"web\"}"), ("limit", "1000")]).await;
    let mut values: Vec<String> = serde_json::from_value(serde_json::from_str::<Value>(&text).unwrap()["values"].clone()).unwrap();
    values.sort();
    assert_eq!(values, ["error", "info", "warn"]);
    let (_, text) = site.get(&site.reader(), "/loki/api/v1/labels", &[]).await;
    assert!(text.contains("service_name") && !text.contains("detected_level"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_23_names_in_paths_are_decoded() {
    let site = Site::shared().await;
    let (_, plain) = site.get(&site.reader(), "/loki/api/v1/label/app/values", &[]).await;
    let (status, encoded) = site.get(&site.reader(), "/loki/api/v1/label/%61pp/values", &[]).await;
    assert_eq!((status, &encoded), (200, &plain));
    let (status, text) = site.get(&site.reader(), "/loki/api/v1/detected_field/a%5Fb/values", &[("query", "{app=\"web\"}")]).await;
    assert!(status == 200 && text.contains("v1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_24_a_hub_without_a_ruler_shows_empty_rule_lists() {
    let site = Site::shared().await;
    let rules = site.reader().json("/prometheus/api/v1/rules", &[("exclude_alerts", "true"), ("group_limit", "40")]).await;
    assert_eq!((&rules["status"], &rules["data"]), (&json!("success"), &json!({"groups": []})));
    assert_eq!(site.reader().json("/prometheus/api/v1/alerts", &[]).await["data"], json!({"alerts": []}));
    let (status, text) = site.reader().text("/api/prom/rules/test/test", &[("subtype", "cortex")]).await;
    assert_eq!((status, text.as_str()), (404, "404 page not found\n"), "no ruler");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_25_no_rule_yaml_is_served_that_a_strict_reader_would_refuse() {
    let site = Site::shared().await;
    for path in ["/api/prom/rules", "/api/prom/rules/QUERY_NAMESPACE", "/api/prom/rules/a/b"] {
        for subtype in ["mimir", "cortex"] {
            let (status, text) = site.reader().text(path, &[("subtype", subtype), ("namespace", "a/b")]).await;
            assert_eq!((status, text.as_str()), (404, "404 page not found\n"), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_26_log_ranges_include_the_start_and_not_the_end() {
    let site = Site::shared().await;
    for direction in ["forward", "backward"] {
        let mut all = Vec::new();
        // Pieces that share boundaries, as the data source cuts them.
        for piece in 0..4 {
            let (start, end) = ((site.first + piece * 10 * SECOND).to_string(), (site.first + (piece + 1) * 10 * SECOND).to_string());
            let found = lines(&site.range("{app=\"web\"}", &[("start", &start), ("end", &end), ("direction", direction)]).await);
            assert_eq!(found.len(), 10, "{direction}");
            all.extend(found.into_iter().map(|(ns, _)| ns));
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 40, "{direction}: no line twice, none left out");
    }
    let first = lines(&site.range("{app=\"web\"}", &[("limit", "5"), ("direction", "forward")]).await);
    let last = lines(&site.range("{app=\"web\"}", &[("limit", "5")]).await);
    assert!(first.iter().all(|(ns, _)| *ns < site.first + 5 * SECOND) && last.iter().all(|(ns, _)| *ns >= site.first + 55 * SECOND));
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_27_metric_ranges_lie_on_the_grid_of_the_step() {
    let site = Site::shared().await;
    let step = 15 * SECOND;
    for (start, end) in [(site.first + 1, site.first + 4 * step + 1), (site.first, site.first + 4 * step)] {
        let answer = site.range("sum(count_over_time({app=\"web\"}[15s]))", &[("start", &start.to_string()), ("end", &end.to_string())]).await;
        let times: Vec<f64> = answer["data"]["result"][0]["values"].as_array().unwrap().iter().map(|point| point[0].as_f64().unwrap()).collect();
        assert!(times.iter().all(|time| time % 15.0 == 0.0), "{times:?}");
        let last_allowed = if end % step == 0 { end } else { (end / step + 1) * step };
        assert!(
            times.iter().all(|time| *time >= (start / step * step / SECOND) as f64 && *time <= (last_allowed / SECOND) as f64),
            "{times:?}: an aligned end does not grow"
        );
    }
    // Two pieces, one ending a step before the next begins, say what the whole says.
    let query = "sum(count_over_time({app=\"web\"}[15s]))";
    let at = |n: i64| (site.first + n * step).to_string();
    let points = |answer: Value| answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    let whole = points(site.range(query, &[("start", &at(0)), ("end", &at(4))]).await);
    let first = points(site.range(query, &[("start", &at(0)), ("end", &at(1))]).await);
    let second = points(site.range(query, &[("start", &at(2)), ("end", &at(4))]).await);
    assert_eq!(whole, [first, second].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_28_whole_range_queries_are_answered_in_one_piece() {
    let site = Site::shared().await;
    let samples = site.instant("sum by (app) (count_over_time({app=~\"web|db\"}[3600s]))").await;
    let found: Vec<(&str, &str)> = samples.iter().map(|sample| (sample["metric"]["app"].as_str().unwrap(), sample["value"][1].as_str().unwrap())).collect();
    assert_eq!(found, [("db", "20"), ("web", "60")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_29_missing_steps_are_left_out() {
    let site = Site::shared().await;
    let answer = site.range("sum(count_over_time({app=\"web\"}[15s]))", &[]).await;
    let points = answer["data"]["result"][0]["values"].as_array().unwrap();
    assert!(points.len() < 8 && points.iter().all(|point| point[1].is_string()), "60 s of 121 s have lines: {points:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_30_log_context_finds_the_lines_around_one() {
    let site = Site::shared().await;
    let row = site.first + 30 * SECOND;
    let ms = row / 1_000_000 * 1_000_000;
    let (at, hour) = (ms.to_string(), 3_600 * SECOND);
    let (status, text) = site.get(&site.reader(), "/loki/api/v1/labels", &[("start", &at), ("end", &at)]).await;
    assert!(status == 200 && text.contains("\"app\""), "an empty interval still has labels: {text}");
    let (status, text) = site.get(&site.reader(), "/loki/api/v1/label/app/values", &[("start", &at), ("end", &at)]).await;
    assert!(status == 200 && text.contains("web"), "{text}");
    let after = site.range("{app=\"web\"}", &[("start", &at), ("end", &(ms + 2 * hour).to_string()), ("direction", "forward"), ("limit", "10")]).await;
    let before = site.range("{app=\"web\"}", &[("start", &(ms - 2 * hour).to_string()), ("end", &at), ("direction", "backward"), ("limit", "10")]).await;
    let seconds = |answer: &Value| lines(answer).into_iter().map(|(ns, _)| (ns - site.first) / SECOND).collect::<Vec<_>>();
    assert_eq!(seconds(&after), (30..40).collect::<Vec<_>>());
    assert_eq!(seconds(&before), (20..30).rev().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_32_the_summary_of_stats_is_numbers() {
    let site = Site::shared().await;
    for query in ["{app=\"web\"} | json", "sum(rate({app=\"web\"} |= \"request\" [1m]))"] {
        let answer = site.range(query, &[]).await;
        let summary = &answer["data"]["stats"]["summary"];
        for name in ["totalBytesProcessed", "totalLinesProcessed", "bytesProcessedPerSecond", "linesProcessedPerSecond", "execTime"] {
            assert!(summary[name].is_number(), "{name}: {summary}");
        }
        assert!(summary["totalBytesProcessed"].as_u64().unwrap() > 0 && summary["execTime"].as_f64().unwrap() < 60.0, "{summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_33_no_series_with_stats_is_no_data() {
    let site = Site::shared().await;
    let answer = site.range("sum(rate({app=\"nothing\"}[1m]))", &[]).await;
    assert!(answer["data"]["result"] == json!([]) && answer["data"]["stats"]["summary"].is_object(), "{answer}");
    assert!(site.instant("sum(rate({app=\"nothing\"}[1m]))").await.is_empty());
}
