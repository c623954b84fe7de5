//! A bad object store that knows the truth.
//!
//! Parts: [`Weather`]; [`Sea`] (the bucket, with the time at which it was told to write); [`Way`] (one hub's way to it).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use proto_seam::{Clock, Entropy};
use tokio::time::Instant;

use super::START_NS;
use super::oracle::Oracle;

/// How bad it is; all zero is fine weather.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weather {
    pub(crate) refused: f64,
    pub(crate) lost: f64,
    pub(crate) late: f64,
    pub(crate) slow_ms: u64,
    pub(crate) sleep: f64,
    pub(crate) sleep_ms: u64,
}

/// The bucket.
pub(crate) struct Sea {
    pub(crate) bucket: InMemory,
    pub(crate) oracle: Mutex<Oracle>,
    pub(crate) weather: Mutex<Weather>,
    pub(crate) entropy: Entropy,
    pub(crate) clock: Clock,
    /// When it was told to write each object that stands, and its bytes.
    written: Mutex<BTreeMap<String, (i64, u64)>>,
}

impl Sea {
    pub(crate) fn new(seed: u64, weather: Weather) -> Arc<Self> {
        let (entropy, clock) = (Entropy::seeded(seed).fork("sea"), Clock::simulated(START_NS));
        Arc::new(Self { bucket: InMemory::new(), oracle: Mutex::default(), weather: Mutex::new(weather), entropy, clock, written: Mutex::default() })
    }

    pub(crate) fn way(self: &Arc<Self>) -> Arc<Way> {
        Arc::new(Way {
            sea: Arc::clone(self),
            asleep: Mutex::new(Instant::now()),
            gets: AtomicU64::default(),
            lists: AtomicU64::default(),
            bytes: AtomicU64::default(),
        })
    }

    /// From now on nothing goes wrong by itself.
    pub(crate) fn calm(&self) {
        *self.weather.lock().unwrap() = Weather { slow_ms: 5, ..Weather::default() };
    }

    pub(crate) async fn names(&self, part: &str) -> Vec<String> {
        let found: Vec<ObjectMeta> = self.bucket.list(None).map(Result::unwrap).collect().await;
        found.into_iter().map(|meta| meta.location.to_string()).filter(|name| name.contains(part)).collect()
    }

    pub(crate) async fn read(&self, name: &str) -> Bytes {
        self.bucket.get_opts(&Path::from(name), GetOptions::default()).await.unwrap().bytes().await.unwrap()
    }

    pub(crate) async fn write(&self, name: &str, body: Bytes) {
        self.put(&Path::from(name), body.into(), PutOptions::default()).await.unwrap();
    }

    async fn put(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        let body: Bytes = payload.iter().flatten().copied().collect();
        let create = options.mode == PutMode::Create;
        let done = self.bucket.put_opts(path, payload, options).await;
        if done.is_ok() {
            self.written.lock().unwrap().insert(path.to_string(), (self.clock.now_ns(), body.len() as u64));
            if create {
                self.oracle.lock().unwrap().created(path.as_ref(), &body);
            }
        }
        done
    }

    fn dated(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let at = self.written.lock().unwrap().get(meta.location.as_ref()).map_or(START_NS, |(at, _)| *at);
        meta.last_modified = (UNIX_EPOCH + Duration::from_nanos(u64::try_from(at).unwrap())).into();
        meta
    }

    /// What stands in a folder, in order of names; the bucket itself would look at all objects for that.
    fn listed(&self, folder: &str) -> Vec<ObjectMeta> {
        let written = self.written.lock().unwrap();
        let of = written.range(folder.to_owned()..).take_while(|(name, _)| name.starts_with(folder));
        let meta = |(name, (at, size)): (&String, &(i64, u64))| ObjectMeta {
            location: Path::from(name.as_str()),
            last_modified: (UNIX_EPOCH + Duration::from_nanos(u64::try_from(*at).unwrap())).into(),
            size: *size,
            e_tag: None,
            version: None,
        };
        of.map(meta).collect()
    }

    /// Panics with the first breach.
    pub(crate) fn must_be_sound(&self) {
        let oracle = self.oracle.lock().unwrap();
        assert!(oracle.breaches.is_empty(), "{:#?}", oracle.breaches);
    }
}

/// A hub's way to the sea; all its requests wait while it sleeps.
pub(crate) struct Way {
    sea: Arc<Sea>,
    pub(crate) asleep: Mutex<Instant>,
    /// GETs and HEADs asked.
    pub(crate) gets: AtomicU64,
    pub(crate) lists: AtomicU64,
    /// Bytes that the GETs brought.
    pub(crate) bytes: AtomicU64,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("way")
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("way")
    }
}

fn lost(text: &str) -> object_store::Error {
    object_store::Error::Generic { store: "sea", source: text.to_owned().into() }
}

impl Way {
    async fn pass(&self) -> Weather {
        let weather = self.sea.weather.lock().unwrap().clone();
        if self.sea.entropy.chance(weather.sleep) {
            *self.asleep.lock().unwrap() = Instant::now() + Duration::from_millis(self.sea.entropy.below(weather.sleep_ms));
        }
        if weather.slow_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.sea.entropy.below(weather.slow_ms))).await;
        }
        self.awake().await;
        weather
    }

    pub(crate) async fn awake(&self) {
        loop {
            let until = *self.asleep.lock().unwrap();
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

#[async_trait::async_trait]
impl ObjectStore for Way {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        let weather = self.pass().await;
        let entropy = &self.sea.entropy;
        if entropy.chance(weather.refused) {
            return Err(lost("503"));
        }
        if entropy.chance(weather.late) {
            // Applied whenever it arrives, whatever became of its sender.
            let (sea, path, wait) = (Arc::clone(&self.sea), path.clone(), entropy.below(31_000));
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                drop(sea.put(&path, payload, options).await);
            });
            return Err(lost("timeout"));
        }
        let done = self.sea.put(path, payload, options).await;
        self.pass().await;
        if entropy.chance(weather.lost) { Err(lost("reset")) } else { done }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(lost("not here"))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let weather = self.pass().await;
        self.gets.fetch_add(1, Relaxed);
        if self.sea.entropy.chance(weather.refused) {
            return Err(lost("503"));
        }
        let head = options.head;
        let mut found = self.sea.bucket.get_opts(path, options).await;
        self.pass().await;
        if let Ok(found) = &mut found {
            found.meta = self.sea.dated(found.meta.clone());
            self.bytes.fetch_add(if head { 0 } else { found.range.end - found.range.start }, Relaxed);
        }
        found
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.sea.bucket.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, object_store::Result<Path>>) -> BoxStream<'static, object_store::Result<Path>> {
        let way = self.sea.way();
        *way.asleep.lock().unwrap() = *self.asleep.lock().unwrap();
        paths
            .then(move |path| {
                let way = Arc::clone(&way);
                async move {
                    let path = path?;
                    let weather = way.pass().await;
                    if way.sea.entropy.chance(weather.refused) {
                        return Err(lost("503"));
                    }
                    way.sea.oracle.lock().unwrap().deletes(path.as_ref());
                    way.sea.written.lock().unwrap().remove(path.as_ref());
                    let one = path.clone();
                    way.sea.bucket.delete_stream(futures::stream::once(async move { Ok(one) }).boxed()).next().await;
                    Ok(path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.lists.fetch_add(1, Relaxed);
        let folder = prefix.map_or_else(String::new, |prefix| format!("{prefix}/"));
        let found: Vec<_> = self.sea.listed(&folder).into_iter().map(Ok).collect();
        futures::stream::iter(found).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.sea.bucket.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.sea.bucket.copy_opts(from, to, options).await
    }
}
