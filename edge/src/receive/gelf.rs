//! `gelf`: Graylog's messages in datagrams, packed or not, in one piece or in several.
//!
//! Parts: [`start`], `datagrams` (the socket), [`chunks`] (pieces to messages; pure), [`read`] (a message to labels, time and line; pure).
//! Promises: memory for pieces whose rest never comes is bounded; a message that cannot be read is counted; one for which there is no room is
//! counted too, since its sender cannot be told. The line is the message's JSON as it was sent. Must not do: wait for room.

mod chunks;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_model::{Labels, Timestamp};
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::http::read_bounded;
use super::listen::{self, ReceiveFault};
use super::post::Post;
use super::start::{Running, Shared};
use super::udp::Datagrams;
use crate::settings::receivers::GelfSettings;
use chunks::Chunks;

/// Largest message, unpacked: 128 pieces of the largest datagram.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
const DATAGRAM_BYTES: usize = 64 * 1024;
/// After an error of a socket.
const PAUSE: Duration = Duration::from_millis(200);
/// The words for levels.
const LEVELS: [&str; 8] = ["emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"];

/// Starts the socket of a job.
pub(super) async fn start(shared: &Shared, post: Post, settings: &GelfSettings, stop: CancellationToken) -> Result<Running, ReceiveFault> {
    let job = post.name().to_owned();
    let socket = listen::udp(&job, &settings.listen_address).await?;
    let bound = socket.local_addr().ok();
    let socket = Datagrams::new(socket, shared.world.clone());
    let task = tokio::spawn(datagrams(Arc::new(post), socket, settings.use_incoming_timestamp, stop));
    Ok(Running { job, kind: "gelf", address: bound, task })
}

async fn datagrams(post: Arc<Post>, mut socket: Datagrams, keep_times: bool, stop: CancellationToken) {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    let (mut chunks, began) = (Chunks::default(), Instant::now());
    loop {
        let received = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            received = socket.receive(&post, &mut buffer) => received,
        };
        let (bytes, peer) = match received {
            Ok((len, peer)) => (&buffer[..len], peer.ip()),
            Err(fault) => {
                tracing::warn!(%fault, "a GELF socket cannot be read");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let whole = chunks.take(bytes, began.elapsed());
        for _ in 0..chunks.take_lost() {
            post.shed("incomplete");
        }
        match whole {
            Ok(Some(message)) => take(&post, peer, &message, keep_times),
            Ok(None) => {}
            Err(()) => wrong(&post),
        }
    }
}

fn wrong(post: &Post) {
    post.intake().metrics.gelf_parsing_errors.inc();
    post.refused("malformed");
}

fn take(post: &Post, peer: IpAddr, message: &[u8], keep_times: bool) {
    let Some(Read { labels, time, line }) = unpacked(message).and_then(|json| read(&json)) else { return wrong(post) };
    let Some(labels) = post.labels(labels) else { return post.dropped(1) };
    if post.try_hand_in(peer, vec![post.arrival(&labels, time.filter(|_| keep_times), line, Vec::new())]) {
        post.intake().metrics.gelf_entries.inc();
    }
}

/// The JSON of a message.
fn unpacked(message: &[u8]) -> Option<Bytes> {
    match message {
        [0x1f, 0x8b, ..] => read_bounded(flate2::read::GzDecoder::new(message), MESSAGE_BYTES_MAX).ok()?,
        [0x78, ..] => read_bounded(flate2::read::ZlibDecoder::new(message), MESSAGE_BYTES_MAX).ok()?,
        plain => Some(Bytes::copy_from_slice(plain)),
    }
}

/// A message.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    /// Before relabelling.
    labels: Labels,
    time: Option<Timestamp>,
    line: Bytes,
}

/// `None` where it is no object.
fn read(json: &Bytes) -> Option<Read> {
    // Some senders end it as a text in C ends.
    let end = json.iter().rposition(|byte| !matches!(byte, 0 | b'\n' | b'\r' | b' ')).map_or(0, |at| at + 1);
    let line = json.slice(..end);
    let message: Map<String, Value> = serde_json::from_slice(&line).ok()?;
    let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
    // Go's zero where the sender gave none, as with Promtail.
    let level = message.get("level").and_then(|level| level.as_u64().or_else(|| level.as_str()?.parse().ok())).unwrap_or(0);
    let level = usize::try_from(level).ok().and_then(|level| LEVELS.get(level)).copied().unwrap_or_default();
    let labels = Labels::from_pairs([
        ("__gelf_message_level", level),
        ("__gelf_message_host", text("host")),
        ("__gelf_message_version", text("version")),
        ("__gelf_message_facility", text("facility")),
    ]);
    Some(Read { labels, time: message.get("timestamp").and_then(time), line })
}

/// Seconds, as a number or as text, with or without a fraction.
fn time(seconds: &Value) -> Option<Timestamp> {
    let text = seconds.as_str().map_or_else(|| seconds.to_string(), str::to_owned);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let ns = if digits(whole) && (fraction.is_empty() || digits(fraction)) {
        // To the nanosecond: a float would round.
        let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
        whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction.parse().ok()?)?
    } else {
        float_ns(text.parse().ok()?)?
    };
    (ns != 0).then_some(Timestamp(ns))
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn float_ns(seconds: f64) -> Option<i64> {
    (seconds.is_finite() && seconds.abs() < 9.2e9).then_some((seconds * 1e9) as i64)
}

#[cfg(test)]
mod tests;
