//! For tests: hubs on a bad object store that knows the truth, lines in and lines out.
//!
//! Parts: [`oracle`] (the truth), [`sea`] (the store), [`Hub`], [`shown`].

mod oracle;
mod sea;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hub_query::{Deletion, Fate};
use hub_store::{BatchDraft, Delete, Draft, HubRow, LaneRecord, LaneWriter, Manifest, Origin, SectionDraft, Store, StoreFault, StoreSettings};
use hub_tenant::{Grant, Tenants};
use object_store::ObjectStore;
use object_store::path::Path;
use proto_model::{ClusterId, TenantId, TimeRange, Timestamp};
use proto_seam::disk::real::RealDisk;
use proto_seam::{Entropy, Workers, World};
use proto_wire::batch::{BatchBuilder, BatchView, Compression, Row};
pub(crate) use sea::{Sea, Way, Weather};

use crate::{Upkeep, UpkeepMetrics, UpkeepSettings};

/// 2023-11-14T22:13:20Z.
pub(crate) const START_NS: i64 = 1_700_000_000_000_000_000;

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
