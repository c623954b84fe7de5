//! One query over sections and segments together: order, every line once, what is read and what is not.

use std::collections::BTreeMap;
use std::sync::Arc;

use hub_store::{Manifest, StoreFault, View};
use hub_tenant::Grant;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use proto_model::{LaneId, TimeRange, Timestamp};
use proto_seam::Entropy;

use super::{LogPlan, Run};
use crate::answer::{AnsweredStream, Stats};
use crate::budget::Limits;
use crate::engine::Engine;
use crate::fault::QueryFault;
use crate::metric::Tree;
use crate::names::IndexStats;
use crate::plan::Selector;
use crate::range::Steps;
use crate::request::Direction;
use crate::rig::{Line, MS, absorb, batch, engine_in, grant, line, location, log, merged, metric, nothing, put, run};
use crate::stages::Pipeline;
use crate::wanted::Wanted;

/// Lane objects of one tenant, and manifests in hand.
struct Sea {
    memory: Arc<InMemory>,
    engine: Engine,
    grant: Grant,
}

impl Sea {
    async fn of(objects: &[Vec<Line>]) -> Self {
        let memory = Arc::new(InMemory::new());
        let grant = grant("alpha");
        let drafts = objects.iter().zip(0..).map(|(lines, key)| (grant.clone(), batch(lines, key))).collect();
        Self { engine: engine_in(Arc::clone(&memory), drafts).await, memory, grant }
    }

    async fn add(&self, lines: &[Line], key: u64) {
        put(&self.engine.store, vec![(self.grant.clone(), batch(lines, key))]).await;
    }

    fn view(&self) -> View {
        self.engine.store.view()
    }

    fn lane(&self) -> LaneId {
        *self.view().heads().keys().next().unwrap()
    }

    /// Numbers of the objects that hold lines, ascending.
    fn numbers(&self) -> Vec<u64> {
        self.view().sections(&self.grant, TimeRange::ALL).iter().map(|section| section.number).collect()
    }

    /// `base` with the first `count` objects absorbed.
    async fn absorbed(&self, base: &Manifest, count: usize) -> Manifest {
        let to = self.numbers()[count - 1];
        absorb(&self.engine.store, &self.memory, &self.grant, &self.view(), base, (self.lane(), to)).await
    }

    fn run(&self, view: &View, manifest: &Manifest) -> Arc<Run> {
        run(&self.engine, &self.grant, view, manifest, &Limits::default())
    }

    async fn logs(&self, manifest: &Manifest, query: &str, limit: usize, direction: Direction) -> Result<(Vec<AnsweredStream>, Stats), QueryFault> {
        self.run(&self.view(), manifest).logs(Arc::new(plan(query, limit, direction))).await
    }

    async fn series(&self, manifest: &Manifest, query: &str, steps: Steps) -> Result<(BTreeMap<String, Vec<(u32, f64)>>, Stats), QueryFault> {
        let tree = Tree::new(&metric(query), steps).unwrap();
        let (_, ranges, stats) = self.run(&self.view(), manifest).ranges(tree).await?;
        Ok((ranges.into_iter().flatten().map(|(labels, points)| (labels.to_string(), points)).collect(), stats))
    }
}

fn plan(query: &str, limit: usize, direction: Direction) -> LogPlan {
    let expr = log(query);
    LogPlan {
        range: TimeRange { start: Timestamp(0), end: Timestamp(1_000_000) },
        limit,
        direction,
        selector: Selector::new(&expr.matchers).unwrap(),
        pipeline: Arc::new(Pipeline::new(&expr.stages, Wanted::All).unwrap()),
        group: None,
    }
}

fn texts(streams: &[AnsweredStream]) -> Vec<(i64, String)> {
    streams.iter().flat_map(|stream| &stream.entries).map(|entry| (entry.time.nanos(), entry.line.clone())).collect()
}

/// Objects with lines of few times, so that many are equal.
fn crowded(entropy: &Entropy, objects: usize, lines: usize) -> Vec<Vec<Line>> {
    let mut count = 0;
    let mut next = || {
        count += 1;
        line("a", i64::try_from(entropy.below(12)).unwrap(), format!("line {count}"))
    };
    (0..objects).map(|_| (0..lines).map(|_| next()).collect()).collect()
}

#[tokio::test]
async fn lines_of_equal_time_come_in_order_of_arrival_however_much_is_absorbed() {
    let entropy = Entropy::seeded(11);
    for _ in 0..6 {
        let objects = crowded(&entropy, 8, 8);
        let sea = Sea::of(&objects).await;
        let mut all: Vec<(i64, String)> = objects.iter().flatten().map(|line| (line.1, line.4.clone())).collect();
        all.sort_by_key(|(time, _)| *time);
        let none = nothing(&sea.grant);
        let one = sea.absorbed(&none, 3).await;
        let two = sea.absorbed(&one, 5).await;
        let all_in_one = merged(&sea.memory, &sea.grant, &two).await;
        let three = sea.absorbed(&all_in_one, 8).await;
        for manifest in [&none, &one, &two, &all_in_one, &three] {
            for limit in [1, 7, 30, 1_000] {
                let (found, _) = sea.logs(manifest, r#"{app="a"}"#, limit, Direction::Forward).await.unwrap();
                assert_eq!(texts(&found), all.iter().take(limit).cloned().collect::<Vec<_>>(), "manifest {}", manifest.number);
                let (found, _) = sea.logs(manifest, r#"{app="a"}"#, limit, Direction::Backward).await.unwrap();
                assert_eq!(texts(&found), all.iter().rev().take(limit).cloned().collect::<Vec<_>>(), "manifest {}", manifest.number);
            }
        }
    }
}

/// Of two lanes the one that was absorbed first comes first, whatever its id: the manifest says in which order.
#[tokio::test]
async fn the_manifest_says_in_which_order_lines_of_equal_time_come() {
    let objects: Vec<Vec<Line>> = ["first", "second", "third"].map(|text| vec![line("a", 5, text)]).to_vec();
    let sea = Sea::of(&objects).await;
    let one = sea.absorbed(&nothing(&sea.grant), 1).await;
    let mut two = sea.absorbed(&one, 2).await;
    two.segments.reverse();
    let in_order = async |direction| texts(&sea.logs(&two, r#"{app="a"}"#, 10, direction).await.unwrap().0).into_iter().map(|(_, text)| text);
    assert!(in_order(Direction::Forward).await.eq(["second", "first", "third"]));
    assert!(in_order(Direction::Backward).await.eq(["third", "first", "second"]));
}

#[tokio::test]
async fn every_line_comes_once_whichever_of_view_and_manifest_is_older() {
    let objects: Vec<Vec<Line>> = (0..4).map(|at| vec![line("a", at, format!("line {at}")), line("b", at, "other")]).collect();
    let sea = Sea::of(&objects).await;
    let old_view = sea.view();
    let none = nothing(&sea.grant);
    let old = sea.absorbed(&none, 2).await;
    for at in 4..7 {
        sea.add(&[line("a", at, format!("line {at}"))], at.unsigned_abs()).await;
    }
    let new_view = sea.view();
    let middle = sea.absorbed(&old, 4).await;
    let new = sea.absorbed(&middle, 7).await;
    let newest = merged(&sea.memory, &sea.grant, &new).await;
    let seen = async |view: &View, manifest: &Manifest| {
        let asked = Arc::new(plan(r#"{app="a"}"#, 100, Direction::Forward));
        let (found, _) = sea.run(view, manifest).logs(asked).await.unwrap();
        let steps = Steps { start: Timestamp(1_000), step_ns: 1, count: 1 };
        let tree = Tree::new(&metric(r#"sum by (app) (count_over_time({app="a"}[1ms]))"#), steps).unwrap();
        let (_, counted, _) = sea.run(view, manifest).ranges(tree).await.unwrap();
        let (stats, _) = sea.run(view, manifest).index_stats(TimeRange::ALL, Arc::new(Selector::new(&log(r#"{app="a"}"#).matchers).unwrap())).await.unwrap();
        let entries = texts(&found);
        #[expect(clippy::cast_precision_loss, reason = "few")]
        let count = entries.len() as f64;
        assert_eq!(counted[0][0].1, [(0, count)]);
        assert_eq!(stats.entries, entries.len() as u64);
        entries.into_iter().map(|(_, text)| text).collect::<Vec<_>>()
    };
    let first = |count: usize| (0..count).map(|at| format!("line {at}")).collect::<Vec<_>>();
    for manifest in [&none, &old, &middle] {
        assert_eq!(seen(&old_view, manifest).await, first(4), "manifest {}", manifest.number);
    }
    // An absorption that the view did not see yet shows what it absorbed, once.
    for manifest in [&new, &newest] {
        assert_eq!(seen(&old_view, manifest).await, first(7), "manifest {}", manifest.number);
    }
    for manifest in [&none, &old, &middle, &new, &newest] {
        assert_eq!(seen(&new_view, manifest).await, first(7), "manifest {}", manifest.number);
    }
}

#[tokio::test]
async fn metrics_are_the_same_from_sections_and_segments_and_lines_are_read_only_where_needed() {
    let entropy = Entropy::seeded(3);
    let one = |at: i64| {
        let app = if entropy.chance(0.5) { "a" } else { "b" };
        let time = (at * 300 + i64::try_from(entropy.below(400)).unwrap()) * MS;
        let metadata = if entropy.chance(0.3) { vec![("zone".to_owned(), entropy.below(3).to_string())] } else { Vec::new() };
        let level = [3_u8, 5, 255][usize::try_from(entropy.below(3)).unwrap()];
        (app, time, level, metadata, format!("size={} {}", entropy.below(50), "x".repeat(usize::try_from(entropy.below(20)).unwrap())))
    };
    let objects: Vec<Vec<Line>> = (0..8).map(|at| (0..25).map(|_| one(at)).collect()).collect();
    let sea = Sea::of(&objects).await;
    let none = nothing(&sea.grant);
    let some = sea.absorbed(&none, 3).await;
    let more = sea.absorbed(&some, 5).await;
    let joined = merged(&sea.memory, &sea.grant, &more).await;
    let all = sea.absorbed(&joined, 8).await;
    // Whether lines must be read.
    let queries = [
        (r#"sum by (app) (count_over_time({env="test"}[W]))"#, false),
        (r#"sum by (app) (count_over_time({env="test"} | drop __error__ [W]))"#, false),
        (r#"sum by (app) (bytes_over_time({env="test"}[W] offset 90ms))"#, false),
        (r#"sum(rate({env="test"}[W]))"#, false),
        (r#"sum by (detected_level) (count_over_time({env="test"}[W]))"#, false),
        (r#"sum by (level, detected_level) (count_over_time({env="test"} | drop __error__ [W]))"#, false),
        (r#"sum by (zone) (bytes_over_time({env="test"} | zone!="1" [W]))"#, false),
        (r#"sum by (zone) (sum_over_time({env="test"} | unwrap zone [W]))"#, false),
        (r#"sum(count_over_time({env="test"} | json [W]))"#, false),
        (r#"count_over_time({app="a"}[W])"#, false),
        (r#"sum by (zone) (count_over_time({env="test"} | label_format zone="{{.app}}" [W]))"#, true),
        (r#"sum by (app) (bytes_rate({env="test"} |= "xx" [W]))"#, true),
        (r#"sum by (zone) (sum_over_time({env="test"} | logfmt | unwrap size [W]))"#, true),
        (r#"first_over_time({app="b"} | logfmt | unwrap size [W]) by (app)"#, true),
    ];
    for (query, reads) in queries {
        for (window, step, count) in [("70ms", 130, 25), ("900ms", 250, 14), ("1h", 1_000, 3)] {
            let (query, steps) = (query.replace('W', window), Steps { start: Timestamp(0), step_ns: step * MS, count });
            let (wanted, _) = sea.series(&none, &query, steps).await.unwrap();
            assert!(window == "70ms" || !wanted.is_empty(), "{query}");
            for manifest in [&some, &more, &joined] {
                assert_eq!(sea.series(manifest, &query, steps).await.unwrap().0, wanted, "{query}, manifest {}", manifest.number);
            }
            let (found, stats) = sea.series(&all, &query, steps).await.unwrap();
            assert_eq!(found, wanted, "{query}, all absorbed");
            assert_eq!(stats.lines > 0, reads, "{query} {stats:?}");
            assert_eq!(stats.lines_counted > 0, !reads, "{query} {stats:?}");
            // All lines lie in the same windows: where the index tells the series, not even times are read.
            let of_index = query.contains("sum by (app)") || query.starts_with("sum(");
            if !reads && of_index && window == "1h" {
                let end = Steps { start: Timestamp(10_000 * MS), step_ns: 1, count: 1 };
                assert_eq!(sea.series(&all, &query, end).await.unwrap().1.blocks, 0, "{query}");
            }
        }
    }
}

#[tokio::test]
async fn a_full_limit_leaves_older_segments_and_blocks_unread() {
    let objects: Vec<Vec<Line>> = (0..30).map(|at| (0..10).map(|i| line("a", at * 100 + i, format!("{at} {i}"))).collect()).collect();
    let sea = Sea::of(&objects).await;
    let mut manifest = nothing(&sea.grant);
    for count in (2..=26).step_by(2) {
        manifest = sea.absorbed(&manifest, count).await;
    }
    let limit = |found: &[AnsweredStream]| texts(found).len();
    let at_once = super::PARTS_AT_ONCE as u64;
    let (found, stats) = sea.logs(&manifest, r#"{app="a"}"#, 5, Direction::Backward).await.unwrap();
    assert_eq!((limit(&found), texts(&found)[0].0), (5, 2_909));
    assert!(stats.sections <= at_once && stats.blocks == 0, "{stats:?}");
    // Out of all sections and into the newest segment.
    let (found, stats) = sea.logs(&manifest, r#"{app="a"}"#, 45, Direction::Backward).await.unwrap();
    assert_eq!((limit(&found), texts(&found)[44].0), (45, 2_505));
    assert!(stats.sections == 4 && (1..=at_once).contains(&stats.blocks), "{stats:?}");
    let (found, stats) = sea.logs(&manifest, r#"{app="a"}"#, 5, Direction::Forward).await.unwrap();
    assert_eq!((limit(&found), texts(&found)[0].0), (5, 0));
    assert!(stats.sections == 0 && stats.blocks <= at_once, "{stats:?}");
    let (_, stats) = sea.logs(&manifest, r#"{app="a"} |= "no such""#, 5, Direction::Forward).await.unwrap();
    assert_eq!((stats.sections, stats.blocks, stats.lines), (4, 0, 40), "no block has all these letters: none is read");
    let (found, stats) = sea.logs(&manifest, r#"{app="a"} |= "9""#, 500, Direction::Forward).await.unwrap();
    assert_eq!((limit(&found), stats.blocks, stats.chunks_skipped), (57, 13, 0), "every block has a nine");
    let (_, stats) = sea.logs(&manifest, r#"{app="b"}"#, 5, Direction::Forward).await.unwrap();
    assert_eq!((stats.sections, stats.blocks, stats.chunks_skipped), (0, 0, 17));
}

#[tokio::test]
async fn of_a_large_stream_only_the_newest_blocks_are_read() {
    // 8 MiB of one stream, so a few blocks.
    let filler = "0123456789abcdef".repeat(4_096);
    let objects: Vec<Vec<Line>> = (0..16).map(|at| (0..8).map(|i| line("a", at * 8 + i, format!("{at} {i} {filler}"))).collect()).collect();
    let sea = Sea::of(&objects).await;
    let manifest = sea.absorbed(&nothing(&sea.grant), 16).await;
    let (all, every) = sea.logs(&manifest, r#"{app="a"}"#, 1_000, Direction::Backward).await.unwrap();
    assert_eq!((texts(&all).len(), every.blocks >= 4, every.lines), (128, true, 128), "{every:?}");
    // Room for the blocks that are read at once, no more.
    let (found, some) = sea.logs(&manifest, r#"{app="a"}"#, 1, Direction::Backward).await.unwrap();
    assert_eq!(texts(&found)[0].0, 127);
    assert!(some.blocks <= super::PARTS_AT_ONCE as u64, "{some:?}");
}

/// Blocks full of zeros stand for blocks that are not read.
async fn blank(sea: &Sea, manifest: &Manifest) {
    for segment in &manifest.segments {
        let at = location(segment);
        let mut bytes = sea.memory.get(&at).await.unwrap().bytes().await.unwrap().to_vec();
        let end = usize::try_from(segment.facts.footer_offset).unwrap();
        bytes[..end].fill(0);
        sea.memory.put(&at, bytes.into()).await.unwrap();
    }
}

#[tokio::test]
async fn names_statistics_and_wide_counts_come_from_footers_alone() {
    let objects = [vec![line("a", 10, "1234"), line("b", 20, "12")], vec![line("a", 5_000, "123")], vec![line("c", 7, "1")]];
    let sea = Sea::of(&objects).await;
    let manifest = sea.absorbed(&nothing(&sea.grant), 2).await;
    blank(&sea, &manifest).await;
    let selector = |query: &str| Arc::new(Selector::new(&log(query).matchers).unwrap());
    let within = |start, end| TimeRange { start: Timestamp(start), end: Timestamp(end) };
    let streams = async |query: &str, range| sea.run(&sea.view(), &manifest).streams(range, vec![selector(query)]).await.unwrap().0.len();
    assert_eq!(streams(r#"{env="test"}"#, within(0, 10_000)).await, 3);
    assert_eq!(streams(r#"{app!="b", env="test"}"#, within(0, 10_000)).await, 2);
    assert_eq!(streams(r#"{env="test"}"#, within(15, 100)).await, 2);
    let stats = sea.run(&sea.view(), &manifest).index_stats(within(0, 10_000), selector(r#"{app="a"}"#)).await.unwrap().0;
    assert_eq!(stats, IndexStats { streams: 1, chunks: 1, bytes: 7, entries: 2 });
    let whole = Steps { start: Timestamp(10_000), step_ns: 1, count: 1 };
    let (found, took) = sea.series(&manifest, r#"sum by (app) (count_over_time({env="test"}[1s]))"#, whole).await.unwrap();
    assert_eq!(found.values().map(|points| points[0].1).collect::<Vec<_>>(), [2.0, 1.0, 1.0]);
    assert_eq!((took.blocks, took.lines, took.lines_counted), (0, 0, 4));
    let fault = sea.logs(&manifest, r#"{app="a"}"#, 5, Direction::Forward).await.unwrap_err();
    assert!(matches!(fault, QueryFault::Store(StoreFault::Damaged { .. })), "{fault}");
}

#[tokio::test]
async fn a_segment_that_is_gone_is_a_view_that_moved() {
    let sea = Sea::of(&[vec![line("a", 10, "x")]]).await;
    let manifest = sea.absorbed(&nothing(&sea.grant), 1).await;
    sea.memory.delete(&location(&manifest.segments[0])).await.unwrap();
    let fault = sea.logs(&manifest, r#"{app="a"}"#, 5, Direction::Forward).await.unwrap_err();
    assert!(matches!(fault, QueryFault::Store(StoreFault::Moved { .. })), "{fault}");
}

#[tokio::test]
async fn bytes_of_segments_count_against_the_budget() {
    let sea = Sea::of(&[vec![line("a", 10, "1234567890")], vec![line("a", 11, "1234567890")]]).await;
    let manifest = sea.absorbed(&nothing(&sea.grant), 1).await;
    let ask = async |max_query_bytes_read| {
        let limits = Limits { max_query_bytes_read, ..Limits::default() };
        run(&sea.engine, &sea.grant, &sea.view(), &manifest, &limits).logs(Arc::new(plan(r#"{app="a"}"#, 10, Direction::Forward))).await
    };
    assert_eq!(texts(&ask(20).await.unwrap().0).len(), 2);
    let refused = ask(19).await.unwrap_err();
    assert!(refused.to_string().starts_with("the query would read too many bytes (query: 20B, limit: 19B)"), "{refused}");
}

#[tokio::test]
async fn windows_of_whole_minutes_are_counted_without_a_block_and_to_the_same_sums() {
    const SECOND: i64 = 1_000_000_000;
    const MINUTE: i64 = 60 * SECOND;
    let entropy = Entropy::seeded(17);
    // 20 minutes of two streams; many lines stand right at the end of a minute.
    let time =
        || if entropy.below(4) == 0 { i64::try_from(entropy.below(21)).unwrap() * MINUTE } else { i64::try_from(entropy.below(1_200)).unwrap() * SECOND };
    let objects: Vec<Vec<Line>> =
        (0..12).map(|_| (0..100).map(|_| line(["a", "b"][entropy.below(2) as usize], time(), "x".repeat(entropy.below(9) as usize))).collect()).collect();
    let sea = Sea::of(&objects).await;
    let (none, all) = (nothing(&sea.grant), sea.absorbed(&nothing(&sea.grant), 12).await);
    let steps = |start, step_ns, count| Steps { start: Timestamp(start), step_ns, count };
    for query in ["sum by (app) (count_over_time({env=\"test\"}[3m]))", "sum(bytes_rate({app=\"a\"}[1m] offset 2m))", "sum(rate({env=\"test\"}[5m]))"] {
        for (steps, is_whole) in [
            (steps(0, MINUTE, 25), true),
            (steps(7 * MINUTE, 3 * MINUTE, 4), true),
            (steps(9 * MINUTE, 1, 1), true),
            (steps(10 * SECOND, MINUTE, 20), false),
            (steps(0, 90 * SECOND, 12), false),
            (steps(9 * MINUTE, 1, 2), false),
        ] {
            let (wanted, _) = sea.series(&none, query, steps).await.unwrap();
            let (found, stats) = sea.series(&all, query, steps).await.unwrap();
            assert_eq!(found, wanted, "{query} {steps:?}");
            assert_eq!(stats.blocks == 0, is_whole, "{query} {steps:?} {stats:?}");
        }
    }
}

#[tokio::test]
async fn a_text_reads_only_blocks_that_may_hold_it_and_finds_every_line() {
    // 12 segments of 1 MiB; each line has an id of its own.
    let id = |at: i64| format!("{:016x}", (at + 1).cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let text =
        |at: i64| format!(r#"{{"level":"{}","id":"{}","msg":"{}"}}"#, if at == 3_000 { "catastrophe" } else { "info" }, id(at), "some words ".repeat(20));
    let objects: Vec<Vec<Line>> = (0..6).map(|object| (0..800).map(|at| line("a", object * 800 + at, text(object * 800 + at))).collect()).collect();
    let sea = Sea::of(&objects).await;
    let mut manifest = nothing(&sea.grant);
    for count in 1..=6 {
        manifest = sea.absorbed(&manifest, count).await;
    }
    let ask = async |stages: String| {
        let (found, stats) = sea.logs(&manifest, &format!(r#"{{app="a"}} {stages}"#), 5_000, Direction::Forward).await.unwrap();
        (texts(&found).into_iter().map(|(time, _)| time).collect::<Vec<_>>(), stats.blocks)
    };
    for at in [0, 799, 800, 3_000, 4_799] {
        let (found, blocks) = ask(format!(r#"|= "{}""#, id(at))).await;
        assert_eq!(found, [at]);
        assert!(blocks <= 3, "{blocks} of 6 blocks read for one id");
    }
    assert_eq!(ask(r#"|= "panic: runtime error""#.to_owned()).await, (Vec::new(), 0));
    assert_eq!(ask(r#"|~ "(fatal|panic): [a-z]+""#.to_owned()).await, (Vec::new(), 0));
    let (found, blocks) = ask(r#"| json | level="catastrophe""#.to_owned()).await;
    assert_eq!(found, [3_000]);
    assert!(blocks <= 2, "{blocks} of 6 blocks read for one level");
    assert_eq!(ask("!= \"panic: runtime error\" |= \"some words\"".to_owned()).await.0.len(), 4_800);
}

/// What a metric query over segments alone says under these limits, and the most memory that it asked for.
async fn limited(limits: &Limits, query: &str, steps: Steps) -> (Result<usize, String>, u64) {
    let text = |at: i64| format!(r#"{{"id":"{at:08}","ms":{at},"pad":"{}"}}"#, "x".repeat(40));
    let objects: Vec<Vec<Line>> = (0..6).map(|object| (0..500).map(|at| line("a", object * 500 + at, text(object * 500 + at))).collect()).collect();
    let sea = Sea::of(&objects).await;
    let mut manifest = nothing(&sea.grant);
    for count in [2, 4, 6] {
        manifest = sea.absorbed(&manifest, count).await;
    }
    let run = run(&sea.engine, &sea.grant, &sea.view(), &manifest, limits);
    let asked = async {
        let (tree, ranges, stats) = Arc::clone(&run).ranges(Tree::new(&metric(query), steps).unwrap()).await?;
        assert_eq!((stats.sections, stats.blocks > 0), (0, true));
        crate::metric::matrix(tree, ranges, steps, &run.budget)
    };
    (asked.await.map(|series| series.len()).map_err(|fault| format!("{} {fault}", fault.status())), run.budget.memory_peak())
}

#[tokio::test]
async fn memory_of_aggregations_over_segments_is_asked_for_before_it_is_spent() {
    let (once, often) = (Steps { start: Timestamp(3_000), step_ns: 1, count: 1 }, Steps { start: Timestamp(0), step_ns: 1, count: 3_000 });
    let queries = [
        // High cardinality: 3,000 series.
        (r#"sum by (id) (count_over_time({app="a"} | json [1m]))"#, once),
        // The same without grouping: all labels of each line.
        (r#"count_over_time({app="a"} | json [1m])"#, once),
        // Few are answered, all are held.
        (r#"topk(5, sum by (id) (count_over_time({app="a"} | json [1m])))"#, once),
        // A few series of many points.
        (r#"sum by (pad) (rate({app="a"} | json [1s]))"#, often),
        (r#"quantile_over_time(0.99, {app="a"} | json | unwrap ms [1m]) by (id)"#, once),
    ];
    for (query, steps) in queries {
        let free = Limits { max_query_series: 0, ..Limits::default() };
        let (answered, peak) = limited(&free, query, steps).await;
        assert!(answered.is_ok() && peak > 50_000, "{query}: {answered:?}, {peak} bytes");
        let max = peak / 2;
        let (refused, peak) = limited(&Limits { max_query_memory: max, ..free.clone() }, query, steps).await;
        let text = refused.unwrap_err();
        assert!(text.starts_with("400 the query needs more memory than it may use") && text.contains("max_query_memory"), "{query}: {text}");
        // What was refused counts as asked for; it is one series or one step more.
        assert!(peak <= max + 60_000, "{query}: {peak} bytes asked for of {max}");
    }
}

#[tokio::test]
async fn series_bytes_and_time_are_bounded_over_segments_too() {
    let steps = Steps { start: Timestamp(3_000), step_ns: 1, count: 1 };
    let by_id = r#"sum by (id) (count_over_time({app="a"} | json [1m]))"#;
    let (refused, _) = limited(&Limits { max_query_series: 100, ..Limits::default() }, by_id, steps).await;
    assert!(refused.unwrap_err().contains("maximum number of series (100) reached"));
    let (answered, _) = limited(&Limits { max_query_series: 100, ..Limits::default() }, &format!("topk(5, {by_id})"), steps).await;
    assert_eq!(answered, Ok(5), "the limit is for what is answered");
    let (refused, _) = limited(&Limits { max_query_bytes_read: 1_000, ..Limits::default() }, by_id, steps).await;
    assert!(refused.unwrap_err().contains("would read too many bytes"));
}

#[tokio::test]
async fn what_scans_held_is_given_back_when_they_are_merged() {
    let objects: Vec<Vec<Line>> = (0..40).map(|object| (0..20).map(|at| line("a", (object * 20 + at) * MS, "text")).collect()).collect();
    let sea = Sea::of(&objects).await;
    let mut manifest = nothing(&sea.grant);
    for count in 1..=40 {
        manifest = sea.absorbed(&manifest, count).await;
    }
    let steps = Steps { start: Timestamp(0), step_ns: 10 * MS, count: 90 };
    let run = sea.run(&sea.view(), &manifest);
    let tree = Tree::new(&metric(r#"sum by (app) (rate({app="a"} |= "text" [50ms]))"#), steps).unwrap();
    let (_, ranges, stats) = run.ranges(tree).await.unwrap();
    assert_eq!((ranges[0].len(), stats.blocks), (1, 40));
    // One series with a change at each step, and what is held twice while a few scans are merged.
    assert!(run.budget.memory_peak() < 30_000, "{} bytes", run.budget.memory_peak());
}
