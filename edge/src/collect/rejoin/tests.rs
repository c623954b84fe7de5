use super::*;

const ONE: TrackId = TrackId(1);

fn file(inode: u64, from: u64, resume: u64) -> SourcePosition {
    let identity = FileIdentity { device: 1, inode };
    SourcePosition { path: format!("/log/{inode}"), identity, from, offset: resume, resume, ..SourcePosition::default() }
}

fn at(inode: u64, resume: u64) -> SourcePosition {
    file(inode, 0, resume)
}

fn batch(from: u64, positions: &[SourcePosition]) -> Unacked {
    Unacked { from: Sequence(from), positions: positions.to_vec(), loss: None }
}

/// Identity, where it is read on, what is missing.
fn stands(rejoined: &Rejoined) -> Vec<(u64, u64, u64)> {
    let mut all: Vec<_> = rejoined.positions.iter().map(|position| (position.identity.inode, position.resume, position.missing)).collect();
    all.sort_unstable();
    all
}

#[test]
fn what_the_older_track_has_up_to_the_later_one_counts_and_nothing_is_missing() {
    // The hub: track 1 up to 100, track 2 from 300 to 700. The WAL: track 1 up to 300.
    let mut rejoin = Rejoin::new(&[file(7, 300, 700)], &[at(7, 100)]);
    rejoin.older(ONE, batch(4, &[at(7, 200)]));
    rejoin.older(ONE, batch(5, &[at(7, 300)]));
    let rejoined = rejoin.finish(TrackId(2), &[at(7, 300)], true);
    assert_eq!((stands(&rejoined), rejoined.cuts), (vec![(7, 700, 0)], vec![]));
}

#[test]
fn what_was_read_again_of_the_later_track_does_not_count_and_what_lies_between_is_missing() {
    let mut rejoin = Rejoin::new(&[file(7, 300, 700)], &[at(7, 100)]);
    rejoin.older(ONE, batch(4, &[at(7, 250), at(8, 40)]));
    rejoin.older(ONE, batch(5, &[at(8, 50)]));
    // In part before where the later one began: as a whole it is void, and what follows, of whatever source.
    rejoin.older(ONE, batch(6, &[at(7, 400), at(9, 20)]));
    rejoin.older(ONE, batch(7, &[at(8, 90)]));
    rejoin.older(ONE, Unacked { loss: Some(Loss { reason: "truncated".to_owned(), ..Loss::default() }), ..batch(8, &[]) });
    let rejoined = rejoin.finish(TrackId(2), &[at(7, 400), at(8, 90), SourcePosition { begun: 5, ..at(9, 20) }], true);
    assert_eq!(rejoined.cuts, [(ONE, Sequence(6))]);
    assert_eq!(stands(&rejoined), [(7, 700, 50), (8, 50, 0), (9, 5, 0)], "void lines are read again from where they count, or from the beginning");
    assert_eq!((rejoined.losses.len(), rejoined.losses[0].reason.as_str()), (1, "truncated"), "a loss that was told stays told");
}

#[test]
fn a_wal_that_read_on_beyond_the_later_track_goes_on_there() {
    let mut rejoin = Rejoin::new(&[file(7, 300, 700)], &[at(7, 700)]);
    rejoin.older(ONE, batch(9, &[at(7, 800)]));
    let rejoined = rejoin.finish(TrackId(2), &[at(7, 800)], true);
    assert_eq!((stands(&rejoined), rejoined.cuts), (vec![(7, 800, 0)], vec![]), "the hub has the older track as far as the later one");
}

#[test]
fn a_source_that_only_the_later_track_knows_was_begun_by_one_that_is_lost() {
    let rejoined = Rejoin::new(&[file(7, 300, 700), file(8, 0, 50)], &[]).finish(TrackId(2), &[], true);
    assert_eq!(stands(&rejoined), [(7, 700, 300), (8, 50, 0)]);
    let cut = SourcePosition { generation: 2, ..file(7, 0, 10) };
    let rejoined = Rejoin::new(&[cut], &[at(7, 100)]).finish(TrackId(2), &[at(7, 100)], true);
    assert_eq!(stands(&rejoined), [(7, 10, SourcePosition::MISSING_UNKNOWN)], "of a file that was cut since nobody knows");
}

#[test]
fn sources_of_the_track_itself_stand_where_the_hub_says_or_where_nothing_was_void() {
    for (is_whole, expected) in [(true, 0), (false, 60)] {
        let mut rejoin = Rejoin::new(&[at(7, 100)], &[]);
        rejoin.void(batch(3, &[at(7, 150), at(8, 60)]));
        let rejoined = rejoin.finish(TrackId(2), &[at(7, 150), at(8, 60), at(9, 5)], is_whole);
        assert_eq!(stands(&rejoined), [(7, 100, 0), (8, expected, 0), (9, 5, 0)]);
        assert_eq!(rejoined.doubtful.len(), usize::from(!is_whole), "who cannot tell counts it");
    }
}

#[test]
fn lines_of_senders_in_void_batches_are_lost() {
    let stream = SourcePosition { path: "journal:j".to_owned(), ..SourcePosition::default() };
    for (positions, lost) in [(vec![at(7, 400)], false), (vec![at(7, 400), stream], true)] {
        let mut rejoin = Rejoin::new(&[file(7, 300, 700)], &[]);
        rejoin.older(ONE, batch(6, &positions));
        assert_eq!(rejoin.finish(TrackId(2), &[], true).lost_streams, lost);
    }
}

/// A WAL whose first track is drained and gone, and that contradicts what the hub has of the second: all of that is void.
#[test]
fn what_lies_before_a_track_whose_older_ones_are_drained_is_not_missing() {
    let of_track = |track, position: SourcePosition| SourcePosition { track, ..position };
    let known =
        [of_track(2, file(7, 300, 900)), of_track(2, file(8, 0, 60)), of_track(2, SourcePosition { done: true, ..file(9, 40, 80) }), of_track(1, at(6, 20))];
    let mut rejoin = Rejoin::new(&[file(7, 300, 700)], &[]);
    rejoin.void(batch(4, &known));
    let rejoined = rejoin.finish(TrackId(2), &known, false);
    assert_eq!(stands(&rejoined), [(6, 20, 0), (7, 700, 0), (8, 0, 0), (9, 40, 0)], "read again from where the track began with it");
    assert!(rejoined.positions.iter().all(|position| !position.done || position.identity.inode == 6));
    assert_eq!(rejoined.doubtful.len(), 1, "of one that an older track told last nothing is known");
    // An older track is cut: what lies before may be void as well.
    let mut rejoin = Rejoin::new(&[file(7, 300, 700)], &[]);
    rejoin.older(ONE, batch(3, &[at(7, 400), at(8, 30)]));
    rejoin.void(batch(4, &known));
    assert_eq!(rejoin.finish(TrackId(2), &known, false).doubtful.len(), 2);
}
