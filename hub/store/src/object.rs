//! Every request to the object store: timeouts, tries, counters.
//!
//! Parts: [`Objects`], with [`create`](Objects::create), [`get`](Objects::get), [`write`](Objects::write),
//! [`list`](Objects::list), [`delete`](Objects::delete). Promises: a create is sent once, whatever becomes
//! of it (lane rule 5: no bytes are ever sent twice under a name); reads are tried again while the fault
//! is one that time cures; every try has an end. Must not do: know what an object says.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use proto_model::Timestamp;
use proto_seam::{Entropy, World};
use tokio::time::Instant;

use crate::fault::StoreFault;
use crate::keys::Key;
use crate::limits::{LARGE_TIMEOUT, LIST_DATED_MAX, LIST_NAMES_MAX, READ_BACKOFF, READ_TRIES, SMALL_TIMEOUT};
use crate::metrics::{OfRequest, Request, StoreMetrics};

/// What became of a create that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Create {
    /// It stands, by this request.
    Created,
    /// The name was taken (or, on some stores, is being taken).
    Exists,
}

/// How much a request may bring, hence how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// A header, a control object.
    Small,
    /// A section, a snapshot.
    Large,
}

impl Size {
    const fn timeout(self) -> Duration {
        match self {
            Self::Small => SMALL_TIMEOUT,
            Self::Large => LARGE_TIMEOUT,
        }
    }
}

/// A moment on both clocks: wall time also counts while the machine sleeps, the other is never set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) wall: Timestamp,
    pub(crate) steady: Instant,
}

/// The object store below the configured prefix.
#[derive(Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    pub(crate) world: World,
    pub(crate) metrics: StoreMetrics,
}

impl Objects {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, prefix: Path, world: World, metrics: StoreMetrics) -> Self {
        Self { store, prefix, world, metrics }
    }

    /// Random numbers for ids and waits. The world's own: a fork would give a store that is opened again in
    /// the same process the ids of the first once more.
    pub(crate) const fn entropy(&self) -> &Entropy {
        &self.world.entropy
    }

    /// Now.
    pub(crate) fn moment(&self) -> Moment {
        Moment { wall: Timestamp(self.world.clock.now_ns()), steady: Instant::now() }
    }

    fn path(&self, key: &Key) -> Path {
        self.prefix.parts().chain(Path::from(key.as_str()).parts()).collect()
    }

    /// Creates `key` if it is absent. Sent once.
    ///
    /// # Errors
    /// Any fault means that it is not known whether it stands, or whether it will.
    pub(crate) async fn create(&self, key: &Key, parts: Vec<Bytes>) -> Result<Create, StoreFault> {
        let payload = PutPayload::from_iter(parts);
        self.metrics.written_bytes.inc_by(payload.content_length() as u64);
        let path = self.path(key);
        let put = self.store.put_opts(&path, payload, PutMode::Create.into());
        let answer = self.timed("create", key, Size::Large, async { put.await.map(drop) }).await;
        match answer {
            Ok(()) => Ok(Create::Created),
            Err(Answer::Exists) => Ok(Create::Exists),
            Err(Answer::Absent) => Err(no_bucket()),
            Err(Answer::Fault(fault)) => Err(fault),
        }
    }

    /// Writes `key`, over what may stand there: for names whose content always means the same.
    pub(crate) async fn write(&self, key: &Key, bytes: Bytes) -> Result<(), StoreFault> {
        let path = self.path(key);
        self.tried(|| async {
            self.metrics.written_bytes.inc_by(bytes.len() as u64);
            let put = self.store.put_opts(&path, bytes.clone().into(), PutMode::Overwrite.into());
            self.timed("write", key, Size::Large, async { put.await.map(drop) }).await
        })
        .await?
        .ok_or_else(no_bucket)
    }

    /// Bytes `range` of `key` (all without one), as many of them as there are; `None` when it is absent.
    pub(crate) async fn get(&self, key: &Key, range: Option<Range<u64>>, size: Size) -> Result<Option<Bytes>, StoreFault> {
        let path = self.path(key);
        let asked = range.clone();
        let found = self.tried(|| self.timed("get", key, size, fetch(&*self.store, &path, asked.clone()))).await;
        let found = match (found, range) {
            // Some stores refuse a range of an object that has none of it: then it is empty there, not away.
            (Err(fault), Some(range)) if fault.is_transient() && self.ends_before(key, range.start).await? => Some(Bytes::new()),
            (found, _) => found?,
        };
        self.metrics.read_bytes.inc_by(found.as_ref().map_or(0, |bytes| bytes.len() as u64));
        Ok(found)
    }

    async fn ends_before(&self, key: &Key, start: u64) -> Result<bool, StoreFault> {
        let path = self.path(key);
        let size = self.tried(|| self.timed("get", key, Size::Small, async { self.store.head(&path).await.map(|meta| meta.size) })).await?;
        Ok(size.is_some_and(|size| size <= start))
    }

    /// The last parts of the names directly below `folder`, in order. Not for correctness: a listing may lag.
    pub(crate) async fn list(&self, folder: &Key) -> Result<Vec<String>, StoreFault> {
        let path = self.path(folder);
        let listed = self.tried(|| {
            self.timed("list", folder, Size::Small, async {
                let mut names = Vec::new();
                let mut listing = self.store.list(Some(&path));
                while let Some(found) = listing.next().await {
                    let found = found?.location;
                    if let Some(last) = found.prefix_match(&path).and_then(only_part)
                        && names.len() < LIST_NAMES_MAX
                    {
                        names.push(last);
                    }
                }
                names.sort();
                Ok(names)
            })
        });
        Ok(listed.await?.unwrap_or_default())
    }

    /// As [`Self::list`], each with when the store says it was written.
    pub(crate) async fn list_dated(&self, folder: &Key) -> Result<Vec<(String, Timestamp)>, StoreFault> {
        let path = self.path(folder);
        let listed = self.tried(|| {
            self.timed("list", folder, Size::Large, async {
                let mut names = Vec::new();
                let mut listing = self.store.list(Some(&path));
                while let Some(found) = listing.next().await {
                    let found = found?;
                    if let Some(last) = found.location.prefix_match(&path).and_then(only_part)
                        && names.len() < LIST_DATED_MAX
                    {
                        names.push((last, written(&found)));
                    }
                }
                names.sort();
                Ok(names)
            })
        });
        Ok(listed.await?.unwrap_or_default())
    }

    /// When `key` was written, by the store's clock; `None` when it is absent.
    pub(crate) async fn written(&self, key: &Key) -> Result<Option<Timestamp>, StoreFault> {
        let path = self.path(key);
        self.tried(|| self.timed("get", key, Size::Small, async { self.store.head(&path).await.map(|meta| written(&meta)) })).await
    }

    /// Deletes `key`; gone already is as good.
    pub(crate) async fn delete(&self, key: &Key) -> Result<(), StoreFault> {
        let path = self.path(key);
        self.tried(|| self.timed("delete", key, Size::Small, async { self.store.delete(&path).await })).await.map(drop)
    }

    /// Tries `request` again while time may cure its fault; `None` = absent.
    async fn tried<T, F: Future<Output = Result<T, Answer>>>(&self, request: impl Fn() -> F) -> Result<Option<T>, StoreFault> {
        let mut wait = READ_BACKOFF;
        for left in (0..READ_TRIES).rev() {
            match request().await {
                Ok(value) => return Ok(Some(value)),
                Err(Answer::Absent) => return Ok(None),
                Err(Answer::Fault(fault)) if left == 0 || !fault.is_transient() => return Err(fault),
                Err(Answer::Exists | Answer::Fault(_)) => {
                    let jitter = self.entropy().below(u64::try_from(wait.as_millis()).unwrap_or(0));
                    tokio::time::sleep(wait / 2 + Duration::from_millis(jitter)).await;
                    wait *= 2;
                }
            }
        }
        Err(StoreFault::Unreachable { action: "request", key: String::new(), reason: "it was never answered".to_owned() })
    }

    async fn timed<T>(&self, action: &'static str, key: &Key, size: Size, request: impl Future<Output = object_store::Result<T>>) -> Result<T, Answer> {
        let started = Instant::now();
        let answer = match tokio::time::timeout(size.timeout(), request).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Answer::of(action, key, &error)),
            Err(_) => Err(Answer::Fault(unreachable(action, key, format!("no answer within {} s", size.timeout().as_secs())))),
        };
        let outcome = match &answer {
            Ok(_) => "ok",
            Err(Answer::Absent) => "absent",
            Err(Answer::Exists) => "exists",
            Err(Answer::Fault(_)) => "failed",
        };
        self.metrics.requests.get_or_create(&Request { request: action, outcome }).inc();
        self.metrics.seconds.get_or_create(&OfRequest { request: action }).observe(started.elapsed().as_secs_f64());
        answer
    }
}

fn written(meta: &object_store::ObjectMeta) -> Timestamp {
    Timestamp(meta.last_modified.timestamp_nanos_opt().unwrap_or(i64::MAX))
}

fn only_part<'p>(mut parts: impl Iterator<Item = object_store::path::PathPart<'p>>) -> Option<String> {
    let first = parts.next()?;
    parts.next().is_none().then(|| first.as_ref().to_owned())
}

async fn fetch(store: &dyn ObjectStore, path: &Path, range: Option<Range<u64>>) -> object_store::Result<Bytes> {
    let options = GetOptions::new().with_range(range);
    let result = store.get_opts(path, options).await?;
    let stated = result.range.end.saturating_sub(result.range.start);
    let bytes = result.bytes().await?;
    if bytes.len() as u64 == stated {
        Ok(bytes)
    } else {
        let text = format!("the answer held {} of {stated} bytes", bytes.len());
        Err(object_store::Error::Generic { store: "store", source: text.into() })
    }
}

/// What "absent" means as an answer to a write.
fn no_bucket() -> StoreFault {
    let reason = "there is no such bucket, or no such folder any more".to_owned();
    StoreFault::Settings { what: "store", reason, fix: "make the bucket, or name another in s3://bucket/prefix" }
}

fn unreachable(action: &'static str, key: &Key, reason: String) -> StoreFault {
    StoreFault::Unreachable { action, key: key.to_string(), reason }
}

/// An answer that is not the thing asked for.
#[derive(Debug)]
enum Answer {
    Absent,
    Exists,
    Fault(StoreFault),
}

impl Answer {
    fn of(action: &'static str, key: &Key, error: &object_store::Error) -> Self {
        use object_store::Error as E;
        if matches!(error, E::NotFound { .. }) {
            return Self::Absent;
        }
        if matches!(error, E::AlreadyExists { .. } | E::Precondition { .. }) {
            return Self::Exists;
        }
        let reason = one_line(error);
        if matches!(error, E::PermissionDenied { .. } | E::Unauthenticated { .. }) {
            return Self::Fault(StoreFault::Denied { action, key: key.to_string(), reason });
        }
        if matches!(error, E::NotImplemented { .. } | E::NotSupported { .. }) {
            return Self::Fault(StoreFault::NoConditionalCreate { reason });
        }
        Self::Fault(unreachable(action, key, reason))
    }
}

/// The error and its causes in one line of bounded length: what failed comes first, why comes last.
fn one_line(error: &object_store::Error) -> String {
    const PART_CHARS_MAX: usize = 160;
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let count = line.chars().count();
    if count <= 2 * PART_CHARS_MAX {
        return line;
    }
    let (front, back): (String, String) = (line.chars().take(PART_CHARS_MAX).collect(), line.chars().skip(count - PART_CHARS_MAX).collect());
    format!("{front} ... {back}")
}

#[cfg(test)]
mod tests;
