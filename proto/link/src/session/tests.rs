//! Tests of `session` and its queues.

use std::time::Duration;

use bytes::Bytes;
use proto_wire::edge_hub::{Batch, Bye, Message, message::Kind};
use tokio::time::timeout;

use super::*;
use crate::limits::{QUEUE_BYTES, QUEUE_MESSAGES, STALL_MAX};

fn bye(text: &str) -> Message {
    Message { kind: Some(Kind::Bye(Bye { text: text.to_owned() })) }
}

fn large(sequence: u64) -> Message {
    Message { kind: Some(Kind::Batch(Batch { sequence, body: Bytes::from(vec![0; 1 << 20]), ..Batch::default() })) }
}

fn opened(side: Side) -> (Session, Wires) {
    open(Peer { side, certificate_der: None, address: "there".to_owned(), transport: Transport::Direct })
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_messages_and_in_bytes_and_taking_makes_room() {
    let (session, mut wires) = opened(Side::Hub);
    let mut count = 0;
    while session.outgoing.try_send(bye("x")).is_ok() {
        count += 1;
    }
    assert_eq!(count, QUEUE_MESSAGES);
    let (session, _wires) = (opened(Side::Hub), wires.outbox.next().await);
    let (session, mut wires) = session;
    let mut count = 0;
    while session.outgoing.try_send(large(count)).is_ok() {
        count += 1;
    }
    assert_eq!(count, QUEUE_BYTES as u64 / (1 << 20) - 1);
    let before = session.outgoing.room_bytes();
    let parcel = wires.outbox.next().await.unwrap();
    assert_eq!(session.outgoing.room_bytes(), before, "what the pump holds still counts");
    drop(parcel);
    assert!(session.outgoing.room_bytes() > before);
    assert!(session.outgoing.try_send(large(count)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn only_the_hub_gives_up_a_peer_that_takes_nothing() {
    for (peer, given_up) in [(Side::Edge, true), (Side::Hub, false)] {
        let (session, _wires) = opened(peer);
        while session.outgoing.try_send(large(0)).is_ok() {}
        let waited = timeout(STALL_MAX * 3, session.outgoing.send(large(0))).await;
        assert_eq!(waited.is_ok(), given_up);
        if given_up {
            let fault = LinkFault::Stalled { peer, address: "there".to_owned(), seconds: 30 };
            assert_eq!(waited.unwrap(), Err(fault.clone()));
            assert_eq!(session.closed().await, Some(fault));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_lets_out_what_is_queued_and_nothing_more() {
    let (session, mut wires) = opened(Side::Hub);
    session.outgoing.send(bye("queued")).await.unwrap();
    session.close(CloseCode::ShuttingDown, "first");
    session.close(CloseCode::Refused, "second");
    assert_eq!(session.outgoing.send(bye("late")).await, Err(LinkFault::Ended));
    assert!(matches!(session.outgoing.try_send(bye("late")), Err(NotSent::Fault(LinkFault::Ended))));
    assert_eq!(wires.outbox.next().await.unwrap().into_message(), bye("queued"));
    assert!(wires.outbox.next().await.is_none());
    assert_eq!(wires.control.close_reason(), Some((CloseCode::ShuttingDown, "first".to_owned())));
    wires.control.end(Some(LinkFault::Ended));
    assert_eq!(session.closed().await, None, "a session that this side closed ends in peace");
}

#[tokio::test(start_paused = true)]
async fn a_send_that_waits_for_room_ends_with_the_session() {
    let (session, wires) = opened(Side::Hub);
    while session.outgoing.try_send(large(0)).is_ok() {}
    let outgoing = session.outgoing.clone();
    let waiting = tokio::spawn(async move { outgoing.send(large(1)).await });
    tokio::task::yield_now().await;
    let fault = LinkFault::Lost { peer: Side::Hub, address: "there".to_owned(), reason: "gone".to_owned() };
    wires.control.end(Some(fault.clone()));
    assert_eq!(timeout(Duration::from_secs(1), waiting).await.unwrap().unwrap(), Err(fault));
}

#[tokio::test(start_paused = true)]
async fn a_pump_that_stops_without_a_word_counts_as_a_lost_connection() {
    let (mut session, wires) = opened(Side::Hub);
    wires.inbox.put(bye("before")).await.unwrap();
    drop(wires);
    assert_eq!(session.incoming.recv().await, Some(Ok(bye("before"))));
    assert!(matches!(session.incoming.recv().await, Some(Err(LinkFault::Lost { .. }))));
    assert_eq!(session.incoming.recv().await, None);
    assert!(session.control.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_full_inbox_holds_the_pump_and_an_abandoned_one_lets_it_go() {
    let (mut session, wires) = opened(Side::Hub);
    for sequence in 0..QUEUE_BYTES as u64 / (1 << 20) - 1 {
        wires.inbox.put(large(sequence)).await.unwrap();
    }
    assert!(timeout(Duration::from_secs(3600), wires.inbox.put(large(9))).await.is_err());
    session.incoming.recv().await.unwrap().unwrap();
    timeout(Duration::from_secs(1), wires.inbox.put(large(9))).await.unwrap().unwrap();
    let putting = tokio::spawn(async move { wires.inbox.put(large(10)).await.is_err() });
    tokio::task::yield_now().await;
    drop(session.incoming);
    assert!(timeout(Duration::from_secs(1), putting).await.unwrap().unwrap());
}

#[test]
fn long_close_texts_are_cut_between_characters() {
    assert_eq!(shortened("short"), "short");
    let long = "ä".repeat(CLOSE_TEXT_BYTES_MAX);
    assert_eq!(shortened(&long).len(), CLOSE_TEXT_BYTES_MAX);
    assert_eq!(shortened(&format!("x{long}")).len(), CLOSE_TEXT_BYTES_MAX - 1);
}
