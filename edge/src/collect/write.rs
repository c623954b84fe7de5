//! What was gathered, into the WAL: batches with the positions after them, losses, the last words.
//!
//! What the WAL does not take now waits in `pending` and is written first. Must not do: read sources.

use edge_wal::{Loss, SourcePosition, WalFault};
use proto_model::Timestamp;

use super::Desk;
use crate::receive::Delivery;
use crate::ship::Mark;
use crate::tail::Missed;

impl Desk {
    /// Writes what was gathered, with the positions after it, then what was missed.
    pub(super) fn freeze(&mut self, now: Timestamp) -> Result<(), WalFault> {
        self.tell_owed(now)?;
        self.append(now)?;
        while let Some(missed) = self.missed.first() {
            let (reason, source) = (missed.reason.to_owned(), missed.source.clone());
            let loss = Loss { lines: None, bytes: missed.bytes, min: missed.noticed, max: missed.noticed, reason, source };
            // One that the WAL does not take now waits.
            self.lock().append_loss(self.track, &loss, &[], now)?;
            self.status.lost(&loss.reason, None);
            self.status.missed(&self.job_of(&loss.source), &loss.reason, loss.bytes);
            self.missed.remove(0);
        }
        Ok(())
    }

    fn append(&mut self, now: Timestamp) -> Result<(), WalFault> {
        self.append_pending(now)?;
        if self.gather.due_in(now).is_none() {
            self.pending = Some((None, self.take_positions()));
            return self.append_pending(now);
        }
        let frozen = match self.gather.freeze() {
            Ok(frozen) => frozen,
            Err(fault) => {
                // Only labels without bound can do this; the lines are counted, not silently gone.
                tracing::error!(%fault, "a batch could not be packed and is given up");
                self.missed.push(Missed { source: String::new(), reason: "unpackable", bytes: Some(self.gather.raw_bytes()), noticed: now });
                return Ok(());
            }
        };
        self.pending = Some((Some(frozen), self.take_positions()));
        self.append_pending(now)
    }

    fn take_positions(&mut self) -> Vec<SourcePosition> {
        let mut positions = self.tail.take_positions();
        positions.append(&mut self.streams.freeze());
        positions
    }

    fn append_pending(&mut self, now: Timestamp) -> Result<(), WalFault> {
        let Some((frozen, positions)) = &self.pending else { return Ok(()) };
        if let Some(frozen) = frozen {
            self.lock().append_batch(self.track, frozen, positions, now)?;
            self.metrics.gathered(frozen.lines, frozen.raw_bytes, frozen.body.len() as u64);
        } else if !positions.is_empty() {
            self.lock().append_positions(positions)?;
        }
        self.pending = None;
        self.streams.written();
        Ok(())
    }

    /// The last words: what was gathered and handed in becomes durable.
    pub(super) fn close(&mut self, now: Timestamp, deliveries: Vec<Delivery>) -> Mark {
        self.streams.accept(deliveries);
        match self.close_all(now) {
            Ok(()) => self.streams.synced(),
            Err(fault) => tracing::error!(%fault, "the last lines could not be written; they are read again at the next start"),
        }
        self.durable()
    }

    fn close_all(&mut self, now: Timestamp) -> Result<(), WalFault> {
        self.append_pending(now)?;
        while !self.streams.is_empty() && self.make_room(now)? {
            self.take_deliveries(now)?;
        }
        self.freeze(now)?;
        self.lock().sync()
    }
}
