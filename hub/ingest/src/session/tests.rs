use std::collections::BTreeSet;
use std::sync::Arc;

use proto_model::LaneId;
use proto_wire::edge_hub::Bye;

use super::*;
use crate::request::CarryOver;

const P: ProducerId = ProducerId { lane: LaneId(1), unique: 2 };

fn message(kind: Kind) -> Message {
    Message { kind: Some(kind) }
}

fn hello() -> Hello {
    Hello { version_min: version::VERSION_MIN, version_max: version::VERSION_MAX, nonce: Bytes::from_static(&[7; 16]), ..Hello::default() }
}

fn batch() -> Batch {
    let producer = Bytes::copy_from_slice(&P.to_bytes());
    Batch {
        producer,
        epoch: 4,
        sequence: 9,
        chain_previous: Bytes::from_static(&[1; 16]),
        digest: Bytes::from_static(&[2; 16]),
        body: Bytes::from_static(b"body"),
        ..Batch::default()
    }
}

fn gap() -> Gap {
    Gap {
        producer: Bytes::copy_from_slice(&P.to_bytes()),
        epoch: 4,
        from: 5,
        to: 6,
        chain_previous: Bytes::from_static(&[1; 16]),
        chain_to: Bytes::from_static(&[2; 16]),
        lines: Some(3),
        reason: "dropped".to_owned(),
        ..Gap::default()
    }
}

fn close() -> Close {
    let producer = Bytes::copy_from_slice(&P.to_bytes());
    Close { producer: producer.clone(), epoch: 4, sequence: 9, chain: Bytes::from_static(&[1; 16]), next: producer }
}

fn greeted() -> SessionState {
    let mut state = SessionState::default();
    assert!(matches!(state.hear(message(Kind::Hello(hello()))), Act::Say(_)));
    state
}

fn opened() -> SessionState {
    let mut state = greeted();
    state.opened(P);
    state
}

/// The code with which the session is closed; `None` when it is not.
fn closed_with(act: Act) -> Option<RefuseCode> {
    match act {
        Act::Close(Message { kind: Some(Kind::Refuse(refuse)) }) => {
            assert!(!refuse.text.is_empty() && !refuse.fix.is_empty());
            Some(refuse.code())
        }
        Act::Say(_) | Act::Open(_) | Act::Offer(_) | Act::Gap(_) | Act::End(_) | Act::Note(_) | Act::Close(_) => None,
    }
}

#[test]
fn a_session_goes_hello_open_batch() {
    let mut state = SessionState::default();
    let Act::Say(Message { kind: Some(Kind::Hello(answer)) }) = state.hear(message(Kind::Hello(hello()))) else { panic!("no Hello") };
    assert_eq!((answer.version_min, answer.version_max), (version::VERSION_MAX, version::VERSION_MAX), "the version chosen");
    assert_eq!(state.nonce(), [7; 16]);
    let open = Open { track: 3, acked: 5, acked_chain: Bytes::from_static(&[6; 16]), followed: true, ..Open::default() };
    let asked = OpenAsked { track: TrackId(3), producer: None, acked: (Sequence(5), Chain([6; 16])), followed: true, confirmed: Arc::default() };
    assert_eq!(state.hear(message(Kind::Open(open.clone()))), Act::Open(asked.clone()));
    let again = Open { producer: Bytes::copy_from_slice(&P.to_bytes()), acked: 0, acked_chain: Bytes::new(), ..open };
    assert_eq!(state.hear(message(Kind::Open(again))), Act::Open(OpenAsked { producer: Some(P), acked: (Sequence(0), Chain::default()), ..asked }));
    assert_eq!(closed_with(state.hear(message(Kind::Batch(batch())))), Some(RefuseCode::RefuseProtocol), "the hub has not said Welcome yet");
    state.opened(P);
    let Act::Offer(offered) = state.hear(message(Kind::Batch(batch()))) else { panic!("not offered") };
    assert_eq!((offered.producer, offered.epoch, offered.sequence), (P, Epoch(4), Sequence(9)));
    assert_eq!((offered.chain_previous, offered.digest, offered.body.as_ref()), (Chain([1; 16]), BatchDigest([2; 16]), &b"body"[..]));
    let Act::Gap(given_up) = state.hear(message(Kind::Gap(gap()))) else { panic!("not offered") };
    assert_eq!((given_up.range, given_up.amount), ((Sequence(5), Sequence(6)), (Some(3), None)));
    assert!(matches!(state.hear(message(Kind::Heartbeat(Heartbeat::default()))), Act::Note(_)));
    assert!(matches!(state.hear(message(Kind::Bye(Bye::default()))), Act::Close(Message { kind: Some(Kind::Bye(_)) })));
}

#[test]
fn nothing_is_heard_before_hello() {
    for kind in [Kind::Open(Open::default()), Kind::Batch(batch()), Kind::Gap(gap()), Kind::Heartbeat(Heartbeat::default()), Kind::Bye(Bye::default())] {
        let mut state = SessionState::default();
        state.opened(P);
        assert_eq!(closed_with(state.hear(message(kind.clone()))), Some(RefuseCode::RefuseProtocol), "{kind:?}");
        assert!(state.hello().is_none());
    }
}

#[test]
fn versions_that_do_not_meet_are_told_both_ranges() {
    for (min, max) in [(version::VERSION_MAX + 1, 255), (0, 0), (3, 1)] {
        let act = SessionState::default().hear(message(Kind::Hello(Hello { version_min: min, version_max: max, ..hello() })));
        let Act::Close(Message { kind: Some(Kind::Refuse(refuse)) }) = act else { panic!("{min} to {max} was taken") };
        assert_eq!(refuse.code(), RefuseCode::RefuseUnsupported);
        assert!(
            refuse.text.contains(&format!("{min} to {max}")) && refuse.text.contains(&format!("{} to {}", version::VERSION_MIN, version::VERSION_MAX)),
            "{}",
            refuse.text
        );
    }
    let wide = Hello { version_min: 0, version_max: u32::MAX, ..hello() };
    assert!(matches!(SessionState::default().hear(message(Kind::Hello(wide))), Act::Say(_)));
}

#[test]
fn breaches_of_the_protocol_close_the_session() {
    let short = Bytes::from_static(&[1; 15]);
    let breaches: Vec<(&str, Kind)> = vec![
        ("Hello twice", Kind::Hello(hello())),
        ("a producer of 15 bytes", Kind::Open(Open { producer: short.clone(), ..Open::default() })),
        ("a chain of 15 bytes", Kind::Open(Open { acked_chain: short.clone(), ..Open::default() })),
        ("a batch without producer", Kind::Batch(Batch { producer: Bytes::new(), ..batch() })),
        ("a producer that was not opened", Kind::Batch(Batch { producer: Bytes::from_static(&[9; 24]), ..batch() })),
        ("a batch's chain", Kind::Batch(Batch { chain_previous: short.clone(), ..batch() })),
        ("a batch's digest", Kind::Batch(Batch { digest: Bytes::new(), ..batch() })),
        ("positions without end", Kind::Batch(Batch { positions: vec![Position::default(); POSITIONS_MAX + 1], ..batch() })),
        ("the end of a producer that was not opened", Kind::Close(Close { producer: Bytes::from_static(&[9; 24]), ..close() })),
        ("an end in a producer that was not opened", Kind::Close(Close { next: Bytes::from_static(&[9; 24]), ..close() })),
        ("an end's chain", Kind::Close(Close { chain: short.clone(), ..close() })),
        ("a gap's chain", Kind::Gap(Gap { chain_to: short, ..gap() })),
        ("a gap of a producer that was not opened", Kind::Gap(Gap { producer: Bytes::from_static(&[9; 24]), ..gap() })),
        ("the hub's own words", Kind::Welcome(Welcome::default())),
        ("the hub's own words", Kind::Ack(Ack::default())),
        ("the hub's own words", Kind::Expect(Expect::default())),
        ("the hub's own words", Kind::Refuse(Refuse::default())),
    ];
    for (name, kind) in breaches {
        assert_eq!(closed_with(opened().hear(message(kind))), Some(RefuseCode::RefuseProtocol), "{name}");
    }
    let nonce = Hello { nonce: Bytes::from_static(&[7; 15]), ..hello() };
    assert_eq!(closed_with(SessionState::default().hear(message(Kind::Hello(nonce)))), Some(RefuseCode::RefuseProtocol));
    assert_eq!(closed_with(opened().hear(Message { kind: None })), Some(RefuseCode::RefuseUnsupported), "an unknown kind");
}

#[test]
fn tracks_are_bounded() {
    let mut state = greeted();
    let most = u32::try_from(TRACKS_MAX).unwrap();
    for track in (0..most).chain([0, most - 1]) {
        assert!(matches!(state.hear(message(Kind::Open(Open { track, ..Open::default() }))), Act::Open(_)));
    }
    assert_eq!(closed_with(state.hear(message(Kind::Open(Open { track: most, ..Open::default() })))), Some(RefuseCode::RefuseProtocol));
}

#[test]
fn who_was_told_what_would_end_confirms_it_by_asking_again_for_the_same_track() {
    let mut state = greeted();
    let confirmed = |state: &mut SessionState, track| {
        let Act::Open(asked) = state.hear(message(Kind::Open(Open { track, ..Open::default() }))) else { panic!("not asked") };
        asked.confirmed.iter().copied().collect::<Vec<_>>()
    };
    assert_eq!(confirmed(&mut state, 1), []);
    state.unconfirmed(TrackId(1), &BTreeSet::from([P]));
    assert_eq!((confirmed(&mut state, 1), confirmed(&mut state, 2)), (vec![P], Vec::new()));
    let more = ProducerId { unique: 99, ..P };
    state.unconfirmed(TrackId(1), &BTreeSet::from([more]));
    assert_eq!(confirmed(&mut state, 1).len(), 2, "what was told first stays told");
    assert_eq!(confirmed(&mut greeted(), 1), [], "another session was told nothing");
}

#[test]
fn each_refusal_says_what_to_do_and_only_breaches_end_the_session() {
    let table = [
        (Refusal::Fenced, RefuseCode::RefuseFenced, false, false),
        (Refusal::Denied, RefuseCode::RefuseDenied, true, false),
        (Refusal::Diverged("d".to_owned()), RefuseCode::RefuseDiverged, false, true),
        (Refusal::Protocol("p".to_owned()), RefuseCode::RefuseProtocol, true, false),
        (Refusal::NoTenant, RefuseCode::RefuseNoTenant, false, true),
        (Refusal::Unavailable("u".to_owned()), RefuseCode::RefuseUnavailable, false, true),
        (Refusal::Unconfirmed { track: TrackId(1), others: BTreeSet::new() }, RefuseCode::RefuseUnavailable, false, false),
    ];
    for (why, code, ends, waits) in table {
        let (message, ended) = message_of(Reply::Refused { producer: Some(P), sequence: Sequence(8), why: why.clone() }, 1);
        let Some(Kind::Refuse(refuse)) = message.kind else { panic!("{why:?}") };
        assert_eq!((refuse.code(), ended, refuse.retry_after_ms > 0), (code, ends, waits), "{why:?}");
        assert_eq!((refuse.producer.as_ref(), refuse.sequence), (&P.to_bytes()[..], 8));
        assert!(!refuse.text.is_empty() && !refuse.fix.is_empty());
    }
    let carry = CarryOver { producer: P, last: Sequence(2), chain: Chain([6; 16]), digests: vec![BatchDigest([7; 16]), BatchDigest([8; 16])], ended: true };
    let opened = Reply::Opened {
        track: TrackId(2),
        producer: P,
        epoch: Epoch(3),
        last: Sequence(4),
        chain: Chain([5; 16]),
        positions: vec![Position::default()],
        carry: Some(carry),
        later: Some(TrackId(3)),
    };
    let (welcome, ends) = message_of(opened, 77);
    let Some(Kind::Welcome(welcome)) = welcome.kind else { panic!("no Welcome") };
    assert_eq!((welcome.track, welcome.epoch, welcome.last, welcome.positions.len(), welcome.later, ends), (2, 3, 4, 1, 3, false));
    assert_eq!((welcome.window_batches, welcome.window_bytes), (WINDOW_BATCHES, 77));
    let carry = welcome.carry.unwrap();
    assert_eq!((carry.producer.as_ref(), carry.last, carry.digests.len(), carry.digests[16], carry.ended), (&P.to_bytes()[..], 2, 32, 8, true));
}

#[test]
fn the_end_of_a_track_is_said_both_ways() {
    let next = ProducerId { lane: LaneId(1), unique: 3 };
    let mut state = opened();
    let asked = Close { next: Bytes::copy_from_slice(&next.to_bytes()), ..close() };
    assert_eq!(closed_with(state.hear(message(Kind::Close(asked.clone())))), Some(RefuseCode::RefuseProtocol));
    state.opened(next);
    let Act::End(ends) = state.hear(message(Kind::Close(asked.clone()))) else { panic!("not offered") };
    assert_eq!((ends.producer, ends.epoch, ends.sequence, ends.chain, ends.next), (P, Epoch(4), Sequence(9), Chain([1; 16]), next));
    let (answer, over) = message_of(Reply::Closed { producer: P, epoch: Epoch(4), sequence: Sequence(9), chain: Chain([1; 16]), next }, 1);
    assert_eq!((answer.kind, over), (Some(Kind::Close(asked)), false), "the same words");
}

#[test]
fn windows_shrink_with_the_number_of_sessions() {
    assert_eq!((window_of(0), window_of(1)), (WINDOW_BYTES, WINDOW_BYTES));
    assert_eq!(window_of(1_000), WINDOWS_BYTES / 1_000);
    assert_eq!(window_of(1_000_000), WINDOW_LEAST);
    assert!(1_000 * window_of(1_000) <= WINDOWS_BYTES);
}

#[test]
fn slow_holds_for_a_while_and_is_taken_back() {
    let kind = |message: Message| if let Some(Kind::Slow(slow)) = message.kind { (slow.bytes_per_second, slow.for_ms) } else { panic!("not Slow") };
    assert_eq!(kind(slow(Some(1_000))), (1_000, 5_000));
    assert_eq!(kind(slow(Some(0))).0, 1, "0 would mean no limit");
    assert_eq!(kind(slow(None)), (0, 0));
}
