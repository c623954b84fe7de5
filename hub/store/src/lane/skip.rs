//! Damaged lane objects that an operator gave up (lane rule 20): `control/skips/<lane>/<number>`.
//!
//! Parts: [`skipped`] (whether one was, and the id that stands for its commit id), [`give_up`]. Promises: an object is
//! given up at most once, under one id, for ever; its name is never written again. Must not do: judge whether it is
//! damaged (the follower does).

use proto_model::LaneId;

use super::Shore;
use crate::fault::StoreFault;
use crate::header::CommitId;
use crate::keys::Key;
use crate::numbered::{create_control, read_control};
use crate::proto::SkippedObject;

/// The id that stands for the commit id of `number`, if it was given up.
///
/// # Errors
/// The store's fault, or [`StoreFault::Damaged`].
pub(crate) async fn skipped(shore: &Shore, lane: LaneId, number: u64) -> Result<Option<CommitId>, StoreFault> {
    let key = Key::skipped(lane, number);
    let Some(entry) = read_control::<SkippedObject>(&shore.objects, &shore.keys, &key).await? else { return Ok(None) };
    let damaged = |reason| StoreFault::Damaged { key: key.to_string(), reason };
    if (entry.lane, entry.number) != (lane.0, number) {
        return Err(damaged("it is of another object".to_owned()));
    }
    CommitId::read(&entry.commit).map(Some).map_err(damaged)
}

/// Gives `number` up, for all hubs and for ever.
///
/// # Errors
/// The store's fault: then it is not known whether it was; ask again.
pub(crate) async fn give_up(shore: &Shore, lane: LaneId, number: u64, writer: &str) -> Result<(), StoreFault> {
    let entry = SkippedObject {
        lane: lane.0,
        number,
        commit: shore.objects.entropy().next_u128().to_be_bytes().to_vec(),
        writer: writer.to_owned(),
        written_ns: shore.objects.moment().wall.nanos(),
    };
    create_control(&shore.objects, &shore.keys, &Key::skipped(lane, number), &entry).await.map(drop)
}
