use bytes::Bytes;
use proto_model::{LaneId, ProducerId};

use super::*;
use crate::request::Offer;
use crate::request::blank::{self, speaker};

const NOW: Timestamp = Timestamp(10_000_000_000_000);

fn open() -> Request {
    Request::Open(blank::open(speaker("alpha", "one")))
}

fn sized(cluster: &str, edge: &str, sequence: u64, bytes: usize) -> Request {
    let offer = blank::offer(speaker(cluster, edge), ProducerId { lane: LaneId(1), unique: 1 }, sequence);
    Request::Batch(Offer { body: Bytes::from(vec![0; bytes]), ..offer })
}

fn add(queue: &mut Queue, request: Request, at: Timestamp) {
    let edge = request.speaker().cloned();
    let tenant = edge.as_ref().map(|edge| TenantId::new(edge.cluster.as_str()).unwrap());
    queue.add(request, Whose { tenant, edge }, at);
}

/// Cluster, edge and number of each.
fn named(requests: &[Request]) -> Vec<String> {
    let name = |request: &Request| if let Request::Batch(offer) = request { format!("{} {}", offer.speaker, offer.sequence.0) } else { "open".to_owned() };
    requests.iter().map(name).collect()
}

fn sizes(requests: &[Request]) -> Vec<usize> {
    requests.iter().map(Request::body_bytes).collect()
}

#[test]
fn an_object_is_due_by_size_age_or_an_opening() {
    let linger = Duration::from_millis(200);
    let mut waiting = Queue::default();
    assert!(waiting.is_empty());
    add(&mut waiting, sized("alpha", "one", 1, 10), NOW);
    assert_eq!(waiting.due_in(NOW, linger, 100), linger);
    add(&mut waiting, sized("alpha", "one", 2, 10), NOW.plus(Duration::from_millis(150)));
    assert_eq!(waiting.due_in(NOW.plus(Duration::from_millis(150)), linger, 100), Duration::from_millis(50), "the oldest counts");
    assert_eq!(waiting.due_in(NOW.plus(Duration::from_secs(9)), linger, 100), Duration::ZERO);
    assert_eq!(waiting.due_in(NOW, linger, 20), Duration::ZERO, "full");
    add(&mut waiting, open(), NOW);
    assert_eq!(waiting.due_in(NOW, linger, 100), Duration::ZERO, "a session waits for its opening");
}

#[test]
fn an_object_takes_what_fits_in_order_and_one_request_at_least() {
    let mut waiting = Queue::default();
    for (at, bytes) in [60, 30, 20, 500, 0, 5].into_iter().enumerate() {
        add(&mut waiting, sized("alpha", "one", at as u64, bytes), NOW);
    }
    assert_eq!(sizes(&waiting.take(100)), [60, 30]);
    assert_eq!(sizes(&waiting.take(100)), [20]);
    assert_eq!(sizes(&waiting.take(100)), [500], "larger than an object: alone");
    assert_eq!((sizes(&waiting.take(100)), waiting.len()), (vec![0, 5], 0));
    assert!(waiting.is_empty() && waiting.take(100).is_empty());
    add(&mut waiting, sized("alpha", "one", 1, 1), NOW.plus(Duration::from_secs(60)));
    assert_eq!(waiting.due_in(NOW.plus(Duration::from_secs(60)), Duration::from_secs(1), 2), Duration::from_secs(1), "age and size begin anew");
}

#[test]
fn an_edge_with_a_hundred_batches_keeps_nobody_out_of_the_next_object() {
    let mut waiting = Queue::default();
    for sequence in 1..=100 {
        add(&mut waiting, sized("alpha", "greedy", sequence, 10), NOW);
    }
    for (cluster, edge) in [("alpha", "two"), ("alpha", "three"), ("beta", "one"), ("beta", "one")] {
        add(&mut waiting, sized(cluster, edge, 1, 10), NOW);
    }
    let taken = named(&waiting.take(70));
    assert_eq!(taken, ["alpha/greedy 1", "beta/one 1", "alpha/two 1", "beta/one 1", "alpha/three 1", "alpha/greedy 2", "alpha/greedy 3"]);
    assert_eq!(waiting.len(), 97);
}

#[test]
fn whose_turn_it_was_is_remembered_and_each_edge_keeps_its_order() {
    let mut waiting = Queue::default();
    for sequence in 1..=3 {
        for edge in ["a", "b", "c", "d", "e"] {
            add(&mut waiting, sized("alpha", edge, sequence, 10), NOW);
        }
    }
    let mut all = Vec::new();
    while !waiting.is_empty() {
        let taken = named(&waiting.take(20));
        assert_eq!(taken.len(), 2.min(15 - all.len()));
        all.extend(taken);
    }
    let expected: Vec<String> = (1..=3).flat_map(|sequence| ["a", "b", "c", "d", "e"].map(|edge| format!("alpha/{edge} {sequence}"))).collect();
    assert_eq!(all, expected);
}

#[test]
fn a_thousand_openings_are_spread_over_objects() {
    let mut waiting = Queue::default();
    for _ in 0..1_000 {
        add(&mut waiting, open(), NOW);
    }
    let mut objects = 0;
    while !waiting.is_empty() {
        assert_eq!(waiting.due_in(NOW, Duration::from_secs(1), 100), Duration::ZERO);
        assert!(waiting.take(100).len() <= OPENS_PER_OBJECT);
        objects += 1;
    }
    assert_eq!(objects, 1_000_usize.div_ceil(OPENS_PER_OBJECT));
}

#[test]
fn draining_takes_all() {
    let mut waiting = Queue::default();
    for sequence in 0..500 {
        add(&mut waiting, if sequence % 2 == 0 { open() } else { sized("beta", "one", sequence, 7) }, NOW);
    }
    assert_eq!(waiting.drain().len(), 500);
    assert!(waiting.is_empty() && waiting.drain().is_empty());
}
