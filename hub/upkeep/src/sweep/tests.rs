use hub_store::{CommitId, Doomed};

use super::*;
use crate::rig::grant;

#[test]
fn only_what_is_old_and_unnamed_is_doomed_and_only_what_is_long_doomed_goes() {
    let settings = UpkeepSettings::default();
    let hour = settings.doom_age;
    let at = |hours: u32| Timestamp(0).plus(hour * hours);
    let mut manifest = Manifest::genesis(grant("acme").tenant().clone(), CommitId::NONE);
    manifest.doomed = [(1, 8), (2, 9), (3, 9), (4, 7)].map(|(id, hours)| Doomed { id: SegmentId(id), at: at(hours) }).into();
    let listed = [(1, 0), (3, 0), (10, 9), (11, 10)].map(|(id, hours)| (SegmentId(id), at(hours)));
    let ids = |ids: &[u128]| ids.iter().map(|id| SegmentId(*id)).collect::<Vec<_>>();
    // At ten: 10 is an hour old, 11 is new; 1 and 3 are doomed for an hour and there; 4 is gone for long, 2 not.
    assert_eq!(plan(&manifest, &listed, at(10), &settings), Sweep { doom: ids(&[10]), delete: ids(&[1, 3]), gone: ids(&[4]) });
    let just_before = Timestamp(at(10).nanos() - 1);
    assert_eq!(plan(&manifest, &listed, just_before, &settings), Sweep { doom: Vec::new(), delete: ids(&[1]), gone: ids(&[4]) });
}
