//! Snapshots of a lane (rule 11): where its state starts from, and who writes the next one.
//!
//! Parts: [`newest`]; [`Kept`]; [`is_due`]; [`keep`]. Promises: a snapshot is written of a fold that was followed
//! or acknowledged, and still stands, only; a damaged one is passed over for the one before it. Must not do: trust what a
//! snapshot says before the second look (`lane.rs` looks).

use proto_model::LaneId;

use super::{Known, LaneCell, Shore, look};
use crate::fault::StoreFault;
use crate::fold::{Fold, snapshot};
use crate::header::CommitId;
use crate::keys::{Key, number_of};
use crate::limits::{SNAPSHOT_SHARE, SNAPSHOTS_KEPT};
use crate::object::Size;

/// The fold of the newest snapshot that reads well, with its number; of the genesis when there is none.
///
/// # Errors
/// The store's fault.
pub(crate) async fn newest(shore: &Shore, lane: LaneId, genesis: CommitId) -> Result<(Fold, u64), StoreFault> {
    for number in listed(shore, lane).await?.into_iter().rev() {
        let Some(bytes) = shore.objects.get(&Key::snapshot(lane, number), None, Size::Large).await? else { continue };
        let keys = shore.keys.clone();
        match shore.objects.world.workers.run(move || snapshot::decode(&bytes, lane, number, &keys)).await {
            Ok(fold) => return Ok((fold, number)),
            Err(fault) => tracing::error!(%fault, "a snapshot is passed over for an older one"),
        }
    }
    Ok((Fold::genesis(lane, genesis), 0))
}

pub(crate) async fn listed(shore: &Shore, lane: LaneId) -> Result<Vec<u64>, StoreFault> {
    let names = shore.objects.list(&Key::snapshots(lane)).await?;
    Ok(names.iter().filter_map(|name| number_of(name)).collect())
}

/// The two newest snapshots known, by number; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    pub(crate) newest: u64,
    /// Collection goes up to this one (rule 15).
    pub(crate) before: u64,
}

impl Kept {
    fn of(numbers: &[u64]) -> Self {
        let mut last = numbers.iter().rev().copied();
        Self { newest: last.next().unwrap_or(0), before: last.next().unwrap_or(0) }
    }
}

/// Whether a fold with this head and floor wants a snapshot beside those that are kept.
///
/// One is written early where the older one lies far back (the lane grew while none could be written): nothing
/// between it and the newest could be deleted until the lane has grown as much again.
pub(crate) const fn is_due(every: u64, head: u64, floor: u64, kept: Kept) -> bool {
    let share = head.saturating_sub(floor) / SNAPSHOT_SHARE;
    let every = if share > every { share } else { every };
    head.saturating_sub(kept.newest) >= every || (head > kept.newest && head.saturating_sub(kept.before) >= 3 * every)
}

/// Writes a snapshot of the lane if one is due, then deletes all but the two newest.
///
/// # Errors
/// The store's fault; nothing depends on it, the next look tries again.
pub(crate) async fn keep(shore: &Shore, cell: &LaneCell) -> Result<(), StoreFault> {
    keep_when(shore, cell, |head, floor, kept| is_due(shore.snapshot_every, head, floor, kept)).await
}

/// As [`keep`], when `due` of head, floor and the snapshots kept says so.
pub(crate) async fn keep_when(shore: &Shore, cell: &LaneCell, due: impl Fn(u64, u64, Kept) -> bool) -> Result<(), StoreFault> {
    let Some(Known { fold, .. }) = cell.known() else { return Ok(()) };
    let (number, floor) = (fold.head(), fold.floor());
    if !due(number, floor, cell.snapshots()) {
        return Ok(());
    }
    // Another hub may have written one since.
    let mut numbers = listed(shore, cell.lane).await?;
    let kept = Kept::of(&numbers);
    if !due(number, floor, kept) {
        cell.note_snapshots(kept);
        return Ok(());
    }
    // A fold of before the bucket was put back must not become the state that everybody starts from.
    if !look(shore, cell.lane, number, fold.head_commit()).await? {
        return Ok(());
    }
    let keys = shore.keys.clone();
    let bytes = shore.objects.world.workers.run(move || snapshot::encode(&fold, &keys)).await?;
    shore.objects.write(&Key::snapshot(cell.lane, number), bytes).await?;
    numbers.push(number);
    numbers.sort_unstable();
    numbers.dedup();
    cell.note_snapshots(Kept::of(&numbers));
    for old in numbers.iter().rev().skip(SNAPSHOTS_KEPT) {
        shore.objects.delete(&Key::snapshot(cell.lane, *old)).await?;
    }
    Ok(())
}
