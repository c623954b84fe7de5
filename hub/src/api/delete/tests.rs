//! Deletes as their clients see them, on a whole hub.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::api::rig::Hub;

async fn send(hub: &Hub, role: &str, method: &str, params: &[(&str, &str)], scope: Option<&str>) -> (u16, String) {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    let mut request = Request::builder().method(method).uri(format!("/loki/api/v1/delete?{query}"));
    if let Some(scope) = scope {
        request = request.header("x-scope-orgid", scope);
    }
    let (status, body) = hub.send(role, request, Body::empty()).await;
    (status, String::from_utf8(body).unwrap())
}

async fn operate(hub: &Hub, method: &str, params: &[(&str, &str)]) -> (u16, String) {
    send(hub, "operator", method, params, Some("acme")).await
}

async fn lines(hub: &Hub, query: &str) -> Vec<String> {
    let answer = hub.get("/loki/api/v1/query_range", &[("query", query), ("limit", "100")]).await;
    let streams = answer["data"]["result"].as_array().unwrap().iter().flat_map(|stream| stream["values"].as_array().unwrap().clone());
    let mut lines: Vec<String> = streams.map(|value| value[1].as_str().unwrap().to_owned()).collect();
    lines.sort();
    lines
}

async fn counted(hub: &Hub, query: &str) -> f64 {
    let answer = hub.get("/loki/api/v1/query", &[("query", query)]).await;
    answer["data"]["result"].as_array().unwrap().iter().map(|series| series["value"][1].as_str().unwrap().parse::<f64>().unwrap()).sum()
}

async fn listed(hub: &Hub) -> Vec<Value> {
    let (status, body) = send(hub, "reader", "GET", &[], None).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn what_is_deleted_is_gone_from_lines_counts_and_names_and_comes_back_when_called_off() {
    let hub = Hub::start("").await;
    hub.push_lines(&["keep 1", "drop 1", "keep 2", "drop 2"]).await;
    assert_eq!(lines(&hub, r#"{app="web"}"#).await.len(), 4);
    assert!(listed(&hub).await.is_empty());
    let (status, body) = operate(&hub, "POST", &[("query", r#"{app="web"} |= "drop""#), ("start", "0")]).await;
    assert_eq!((status, body.as_str()), (204, ""));
    assert_eq!(lines(&hub, r#"{app="web"}"#).await, ["keep 1", "keep 2"]);
    assert_eq!(lines(&hub, r#"{app="web"} |= "drop""#).await, [""; 0]);
    assert!((counted(&hub, r#"sum by (app) (count_over_time({app="web"}[1h]))"#).await - 2.0).abs() < 0.1, "counts that read no line see it too");
    assert!((counted(&hub, r#"sum(bytes_over_time({app="web"} |= "drop" [1h]))"#).await).abs() < 0.1);
    hub.push_lines(&["drop 3"]).await;
    assert_eq!(lines(&hub, r#"{app="web"}"#).await, ["drop 3", "keep 1", "keep 2"], "a line that comes later is a new line");
    let all = listed(&hub).await;
    assert_eq!(all.len(), 1);
    let shown = &all[0];
    assert_eq!((&shown["status"], &shown["query"], &shown["start_time"]), (&json!("received"), &json!(r#"{app="web"} |= "drop""#), &json!(0)));
    assert!(shown["end_time"].as_f64().unwrap() > 1e9 && shown["created_at"].as_f64().unwrap() > 1e9);
    // Called off.
    let id = shown["request_id"].as_str().unwrap().to_owned();
    assert_eq!(operate(&hub, "DELETE", &[("request_id", "00ffffff")]).await.0, 404);
    assert_eq!(operate(&hub, "DELETE", &[("request_id", &id)]).await, (204, String::new()));
    assert_eq!(lines(&hub, r#"{app="web"}"#).await.len(), 5);
    assert_eq!(operate(&hub, "DELETE", &[("request_id", &id)]).await.0, 404);
    // A whole stream is gone from the names too.
    assert_eq!(operate(&hub, "PUT", &[("query", r#"{app="web"}"#), ("start", "2020-01-01T00:00:00Z"), ("max_interval", "24h")]).await.0, 204);
    assert_eq!(hub.get("/loki/api/v1/series", &[]).await["data"], json!([]));
    let stats = hub.get("/loki/api/v1/index/stats", &[("query", r#"{app="web"}"#)]).await;
    assert_eq!((&stats["entries"], &stats["bytes"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn only_an_operator_who_names_one_tenant_may_delete() {
    let hub = Hub::start("").await;
    let asked = [("query", r#"{app="web"}"#), ("start", "0")];
    for method in ["POST", "PUT", "DELETE"] {
        for role in ["reader", "writer"] {
            for scope in [None, Some("acme")] {
                assert_eq!(send(&hub, role, method, &asked, scope).await, (403, "forbidden\n".to_owned()), "{method} {role}");
            }
        }
        for scope in [None, Some("nobody"), Some("acme|blue"), Some("")] {
            assert_eq!(send(&hub, "operator", method, &asked, scope).await, (403, "forbidden\n".to_owned()), "{method} {scope:?}");
        }
        assert_eq!(send(&hub, "unknown", method, &asked, Some("acme")).await.0, 401);
    }
    assert_eq!(send(&hub, "writer", "GET", &[], None).await.0, 403);
    assert_eq!(send(&hub, "operator", "GET", &[], Some("blue")).await, (200, "[]".to_owned()));
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_lokis_words() {
    let hub = Hub::start("").await;
    let long = format!(r#"{{app="web"}} |= "{}""#, "x".repeat(5_000));
    let selector = ("query", r#"{app="web"}"#);
    for (params, text) in [
        (vec![("start", "0")], "query not set\n"),
        (vec![selector], "start time not set\n"),
        (vec![selector, ("start", "yesterday")], "invalid start time: require unix seconds or RFC3339 format\n"),
        (vec![selector, ("start", "0"), ("end", "x")], "invalid end time: require unix seconds or RFC3339 format\n"),
        (vec![selector, ("start", "0"), ("end", "9999999999")], "deletes in the future are not allowed\n"),
        (vec![selector, ("start", "100"), ("end", "100")], "start time can't be greater than or equal to end time\n"),
        (vec![selector, ("start", "0"), ("max_interval", "1d")], "invalid max_interval: valid time units are 's', 'm', 'h'\n"),
        (vec![("query", "rate({app=\"web\"}[5m])"), ("start", "0")], "invalid query expression: a delete takes a log selector"),
        (vec![("query", "{app="), ("start", "0")], "invalid query expression: parse error"),
        (vec![("query", r#"{app="web"} | line_format "x""#), ("start", "0")], "invalid query expression: "),
        (vec![("query", &long), ("start", "0")], "the query of a delete has 5"),
    ] {
        let (status, body) = operate(&hub, "POST", &params).await;
        assert!(status == 400 && body.starts_with(text), "{params:?}: {status} {body}");
    }
    assert_eq!(operate(&hub, "DELETE", &[]).await, (400, "request_id not set\n".to_owned()));
    assert_eq!(operate(&hub, "DELETE", &[("request_id", "x")]).await.0, 404);
    assert_eq!(operate(&hub, "DELETE", &[("request_id", "00000001"), ("force", "maybe")]).await.0, 400);
    assert!(listed(&hub).await.is_empty());
}

#[tokio::test]
async fn open_deletes_of_a_tenant_are_bounded() {
    let hub = Hub::start("").await;
    hub.push_lines(&["one"]).await;
    for at in 0..hub_store::limits::DELETES_OPEN_MAX {
        let query = format!(r#"{{app="web"}} |= "{at} ""#);
        assert_eq!(operate(&hub, "POST", &[("query", &query), ("start", "0"), ("end", "2030-01-01T00:00:00Z")]).await.0, 400, "in the future");
        assert_eq!(operate(&hub, "POST", &[("query", &query), ("start", "0")]).await.0, 204);
    }
    let (status, body) = operate(&hub, "POST", &[("query", r#"{app="web"} |= "more""#), ("start", "0")]).await;
    assert!(status == 429 && body.contains("open deletes"), "{status} {body}");
    assert_eq!(lines(&hub, r#"{app="web"}"#).await, ["one"]);
}
