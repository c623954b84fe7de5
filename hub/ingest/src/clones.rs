//! Which edge processes were seen to open a track, so that two that share one WAL show.
//!
//! Pure. Two processes of one identity fence each other in turn; one process that was restarted never comes
//! back under its old nonce. Parts: [`Clones`]. Promises: a track is called cloned only when the same process came
//! back twice after another had opened it (an opening that lay in a socket makes one such return, not two).
//! Bounded by [`TRACKS_KEPT`]. Must not do: quarantine.

use std::collections::{BTreeMap, VecDeque};

use proto_model::TrackId;

use crate::request::Speaker;

/// Tracks remembered; others are forgotten as they come. What is forgotten is found out later.
const TRACKS_KEPT: usize = 10_000;
/// Processes remembered of one track.
const NONCES_KEPT: usize = 4;

type Nonce = [u8; 16];

/// The openings seen by this hub.
#[derive(Debug, Clone, Default)]
pub struct Clones {
    tracks: BTreeMap<(Speaker, TrackId), VecDeque<(Nonce, u32)>>,
}

impl Clones {
    /// Whether an opening by `nonce`, of a track that `before` opened last, shows a clone.
    #[must_use]
    pub fn shows(&self, speaker: &Speaker, track: TrackId, nonce: Nonce, before: Option<Nonce>) -> bool {
        let Some(seen) = self.tracks.get(&(speaker.clone(), track)) else { return false };
        before.is_some_and(|before| before != nonce) && seen.iter().any(|(known, returns)| *known == nonce && *returns > 0)
    }

    /// Takes note of an opening that stands.
    pub fn opened(&mut self, speaker: &Speaker, track: TrackId, nonce: Nonce, before: Option<Nonce>) {
        let key = (speaker.clone(), track);
        if self.tracks.len() >= TRACKS_KEPT && !self.tracks.contains_key(&key) {
            self.tracks.pop_first();
        }
        let seen = self.tracks.entry(key).or_default();
        match seen.iter_mut().find(|(known, _)| *known == nonce) {
            Some((_, returns)) if before.is_some_and(|before| before != nonce) => *returns += 1,
            Some(_) => {}
            None => {
                seen.push_back((nonce, 0));
                if seen.len() > NONCES_KEPT {
                    seen.pop_front();
                }
            }
        }
    }

    /// Forgets a track: its producer was set aside, whoever comes next is judged afresh.
    pub fn forget(&mut self, speaker: &Speaker, track: TrackId) {
        self.tracks.remove(&(speaker.clone(), track));
    }
}

#[cfg(test)]
mod tests;
