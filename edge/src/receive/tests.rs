//! The intake: its bounds, and what senders are told.

use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::Program;
use proto_boot::Metrics;
use proto_model::Labels;
use tokio::time::timeout;

use super::{Arrival, DELIVERIES_MAX, INTAKE_BYTES_MAX, Inlet, Intake, NotTaken};

fn inlet() -> Inlet {
    Inlet { name: "j".into(), program: Program::compile(&[]).unwrap() }
}

fn lines(line: &[u8]) -> Vec<Arrival> {
    vec![Arrival { labels: Arc::new(Labels::from_pairs([("a", "b")])), time: None, line: line.to_vec().into(), metadata: Vec::new() }]
}

#[tokio::test]
async fn an_intake_without_room_takes_nothing_until_there_is_room() {
    let (intake, mut taken) = Intake::new(&Metrics::new());
    let large = vec![b'x'; INTAKE_BYTES_MAX];
    let durable = intake.deliver(&inlet(), &Arc::default(), lines(&large), Vec::new()).await.unwrap();
    assert_eq!(intake.try_deliver(&inlet(), &Arc::default(), lines(b"no room")).unwrap_err(), NotTaken);
    timeout(Duration::from_millis(50), intake.deliver(&inlet(), &Arc::default(), lines(b"waits"), Vec::new())).await.unwrap_err();
    let delivery = taken.recv().await.unwrap();
    delivery.done.send(()).unwrap();
    durable.wait().await.unwrap();
    drop((delivery.records, delivery._room));
    drop(intake.try_deliver(&inlet(), &Arc::default(), lines(b"fits")).unwrap());
    assert_eq!(taken.recv().await.unwrap().records[0].line.as_ref(), b"fits");
}

#[tokio::test]
async fn deliveries_are_bounded_in_number_and_a_dropped_one_is_told() {
    let (intake, mut taken) = Intake::new(&Metrics::new());
    let first = intake.try_deliver(&inlet(), &Arc::default(), lines(b"0")).unwrap();
    let more: Vec<_> = (1..DELIVERIES_MAX).map(|_| intake.try_deliver(&inlet(), &Arc::default(), lines(b"n")).unwrap()).collect();
    assert_eq!(intake.try_deliver(&inlet(), &Arc::default(), lines(b"one too many")).unwrap_err(), NotTaken);
    drop(taken.recv().await);
    assert_eq!(first.wait().await, Err(NotTaken));
    drop(taken);
    for durable in more {
        assert_eq!(durable.wait().await, Err(NotTaken));
    }
    assert_eq!(intake.deliver(&inlet(), &Arc::default(), lines(b"late"), Vec::new()).await.unwrap_err(), NotTaken);
}
