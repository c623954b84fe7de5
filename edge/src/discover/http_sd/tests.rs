use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use proto_boot::Metrics;

use super::*;
use crate::discover::groups::feed;
use crate::settings::discovery::HttpSdSettings;

type Said = Arc<Mutex<(u16, &'static str, &'static str)>>;

async fn say(State(said): State<Said>, headers: HeaderMap) -> impl IntoResponse {
    let is_known = headers.get("authorization").is_some_and(|own| own == "Bearer token of a file");
    let (status, kind, text) = *said.lock().unwrap();
    let status = if is_known { StatusCode::from_u16(status).unwrap() } else { StatusCode::UNAUTHORIZED };
    (status, [(header::CONTENT_TYPE, kind)], text)
}

#[tokio::test]
async fn groups_come_from_a_server_and_stay_while_it_fails() {
    let said: Said = Arc::new(Mutex::new((200, "application/json; charset=utf-8", r#"[{"targets": ["a:1", "b:2"], "labels": {"__path__": "/l/*.log"}}]"#)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/targets", listener.local_addr().unwrap());
    let routes = Router::new().route("/targets", get(say)).with_state(Arc::clone(&said));
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    World::real().disk.write_all(&token, b"token of a file\n").unwrap();
    let text = format!("url: '{url}'\nauthorization: {{credentials_file: {}}}", token.display());
    let (parsed, _) = proto_boot::settings::parse_all::<HttpSdSettings>("f", &text);
    let settings = HttpSd { url: url.clone(), http: parsed.unwrap().http(), refresh: Duration::from_millis(50) };
    let (sender, mut feed) = feed();
    let (stop, metrics) = (CancellationToken::new(), Metrics::new());
    let task = tokio::spawn(run(Arc::new(settings), sender, World::real(), FeedMetrics::new(&metrics), stop.clone()));
    let within = Duration::from_secs(20);
    let known = tokio::time::timeout(within, feed.wait_for(|groups| groups.known)).await.unwrap().unwrap().clone();
    let wanted = format!(r#"{{__address__="b:2", __meta_url="{url}", __path__="/l/*.log"}}"#);
    assert_eq!(known.groups[&format!("{url}:0")].labels[1].to_string(), wanted);
    for (status, kind, text, why) in [
        (500, "text/plain", "broken", "answers 500: \"broken\""),
        (200, "text/html", "[]", "not application/json"),
        (200, "application/json", "[{\"targets\": 5}]", "not understood"),
        (200, "application/json", "[{\"labels\": {\"a-b\": \"c\"}}]", "no label name"),
    ] {
        *said.lock().unwrap() = (status, kind, text);
        let now = tokio::time::timeout(within, feed.wait_for(|groups| groups.trouble.contains(why))).await.unwrap().unwrap().clone();
        assert!(Arc::ptr_eq(&now.groups[&format!("{url}:0")], &known.groups[&format!("{url}:0")]));
    }
    assert!(metrics.text().contains("tributary_edge_discovery_failures_total{kind=\"http\"}"), "{}", metrics.text());
    *said.lock().unwrap() = (200, "application/json", "[]");
    tokio::time::timeout(within, feed.wait_for(|groups| groups.groups.is_empty() && groups.trouble.is_empty())).await.unwrap().unwrap();
    stop.cancel();
    tokio::time::timeout(within, task).await.unwrap().unwrap();
}
