//! Tracks that end, and WALs that know less of it than the hubs do.
//!
//! Parts: [`with_backlog`] (an edge comes back with a backlog, which drains as a track of its own), then a test per case: the first track was let go,
//! the answer to its end is lost, a WAL of before its end or of before the next one began is put back. Promises: each test sees that its
//! case has come; lines are found once each. Must not do: leave the moment to chance.

use std::time::Duration;

use tests::oracle::Oracle;

use crate::cluster::Cluster;
use crate::directed::{burst, calm, calmed, drains, fired, plain};
use crate::floor::Way;

const SECOND: Duration = Duration::from_secs(1);
/// Bytes of a WAL whose files are soon deleted, and of one that holds everything within its grace.
const SMALL: u64 = 128 * 1024;
const LARGE: u64 = 4 * 1024 * 1024;

/// Number, state, newest and acked sequence of each track of the first edge that is not closed.
fn tracks(cluster: &Cluster) -> Vec<(u32, &'static str, u64, u64)> {
    let report = cluster.edges[0].status.lock().unwrap().as_ref().map(edge::status::Status::report);
    report.into_iter().flat_map(|report| report.tracks).map(|track| (track.track, track.state, track.sequence, track.acked)).collect()
}

fn numbers(cluster: &Cluster) -> Vec<u32> {
    tracks(cluster).iter().map(|(number, ..)| *number).collect()
}

/// The first edge meets no hub for longer than it takes to make a backlog. Hubs take their time: what a page shows each second is not over by then.
fn with_backlog(seed: u64, wal_bytes_max: u64) -> Cluster {
    let mut swarm = plain(seed, 2, 2);
    swarm.linger = SECOND * 2;
    swarm.shape.wal_bytes_max = wal_bytes_max;
    let mut cluster = calmed(swarm);
    for hub in 0..2 {
        cluster.cut(0, hub, Way::Both, SECOND * 75);
    }
    for _ in 0..20 {
        burst(&mut cluster);
        cluster.run_for(SECOND).unwrap();
    }
    cluster.run_for(SECOND * 54).unwrap();
    cluster
}

/// Runs until `done`, with a line now and then.
fn goes_on_until(cluster: &mut Cluster, mut done: impl FnMut(&Cluster) -> bool) {
    for _ in 0..600 {
        cluster.write(0, 0);
        if cluster.until(SECOND / 2, |cluster| done(cluster)).unwrap() {
            return;
        }
    }
    panic!("seed {}: {}", cluster.swarm.seed, cluster.standing());
}

/// The first edge, which no hub can reach for 75 s, makes a backlog of so many bursts, and goes on until its second track is under way beside the first.
fn gets_two_tracks(cluster: &mut Cluster, bursts: u32) {
    for _ in 0..bursts {
        burst(cluster);
        cluster.run_for(SECOND).unwrap();
    }
    cluster.run_for(SECOND * 54).unwrap();
    goes_on_until(cluster, |cluster| matches!(tracks(cluster)[..], [_, (2, _, _, acked)] if acked > 3));
}

/// Runs until the first edge is on its second track alone.
fn drained(cluster: &mut Cluster) {
    goes_on_until(cluster, |cluster| numbers(cluster) == [2]);
}

/// The producer of the newest track of the first edge.
fn producer(cluster: &Cluster) -> Option<String> {
    cluster.edges[0].status.lock().unwrap().as_ref().and_then(|status| status.report().producer)
}

/// The hub at which the first edge is cannot be reached for a while: it goes to the other, under another producer, unless that one writes the same
/// lane. Whether it did.
fn moves(cluster: &mut Cluster) -> bool {
    let before = producer(cluster);
    for hub in [0, 1, 0, 1] {
        cluster.cut(0, hub, Way::Both, SECOND * 30);
        burst(cluster);
        cluster.run_for(SECOND * 31).unwrap();
        if producer(cluster) != before {
            return true;
        }
    }
    false
}

/// Seed 21627: a WAL that had let go of its first track began it again at each start. A hub that had not seen the second one yet named the same
/// producer for both.
#[test]
fn a_first_track_that_was_let_go_does_not_come_back() {
    for seed in 0..4 {
        let mut cluster = with_backlog(seed, SMALL);
        drained(&mut cluster);
        // Until no file of the WAL tells of the first track any more.
        for _ in 0..60 {
            burst(&mut cluster);
            burst(&mut cluster);
            cluster.run_for(SECOND / 2).unwrap();
        }
        let hub = usize::from(seed % 2 == 1);
        cluster.cut(0, hub, Way::Both, SECOND * 30);
        cluster.crash_edge(0, false, SECOND);
        cluster.until(SECOND * 20, |cluster| !tracks(cluster).is_empty()).unwrap();
        assert_eq!(numbers(&cluster), [2], "a track that was closed and let go stands again");
        burst(&mut cluster);
        cluster.run_for(SECOND * 30).unwrap();
        drains(&mut cluster);
        assert_eq!(numbers(&cluster), [2]);
    }
}

/// Seed 505: the Close stands and its answer does not come; the track that followed has moved to another hub when the edge asks for the drained one again.
#[test]
fn the_answer_to_the_end_of_a_track_is_lost() {
    let (mut ended, mut moved) = (0, 0);
    for seed in 0..6 {
        let mut cluster = with_backlog(seed, LARGE);
        goes_on_until(&mut cluster, |cluster| matches!(tracks(cluster)[..], [(1, _, last, acked), (2, "open", ..)] if acked == last));
        for hub in 0..2 {
            cluster.cut(0, hub, Way::ToEdge, SECOND * 3);
        }
        let before = cluster.ground.bucket.oracle(Oracle::closes);
        cluster.until(SECOND * 2, |cluster| cluster.ground.bucket.oracle(Oracle::closes) > before).unwrap();
        ended += cluster.ground.bucket.oracle(Oracle::closes) - before;
        cluster.crash_edge(0, false, SECOND);
        cluster.run_for(SECOND * 2).unwrap();
        moved += u64::from(moves(&mut cluster));
        drains(&mut cluster);
        assert_eq!(numbers(&cluster), [2]);
    }
    assert!(ended > 0 && moved > 0, "{ended} ends stood whose answer was lost, {moved} edges moved");
}

/// A WAL of the moment when the first track was drained and not closed is put back, when that one has ended and the second is with another hub.
#[test]
fn a_wal_of_before_a_track_ended_is_put_back() {
    let mut moved = 0;
    for seed in 0..4 {
        let mut cluster = with_backlog(seed, LARGE);
        goes_on_until(&mut cluster, |cluster| matches!(tracks(cluster)[..], [_, (2, "open", ..)]));
        cluster.restore_wal(0, SECOND);
        drained(&mut cluster);
        moved += u64::from(moves(&mut cluster));
        cluster.restore_wal(0, SECOND);
        assert!(cluster.until(SECOND * 30, |cluster| numbers(cluster) == [1, 2]).unwrap(), "the WAL that was put back knows one track");
        for _ in 0..10 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        assert_eq!((fired(&cluster, "wal restored"), numbers(&cluster)), (1, vec![2]));
    }
    assert!(moved > 0, "no edge moved");
}

/// A WAL of before the second track began is put back, when the first has ended and the second is where it began, or with another hub: its edge goes on where
/// that one stands, also with all acks of the first.
#[test]
fn a_wal_of_before_a_track_began_is_put_back() {
    let mut moved = 0;
    for (seed, (may_move, has_backlog)) in (0..8).zip([(false, false), (true, false), (false, true), (true, true)].into_iter().cycle()) {
        let mut cluster = if has_backlog { with_backlog(seed, LARGE) } else { calm(seed, 2, 2) };
        cluster.restore_wal(0, SECOND);
        if !has_backlog {
            for hub in 0..2 {
                cluster.cut(0, hub, Way::Both, SECOND * 75);
            }
            burst(&mut cluster);
            cluster.run_for(SECOND * 74).unwrap();
        }
        drained(&mut cluster);
        moved += u64::from(may_move && moves(&mut cluster));
        cluster.restore_wal(0, SECOND);
        for _ in 0..20 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        assert_eq!((fired(&cluster, "wal restored"), numbers(&cluster)), (1, vec![1]), "{may_move} {has_backlog}");
    }
    assert!(moved > 0, "no edge moved");
}

/// Seed 31385: the bucket of before a track was drained is put back, when its edge has closed it.
#[test]
fn a_bucket_of_before_a_track_ended_is_put_back() {
    for seed in 0..4 {
        let mut cluster = with_backlog(seed, LARGE);
        let before = cluster.ground.bucket.oracle(|oracle| oracle.lines_of_cluster(cluster.edges[0].cluster));
        cluster.ground.bucket.keep();
        drained(&mut cluster);
        let lines = |cluster: &Cluster| cluster.ground.bucket.oracle(|oracle| oracle.lines_of_cluster(cluster.edges[0].cluster));
        assert!(lines(&cluster) >= before + 200, "the backlog is stored");
        cluster.roll_back(SECOND);
        assert_eq!((fired(&cluster, "bucket rolled back"), lines(&cluster)), (1, before));
        for _ in 0..10 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        assert!(lines(&cluster) >= before + 300, "the backlog is stored again");
        assert_eq!(numbers(&cluster), [2]);
    }
}

/// What an edge does while the disk of before its second track is put back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    /// It meets the hub at which it was.
    Stays,
    /// It goes to another.
    Moves,
    /// It meets none for a while, reads what it had read, and new lines.
    Alone,
    /// It dies again and again.
    Dies,
}

/// The first edge has two tracks at the hubs, of which the first drains slowly; its disk is one of before the second began. `after`: so many bursts came between
/// that moment and the second track, `drains_for`: so long the first drains, if it is not nearly empty before.
fn put_back_to_one_track(seed: u64, after: u64, drains_for: Duration, then: Then) -> Cluster {
    crate::seeds::log();
    let mut swarm = plain(seed, 2, 2);
    swarm.shape.wal_bytes_max = LARGE;
    swarm.shape.bandwidth = 2_000;
    let mut cluster = calmed(swarm);
    for hub in 0..2 {
        cluster.cut(0, hub, Way::Both, SECOND * 75);
    }
    for at in 0..20 {
        if at == 20 - after {
            cluster.restore_wal(0, SECOND);
        }
        burst(&mut cluster);
        cluster.run_for(SECOND).unwrap();
    }
    if after == 0 {
        cluster.restore_wal(0, SECOND);
    }
    cluster.run_for(SECOND * 54).unwrap();
    // Nothing is written before the second track is there.
    assert!(cluster.until(SECOND * 60, |cluster| matches!(tracks(cluster)[..], [_, (2, "open", ..)])).unwrap(), "{}", cluster.standing());
    goes_on_until(&mut cluster, |cluster| matches!(tracks(cluster)[..], [_, (2, _, _, acked)] if acked > 3));
    for _ in 0..drains_for.as_secs() * 2 {
        if !matches!(tracks(&cluster)[..], [(1, _, last, acked), (2, ..)] if acked + 6 < last) {
            break;
        }
        cluster.write(0, 0);
        cluster.run_for(SECOND / 2).unwrap();
    }
    assert!(
        matches!(tracks(&cluster)[..], [(1, _, last, acked), (2, ..)] if acked < last),
        "seed {seed}: the first track is not drained: {:?}",
        tracks(&cluster)
    );
    cluster.restore_wal(0, SECOND);
    match then {
        Then::Stays => {}
        Then::Moves => drop(moves(&mut cluster)),
        Then::Alone => {
            for hub in 0..2 {
                cluster.cut(0, hub, Way::Both, SECOND * 20);
            }
            for _ in 0..10 {
                burst(&mut cluster);
                cluster.run_for(SECOND * 2).unwrap();
            }
        }
        Then::Dies => {
            for life in 0..12 {
                cluster.run_for(SECOND + SECOND / 12 * life).unwrap();
                cluster.crash_edge(0, life % 2 == 0, SECOND / 5);
            }
        }
    }
    for _ in 0..10 {
        burst(&mut cluster);
        cluster.run_for(SECOND).unwrap();
    }
    assert_eq!(fired(&cluster, "wal restored"), 1);
    cluster
}

const THEN: [Then; 4] = [Then::Stays, Then::Moves, Then::Alone, Then::Dies];

/// The disk of before the second track is put back while the first one is open: all of the first track is in it, so every line is found, once.
#[test]
fn a_wal_of_before_a_track_began_is_put_back_while_the_first_is_open() {
    for (seed, then) in (0..8).zip(THEN.into_iter().cycle()) {
        let mut cluster = put_back_to_one_track(seed, 0, SECOND * 3, then);
        drains(&mut cluster);
        assert_eq!(cluster.losses(0).records, 0, "{then:?}: nothing was missing");
        assert_eq!(numbers(&cluster), [2], "{then:?}");
    }
}

/// The same, but lines that were read after that moment and not yet sent are on no disk but that of their files: they are counted.
#[test]
fn what_a_wal_lacks_between_two_tracks_is_counted() {
    let mut counted = 0;
    for (seed, then) in (0..8).zip(THEN.into_iter().cycle()) {
        let mut cluster = put_back_to_one_track(seed, 12, SECOND * if seed < 4 { 1 } else { 8 }, then);
        cluster.may_lose(0);
        drains(&mut cluster);
        counted += u64::from(cluster.losses(0).records > 0);
        assert!(cluster.until(SECOND * 30, |cluster| numbers(cluster) == [2]).unwrap(), "{then:?}: {:?}", numbers(&cluster));
    }
    assert!(counted >= 4, "lines were missing in {counted} of 8");
}

/// A WAL that has two tracks is lost: what the first one had not sent is counted.
#[test]
fn a_wal_with_two_tracks_is_lost() {
    for seed in 0..4 {
        let mut swarm = plain(seed, 2, 2);
        swarm.shape.bandwidth = 2_000;
        let mut cluster = calmed(swarm);
        for hub in 0..2 {
            cluster.cut(0, hub, Way::Both, SECOND * 75);
        }
        gets_two_tracks(&mut cluster, 20);
        cluster.lose_wal(0, SECOND);
        cluster.may_lose(0);
        for _ in 0..10 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        assert!(cluster.losses(0).records > 0, "what the first track had not sent is missing");
    }
}

/// A WAL of before any hub had welcomed it is put back while two tracks of it are open: what it holds of them the hubs have, or it is read again.
#[test]
fn a_wal_of_before_its_first_welcome_is_put_back_while_two_tracks_are_open() {
    for (seed, bursts) in (0..8).zip([0, 3].into_iter().cycle()) {
        let mut swarm = plain(seed, 2, 2);
        swarm.shape.bandwidth = 2_000;
        let mut cluster = Cluster::new(swarm);
        for hub in 0..2 {
            cluster.cut(0, hub, Way::Both, SECOND * 75);
        }
        cluster.run_for(SECOND * 2).unwrap();
        for _ in 0..bursts {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        assert_eq!(producer(&cluster), None, "no hub has welcomed it");
        let image = cluster.edges[0].disk.image();
        gets_two_tracks(&mut cluster, 20 - bursts);
        cluster.crash_edge(0, false, SECOND);
        cluster.edges[0].disk.restore(&image);
        cluster.may_lose(0);
        for _ in 0..10 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
    }
}

/// Seed 66789: an edge loses its WAL, and the new one as well before any hub has welcomed it. The opening of that one lies in a hub that stands still, until
/// the third has two tracks at another hub: it looks like one of a newer WAL, and must not end them.
#[test]
fn the_opening_of_a_lost_wal_comes_late() {
    let mut came = 0;
    for seed in 0..4 {
        let mut swarm = plain(seed, 2, 2);
        swarm.shape.bandwidth = 2_000;
        let mut cluster = calmed(swarm);
        cluster.cut(0, 1, Way::Both, SECOND * 6);
        cluster.lose_wal(0, SECOND);
        cluster.hold_store(SECOND * 5);
        cluster.run_for(SECOND * 3).unwrap();
        assert_eq!(producer(&cluster), None, "no hub has welcomed it");
        assert!(cluster.freeze_hub(0, SECOND * 600));
        cluster.lose_wal(0, SECOND);
        cluster.run_for(SECOND * 6).unwrap();
        assert!(cluster.until(SECOND * 180, |cluster| producer(cluster).is_some()).unwrap(), "{}", cluster.standing());
        cluster.cut(0, 1, Way::Both, SECOND * 75);
        gets_two_tracks(&mut cluster, 20);
        let closes = cluster.ground.bucket.oracle(Oracle::closes);
        cluster.thaw_hub(0);
        cluster.run_for(SECOND * 2).unwrap();
        // It takes the first track along, as whoever holds that WAL would.
        came += cluster.ground.bucket.oracle(Oracle::closes) - closes;
        assert_eq!(numbers(&cluster), [1, 2], "neither has ended");
        for _ in 0..10 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        assert_eq!((cluster.losses(0).records, numbers(&cluster).len()), (0, 1));
    }
    assert!(came > 0, "no opening came late");
}
