//! How sessions end, and what each side learns.

use std::time::Duration;

use proto_link::{CloseCode, LinkFault, Side, Transport};
use tokio::time::timeout;

use crate::parts::{BOTH, Edge, Hub, SOON, authority, batch, bye, end, next, pair};

#[tokio::test]
async fn what_was_queued_before_a_close_arrives_and_then_the_reason() {
    for transport in BOTH {
        for (code, text) in [(CloseCode::Refused, "you may not be here"), (CloseCode::ShuttingDown, "the hub goes down"), (CloseCode::Protocol, "nonsense")] {
            let (_hub, _edge, mut edge, mut hub) = pair(transport).await;
            // The edge speaks first, as the protocol has it: on QUIC the stream comes with its first bytes.
            edge.outgoing.send(bye("hello")).await.unwrap();
            assert_eq!(next(&mut hub).await, bye("hello"));
            for sequence in 0..50 {
                hub.outgoing.send(batch(sequence, vec![7; 10_000])).await.unwrap();
            }
            hub.close(code, text);
            assert_eq!(hub.outgoing.send(bye("too late")).await, Err(LinkFault::Ended));
            for sequence in 0..50 {
                assert_eq!(next(&mut edge).await, batch(sequence, vec![7; 10_000]), "{transport}");
            }
            let fault = end(&mut edge).await.unwrap();
            assert!(
                matches!(&fault, LinkFault::Closed { peer: Side::Hub, code: found, text: said, .. } if *found == code && said == text),
                "{transport}: {fault:?}"
            );
            assert_eq!(edge.closed().await, Some(fault));
            assert_eq!(timeout(SOON, hub.closed()).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn what_was_queued_before_a_close_arrives_though_the_receiver_is_slow_and_still_sending() {
    for transport in BOTH {
        let (_hub, _edge, mut edge, mut hub) = pair(transport).await;
        edge.outgoing.send(bye("hello")).await.unwrap();
        assert_eq!(next(&mut hub).await, bye("hello"));
        let sender = edge.outgoing.clone();
        let sending = tokio::spawn(async move { while sender.send(batch(0, vec![0; 1 << 20])).await.is_ok() {} });
        // More than the receiver's queue holds, less than what may lie in its transport as well.
        for sequence in 0..12 {
            hub.outgoing.send(batch(sequence, vec![7; 1 << 20])).await.unwrap();
        }
        hub.close(CloseCode::Refused, "go away");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        for sequence in 0..12 {
            assert!(next(&mut edge).await == batch(sequence, vec![7; 1 << 20]), "{transport}");
        }
        let fault = end(&mut edge).await.unwrap();
        assert!(matches!(&fault, LinkFault::Closed { code: CloseCode::Refused, .. }), "{transport}: {fault:?}");
        timeout(SOON, sending).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_edge_that_closes_is_seen_to_end_in_peace_after_its_last_message() {
    for transport in BOTH {
        let (_hub, _edge, edge, mut hub) = pair(transport).await;
        edge.outgoing.send(bye("going")).await.unwrap();
        edge.close(CloseCode::Done, "");
        assert_eq!(next(&mut hub).await, bye("going"), "{transport}");
        assert_eq!(end(&mut hub).await, None, "{transport}");
        assert_eq!(timeout(SOON, edge.closed()).await.unwrap(), None);
        assert_eq!(timeout(SOON, hub.closed()).await.unwrap(), None);
        assert_eq!(hub.outgoing.send(bye("late")).await, Err(LinkFault::Ended));
    }
}

#[tokio::test]
async fn dropping_a_session_sends_what_was_queued_and_ends_it_in_peace() {
    for transport in BOTH {
        let (_hub, _edge, edge, mut hub) = pair(transport).await;
        for sequence in 0..20 {
            edge.outgoing.send(batch(sequence, vec![1; 100_000])).await.unwrap();
        }
        drop(edge);
        for sequence in 0..20 {
            assert_eq!(next(&mut hub).await, batch(sequence, vec![1; 100_000]), "{transport}");
        }
        assert_eq!(end(&mut hub).await, None, "{transport}");

        let (_hub, _edge, mut edge, hub) = pair(transport).await;
        drop(hub);
        assert_eq!(end(&mut edge).await, None, "{transport}");
    }
}

#[tokio::test]
async fn dropping_the_listener_spares_the_sessions_that_stand_and_takes_no_more() {
    for transport in BOTH {
        let (hub, dialler, edge, mut accepted) = pair(transport).await;
        let target = hub.target();
        drop(hub.listener);
        tokio::time::sleep(Duration::from_millis(50)).await;
        edge.outgoing.send(bye("still here")).await.unwrap();
        assert_eq!(next(&mut accepted).await, bye("still here"), "{transport}");
        let fault = dialler.dial(&target).await.unwrap_err();
        assert!(matches!(fault.word(), "unreachable" | "no_answer"), "{transport}: {fault}");
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_does_not_hold_up_a_close() {
    for transport in BOTH {
        let (_hub, _edge, edge, hub) = pair(transport).await;
        // As much as goes: the hub takes nothing.
        while timeout(Duration::from_millis(500), edge.outgoing.send(batch(1, vec![0; 1 << 20]))).await.is_ok() {}
        edge.close(CloseCode::Done, "");
        assert_eq!(timeout(Duration::from_secs(6), edge.closed()).await.expect("closed in time"), None, "{transport}");
        drop(hub);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a process of its own is played by a thread with a runtime of its own")]
fn a_hub_that_ends_its_process_after_its_last_session_has_told_why() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for transport in BOTH {
        let authority = authority();
        let edge = Edge::new(transport, &authority, "edge-1");
        let process = runtime();
        let mut hub = process.block_on(Hub::start(transport, &authority));
        let target = hub.target();
        let ending = std::thread::spawn(move || {
            process.block_on(async {
                let mut session = hub.accept().await.unwrap();
                next(&mut session).await;
                session.close(CloseCode::ShuttingDown, "the hub goes down");
                session.closed().await;
            });
            process.shutdown_background();
        });
        runtime().block_on(async {
            let mut session = edge.dial(&target).await.unwrap();
            session.outgoing.send(bye("hello")).await.unwrap();
            let fault = timeout(Duration::from_secs(5), session.incoming.recv()).await.expect("told before QUIC's idle time").unwrap().unwrap_err();
            assert!(matches!(&fault, LinkFault::Closed { code: CloseCode::ShuttingDown, text, .. } if text == "the hub goes down"), "{transport}: {fault:?}");
        });
        ending.join().unwrap();
    }
}

#[test]
fn an_edge_that_is_killed_is_lost_and_what_came_before_is_still_taken() {
    // Over gRPC, where the system closes the connection; a killed peer over QUIC is seen by the idle time (`network`).
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let authority = authority();
    let (process, hubs) = (runtime(), runtime());
    let mut hub = hubs.block_on(Hub::start(Transport::Grpc, &authority));
    let target = hub.target();
    let edge = Edge::new(Transport::Grpc, &authority, "edge-1");
    let dialled = process.spawn(async move {
        let session = edge.dial(&target).await.unwrap();
        for sequence in 0..10 {
            session.outgoing.send(batch(sequence, vec![7; 1 << 20])).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        session
    });
    let mut accepted = hubs.block_on(hub.accept()).unwrap();
    let session = process.block_on(dialled).unwrap();
    process.shutdown_background();
    hubs.block_on(async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for sequence in 0..10 {
            assert!(next(&mut accepted).await == batch(sequence, vec![7; 1 << 20]));
        }
        let fault = end(&mut accepted).await;
        assert!(matches!(&fault, Some(LinkFault::Lost { peer: Side::Edge, .. })), "{fault:?}");
    });
    drop(session);
}
