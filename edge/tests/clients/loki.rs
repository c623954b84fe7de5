//! A Loki that does as it is told: it takes pushes, or answers otherwise, and keeps what it was sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use proto_wire::push::{self, Pushed};

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) streams: Vec<Pushed>,
    /// What was answered; 0 = nothing.
    pub(crate) status: u16,
}

/// How a push is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// With this status.
    Answers(u16),
    /// With 429 and `Retry-After`, so many seconds.
    Limits(u64),
    /// Not at all.
    Silent,
    /// Taken, after so many milliseconds.
    Slow(u64),
}

/// A request for a token: headers and body.
type Form = (BTreeMap<String, String>, String);
type Judge = Box<dyn FnMut(&Asked) -> Mood + Send>;

#[derive(Clone)]
pub(crate) struct Loki {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    judge: Arc<Mutex<Judge>>,
    tokens: Arc<Mutex<Vec<Form>>>,
}

impl Loki {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let judge: Judge = Box::new(move |_| mood);
        let own = Self { address: listener.local_addr().unwrap(), asked: Arc::default(), judge: Arc::new(Mutex::new(judge)), tokens: Arc::default() };
        let routes = Router::new().route("/token", axum::routing::post(token)).fallback(take).with_state(own.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        own
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/loki/api/v1/push", self.address)
    }

    pub(crate) fn token_url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// From now on each request is judged so.
    pub(crate) fn judges(&self, judge: impl FnMut(&Asked) -> Mood + Send + 'static) {
        *self.judge.lock().unwrap() = Box::new(judge);
    }

    pub(crate) fn feels(&self, mood: Mood) {
        self.judges(move |_| mood);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Requests for tokens: headers and form.
    pub(crate) fn tokens(&self) -> Vec<Form> {
        self.tokens.lock().unwrap().clone()
    }

    /// Lines that were taken, in order.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().iter().filter(|asked| (200..300).contains(&asked.status)).flat_map(Asked::lines).collect()
    }
}

impl Asked {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.streams.iter().flat_map(|stream| stream.records.iter()).map(|record| String::from_utf8_lossy(&record.line).into_owned()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

fn texts(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

async fn take(State(loki): State<Loki>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let streams = push::protobuf(&body).unwrap();
    let mut asked = Asked { path: uri.path().to_owned(), headers: texts(&headers), streams, status: 0 };
    let mood = loki.judge.lock().unwrap()(&asked);
    let mut status = StatusCode::NO_CONTENT;
    match mood {
        Mood::Answers(answered) => status = StatusCode::from_u16(answered).unwrap(),
        Mood::Limits(_) => status = StatusCode::TOO_MANY_REQUESTS,
        Mood::Slow(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Mood::Silent => {
            loki.asked.lock().unwrap().push(asked);
            std::future::pending::<()>().await;
            unreachable!("nobody wakes it");
        }
    }
    asked.status = status.as_u16();
    loki.asked.lock().unwrap().push(asked);
    let text = if status.is_success() { "" } else { "the stand-in says no:\nbecause" };
    let mut answer = (status, text).into_response();
    if let Mood::Limits(seconds) = mood {
        answer.headers_mut().insert("retry-after", seconds.into());
    }
    answer
}

/// Gives `token-1`, `token-2` and so on, to who names itself by Basic authentication.
async fn token(State(loki): State<Loki>, headers: HeaderMap, body: String) -> Response {
    let headers = texts(&headers);
    if !headers.contains_key("authorization") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut tokens = loki.tokens.lock().unwrap();
    tokens.push((headers, body));
    format!("{{\"access_token\":\"token-{}\",\"token_type\":\"bearer\",\"expires_in\":3600}}", tokens.len()).into_response()
}
