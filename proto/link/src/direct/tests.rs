//! Tests of `direct`.

use std::time::Duration;

use bytes::Bytes;
use proto_wire::edge_hub::{Batch, Bye, Message, message::Kind};
use tokio::time::timeout;

use super::*;
use crate::limits::QUEUE_BYTES;

fn bye(text: &str) -> Message {
    Message { kind: Some(Kind::Bye(Bye { text: text.to_owned() })) }
}

fn target() -> Target {
    Target::parse("https://hub", "", "").unwrap()
}

async fn pair(net: &DirectNet) -> (DirectServer, DirectClient, Session, Session) {
    let mut server = net.listen("hub");
    let client = net.client("edge-1", Some(vec![1, 2, 3]));
    let target = target();
    let (edge, hub) = tokio::join!(client.dial(&target), server.accept());
    (server, client, edge.unwrap(), hub.unwrap().unwrap())
}

#[tokio::test(start_paused = true)]
async fn messages_pass_both_ways_and_a_close_is_told() {
    let net = DirectNet::new();
    let (_server, _client, mut edge, mut hub) = pair(&net).await;
    assert_eq!((hub.peer.certificate_der.as_deref(), hub.peer.address.as_str()), (Some(&[1, 2, 3][..]), "edge-1"));
    assert_eq!((edge.peer.transport, edge.peer.side), (Transport::Direct, Side::Hub));
    edge.outgoing.send(bye("up")).await.unwrap();
    hub.outgoing.send(bye("down")).await.unwrap();
    assert_eq!(hub.incoming.recv().await, Some(Ok(bye("up"))));
    assert_eq!(edge.incoming.recv().await, Some(Ok(bye("down"))));
    hub.outgoing.send(bye("last")).await.unwrap();
    hub.close(CloseCode::Refused, "no tenant");
    assert_eq!(edge.incoming.recv().await, Some(Ok(bye("last"))));
    let told = LinkFault::Closed { peer: Side::Hub, address: "hub".to_owned(), code: CloseCode::Refused, text: "no tenant".to_owned() };
    assert_eq!(edge.incoming.recv().await, Some(Err(told.clone())));
    assert_eq!(edge.incoming.recv().await, None);
    assert_eq!((edge.closed().await, hub.closed().await), (Some(told.clone()), None));
    assert_eq!(edge.outgoing.send(bye("late")).await, Err(told));
}

#[tokio::test(start_paused = true)]
async fn a_cut_link_ends_its_sessions_loses_what_is_on_its_way_and_cannot_be_dialled() {
    let net = DirectNet::new();
    let (mut server, client, mut edge, mut hub) = pair(&net).await;
    let other = net.client("edge-2", None);
    let target = target();
    let (other_edge, other_hub) = tokio::join!(other.dial(&target), server.accept());
    let (other_edge, mut other_hub) = (other_edge.unwrap(), other_hub.unwrap().unwrap());
    net.pause("edge-1");
    edge.outgoing.send(bye("on its way")).await.unwrap();
    tokio::task::yield_now().await;
    net.cut("edge-1");
    assert!(matches!(hub.incoming.recv().await, Some(Err(LinkFault::Lost { peer: Side::Edge, .. }))));
    assert!(matches!(edge.incoming.recv().await, Some(Err(LinkFault::Lost { peer: Side::Hub, .. }))));
    assert!(matches!(client.dial(&target).await, Err(LinkFault::Unreachable { .. })));
    other_edge.outgoing.send(bye("not my link")).await.unwrap();
    assert_eq!(other_hub.incoming.recv().await, Some(Ok(bye("not my link"))));
    net.mend("edge-1");
    let (again, accepted) = tokio::join!(client.dial(&target), server.accept());
    assert!(again.is_ok() && accepted.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_paused_link_fills_its_queues_and_loses_nothing() {
    let net = DirectNet::new();
    let (_server, client, edge, mut hub) = pair(&net).await;
    net.pause("edge-1");
    let batch = |sequence| Message { kind: Some(Kind::Batch(Batch { sequence, body: Bytes::from(vec![0; 1 << 20]), ..Batch::default() })) };
    let mut sent = 0;
    while timeout(Duration::from_secs(60), edge.outgoing.send(batch(sent))).await.is_ok() {
        sent += 1;
    }
    assert!((QUEUE_BYTES as u64 >> 20) - 1 <= sent && sent <= (QUEUE_BYTES as u64 >> 20) + 1, "{sent}");
    assert!(timeout(Duration::from_secs(60), client.dial(&target())).await.is_err(), "dialling waits");
    net.mend("edge-1");
    for sequence in 0..sent {
        assert_eq!(hub.incoming.recv().await, Some(Ok(batch(sequence))));
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_one_end_ends_the_other_in_peace_and_nobody_there_is_unreachable() {
    let net = DirectNet::new();
    let (server, client, edge, mut hub) = pair(&net).await;
    edge.outgoing.send(bye("last")).await.unwrap();
    drop(edge);
    assert_eq!(hub.incoming.recv().await, Some(Ok(bye("last"))));
    assert_eq!(hub.incoming.recv().await, None);
    drop(server);
    assert!(matches!(client.dial(&target()).await, Err(LinkFault::Unreachable { .. })));
    let elsewhere = Target::parse("https://other", "", "").unwrap();
    assert!(matches!(client.dial(&elsewhere).await, Err(LinkFault::Unreachable { .. })));
}
