//! Tails: each line once, as it becomes visible, from lanes and past absorption.

use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;

use super::*;
use crate::rig::{Door, Meets, Producer, batch, engine_in, grant, line, log, put, records};

async fn begin(engine: &Engine, query: &str, limit: i64) -> (Tail, Vec<AnsweredStream>) {
    let limits = Limits::default();
    let request = TailRequest::new(log(query), Timestamp(0), limit, &limits).unwrap();
    Tail::begin(engine, &grant("alpha"), &request, &limits).await.unwrap()
}

fn texts(streams: &[AnsweredStream]) -> Vec<String> {
    streams.iter().flat_map(|stream| stream.entries.iter().map(|entry| entry.line.clone())).collect()
}

async fn next(tail: &mut Tail) -> Vec<String> {
    let tailed = tokio::time::timeout(Duration::from_secs(20), tail.next()).await.expect("lines come");
    assert_eq!(tailed.missed, 0);
    texts(&tailed.streams)
}

#[tokio::test(start_paused = true)]
async fn history_first_then_each_new_line_once() {
    let old = (1..=5).map(|n| line("web", n, format!("old {n}"))).collect::<Vec<_>>();
    let engine = engine_in(Arc::new(InMemory::new()), vec![(grant("alpha"), batch(&old, 1))]).await;
    let (mut tail, history) = begin(&engine, "{app=\"web\"}", 3).await;
    assert_eq!(texts(&history), ["old 3", "old 4", "old 5"]);
    put(&engine.store, vec![(grant("alpha"), batch(&[line("web", 2, "late"), line("db", 6, "of another stream")], 2))]).await;
    put(&engine.store, vec![(grant("beta"), batch(&[line("web", 7, "of another tenant")], 3))]).await;
    put(&engine.store, vec![(grant("alpha"), batch(&[line("web", 8, "new")], 4))]).await;
    assert_eq!(next(&mut tail).await, ["late"]);
    assert_eq!(next(&mut tail).await, ["new"]);
    assert!(tokio::time::timeout(Duration::from_secs(5), tail.next()).await.is_err(), "nothing comes twice");
}

#[tokio::test(start_paused = true)]
async fn the_pipeline_applies() {
    let engine = engine_in(Arc::new(InMemory::new()), Vec::new()).await;
    let (mut tail, history) = begin(&engine, "{app=\"web\"} |= \"keep\" | logfmt | line_format \"<{{.n}}>\"", 10).await;
    assert!(history.is_empty());
    put(&engine.store, vec![(grant("alpha"), batch(&[line("web", 1, "keep n=1"), line("web", 2, "drop n=2"), line("web", 3, "keep n=3")], 1))]).await;
    assert_eq!(next(&mut tail).await, ["<1>", "<3>"]);
}

#[tokio::test(start_paused = true)]
async fn other_hubs_lanes_are_followed_too() {
    let memory = Arc::new(InMemory::new());
    let engine = engine_in(Arc::clone(&memory), Vec::new()).await;
    let (mut tail, _) = begin(&engine, "{app=\"web\"}", 10).await;
    let other = engine_in(memory, Vec::new()).await;
    put(&other.store, vec![(grant("alpha"), batch(&[line("web", 1, "from there")], 9))]).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let (store, until) = (Arc::clone(&engine.store), stop.clone());
    let following = tokio::spawn(async move { store.run(until).await });
    assert_eq!(next(&mut tail).await, ["from there"]);
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lines_absorbed_before_the_tail_looked_are_read_all_the_same() {
    let engine = engine_in(Arc::new(InMemory::new()), vec![(grant("alpha"), batch(&[line("web", 1, "old")], 1))]).await;
    let (mut tail, history) = begin(&engine, "{app=\"web\"}", 10).await;
    assert_eq!(texts(&history), ["old"]);
    put(&engine.store, vec![(grant("alpha"), batch(&[line("web", 2, "new")], 2)), (grant("alpha"), batch(&[line("web", 3, "newer")], 3))]).await;
    let head = *engine.store.view().heads().values().next().unwrap();
    raise_floor(&engine, head).await;
    put(&engine.store, vec![(grant("alpha"), batch(&[line("web", 4, "newest")], 4))]).await;
    let view = engine.store.view();
    assert_eq!(view.lanes().next().unwrap().floor(), head, "they are in no view any more");
    assert_eq!(next(&mut tail).await, ["new"]);
    assert_eq!(next(&mut tail).await, ["newer"]);
    assert_eq!(next(&mut tail).await, ["newest"]);
}

/// As upkeep does it once all is absorbed.
async fn raise_floor(engine: &Engine, floor: u64) {
    let record = hub_store::LaneRecord::Floor(floor);
    let mut writer = engine.store.writer().await.unwrap();
    writer.put(hub_store::Draft { records: vec![record], sections: Vec::new(), map_version: 0 }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_moved_here_comes_after_what_it_left_elsewhere() {
    let memory = Arc::new(InMemory::new());
    let there = engine_in(Arc::clone(&memory), Vec::new()).await;
    let mut left = there.store.writer().await.unwrap();
    let (mut producer, opened) = Producer::begin(left.lane());
    left.put(records(vec![opened])).await.unwrap();
    left.put(producer.next(&[line("web", 1, "one")])).await.unwrap();

    let door = Door::new(memory);
    let here = engine_in(Arc::clone(&door), Vec::new()).await;
    let mut own = here.store.writer().await.unwrap();
    let (mut tail, history) = begin(&here, "{app=\"web\"}", 10).await;
    assert_eq!(texts(&history), ["one"]);
    left.put(producer.next(&[line("web", 2, "two")])).await.unwrap();
    here.store.follow_round().await.unwrap();
    assert_eq!(next(&mut tail).await, ["two"]);

    // One more line there, of which this hub hears nothing; then the producer goes on here.
    left.put(producer.next(&[line("web", 3, "three")])).await.unwrap();
    let (end, mut producer, opened) = producer.moved(own.lane());
    left.put(records(vec![end])).await.unwrap();
    door.tell(format!("lanes/{}/", left.lane()), Meets::Refusal);
    own.put(records(vec![opened])).await.unwrap();
    own.put(producer.next(&[line("web", 4, "four")])).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(60), tail.next()).await.is_err(), "what came before it cannot be seen yet");

    door.open();
    assert_eq!(next(&mut tail).await, ["three"]);
    assert_eq!(next(&mut tail).await, ["four"]);
    // From now on it is known here: no other lane is waited for.
    door.tell(format!("lanes/{}/", left.lane()), Meets::Refusal);
    own.put(producer.next(&[line("web", 5, "five")])).await.unwrap();
    assert_eq!(next(&mut tail).await, ["five"]);
    assert!(tokio::time::timeout(Duration::from_secs(5), tail.next()).await.is_err(), "nothing comes twice");
}
