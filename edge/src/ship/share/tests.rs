use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Timestamp {
    Timestamp(0).plus(Duration::from_millis(ms))
}

proptest! {
    /// Both always have work: the backlog gets its share of the bytes within a few percent, whatever the sizes.
    #[test]
    fn the_share_is_kept_by_bytes(mille in 0_u32..=1_000, live in prop::collection::vec(1_u64..2_000_000, 1..20), backlog in prop::collection::vec(1_u64..2_000_000, 1..20)) {
        let mut share = Share::new(mille);
        let (mut sent, mut counts) = ([0_u64; 2], [0_usize; 2]);
        while sent[0] + sent[1] < 400_000_000 {
            let turn = share.turn(true, true).unwrap();
            let (side, sizes) = match turn { Turn::Live => (0, &live), Turn::Backlog => (1, &backlog) };
            let bytes = sizes[counts[side] % sizes.len()];
            counts[side] += 1;
            sent[side] += bytes;
            share.sent(turn, bytes, true);
        }
        let got = sent[1] as f64 / (sent[0] + sent[1]) as f64;
        let wanted = f64::from(mille.min(SHARE_MILLE_MAX)) / 1_000.0;
        prop_assert!((got - wanted).abs() < 0.02, "{got} instead of {wanted}");
        prop_assert!(sent[0] > 0, "live lines always move");
    }

    /// Whoever has work gets a turn soon: between two turns of one side lie no more bytes of the other than its share and a batch.
    #[test]
    fn nobody_starves(mille in 100_u32..=900, sizes in prop::collection::vec((1_u64..1_000_000, any::<bool>(), any::<bool>()), 1..300)) {
        let mut share = Share::new(mille);
        let mut waited = [0_u64; 2];
        for (bytes, live, backlog) in sizes {
            let Some(turn) = share.turn(live, backlog) else { continue };
            let has_work = if turn == Turn::Live { live } else { backlog };
            prop_assert!(has_work);
            let side = usize::from(turn == Turn::Backlog);
            waited[side] = 0;
            if live && backlog {
                waited[1 - side] += bytes;
            }
            share.sent(turn, bytes, live && backlog);
            prop_assert!(waited[0] <= 40_000_000 && waited[1] <= 40_000_000);
        }
    }
}

#[test]
fn live_comes_first_and_who_is_alone_gets_all() {
    let mut share = Share::new(700);
    assert_eq!(share.turn(true, true), Some(Turn::Live));
    assert_eq!((share.turn(false, true), share.turn(true, false), share.turn(false, false)), (Some(Turn::Backlog), Some(Turn::Live), None));
    for _ in 0..1_000 {
        share.sent(Turn::Backlog, 1_000_000, false);
    }
    assert_eq!(share.turn(true, true), Some(Turn::Live), "what it sent alone is not held against it, nor saved");
    share.sent(Turn::Live, 300, true);
    assert_eq!(share.turn(true, true), Some(Turn::Backlog));
    share.sent(Turn::Backlog, 700, true);
    assert_eq!(share.turn(true, true), Some(Turn::Live));
    let none = Share::new(0);
    assert_eq!((none.turn(true, true), none.turn(false, true)), (Some(Turn::Live), Some(Turn::Backlog)));
}

/// A link of `rate` bytes a second with a queue, and `delay` until an ack. Backlog batches of 200 kB without end, a live one
/// of 20 kB each second. Gives the longest time to a live ack after `warm` seconds, and bytes of backlog acked in that time.
fn drained(rate: u64, delay: Duration, warm: u64) -> (Duration, u64) {
    let mut drain = Drain::default();
    let mut link: VecDeque<(Timestamp, Timestamp, u64, bool)> = VecDeque::new();
    let (mut free, mut in_flight, mut longest, mut done) = (at(0), 0, Duration::ZERO, 0);
    for ms in 0..(warm + 60) * 1_000 {
        let now = at(ms);
        while let Some((arrives, sent, bytes, is_live)) = link.front().copied().filter(|(arrives, ..)| *arrives <= now) {
            link.pop_front();
            let took = arrives.since(sent);
            if is_live {
                longest = if ms > warm * 1_000 { longest.max(took) } else { longest };
            } else {
                in_flight -= bytes;
                done += if ms > warm * 1_000 { bytes } else { 0 };
                drain.acked(bytes, took, now);
            }
        }
        let mut send = |bytes: u64, is_live| {
            free = free.max(now).plus(Duration::from_nanos(bytes * 1_000_000_000 / rate));
            link.push_back((free.plus(delay), now, bytes, is_live));
        };
        if ms % 1_000 == 0 {
            send(20_000, true);
        }
        while drain.has_room(in_flight) && in_flight < 16 << 20 {
            in_flight += 200_000;
            send(200_000, false);
        }
    }
    (longest, done)
}

#[test]
fn a_draining_backlog_does_not_delay_live_lines_and_uses_the_link() {
    for (rate, delay_ms) in [(200_000, 50), (1_000_000, 100), (1_000_000, 800), (10_000_000, 300), (100_000_000, 100), (2_000_000, 2_500)] {
        let (longest, done) = drained(rate, Duration::from_millis(delay_ms), 30);
        let idle = Duration::from_millis(delay_ms);
        assert!(longest < Duration::from_secs(5).max(idle * 3), "{rate} B/s, {delay_ms} ms: {longest:?}");
        let could = (rate * 60).min((16 << 20) * 60_000 / delay_ms);
        assert!(done * 10 > could * 7, "{rate} B/s, {delay_ms} ms: {done} of {could}");
    }
}

/// Bytes sent in `seconds`, in batches of `bytes`.
fn sent_in(pace: &mut Pace, from: u64, seconds: u64, bytes: u64) -> u64 {
    let mut sent = 0;
    let end = at((from + seconds) * 1_000);
    let mut now = at(from * 1_000);
    while now < end {
        let wait = pace.wait(now);
        now = now.plus(wait);
        if wait.is_zero() {
            pace.sent(bytes, now);
            sent += bytes;
            now = now.plus(Duration::from_micros(10));
        }
    }
    sent
}

#[test]
fn bytes_go_at_the_least_of_both_rates() {
    let near = |sent: u64, wanted: u64| assert!(sent.abs_diff(wanted) <= 60_000, "{sent} instead of {wanted}");
    let mut pace = Pace::new(1_000_000);
    near(sent_in(&mut pace, 0, 10, 30_000), 10_000_000);
    pace.slow(200_000, Duration::from_secs(20), at(10_000));
    near(sent_in(&mut pace, 10, 20, 30_000), 4_000_000);
    near(sent_in(&mut pace, 30, 10, 30_000), 10_000_000);
    pace.slow(5_000_000, Duration::from_secs(20), at(40_000));
    near(sent_in(&mut pace, 40, 10, 30_000), 10_000_000);
    pace.slow(100_000, Duration::from_secs(60), at(50_000));
    pace.slow(0, Duration::from_secs(60), at(50_000));
    near(sent_in(&mut pace, 50, 5, 30_000), 5_000_000);
}

#[test]
fn slow_ends_by_itself_and_a_large_batch_is_paid_for_afterwards() {
    let mut pace = Pace::new(0);
    pace.sent(1 << 30, at(0));
    assert_eq!(pace.wait(at(0)), Duration::ZERO, "no limit");
    pace.slow(1_000, Duration::from_secs(5), at(1_000));
    pace.sent(1_000_000, at(1_000));
    assert_eq!(pace.wait(at(1_000)), Duration::from_secs(5), "at 1,000 bytes a second it would be 1,000 s, but Slow ends");
    assert_eq!(pace.wait(at(6_000)), Duration::ZERO);
    let mut pace = Pace::new(1_000_000);
    pace.slow(1_000, Duration::from_secs(5), at(0));
    pace.sent(1_005_000, at(0));
    assert_eq!(pace.wait(at(0)), Duration::from_secs(5));
    assert_eq!(pace.wait(at(5_000)), Duration::from_secs(1), "the rest at the setting's rate");
    pace.slow(1_000, Duration::from_secs(5), at(5_000));
    pace.session_began();
    assert_eq!(pace.wait(at(5_000)), Duration::from_secs(1), "another session, another hub");
}
