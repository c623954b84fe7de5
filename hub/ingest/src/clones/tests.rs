use proto_model::{ClusterId, EdgeId};

use super::*;

const TRACK: TrackId = TrackId(1);

fn speaker(edge: &str) -> Speaker {
    Speaker { cluster: ClusterId::new("alpha").unwrap(), edge: EdgeId::new(edge).unwrap() }
}

/// Opens in turn; the place of the first opening that shows a clone.
fn first_shown(nonces: &[u8]) -> Option<usize> {
    let (mut clones, mut before) = (Clones::default(), None);
    for (at, nonce) in nonces.iter().enumerate() {
        let nonce = [*nonce; 16];
        if clones.shows(&speaker("one"), TRACK, nonce, before) {
            return Some(at);
        }
        clones.opened(&speaker("one"), TRACK, nonce, before);
        before = Some(nonce);
    }
    None
}

#[test]
fn two_processes_that_fence_each_other_show() {
    assert_eq!(first_shown(&[1, 2, 1, 2, 1]), Some(4));
    assert_eq!(first_shown(&[1, 2, 1, 1, 1, 2, 2, 1]), Some(7));
    assert_eq!(first_shown(&[1, 2, 3, 1, 2, 3, 1]), Some(6), "three of them too");
}

#[test]
fn restarts_reconnects_and_a_late_opening_do_not() {
    assert_eq!(first_shown(&[1, 1, 1, 1, 1, 1]), None, "one process that reconnects");
    assert_eq!(first_shown(&[1, 2, 3, 4, 5, 6, 7, 8]), None, "restarts");
    assert_eq!(first_shown(&[1, 2, 1, 2, 2, 2, 3]), None, "an opening of the dead process that lay in a socket");
}

#[test]
fn tracks_and_edges_are_apart_and_bounded() {
    let mut clones = Clones::default();
    for _ in 0..3 {
        clones.opened(&speaker("one"), TRACK, [1; 16], Some([2; 16]));
    }
    assert!(clones.shows(&speaker("one"), TRACK, [1; 16], Some([2; 16])));
    assert!(!clones.shows(&speaker("one"), TRACK, [1; 16], Some([1; 16])) && !clones.shows(&speaker("one"), TRACK, [1; 16], None));
    assert!(!clones.shows(&speaker("two"), TRACK, [1; 16], Some([2; 16])));
    assert!(!clones.shows(&speaker("one"), TrackId(2), [1; 16], Some([2; 16])));
    clones.forget(&speaker("one"), TRACK);
    assert!(!clones.shows(&speaker("one"), TRACK, [1; 16], Some([2; 16])));
    for track in 0..20_000 {
        clones.opened(&speaker("one"), TrackId(track), [1; 16], None);
    }
    assert_eq!(clones.tracks.len(), TRACKS_KEPT);
}
