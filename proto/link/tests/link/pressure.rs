//! A slow receiver slows its sender, and nothing grows.

use std::time::Duration;

use proto_link::limits::{HTTP2_SEND_BYTES, HTTP2_WINDOW_BYTES, QUEUE_BYTES, QUIC_WINDOW_BYTES};
use proto_link::{LinkFault, NotSent, Session, Transport};
use proto_wire::limits::FRAME_BYTES_MAX;
use tokio::time::timeout;

use crate::parts::{BOTH, batch, bye, next, pair};

const BODY: usize = 256 * 1024;

/// Sends until nothing moves for a while; how many messages were taken.
async fn fill(session: &Session) -> u64 {
    let mut sent = 0;
    while let Ok(taken) = timeout(Duration::from_millis(700), session.outgoing.send(batch(sent, vec![3; BODY]))).await {
        taken.unwrap();
        sent += 1;
    }
    sent
}

/// What may lie between a sender and a receiver that takes nothing: both queues, what the transport buffers, a frame on each side.
fn ceiling(transport: Transport) -> usize {
    let between = match transport {
        Transport::Quic => 2 * QUIC_WINDOW_BYTES as usize,
        Transport::Grpc => HTTP2_WINDOW_BYTES as usize + HTTP2_SEND_BYTES + (8 << 20),
        Transport::Direct => 0,
    };
    2 * QUEUE_BYTES + between + 2 * FRAME_BYTES_MAX
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_stops_the_sender_and_loses_nothing() {
    for transport in BOTH {
        let (_hub, _edge, edge, mut hub) = pair(transport).await;
        let sent = fill(&edge).await;
        let bytes = usize::try_from(sent).unwrap() * BODY;
        assert!(bytes >= QUEUE_BYTES, "{transport}: only {bytes} bytes were taken");
        assert!(bytes <= ceiling(transport), "{transport}: {bytes} bytes were taken");
        assert!(matches!(edge.outgoing.try_send(batch(sent, vec![3; BODY])), Err(NotSent::Full(_))));
        // The other direction is not held up by that.
        hub.outgoing.send(bye("slow down")).await.unwrap();
        for sequence in 0..sent {
            assert_eq!(next(&mut hub).await, batch(sequence, vec![3; BODY]), "{transport}");
        }
        timeout(Duration::from_secs(5), edge.outgoing.send(bye("more"))).await.expect("there is room again").unwrap();
        assert_eq!(next(&mut hub).await, bye("more"), "{transport}");
    }
}

#[tokio::test]
async fn the_largest_message_passes_whole_and_a_larger_one_is_not_sent() {
    for transport in BOTH {
        let (_hub, _edge, edge, mut hub) = pair(transport).await;
        let around = prost::Message::encoded_len(&batch(1, vec![0; FRAME_BYTES_MAX - 64])) - (FRAME_BYTES_MAX - 64);
        let body: Vec<u8> = (0..FRAME_BYTES_MAX - around).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect();
        let largest = batch(1, body);
        assert_eq!(prost::Message::encoded_len(&largest), FRAME_BYTES_MAX);
        for _ in 0..4 {
            edge.outgoing.send(largest.clone()).await.unwrap();
            assert!(next(&mut hub).await == largest, "{transport}");
        }
        let larger = batch(1, vec![0; FRAME_BYTES_MAX - around + 1]);
        assert_eq!(edge.outgoing.send(larger).await, Err(LinkFault::Unsendable { bytes: FRAME_BYTES_MAX + 1 }));
        assert_eq!(edge.outgoing.send(proto_wire::edge_hub::Message::default()).await, Err(LinkFault::Unsendable { bytes: 0 }));
        edge.outgoing.send(bye("after")).await.unwrap();
        assert_eq!(next(&mut hub).await, bye("after"), "{transport}");
    }
}

#[tokio::test]
async fn many_small_messages_keep_their_order_both_ways() {
    for transport in BOTH {
        let (_hub, _edge, mut edge, mut hub) = pair(transport).await;
        let (to_hub, to_edge) = (edge.outgoing.clone(), hub.outgoing.clone());
        let sending = async {
            for sequence in 0..5_000 {
                to_hub.send(batch(sequence, vec![1])).await.unwrap();
            }
        };
        let answering = async {
            for sequence in 0..5_000 {
                assert_eq!(next(&mut hub).await, batch(sequence, vec![1]), "{transport}");
                to_edge.send(batch(sequence, vec![2, 2])).await.unwrap();
            }
        };
        let taking = async {
            for sequence in 0..5_000 {
                assert_eq!(next(&mut edge).await, batch(sequence, vec![2, 2]), "{transport}");
            }
        };
        tokio::join!(sending, answering, taking);
    }
}
