use bytes::Bytes;
use proto_model::{Chain, LaneId};
use proto_wire::edge_hub::{Ack, Carry, Close, Refuse, Welcome};

use super::*;

const NOW: Timestamp = Timestamp(1_000_000_000_000);

const fn producer(unique: u128) -> ProducerId {
    ProducerId { lane: LaneId(1), unique }
}

fn id(unique: u128) -> Bytes {
    Bytes::copy_from_slice(&producer(unique).to_bytes())
}

fn welcome(track: u32, unique: u128, last: u64) -> Kind {
    let chain = Bytes::from_static(&[0; 16]);
    Kind::Welcome(Welcome { track, producer: id(unique), epoch: 1, last, chain, window_batches: 64, window_bytes: 16 << 20, ..Welcome::default() })
}

fn ack(unique: u128, sequence: u64) -> Kind {
    Kind::Ack(Ack { producer: id(unique), epoch: 1, sequence })
}

/// Tracks 1..=count, track n bound to producer n, all open and acked up to 0.
fn open(count: u32, backlog_mille: u32) -> Tracks {
    let windows = (1..=count).map(|track| Window::new(TrackId(track), Some(producer(track.into())), Sequence(0), Chain::default()));
    let mut tracks = Tracks::new(windows, (backlog_mille, BACKLOG_AGE));
    for track in tracks.to_open(NOW) {
        drop(tracks.window(track).unwrap().open(Sequence(1), Sequence(1), false, NOW));
        tracks.hear(&welcome(track.0, track.0.into(), 0), NOW);
        tracks.window(track).unwrap().settled(Sequence(0), Chain::default());
        tracks.join(track);
    }
    tracks
}

#[test]
fn older_tracks_drain_first_in_first_out_beside_the_live_one() {
    let mut tracks = open(3, 500);
    let durable = |track: TrackId| Sequence([0, 4, 2, 100][track.0 as usize]);
    let mut sent = Vec::new();
    for _ in 0..12 {
        let (track, sequence) = tracks.wanted(durable).unwrap();
        tracks.sent(track, sequence, 10_000, durable, NOW);
        sent.push((track.0, sequence.0));
    }
    let live: Vec<u64> = sent.iter().filter(|(track, _)| *track == 3).map(|(_, sequence)| *sequence).collect();
    let older: Vec<(u32, u64)> = sent.iter().filter(|(track, _)| *track < 3).copied().collect();
    assert_eq!(sent[0], (3, 1), "live first");
    assert_eq!(live, [1, 2, 3, 4, 5, 6], "half each");
    assert_eq!(older, [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2)]);
    assert_eq!(tracks.wanted(durable), Some((TrackId(3), Sequence(7))), "who is alone gets all");
}

#[test]
fn so_much_of_the_backlog_is_under_way_as_is_acked_soon_and_a_refused_track_stops_nobody() {
    let mut tracks = open(2, 700);
    let durable = |track: TrackId| Sequence(if track.0 == 1 { 60 } else { 0 });
    let send_all = |tracks: &mut Tracks| {
        let mut sent = 0;
        while let Some((track, sequence)) = tracks.wanted(durable) {
            tracks.sent(track, sequence, 200_000, durable, NOW);
            sent = sequence.0;
        }
        sent
    };
    let first = send_all(&mut tracks);
    assert!(first < 10, "{first} batches of 200 kB before the first ack");
    tracks.hear(&ack(1, first), NOW.plus(Duration::from_millis(100)));
    assert!(send_all(&mut tracks) >= first * 2, "it widens");
    let mut alone = open(1, 700);
    assert_eq!(send_all(&mut alone), 60, "a single track has its whole window");
    let mut refused = open(3, 700);
    let durable = |_| Sequence(9);
    refused.window(TrackId(1)).unwrap().diverged(NOW);
    let (track, sequence) = refused.wanted(durable).unwrap();
    assert_eq!(track, TrackId(3));
    refused.sent(track, sequence, 1_000, durable, NOW);
    assert_eq!(refused.wanted(durable), Some((TrackId(2), Sequence(1))), "the next older one");
    assert_eq!((refused.retry_at(), refused.to_open(NOW)), (Some(NOW.plus(Duration::from_secs(30))), vec![]));
    assert_eq!(refused.to_open(NOW.plus(Duration::from_secs(30))), [TrackId(1)]);
}

#[test]
fn a_drained_track_is_closed_once_the_newest_is_open() {
    let mut tracks = open(3, 700);
    let durable = |track: TrackId| Sequence(if track.0 == 1 { 2 } else { 1 });
    assert_eq!(tracks.drained(durable), None, "nothing is acked");
    while let Some((track, sequence)) = tracks.wanted(durable) {
        tracks.sent(track, sequence, 100, durable, NOW);
    }
    tracks.hear(&ack(1, 1), NOW);
    tracks.hear(&ack(3, 1), NOW);
    assert_eq!(tracks.drained(durable), None, "the newest is never closed");
    tracks.hear(&ack(2, 1), NOW);
    assert_eq!(tracks.drained(durable), None, "the one before it has not ended");
    tracks.hear(&ack(1, 2), NOW);
    assert_eq!(tracks.drained(durable), Some((TrackId(1), producer(3))));
    let message = tracks.window(TrackId(1)).unwrap().close(Chain([7; 16]), producer(3), NOW).unwrap();
    let Some(Kind::Close(close)) = message.kind else { panic!("no Close") };
    assert_eq!((close.producer.clone(), close.epoch, close.sequence, close.next.clone()), (id(1), 1, 2, id(3)));
    assert_eq!((tracks.drained(durable), tracks.waited(NOW.plus(Duration::from_secs(9)))), (None, Duration::from_secs(9)), "asked once");
    let foreign = Close { epoch: 2, ..close.clone() };
    assert_eq!(tracks.hear(&Kind::Close(foreign), NOW), []);
    assert_eq!(tracks.hear(&Kind::Close(close.clone()), NOW), [(TrackId(1), Step::Closed(Sequence(2)))]);
    tracks.remove(TrackId(1));
    assert_eq!(tracks.hear(&Kind::Close(close), NOW), []);
    assert_eq!(tracks.drained(durable), Some((TrackId(2), producer(3))));
    tracks.window(TrackId(3)).unwrap().diverged(NOW);
    assert_eq!(tracks.drained(durable), None, "nobody could go on for it");
    let mut tracks = open(3, 700);
    tracks.window(TrackId(1)).unwrap().diverged(NOW);
    assert_eq!(tracks.drained(|_| Sequence(0)), Some((TrackId(2), producer(3))), "one that waits for an operator holds up nobody");
}

#[test]
fn a_close_whose_answer_was_lost_is_the_answer_to_the_next_open() {
    let mut tracks = open(2, 700);
    let close = Close { producer: id(1), epoch: 7, sequence: 4, chain: Bytes::from_static(&[0; 16]), next: id(2) };
    assert_eq!(tracks.hear(&Kind::Close(close.clone()), NOW), [], "it was not asked for");
    tracks.closed();
    drop(tracks.window(TrackId(1)).unwrap().open(Sequence(1), Sequence(1), true, NOW));
    assert_eq!(tracks.hear(&Kind::Close(close), NOW), [(TrackId(1), Step::Closed(Sequence(4)))]);
}

#[test]
fn a_close_that_is_fenced_asks_for_the_newest_track_anew_too() {
    let mut tracks = open(2, 700);
    let durable = |_| Sequence(0);
    let (track, next) = tracks.drained(durable).unwrap();
    assert!(tracks.window(track).unwrap().close(Chain::default(), next, NOW).is_some());
    let fenced = |unique| Kind::Refuse(Refuse { producer: id(unique), code: RefuseCode::RefuseFenced.into(), ..Refuse::default() });
    tracks.hear(&fenced(1), NOW);
    let later = NOW.plus(Duration::from_secs(60));
    assert_eq!(tracks.to_open(later), [TrackId(1), TrackId(2)], "a hub that writes another lane knows neither");
    for track in tracks.to_open(later) {
        drop(tracks.window(track).unwrap().open(Sequence(1), Sequence(1), false, later));
    }
    // Both were led on; a batch that is fenced concerns its own track alone.
    for track in [1, 2] {
        tracks.hear(&welcome(track, u128::from(10 + track), 0), later);
        tracks.window(TrackId(track)).unwrap().bound(producer(u128::from(10 + track)));
    }
    assert_eq!(tracks.drained(durable), Some((TrackId(1), producer(12))));
    tracks.hear(&fenced(11), later);
    assert_eq!(tracks.to_open(later.plus(Duration::from_secs(60))), [TrackId(1)]);
}

#[test]
fn one_numbering_never_serves_two_tracks() {
    // Another WAL of this edge was at work, and ended the newer in the older.
    for ended in [false, true] {
        let mut tracks = open(2, 700);
        let Kind::Welcome(told) = welcome(2, 1, 9) else { panic!("no Welcome") };
        let carry = Carry { producer: id(2), last: 4, chain: Bytes::from_static(&[0; 16]), ended: true, ..Carry::default() };
        assert_eq!(tracks.hear(&Kind::Welcome(Welcome { carry: ended.then_some(carry), ..told }), NOW), []);
        assert_eq!(tracks.retry_at(), Some(NOW.plus(Duration::from_secs(30))));
        assert_eq!(tracks.to_open(NOW), [TrackId(1)], "its epoch was overtaken");
    }
}

#[test]
fn a_wal_of_before_a_track_began_goes_on_where_that_one_stands() {
    for last in [0, 9] {
        let mut tracks = open(1, 700);
        let Kind::Welcome(told) = welcome(1, 9, last) else { panic!("no Welcome") };
        let carry = Carry { producer: id(1), last: 4, chain: Bytes::from_static(&[0; 16]), ended: true, ..Carry::default() };
        let steps = tracks.hear(&Kind::Welcome(Welcome { carry: Some(carry), ..told }), NOW);
        let adopted = Step::Adopt { producer: producer(9), last: Sequence(last), chain: Chain::default(), positions: Vec::new() };
        assert_eq!(steps, [(TrackId(1), adopted)]);
    }
}

/// A WAL that was set back to before its second track was bound: what the hub has of it is not sent as new.
#[test]
fn a_later_track_that_was_bound_before_is_not_begun_anew() {
    for (ended, last) in [(true, 0), (true, 9), (false, 0)] {
        let mut tracks = Tracks::new([Window::new(TrackId(2), None, Sequence(0), Chain::default())], (700, BACKLOG_AGE));
        drop(tracks.window(TrackId(2)).unwrap().open(Sequence(5), Sequence(1), false, NOW));
        let Kind::Welcome(told) = welcome(2, 9, last) else { panic!("no Welcome") };
        let carry = Carry { producer: id(1), last: 2, chain: Bytes::from_static(&[0; 16]), digests: Bytes::from_static(&[3; 32]), ended };
        let steps = tracks.hear(&Kind::Welcome(Welcome { carry: Some(carry), ..told }), NOW);
        match &steps[..] {
            [(TrackId(2), Step::Adopt { producer: told, .. })] if ended => assert_eq!(*told, producer(9)),
            [(TrackId(2), Step::Carry { producer: told, committed, .. })] if !ended => assert_eq!((*told, committed.last), (producer(9), Sequence(2))),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_released_producer_is_carried_over() {
    let mut tracks = open(1, 700);
    let carry = |digests: &'static [u8]| {
        let Kind::Welcome(told) = welcome(1, 9, 0) else { panic!("no Welcome") };
        let carry = Carry { producer: id(1), last: 5, chain: Bytes::from_static(&[0; 16]), digests: Bytes::from_static(digests), ended: false };
        Kind::Welcome(Welcome { carry: Some(carry), ..told })
    };
    let steps = tracks.hear(&carry(&[3; 32]), NOW);
    let [(TrackId(1), Step::Carry { producer: told, committed, .. })] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!((*told, committed.last, committed.digests.len()), (producer(9), Sequence(5), 2));
    assert!(matches!(&tracks.hear(&carry(&[3; 33]), NOW)[..], [(_, Step::Redial(_))]), "no whole digests");
}

#[test]
fn a_new_track_is_wanted_for_an_old_backlog_and_never_too_many() {
    let old = Some(NOW.minus(Duration::from_secs(61)));
    assert!(open(1, 700).wants_new(old, NOW));
    assert!(!open(1, 700).wants_new(Some(NOW.minus(BACKLOG_AGE)), NOW));
    assert!(!open(1, 700).wants_new(None, NOW));
    assert!(open(7, 700).wants_new(old, NOW) && !open(8, 700).wants_new(old, NOW));
    let mut closed = open(2, 700);
    closed.closed();
    assert!(!closed.wants_new(old, NOW), "not without a session");
}

/// The hub knows more than the WAL: it was set back, or is a copy whose owner is elsewhere.
#[test]
fn a_wal_that_knows_less_gives_up_what_it_holds_once_nobody_else_opens_its_track() {
    let mut tracks = open(1, 500);
    let opens = |tracks: &mut Tracks, epoch: u64, now: Timestamp| {
        let asks = tracks.to_open(now).contains(&TrackId(1));
        drop(tracks.window(TrackId(1)).unwrap().open(Sequence(5), Sequence(1), false, now));
        let Kind::Welcome(told) = welcome(1, 1, 9) else { panic!() };
        tracks.hear(&Kind::Welcome(Welcome { epoch, ..told }), now);
        (asks, tracks.is_alone(TrackId(1), producer(1), now))
    };
    let at = |secs| NOW.plus(Duration::from_secs(secs));
    tracks.closed();
    assert_eq!(opens(&mut tracks, 3, at(0)), (true, false));
    assert!(tracks.to_open(at(9)).is_empty() && tracks.wanted(|_| Sequence(9)).is_none(), "it waits, and sends nothing");
    // Its owner came back at once.
    assert_eq!(opens(&mut tracks, 5, at(10)), (true, false));
    // The session broke.
    tracks.closed();
    assert_eq!(opens(&mut tracks, 6, at(12)), (true, false));
    assert_eq!(opens(&mut tracks, 7, at(20)), (true, true), "ten seconds alone");
    let mut new = Tracks::new([Window::new(TrackId(1), None, Sequence(0), Chain::default())], (500, BACKLOG_AGE));
    assert!(new.is_alone(TrackId(1), producer(1), NOW), "nobody else has a new WAL");
}
