//! `/loki/api/v1/tail`: new lines over a WebSocket, in Loki's frames.
//!
//! ```text
//! Tail::next ──one at a time──> outbox (bounded, delayed) ──frames──> writer ──> socket
//! ```
//!
//! Parts: [`Tails`] (how many run, and their end), [`tail`] (the route), `Session` (one tail), `outbox`. What is wrong is told
//! as plain text before the upgrade; pages of other sites are refused. Promises: a slow reader costs a bounded amount of memory and is told what was dropped; a tail ends
//! when its token or tenant does, with a reason; when the hub goes it is cut, so that Grafana connects again. Must not do: read the store.

mod outbox;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use hub_logql::Expr;
use hub_query::{Tail, TailRequest, Tailed};
use hub_tenant::{Grant, Need};
use proto_model::TenantId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Api;
use super::fault::ApiFault;
use super::params::Params;
use super::respond::Form;
use outbox::Outbox;

/// Tails of one hub at once, whatever tenants' limits say.
const TAILS_MAX: usize = 256;
/// Longest tail, as in Loki.
const TAIL_MAX: Duration = Duration::from_secs(3_600);
/// Longest `delay_for` in seconds, as in Loki.
const DELAY_MAX_S: u64 = 5;
/// Between two pings; the token is looked at as often.
const PING_EVERY: Duration = Duration::from_secs(1);
/// How long a closing frame may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Largest message taken from a client: there is nothing for it to say.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// WebSocket's code for an ordinary end.
const ENDED: u16 = 1000;
/// WebSocket's code for a breach of policy.
const NOT_ALLOWED: u16 = 1008;

/// The live tails of this hub.
#[derive(Debug)]
pub struct Tails {
    running: Mutex<BTreeMap<TenantId, usize>>,
    stop: CancellationToken,
}

/// Counts a tail as running until it ends.
#[derive(Debug)]
struct Place {
    tails: Arc<Tails>,
    tenant: TenantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.tails.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.tenant);
            }
        }
    }
}

impl Tails {
    /// None yet; all are cut at `stop`.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { running: Mutex::default(), stop })
    }

    fn enter(self: &Arc<Self>, tenant: &TenantId, most: u64) -> Result<Place, ApiFault> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let (of_tenant, all) = (running.get(tenant).copied().unwrap_or(0) + 1, running.values().sum::<usize>() + 1);
        if most > 0 && of_tenant as u64 > most {
            return Err(ApiFault::Wrong(format!("max concurrent tail requests limit exceeded, count > limit ({of_tenant} > {most})")));
        }
        if all > TAILS_MAX {
            return Err(ApiFault::TooFast { reason: "tail_limit", text: format!("this hub runs {TAILS_MAX} live tails already"), retry_after_s: 5 });
        }
        running.insert(tenant.clone(), of_tenant);
        Ok(Place { tails: Arc::clone(self), tenant: tenant.clone() })
    }
}

/// Follows a log query.
///
/// # Errors
/// 400, 401, 403 (also for a page of another site), 429, 503, before the upgrade.
pub async fn tail(
    State(api): State<Api>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    params: Params,
) -> Result<Response, ApiFault> {
    same_site(&headers)?;
    let access = api.authorize(&headers, Need::Read)?;
    let [grant] = &access.grants[..] else { return Err(ApiFault::Wrong("multiple org IDs present".to_owned())) };
    let upgrade = upgrade.map_err(|_| ApiFault::Wrong("Bad Request".to_owned()))?;
    let limits = api.query_limits(&access.grants);
    let start = params.time("start", api.now().minus(Duration::from_secs(3_600)))?;
    let (limit, delay) = (params.limit()?, delay(&params)?);
    let expr = match hub_logql::parse(params.query())? {
        Expr::Log(expr) => expr,
        Expr::Metric(_) => return Err(ApiFault::Wrong("metric queries cannot be tailed: ask for a log query".to_owned())),
    };
    let most = api.tenants.borrow().limits(grant.tenant()).max_concurrent_tail_requests;
    let place = api.tails.enter(grant.tenant(), most)?;
    let request = TailRequest::new(expr, start, limit, &limits)?;
    let (tail, history) = Tail::begin(&api.engine, grant, &request, &limits).await?;
    let mut outbox = Outbox::new(delay, Form::of(&headers));
    outbox.take(Tailed { streams: history, missed: 0 }, api.now(), Instant::now());
    let session = Session { grant: grant.clone(), api, headers, outbox, _place: place };
    Ok(upgrade.max_message_size(MESSAGE_BYTES_MAX).on_upgrade(move |socket| session.serve(socket, tail)))
}

/// A browser lets any page open a WebSocket to anywhere, with the credentials it has kept for there: only a page of this
/// hub's own address may. Programs send no `Origin`, or that of the address they ask; Grafana asks by itself.
fn same_site(headers: &HeaderMap) -> Result<(), ApiFault> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let site = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match (site.as_ref().and_then(Uri::authority), asked) {
        (Some(site), Some(asked)) if site.as_str().eq_ignore_ascii_case(asked) => Ok(()),
        _ => Err(ApiFault::Foreign("a page of another site may not open a tail: its Origin is not the address that was asked".to_owned())),
    }
}

fn delay(params: &Params) -> Result<Duration, ApiFault> {
    let Some(text) = params.one("delay_for") else { return Ok(Duration::ZERO) };
    let secs: u64 = text.parse().map_err(|_| ApiFault::Wrong(format!("strconv.ParseUint: parsing \"{text}\": invalid syntax")))?;
    if secs > DELAY_MAX_S {
        return Err(ApiFault::Wrong(format!("delay_for can't be greater than {DELAY_MAX_S}")));
    }
    Ok(Duration::from_secs(secs))
}

/// One tail.
struct Session {
    api: Api,
    grant: Grant,
    headers: HeaderMap,
    outbox: Outbox,
    _place: Place,
}

/// How a session ended.
enum End {
    /// The client is gone, or the hub goes.
    Cut,
    /// A closing frame waits to be sent.
    Closed,
}

impl Session {
    async fn serve(self, socket: WebSocket, tail: Tail) {
        let (sink, incoming) = socket.split();
        let (frames, to_send) = mpsc::channel(1);
        let (found, new) = mpsc::channel(1);
        let writer = write(sink, to_send);
        tokio::pin!(writer);
        let end = tokio::select! {
            biased;
            end = self.run(incoming, frames, new) => end,
            () = &mut writer => End::Cut,
            () = read(tail, found) => End::Cut,
        };
        if let End::Closed = end {
            drop(tokio::time::timeout(CLOSE_WITHIN, writer).await);
        }
    }

    async fn run(mut self, mut incoming: SplitStream<WebSocket>, frames: mpsc::Sender<Message>, mut new: mpsc::Receiver<Tailed>) -> End {
        let stop = self.api.tails.stop.clone();
        let ends = Instant::now() + TAIL_MAX;
        let mut ping = tokio::time::interval(PING_EVERY);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = Instant::now();
            let is_due = self.outbox.is_due(now);
            let due = self.outbox.due().unwrap_or(ends).max(now);
            tokio::select! {
                biased;
                () = stop.cancelled() => return End::Cut,
                Ok(()) = self.api.issued.changed() => {}
                Ok(()) = self.api.tenants.changed() => {}
                permit = frames.reserve(), if is_due => match permit {
                    Ok(permit) => permit.send(Message::Text(self.outbox.frame(now).into())),
                    Err(_) => return End::Cut,
                },
                tailed = new.recv() => match tailed {
                    Some(tailed) => self.outbox.take(tailed, self.api.now(), now),
                    None => return End::Cut,
                },
                message = incoming.next() => match message {
                    Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Cut,
                },
                _ = ping.tick() => match frames.try_send(Message::Ping(axum::body::Bytes::new())) {
                    // A frame on its way says as much.
                    Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => {}
                    Err(mpsc::error::TrySendError::Closed(_)) => return End::Cut,
                },
                () = tokio::time::sleep_until(ends) => return close(&frames, ENDED, "reached tail max duration limit").await,
                () = tokio::time::sleep_until(due), if !is_due => {}
            }
            if let Err(reason) = self.allowed() {
                return close(&frames, NOT_ALLOWED, reason).await;
            }
        }
    }

    /// Whether the token may still read the tenant.
    fn allowed(&self) -> Result<(), &'static str> {
        match self.api.authorize(&self.headers, Need::Read) {
            Ok(access) if access.grants[..] == [self.grant.clone()] => Ok(()),
            Ok(_) => Err("forbidden"),
            Err(ApiFault::Access(fault)) if fault.status() == 401 => Err("unauthorized"),
            Err(_) => Err("forbidden"),
        }
    }
}

async fn close(frames: &mpsc::Sender<Message>, code: u16, reason: &'static str) -> End {
    let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    match tokio::time::timeout(CLOSE_WITHIN, frames.send(frame)).await {
        Ok(Ok(())) => End::Closed,
        Ok(Err(_)) | Err(_) => End::Cut,
    }
}

async fn write(mut sink: SplitSink<WebSocket, Message>, mut frames: mpsc::Receiver<Message>) {
    while let Some(frame) = frames.recv().await {
        if sink.send(frame).await.is_err() {
            return;
        }
    }
}

async fn read(mut tail: Tail, found: mpsc::Sender<Tailed>) {
    loop {
        let tailed = tail.next().await;
        if found.send(tailed).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
