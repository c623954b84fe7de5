//! The engine over the same lines in three layouts, its answers in the evaluator's shape.

use std::sync::Arc;
use std::time::Duration;

use hub_logql::Expr;
use hub_query::{Direction, Engine, InstantRequest, InstantValue, Limits, LogRequest, QueryFault, QueryMetrics, RangeRequest};
use hub_store::{BatchDraft, Draft, HubRow, LaneRecord, Origin, SectionDraft, Store, StoreSettings};
use hub_tenant::Grant;
use hub_upkeep::{Upkeep, UpkeepMetrics, UpkeepSettings};
use proto_extract::level::Level;
use proto_model::{ClusterId, Labels, TimeRange, Timestamp};
use proto_seam::World;
use proto_wire::batch::{BatchBuilder, BatchView, Compression, LEVEL_NONE};
use tests::evaluator::{Answer, Line, Question, Set, Shown};

/// Where the lines lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Sections,
    Segments,
    Split,
}

pub const LAYOUTS: [Layout; 3] = [Layout::Sections, Layout::Segments, Layout::Split];

/// Lane objects that lines are spread over.
const OBJECTS: usize = 6;

fn grant() -> Grant {
    let tenants = hub_tenant::Tenants::parse("tenants.yaml", "version: 1\ntenants: {acme: {clusters: [alpha]}}").expect("the map is sound");
    tenants.identify(&ClusterId::new("alpha").expect("a sound name")).expect("alpha is acme's")
}

fn batch(lines: &[Line], key: u8) -> BatchDraft {
    let mut builder = BatchBuilder::new();
    for line in lines {
        let labels = Arc::new(Labels::from_pairs(line.stream.clone()));
        // The level travels as a code, the rest as metadata.
        let level = line.metadata.get("detected_level").and_then(|word| Level::named(word.as_bytes())).map_or(LEVEL_NONE, Level::code);
        let metadata: Vec<(String, String)> =
            line.metadata.iter().filter(|(name, _)| *name != "detected_level").map(|(name, value)| (name.clone(), value.clone())).collect();
        builder.push(&labels, Timestamp(line.time), level, &metadata, line.text.as_bytes());
    }
    let frozen = builder.freeze(Compression::Zstd).expect("a small batch");
    let view = BatchView::parse(frozen.body.clone()).expect("it was just made");
    let rows = HubRow::as_sent(&view.table().streams);
    BatchDraft { origin: Origin::Push { key: vec![key] }, cluster: None, body: frozen.body, rows }
}

/// An engine over `lines`.
pub async fn engine(lines: &[Line], layout: Layout) -> Engine {
    let objects = Arc::new(object_store::memory::InMemory::new());
    let store = Store::open(StoreSettings::new(objects, object_store::path::Path::default()), World::real()).await.expect("memory can be opened");
    let parts: Vec<&[Line]> = lines.chunks(lines.len().div_ceil(OBJECTS).max(1)).collect();
    for (at, part) in parts.iter().enumerate() {
        let key = u8::try_from(at).expect("few parts");
        let section = SectionDraft { grant: grant(), batches: vec![batch(part, key)] };
        let record = LaneRecord::PushKey { tenant: grant().tenant().clone(), key: vec![key], at: Timestamp(World::real().clock.now_ns()) };
        let mut writer = store.writer().await.expect("the lane can be written");
        writer.put(Draft { records: vec![record], sections: vec![section], map_version: 0 }).await.expect("it is written");
        drop(writer);
        let due = match layout {
            Layout::Sections => false,
            Layout::Segments => at % 2 == 1 || at + 1 == parts.len(),
            Layout::Split => at == 1 || at == 2,
        };
        if due {
            let upkeep = Upkeep::new(Arc::clone(&store), World::real(), UpkeepSettings::default(), UpkeepMetrics::default());
            upkeep.absorb_all(None).await.expect("it is absorbed");
        }
    }
    Engine::new(store, World::real(), QueryMetrics::default())
}

fn set<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Set {
    pairs.into_iter().filter(|(name, _)| *name != "__error_details__").map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The engine's answer.
///
/// # Errors
/// As the engine says.
pub async fn answer(engine: &Engine, query: &Expr, question: Question) -> Result<Answer, QueryFault> {
    let limits = Limits { max_query_length: Duration::ZERO, max_query_series: 100_000, ..Limits::default() };
    let grants = [grant()];
    Ok(match (query.clone(), question) {
        (Expr::Log(log), Question::Logs { start, end, forward, limit }) => {
            let direction = if forward { Direction::Forward } else { Direction::Backward };
            let range = TimeRange { start: Timestamp(start), end: Timestamp(end) };
            let request = LogRequest::new(log, range, i64::try_from(limit).unwrap_or(i64::MAX), direction, &limits)?;
            let merged = engine.logs(&grants, &request, &limits).await?.merged();
            let lines = merged.iter().flat_map(|stream| {
                let labels = set(stream.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                stream.entries.iter().map(move |entry| Shown { time: entry.time.nanos(), labels: labels.clone(), text: entry.line.clone() })
            });
            Answer::Lines(lines.collect(), Vec::new())
        }
        (Expr::Metric(metric), Question::Range { start, end, step }) => {
            let range = TimeRange { start: Timestamp(start), end: Timestamp(end) };
            let answer = engine.range(&grants, &RangeRequest::new(metric, range, step, &limits)?, &limits).await?;
            Answer::Series(
                answer.series.iter().map(|s| (set(s.labels.iter()), s.points.iter().map(|(time, value)| (time.nanos(), *value)).collect())).collect(),
            )
        }
        (Expr::Metric(metric), Question::Instant { at }) => {
            let answer = engine.instant(&grants, &InstantRequest::new(metric, Timestamp(at), &limits)?, &limits).await?;
            match answer.value {
                InstantValue::Scalar(_, value) => Answer::Scalar(value),
                InstantValue::Vector(samples) => Answer::Series(samples.iter().map(|s| (set(s.labels.iter()), vec![(s.time.nanos(), s.value)])).collect()),
            }
        }
        (Expr::Log(_) | Expr::Metric(_), _) => unreachable!("the generator asks what fits"),
    })
}
