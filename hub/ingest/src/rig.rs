//! For tests: a bucket in memory that goes wrong as told, a world of simulated time, and short ways to
//! make tenants, batches and requests' parts. Names no type of this crate, so that its tests from
//! outside use it too. Must not do: assert anything.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use hub_store::{Store, StoreSettings};
use hub_tenant::Tenants;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use proto_model::{ClusterId, Labels, TimeRange, Timestamp};
use proto_seam::disk::real::RealDisk;
use proto_seam::{Clock, Entropy, Workers, World};
use proto_wire::{BatchBuilder, BatchView, Compression, FrozenBatch};

/// A bucket.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    inner: InMemory,
    /// Nothing is answered but faults.
    pub(crate) away: AtomicBool,
    /// So many of the next lane objects are written, and their answers lost.
    pub(crate) answers_lost: AtomicUsize,
    /// Creates of lane objects that were asked for.
    pub(crate) creates: AtomicUsize,
}

fn lost() -> Error {
    Error::Generic { store: "bucket", source: "connection reset".into() }
}

impl Bucket {
    fn here(&self) -> Result<()> {
        if self.away.load(Ordering::Relaxed) { Err(lost()) } else { Ok(()) }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bucket")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.here()?;
        let answer = self.inner.put_opts(location, payload, options).await;
        if location.as_ref().contains("/log/") {
            self.creates.fetch_add(1, Ordering::Relaxed);
            if self.answers_lost.load(Ordering::Relaxed) > 0 {
                self.answers_lost.fetch_sub(1, Ordering::Relaxed);
                return Err(lost());
            }
        }
        answer
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.here()?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.here()?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.here() {
            Ok(()) => self.inner.list(prefix),
            Err(fault) => futures::stream::iter([Err(fault)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.here()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A world of simulated time and seeded numbers; call inside a paused runtime.
pub(crate) fn world(seed: u64) -> World {
    World { clock: Clock::simulated(1_700_000_000_000_000_000), entropy: Entropy::seeded(seed), disk: Arc::new(RealDisk::new()), workers: Workers::Inline }
}

/// A hub's store on `bucket`.
pub(crate) async fn store(bucket: &Arc<Bucket>, seed: u64) -> Arc<Store> {
    let objects: Arc<dyn ObjectStore> = Arc::<Bucket>::clone(bucket);
    let settings = StoreSettings { writer: format!("hub-{seed}"), ..StoreSettings::new(objects, Path::default()) };
    Store::open(settings, world(seed)).await.unwrap()
}

/// Tenants acme (cluster alpha) and blue (cluster beta), under a map of this version.
pub(crate) fn tenants(version: u64) -> Tenants {
    Tenants::parse("tenants.yaml", &format!("version: {version}\ntenants: {{acme: {{clusters: [alpha]}}, blue: {{clusters: [beta]}}}}\n")).unwrap()
}

/// A cluster's name.
pub(crate) fn cluster(name: &str) -> ClusterId {
    ClusterId::new(name).unwrap()
}

/// A batch of these lines in one stream.
pub(crate) fn frozen(labels: &[(&str, &str)], lines: &[&str]) -> FrozenBatch {
    let labels = Arc::new(Labels::from_pairs(labels.iter().copied()));
    let mut builder = BatchBuilder::new();
    for (at, line) in lines.iter().enumerate() {
        builder.push(&labels, Timestamp(1_700_000_000_000_000_000 + i64::try_from(at).unwrap()), 0, &[], line.as_bytes());
    }
    builder.freeze(Compression::Zstd).unwrap()
}

/// All lines of the tenant of `cluster_name` that a fresh hub finds in `bucket`, in order of reading.
pub(crate) async fn lines(bucket: &Arc<Bucket>, cluster_name: &str) -> Vec<String> {
    let store = store(bucket, 99).await;
    store.follow_round().await.unwrap();
    let grant = tenants(1).identify(&cluster(cluster_name)).unwrap();
    let mut out = Vec::new();
    for of in store.view().sections(&grant, TimeRange::ALL) {
        let section = store.section(&grant, &of).await.unwrap();
        for at in 0..section.table.batches.len() {
            let payload = BatchView::parse(section.batch(at)).unwrap().payload().unwrap();
            for stream in 0..payload.streams() {
                out.extend(payload.rows(stream).map(|row| String::from_utf8(row.unwrap().line.to_vec()).unwrap()));
            }
        }
    }
    out
}
