//! The way into the intake: deliveries under way, and what becomes of them when some are not taken.

use std::sync::Arc;

use bytes::Bytes;
use edge_pipeline::{Program, Relabeling};
use proto_boot::Metrics;
use proto_model::Labels;
use proto_seam::Clock;
use tokio::sync::mpsc;

use super::TURN;
use crate::receive::post::Post;
use crate::receive::pulled::Pull;
use crate::receive::{Arrival, Delivery, Inlet, Intake, NotTaken};

fn way() -> (Arc<Post>, mpsc::Receiver<Delivery>) {
    let (intake, taken) = Intake::new(&Metrics::new());
    let inlet = Inlet { name: "j".into(), program: Program::compile(&[]).unwrap() };
    (Arc::new(Post::new(inlet, intake, "journal", Labels::default(), Relabeling::default(), Clock::simulated(0))), taken)
}

fn one() -> Vec<Arrival> {
    vec![Arrival { labels: Arc::new(Labels::from_pairs([("a", "b")])), time: None, line: Bytes::from_static(b"x"), metadata: Vec::new() }]
}

#[tokio::test]
async fn a_source_goes_on_behind_what_is_under_way_or_at_what_is_durable() {
    let (post, mut taken) = way();
    let mut pull = Pull::new(Arc::clone(&post), "journal:j".to_owned());
    assert_eq!(pull.cursor(), None);
    for cursor in [b"1", b"2", b"3"] {
        pull.hand_in(one(), cursor.to_vec(), 2).await.unwrap();
    }
    let first = taken.recv().await.unwrap();
    assert_eq!((first.positions[0].resume, first.positions[0].offset), (0, 2));
    first.done.send(()).unwrap();
    pull.settle_first().await.unwrap();
    // A reload: another puller takes over, two are under way.
    drop(pull);
    let mut pull = Pull::new(Arc::clone(&post), "journal:j".to_owned());
    assert_eq!(pull.cursor(), Some(b"3".as_slice()));
    let second = taken.recv().await.unwrap();
    assert_eq!((second.positions[0].resume, second.positions[0].offset), (2, 4));
    drop(second);
    assert_eq!(pull.settle_first().await, Err(NotTaken));
    assert_eq!(pull.cursor(), Some(b"1".as_slice()), "the one that is durable");
    pull.hand_in(one(), b"2".to_vec(), 1).await.unwrap();
    let _third = taken.recv().await.unwrap();
    let again = taken.recv().await.unwrap();
    assert_eq!((again.positions[0].resume, again.positions[0].offset), (2, 3));
}

#[tokio::test]
async fn no_more_are_under_way_than_the_bound() {
    let (post, mut taken) = way();
    let mut pull = Pull::new(post, "journal:j".to_owned());
    let task = tokio::spawn(async move {
        for number in 0..100u64 {
            pull.hand_in(one(), number.to_string().into_bytes(), 1).await.unwrap();
        }
    });
    tokio::time::sleep(TURN).await;
    let mut held = Vec::new();
    while let Ok(delivery) = taken.try_recv() {
        held.push(delivery);
    }
    assert_eq!(held.len(), crate::receive::pulled::UNDER_WAY_MAX);
    let mut next = u64::try_from(held.len()).unwrap();
    for delivery in held {
        delivery.done.send(()).unwrap();
    }
    while let Some(delivery) = taken.recv().await {
        assert_eq!(delivery.positions[0].resume, next);
        next += 1;
        // At the end nobody waits any more.
        delivery.done.send(()).ok();
    }
    task.await.unwrap();
    assert_eq!(next, 100);
}
