//! The hub's word on the sources, where a WAL knows less.
//!
//! Parts: [`Desk::adopt`] (a WAL that is new or was set back goes on where the hub stands; `rejoin` judges where it has several tracks), [`Owed`] (losses
//! that it brings about), [`Desk::hub_told`] (one that was damaged). Promises: no line that a hub has is read again where the hub's word tells of its
//! source; what cannot be told is counted. Must not do: talk to the hub.

use std::collections::{BTreeMap, BTreeSet};

use edge_wal::{Loss, SourcePosition, WalFault};
use proto_model::{Timestamp, TrackId};
use tokio::sync::oneshot;

use super::Desk;
use super::rejoin::{Rejoin, Rejoined, back_to};
use crate::receive::streams::is_stream;
use crate::ship::Adoption;
use crate::ship::window::FIRST_TRACK;
use crate::tail::Missed;

/// Why lines are lost that a WAL held which was set back.
const SET_BACK: &str = "wal_set_back";

/// What is still to be told of sources that the hub has in parts.
#[derive(Debug, Default)]
pub(super) struct Owed {
    losses: Vec<Loss>,
    /// They bear their losses until these are told.
    positions: Vec<SourcePosition>,
}

impl Owed {
    /// What `positions` bear, noticed `now`.
    pub(super) fn of(positions: &[SourcePosition], now: Timestamp) -> Self {
        let positions: Vec<SourcePosition> = positions.iter().filter(|position| position.missing > 0).cloned().collect();
        let losses = positions.iter().map(|position| {
            let bytes = (position.missing != SourcePosition::MISSING_UNKNOWN).then_some(position.missing);
            Loss { lines: None, bytes, min: now, max: now, reason: SET_BACK.to_owned(), source: position.path.clone() }
        });
        Self { losses: losses.collect(), positions }
    }
}

impl Desk {
    /// The hub knows more than the WAL: what was read is forgotten, the WAL begins anew behind it, reading goes on there.
    pub(super) fn adopt(&mut self, adoption: Adoption, now: Timestamp) -> (Result<(), WalFault>, oneshot::Sender<Result<(), WalFault>>) {
        let Adoption { track, producer, last, chain, positions, older, is_whole, done } = adoption;
        if track < self.track {
            // Nothing joins it any more: the sources are not its.
            let adopted = self.lock().adopt_numbers(track, producer, last, chain);
            return (adopted, done);
        }
        // What waits for a sync tells positions too.
        if let Err(fault) = self.lock().sync() {
            return (Err(fault), done);
        }
        let Rejoined { positions, cuts, losses, doubtful, lost_streams } =
            if track == FIRST_TRACK { self.returned(track, positions) } else { self.rejoined(track, &positions, &older, is_whole) };
        for position in &positions {
            tracing::debug!(
                path = position.path,
                resume = position.resume,
                from = position.from,
                missing = position.missing,
                track = position.track,
                "read on here"
            );
        }
        for (track, next) in &cuts {
            tracing::warn!(
                track = track.0,
                next = next.0,
                "batches from this one on are void: the hub has their lines under a later track, or they are read again"
            );
        }
        self.gather.clear();
        self.pending = None;
        let lost = self.streams.discard();
        if lost > 0 {
            tracing::error!(lost, "lines of senders that wait for no answer are lost with the WAL that was set back");
            self.status.lost(SET_BACK, Some(lost));
        }
        // The hub knows files; cursors of pulled sources are known here alone.
        let all: Vec<SourcePosition> = positions.iter().chain(self.streams.cursors()).cloned().collect();
        let adopted = self.lock().adopt_with_cuts(track, producer, (last, chain), &all, &cuts);
        if adopted.is_ok() {
            self.track = track;
            self.owed = Owed::of(&positions, now);
            self.owed.losses.extend(losses);
            let missed = |source| Missed { source, reason: SET_BACK, bytes: None, noticed: now };
            self.missed.extend(doubtful.into_iter().map(|position| missed(position.path)));
            self.missed.extend(lost_streams.then(|| missed(String::new())));
            if !cfg!(planted = "hub_positions_ignored") {
                self.tail.adopt(positions);
            }
            self.next_discovery = Timestamp::MIN;
            self.hub_awaited_until = None;
        }
        // Before anything else is: what the positions bear is lost with the next ones.
        let told = adopted.and_then(|()| match self.tell_owed(now) {
            // The tracks must be joined for the hub to make room; what is owed is told before the next line.
            Err(WalFault::Full { .. } | WalFault::DiskFull { .. }) => Ok(()),
            told => told,
        });
        let told = told.and_then(|()| self.lock().sync());
        (told, done)
    }

    /// Losses that positions bear become losses of their own.
    pub(super) fn tell_owed(&mut self, now: Timestamp) -> Result<(), WalFault> {
        while let Some(loss) = self.owed.losses.first() {
            self.lock().append_loss(self.track, loss, &[], now)?;
            self.status.lost(&loss.reason, loss.lines);
            self.status.missed(&self.job_of(&loss.source), &loss.reason, loss.bytes);
            self.owed.losses.remove(0);
        }
        if !self.owed.positions.is_empty() {
            let told: Vec<_> = self.owed.positions.iter().map(|position| SourcePosition { missing: 0, ..position.clone() }).collect();
            self.lock().append_positions(&told)?;
            self.owed.positions.clear();
        }
        Ok(())
    }

    /// The one track of a WAL: the hub's word is all there is.
    fn returned(&self, track: TrackId, mut positions: Vec<SourcePosition>) -> Rejoined {
        positions.retain(|position| !is_stream(position));
        let mut waiting = self.lock().sources_unacked(track);
        waiting.retain(|position| !is_stream(position));
        positions.extend(self.untold(&positions, &waiting));
        Rejoined { positions, ..Rejoined::default() }
    }

    /// A track beside others, or the one that a WAL lacks which was set back to before it began.
    fn rejoined(&self, track: TrackId, told: &[SourcePosition], older: &[SourcePosition], is_whole: bool) -> Rejoined {
        let wal = self.lock();
        let mut rejoin = Rejoin::new(told, older);
        for before in wal.tracks().into_iter().filter(|state| state.track < track && !state.closed) {
            wal.each_unacked(before.track, &mut |entry| rejoin.older(before.track, entry));
        }
        wal.each_unacked(track, &mut |entry| rejoin.void(entry));
        rejoin.finish(track, &wal.positions(), is_whole)
    }

    /// Where sources of which the hub says nothing are to be read from; `waiting` are those of void lines.
    fn untold(&self, told: &[SourcePosition], waiting: &[SourcePosition]) -> Vec<SourcePosition> {
        let told: BTreeSet<_> = told.iter().map(|position| position.identity).collect();
        let known = self.recovered.iter().filter(|position| !is_stream(position)).chain(waiting).map(|position| (position.identity, position));
        let untold: BTreeMap<_, _> = known.filter(|(identity, _)| !told.contains(identity)).collect();
        // Nothing of it was ever stored: it is looked for by its identity, and read again from where this edge began.
        let begun = |position: &SourcePosition| SourcePosition { track: 0, from: 0, done: position.done, ..back_to(position, position.begun) };
        untold.into_values().map(begun).collect()
    }

    /// The hub's word on the sources: it counts where positions are in doubt.
    pub(super) fn hub_told(&mut self, positions: Vec<SourcePosition>) {
        if self.hub_awaited_until.take().is_some() {
            let advanced = self.tail.advance(positions);
            tracing::warn!(advanced, "the WAL was damaged: sources that the hub knows further on are read from there");
        }
    }
}
