//! For tests: an object store in memory whose requests go wrong as told, and short ways to make things.
//!
//! Parts: [`Rig`] (the bucket; what each request meets is a list of [`Fate`]s, taken in order); hubs on it;
//! grants, batches, drafts. Every create is written down, so that a test can ask what was ever sent.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use hub_tenant::{Grant, Tenants};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};
use proto_model::{BatchDigest, Chain, ClusterId, Epoch, Labels, ProducerId, Sequence, Timestamp};
use proto_seam::disk::real::RealDisk;
use proto_seam::{Clock, Entropy, Workers, World};
use proto_wire::digest;

use crate::record::LaneRecord;
use crate::section::{BatchDraft, Draft, HubRow, Origin, SectionDraft};
use crate::store::{Store, StoreSettings};

/// What a request meets.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// Refused with a fault, not applied.
    Refused,
    /// Applied, the answer is lost.
    AnswerLost,
    /// A fault now; a write is applied when [`Rig::land`] is called.
    Late,
    /// Applied or answered after this long.
    Slow(Duration),
    /// Answered as if there were nothing.
    Absent,
    /// A read is answered with these bytes.
    Answered(Bytes),
    /// This is deleted from the bucket first, then the request goes its way.
    AfterDeleting(String),
    /// As if nothing.
    Fine,
}

/// `put`, `get`, `list` or `delete`, of names that contain the text.
#[derive(Debug)]
struct Told {
    request: &'static str,
    part: String,
    fates: Vec<Fate>,
}

/// One request as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) request: &'static str,
    pub(crate) name: String,
    /// Of a write.
    pub(crate) body: Bytes,
}

/// A bucket.
#[derive(Debug, Default)]
pub(crate) struct Rig {
    pub(crate) bucket: InMemory,
    told: Mutex<Vec<Told>>,
    seen: Mutex<Vec<Seen>>,
    late: Mutex<Vec<(Path, PutPayload, PutOptions)>>,
    /// Ignores create-if-absent.
    careless: bool,
    /// When the first hub came: all have one time.
    born: OnceLock<tokio::time::Instant>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

fn absent(path: &Path) -> object_store::Error {
    object_store::Error::NotFound { path: path.to_string(), source: "rig".into() }
}

pub(crate) fn lost(text: &str) -> object_store::Error {
    object_store::Error::Generic { store: "rig", source: text.to_owned().into() }
}

impl Rig {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// One that writes over what stands, whatever it is told.
    pub(crate) fn careless() -> Arc<Self> {
        Arc::new(Self { careless: true, ..Self::default() })
    }

    /// The next requests of that kind whose names contain `part` meet `fates`, in order; later calls go first.
    pub(crate) fn tell(&self, request: &'static str, part: &str, fates: impl IntoIterator<Item = Fate>) {
        let mut fates: Vec<Fate> = fates.into_iter().collect();
        fates.reverse();
        lock(&self.told).insert(0, Told { request, part: part.to_owned(), fates });
    }

    /// All requests of that kind to names that contain `part` are refused until [`Self::heal`].
    pub(crate) fn refuse_all(&self, request: &'static str, part: &str) {
        self.tell(request, part, std::iter::repeat_n(Fate::Refused, 100_000));
    }

    /// Forgets all that was told.
    pub(crate) fn heal(&self) {
        lock(&self.told).clear();
    }

    /// Lets late writes arrive; gives how many stood then.
    pub(crate) async fn land(&self) -> usize {
        let late = std::mem::take(&mut *lock(&self.late));
        let mut stood = 0;
        for (path, payload, options) in late {
            stood += usize::from(self.bucket.put_opts(&path, payload, options).await.is_ok());
        }
        stood
    }

    /// Requests of that kind to names that contain `part`.
    pub(crate) fn seen(&self, request: &'static str, part: &str) -> Vec<Seen> {
        lock(&self.seen).iter().filter(|seen| seen.request == request && seen.name.contains(part)).cloned().collect()
    }

    pub(crate) fn forget_seen(&self) {
        lock(&self.seen).clear();
    }

    /// All names in the bucket that contain `part`.
    pub(crate) async fn names(&self, part: &str) -> Vec<String> {
        let found: Vec<_> = self.bucket.list(None).map(|meta| meta.unwrap().location.to_string()).collect().await;
        found.into_iter().filter(|name| name.contains(part)).collect()
    }

    pub(crate) async fn read(&self, name: &str) -> Bytes {
        self.bucket.get(&Path::from(name)).await.unwrap().bytes().await.unwrap()
    }

    pub(crate) async fn write(&self, name: &str, bytes: impl Into<PutPayload>) {
        self.bucket.put(&Path::from(name), bytes.into()).await.unwrap();
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.bucket.delete(&Path::from(name)).await.unwrap();
    }

    fn fate(&self, request: &'static str, name: &str) -> Fate {
        let mut told = lock(&self.told);
        let rule = told.iter_mut().find(|told| told.request == request && name.contains(&told.part) && !told.fates.is_empty());
        rule.and_then(|rule| rule.fates.pop()).unwrap_or(Fate::Fine)
    }

    /// Does what the fate says must happen before the request is served.
    async fn meet(&self, request: &'static str, name: &Path, body: Bytes) -> Result<Fate> {
        lock(&self.seen).push(Seen { request, name: name.to_string(), body });
        let fate = self.fate(request, name.as_ref());
        match &fate {
            Fate::Refused => return Err(lost("503 SlowDown")),
            Fate::Slow(wait) => tokio::time::sleep(*wait).await,
            Fate::AfterDeleting(gone) => self.delete(gone).await,
            Fate::AnswerLost | Fate::Late | Fate::Absent | Fate::Answered(_) | Fate::Fine => {}
        }
        Ok(fate)
    }
}

impl fmt::Display for Rig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rig")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Rig {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if self.careless {
            options.mode = PutMode::Overwrite;
        }
        let fate = self.meet("put", location, payload.iter().flatten().copied().collect()).await?;
        match fate {
            Fate::Late => {
                lock(&self.late).push((location.clone(), payload, options));
                Err(lost("connection reset"))
            }
            Fate::AnswerLost => {
                drop(self.bucket.put_opts(location, payload, options).await);
                Err(lost("connection reset"))
            }
            Fate::Absent => Err(absent(location)),
            Fate::Refused | Fate::Slow(_) | Fate::Answered(_) | Fate::AfterDeleting(_) | Fate::Fine => self.bucket.put_opts(location, payload, options).await,
        }
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.bucket.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.meet("get", location, Bytes::new()).await? {
            Fate::AnswerLost | Fate::Late => Err(lost("connection reset")),
            Fate::Absent => Err(absent(location)),
            Fate::Answered(bytes) => {
                let other = InMemory::new();
                other.put(location, bytes.into()).await?;
                other.get_opts(location, GetOptions { range: options.range, ..GetOptions::default() }).await
            }
            Fate::Refused | Fate::Slow(_) | Fate::AfterDeleting(_) | Fate::Fine => self.bucket.get_opts(location, options).await,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.bucket.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.bucket.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let name = prefix.cloned().unwrap_or_default();
        lock(&self.seen).push(Seen { request: "list", name: name.to_string(), body: Bytes::new() });
        match self.fate("list", name.as_ref()) {
            Fate::Refused => futures::stream::iter([Err(lost("503 SlowDown"))]).boxed(),
            // A listing that lags: nothing yet.
            Fate::Absent => futures::stream::empty().boxed(),
            Fate::AnswerLost | Fate::Late | Fate::Slow(_) | Fate::Answered(_) | Fate::AfterDeleting(_) | Fate::Fine => self.bucket.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.bucket.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.bucket.copy_opts(from, to, options).await
    }
}

/// A world of simulated time and seeded numbers.
pub(crate) fn world(seed: u64) -> World {
    World { clock: Clock::simulated(1_700_000_000_000_000_000), entropy: Entropy::seeded(seed), disk: Arc::new(RealDisk::new()), workers: Workers::Inline }
}

/// A hub on a bucket.
pub(crate) async fn hub(objects: &Arc<Rig>, seed: u64) -> Arc<Store> {
    let elapsed = i64::try_from(objects.born.get_or_init(tokio::time::Instant::now).elapsed().as_nanos()).unwrap();
    let world = World { clock: Clock::simulated(1_700_000_000_000_000_000 + elapsed), ..world(seed) };
    let objects: Arc<dyn ObjectStore> = Arc::<Rig>::clone(objects);
    let settings = StoreSettings { writer: format!("hub-{seed}"), ..StoreSettings::new(objects, Path::default()) };
    Store::open(settings, world).await.unwrap()
}

/// The grant of a tenant, got as a hub gets it.
pub(crate) fn grant(tenant: &str) -> Grant {
    let text = format!("version: 1\ntenants: {{{tenant}: {{clusters: [c-{tenant}]}}}}");
    let tenants = Tenants::parse("tenants.yaml", &text).unwrap();
    tenants.identify(&ClusterId::new(&format!("c-{tenant}")).unwrap()).unwrap()
}

/// One stream of `lines` lines from `at` on.
pub(crate) fn row(app: &str, lines: u64, at: i64) -> HubRow {
    HubRow { labels: Labels::from_pairs([("app", app), ("cluster", "alpha")]), lines, bytes: 10 * lines, min: Timestamp(at), max: Timestamp(at + 9) }
}

/// An edge's producer: its next batches, numbered and chained.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) producer: ProducerId,
    pub(crate) epoch: Epoch,
    pub(crate) last: Sequence,
    pub(crate) chain: Chain,
}

impl Edge {
    pub(crate) fn new(producer: ProducerId) -> Self {
        Self { producer, epoch: Epoch(1), last: Sequence(0), chain: Chain::default() }
    }

    /// The record that opens it under its epoch, where it stands.
    pub(crate) fn open(&self) -> LaneRecord {
        LaneRecord::Open {
            producer: self.producer,
            epoch: self.epoch,
            identity: "alpha/one".to_owned(),
            nonce: [7; 16],
            wal_id: 5,
            track: 1,
            sequence: self.last,
            chain: self.chain,
            positions: Vec::new(),
            after: None,
        }
    }

    /// The frozen bytes of batch `sequence`: any bytes do, the store does not look at them.
    pub(crate) fn body(&self, sequence: Sequence) -> Bytes {
        format!("batch {} of {}", sequence.0, self.producer).into()
    }

    /// The next `count` batches: their advance, and the batches.
    pub(crate) fn next(&mut self, count: u64) -> (LaneRecord, Vec<BatchDraft>) {
        let from = self.last.next();
        let sequences: Vec<Sequence> = (0..count).map(|i| Sequence(from.0 + i)).collect();
        let digests: Vec<BatchDigest> = sequences.iter().map(|sequence| digest::of_batch(&self.body(*sequence))).collect();
        self.chain = digests.iter().fold(self.chain, |chain, digest| digest::extend(chain, *digest));
        self.last = Sequence(self.last.0 + count);
        let batches = sequences.iter().map(|sequence| BatchDraft {
            origin: Origin::Producer { producer: self.producer, sequence: *sequence },
            cluster: Some(ClusterId::new("alpha").unwrap()),
            body: self.body(*sequence),
            rows: vec![row("web", 1, i64::try_from(sequence.0).unwrap() * 100)],
        });
        let batches = batches.collect();
        let advance =
            LaneRecord::Advance { producer: self.producer, epoch: self.epoch, from, to: self.last, chain_to: self.chain, digests, positions: Vec::new() };
        (advance, batches)
    }
}

/// A draft of one tenant.
pub(crate) fn draft(tenant: &str, records: Vec<LaneRecord>, batches: Vec<BatchDraft>) -> Draft {
    let sections = if batches.is_empty() { Vec::new() } else { vec![SectionDraft { grant: grant(tenant), batches }] };
    Draft { records, sections, map_version: 0 }
}

/// The batches of a tenant that a hub shows now: origin -> how often, in order of reading.
pub(crate) async fn shown(hub: &Arc<Store>, tenant: &str) -> Vec<(Origin, Bytes)> {
    // Simulated time may not have moved since the last round: ask for one of its own.
    hub.follow_round().await.unwrap();
    let view = hub.fresh(Timestamp::MAX).await.unwrap();
    let grant = grant(tenant);
    let mut out = Vec::new();
    for of in view.sections(&grant, proto_model::TimeRange::ALL) {
        let section = hub.section(&grant, &of).await.unwrap();
        out.extend(section.table.batches.iter().enumerate().map(|(at, entry)| (entry.origin.clone(), section.batch(at))));
    }
    out
}

/// How often each origin is shown.
pub(crate) async fn counts(hub: &Arc<Store>, tenant: &str) -> BTreeMap<Origin, usize> {
    let mut counts = BTreeMap::new();
    for (origin, _) in shown(hub, tenant).await {
        *counts.entry(origin).or_default() += 1;
    }
    counts
}
