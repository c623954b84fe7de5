use proptest::prelude::*;
use proto_model::LaneId;
use proto_wire::edge_hub::{Ack, Bye, Expect, Hello, Slow};

use super::*;

const P: ProducerId = ProducerId { lane: LaneId(1), unique: 2 };
const OTHER: ProducerId = ProducerId { lane: LaneId(1), unique: 3 };
const NOW: Timestamp = Timestamp(1_000_000_000_000);

fn id(producer: ProducerId) -> Bytes {
    Bytes::copy_from_slice(&producer.to_bytes())
}

fn welcome(last: u64) -> Kind {
    Kind::Welcome(Welcome {
        track: 1,
        producer: id(P),
        epoch: 5,
        last,
        chain: Bytes::from_static(&[9; 16]),
        window_batches: 4,
        window_bytes: 1_000,
        carry: None,
        ..Welcome::default()
    })
}

fn ack(sequence: u64) -> Kind {
    Kind::Ack(Ack { producer: id(P), epoch: 5, sequence })
}

fn expect(sequence: u64) -> Kind {
    Kind::Expect(Expect { producer: id(P), epoch: 5, sequence })
}

fn refuse(code: RefuseCode, sequence: u64) -> Kind {
    Kind::Refuse(Refuse { producer: id(P), code: code.into(), sequence, text: "no".to_owned(), fix: "wait".to_owned(), retry_after_ms: 0 })
}

/// A track of `P`, open, acked up to `acked`.
fn open_at(acked: u64) -> Window {
    let mut window = Window::new(TrackId(1), Some(P), Sequence(acked), Chain([9; 16]));
    drop(window.open(Sequence(acked + 1), Sequence(1), false, NOW));
    assert!(matches!(&window.hear(&welcome(acked), NOW)[..], [Step::Settle { .. }]));
    window.settled(Sequence(acked), Chain([9; 16]));
    window
}

/// Sends all that may be sent of a WAL durable up to `durable`, each of 100 bytes.
fn send_all(window: &mut Window, durable: u64) -> Vec<u64> {
    let mut sent = Vec::new();
    while let Some(sequence) = window.wanted(Sequence(durable)) {
        window.sent(sequence, 100, NOW);
        sent.push(sequence.0);
    }
    sent
}

#[test]
fn nothing_is_sent_before_the_hub_said_welcome_and_the_wal_agreed() {
    let mut window = Window::new(TrackId(1), Some(P), Sequence(3), Chain([7; 16]));
    assert_eq!((window.wanted(Sequence(9)), window.stamp()), (None, None));
    let Some(Kind::Open(open)) = window.open(Sequence(10), Sequence(2), true, NOW).kind else { panic!("no Open") };
    assert_eq!((open.track, open.producer, open.next, open.acked, open.oldest, open.followed), (1, id(P), 10, 3, 2, true));
    assert_eq!(open.acked_chain.as_ref(), [7; 16]);
    assert_eq!(window.wanted(Sequence(9)), None);
    let steps = window.hear(&welcome(5), NOW);
    assert_eq!(steps, [Step::Settle { producer: P, last: Sequence(5), chain: Chain([9; 16]), positions: Vec::new() }]);
    assert_eq!(window.wanted(Sequence(9)), None, "the WAL has not agreed yet");
    window.settled(Sequence(5), Chain([9; 16]));
    assert_eq!((window.wanted(Sequence(9)), window.stamp()), (Some(Sequence(6)), Some((P, Epoch(5)))));
    assert_eq!(window.wanted(Sequence(5)), None, "nothing durable waits");
    window.closed();
    assert_eq!((window.wanted(Sequence(9)), window.stamp()), (None, None));
}

#[test]
fn a_welcome_is_carried_out_by_what_the_wal_knows() {
    let mut fresh = Window::new(TrackId(1), None, Sequence(0), Chain::default());
    assert_eq!(fresh.hear(&welcome(0), NOW), [Step::Bind(P)]);
    fresh.bound(P);
    assert_eq!(fresh.wanted(Sequence(1)), Some(Sequence(1)));
    let mut new_wal = Window::new(TrackId(1), None, Sequence(0), Chain::default());
    assert!(matches!(&new_wal.hear(&welcome(8), NOW)[..], [Step::Adopt { producer: P, last: Sequence(8), .. }]));
    new_wal.adopted(P, Sequence(8), Chain([9; 16]));
    assert_eq!((new_wal.wanted(Sequence(8)), new_wal.wanted(Sequence(9))), (None, Some(Sequence(9))));
    let mut bound = Window::new(TrackId(1), Some(OTHER), Sequence(0), Chain::default());
    assert!(matches!(&bound.hear(&welcome(0), NOW)[..], [Step::Settle { producer: P, .. }]), "another producer goes on");
    assert_eq!(bound.report().0, Some(OTHER), "not before the WAL holds it");
    bound.moved(P);
    bound.settled(Sequence(0), Chain::default());
    assert_eq!(bound.stamp(), Some((P, Epoch(5))));
    for broken in [
        Welcome { track: 1, producer: Bytes::from_static(&[1; 23]), chain: Bytes::from_static(&[9; 16]), ..Welcome::default() },
        Welcome { track: 1, producer: id(P), chain: Bytes::new(), ..Welcome::default() },
    ] {
        let mut window = Window::new(TrackId(1), Some(P), Sequence(0), Chain::default());
        assert!(matches!(&window.hear(&Kind::Welcome(broken), NOW)[..], [Step::Redial(_)]));
        assert_eq!(*window.standing(), Standing::Closed);
    }
}

#[test]
fn the_window_is_bounded_by_batches_and_by_bytes() {
    let mut window = open_at(0);
    assert_eq!(send_all(&mut window, 100), [1, 2, 3, 4]);
    assert_eq!(window.hear(&ack(2), NOW), [Step::Acked(Sequence(2))]);
    assert_eq!(send_all(&mut window, 100), [5, 6]);
    assert_eq!(send_all(&mut window, 100), [0; 0]);
    assert_eq!(window.hear(&ack(6), NOW), [Step::Acked(Sequence(6))]);
    window.sent(Sequence(7), 1_500, NOW);
    assert_eq!(window.wanted(Sequence(100)), None, "one batch may be larger than the window, alone");
    window.hear(&ack(7), NOW);
    window.sent(Sequence(8), 999, NOW);
    assert_eq!(window.wanted(Sequence(100)), Some(Sequence(9)), "up to the mark");
    let mut narrow = Window::new(TrackId(1), Some(P), Sequence(0), Chain::default());
    narrow.hear(&Kind::Welcome(Welcome { track: 1, producer: id(P), epoch: 5, chain: Bytes::from_static(&[0; 16]), ..Welcome::default() }), NOW);
    narrow.settled(Sequence(0), Chain::default());
    assert_eq!(send_all(&mut narrow, 9), [1], "a window of nothing still lets one go");
}

#[test]
fn an_ack_counts_once_and_only_for_what_was_sent() {
    let mut window = open_at(3);
    send_all(&mut window, 6);
    for unfit in [ack(7), ack(u64::MAX), ack(3), ack(0)] {
        assert_eq!(window.hear(&unfit, NOW), []);
    }
    assert_eq!(window.hear(&ack(5), NOW), [Step::Acked(Sequence(5))]);
    assert_eq!(window.hear(&ack(5), NOW), []);
    assert_eq!(window.hear(&ack(4), NOW), [], "it never goes back");
    assert_eq!(window.report().2, Sequence(5));
    let foreign = [
        Kind::Ack(Ack { producer: id(OTHER), epoch: 5, sequence: 6 }),
        Kind::Ack(Ack { producer: id(P), epoch: 4, sequence: 6 }),
        Kind::Ack(Ack { producer: Bytes::new(), epoch: 5, sequence: 6 }),
        Kind::Expect(Expect { producer: id(P), epoch: 4, sequence: 6 }),
        Kind::Refuse(Refuse { producer: id(OTHER), code: RefuseCode::RefuseFenced.into(), ..Refuse::default() }),
        Kind::Welcome(Welcome { track: 2, ..Welcome::default() }),
        Kind::Slow(Slow::default()),
        Kind::Hello(Hello::default()),
        Kind::Bye(Bye::default()),
    ];
    for kind in foreign {
        let before = format!("{window:?}");
        assert_eq!(window.hear(&kind, NOW), [], "{kind:?}");
        assert_eq!(format!("{window:?}"), before, "{kind:?}");
    }
}

#[test]
fn an_expect_rewinds_to_what_was_not_acked() {
    let mut window = open_at(3);
    send_all(&mut window, 7);
    window.hear(&expect(5), NOW);
    assert_eq!(send_all(&mut window, 7), [5, 6, 7]);
    for unfit in [8, 9, u64::MAX] {
        assert_eq!(window.hear(&expect(unfit), NOW), []);
        assert_eq!(window.wanted(Sequence(100)), None, "{unfit}: the window is still full");
    }
    // The hub held it after all: it is not sent a second time.
    window.hear(&expect(5), NOW);
    assert_eq!(window.hear(&ack(6), NOW), [Step::Acked(Sequence(6))]);
    assert_eq!(send_all(&mut window, 7), [7]);
}

#[test]
fn a_hub_that_asks_for_what_it_acknowledged_is_asked_again_where_it_stands() {
    let mut window = open_at(3);
    send_all(&mut window, 7);
    for told in [0, 2, 3] {
        assert!(matches!(&window.hear(&expect(told), NOW)[..], [Step::Redial(_)]), "{told}: the session would stand still for ever");
    }
    assert_eq!(window.report().2, Sequence(3), "what is acked is not taken back before the hub has said where it stands");
}

#[test]
fn a_batch_called_damaged_three_times_is_set_aside() {
    let mut window = open_at(0);
    send_all(&mut window, 3);
    for _ in 0..2 {
        assert_eq!(window.hear(&refuse(RefuseCode::RefuseCorrupt, 2), NOW), []);
        assert_eq!(send_all(&mut window, 3), [2, 3], "again from the WAL");
    }
    assert_eq!(window.hear(&refuse(RefuseCode::RefuseCorrupt, 3), NOW), [], "another batch counts for itself");
    assert_eq!(send_all(&mut window, 3), [3]);
    for _ in 0..2 {
        assert_eq!(window.hear(&refuse(RefuseCode::RefuseCorrupt, 2), NOW), []);
        send_all(&mut window, 3);
    }
    assert_eq!(window.hear(&refuse(RefuseCode::RefuseCorrupt, 2), NOW), [Step::SetAside(Sequence(2), "corrupt")]);
    assert_eq!(window.wanted(Sequence(3)), Some(Sequence(2)), "what stands in its place goes next");
    send_all(&mut window, 3);
    assert_eq!(window.hear(&refuse(RefuseCode::RefuseTooLarge, 3), NOW), [Step::SetAside(Sequence(3), "too_large")]);
}

#[test]
fn a_batch_that_is_not_in_flight_is_never_set_aside() {
    let mut window = open_at(3);
    send_all(&mut window, 6);
    for sequence in [0, 3, 7, u64::MAX] {
        for _ in 0..4 {
            assert_eq!(window.hear(&refuse(RefuseCode::RefuseTooLarge, sequence), NOW), [], "{sequence}");
            assert_eq!(window.hear(&refuse(RefuseCode::RefuseCorrupt, sequence), NOW), [], "{sequence}");
        }
    }
    window.closed();
    assert_eq!(window.hear(&refuse(RefuseCode::RefuseTooLarge, 5), NOW), [], "of the session before");
}

#[test]
fn a_refusal_waits_and_asks_again_and_loses_nothing() {
    let table = [(RefuseCode::RefuseFenced, "fenced", 1), (RefuseCode::RefuseDiverged, "diverged", 30), (RefuseCode::RefuseNoTenant, "no_tenant", 1)];
    for (code, expected, seconds) in table {
        let mut window = open_at(3);
        send_all(&mut window, 6);
        assert_eq!(window.hear(&refuse(code, 0), NOW), []);
        let Standing::Refused { until, word, .. } = window.standing().clone() else { panic!("{code:?}") };
        assert_eq!((until, word), (NOW.plus(Duration::from_secs(seconds)), expected));
        assert_eq!((window.wanted(Sequence(9)), window.retry_at()), (None, Some(until)));
        assert_eq!(window.hear(&ack(5), NOW), [], "acks of what was in flight come with the next Welcome");
        drop(window.open(Sequence(7), Sequence(1), false, NOW));
        assert_eq!(window.retry_at(), None);
        window.hear(&welcome(5), NOW);
        window.settled(Sequence(5), Chain([9; 16]));
        assert_eq!(send_all(&mut window, 6), [6]);
    }
    let mut patient = open_at(0);
    patient.hear(&Kind::Refuse(Refuse { code: RefuseCode::RefuseUnavailable.into(), retry_after_ms: 7_000, ..Refuse::default() }), NOW);
    assert_eq!(patient.retry_at(), Some(NOW.plus(Duration::from_secs(7))), "as long as the hub asked, also for the whole session");
    for code in [RefuseCode::RefuseDenied, RefuseCode::RefuseUnsupported, RefuseCode::RefuseProtocol, RefuseCode::RefuseUnspecified] {
        assert!(matches!(&open_at(0).hear(&refuse(code, 0), NOW)[..], [Step::Redial(_)]), "{code:?}");
    }
    let mut window = open_at(3);
    window.diverged(NOW);
    assert_eq!(window.retry_at(), Some(NOW.plus(DIVERGED_RETRY)));
}

#[test]
fn waiting_counts_from_the_last_progress() {
    let mut window = open_at(0);
    let later = |seconds| NOW.plus(Duration::from_secs(seconds));
    assert_eq!(window.waited(later(500)), Duration::ZERO, "nothing is in flight");
    window.sent(Sequence(1), 100, later(10));
    window.sent(Sequence(2), 100, later(20));
    assert_eq!(window.waited(later(30)), Duration::from_secs(20));
    window.hear(&ack(1), later(30));
    assert_eq!(window.waited(later(35)), Duration::from_secs(5));
    window.closed();
    assert_eq!(window.waited(later(99)), Duration::ZERO);
}

#[derive(Debug, Clone)]
enum Heard {
    Ack(u64),
    Expect(u64),
    Refuse(usize, u64),
    Close,
    Welcome,
    Send,
    Durable(u64),
}

fn heard() -> impl Strategy<Value = Heard> {
    prop_oneof![
        3 => (0_u64..60).prop_map(Heard::Ack),
        2 => (0_u64..60).prop_map(Heard::Expect),
        2 => (0_usize..6, 0_u64..60).prop_map(|(code, sequence)| Heard::Refuse(code, sequence)),
        1 => Just(Heard::Close),
        1 => Just(Heard::Welcome),
        4 => Just(Heard::Send),
        3 => (1_u64..5).prop_map(Heard::Durable),
    ]
}

proptest! {
    /// Whatever a hub says in whatever order: the acked mark never goes back nor beyond what was sent, nothing
    /// is sent that is not durable, and after a Welcome everything goes out.
    #[test]
    fn every_batch_is_sent_in_the_end_and_acked_never_goes_back(events in prop::collection::vec(heard(), 0..80)) {
        const CODES: [RefuseCode; 6] =
            [RefuseCode::RefuseCorrupt, RefuseCode::RefuseTooLarge, RefuseCode::RefuseFenced, RefuseCode::RefuseUnavailable, RefuseCode::RefuseNoTenant, RefuseCode::RefuseDiverged];
        let mut window = open_at(0);
        let (mut durable, mut acked, mut ever_sent) = (0_u64, 0_u64, 0_u64);
        for event in events {
            let steps = match event {
                Heard::Ack(sequence) => window.hear(&ack(sequence), NOW),
                Heard::Expect(sequence) if sequence <= acked => {
                    let steps = window.hear(&expect(sequence), NOW);
                    prop_assert!(matches!(steps[..], [Step::Redial(_)]));
                    window.closed();
                    Vec::new()
                }
                Heard::Expect(sequence) => window.hear(&expect(sequence), NOW),
                Heard::Refuse(code, sequence) => window.hear(&refuse(CODES[code], sequence), NOW),
                Heard::Close => { window.closed(); Vec::new() }
                Heard::Welcome => {
                    window.hear(&welcome(acked), NOW);
                    window.settled(Sequence(acked), Chain([9; 16]));
                    Vec::new()
                }
                Heard::Send => {
                    if let Some(sequence) = window.wanted(Sequence(durable)) {
                        prop_assert!(sequence.0 > acked && sequence.0 <= durable && sequence.0 <= ever_sent + 1);
                        window.sent(sequence, 100, NOW);
                        ever_sent = ever_sent.max(sequence.0);
                    }
                    Vec::new()
                }
                Heard::Durable(more) => { durable += more; Vec::new() }
            };
            for step in steps {
                match step {
                    Step::Acked(sequence) => {
                        prop_assert!(sequence.0 > acked && sequence.0 <= ever_sent);
                        acked = sequence.0;
                    }
                    Step::SetAside(sequence, _) => prop_assert!(sequence.0 > acked && sequence.0 <= ever_sent),
                    other @ (Step::Say(_) | Step::Bind(_) | Step::Adopt { .. } | Step::Settle { .. } | Step::Carry { .. } | Step::Closed(_) | Step::Redial(_)) => prop_assert!(false, "{other:?}"),
                }
            }
            prop_assert_eq!(window.report().2, Sequence(acked));
            prop_assert!(window.in_flight.len() <= 4 && window.bytes_in_flight == 100 * window.in_flight.len() as u64);
        }
        window.closed();
        drop(window.open(Sequence(durable + 1), Sequence(1), false, NOW));
        window.hear(&welcome(acked), NOW);
        window.settled(Sequence(acked), Chain([9; 16]));
        let mut sent = Vec::new();
        while let Some(sequence) = window.wanted(Sequence(durable)) {
            window.sent(sequence, 100, NOW);
            sent.push(sequence.0);
            window.hear(&ack(sequence.0), NOW);
        }
        prop_assert_eq!(sent, (acked + 1..=durable).collect::<Vec<_>>());
    }
}
