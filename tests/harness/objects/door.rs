//! One hub's way to the bucket: each request meets its fate.
//!
//! Parts: [`Door`], an [`ObjectStore`]. A write joins the bucket's queue; reads wait while their host is held. Must not do: change what stands.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use tokio::sync::oneshot;

use super::{ALL, Bucket, Fate, LIST_LAG_MS_MAX, Queued, Write, exists, refused};
use crate::world::locked;

/// One hub's way to a [`Bucket`].
#[derive(Debug)]
pub(super) struct Door {
    pub(super) bucket: Arc<Bucket>,
    pub(super) host: String,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulated store of {}", self.host)
    }
}

async fn let_through(bucket: &Bucket, host: &str) {
    loop {
        let released = bucket.released.notified();
        {
            let held = locked(&bucket.held);
            if !held.contains(host) && !held.contains(ALL) {
                return;
            }
        }
        released.await;
    }
}

/// The way to the store of a read.
async fn read_through(bucket: &Bucket, host: &str, request: &'static str, path: &Path) -> Result<()> {
    let fate = if bucket.is_hidden(host, path) { Fate::Refused } else { bucket.draw(path, false, false) };
    bucket.met(host, request, path, fate);
    let wait = if let Fate::Slow(wait) = fate { wait } else { bucket.brief() };
    tokio::time::sleep(wait).await;
    let_through(bucket, host).await;
    if fate == Fate::Refused { Err(refused("503 SlowDown")) } else { Ok(()) }
}

impl Door {
    /// Puts a write on its way, to take effect after `wait`.
    fn send(&self, path: &Path, what: Write, wait: Duration, kills: bool) -> oneshot::Receiver<Result<PutResult>> {
        let (done, landed) = oneshot::channel();
        let bucket = &self.bucket;
        let due = bucket.trace.now() + wait;
        let on_its_way = bucket.entropy.chance(0.5);
        let mut state = locked(&bucket.state);
        state.queued += 1;
        let id = state.queued;
        state.queue.insert((due, id), Queued { host: self.host.clone(), path: path.clone(), what, on_its_way, kills, done: Some(done) });
        landed
    }

    /// Told once the write has taken effect and its answer is through.
    async fn landed(&self, landed: oneshot::Receiver<Result<PutResult>>) -> Result<PutResult> {
        let result = landed.await.unwrap_or_else(|_| Err(refused("the store is gone")));
        tokio::time::sleep(self.bucket.brief()).await;
        let_through(&self.bucket, &self.host).await;
        result
    }

    /// A write or delete, as its fate will have it.
    async fn write(&self, request: &str, location: &Path, what: Write) -> Result<PutResult> {
        let creates = matches!(what, Write::Put(_, PutMode::Create));
        let fate = self.bucket.draw(location, true, creates);
        self.bucket.met(&self.host, request, location, fate);
        let brief = self.bucket.brief();
        match fate {
            Fate::Fine => {
                let sent = self.send(location, what, brief, false);
                self.landed(sent).await
            }
            Fate::Slow(wait) => {
                let sent = self.send(location, what, wait, false);
                self.landed(sent).await
            }
            Fate::Refused => {
                tokio::time::sleep(brief).await;
                Err(refused("503 SlowDown"))
            }
            Fate::AnswerLost(never) => {
                let sent = self.send(location, what, brief, false);
                drop(self.landed(sent).await);
                if never { std::future::pending().await } else { Err(refused("connection reset by peer")) }
            }
            Fate::Late(wait) => {
                drop(self.send(location, what, wait, false));
                tokio::time::sleep(brief).await;
                Err(refused("connection reset by peer"))
            }
            Fate::Conflict => {
                tokio::time::sleep(brief).await;
                Err(exists(location))
            }
            Fate::TakenByItself => {
                let sent = self.send(location, what, brief, false);
                drop(self.landed(sent).await);
                Err(exists(location))
            }
            Fate::DiesBefore => {
                locked(&self.bucket.state).dying.push(self.host.clone());
                std::future::pending().await
            }
            Fate::DiesAfter => {
                drop(self.send(location, what, brief, true));
                std::future::pending().await
            }
        }
    }

    async fn read(&self, request: &'static str, location: &Path) -> Result<()> {
        read_through(&self.bucket, &self.host, request, location).await
    }
}

#[async_trait]
impl ObjectStore for Door {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let body = payload.iter().flatten().copied().collect();
        self.write("put", location, Write::Put(body, options.mode)).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "multipart".to_owned(), implementer: "sim".to_owned() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read("get", location).await?;
        let found = locked(&self.bucket.state).shelf.read(location, &options);
        // What was read may be old when it arrives.
        tokio::time::sleep(self.bucket.brief()).await;
        let_through(&self.bucket, &self.host).await;
        found
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut found = Vec::new();
        for range in ranges {
            found.push(self.get_opts(location, GetOptions::new().with_range(Some(range.clone()))).await?.bytes().await?);
        }
        Ok(found)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (bucket, host) = (Arc::clone(&self.bucket), self.host.clone());
        locations
            .then(move |location| {
                let door = Self { bucket: Arc::clone(&bucket), host: host.clone() };
                async move {
                    let location = location?;
                    door.write("delete", &location, Write::Delete).await.map(|_| location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (door, prefix) = (Self { bucket: Arc::clone(&self.bucket), host: self.host.clone() }, prefix.cloned());
        let listing = async move {
            let prefix = prefix.unwrap_or_default();
            if let Err(fault) = door.read("list", &prefix).await {
                return futures::stream::iter(vec![Err(fault)]);
            }
            let bucket = &door.bucket;
            let lags = bucket.entropy.below(1_000_000) < locked(&bucket.state).rates.list_lag;
            let ago = Duration::from_millis(if lags { 1 + bucket.entropy.below(LIST_LAG_MS_MAX) } else { 0 });
            let as_of = bucket.trace.now().saturating_sub(ago);
            let (listed, is_old) = locked(&bucket.state).shelf.list(&prefix, as_of);
            if is_old {
                bucket.fired.add("store listing was old");
            }
            futures::stream::iter(listed.into_iter().map(Ok).collect::<Vec<_>>())
        };
        futures::stream::once(listing).flatten().boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(Error::NotImplemented { operation: "list with delimiter".to_owned(), implementer: "sim".to_owned() })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copy".to_owned(), implementer: "sim".to_owned() })
    }
}
