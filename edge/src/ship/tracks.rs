//! All tracks of one edge in one session: which is opened, which sends, which is done.
//!
//! Pure. [`Tracks`] holds a [`Window`] per track that is not closed, oldest first; the newest is the live one. Promises:
//! older tracks drain first in, first out, beside the live one by [`Share`] and [`Drain`]; a track is closed only when
//! the hub has all of it and the newest is bound. Must not do: read the WAL, send.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_model::{Chain, Epoch, ProducerId, Sequence, Timestamp, TrackId};
use proto_wire::edge_hub::RefuseCode;
use proto_wire::edge_hub::message::Kind;

use super::share::{Drain, MESSAGE_BYTES_MIN, Share, Turn};
use super::window::{FIRST_TRACK, Standing, Step, Window};

/// A new track is opened when the oldest unacked batch of the newest one is older than this; a simulation makes it shorter.
pub const BACKLOG_AGE: Duration = Duration::from_secs(60);
/// Tracks that are not closed at the most; beyond it new batches join the newest.
pub const TRACKS_OPEN_MAX: usize = 8;

/// For so long a WAL that knows less than the hub must have been the only one to open its track. Whoever is fenced comes back after a second.
pub const ALONE: Duration = Duration::from_secs(10);

/// Who opened a track last, as far as this process knows: itself, since then.
#[derive(Debug)]
struct Held {
    producer: ProducerId,
    epoch: Epoch,
    since: Timestamp,
}

/// The tracks.
#[derive(Debug)]
pub struct Tracks {
    windows: BTreeMap<TrackId, Window>,
    /// Tracks of which the hub knows more than the WAL.
    held: BTreeMap<TrackId, Held>,
    /// A later track that a hub knows and this WAL, which was set back, does not: nothing is sent before it is known where that one stands.
    named: Option<TrackId>,
    /// The newest track as it stood open at a hub once, or was begun here.
    joined: Option<TrackId>,
    backlog_age: Duration,
    share: Share,
    drain: Drain,
}

impl Tracks {
    /// With the tracks that are not closed, the backlog's share per mille, and how old the oldest batch of one is.
    #[must_use]
    pub fn new(windows: impl IntoIterator<Item = Window>, (backlog_mille, backlog_age): (u32, Duration)) -> Self {
        let windows = windows.into_iter().map(|window| (window.track(), window)).collect();
        Self { windows, held: BTreeMap::new(), named: None, joined: None, backlog_age, share: Share::new(backlog_mille), drain: Drain::default() }
    }

    /// All windows, oldest track first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (TrackId, &Window)> {
        self.windows.iter().map(|(track, window)| (*track, window))
    }

    /// The window of a track.
    pub fn window(&mut self, track: TrackId) -> Option<&mut Window> {
        self.windows.get_mut(&track)
    }

    /// The newest track, which new batches join.
    #[must_use]
    pub fn newest(&self) -> Option<TrackId> {
        self.windows.keys().next_back().copied()
    }

    /// A track was begun, or is asked for again.
    pub fn add(&mut self, window: Window) {
        let track = window.track();
        self.windows.insert(track, window);
        if self.newest() == Some(track) {
            self.joined = Some(track);
        }
    }

    /// The hub knows `later` of this WAL, which does not; true when that is new.
    pub fn name(&mut self, later: TrackId) -> bool {
        if self.newest().is_none_or(|newest| later <= newest) || later.0 == u32::MAX {
            return false;
        }
        self.windows.insert(later, Window::new(later, None, Sequence(0), Chain::default()));
        self.named = Some(later);
        true
    }

    /// Whether the hub named `track`, and batches do not join it yet.
    #[must_use]
    pub fn is_named(&self, track: TrackId) -> bool {
        self.named == Some(track)
    }

    /// Whether all tracks before `track` are open: the hub has told where they stand.
    #[must_use]
    pub fn older_stand(&self, track: TrackId) -> bool {
        self.windows.range(..track).all(|(_, window)| *window.standing() == Standing::Open)
    }

    /// Whether the hub has told of all tracks up to `track` that this WAL ever had.
    #[must_use]
    pub fn is_whole(&self, track: TrackId) -> bool {
        self.windows.contains_key(&FIRST_TRACK) && self.older_stand(track)
    }

    /// The newest track stands at the hub, and what is read joins it.
    pub fn join(&mut self, track: TrackId) {
        if self.newest() == Some(track) {
            self.joined = Some(track);
            self.named = None;
        }
    }

    /// Whether it may be that a hub has more of this WAL than it knows itself: then nothing of it may be sent.
    fn is_unsure(&self) -> bool {
        let Some((newest, window)) = self.windows.iter().next_back() else { return false };
        self.joined != Some(*newest) && (self.named.is_some() || !window.is_set_aside())
    }

    /// A track is closed.
    pub fn remove(&mut self, track: TrackId) {
        self.windows.remove(&track);
    }

    /// The session is gone.
    pub fn closed(&mut self) {
        self.windows.values_mut().for_each(Window::closed);
        self.drain = Drain::default();
    }

    /// Tracks that must be opened at the hub now.
    #[must_use]
    pub fn to_open(&self, now: Timestamp) -> Vec<TrackId> {
        self.iter()
            .filter(|(track, window)| window.wants_open(now) && (self.named != Some(*track) || self.older_stand(*track)))
            .map(|(track, _)| track)
            .collect()
    }

    /// When a refused track asks again; `None` when none was refused.
    #[must_use]
    pub fn retry_at(&self) -> Option<Timestamp> {
        self.windows.values().filter_map(Window::retry_at).min()
    }

    /// How long the hub has not answered what is waited for.
    #[must_use]
    pub fn waited(&self, now: Timestamp) -> Duration {
        self.windows.values().map(|window| window.waited(now)).max().unwrap_or_default()
    }

    /// Whether nobody else opened `producer` for [`ALONE`], which the hub knows further on than the WAL of `track` does: only then does that WAL
    /// give up what it holds. It was set back; or it is a copy, whose owner comes back as soon as it is fenced. A WAL that was never bound is new.
    /// Else it is asked again later.
    pub fn is_alone(&mut self, track: TrackId, producer: ProducerId, now: Timestamp) -> bool {
        let Some(window) = self.windows.get_mut(&track) else { return true };
        let (bound, epoch, _) = window.report();
        if track == FIRST_TRACK && bound.is_none() {
            return true;
        }
        let goes_on = self.held.get(&track).filter(|held| (held.producer, held.epoch.0 + 1) == (producer, epoch.0));
        let since = goes_on.map_or(now, |held| held.since);
        self.held.insert(track, Held { producer, epoch, since });
        let is_alone = now.since(since) >= ALONE;
        if !is_alone {
            window.set_back(since.plus(ALONE));
        }
        is_alone
    }

    /// The track bound to this producer, other than `but`.
    #[must_use]
    pub fn bound_to(&self, producer: &[u8], but: TrackId) -> Option<TrackId> {
        let is_it = |window: &Window| window.report().0.is_some_and(|own| own.to_bytes() == producer);
        self.iter().find(|(track, window)| *track != but && is_it(window)).map(|(track, _)| track)
    }

    /// Decides on a message of the hub; the steps of each track, in order.
    pub fn hear(&mut self, kind: &Kind, now: Timestamp) -> Vec<(TrackId, Step)> {
        if let Kind::Welcome(welcome) = kind {
            let track = TrackId(welcome.track);
            if let Some(other) = self.bound_to(&welcome.producer, track).filter(|_| self.windows.contains_key(&track)) {
                self.ended_in(track, other, now);
                return Vec::new();
            }
        }
        let newest = self.newest();
        let mut out = Vec::new();
        let mut is_outdated = false;
        for (track, window) in &mut self.windows {
            let was_closing = *window.standing() == Standing::Closing;
            let steps = window.hear(kind, now);
            is_outdated |= was_closing && matches!(kind, Kind::Refuse(refuse) if refuse.code() == RefuseCode::RefuseFenced && window.retry_at().is_some());
            if Some(*track) != newest && steps.iter().any(|step| matches!(step, Step::Acked(_))) {
                let (bytes, took) = window.last_ack();
                self.drain.acked(bytes, took, now);
            }
            out.extend(steps.into_iter().map(|step| (*track, step)));
        }
        if is_outdated {
            // The hub writes another lane by now; of the newest track it would only say so when a batch comes.
            self.windows.values_mut().next_back().into_iter().filter(|window| *window.standing() == Standing::Open).for_each(Window::closed);
        }
        out
    }

    /// The hub names for `track` what another one is bound to: another WAL of this edge ended it there, and one numbering cannot
    /// serve two.
    fn ended_in(&mut self, track: TrackId, other: TrackId, now: Timestamp) {
        if let Some(window) = self.windows.get_mut(&track) {
            window.diverged(now);
        }
        // The hub allotted an epoch for the question; a Welcome that is still to come is newer than that.
        if let Some(window) = self.windows.get_mut(&other).filter(|window| *window.standing() == Standing::Open) {
            window.closed();
        }
    }

    /// The oldest of the older tracks that is open and has something unsent, if its window and the drain have room.
    fn backlog(&self, durable: impl Fn(TrackId) -> Sequence) -> Option<(TrackId, Sequence)> {
        let newest = self.newest()?;
        let older = || self.windows.range(..newest);
        let in_flight: u64 = older().map(|(_, window)| window.bytes_in_flight()).sum();
        let (track, window) = older().find(|(track, window)| window.has_unsent(durable(**track)))?;
        window.wanted(durable(*track)).filter(|_| self.drain.has_room(in_flight)).map(|sequence| (*track, sequence))
    }

    fn live(&self, durable: impl Fn(TrackId) -> Sequence) -> Option<(TrackId, Sequence)> {
        let (track, window) = self.windows.iter().next_back()?;
        window.wanted(durable(*track)).map(|sequence| (*track, sequence))
    }

    /// What to read from the WAL and send now; `durable` tells how far a track is durable.
    #[must_use]
    pub fn wanted(&self, durable: impl Fn(TrackId) -> Sequence) -> Option<(TrackId, Sequence)> {
        if self.is_unsure() {
            return None;
        }
        let (live, backlog) = (self.live(&durable), self.backlog(&durable));
        match self.share.turn(live.is_some(), backlog.is_some())? {
            Turn::Live => live,
            Turn::Backlog => backlog,
        }
    }

    /// A batch or gap of `track` ending at `to` was handed to the session.
    pub fn sent(&mut self, track: TrackId, to: Sequence, bytes: u64, durable: impl Fn(TrackId) -> Sequence, now: Timestamp) {
        let bytes = bytes.max(MESSAGE_BYTES_MIN);
        let is_live = self.newest() == Some(track);
        let (turn, other_waits) = if is_live { (Turn::Live, self.backlog(&durable).is_some()) } else { (Turn::Backlog, self.live(&durable).is_some()) };
        self.share.sent(turn, bytes, other_waits);
        if let Some(window) = self.windows.get_mut(&track) {
            window.sent(to, bytes, now);
        }
    }

    /// The oldest track, if a newer one is open and the hub has all of it: to be closed with the newest's producer as next.
    ///
    /// In order: what a track between two that are open had of a source would be known to no open one, and a WAL that is set back to before it
    /// would read that again. One that waits for an operator holds up nobody.
    #[must_use]
    pub fn drained(&self, durable: impl Fn(TrackId) -> Sequence) -> Option<(TrackId, ProducerId)> {
        let (newest, live) = self.windows.iter().next_back()?;
        let next = live.stamp().map(|(producer, _)| producer)?;
        let is_drained = |track: TrackId, window: &Window| *window.standing() == Standing::Open && window.report().2 >= durable(track);
        let (track, _) = self.windows.range(..newest).find(|(_, window)| !window.is_set_aside()).filter(|(track, window)| is_drained(**track, window))?;
        Some((*track, next))
    }

    /// Whether what is read from now on should have a track of its own; `oldest` is when the oldest unacked batch of the newest was written.
    #[must_use]
    pub fn wants_new(&self, oldest: Option<Timestamp>, now: Timestamp) -> bool {
        let is_open = self.windows.values().next_back().is_some_and(|window| *window.standing() == Standing::Open);
        is_open && self.windows.len() < TRACKS_OPEN_MAX && oldest.is_some_and(|oldest| now.since(oldest) > self.backlog_age)
    }
}

#[cfg(test)]
mod tests;
