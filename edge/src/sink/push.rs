//! One request until it is taken or given up.
//!
//! Parts: [`judge`] and [`pauses`] (pure: what an answer means, how long to wait), [`Pusher::deliver`]. No answer, 429 and
//! 5xx are tried again, for ever unless `max_retries` says how often; any other answer gives the lines up, counted and
//! told with the server's words. Promises: what is given up is counted by reason. Must not do: choose what is sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use proto_link::backoff::Backoff;
use proto_seam::{Entropy, World};
use proto_wire::push;
use reqwest::header::HeaderValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::http::{Answer, Http};
use super::ledger::{Parcel, Ticket};
use super::metrics::{INGESTER_ERROR, RATE_LIMITED, SinkMetrics};
use crate::settings::client::BackoffSettings;

/// Shortest pause between two tries: no setting may make it a flood.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// A server is left alone for so long at most because it said so.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Taken,
    /// Try again, not before this time.
    Again(Duration),
    /// Never: the reason.
    Never(&'static str),
}

/// How a target does, for pages.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) sent_lines: u64,
    pub(super) lost_lines: u64,
    /// Why the last request was not taken; empty when it was.
    pub(super) trouble: String,
}

/// Pushes to one target.
#[derive(Debug)]
pub(super) struct Pusher {
    pub(super) http: Http,
    pub(super) metrics: SinkMetrics,
    pub(super) world: World,
    pub(super) entropy: Entropy,
    pub(super) tally: Arc<Mutex<Tally>>,
    pub(super) stop: CancellationToken,
}

fn judge(answer: &Result<Answer, String>, drops_limited: bool) -> Verdict {
    let Ok(answer) = answer else { return Verdict::Again(Duration::ZERO) };
    let wanted = answer.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    match answer.status {
        200..=299 => Verdict::Taken,
        429 if drops_limited => Verdict::Never(RATE_LIMITED),
        429 | 500..=599 => Verdict::Again(wanted),
        _ => Verdict::Never(INGESTER_ERROR),
    }
}

/// The pauses between tries.
fn pauses(settings: &BackoffSettings) -> Backoff {
    Backoff { first: settings.min_period.0.max(PAUSE_MIN), max: settings.max_period.0.max(PAUSE_MIN), jitter: 50 }
}

impl Pusher {
    /// Sends it until it is taken or given up; `None` = the edge stops first.
    pub(super) async fn deliver(&self, parcel: Parcel) -> Option<Ticket> {
        let (ticket, streams) = parcel.split();
        let packed = self.world.workers.run(move || push::encode(&streams)).await;
        let body = match packed {
            Ok(body) => Bytes::from(body),
            Err(fault) => {
                self.give_up(&ticket, 0, INGESTER_ERROR, &fault.to_string());
                return Some(ticket);
            }
        };
        if HeaderValue::from_str(&ticket.tenant).is_err() {
            self.give_up(&ticket, body.len(), INGESTER_ERROR, "the tenant that a pipeline made up cannot be sent as a header");
            return Some(ticket);
        }
        self.metrics.encoded(&self.http.target().host, body.len() as u64);
        self.until_taken(&ticket, body).await.then_some(ticket)
    }

    /// True when it is taken or given up, false when the edge stops first.
    async fn until_taken(&self, ticket: &Ticket, body: Bytes) -> bool {
        let target = self.http.target();
        let backoff = &target.settings.backoff_config;
        let tries_max = backoff.max_retries.filter(|tries| *tries > 0).unwrap_or(u64::MAX);
        let mut tries = 0;
        loop {
            let began = Instant::now();
            let answer = self.http.post(&ticket.tenant, body.clone()).await;
            self.metrics.asked(&target.host, answer.as_ref().ok().map(|answer| answer.status), began.elapsed());
            let verdict = judge(&answer, target.settings.drop_rate_limited_batches);
            let limited = answer.as_ref().is_ok_and(|answer| answer.status == 429);
            let told = answer.map_or_else(|why| why, |answer| format!("{} {}", answer.status, answer.text).trim_end().to_owned());
            let wanted = match verdict {
                Verdict::Taken => {
                    self.taken(ticket, body.len());
                    return true;
                }
                Verdict::Never(reason) => {
                    self.give_up(ticket, body.len(), reason, &told);
                    return true;
                }
                Verdict::Again(wanted) => wanted,
            };
            tries += 1;
            if tries >= tries_max {
                self.give_up(ticket, body.len(), if limited { RATE_LIMITED } else { INGESTER_ERROR }, &told);
                return true;
            }
            self.metrics.retried(&target.host, &ticket.tenant);
            let wait = pauses(backoff).wait(u32::try_from(tries).unwrap_or(u32::MAX), &self.entropy).max(wanted);
            tracing::warn!(client = target.name, host = target.host, tenant = ticket.tenant, tries, told, ?wait, "a push was not taken: it is tried again");
            self.tally().trouble = told;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    pub(super) fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self, ticket: &Ticket, bytes: usize) {
        self.metrics.sent(&self.http.target().host, bytes as u64, ticket.lines);
        let mut tally = self.tally();
        tally.sent_lines += ticket.lines;
        tally.trouble.clear();
    }

    fn give_up(&self, ticket: &Ticket, bytes: usize, reason: &'static str, told: &str) {
        let target = self.http.target();
        let (lines, tenant) = (ticket.lines, ticket.tenant.as_str());
        tracing::error!(client = target.name, host = target.host, tenant, reason, lines, told, "a push is given up: its lines are lost to this client");
        self.metrics.dropped([&target.host, tenant, reason], bytes as u64, lines);
        self.lost(reason, lines);
        told.clone_into(&mut self.tally().trouble);
    }

    /// Lines that this client will not get.
    pub(super) fn lost(&self, reason: &str, lines: u64) {
        self.metrics.lost(&self.http.target().name, reason, lines);
        self.tally().lost_lines += lines;
    }
}

#[cfg(test)]
mod tests;
