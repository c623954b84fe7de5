//! Tests of `fault`.

use super::*;

#[test]
fn close_codes_keep_their_numbers() {
    for (code, number) in [(CloseCode::Done, 0), (CloseCode::Protocol, 1), (CloseCode::Refused, 2), (CloseCode::ShuttingDown, 3)] {
        assert_eq!(code.number(), number);
        assert_eq!(CloseCode::from_number(u64::from(number)), code);
    }
    assert_eq!(CloseCode::from_number(77), CloseCode::Protocol);
}

#[test]
fn a_refusal_reads_the_same_from_both_ends() {
    let address = || "10.0.0.1:9443".to_owned();
    let at_edge = LinkFault::Refused { peer: Side::Hub, address: address(), reason: Refusal::Expired };
    let at_hub = LinkFault::Untrusted { peer: Side::Edge, address: address(), reason: Refusal::Expired };
    assert!(at_edge.to_string().starts_with("the hub at 10.0.0.1:9443 refused our certificate (expired): "));
    assert!(at_hub.to_string().starts_with("edge at 10.0.0.1:9443 refused: expired: "));
    assert_eq!((at_edge.word(), at_hub.word()), ("expired", "expired"));
    assert_eq!((at_edge.blame(), at_hub.blame()), (Blame::Edge, Blame::Edge));
    let hub_is_wrong = LinkFault::Untrusted { peer: Side::Hub, address: address(), reason: Refusal::ForeignCa };
    assert_eq!((hub_is_wrong.blame(), hub_is_wrong.remedy()), (Blame::Hub, Remedy::Fix));
}
