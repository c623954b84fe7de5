//! Tails over a real socket, as Grafana and logcli open them.

use std::time::Duration;

use futures::StreamExt as _;
use hub_tenant::IssuedTokens;
use proto_model::TokenId;
use serde_json::Value;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::api::rig::{Hub, tenants, token};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

async fn open(hub: &Hub, path: &str, parameters: &[(&str, &str)]) -> Result<Socket, Error> {
    open_from(hub, path, parameters, None).await
}

async fn open_from(hub: &Hub, path: &str, parameters: &[(&str, &str)], origin: Option<&str>) -> Result<Socket, Error> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let mut request = format!("ws://{}{path}?{query}", hub.address).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", token("reader")).parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

/// The lines of the next frame with any.
async fn lines(socket: &mut Socket) -> Vec<String> {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.expect("a frame comes").unwrap().unwrap();
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        assert!(frame.get("dropped_entries").is_none());
        let values = frame["streams"].as_array().unwrap().iter().flat_map(|stream| stream["values"].as_array().unwrap().clone());
        return values.map(|value| value[1].as_str().unwrap().to_owned()).collect();
    }
}

async fn refused(hub: &Hub, parameters: &[(&str, &str)]) -> (u16, String) {
    match open(hub, "/loki/api/v1/tail", parameters).await {
        Err(Error::Http(response)) => (response.status().as_u16(), String::from_utf8(response.into_body().unwrap_or_default()).unwrap()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_then_new_lines_on_both_paths() {
    let hub = Hub::start("").await;
    hub.push_lines(&["old one", "old two"]).await;
    for path in ["/loki/api/v1/tail", "/api/prom/tail"] {
        let mut socket = open(&hub, path, &[("query", "{app=\"web\"} |= \"one\"")]).await.unwrap();
        assert_eq!(lines(&mut socket).await, ["old one"], "{path}");
    }
    let mut socket = open(&hub, "/loki/api/v1/tail", &[("query", "{app=\"web\"}"), ("limit", "1")]).await.unwrap();
    assert_eq!(lines(&mut socket).await, ["old two"]);
    hub.push_lines(&["new one", "new two"]).await;
    assert_eq!(lines(&mut socket).await, ["new one", "new two"]);
    hub.push_lines(&["newer"]).await;
    assert_eq!(lines(&mut socket).await, ["newer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_before_the_upgrade() {
    let hub = Hub::start("").await;
    for (parameters, text) in [
        (&[("query", "{app=\"web\"")][..], "parse error"),
        (&[("query", "rate({app=\"web\"}[1m])")][..], "metric queries cannot be tailed"),
        (&[("query", "{app=\"web\"}"), ("delay_for", "6")][..], "delay_for can't be greater than 5"),
        (&[("query", "{app=\"web\"}"), ("limit", "0")][..], "limit must be a positive value"),
    ] {
        let (status, said) = refused(&hub, parameters).await;
        assert!(status == 400 && said.contains(text), "{status} {said}");
    }
    let (status, text) = hub.ask("/loki/api/v1/tail", &[("query", "{app=\"web\"}")], &[]).await;
    assert_eq!((status, text.as_str()), (400, "Bad Request\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_open_nothing() {
    let hub = Hub::start("").await;
    let query = [("query", "{app=\"web\"}")];
    let own = format!("http://{}", hub.address);
    let port = hub.address.port();
    for origin in [&own, &own.to_uppercase().replace("HTTP", "http"), &own.replace("http:", "https:")] {
        assert!(open_from(&hub, "/loki/api/v1/tail", &query, Some(origin)).await.is_ok(), "{origin}");
    }
    let near = [format!("http://127.0.0.1.example:{port}"), format!("http://127.0.0.1:{}", port ^ 1), format!("http://x@127.0.0.1:{port}")];
    for origin in ["https://evil.example", "null", "", "file://", "\u{e9}", "http://127.0.0.1", &near[0], &near[1], &near[2]] {
        for path in ["/loki/api/v1/tail", "/api/prom/tail"] {
            let Err(Error::Http(answer)) = open_from(&hub, path, &query, Some(origin)).await else { panic!("{origin} is refused") };
            assert_eq!(answer.status().as_u16(), 403, "{origin}");
            assert!(String::from_utf8(answer.into_body().unwrap()).unwrap().starts_with("a page of another site may not"), "{origin}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_runs_as_many_as_it_may() {
    let hub = Hub::start("max_concurrent_tail_requests: 1").await;
    let query = [("query", "{app=\"web\"}")];
    let mut first = open(&hub, "/loki/api/v1/tail", &query).await.unwrap();
    let (status, text) = refused(&hub, &query).await;
    assert_eq!((status, text.as_str()), (400, "max concurrent tail requests limit exceeded, count > limit (2 > 1)\n"));
    first.close(None).await.unwrap();
    drop(first);
    tokio::time::timeout(Duration::from_secs(10), async {
        while open(&hub, "/loki/api/v1/tail", &query).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("its place is free again");
}

async fn closed(socket: &mut Socket) -> (CloseCode, String) {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.expect("it ends").unwrap().unwrap();
        if let Message::Close(Some(frame)) = message {
            return (frame.code, frame.reason.to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_ends_with_its_token_and_with_its_tenant() {
    let hub = Hub::start("").await;
    let query = [("query", "{app=\"web\"}")];
    let mut socket = open(&hub, "/loki/api/v1/tail", &query).await.unwrap();
    hub.issued.send_replace(std::sync::Arc::new(IssuedTokens::new([], [TokenId::new("reader").unwrap()])));
    assert_eq!(closed(&mut socket).await, (CloseCode::Policy, "unauthorized".to_owned()));
    hub.issued.send_replace(std::sync::Arc::default());
    let mut socket = open(&hub, "/loki/api/v1/tail", &query).await.unwrap();
    hub.tenants.send_replace(std::sync::Arc::new(hub_tenant::Tenants::parse("tenants.yaml", "version: 2\ntenants: {blue: {clusters: [beta]}}").unwrap()));
    let (code, _) = closed(&mut socket).await;
    assert_eq!(code, CloseCode::Policy);
    hub.tenants.send_replace(std::sync::Arc::new(tenants(3, "")));
    let mut socket = open(&hub, "/loki/api/v1/tail", &query).await.unwrap();
    hub.stop.cancel();
    let cut = loop {
        match tokio::time::timeout(Duration::from_secs(20), socket.next()).await.expect("it ends") {
            Some(Ok(Message::Close(frame))) => panic!("{frame:?}: a client would not come back"),
            Some(Ok(_)) => {}
            ended => break ended,
        }
    };
    assert!(matches!(cut, None | Some(Err(_))));
}
