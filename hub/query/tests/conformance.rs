//! Loki's recorded answers against this engine, over an in-memory store: over lane objects, over segments, over both.
//!
//! Data: `tests/conformance/{streams,engine}.jsonl`. Log streams compare as a set by labels with entries in
//! order of time (those of one time in any order); samples as a set by labels, but for `sort`; numbers to 1e-6.
//! With a limit, the times must agree, and entries at the cut may differ.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a test reads its data, may panic and says what differs")]

use std::collections::BTreeMap;
use std::sync::Arc;

use hub_logql::{Expr, LogExpr, MetricExpr};
use hub_query::{Direction, Engine, InstantRequest, InstantValue, Limits, LogRequest, QueryFault, QueryMetrics, RangeRequest};
use hub_store::{BatchDraft, Draft, HubRow, LaneRecord, Origin, SectionDraft, Store, StoreSettings};
use hub_tenant::Grant;
use hub_upkeep::{Upkeep, UpkeepMetrics, UpkeepSettings};
use proto_model::{ClusterId, Labels, TimeRange, Timestamp};
use proto_seam::World;
use proto_wire::batch::{BatchBuilder, BatchView, Compression};
use serde_json::Value;

/// Recorded answers that are wrong, with the reason; each must still differ.
const LOKI_IS_WRONG: [(&str, &str); 5] = [
    ("label_format status=\"{{ add (int .status) 1 }}\" | status=201", "the filter is asked of the value that the parser found, not of the one that was set"),
    (" keep ", "of streams that `keep` makes equal, lines of one are answered before older lines of another"),
    ("| decolorize |= ", "the line filter is run before the colours are taken out"),
    ("approx_topk(2, sum by (pod) (count_over_time({hrun=\"conf\"}[1h])))", "it is not enabled and answers nothing; here it is exact"),
    ("label_replace(sum by (app) (count_over_time({hrun=\"conf\"}[20m])), \"app\", \"$1\"", "series made equal are answered as one, with two points at a time"),
];

/// Lane objects the data is spread over, so that every query crosses sections.
const OBJECTS: usize = 7;

fn rows(file: &str) -> Vec<Value> {
    let path = format!("{}/../../tests/conformance/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{path}: {fault}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn grant() -> Grant {
    let tenants = hub_tenant::Tenants::parse("tenants.yaml", "version: 1\ntenants: {acme: {clusters: [alpha]}}").unwrap();
    tenants.identify(&ClusterId::new("alpha").unwrap()).unwrap()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    value.as_object().map(|map| map.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()).unwrap_or_default()
}

/// One batch with the entries of every stream whose turn is `part`.
fn batch(streams: &[Value], part: usize) -> BatchDraft {
    let mut builder = BatchBuilder::new();
    for stream in streams {
        let labels = Arc::new(Labels::from_pairs(pairs(&stream["labels"])));
        let entries = stream["entries"].as_array().unwrap();
        let size = entries.len().div_ceil(OBJECTS);
        for entry in entries.iter().skip(part * size).take(size) {
            let time = Timestamp(entry["ts"].as_str().unwrap().parse().unwrap());
            builder.push(&labels, time, proto_wire::batch::LEVEL_NONE, &pairs(&entry["structuredMetadata"]), entry["line"].as_str().unwrap().as_bytes());
        }
    }
    let frozen = builder.freeze(Compression::Zstd).unwrap();
    let view = BatchView::parse(frozen.body.clone()).unwrap();
    let rows = HubRow::as_sent(&view.table().streams);
    BatchDraft { origin: Origin::Push { key: vec![u8::try_from(part).unwrap()] }, cluster: None, body: frozen.body, rows }
}

/// Where the data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Sections,
    Segments,
    Both,
}

/// An engine over the data, absorbed piece by piece as far as the layout says.
async fn engine(layout: Layout) -> Engine {
    let objects = Arc::new(object_store::memory::InMemory::new());
    let store = Store::open(StoreSettings::new(objects, object_store::path::Path::default()), World::real()).await.unwrap();
    let streams = rows("streams.jsonl");
    for part in 0..OBJECTS {
        let section = SectionDraft { grant: grant(), batches: vec![batch(&streams, part)] };
        let key = vec![u8::try_from(part).unwrap()];
        let record = LaneRecord::PushKey { tenant: grant().tenant().clone(), key, at: Timestamp(World::real().clock.now_ns()) };
        let mut writer = store.writer().await.unwrap();
        writer.put(Draft { records: vec![record], sections: vec![section], map_version: 0 }).await.unwrap();
        drop(writer);
        let due = match layout {
            Layout::Sections => false,
            Layout::Segments => part % 3 == 2 || part == OBJECTS - 1,
            Layout::Both => part == 1 || part == 3,
        };
        if due {
            absorb(&store).await;
        }
    }
    Engine::new(store, World::real(), QueryMetrics::default())
}

/// All sections that are not absorbed yet become segments.
async fn absorb(store: &Arc<Store>) {
    let upkeep = Upkeep::new(Arc::clone(store), World::real(), UpkeepSettings::default(), UpkeepMetrics::default());
    upkeep.absorb_all(None).await.unwrap();
    let view = store.view();
    let manifest = store.manifest(&grant(), &view).await.unwrap();
    assert!(view.sections_after(&grant(), TimeRange::ALL, &manifest.watermarks).is_empty());
}

/// Answers of both sides in one shape.
#[derive(Debug)]
enum Answer {
    Streams(BTreeMap<String, Vec<(i64, String, String)>>),
    Samples(Vec<(String, Vec<(f64, f64)>)>),
    Error(String),
}

fn labels_text(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    format!("{:?}", pairs.into_iter().collect::<BTreeMap<_, _>>())
}

fn categories(entry: &Value) -> String {
    let named = |name: &str| labels_text(pairs(&entry[name]));
    format!("meta={} parsed={}", named("structuredMetadata"), named("parsed"))
}

fn float(value: &Value) -> f64 {
    match value.as_str().unwrap() {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().unwrap(),
    }
}

fn expected(case: &Value) -> Answer {
    let expected = &case["expected"];
    if let Some(error) = expected["error"].as_str() {
        return Answer::Error(error.to_owned());
    }
    let results = expected["result"].as_array().unwrap();
    let point = |point: &Value| (point[0].as_f64().unwrap(), float(&point[1]));
    match expected["resultType"].as_str().unwrap() {
        "streams" => Answer::Streams(
            results
                .iter()
                .map(|stream| {
                    let entry = |v: &Value| (v[0].as_str().unwrap().parse().unwrap(), v[1].as_str().unwrap().to_owned(), categories(&v[2]));
                    (labels_text(pairs(&stream["stream"])), stream["values"].as_array().unwrap().iter().map(entry).collect())
                })
                .collect(),
        ),
        "scalar" => Answer::Samples(vec![("scalar".to_owned(), vec![point(&expected["result"])])]),
        "vector" => Answer::Samples(results.iter().map(|s| (labels_text(pairs(&s["metric"])), vec![point(&s["value"])])).collect()),
        _ => Answer::Samples(results.iter().map(|s| (labels_text(pairs(&s["metric"])), s["values"].as_array().unwrap().iter().map(point).collect())).collect()),
    }
}

async fn answer(engine: &Engine, case: &Value) -> Result<Answer, QueryFault> {
    let at = |name: &str| Timestamp(case[name].as_i64().unwrap());
    let expr = hub_logql::parse(case["query"].as_str().unwrap())?;
    let range = TimeRange { start: at("start"), end: at("end") };
    match expr {
        Expr::Log(log) => logs(engine, log, range, case).await,
        Expr::Metric(metric) => metric_answer(engine, metric, range, case).await,
    }
}

async fn logs(engine: &Engine, expr: LogExpr, range: TimeRange, case: &Value) -> Result<Answer, QueryFault> {
    let direction: Direction = case["direction"].as_str().unwrap().parse()?;
    let request = LogRequest::new(expr, range, case["limit"].as_i64().unwrap(), direction, &Limits::default())?;
    let answer = engine.logs(&[grant()], &request, &Limits::default()).await?;
    let streams = answer.merged().into_iter().map(|stream| {
        let entry = |e: hub_query::AnsweredEntry| {
            let text = format!("meta={} parsed={}", labels_text(e.metadata), labels_text(e.parsed));
            (e.time.nanos(), e.line, text)
        };
        (labels_text(stream.labels), stream.entries.into_iter().map(entry).collect())
    });
    Ok(Answer::Streams(streams.collect()))
}

async fn metric_answer(engine: &Engine, expr: MetricExpr, range: TimeRange, case: &Value) -> Result<Answer, QueryFault> {
    let limits = Limits::default();
    let text = |labels: &Labels| labels_text(labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    #[expect(clippy::cast_precision_loss, reason = "whole seconds")]
    let seconds = |time: Timestamp| time.nanos() as f64 / 1e9;
    let step = case["step"].as_i64().unwrap();
    if step == 0 {
        let answer = engine.instant(&[grant()], &InstantRequest::new(expr, range.end, &limits)?, &limits).await?;
        return Ok(Answer::Samples(match answer.value {
            InstantValue::Scalar(time, value) => vec![("scalar".to_owned(), vec![(seconds(time), value)])],
            InstantValue::Vector(samples) => samples.iter().map(|s| (text(&s.labels), vec![(seconds(s.time), s.value)])).collect(),
        }));
    }
    let answer = engine.range(&[grant()], &RangeRequest::new(expr, range, step, &limits)?, &limits).await?;
    Ok(Answer::Samples(answer.series.iter().map(|s| (text(&s.labels), s.points.iter().map(|(t, v)| (seconds(*t), *v)).collect())).collect()))
}

fn same_number(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-6 * a.abs().max(b.abs()) || (a - b).abs() < 1e-12
}

/// Loki names columns, tokens and lines of its generated parser; what clients depend on is the kind.
fn same_error(ours: &str, theirs: &str) -> bool {
    let kind = |text: &str| {
        let text = text.lines().next().unwrap_or_default().to_owned();
        let cut = ["syntax error", "for series", "error parsing regexp", "unexpected char"].iter().find_map(|mark| text.find(mark).map(|at| at + mark.len()));
        cut.map_or(text.clone(), |at| text[..at].to_owned())
    };
    kind(ours) == kind(theirs)
}

fn differs(case: &Value, ours: &Answer, theirs: &Answer) -> Option<String> {
    match (ours, theirs) {
        (Answer::Error(ours), Answer::Error(theirs)) => (!same_error(ours, theirs)).then(|| format!("error {ours:?}, recorded {theirs:?}")),
        (Answer::Streams(ours), Answer::Streams(theirs)) => streams_differ(case, ours, theirs),
        (Answer::Samples(ours), Answer::Samples(theirs)) => samples_differ(case, ours, theirs),
        _ => Some(format!("{ours:?}, recorded {theirs:?}")),
    }
}

type Streams = BTreeMap<String, Vec<(i64, String, String)>>;

fn streams_differ(case: &Value, ours: &Streams, theirs: &Streams) -> Option<String> {
    let flat = |streams: &Streams| {
        let mut all: Vec<_> =
            streams.iter().flat_map(|(labels, entries)| entries.iter().map(move |e| (e.0, labels.clone(), e.1.clone(), e.2.clone()))).collect();
        all.sort();
        all
    };
    for entries in ours.values() {
        let forward = case["direction"] == "forward";
        if !entries.windows(2).all(|pair| if forward { pair[0].0 <= pair[1].0 } else { pair[0].0 >= pair[1].0 }) {
            return Some("entries are out of order".to_owned());
        }
    }
    let (ours, theirs) = (flat(ours), flat(theirs));
    if ours == theirs {
        return None;
    }
    let cut = if case["direction"] == "forward" { theirs.last() } else { theirs.first() }.map(|entry| entry.0);
    let full = theirs.len() as u64 == case["limit"].as_u64().unwrap() && ours.len() == theirs.len();
    let inside = |all: &[(i64, String, String, String)]| all.iter().filter(|entry| Some(entry.0) != cut).cloned().collect::<Vec<_>>();
    if full && inside(&ours) == inside(&theirs) {
        return None;
    }
    let odd = ours.iter().zip(&theirs).find(|(a, b)| a != b);
    Some(format!("{} entries, recorded {}; first: {odd:#?}", ours.len(), theirs.len()))
}

fn samples_differ(case: &Value, ours: &[(String, Vec<(f64, f64)>)], theirs: &[(String, Vec<(f64, f64)>)]) -> Option<String> {
    let ordered = case["query"].as_str().unwrap().trim_start().to_lowercase().starts_with("sort");
    let sort = |all: &[(String, Vec<(f64, f64)>)]| {
        let mut all = all.to_vec();
        if !ordered {
            all.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| format!("{:?}", a.1).cmp(&format!("{:?}", b.1))));
        }
        all
    };
    let (ours, theirs) = (sort(ours), sort(theirs));
    let same_points = |a: &[(f64, f64)], b: &[(f64, f64)]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_number(a.0, b.0) && same_number(a.1, b.1));
    if ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| (ordered || a.0 == b.0) && same_points(&a.1, &b.1)) {
        return None;
    }
    let odd = ours.iter().zip(&theirs).find(|(a, b)| a.0 != b.0 || !same_points(&a.1, &b.1));
    Some(format!("{} series, recorded {}; first: {odd:?}", ours.len(), theirs.len()))
}

/// Sections and blocks that are read when all lines are.
async fn read_for_everything(engine: &Engine) -> (u64, u64) {
    let Expr::Log(expr) = hub_logql::parse(r#"{hrun=~".+"} | line_format "{{__line__}}" |= "no line holds this""#).unwrap() else {
        panic!("it is a log query")
    };
    let limits = Limits { max_query_length: std::time::Duration::ZERO, ..Limits::default() };
    let request = LogRequest::new(expr, TimeRange::ALL, 1, Direction::Forward, &limits).unwrap();
    let stats = engine.logs(&[grant()], &request, &limits).await.unwrap().stats;
    (stats.sections, stats.blocks)
}

/// Cases of one category: all, passed, recorded wrongly.
#[derive(Debug, Default)]
struct Tally {
    all: u32,
    passed: u32,
    wrong: u32,
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_answers_are_given_from_sections() {
    recorded_answers_are_given(Layout::Sections).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_answers_are_given_from_segments() {
    recorded_answers_are_given(Layout::Segments).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_answers_are_given_from_both() {
    recorded_answers_are_given(Layout::Both).await;
}

async fn recorded_answers_are_given(layout: Layout) {
    let engine = engine(layout).await;
    let (sections, blocks) = read_for_everything(&engine).await;
    assert_eq!((sections > 0, blocks > 0), (layout != Layout::Segments, layout != Layout::Sections), "{layout:?}");
    let (mut tallies, mut failed): (BTreeMap<String, Tally>, Vec<String>) = (BTreeMap::new(), Vec::new());
    for case in rows("engine.jsonl") {
        let (category, query) = (case["category"].as_str().unwrap(), case["query"].as_str().unwrap());
        let tally = tallies.entry(category.to_owned()).or_default();
        tally.all += 1;
        let ours = answer(&engine, &case).await.unwrap_or_else(|fault| Answer::Error(fault.to_string()));
        let Some(why) = differs(&case, &ours, &expected(&case)) else {
            tally.passed += 1;
            continue;
        };
        if LOKI_IS_WRONG.iter().any(|(part, _)| query.contains(part)) {
            tally.wrong += 1;
        } else {
            failed.push(format!("{category} | {query} | step {}\n    {why}", case["step"]));
        }
    }
    for failure in &failed {
        println!("{}", failure.chars().take(1_500).collect::<String>());
    }
    for (category, tally) in &tallies {
        println!("{category}: {} of {} (recorded wrongly {})", tally.passed, tally.all, tally.wrong);
    }
    assert_eq!(failed.len(), 0, "{} cases differ", failed.len());
    // A guard against a test that compares nothing.
    assert!(tallies.values().map(|tally| tally.passed).sum::<u32>() > 1_000, "{tallies:?}");
    assert!(tallies.values().map(|tally| tally.wrong).sum::<u32>() <= 9, "{tallies:?}");
}
