//! Floors and the deleting of lane objects (lane rules 13 and 15): what may go, and in which order it goes.
//!
//! Parts: [`floor_of`] and [`blocker`] (pure); [`Reach`] with [`Reach::may_go`] (pure); [`collect`]. Promises: an object
//! goes only when all below it are gone, and is seen to be gone before the next one goes. Must not do: judge
//! what is absorbed (manifests say).

use std::collections::BTreeSet;
use std::time::Duration;

use proto_model::{LaneId, TenantId, Timestamp};

use super::{LaneCell, Shore, look, start};
use crate::fault::StoreFault;
use crate::head::LaneView;
use crate::keys::{Key, number_of};
use crate::limits::{COLLECT_AT_ONCE, FLOOR_EVERY, LIST_LANE_EVERY};

/// The first section above the floor that its tenant's manifest has not absorbed: whose, and its number.
pub(crate) fn blocker(view: &LaneView, watermark: impl Fn(&TenantId) -> u64) -> Option<(TenantId, u64)> {
    let mut sections = view.objects_after(view.floor()).flat_map(|object| object.sections.iter().map(|section| (&section.tenant, object.number)));
    sections.find(|(tenant, number)| watermark(tenant) < *number).map(|(tenant, number)| (tenant.clone(), number))
}

/// The floor to be recorded now, if one is due: up to the object before `blocked`, or the head.
pub(crate) fn floor_of(view: &LaneView, blocked: Option<u64>) -> Option<u64> {
    let floor = blocked.map_or(view.head(), |number| number - 1);
    let absorbed = view.objects_after(view.floor()).take_while(|object| object.number <= floor).any(|object| !object.sections.is_empty());
    (floor > view.floor() && (absorbed || floor - view.floor() >= FLOOR_EVERY)).then_some(floor)
}

/// The tenants that have something between the recorded floor and `floor`.
pub(crate) fn passed(view: &LaneView, floor: u64) -> BTreeSet<TenantId> {
    let objects = view.objects_after(view.floor()).take_while(|object| object.number <= floor);
    objects.flat_map(|object| object.sections.iter().map(|section| section.tenant.clone())).collect()
}

/// Up to where a lane may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// All up to it is absorbed.
    pub(crate) floor: u64,
    /// The second newest snapshot; without two, nothing goes.
    pub(crate) snapshot: Option<u64>,
    /// How old an object must be.
    pub(crate) keep: Duration,
    /// By the store's clock.
    pub(crate) now: Timestamp,
}

impl Reach {
    /// Whether `number` may go, whatever its age.
    pub(crate) fn holds(&self, number: u64) -> bool {
        (cfg!(planted = "collected_above_floor") || number <= self.floor)
            && (cfg!(planted = "collected_without_snapshot") || self.snapshot.is_some_and(|snapshot| number < snapshot))
    }

    /// Whether `number`, written at `written` by the store's clock, may go.
    pub(crate) fn may_go(&self, number: u64, written: Timestamp) -> bool {
        self.holds(number) && self.now.since(written) >= self.keep
    }
}

/// Where collections of a lane go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cursor {
    next: u64,
    /// Collections until the lane is listed again.
    left: u32,
}

/// Deletes what may go, ascending; gives how many objects that were.
///
/// # Errors
/// The store's fault: the next collection goes on where this one ended.
pub(crate) async fn collect(shore: &Shore, cell: &LaneCell, cursor: &mut Cursor, keep: Duration, now: Timestamp) -> Result<u64, StoreFault> {
    let Some(known) = cell.known() else { return Ok(0) };
    let (floor, head, commit) = (known.fold.floor(), known.fold.head(), known.fold.head_commit());
    drop(known);
    let snapshot = start::listed(shore, cell.lane).await?.into_iter().rev().nth(1);
    let reach = Reach { floor, snapshot, keep, now };
    if cursor.left == 0 {
        let listed = shore.objects.list_dated(&Key::lane_objects(cell.lane)).await?;
        let Some(first) = listed.iter().find_map(|(name, _)| number_of(name)) else { return Ok(0) };
        *cursor = Cursor { next: first, left: LIST_LANE_EVERY };
    }
    cursor.left -= 1;
    // A listing may have left it out.
    if cursor.next > 0 && stands(shore, cell.lane, cursor.next - 1).await? {
        *cursor = Cursor::default();
        return Ok(0);
    }
    // A floor of before the bucket was put back says nothing of what is absorbed in this one.
    if reach.holds(cursor.next) && !look(shore, cell.lane, head, commit).await? {
        return Ok(0);
    }
    let mut gone = 0;
    for _ in 0..COLLECT_AT_ONCE {
        let number = cursor.next;
        if !reach.holds(number) {
            break;
        }
        let key = Key::lane_object(cell.lane, number);
        if let Some(written) = shore.objects.written(&key).await? {
            if !reach.may_go(number, written) {
                break;
            }
            shore.objects.delete(&key).await?;
            if stands(shore, cell.lane, number).await? {
                break;
            }
            gone += 1;
        }
        cursor.next = number + 1;
    }
    Ok(gone)
}

async fn stands(shore: &Shore, lane: LaneId, number: u64) -> Result<bool, StoreFault> {
    shore.objects.written(&Key::lane_object(lane, number)).await.map(|written| written.is_some())
}

#[cfg(test)]
mod tests;
