//! Pieces of GELF messages, put together.
//!
//! Pure. A piece is `1e 0f`, eight bytes of name, its number, how many there are, and its bytes. Limits: 128 pieces a message, [`MESSAGES_MAX`] messages
//! and [`BYTES_MAX`] bytes under way, five seconds for all pieces of one; beyond it the oldest is given up and counted.

use std::collections::BTreeMap;
use std::time::Duration;

/// Pieces of one message.
const PIECES_MAX: u8 = 128;
/// Messages under way.
pub(super) const MESSAGES_MAX: usize = 1_024;
/// Their bytes.
pub(super) const BYTES_MAX: usize = 16 * 1024 * 1024;
/// For the last piece after the first.
const WAIT: Duration = Duration::from_secs(5);
const HEAD_BYTES: usize = 12;

/// Messages under way.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    under_way: BTreeMap<[u8; 8], Pieces>,
    bytes: usize,
    lost: u64,
}

#[derive(Debug)]
struct Pieces {
    since: Duration,
    pieces: Vec<Option<Vec<u8>>>,
    bytes: usize,
}

impl Chunks {
    /// Messages given up since the last call.
    pub(super) const fn take_lost(&mut self) -> u64 {
        std::mem::replace(&mut self.lost, 0)
    }

    /// A datagram received at `now`: a whole message, the last piece of one, or `None`.
    ///
    /// # Errors
    /// When it is a piece that cannot be one.
    pub(super) fn take(&mut self, datagram: &[u8], now: Duration) -> Result<Option<Vec<u8>>, ()> {
        self.expire(now);
        let [0x1e, 0x0f, ..] = datagram else { return Ok((!datagram.is_empty()).then(|| datagram.to_vec())) };
        let (head, piece) = datagram.split_at_checked(HEAD_BYTES).ok_or(())?;
        let name: [u8; 8] = head[2..10].try_into().map_err(|_| ())?;
        let (number, count) = (usize::from(head[10]), head[11]);
        if count == 0 || count > PIECES_MAX || number >= usize::from(count) {
            return Err(());
        }
        let message = self.under_way.entry(name).or_insert_with(|| Pieces { since: now, pieces: vec![None; usize::from(count)], bytes: 0 });
        if message.pieces.len() != usize::from(count) {
            return Err(());
        }
        if message.pieces[number].is_none() {
            message.pieces[number] = Some(piece.to_vec());
            message.bytes += piece.len();
            self.bytes += piece.len();
        }
        if message.pieces.iter().all(Option::is_some) {
            let whole = self.under_way.remove(&name);
            self.bytes -= whole.as_ref().map_or(0, |whole| whole.bytes);
            return Ok(whole.map(|whole| whole.pieces.into_iter().flatten().flatten().collect()));
        }
        while self.under_way.len() > MESSAGES_MAX || self.bytes > BYTES_MAX {
            self.give_up_oldest();
        }
        Ok(None)
    }

    fn expire(&mut self, now: Duration) {
        let (bytes, lost) = (&mut self.bytes, &mut self.lost);
        self.under_way.retain(|_, message| {
            let is_fresh = now.saturating_sub(message.since) < WAIT;
            if !is_fresh {
                *bytes -= message.bytes;
                *lost += 1;
            }
            is_fresh
        });
    }

    fn give_up_oldest(&mut self) {
        let oldest = self.under_way.iter().min_by_key(|(_, message)| message.since).map(|(name, _)| *name);
        if let Some(message) = oldest.and_then(|name| self.under_way.remove(&name)) {
            self.bytes -= message.bytes;
            self.lost += 1;
        }
    }
}

#[cfg(test)]
mod tests;
