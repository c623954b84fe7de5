//! The changes of one kind of object, as a stream that does not end.
//!
//! Parts: [`Scope`] (what one watch covers), [`Seen`] (what it tells), [`watch`]. A streaming list is asked for first
//! (one object at a time); a server that cannot do it is asked for pages and then watched. Promises: failures are told
//! and retried with growing waits, a resource version that is too old begins anew. Must not do: keep objects.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use kube::runtime::watcher;
use kube::runtime::watcher::{Config, Error, Event, InitialListStrategy};
use kube::{Api, Resource};
use proto_seam::Entropy;
use serde::de::DeserializeOwned;

use super::records::{Kind, Object};

/// A streaming list that has not ended after so long comes from a server that does not know them.
const STREAMING_MAX: Duration = Duration::from_secs(60);
/// Objects in a page of a list: what is decoded at once.
const PAGE: u32 = 250;

/// What one watch covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// What it watches.
    pub kind: Kind,
    /// In which namespace; none = in all.
    pub namespace: Option<String>,
    /// Label selector; empty = none.
    pub label: String,
    /// Field selector; empty = none.
    pub field: String,
}

/// What a watch tells.
#[derive(Debug)]
pub enum Seen {
    /// A list begins.
    Begin,
    /// An object is there, or changed.
    Put(Object),
    /// An object is gone.
    Gone(Object),
    /// The list is whole: what it did not name is gone.
    Whole,
    /// It failed, and is tried again.
    Trouble(String),
}

/// Watches `scope` without end.
pub fn watch<K>(api: Api<K>, scope: &Scope, entropy: Entropy, convert: fn(K) -> Object) -> BoxStream<'static, Seen>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let config = Config { label_selector: some(&scope.label), field_selector: some(&scope.field), page_size: Some(PAGE), ..Config::default() };
    let streaming = Config { initial_list_strategy: InitialListStrategy::StreamingList, ..config.clone() };
    let kind = scope.kind;
    let state = Watching { stream: begin(&api, streaming), began: Some(tokio::time::Instant::now()), failures: 0, api, config, entropy };
    stream::unfold(state, move |mut state| async move {
        let seen = state.next(kind, convert).await;
        Some((seen, state))
    })
    .boxed()
}

type Events<K> = BoxStream<'static, Result<Event<K>, Error>>;

struct Watching<K> {
    api: Api<K>,
    config: Config,
    stream: Events<K>,
    /// Since when a streaming list is tried; `None` once one came to its end, or the server cannot.
    began: Option<tokio::time::Instant>,
    /// Failures since it last told something.
    failures: u32,
    entropy: Entropy,
}

fn begin<K>(api: &Api<K>, config: Config) -> Events<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api.clone(), config).boxed()
}

impl<K> Watching<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    async fn next(&mut self, kind: Kind, convert: fn(K) -> Object) -> Seen {
        if self.failures > 0 {
            tokio::time::sleep(self.wait()).await;
        }
        loop {
            let event = match self.began {
                Some(began) => tokio::time::timeout_at(began + STREAMING_MAX, self.stream.next()).await,
                None => Ok(self.stream.next().await),
            };
            match event {
                Ok(Some(Ok(Event::Init))) => return Seen::Begin,
                Ok(Some(Ok(Event::InitApply(object) | Event::Apply(object)))) => {
                    self.failures = 0;
                    return Seen::Put(convert(object));
                }
                Ok(Some(Ok(Event::Delete(object)))) => return Seen::Gone(convert(object)),
                Ok(Some(Ok(Event::InitDone))) => {
                    (self.began, self.failures) = (None, 0);
                    return Seen::Whole;
                }
                Ok(Some(Err(fault))) if self.began.is_some() && cannot_stream(&fault) => self.fall_back(kind),
                Ok(Some(Err(fault))) => {
                    self.failures += 1;
                    // A server that is away is no server that cannot.
                    self.began = self.began.map(|_| tokio::time::Instant::now());
                    return Seen::Trouble(explain(kind, &fault));
                }
                Ok(None) | Err(_) => self.fall_back(kind),
            }
        }
    }

    /// A second, doubled with each failure up to half a minute; by chance up to half of it less, so that the edges of a
    /// cluster do not all ask at once.
    fn wait(&self) -> Duration {
        let millis = 1_000_u64 << self.failures.saturating_sub(1).min(5);
        let millis = millis.min(30_000);
        Duration::from_millis(millis - self.entropy.below(millis / 2))
    }

    fn fall_back(&mut self, kind: Kind) {
        tracing::info!(?kind, "the API server does not stream lists; they are read in pages");
        (self.stream, self.began) = (begin(&self.api, self.config.clone()), None);
    }
}

/// Whether a server that answered so cannot stream lists. One that does not know them says 400 or 422, one whose etcd cannot
/// tell its progress (before 3.4.25) 500 within the stream; what a list would be answered with too is no such word.
fn cannot_stream(fault: &Error) -> bool {
    let code = match fault {
        Error::WatchStartFailed(kube::Error::Api(status)) | Error::WatchFailed(kube::Error::Api(status)) | Error::WatchError(status) => status.code,
        Error::WatchStartFailed(_) | Error::WatchFailed(_) | Error::InitialListFailed(_) | Error::NoResourceVersion => return false,
    };
    !matches!(code, 401 | 403 | 410 | 429 | 503 | 504)
}

/// What went wrong, and whose doing it is.
fn explain(kind: Kind, fault: &Error) -> String {
    let status = match fault {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status)) => Some(status),
        Error::WatchError(status) => Some(status),
        Error::InitialListFailed(_) | Error::WatchStartFailed(_) | Error::WatchFailed(_) | Error::NoResourceVersion => None,
    };
    if let Some(status) = status {
        let remedy = match status.code {
            403 => ": give its service account list and watch on it (deploy/edge/rbac.yaml)",
            401 => ": the API server does not know this token or certificate",
            _ => "",
        };
        return format!("{kind:?} cannot be watched: {} {}{remedy}", status.code, status.message);
    }
    let mut text = fault.to_string();
    let mut source = std::error::Error::source(fault);
    while let Some(deeper) = source {
        let more = deeper.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = deeper.source();
    }
    format!("{kind:?} cannot be watched: {text}")
}
