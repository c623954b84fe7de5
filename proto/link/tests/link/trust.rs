//! Who is let in, and what both sides learn when someone is not.

use certs::{ClientState, Refusal};
use proto_link::{Caps, CloseCode, LinkFault, Side, Transport};
use proto_model::{Blame, Remedy};

use crate::parts::{
    BOTH, Edge, Hub, authority, bye, client_material, domain, end, hour_at, issue_edge, issue_edge_valid, issue_hub, issue_hub_named, next, server_material,
};

#[tokio::test]
async fn both_ends_see_the_other_s_certificate() {
    for transport in BOTH {
        let authority = authority();
        let issued = issue_edge(&authority, "edge-7");
        let mut hub = Hub::start(transport, &authority).await;
        let edge = Edge::with(transport, ClientState::Ready(client_material(&issued, &authority)));
        let target = hub.target();
        let (dialled, accepted) = tokio::join!(edge.dial(&target), hub.accept());
        let (mut dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap());

        let shown = accepted.peer.certificate_der.clone().unwrap();
        let identity = certs::EdgeIdentity::from_certificate(&shown, &domain("tributary.test")).unwrap();
        assert_eq!(identity.to_string(), "alpha/edge-7");
        assert!(dialled.peer.certificate_der.is_some(), "{transport}");
        assert_eq!((dialled.peer.side, accepted.peer.side), (Side::Hub, Side::Edge));
        assert_eq!((dialled.peer.transport, accepted.peer.transport), (transport, transport));
        assert_eq!(dialled.peer.address, hub.address.to_string());

        dialled.outgoing.send(bye("from the edge")).await.unwrap();
        assert_eq!(next(&mut accepted).await, bye("from the edge"));
        accepted.outgoing.send(bye("from the hub")).await.unwrap();
        assert_eq!(next(&mut dialled).await, bye("from the hub"));
    }
}

/// Dials once with `state`; what the edge and the hub are told.
async fn refused(transport: Transport, hub: &mut Hub, state: ClientState) -> (LinkFault, LinkFault) {
    let edge = Edge::with(transport, state);
    let target = hub.target();
    let (dialled, accepted) = tokio::join!(edge.dial(&target), hub.accept());
    (dialled.expect_err("the edge is not let in"), accepted.expect_err("the hub lets nobody in"))
}

#[tokio::test]
async fn a_certificate_that_is_not_accepted_is_named_on_both_sides() {
    for transport in BOTH {
        let (ours, foreign) = (authority(), authority());
        let stranger = certs::Authority::generate(&domain("elsewhere.test"), &proto_seam::Clock::real()).unwrap();
        let mut both = server_material(&issue_hub(&ours), &ours).as_ref().clone();
        both.client_roots = Some(server_material(&issue_hub(&stranger), &stranger).client_roots.clone().unwrap());
        let cases = [
            (issue_edge(&foreign, "edge-1"), Refusal::ForeignCa, Refusal::ForeignCa),
            (issue_edge_valid(&ours, "edge-1", hour_at(-2)), Refusal::Expired, Refusal::Expired),
            // The alert for a certificate that is not valid yet is the one for an expired one.
            (issue_edge_valid(&ours, "edge-1", hour_at(2)), Refusal::NotYetValid, Refusal::Expired),
            (issue_hub(&ours), Refusal::BadIdentity, Refusal::BadIdentity),
        ];
        let mut hub = Hub::start(transport, &ours).await;
        for (issued, at_hub, at_edge) in cases {
            let (edge_fault, hub_fault) = refused(transport, &mut hub, ClientState::Ready(client_material(&issued, &ours))).await;
            assert!(matches!(&hub_fault, LinkFault::Untrusted { peer: Side::Edge, reason, .. } if *reason == at_hub), "{transport} {at_hub}: {hub_fault:?}");
            assert!(matches!(&edge_fault, LinkFault::Refused { peer: Side::Hub, reason, .. } if *reason == at_edge), "{transport} {at_hub}: {edge_fault:?}");
            assert!(hub_fault.to_string().starts_with("edge at 127.0.0.1:"), "{hub_fault}");
            assert!(hub_fault.to_string().contains(&format!("refused: {at_hub}")), "{hub_fault}");
            assert!(edge_fault.to_string().contains(&format!("refused our certificate ({at_edge})")), "{edge_fault}");
            assert_eq!((hub_fault.word(), edge_fault.word()), (at_hub.word(), at_edge.word()));
            assert_eq!((hub_fault.blame(), edge_fault.blame()), (Blame::Edge, Blame::Edge));
            assert_eq!(edge_fault.remedy(), Remedy::Fix);
        }
        let mut elsewhere = Hub::start_with(transport, both.into(), Caps::new()).await;
        let issued = issue_edge(&stranger, "edge-1");
        let (edge_fault, hub_fault) = refused(transport, &mut elsewhere, ClientState::Ready(client_material(&issued, &ours))).await;
        assert_eq!((hub_fault.word(), edge_fault.word()), ("bad_identity", "bad_identity"), "another trust domain over {transport}");
    }
}

#[tokio::test]
async fn a_hub_that_is_not_trusted_is_named_on_both_sides() {
    for transport in BOTH {
        let (ours, foreign) = (authority(), authority());
        let cases = [
            (issue_hub(&foreign), Refusal::ForeignCa),
            (issue_hub_named(&ours, &["other.example"]), Refusal::BadIdentity),
            (issue_edge(&ours, "edge-1"), Refusal::BadIdentity),
        ];
        for (issued, reason) in cases {
            let mut hub = Hub::start_with(transport, server_material(&issued, &ours), Caps::new()).await;
            let (edge_fault, hub_fault) = refused(transport, &mut hub, ClientState::Ready(client_material(&issue_edge(&ours, "edge-1"), &ours))).await;
            assert!(matches!(&edge_fault, LinkFault::Untrusted { peer: Side::Hub, reason: found, .. } if *found == reason), "{transport}: {edge_fault:?}");
            assert!(matches!(&hub_fault, LinkFault::Refused { peer: Side::Edge, .. }), "{transport}: {hub_fault:?}");
            assert_eq!((edge_fault.blame(), hub_fault.blame()), (Blame::Hub, Blame::Hub));
        }
    }
}

#[tokio::test]
async fn an_edge_without_certificate_does_not_dial_and_does_once_it_has_one() {
    for transport in BOTH {
        let authority = authority();
        let mut hub = Hub::start(transport, &authority).await;
        let edge = Edge::with(transport, ClientState::Missing("edge.crt is not there".to_owned()));
        let target = hub.target();
        let fault = edge.dial(&target).await.unwrap_err();
        assert_eq!(fault, LinkFault::NoIdentity { side: Side::Edge, reason: "edge.crt is not there".to_owned() });

        edge.state.send_replace(ClientState::Ready(client_material(&issue_edge(&authority, "edge-1"), &authority)));
        let (dialled, accepted) = tokio::join!(edge.dial(&target), hub.accept());
        assert!(dialled.is_ok() && accepted.is_ok(), "{transport}");
    }
}

#[tokio::test]
async fn new_certificates_of_a_hub_count_from_the_next_handshake_and_spare_the_sessions_that_stand() {
    for transport in BOTH {
        let (before, after) = (authority(), authority());
        let mut hub = Hub::start(transport, &before).await;
        let old = Edge::new(transport, &before, "edge-1");
        let target = hub.target();
        let (dialled, accepted) = tokio::join!(old.dial(&target), hub.accept());
        let (dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap());

        hub.material.send_replace(Some(server_material(&issue_hub(&after), &after)));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let new = Edge::new(transport, &after, "edge-2");
        let (newly_dialled, newly_accepted) = tokio::join!(new.dial(&target), hub.accept());
        assert!(newly_dialled.is_ok() && newly_accepted.is_ok(), "{transport}");
        let (again, refusal) = tokio::join!(old.dial(&target), hub.accept());
        assert_eq!((again.unwrap_err().word(), refusal.unwrap_err().blame()), ("foreign_ca", Blame::Hub), "{transport}");

        dialled.outgoing.send(bye("still here")).await.unwrap();
        assert_eq!(next(&mut accepted).await, bye("still here"), "{transport}");
    }
}

#[tokio::test]
async fn an_identity_has_so_many_sessions_and_a_hub_so_many_in_all() {
    for transport in BOTH {
        let authority = authority();
        let material = server_material(&issue_hub(&authority), &authority);
        let caps = Caps::with_limits(3, 2);
        let mut hub = Hub::start_with(transport, material, caps.clone()).await;
        let (one, two) = (Edge::new(transport, &authority, "edge-1"), Edge::new(transport, &authority, "edge-2"));
        let target = hub.target();
        let mut standing = Vec::new();
        for edge in [&one, &one, &two] {
            let (dialled, accepted) = tokio::join!(edge.dial(&target), hub.accept());
            standing.push((dialled.unwrap(), accepted.unwrap()));
        }
        assert_eq!(caps.sessions(), 3);
        for (edge, what) in [(&one, "the hub has 3 sessions"), (&two, "the hub has 3 sessions")] {
            let (dialled, accepted) = tokio::join!(edge.dial(&target), hub.accept());
            let fault = dialled.unwrap_err();
            assert!(matches!(&fault, LinkFault::Closed { code: CloseCode::Refused, text, .. } if text.starts_with(what)), "{transport}: {fault:?}");
            assert!(matches!(accepted.unwrap_err(), LinkFault::Busy { peer: Side::Edge, .. }), "{transport}");
        }
        // A seat is free again once its session is over on the hub.
        let (dialled, mut accepted) = standing.pop().unwrap();
        dialled.close(CloseCode::Done, "");
        assert_eq!(end(&mut accepted).await, None);
        accepted.closed().await;
        drop((dialled, accepted));
        // Once more than it may: it takes the seat of its oldest session, which is told so.
        let (dialled, accepted) = tokio::join!(one.dial(&target), hub.accept());
        assert!(dialled.is_ok() && accepted.is_ok(), "{transport}");
        let (oldest, of_hub) = &mut standing[0];
        assert!(matches!(end(oldest).await, Some(LinkFault::Closed { code: CloseCode::Refused, .. })), "{transport}");
        of_hub.closed().await;
        drop((dialled, accepted));
        let (dialled, accepted) = tokio::join!(two.dial(&target), hub.accept());
        assert!(dialled.is_ok() && accepted.is_ok(), "{transport}");
    }
}
