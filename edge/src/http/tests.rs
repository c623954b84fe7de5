use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response as Answer};
use axum::routing::any;
use proto_boot::settings::parse_all;

use super::*;
use crate::settings::discovery::HttpSdSettings;

const WITHIN: Duration = Duration::from_secs(20);

/// Says what it was asked; tokens are `token-1`, `token-2` and so on, and the first is taken once only.
#[derive(Clone, Default)]
struct Fake {
    tokens: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

async fn answer(State(fake): State<Fake>, uri: Uri, headers: HeaderMap) -> Answer {
    let text = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    if uri.path() == "/token" {
        let number = fake.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        return format!("{{\"access_token\": \"token-{number}\"}}").into_response();
    }
    if text("authorization") == "Bearer token-1" && fake.asked.fetch_add(1, Ordering::SeqCst) > 0 {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let more = headers.get_all("x-more").iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(",");
    format!("{uri} {} {} {}{more}", text("host"), text("authorization"), text("user-agent")).into_response()
}

async fn serve(fake: Fake) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let routes = Router::new().fallback(any(answer)).with_state(fake);
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    address
}

fn client(keys: &str) -> Client {
    let (parsed, mistakes) = parse_all::<HttpSdSettings>("f", &format!("url: 'http://a'\n{keys}"));
    assert!(mistakes.is_empty(), "{mistakes:?}");
    Client::new(parsed.unwrap().http(), None, &World::real())
}

async fn got(client: &Client, url: &str) -> Result<String, String> {
    let bytes = answer::body(client.get(url, &[], WITHIN).await?, 1_000, WITHIN).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn http_headers_go_with_every_request_those_of_files_as_they_are_now() {
    let (address, dir) = (serve(Fake::default()).await, tempfile::tempdir().unwrap());
    let (file, disk) = (dir.path().join("secret"), World::real().disk);
    disk.write_all(&file, b"third\n").unwrap();
    let asked = client(&format!("http_headers: {{X-More: {{values: [first], secrets: [second], files: [{}]}}}}", file.display()));
    let url = format!("http://{address}/x");
    assert_eq!(got(&asked, &url).await.unwrap(), format!("/x {address}  {USER_AGENT}first,second,third"));
    disk.write_all(&file, b"fourth\n").unwrap();
    assert!(got(&asked, &url).await.unwrap().ends_with("first,second,fourth"));
    disk.remove(&file).unwrap();
    assert!(got(&asked, &url).await.unwrap_err().contains("secret"), "the file is named");
}

#[tokio::test]
async fn credentials_are_those_of_the_files_as_they_are_now() {
    let (address, dir) = (serve(Fake::default()).await, tempfile::tempdir().unwrap());
    let (password, disk) = (dir.path().join("password"), World::real().disk);
    disk.write_all(&password, b" first \n").unwrap();
    let asked = client(&format!("basic_auth: {{username: u, password_file: {}}}", password.display()));
    let url = format!("http://{address}/x?y=z");
    assert_eq!(got(&asked, &url).await.unwrap(), format!("/x?y=z {address} {} {USER_AGENT}", basic_text("u", "first")));
    disk.write_all(&password, b"second").unwrap();
    assert!(got(&asked, &url).await.unwrap().contains(&basic_text("u", "second")));
    disk.remove(&password).unwrap();
    assert!(got(&asked, &url).await.unwrap_err().contains("password: No such file"));
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_asked_for_anew_once() {
    let fake = Fake::default();
    let address = serve(fake.clone()).await;
    let asked = client(&format!("oauth2: {{client_id: c, client_secret: s, token_url: 'http://{address}/token'}}"));
    for token in ["token-1", "token-2", "token-2"] {
        assert!(got(&asked, &format!("http://{address}/")).await.unwrap().contains(&format!("Bearer {token} ")));
    }
    assert_eq!(fake.tokens.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_proxy_is_asked_and_what_does_not_answer_is_told_without_its_url() {
    let proxy = serve(Fake::default()).await;
    let asked = client(&format!("proxy_url: 'http://{proxy}'"));
    assert!(got(&asked, "http://nowhere.invalid/x").await.unwrap().starts_with("http://nowhere.invalid/x nowhere.invalid "));
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let why = got(&client(""), &format!("http://u:geheim@{free}/geheim")).await.unwrap_err();
    assert!(why.contains("onnection refused") && !why.contains("geheim"), "{why}");
}
