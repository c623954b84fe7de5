//! Queries over a store in memory: tenants, limits, order, counting without reading, damage.

mod partial;

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use hub_logql::Matcher;
use hub_store::{Applied, Change, Draft, Keeper, LaneRecord, Manifest, StoreSettings};
use hub_upkeep::{Upkeep, UpkeepMetrics, UpkeepSettings};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use prometheus_client::metrics::gauge::Gauge;
use proto_model::{ClusterId, EdgeId, Labels};
use proto_seam::Entropy;

use super::*;
use crate::limits::PARTS_AT_ONCE;
use crate::plan::Selector;
use crate::request::Direction;
use crate::rig::{
    Line, MS, ask_logs, batch, built, engine, engine_in, engine_of_batches, entries, grant, line, location, log, matrix_of, merged, metric, nothing, put, run,
};
use crate::stages::Pipeline;
use crate::turns::{Rules, Turns};
use crate::wanted::Wanted;

/// Makes segments of all there is.
async fn absorb_everything(engine: &Engine) {
    let upkeep = Upkeep::new(Arc::clone(&engine.store), engine.world.clone(), UpkeepSettings::default(), UpkeepMetrics::default());
    upkeep.absorb_all(None).await.unwrap();
}

#[tokio::test]
async fn a_tenant_sees_its_own_lines_only() {
    let objects = vec![(grant("alpha"), batch(&[line("a", 1, "of acme")], 1)), (grant("beta"), batch(&[line("a", 2, "of blue")], 2))];
    let engine = engine_of_batches(objects).await;
    for absorbed in [false, true] {
        if absorbed {
            absorb_everything(&engine).await;
        }
        let of = async |clusters: &[&str]| {
            let grants: Vec<Grant> = clusters.iter().map(|cluster| grant(cluster)).collect();
            let answer = ask_logs(&engine, &grants, r#"{app="a"}"#, 10, Direction::Forward).await.unwrap();
            assert_eq!((answer.stats.blocks, answer.stats.sections), if absorbed { (clusters.len() as u64, 0) } else { (0, clusters.len() as u64) });
            answer
        };
        assert_eq!(entries(&of(&["alpha"]).await), [(1, "of acme".to_owned())]);
        assert_eq!(entries(&of(&["beta"]).await), [(2, "of blue".to_owned())]);
        assert!(of(&[]).await.streams.is_empty());
        let both = of(&["alpha", "beta"]).await;
        let tenants: Vec<_> = both.streams.iter().map(|stream| stream.labels.value("__tenant_id__").unwrap().to_owned()).collect();
        assert_eq!(tenants, ["acme", "blue"]);
        let grants = [grant("alpha"), grant("beta")];
        let one = ask_logs(&engine, &grants, r#"{app="a", __tenant_id__="blue"}"#, 10, Direction::Forward).await.unwrap();
        assert_eq!(entries(&one), [(2, "of blue".to_owned())]);
        // A segment is read with a grant of its tenant only.
        let (view, acme, blue) = (engine.store.view(), grant("alpha"), grant("beta"));
        let manifest = engine.store.manifest(&acme, &view).await.unwrap();
        for segment in &manifest.segments {
            let fault = engine.store.footer(&blue, segment).await.unwrap_err();
            assert!(matches!(fault, StoreFault::Foreign), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_limit_takes_the_first_lines_of_a_direction_and_backward_is_the_reverse() {
    let entropy = Entropy::seeded(7);
    for _ in 0..12 {
        let mut count = 0;
        let objects: Vec<Vec<Line>> = (0..6)
            .map(|_| {
                let mut next = || {
                    count += 1;
                    line("a", i64::try_from(entropy.below(40)).unwrap(), format!("line {count}"))
                };
                (0..8).map(|_| next()).collect()
            })
            .collect();
        let engine = engine(&objects).await;
        // In order of arrival; sorting by time keeps it for equal times.
        let mut all: Vec<(i64, String)> = objects.iter().flatten().map(|line| (line.1, line.4.clone())).collect();
        all.sort_by_key(|(time, _)| *time);
        for limit in [1, 5, 20, 100] {
            let asked =
                async |direction| entries(&ask_logs(&engine, &[grant("alpha")], r#"{app="a"}"#, i64::try_from(limit).unwrap(), direction).await.unwrap());
            let wanted: Vec<_> = all.iter().take(limit).cloned().collect();
            assert_eq!(asked(Direction::Forward).await, wanted);
            let wanted: Vec<_> = all.iter().rev().take(limit).cloned().collect();
            assert_eq!(asked(Direction::Backward).await, wanted);
        }
    }
}

#[tokio::test]
async fn a_full_limit_leaves_older_sections_unread() {
    let objects: Vec<Vec<Line>> = (0..40).map(|at| (0..10).map(|i| line("a", at * 100 + i, "x")).collect()).collect();
    let engine = engine(&objects).await;
    let answer = ask_logs(&engine, &[grant("alpha")], r#"{app="a"}"#, 5, Direction::Backward).await.unwrap();
    assert_eq!(answer.stats.entries, 5);
    assert!(answer.stats.sections <= PARTS_AT_ONCE as u64, "{:?}", answer.stats);
    let rare = ask_logs(&engine, &[grant("alpha")], r#"{app="a"} |= "y""#, 5, Direction::Backward).await.unwrap();
    assert_eq!((rare.stats.sections, rare.stats.lines, rare.stats.lines_kept), (40, 400, 0));
}

#[tokio::test]
async fn the_end_of_a_range_is_outside() {
    let engine = engine(&[vec![line("a", 0, "first"), line("a", 999_999, "last"), line("a", 1_000_000, "outside")]]).await;
    let answer = ask_logs(&engine, &[grant("alpha")], r#"{app="a"}"#, 10, Direction::Forward).await.unwrap();
    assert_eq!(entries(&answer), [(0, "first".to_owned()), (999_999, "last".to_owned())]);
}

#[tokio::test]
async fn counts_agree_with_a_count_by_hand_whether_lines_are_read_or_not() {
    let entropy = Entropy::seeded(11);
    let objects: Vec<Vec<Line>> = (0..10_i64)
        .map(|at| {
            (0..20).map(|_| line(if entropy.chance(0.5) { "a" } else { "b" }, (at * 500 + i64::try_from(entropy.below(500)).unwrap()) * MS, "1234")).collect()
        })
        .collect();
    let engine = engine(&objects).await;
    let by_hand = |app: &str, at: i64, range: i64, offset: i64| {
        let inside = |line: &&Line| line.0 == app && (at - offset - range) * MS < line.1 && line.1 <= (at - offset) * MS;
        objects.iter().flatten().filter(inside).count()
    };
    for (range, offset, step) in [(700, 0, 300), (100, 0, 300), (5_000, 0, 1_000), (700, 400, 300), (700, -400, 250)] {
        let mut wanted: BTreeMap<(String, i64), f64> = BTreeMap::new();
        for at in (0..=6_000_i64).step_by(usize::try_from(step).unwrap()) {
            for app in ["a", "b"] {
                let count = by_hand(app, at, range, offset);
                if count > 0 {
                    wanted.insert((app.to_owned(), at), f64::from(u32::try_from(count).unwrap()));
                }
            }
        }
        for filter in ["", r#" |= "123""#] {
            let window = format!("[{range}ms] offset {offset}ms");
            let answer =
                matrix_of(&engine, &format!(r#"sum by (app) (count_over_time({{env="test"}}{filter} {window}))"#), (0, 6_000 * MS, step * MS)).await.unwrap();
            let points = answer.series.iter().flat_map(|s| s.points.iter().map(|(t, v)| ((s.labels.value("app").unwrap().to_owned(), t.nanos() / MS), *v)));
            let found: BTreeMap<_, _> = points.filter(|((_, at), _)| *at <= 6_000).collect();
            let wanted: BTreeMap<_, _> = wanted.iter().map(|(key, value)| (key.clone(), *value)).collect();
            assert_eq!(found, wanted, "{window} {filter}");
            // The widest window holds whole rows: some are counted unread, unless a filter looks at lines.
            assert_eq!(range == 5_000 && filter.is_empty(), range == 5_000 && answer.stats.lines_counted > 0, "{:?}", answer.stats);
        }
    }
}

#[tokio::test]
async fn a_row_inside_one_window_is_counted_without_being_read() {
    let engine = engine(&[vec![line("a", 10, "one"), line("a", 20, "three")]]).await;
    let counted = matrix_of(&engine, r#"sum by (app) (bytes_over_time({app="a"}[1ms]))"#, (1_000_000, 1_000_000, 100)).await.unwrap();
    assert_eq!(counted.series[0].points, [(Timestamp(1_000_000), 8.0)]);
    assert_eq!((counted.stats.lines_counted, counted.stats.lines, counted.stats.sections), (2, 0, 0));
    // A label that is none of the index may be metadata, so lines are read.
    let read = matrix_of(&engine, r#"sum by (detected_level) (count_over_time({app="a"}[1ms]))"#, (1_000_000, 1_000_000, 100)).await.unwrap();
    assert_eq!((read.stats.lines_counted, read.stats.lines), (0, 2));
    assert_eq!(read.series[0].points, [(Timestamp(1_000_000), 2.0)]);
}

#[tokio::test]
async fn levels_and_metadata_are_answered_apart_and_merged() {
    let lines = vec![("a", 5, 5, vec![("trace".to_owned(), "t1".to_owned())], r#"{"x": "y", "app": "other"}"#.to_owned())];
    let engine = engine(&[lines]).await;
    let answer = ask_logs(&engine, &[grant("alpha")], r#"{app="a"} | json | detected_level="error""#, 10, Direction::Forward).await.unwrap();
    let entry = &answer.streams[0].entries[0];
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(entry.metadata, [pair("detected_level", "error"), pair("trace", "t1")]);
    assert_eq!(entry.parsed, [pair("app_extracted", "other"), pair("x", "y")]);
    let merged = answer.merged();
    let names: Vec<_> = merged[0].labels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["__internal__", "app", "app_extracted", "detected_level", "env", "trace", "x"]);
}

#[tokio::test]
async fn names_values_series_and_statistics_come_from_tables() {
    let engine = engine(&[vec![line("a", 10, "1234"), line("b", 20, "12")], vec![line("a", 5_000, "123")]]).await;
    let (grants, limits, all) = ([grant("alpha")], Limits::default(), TimeRange { start: Timestamp(0), end: Timestamp(10_000) });
    let selector = |query: &str| -> Vec<Matcher> { hub_logql::parse_selector(query).unwrap() };
    assert_eq!(engine.label_names(&grants, all, None, &limits).await.unwrap(), ["app", "env"]);
    assert_eq!(engine.label_values(&grants, "app", all, None, &limits).await.unwrap(), ["a", "b"]);
    let only_b = selector(r#"{app="b"}"#);
    assert_eq!(engine.label_values(&grants, "app", all, Some(&only_b), &limits).await.unwrap(), ["b"]);
    let early = TimeRange { start: Timestamp(15), end: Timestamp(100) };
    assert_eq!(engine.label_values(&grants, "app", early, None, &limits).await.unwrap(), ["b"]);
    assert!(engine.label_values(&grants, "none", all, None, &limits).await.unwrap().is_empty());
    assert_eq!(engine.series(&grants, &[], all, &limits).await.unwrap().len(), 2);
    assert_eq!(engine.series(&grants, &[only_b], all, &limits).await.unwrap().len(), 1);
    let stats = engine.index_stats(&grants, &selector(r#"{app="a"}"#), all, &limits).await.unwrap();
    assert_eq!(stats, crate::IndexStats { streams: 1, chunks: 2, bytes: 7, entries: 2 });
}

#[tokio::test]
async fn limits_are_refused_in_lokis_words() {
    let engine = engine(&[vec![line("a", 10, "1234567890"), line("b", 20, "x")]]).await;
    let grants = [grant("alpha")];
    let range = TimeRange { start: Timestamp(0), end: Timestamp(100) };
    let text = |fault: QueryFault, status: u16| {
        assert_eq!(fault.status(), status, "{fault}");
        fault.to_string()
    };
    let few = Limits { max_query_bytes_read: 5, max_query_series: 1, max_entries_limit_per_query: 10, ..Limits::default() };
    let new = |limit, limits: &Limits| LogRequest::new(log(r#"{env="test"}"#), range, limit, Direction::Forward, limits);
    let too_many = text(engine.logs(&grants, &new(5, &few).unwrap(), &few).await.unwrap_err(), 400);
    assert!(too_many.starts_with("the query would read too many bytes (query: "), "{too_many}");
    let entries = text(new(11, &few).unwrap_err(), 400);
    assert_eq!(entries, "max entries limit per query exceeded, limit > max_entries_limit_per_query (11 > 10)");
    assert_eq!(text(new(0, &few).unwrap_err(), 400), "limit must be a positive value");
    let series = Limits { max_query_bytes_read: 0, ..few };
    let request = RangeRequest::new(metric(r#"count_over_time({env="test"}[1s])"#), range, 100, &series).unwrap();
    let many = text(engine.range(&grants, &request, &series).await.unwrap_err(), 400);
    assert!(many.starts_with("maximum number of series (1) reached for a single query"), "{many}");
    let fault = RangeRequest::new(metric("vector(1)"), TimeRange { start: Timestamp(0), end: Timestamp(11_001) }, 1, &series).unwrap_err();
    assert!(text(fault, 400).starts_with("exceeded maximum resolution of 11,000 points per time series."));
    let long = Limits { max_query_length: Duration::from_nanos(50), ..Limits::default() };
    assert!(text(new(5, &long).unwrap_err(), 400).starts_with("the query time range exceeds the limit (query length: 100ns"));
}

#[tokio::test]
async fn a_line_that_a_metric_query_cannot_read_fails_it() {
    let engine = engine(&[vec![line("a", 10, "no json")]]).await;
    let fault = matrix_of(&engine, r#"sum by (x) (count_over_time({app="a"} | json [1s]))"#, (0, 100, 100)).await.unwrap_err();
    let text = fault.to_string();
    assert_eq!(fault.status(), 400);
    assert!(text.starts_with("pipeline error: 'JSONParserErr' for series: '{__error__=\"JSONParserErr\","), "{text}");
    assert!(text.contains("(e.g | __error__!=\"JSONParserErr\")."), "{text}");
    let skipped = matrix_of(&engine, r#"sum by (x) (count_over_time({app="a"} | json | __error__="" [1s]))"#, (0, 100, 100)).await.unwrap();
    assert!(skipped.series.is_empty());
}

#[tokio::test]
async fn a_damaged_batch_is_a_fault_and_no_panic() {
    let mut damaged = batch(&[line("a", 10, "x")], 1);
    let mut body = damaged.body.to_vec();
    let last = body.len() - 1;
    body[last] ^= 0xff;
    damaged.body = body.into();
    let engine = engine_of_batches(vec![(grant("alpha"), damaged)]).await;
    let fault = ask_logs(&engine, &[grant("alpha")], r#"{app="a"}"#, 5, Direction::Forward).await.unwrap_err();
    assert!(matches!(fault, QueryFault::Damaged { .. }), "{fault}");
    assert_eq!(fault.status(), 500);
}

#[tokio::test]
async fn objects_that_are_gone_end_in_an_answer_to_ask_again() {
    let memory = Arc::new(InMemory::new());
    let objects = (1..=2).map(|at| (grant("alpha"), batch(&[line("a", 10, "x")], at))).collect();
    let engine = engine_in(Arc::clone(&memory), objects).await;
    let mut all: Vec<_> = memory.list(None).map_ok(|object| object.location).try_collect().await.unwrap();
    all.retain(|location| location.as_ref().contains("/log/"));
    all.sort();
    // The newest stays: by it the lane is known to be fresh.
    for location in &all[..all.len() - 1] {
        memory.delete(location).await.unwrap();
    }
    let fault = ask_logs(&engine, &[grant("alpha")], r#"{app="a"}"#, 5, Direction::Forward).await.unwrap_err();
    assert!(matches!(fault, QueryFault::Moved { views: VIEWS_MAX }), "{fault}");
    assert_eq!(fault.status(), 503);
}

#[tokio::test]
async fn queries_wait_for_their_turn_until_they_time_out_and_too_many_are_refused() {
    let rules = Rules { at_once: 1, at_once_tenant: 1, waiting_max: 1, waiting_max_tenant: 1 };
    let turns = Turns::new(rules, Gauge::default());
    let engine = Engine { turns: Arc::clone(&turns), ..engine(&[]).await };
    let limits = Limits { query_timeout: Duration::from_millis(20), ..Limits::default() };
    let request = InstantRequest::new(metric("vector(1)"), Timestamp(1), &limits).unwrap();
    let grants = [grant("alpha")];
    let running = turns.take(&grants).await.unwrap();
    let late = engine.instant(&grants, &request, &limits).await.unwrap_err();
    assert_eq!(late.status(), 504);
    let asked = engine.instant(&grants, &request, &limits);
    let (waited, busy) = tokio::join!(asked, engine.instant(&grants, &request, &limits));
    let busy = busy.unwrap_err();
    assert_eq!((busy.status(), busy.to_string().as_str()), (429, "too many outstanding requests: 1 queries of the tenant run and 1 wait; ask again later"));
    assert_eq!(waited.unwrap_err().status(), 504);
    drop(running);
    assert!(engine.instant(&grants, &request, &limits).await.is_ok());
}

#[tokio::test]
async fn numbers_and_vectors_need_no_lines() {
    let engine = engine(&[]).await;
    let limits = Limits::default();
    let ask = async |query: &str| engine.instant(&[], &InstantRequest::new(metric(query), Timestamp(7), &limits).unwrap(), &limits).await.unwrap().value;
    assert_eq!(ask("1 + 2").await, InstantValue::Scalar(Timestamp(7), 3.0));
    let one = |value| InstantValue::Vector(vec![InstantSample { labels: Labels::empty(), time: Timestamp(7), value }]);
    assert_eq!(ask("vector(1) * 4").await, one(4.0));
    assert_eq!(ask("vector(1) > 2").await, InstantValue::Vector(Vec::new()));
    assert_eq!(ask("2 > bool vector(1)").await, one(1.0));
}

#[test]
fn a_dropped_query_stops_its_scans() {
    let (budget, lease) = Budget::new(&Limits::default());
    assert!(budget.go_on().is_ok());
    drop(lease);
    assert!(matches!(budget.go_on(), Err(QueryFault::Cancelled)));
}

/// The API runs queries on any thread.
#[tokio::test]
async fn answers_can_be_awaited_on_any_thread() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let engine = engine(&[]).await;
    let limits = Limits::default();
    let range = TimeRange { start: Timestamp(0), end: Timestamp(10) };
    let logs = LogRequest::new(log(r#"{a="b"}"#), range, 1, Direction::Forward, &limits).unwrap();
    let metric = RangeRequest::new(metric(r#"rate({a="b"}[1s])"#), range, 1, &limits).unwrap();
    assert!(is_send(engine.logs(&[], &logs, &limits)).await.unwrap().streams.is_empty());
    assert!(is_send(engine.range(&[], &metric, &limits)).await.unwrap().series.is_empty());
    assert!(is_send(engine.label_names(&[], range, None, &limits)).await.unwrap().is_empty());
    assert_eq!(is_send(engine.index_stats(&[], &[], range, &limits)).await.unwrap().streams, 0);
}

#[tokio::test]
async fn answers_over_a_loss_say_so_and_others_do_not() {
    let engine = engine(&[vec![line("a", 10, "x")]]).await;
    let loss = |lines, from_ns, to_ns| LaneRecord::Loss {
        tenant: grant("alpha").tenant().clone(),
        cluster: ClusterId::new("alpha").unwrap(),
        edge: EdgeId::new("node-1").unwrap(),
        source: String::new(),
        reason: "drop_oldest".to_owned(),
        from_ns,
        to_ns,
        lines,
        bytes: None,
    };
    let records = vec![loss(Some(120), 2_000_000_000, 3_000_000_000), loss(None, 9_000_000_000, 9_000_000_000)];
    engine.store.writer().await.unwrap().put(Draft { records, ..Draft::default() }).await.unwrap();
    let limits = Limits::default();
    let known = "lines missing: 120 lines of edge alpha/node-1 between 1970-01-01T00:00:02Z and 1970-01-01T00:00:03Z (reason drop_oldest)";
    let unknown = "lines missing: an unknown number of lines of edge alpha/node-1 at 1970-01-01T00:00:09Z (reason drop_oldest)";
    let range = |start_s, end_s| TimeRange { start: Timestamp::from_secs(start_s), end: Timestamp::from_secs(end_s) };
    let of_logs = async |cluster, range| {
        let request = LogRequest::new(log(r#"{app="a"}"#), range, 5, Direction::Forward, &limits).unwrap();
        engine.logs(&[grant(cluster)], &request, &limits).await.unwrap().warnings
    };
    assert_eq!(of_logs("alpha", range(0, 5)).await, [known]);
    assert_eq!(of_logs("alpha", range(3, 10)).await, [unknown, known]);
    assert!(of_logs("alpha", range(4, 9)).await.is_empty());
    assert!(of_logs("beta", range(0, 10)).await.is_empty());
    // What the windows hold counts, not the steps.
    let expr = metric(r#"count_over_time({app="a"}[2s] offset 1s)"#);
    let at = async |secs| engine.instant(&[grant("alpha")], &InstantRequest::new(expr.clone(), Timestamp::from_secs(secs), &limits).unwrap(), &limits).await;
    assert_eq!(at(5).await.unwrap().warnings, [known]);
    assert!(at(7).await.unwrap().warnings.is_empty());
    let request = RangeRequest::new(expr.clone(), range(7, 10), 1_000_000_000, &limits).unwrap();
    assert_eq!(engine.range(&[grant("alpha")], &request, &limits).await.unwrap().warnings, [unknown]);
}

/// A hub of its own on the same bucket, which absorbs and collects.
async fn keeper(memory: &Arc<InMemory>) -> Keeper {
    let world = World { workers: proto_seam::Workers::Inline, ..World::real() };
    Keeper::new(Store::open(StoreSettings::new(Arc::clone(memory) as Arc<dyn object_store::ObjectStore>, Path::default()), world).await.unwrap())
}

/// Absorbs all there is into one more segment, and raises the floor to it.
async fn absorb_all(keeper: &Keeper, memory: &InMemory) -> Arc<Manifest> {
    let (store, grant) = (keeper.store(), grant("alpha"));
    let view = store.fresh(Timestamp(World::real().clock.now_ns())).await.unwrap();
    let base = keeper.open(grant.tenant()).await.unwrap();
    let last = view.sections(&grant, TimeRange::ALL).pop().unwrap();
    let built = built(store, &grant, &view, &base, (last.lane, last.number)).await;
    let segment = keeper.put_segment(grant.tenant(), &built).await.unwrap();
    assert!(memory.head(&location(&segment)).await.is_ok());
    let change = Change::Absorb { lane: last.lane, from: base.watermark(last.lane), to: last.number, segments: vec![segment], deletes: Applied::default() };
    let manifest = keeper.commit(&base, &change).await.unwrap();
    assert_eq!(keeper.raise_floor(last.lane).await.unwrap(), last.number);
    manifest
}

#[tokio::test]
async fn sections_that_were_absorbed_and_collected_are_read_from_segments() {
    let memory = Arc::new(InMemory::new());
    let objects = (0..4).map(|at| (grant("alpha"), batch(&[line("a", at, format!("line {at}"))], at.unsigned_abs()))).collect();
    let engine = engine_in(Arc::clone(&memory), objects).await;
    let old = engine.store.view();
    let sections = old.sections(&grant("alpha"), TimeRange::ALL);
    let keeper = keeper(&memory).await;
    absorb_all(&keeper, &memory).await;
    for section in &sections[..3] {
        memory.delete(&Path::from(format!("lanes/{}/log/{:020}", section.lane, section.number))).await.unwrap();
    }
    // An old view with what was known of the manifest then: moved, never less.
    let plan = LogPlan {
        range: TimeRange::ALL,
        limit: 10,
        direction: Direction::Forward,
        selector: Selector::default(),
        pipeline: Arc::new(Pipeline::new(&[], Wanted::All).unwrap()),
        group: None,
    };
    let fault = run(&engine, &grant("alpha"), &old, &nothing(&grant("alpha")), &Limits::default()).logs(Arc::new(plan)).await.unwrap_err();
    assert!(matches!(fault, QueryFault::Store(StoreFault::Moved { .. })), "{fault}");
    let answer = ask_logs(&engine, &[grant("alpha")], r#"{app="a"}"#, 10, Direction::Forward).await.unwrap();
    assert_eq!(entries(&answer).into_iter().map(|(_, text)| text).collect::<Vec<_>>(), ["line 0", "line 1", "line 2", "line 3"]);
    assert_eq!((answer.stats.sections, answer.stats.blocks), (0, 1));
}

#[tokio::test]
async fn a_segment_that_was_merged_away_is_read_from_the_newest_manifest() {
    let memory = Arc::new(InMemory::new());
    let engine = engine_in(Arc::clone(&memory), vec![(grant("alpha"), batch(&[line("a", 1, "one")], 1))]).await;
    let keeper = keeper(&memory).await;
    absorb_all(&keeper, &memory).await;
    put(&engine.store, vec![(grant("alpha"), batch(&[line("a", 2, "two")], 2))]).await;
    let second = absorb_all(&keeper, &memory).await;
    // The hub that answers knows this manifest, and has read nothing that it names.
    let known = async || {
        let view = engine.store.fresh(Timestamp(engine.world.clock.now_ns())).await.unwrap();
        engine.store.manifest(&grant("alpha"), &view).await.unwrap().number
    };
    assert_eq!(known().await, second.number);
    let output = merged(&memory, &grant("alpha"), &second).await.segments[0].clone();
    let change = Change::Merge { inputs: second.segments.iter().map(|segment| segment.id).collect(), output };
    keeper.commit(&second, &change).await.unwrap();
    for segment in &second.segments {
        memory.delete(&location(segment)).await.unwrap();
    }
    assert_eq!(known().await, second.number);
    let answer = ask_logs(&engine, &[grant("alpha")], r#"{app="a"}"#, 10, Direction::Backward).await.unwrap();
    assert_eq!(entries(&answer), [(2, "two".to_owned()), (1, "one".to_owned())]);
    assert_eq!(known().await, second.number + 1);
    let names = engine.label_values(&[grant("alpha")], "app", TimeRange::ALL, None, &Limits::default()).await.unwrap();
    assert_eq!(names, ["a"]);
    // Nothing that stands names what is gone now: after three views the answer is to ask again.
    memory.delete(&location(&keeper.newest(grant("alpha").tenant()).await.unwrap().unwrap().segments[0])).await.unwrap();
    let other = Engine::new(Arc::clone(self::keeper(&memory).await.store()), engine.world.clone(), QueryMetrics::default());
    let fault = ask_logs(&other, &[grant("alpha")], r#"{app="a"}"#, 10, Direction::Backward).await.unwrap_err();
    assert!(matches!(fault, QueryFault::Moved { views: VIEWS_MAX }), "{fault}");
}

/// Answers while a hub absorbs: whatever meets, every line is there once.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_during_absorptions_has_every_line_once() {
    let memory = Arc::new(InMemory::new());
    let engine = engine_in(Arc::clone(&memory), Vec::new()).await;
    let keeper = keeper(&memory).await;
    let asking = async |at: u64| {
        let answer = ask_logs(&engine, &[grant("alpha")], r#"{app="a"}"#, 1_000, Direction::Forward).await.unwrap();
        let found: Vec<String> = entries(&answer).into_iter().map(|(_, text)| text).collect();
        assert_eq!(found, (0..=at).map(|at| format!("line {at}")).collect::<Vec<_>>());
    };
    for at in 0..12_u64 {
        put(&engine.store, vec![(grant("alpha"), batch(&[line("a", i64::try_from(at).unwrap(), format!("line {at}"))], at))]).await;
        if at % 2 == 0 {
            asking(at).await;
            continue;
        }
        let absorbing = async { drop(absorb_all(&keeper, &memory).await) };
        tokio::join!(absorbing, asking(at), asking(at));
    }
}

#[tokio::test]
async fn entries_some_time_apart() {
    // Dense enough for several pages, and a gap.
    let dense: Vec<_> = (0..2_000).map(|at| line(if at % 2 == 0 { "a" } else { "b" }, at, format!("n{at}"))).collect();
    let engine = engine(&[dense, vec![line("a", 5_000, "late")]]).await;
    for (direction, first, step) in [(Direction::Forward, 0, 300), (Direction::Backward, 5_000, -300)] {
        let limits = Limits { max_query_length: Duration::ZERO, ..Limits::default() };
        let range = TimeRange { start: Timestamp(0), end: Timestamp(1_000_000) };
        let asked = |limit| LogRequest::new(log("{app=~`a|b`}"), range, limit, direction, &limits).unwrap().every(300).unwrap();
        let answer = engine.logs(&[grant("alpha")], &asked(100), &limits).await.unwrap();
        let mut times: Vec<i64> = entries(&answer).into_iter().map(|(time, _)| time).collect();
        times.sort_unstable_by_key(|time| if step > 0 { *time } else { -time });
        let expected: Vec<i64> =
            if step > 0 { vec![0, 300, 600, 900, 1_200, 1_500, 1_800, 5_000] } else { vec![5_000, 1_999, 1_699, 1_399, 1_099, 799, 499, 199] };
        assert_eq!(times, expected);
        assert_eq!(times[0], first);
        let few = engine.logs(&[grant("alpha")], &asked(3), &limits).await.unwrap();
        assert_eq!(entries(&few).len(), 3);
    }
    let limits = Limits::default();
    let range = TimeRange { start: Timestamp(0), end: Timestamp(10) };
    let fault = LogRequest::new(log("{app=`a`}"), range, 1, Direction::Forward, &limits).unwrap().every(-1).unwrap_err();
    assert_eq!(fault.to_string(), "interval must be >= 0");
}

#[test]
fn no_window_is_longer_than_a_query() {
    let limits = Limits { max_query_length: Duration::from_secs(3_600), ..Limits::default() };
    let fault = InstantRequest::new(metric("sum(rate({app=`a`}[2h])) + vector(1)"), Timestamp(0), &limits).unwrap_err();
    assert_eq!(fault.to_string(), "the query time range exceeds the limit (query length: 2h0m0s, limit: 1h)");
    assert!(InstantRequest::new(metric("vector(1)+vector(1)"), Timestamp::from_secs(4), &limits).is_ok());
}
