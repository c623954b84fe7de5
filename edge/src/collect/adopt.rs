//! The hub's word on the sources, where a WAL knows less.
//!
//! Parts: [`Desk::adopt`] (a WAL that is new or was set back goes on where the hub stands), [`Desk::hub_told`] (one that was damaged). Promises: no line
//! that a hub has is read again where the hub's word tells of its source; what cannot be told is counted. Must not do: talk to the hub.

use std::collections::{BTreeMap, BTreeSet};

use edge_wal::{SourcePosition, WalFault};
use proto_model::Timestamp;
use tokio::sync::oneshot;

use super::Desk;
use crate::receive::streams::is_stream;
use crate::ship::Adoption;
use crate::ship::window::FIRST_TRACK;
use crate::tail::Missed;

impl Desk {
    /// The hub knows more than the WAL: what was read is forgotten, the WAL begins anew behind it, reading goes on there.
    pub(super) fn adopt(&mut self, adoption: Adoption, now: Timestamp) -> (Result<(), WalFault>, oneshot::Sender<Result<(), WalFault>>) {
        let Adoption { track, producer, last, chain, mut positions, done } = adoption;
        positions.retain(|position| !is_stream(position));
        let mut waiting = self.lock().sources_unacked(track);
        waiting.retain(|position| !is_stream(position));
        // The hub's word is all there is, unless another track of this WAL had a part of the sources.
        positions.extend(self.untold(&positions, &waiting, self.track == FIRST_TRACK, now));
        self.gather.clear();
        self.pending = None;
        let lost = self.streams.discard();
        if lost > 0 {
            tracing::error!(lost, "lines of senders that wait for no answer are lost with the WAL that was set back");
            self.status.lost("wal_set_back", Some(lost));
        }
        // The hub knows files; cursors of pulled sources are known here alone.
        let all: Vec<SourcePosition> = positions.iter().chain(self.streams.cursors()).cloned().collect();
        let adopted = self.lock().adopt(track, producer, last, chain, &all);
        if adopted.is_ok() {
            if !cfg!(planted = "hub_positions_ignored") {
                self.tail.adopt(positions);
            }
            self.next_discovery = Timestamp::MIN;
            self.hub_awaited_until = None;
        }
        (adopted, done)
    }

    /// Where sources of which the hub says nothing are to be read from. Lines of those that are `waiting` are void here and not with the hub.
    fn untold(&mut self, told: &[SourcePosition], waiting: &[SourcePosition], hub_knows_all: bool, now: Timestamp) -> Vec<SourcePosition> {
        let told: BTreeSet<_> = told.iter().map(|position| position.identity).collect();
        let is_void: BTreeSet<_> = waiting.iter().map(|position| position.identity).collect();
        let known = self.recovered.iter().filter(|position| !is_stream(position)).chain(waiting).map(|position| (position.identity, position.clone()));
        let mut untold: BTreeMap<_, _> = known.filter(|(identity, _)| !told.contains(identity)).collect();
        for (identity, position) in &mut untold {
            if hub_knows_all {
                // Nothing of it was ever stored: it is looked for by its identity, and read again from where this edge began.
                *position = SourcePosition { offset: position.begun, resume: position.begun, held: Default::default(), gone: false, ..position.clone() };
            } else if is_void.contains(identity) {
                // A part of it may be stored: what lies before is not read again, and counted as lost.
                self.missed.push(Missed { source: position.path.clone(), reason: "wal_set_back", bytes: None, noticed: now });
            }
        }
        untold.into_values().collect()
    }

    /// The hub's word on the sources: it counts where positions are in doubt.
    pub(super) fn hub_told(&mut self, positions: Vec<SourcePosition>) {
        if self.hub_awaited_until.take().is_some() {
            let advanced = self.tail.advance(positions);
            tracing::warn!(advanced, "the WAL was damaged: sources that the hub knows further on are read from there");
        }
    }
}
