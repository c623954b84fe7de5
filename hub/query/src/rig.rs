//! For tests: lines in a store in memory, in lane objects and in segments, and short ways to ask for them.
//!
//! Parts: [`Line`]s to batches to engines; [`absorb`] and [`merged`], which make segments as an absorption does, with
//! a manifest in hand; [`Producer`], an edge's batches; [`Door`], reads that go wrong; [`run`], one query's run over a view and manifests of the test's choice; questions.

mod door;

use std::sync::Arc;
use std::time::Duration;

use hub_logql::{Expr, LogExpr, MetricExpr};
use hub_segment::{Block, Facts, Footer, Kind, SegmentBuilder};
use hub_store::manifest::Stamp;
use hub_store::{
    Applied, BatchDraft, Change, CommitId, Draft, HubRow, LaneRecord, Manifest, Origin, SectionDraft, SegmentId, SegmentRef, Store, StoreSettings, View,
};
use hub_tenant::Grant;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use proto_model::{Chain, ClusterId, Epoch, Labels, LaneId, ProducerId, Sequence, TimeRange, Timestamp};
use proto_seam::World;
use proto_wire::batch::{BatchBuilder, BatchView, Compression};

use crate::answer::{AnsweredEntry, LogAnswer, MatrixAnswer};
use crate::budget::{Budget, Limits};
use crate::engine::Engine;
use crate::fault::QueryFault;
use crate::metrics::QueryMetrics;
use crate::request::{Direction, LogRequest, RangeRequest};
use crate::run::Run;

pub(crate) use door::{Door, Meets};

/// A line to be stored: stream, time, level code, metadata, text.
pub(crate) type Line = (&'static str, i64, u8, Vec<(String, String)>, String);

/// Nanoseconds of a millisecond, the smallest unit of a window.
pub(crate) const MS: i64 = 1_000_000;
pub(crate) const MAP: &str = "version: 1\ntenants: {acme: {clusters: [alpha]}, blue: {clusters: [beta]}}";

pub(crate) fn grant(cluster: &str) -> Grant {
    hub_tenant::Tenants::parse("tenants.yaml", MAP).unwrap().identify(&ClusterId::new(cluster).unwrap()).unwrap()
}

pub(crate) fn line(stream: &'static str, time: i64, text: impl Into<String>) -> Line {
    (stream, time, 0, Vec::new(), text.into())
}

pub(crate) fn batch(lines: &[Line], key: u64) -> BatchDraft {
    let mut builder = BatchBuilder::new();
    for (stream, time, level, metadata, text) in lines {
        let labels = Arc::new(Labels::from_pairs([("app", *stream), ("env", "test"), ("__internal__", "1")]));
        builder.push(&labels, Timestamp(*time), *level, metadata, text.as_bytes());
    }
    let frozen = builder.freeze(Compression::Zstd).unwrap();
    let view = BatchView::parse(frozen.body.clone()).unwrap();
    let rows = HubRow::as_sent(&view.table().streams);
    BatchDraft { origin: Origin::Push { key: key.to_be_bytes().to_vec() }, cluster: None, body: frozen.body, rows }
}

/// An engine over lane objects, each with a section of one tenant's batch.
pub(crate) async fn engine_of_batches(objects: Vec<(Grant, BatchDraft)>) -> Engine {
    engine_in(Arc::new(InMemory::new()), objects).await
}

pub(crate) async fn engine_in<O: ObjectStore>(memory: Arc<O>, objects: Vec<(Grant, BatchDraft)>) -> Engine {
    let world = World { workers: proto_seam::Workers::Inline, ..World::real() };
    // A name of its own: with another's it would write that one's lane.
    let writer = format!("hub-{:032x}", world.entropy.next_u128());
    let store = Store::open(StoreSettings { writer, ..StoreSettings::new(memory, Path::default()) }, world.clone()).await.unwrap();
    put(&store, objects).await;
    Engine::new(store, world, QueryMetrics::default())
}

/// Writes lane objects, each with a section of one tenant's batch.
pub(crate) async fn put(store: &Arc<Store>, objects: Vec<(Grant, BatchDraft)>) {
    let mut writer = store.writer().await.unwrap();
    for (grant, batch) in objects {
        let Origin::Push { key } = &batch.origin else { continue };
        let record = LaneRecord::PushKey { tenant: grant.tenant().clone(), key: key.clone(), at: Timestamp(World::real().clock.now_ns()) };
        writer.put(Draft { records: vec![record], sections: vec![SectionDraft { grant, batches: vec![batch] }], map_version: 0 }).await.unwrap();
    }
}

/// An edge's producer of cluster `alpha`: its next batches, numbered and chained.
#[derive(Debug, Clone)]
pub(crate) struct Producer {
    pub(crate) id: ProducerId,
    last: Sequence,
    chain: Chain,
}

impl Producer {
    /// One that begins, and its record.
    pub(crate) fn begin(lane: LaneId) -> (Self, LaneRecord) {
        let producer = Self { id: ProducerId { lane, unique: 1 }, last: Sequence(0), chain: Chain::default() };
        let opened = producer.opened(None);
        (producer, opened)
    }

    fn opened(&self, after: Option<ProducerId>) -> LaneRecord {
        LaneRecord::Open {
            producer: self.id,
            epoch: Epoch(1),
            identity: "alpha/one".to_owned(),
            nonce: [7; 16],
            wal_id: 5,
            track: 1,
            sequence: self.last,
            chain: self.chain,
            positions: Vec::new(),
            after,
        }
    }

    /// Goes on in another lane: the end of this one, the producer there, its record.
    pub(crate) fn moved(&self, lane: LaneId) -> (LaneRecord, Self, LaneRecord) {
        let next = Self { id: ProducerId { lane, unique: 2 }, ..self.clone() };
        let end = LaneRecord::Close { producer: self.id, sequence: self.last, chain: self.chain, next: next.id };
        let opened = next.opened(Some(self.id));
        (end, next, opened)
    }

    /// The next batch, with the record that makes it durable.
    pub(crate) fn next(&mut self, lines: &[Line]) -> Draft {
        let mut batch = batch(lines, 0);
        let (from, digest) = (self.last.next(), proto_wire::digest::of_batch(&batch.body));
        (self.last, self.chain) = (from, proto_wire::digest::extend(self.chain, digest));
        batch.origin = Origin::Producer { producer: self.id, sequence: from };
        batch.cluster = Some(ClusterId::new("alpha").unwrap());
        let advance =
            LaneRecord::Advance { producer: self.id, epoch: Epoch(1), from, to: from, chain_to: self.chain, digests: vec![digest], positions: Vec::new() };
        Draft { records: vec![advance], sections: vec![SectionDraft { grant: grant("alpha"), batches: vec![batch] }], map_version: 0 }
    }
}

/// A draft of records alone.
pub(crate) fn records(records: Vec<LaneRecord>) -> Draft {
    Draft { records, sections: Vec::new(), map_version: 0 }
}

pub(crate) async fn engine(objects: &[Vec<Line>]) -> Engine {
    engine_of_batches(objects.iter().zip(0..).map(|(lines, key)| (grant("alpha"), batch(lines, key))).collect()).await
}

pub(crate) fn log(query: &str) -> LogExpr {
    match hub_logql::parse(query).unwrap() {
        Expr::Log(log) => log,
        Expr::Metric(_) => panic!("{query} is a metric query"),
    }
}

pub(crate) fn metric(query: &str) -> MetricExpr {
    match hub_logql::parse(query).unwrap() {
        Expr::Metric(metric) => metric,
        Expr::Log(_) => panic!("{query} is a log query"),
    }
}

pub(crate) async fn ask_logs(engine: &Engine, grants: &[Grant], query: &str, limit: i64, direction: Direction) -> Result<LogAnswer, QueryFault> {
    let limits = Limits { max_query_length: Duration::ZERO, ..Limits::default() };
    let request = LogRequest::new(log(query), TimeRange { start: Timestamp(0), end: Timestamp(1_000_000) }, limit, direction, &limits)?;
    engine.logs(grants, &request, &limits).await
}

/// Time and text of all entries of all streams, in the answer's order within a stream, streams in order.
pub(crate) fn entries(answer: &LogAnswer) -> Vec<(i64, String)> {
    let of = |entry: &AnsweredEntry| (entry.time.nanos(), entry.line.clone());
    answer.streams.iter().flat_map(|stream| stream.entries.iter().map(of)).collect()
}

pub(crate) async fn matrix_of(engine: &Engine, query: &str, (start, end, step): (i64, i64, i64)) -> Result<MatrixAnswer, QueryFault> {
    let limits = Limits::default();
    let range = TimeRange { start: Timestamp(start), end: Timestamp(end) };
    engine.range(&[grant("alpha")], &RangeRequest::new(metric(query), range, step, &limits)?, &limits).await
}

/// Where a segment lies in the bucket.
pub(crate) fn location(segment: &SegmentRef) -> Path {
    Path::from(format!("tenants/{}/segments/{}", segment.tenant, segment.id))
}

async fn keep(memory: &InMemory, grant: &Grant, id: u128, built: hub_segment::Built) -> SegmentRef {
    let segment = SegmentRef { id: SegmentId(id), tenant: grant.tenant().clone(), facts: built.facts, cleaned: 0 };
    memory.put(&location(&segment), built.bytes.into()).await.unwrap();
    segment
}

fn stamp(number: u64) -> Stamp {
    Stamp { commit: CommitId(u128::from(number).to_be_bytes()), writer: "rig".to_owned(), written: Timestamp(0) }
}

/// A manifest of nothing.
pub(crate) fn nothing(grant: &Grant) -> Manifest {
    Manifest::genesis(grant.tenant().clone(), CommitId::NONE)
}

/// The sections of `lane` up to number `to` that `base` has not, as a segment.
pub(crate) async fn built(store: &Store, grant: &Grant, view: &View, base: &Manifest, (lane, to): (LaneId, u64)) -> hub_segment::Built {
    let mut builder = SegmentBuilder::new(Kind::Odd);
    let new = view.sections_after(grant, TimeRange::ALL, &base.watermarks);
    for section in new.iter().filter(|section| section.lane == lane && section.number <= to) {
        let read = store.section(grant, section).await.unwrap();
        for (at, entry) in read.table.batches.iter().enumerate() {
            let payload = BatchView::parse(read.batch(at)).unwrap().payload().unwrap();
            for (stream, row) in entry.rows.iter().enumerate() {
                for record in payload.rows(stream) {
                    let record = record.unwrap();
                    builder.push(&row.labels, record.time, record.level, record.metadata(), record.line);
                }
            }
        }
    }
    builder.finish().unwrap()
}

/// `base` with all sections of `lane` up to number `to` in one more segment.
pub(crate) async fn absorb(store: &Store, memory: &InMemory, grant: &Grant, view: &View, base: &Manifest, (lane, to): (LaneId, u64)) -> Manifest {
    let built = built(store, grant, view, base, (lane, to)).await;
    let segment = keep(memory, grant, u128::from(base.number) + 1, built).await;
    let change = Change::Absorb { lane, from: base.watermark(lane), to, segments: vec![segment], deletes: Applied::default() };
    base.next(&change, stamp(base.number + 1)).unwrap()
}

async fn read(memory: &InMemory, segment: &SegmentRef) -> (Footer, bytes::Bytes) {
    let bytes = memory.get(&location(segment)).await.unwrap().bytes().await.unwrap();
    let Facts { footer_offset, footer_length, .. } = segment.facts;
    let at = usize::try_from(footer_offset).unwrap();
    (Footer::read(&bytes.slice(at..at + footer_length as usize), &segment.facts).unwrap(), bytes)
}

/// `base` with all its segments merged into one.
pub(crate) async fn merged(memory: &InMemory, grant: &Grant, base: &Manifest) -> Manifest {
    let mut inputs = Vec::new();
    for segment in &base.segments {
        inputs.push(read(memory, segment).await);
    }
    let fetches: Vec<_> = inputs
        .iter()
        .map(|(footer, bytes)| {
            move |at: usize| {
                let entry = &footer.blocks[at];
                let from = usize::try_from(entry.offset).unwrap();
                Block::open(&bytes.slice(from..from + entry.length as usize), entry)
            }
        })
        .collect();
    let given: Vec<_> = inputs.iter().zip(&fetches).map(|((footer, _), fetch)| (footer, fetch as hub_segment::Fetch<'_>)).collect();
    let built = hub_segment::merge(&given, Kind::Odd).unwrap();
    let output = keep(memory, grant, u128::from(base.number) + 1_000_000, built).await;
    let change = Change::Merge { inputs: base.segments.iter().map(|segment| segment.id).collect(), output };
    base.next(&change, stamp(base.number + 1)).unwrap()
}

/// One query over what the test chose.
pub(crate) fn run(engine: &Engine, grant: &Grant, view: &View, manifest: &Manifest, limits: &Limits) -> Arc<Run> {
    let (budget, lease) = Budget::new(limits);
    let manifests = vec![Arc::new(manifest.clone())];
    Arc::new(Run { engine: engine.clone(), grants: vec![grant.clone()], view: view.clone(), manifests, deletions: Vec::new(), budget, _lease: lease })
}
