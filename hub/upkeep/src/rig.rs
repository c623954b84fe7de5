//! For tests: a bad object store that knows the truth, hubs on it, lines in and lines out.
//!
//! Parts: [`Weather`]; [`Oracle`] (the first object created under a number is the truth, any other is garbage; what
//! may be deleted and recorded is judged by the truth); [`Sea`] (the bucket, with the time at which it was told to
//! write); [`Way`] (one hub's way to it); [`Hub`]; [`shown`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use hub_query::{Deletion, Fate};
use hub_store::{
    BatchDraft, Delete, Draft, HubRow, LaneHeader, LaneRecord, LaneWriter, Manifest, Origin, SectionDraft, SegmentId, Store, StoreFault, StoreKeys,
    StoreSettings,
};
use hub_tenant::{Grant, Tenants};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use proto_model::{ClusterId, LaneId, TenantId, TimeRange, Timestamp};
use proto_seam::disk::real::RealDisk;
use proto_seam::{Clock, Entropy, Workers, World};
use proto_wire::batch::{BatchBuilder, BatchView, Compression, Row};
use tokio::time::Instant;

use crate::{Upkeep, UpkeepMetrics, UpkeepSettings};

/// 2023-11-14T22:13:20Z.
pub(crate) const START_NS: i64 = 1_700_000_000_000_000_000;

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

/// The truth, and what was seen.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) lanes: BTreeMap<LaneId, BTreeMap<u64, LaneHeader>>,
    pub(crate) manifests: BTreeMap<TenantId, BTreeMap<u64, Manifest>>,
    pub(crate) floors: BTreeMap<LaneId, u64>,
    pub(crate) acked: BTreeMap<(TenantId, String), Instant>,
    /// Tenants whose sections hold no floor back.
    pub(crate) erased: BTreeSet<TenantId>,
    /// Lines that were deleted, and when that was answered.
    pub(crate) gone: BTreeMap<(TenantId, String), Instant>,
    /// Lines whose delete is not answered.
    pub(crate) doubtful: BTreeSet<(TenantId, String)>,
    pub(crate) garbage_lanes: u64,
    pub(crate) garbage_manifests: u64,
    pub(crate) deleted: BTreeMap<&'static str, u64>,
    /// What was wrong, in order.
    pub(crate) breaches: Vec<String>,
    /// Forgets what a later floor or manifest cannot be judged by any more: for long runs that nobody sleeps through.
    pub(crate) forgets: bool,
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

impl Oracle {
    fn created(&mut self, name: &str, body: &Bytes) {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["lanes", lane, "log", at] => self.lane_object(lane.parse().unwrap(), number(at).unwrap(), body),
            ["tenants", tenant, "manifest", at] => self.manifest(&TenantId::new(tenant).unwrap(), number(at).unwrap(), body),
            _ => {}
        }
    }

    fn lane_object(&mut self, lane: LaneId, number: u64, body: &Bytes) {
        let header = LaneHeader::open(body, lane, number, &StoreKeys::none()).unwrap();
        let known = self.lanes.entry(lane).or_default();
        if known.contains_key(&number) {
            self.garbage_lanes += 1;
            return;
        }
        for record in &header.records {
            if let LaneRecord::Floor(floor) = record {
                self.floors.insert(lane, *floor);
                for (at, below) in known.range(..=*floor) {
                    for section in below.sections.iter().filter(|section| !self.erased.contains(&section.tenant)) {
                        let mark = self.manifests.get(&section.tenant).and_then(|log| log.values().next_back()).map_or(0, |newest| newest.watermark(lane));
                        if mark < *at {
                            self.breaches.push(format!("floor {floor} of lane {lane} passes number {at}, absorbed up to {mark}"));
                        }
                    }
                }
                if self.forgets {
                    known.retain(|at, _| at > floor);
                }
            }
        }
        known.insert(number, header);
    }

    fn manifest(&mut self, tenant: &TenantId, number: u64, body: &Bytes) {
        let manifest = Manifest::read(body, tenant, number, &StoreKeys::none()).unwrap();
        let known = self.manifests.entry(tenant.clone()).or_default();
        if known.contains_key(&number) {
            self.garbage_manifests += 1;
            return;
        }
        if let Some((_, before)) = known.last_key_value()
            && (manifest.previous != before.commit || number != before.number + 1)
        {
            self.breaches.push(format!("manifest {number} does not follow the true {}", before.number));
        }
        known.insert(number, manifest);
        if self.forgets {
            known.retain(|at, _| at + 2 > number);
        }
    }

    fn deletes(&mut self, name: &str) {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["lanes", lane, "log", at] => {
                *self.deleted.entry("lane").or_default() += 1;
                let (lane, at): (LaneId, u64) = (lane.parse().unwrap(), number(at).unwrap());
                if at > self.floors.get(&lane).copied().unwrap_or(0) {
                    self.breaches.push(format!("number {at} of lane {lane} is deleted above the floor"));
                }
            }
            ["tenants", tenant, "segments", id] => {
                *self.deleted.entry("segment").or_default() += 1;
                let id = SegmentId(u128::from_str_radix(id, 16).unwrap());
                let newest = self.manifests.get(&TenantId::new(tenant).unwrap()).and_then(|log| log.values().next_back());
                if newest.is_some_and(|newest| newest.names(id)) {
                    self.breaches.push(format!("segment {id} is deleted while it is named"));
                }
            }
            ["tenants", tenant, "manifest", at] => {
                *self.deleted.entry("manifest").or_default() += 1;
                let newest = self.manifests.get(&TenantId::new(tenant).unwrap()).and_then(|log| log.keys().next_back()).copied().unwrap_or(0);
                if number(at).unwrap() + 2 > newest {
                    self.breaches.push(format!("manifest {at} is deleted while {newest} is the newest"));
                }
            }
            _ => {}
        }
    }
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

/// Everything in seconds instead of hours.
pub(crate) fn settings() -> UpkeepSettings {
    UpkeepSettings {
        absorb_bytes: 4_000,
        absorb_after: Duration::from_secs(2),
        absorb_after_small: Duration::from_secs(4),
        lane_keep: Duration::from_secs(4),
        doom_age: Duration::from_secs(20),
        doom_grace: Duration::from_secs(20),
        tidy_every: Duration::from_secs(3),
        sweep_every: Duration::from_secs(7),
        ..UpkeepSettings::default()
    }
}

pub(crate) fn world(sea: &Sea, seed: u64) -> World {
    World { clock: sea.clock.clone(), entropy: Entropy::seeded(seed), disk: Arc::new(RealDisk::new()), workers: Workers::Inline }
}

/// A hub: its store, its upkeep.
pub(crate) struct Hub {
    pub(crate) way: Arc<Way>,
    pub(crate) store: Arc<Store>,
    pub(crate) upkeep: Arc<Upkeep>,
}

impl Hub {
    pub(crate) async fn open(sea: &Arc<Sea>, seed: u64) -> Result<Self, StoreFault> {
        Self::open_with(sea, seed, settings()).await
    }

    pub(crate) async fn open_with(sea: &Arc<Sea>, seed: u64, settings: UpkeepSettings) -> Result<Self, StoreFault> {
        let (way, world) = (sea.way(), world(sea, seed));
        let objects: Arc<dyn ObjectStore> = Arc::<Way>::clone(&way);
        let store = Store::open(StoreSettings { writer: format!("hub-{seed}"), ..StoreSettings::new(objects, Path::default()) }, world.clone()).await?;
        let upkeep = Arc::new(Upkeep::new(Arc::clone(&store), world, settings, UpkeepMetrics::default()));
        Ok(Self { way, store, upkeep })
    }

    /// The newest manifest that this hub finds.
    pub(crate) async fn manifest(&self, tenant: &str) -> Arc<Manifest> {
        self.upkeep.manifest(grant(tenant).tenant()).await.unwrap().unwrap()
    }
}

pub(crate) fn grant(tenant: &str) -> Grant {
    let text = format!("version: 1\ntenants: {{{tenant}: {{clusters: [c-{tenant}]}}}}");
    let tenants = Tenants::parse("tenants.yaml", &text).unwrap();
    tenants.identify(&ClusterId::new(&format!("c-{tenant}")).unwrap()).unwrap()
}

/// Lines `<key>-0..` of two streams, one of them of another day, frozen; and the hub's rows.
pub(crate) fn batch(key: &str, lines: usize, at: i64) -> (Bytes, Vec<HubRow>) {
    let mut builder = BatchBuilder::new();
    let labels = |app: &str| Arc::new(proto_model::Labels::from_pairs([("app", app)]));
    let (web, db) = (labels("web"), labels("db"));
    for line in 0..lines {
        let (labels, back) = if line % 3 == 2 { (&db, 86_400_000_000_000) } else { (&web, 0) };
        builder.push(labels, Timestamp(at - back), 255, &[], format!("{key}-{line}").as_bytes());
    }
    let body = builder.freeze(Compression::None).unwrap().body;
    let view = BatchView::parse(body.clone()).unwrap();
    let rows = HubRow::as_sent(&view.table().streams);
    (body, rows)
}

/// A push of each tenant, unless the lane has it already.
pub(crate) fn push(writer: &LaneWriter, now: Timestamp, pushes: &[(&str, String, Bytes, Vec<HubRow>)]) -> Draft {
    let mut draft = Draft { map_version: writer.fold().map_version(), ..Draft::default() };
    for (tenant, key, body, rows) in pushes {
        let grant = grant(tenant);
        if writer.fold().push_key(grant.tenant(), key.as_bytes()).is_some() {
            continue;
        }
        draft.records.push(LaneRecord::PushKey { tenant: grant.tenant().clone(), key: key.as_bytes().to_vec(), at: now });
        let batch = BatchDraft { origin: Origin::Push { key: key.as_bytes().to_vec() }, cluster: None, body: body.clone(), rows: rows.clone() };
        draft.sections.push(SectionDraft { grant, batches: vec![batch] });
    }
    draft
}

/// Commits one push of each of the tenants, of `lines` lines.
pub(crate) async fn commit(sea: &Sea, writer: &mut LaneWriter, tenants: &[&str], key: &str, lines: usize) -> u64 {
    let now = sea.clock.now_ns();
    let pushes: Vec<_> =
        tenants.iter().map(|tenant| (*tenant, batch(key, lines, now))).map(|(tenant, (body, rows))| (tenant, key.to_owned(), body, rows)).collect();
    writer.follow().await.unwrap();
    let draft = push(writer, Timestamp(now), &pushes);
    writer.put(draft).await.unwrap().number
}

/// How often each line of a tenant is shown, by a view that is fresh as of `as_of`, its manifest, and the sections
/// that the manifest does not hold.
pub(crate) async fn shown(store: &Arc<Store>, tenant: &str, as_of: Timestamp) -> Result<BTreeMap<String, usize>, StoreFault> {
    let grant = grant(tenant);
    let mut last = None;
    for _ in 0..5 {
        match shown_once(store, &grant, as_of).await {
            Ok(found) => return Ok(found),
            Err(fault @ StoreFault::Moved { .. }) => last = Some(fault),
            Err(fault) => return Err(fault),
        }
    }
    Err(last.unwrap())
}

async fn shown_once(store: &Arc<Store>, grant: &Grant, as_of: Timestamp) -> Result<BTreeMap<String, usize>, StoreFault> {
    let view = store.fresh(as_of).await?;
    let manifest = store.manifest(grant, &view).await?;
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut add = |line: &[u8]| *found.entry(String::from_utf8(line.to_vec()).unwrap()).or_default() += 1;
    for segment in &manifest.segments {
        let footer = store.footer(grant, segment).await?;
        let deletions = compiled(manifest.of_segment(segment));
        for stream in &footer.streams {
            for run in &stream.runs {
                let block = store.block(grant, segment, &footer, run.block as usize).await?;
                let rows = block.rows(run.at as usize).map(Result::unwrap);
                left(&deletions, &stream.labels, rows).for_each(|row| add(row.line));
            }
        }
    }
    for of in view.sections_after(grant, TimeRange::ALL, &manifest.watermarks) {
        let section = store.section(grant, &of).await?;
        let deletions = compiled(manifest.of_section(of.lane, of.number));
        for (at, batch) in section.table.batches.iter().enumerate() {
            let payload = BatchView::parse(section.batch(at)).unwrap().payload().unwrap();
            for (stream, row) in batch.rows.iter().enumerate() {
                left(&deletions, &row.labels, payload.rows(stream).map(Result::unwrap)).for_each(|row| add(row.line));
            }
        }
    }
    Ok(found)
}

fn compiled<'m>(deletes: impl Iterator<Item = &'m Delete>) -> Vec<Arc<Deletion>> {
    deletes.map(|delete| Arc::new(Deletion::new(delete).unwrap())).collect()
}

/// The rows of a stream that deletes leave, as a query finds them.
fn left<'r>(deletions: &[Arc<Deletion>], labels: &Arc<proto_model::Labels>, rows: impl Iterator<Item = Row<'r>>) -> impl Iterator<Item = Row<'r>> {
    let fate = Fate::of(deletions, labels, (Timestamp::MIN, Timestamp::MAX));
    let mut judge = if let Fate::Judged(struck) = &fate { Some(struck.judge()) } else { None };
    let gone = matches!(fate, Fate::Gone(_));
    rows.filter(move |row| !gone && judge.as_mut().is_none_or(|judge| judge.taken_by(row).is_none()))
}

/// The lines `<key>-0..lines`, once each.
pub(crate) fn once(keys: &[&str], lines: usize) -> BTreeMap<String, usize> {
    keys.iter().flat_map(|key| (0..lines).map(move |line| (format!("{key}-{line}"), 1))).collect()
}

/// All tenants named.
pub(crate) fn tenants(names: &[&str]) -> BTreeSet<TenantId> {
    names.iter().map(|name| grant(name).tenant().clone()).collect()
}
