//! What receivers over HTTP share: bodies within bounds, who may send, what is answered.
//!
//! Parts: [`Room`] (memory of all bodies of all receivers), [`Refusal`] (an answer that is not "taken"), [`read_body`], [`unpack`],
//! [`User`], [`Hand`] (decoded records to an answer, repeats told apart). Promises: "taken" is said only of what is durable; a
//! sender that goes away loses nothing that was handed in. Must not do: know a body's form.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use proto_seam::World;
use proto_wire::limits::{PUSH_BYTES_MAX, PUSH_RAW_BYTES_MAX};
use proto_wire::push::PushFault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Arrival;
use super::listen::ReceiveFault;
use super::post::{NO_ROOM, Post, TENANT_BUDGET};
use super::repeats::{Key, Repeats};
use super::sender::Sender;
use crate::settings::receivers::ReceiverUser;

/// Bytes of all bodies being read.
const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bodies being unpacked and decoded at once: each may grow to `PUSH_RAW_BYTES_MAX` and what is made of it.
const DECODING_MAX: usize = 2;
/// A body that is too large is read on up to here, so that its sender gets to hear why.
const DISCARDED_BYTES_MAX: usize = 4 * PUSH_BYTES_MAX;
/// For the next piece of a body, and for the whole of it.
const PIECE_WAIT: Duration = Duration::from_secs(30);
const BODY_WAIT: Duration = Duration::from_secs(120);
/// A sender waits so long for room, and then for its records to be durable: less than the patience of any known sender (the OpenTelemetry
/// Collector has five seconds), so that it hears when to come back. Its repeat joins what is under way.
const ROOM_WAIT: Duration = Duration::from_secs(1);
const DURABLE_WAIT: Duration = Duration::from_millis(3_500);
/// What a sender that is turned away is told to wait.
const RETRY_AFTER_SECONDS: u64 = 5;
/// Who a sender says its lines are of.
pub(crate) const TENANT_HEADER: &str = "x-scope-orgid";
/// Longest `Idempotency-Key`.
const KEY_BYTES_MAX: usize = 128;

/// Memory of all bodies.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    bodies: Arc<Semaphore>,
    decoding: Arc<Semaphore>,
    world: World,
}

/// An answer that is not "taken".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is wrong; sending it again does not help.
    Wrong(String),
    /// It is too large.
    TooLarge(String),
    /// User or password are wrong.
    NoEntry,
    /// Not now.
    Later(&'static str),
    /// A budget is used up for so long.
    Wait(Duration),
}

impl Refusal {
    /// Status and text.
    pub(crate) fn told(&self) -> (StatusCode, String) {
        match self {
            Self::Wrong(why) => (StatusCode::BAD_REQUEST, why.clone()),
            Self::TooLarge(why) => (StatusCode::PAYLOAD_TOO_LARGE, why.clone()),
            Self::NoEntry => (StatusCode::UNAUTHORIZED, "user and password are needed, or wrong".to_owned()),
            Self::Later(why) => (StatusCode::SERVICE_UNAVAILABLE, (*why).to_owned()),
            Self::Wait(_) => (StatusCode::TOO_MANY_REQUESTS, format!("the budget of the tenant is used up; send it again in {} s", self.wait_seconds())),
        }
    }

    /// The header that goes with it.
    pub(crate) fn header(&self) -> Option<(header::HeaderName, header::HeaderValue)> {
        match self {
            Self::Later(_) | Self::Wait(_) => Some((header::RETRY_AFTER, self.wait_seconds().into())),
            Self::NoEntry => Some((header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"logs\""))),
            Self::Wrong(_) | Self::TooLarge(_) => None,
        }
    }

    /// After so many seconds it may be sent again.
    pub(crate) fn wait_seconds(&self) -> u64 {
        match self {
            Self::Wait(wait) => wait.as_secs() + 1,
            Self::Later(_) | Self::NoEntry | Self::Wrong(_) | Self::TooLarge(_) => RETRY_AFTER_SECONDS,
        }
    }

    /// For counters: whether it is the sender's fault, and its word.
    pub(crate) fn count(&self, post: &Post) {
        match self {
            Self::Wrong(_) => post.refused("malformed"),
            Self::TooLarge(_) => post.refused("too_large"),
            Self::NoEntry => post.refused("unauthorized"),
            Self::Later(_) => post.shed(NO_ROOM),
            Self::Wait(_) => post.shed(TENANT_BUDGET),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = self.told();
        let mut response =
            (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], text + "\n").into_response();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<PushFault> for Refusal {
    fn from(fault: PushFault) -> Self {
        match fault {
            PushFault::Malformed(text) => Self::Wrong(text),
            too_large @ PushFault::TooLarge { .. } => Self::TooLarge(too_large.to_string()),
        }
    }
}

impl Room {
    /// For all receivers of an edge.
    pub(crate) fn new(world: World) -> Self {
        Self { bodies: Arc::new(Semaphore::new(BODIES_BYTES_MAX)), decoding: Arc::new(Semaphore::new(DECODING_MAX)), world }
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let wanted = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.bodies).try_acquire_many_owned(wanted).map_err(|_| Refusal::Later("too many requests are being read; send it again later"))
    }

    /// Runs what unpacks and decodes, beside few others.
    pub(crate) async fn decode<T: Send + 'static>(&self, act: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
        let busy = |_| Refusal::Later("the edge is busy; send it again later");
        let permit = tokio::time::timeout(ROOM_WAIT, self.decoding.acquire()).await.map_err(busy)?;
        let decoded = self.world.workers.run(act).await;
        drop(permit);
        decoded
    }
}

/// A whole body, and the room it takes. One that is too large is read on for a while and thrown away: a sender that is cut off while it
/// sends would never see the answer.
pub(crate) async fn read_body(room: &Room, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), Refusal> {
    let wrong = |why: &str| Refusal::Wrong(format!("the body cannot be read: {why}"));
    let read = async {
        let mut frames = body.into_data_stream();
        let (mut out, mut found, mut taken) = (Vec::new(), 0_usize, room.take(0)?);
        loop {
            let next = tokio::time::timeout(PIECE_WAIT, frames.next()).await.map_err(|_| wrong("it stopped coming"))?;
            let Some(frame) = next else { break };
            let frame = frame.map_err(|fault| wrong(&fault.to_string()))?;
            found += frame.len();
            if found <= PUSH_BYTES_MAX {
                taken.merge(room.take(frame.len())?);
                out.extend_from_slice(&frame);
            } else {
                (out, taken) = (Vec::new(), room.take(0)?);
            }
            if found > DISCARDED_BYTES_MAX {
                break;
            }
        }
        if found > PUSH_BYTES_MAX {
            return Err(Refusal::TooLarge(format!("the push is larger than {PUSH_BYTES_MAX} bytes")));
        }
        Ok((out.into(), taken))
    };
    tokio::time::timeout(BODY_WAIT, read).await.unwrap_or_else(|_| Err(wrong("it comes too slowly")))
}

/// Frees a body of its `Content-Encoding`; at most `bytes_max` come out.
pub(crate) fn unpack(encoding: &str, body: Bytes, bytes_max: usize) -> Result<Bytes, Refusal> {
    let bytes_max = bytes_max.min(PUSH_RAW_BYTES_MAX);
    let unpacked = match encoding.trim() {
        "" | "identity" | "snappy" => Ok((body.len() <= bytes_max).then_some(body)),
        "gzip" => read_bounded(flate2::read::MultiGzDecoder::new(body.as_ref()), bytes_max),
        "deflate" if body.first().is_some_and(|first| first & 0x0f == 8) && body.len() > 1 && (u16::from(body[0]) << 8 | u16::from(body[1])) % 31 == 0 => {
            // RFC 9110 says zlib, many senders mean it; Loki reads the bare form.
            read_bounded(flate2::read::ZlibDecoder::new(body.as_ref()), bytes_max)
        }
        "deflate" => read_bounded(flate2::read::DeflateDecoder::new(body.as_ref()), bytes_max),
        other => return Err(Refusal::Wrong(format!("Content-Encoding {other:?} not supported"))),
    };
    unpacked
        .map_err(|fault| Refusal::Wrong(format!("the body cannot be unpacked: {fault}")))?
        .ok_or_else(|| Refusal::TooLarge(format!("the request unpacks to more than {bytes_max} bytes")))
}

/// All that comes, or nothing where it is more than `bytes_max`.
pub(crate) fn read_bounded(reader: impl Read, bytes_max: usize) -> std::io::Result<Option<Bytes>> {
    let mut out = Vec::new();
    reader.take(bytes_max as u64 + 1).read_to_end(&mut out)?;
    Ok((out.len() <= bytes_max).then(|| out.into()))
}

pub(crate) fn header_text(headers: &HeaderMap, name: impl header::AsHeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The kind of a body, without parameters, lower case.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    header_text(headers, header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The key that a sender gave its request.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<Key>, Refusal> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let bytes = key.as_bytes();
    if bytes.is_empty() || bytes.len() > KEY_BYTES_MAX || !bytes.iter().all(|b| (b'!'..=b'~').contains(b)) {
        return Err(Refusal::Wrong("Idempotency-Key must be 1 to 128 printable characters without blanks".to_owned()));
    }
    Ok(Some(digest(b"key", bytes)))
}

/// The key of a body.
pub(crate) fn digest(kind: &[u8], body: &[u8]) -> Key {
    let mut hash = blake3::Hasher::new();
    hash.update(kind).update(&[0]).update(body);
    *hash.finalize().as_bytes()
}

/// Who may send.
pub(crate) struct User {
    expected: [u8; 32],
}

impl User {
    /// Reads the password's file, where there is one.
    pub(crate) async fn new(job: &str, settings: &ReceiverUser, world: &World) -> Result<Self, ReceiveFault> {
        let password = match &settings.password_file {
            None => settings.password.expose().to_owned(),
            Some(file) => {
                let (disk, path) = (Arc::clone(&world.disk), file.clone());
                let read = world.workers.run(move || disk.read_all(&path, 64 * 1024)).await;
                let fault = |why: String| ReceiveFault::Setting { job: job.to_owned(), why: format!("basic_auth.password_file cannot be read: {why}") };
                let bytes = read.map_err(|why| fault(why.to_string()))?;
                String::from_utf8(bytes).map_err(|_| fault("it is not text".to_owned()))?.trim().to_owned()
            }
        };
        let expected = format!("Basic {}", STANDARD.encode(format!("{}:{password}", settings.username)));
        Ok(Self { expected: digest(b"user", expected.as_bytes()) })
    }

    /// Whether a request may come in.
    pub(crate) fn lets_in(user: Option<&Self>, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(user) = user else { return Ok(()) };
        // Hashes are compared: how long it takes says nothing of the password.
        let given = digest(b"user", header_text(headers, header::AUTHORIZATION).as_bytes());
        if given == user.expected { Ok(()) } else { Err(Refusal::NoEntry) }
    }
}

/// Who sends a request; an error while it must wait.
pub(crate) fn caller(post: &Post, peer: SocketAddr, headers: &HeaderMap) -> Result<Arc<Sender>, Refusal> {
    let caller = post.caller(peer.ip(), header_text(headers, TENANT_HEADER));
    match caller.wait() {
        None => Ok(caller),
        Some(wait) => Err(Refusal::Wait(wait)),
    }
}

/// Hands records in and waits until they are durable. `key`: a repeat of what was taken is answered without a second copy.
pub(crate) async fn hand_in(post: &Arc<Post>, caller: &Arc<Sender>, repeats: &Repeats, key: Option<Key>, records: Vec<Arrival>) -> Result<(), Refusal> {
    let lost = || Refusal::Later("the edge cannot take it now; send it again later");
    let claim = match key {
        None => None,
        Some(key) => match tokio::time::timeout(DURABLE_WAIT, repeats.claim(key)).await.map_err(|_| lost())? {
            Some(claim) => Some(claim),
            None => {
                post.intake().metrics.repeats.inc();
                return Ok(());
            }
        },
    };
    if records.is_empty() {
        return Ok(());
    }
    let full = |_| Refusal::Later("the edge has no room for more; send it again later");
    let durable = tokio::time::timeout(ROOM_WAIT, post.hand_in(caller, records)).await.map_err(full)?.map_err(|_| lost())?;
    // In a task of its own: whether the sender waits or goes away, the claim is kept until the outcome is known.
    let outcome = tokio::spawn(async move {
        let outcome = durable.wait().await;
        if let (Ok(()), Some(claim)) = (&outcome, claim) {
            claim.taken();
        }
        outcome
    });
    match tokio::time::timeout(DURABLE_WAIT, outcome).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(_) | Err(_) => Err(lost()),
    }
}

#[cfg(test)]
mod tests;
