//! Patterns over sections, segments and both.

use std::sync::Arc;

use object_store::memory::InMemory;
use proto_extract::level::Level;
use proto_model::{LaneId, TimeRange, Timestamp};

use super::{BUCKETS_MAX, Pattern, PatternRequest};
use crate::budget::Limits;
use crate::patterns::Miner;
use crate::plan::Selector;
use crate::rig::{Line, absorb, batch, engine_in, grant, nothing, run};
use crate::run::Reading;
use crate::stages::Pipeline;
use crate::wanted::Wanted;

const S: i64 = 1_000_000_000;

/// A line a second of two streams, one in ten an error.
fn lines(from: i64, count: i64) -> Vec<Line> {
    let of = |n: i64| {
        let (level, text) = if n % 10 == 0 {
            (Level::Error, format!("request {n} failed: connection refused by peer 10.0.0.{}", n % 7))
        } else {
            (Level::Info, format!("level=info user=u{} msg=\"request {n} served in {}ms\"", n % 3, n * 7 % 100))
        };
        (if n % 2 == 0 { "a" } else { "b" }, n * S, level.code(), vec![], text)
    };
    (from..from + count).map(of).collect()
}

fn request(query: &str, step_ns: i64) -> Result<PatternRequest, String> {
    let range = TimeRange { start: Timestamp(0), end: Timestamp(400 * S) };
    PatternRequest::new(hub_logql::parse(query).unwrap(), range, step_ns, &Limits::default()).map_err(|fault| fault.to_string())
}

fn shown(miner: Miner) -> Vec<(String, String, u64, usize)> {
    miner.patterns().into_iter().map(|mined| (mined.pattern, mined.level, mined.counts.values().sum(), mined.counts.len())).collect()
}

#[tokio::test]
async fn the_same_from_sections_segments_and_both() {
    let (memory, grant) = (Arc::new(InMemory::new()), grant("alpha"));
    let objects = (0..4).map(|n| (grant.clone(), batch(&lines(n * 100, 100), u64::try_from(n).unwrap()))).collect();
    let engine = engine_in(Arc::clone(&memory), objects).await;
    let view = engine.store.view();
    let lane: LaneId = *view.heads().keys().next().unwrap();
    let numbers: Vec<u64> = view.sections(&grant, TimeRange::ALL).iter().map(|section| section.number).collect();
    let half = absorb(&engine.store, &memory, &grant, &view, &nothing(&grant), (lane, numbers[1])).await;
    let whole = absorb(&engine.store, &memory, &grant, &view, &half, (lane, numbers[3])).await;
    let range = TimeRange { start: Timestamp(50 * S), end: Timestamp(350 * S) };
    let selector = Arc::new(Selector::new(&hub_logql::parse_selector("{app=~`a|b`}").unwrap()).unwrap());
    let reading = Reading { range, pipeline: Arc::new(Pipeline::new(&[], Wanted::All).unwrap()) };
    for manifest in [nothing(&grant), half, whole] {
        let run = run(&engine, &grant, &view, &manifest, &Limits::default());
        let ((miner, one_of), _) = run.patterns(Arc::clone(&selector), reading.clone(), 60 * S).await.unwrap();
        assert_eq!(one_of, 1);
        assert_eq!(
            shown(miner),
            [
                ("level=info user=<_> msg=\"request <_> served in <_>\"".to_owned(), "info".to_owned(), 270, 6),
                ("request <_> failed: connection refused by peer <_>".to_owned(), "error".to_owned(), 30, 6),
            ]
        );
    }
}

#[tokio::test]
async fn samples_are_in_seconds_of_the_step_and_filters_count() {
    let grant = grant("alpha");
    let engine = engine_in(Arc::new(InMemory::new()), vec![(grant.clone(), batch(&lines(0, 100), 1))]).await;
    let answer = engine.patterns(&[grant], &request("{app=\"a\"} |= \"failed\"", 30 * S).unwrap(), &Limits::default()).await.unwrap();
    let expected = Pattern {
        pattern: "request <_> failed: connection refused by peer <_>".to_owned(),
        level: Some("error".to_owned()),
        samples: vec![(0, 3), (30, 3), (60, 3), (90, 1)],
    };
    assert_eq!(answer.patterns, [expected]);
    assert!(answer.warnings.is_empty());
    assert_eq!(answer.stats.lines_kept, 10);
}

#[test]
fn what_cannot_be_asked() {
    assert_eq!(request("rate({app=\"a\"}[1m])", S).unwrap_err(), "only log selector is supported");
    assert!(request("{app=\"a\"}", 0).unwrap_err().starts_with("zero or negative query resolution"));
    assert!(request("{app=\"a\"}", 1_000).unwrap_err().starts_with("exceeded maximum resolution"));
    // Steps are widened to whole multiples where there would be too many.
    let range = TimeRange { start: Timestamp(0), end: Timestamp(BUCKETS_MAX * 3 * S) };
    let wide = PatternRequest::new(hub_logql::parse("{app=\"a\"}").unwrap(), range, S, &Limits::default()).unwrap();
    assert_eq!(wide.step_ns, 4 * S);
}
