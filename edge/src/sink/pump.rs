//! One sink: WAL -> lines -> requests -> cursor, for ever.
//!
//! Parts: [`Pump::run`] (reads while there is room, sends, moves the cursor; the [`Ledger`] decides, this awaits). Promises: the
//! cursor is on disk before it counts as passed, unless the disk refuses it; where the WAL moves the sink on, lines that had not begun their way are lost and counted, one
//! by one; what was on its way arrives, or is counted when it is given up or the edge ends first.
//! Must not do: judge answers (`push.rs`), or trim (`keeper.rs`).

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use edge_wal::{Cursor, SinkEntry, SinkId, WalReader, reason};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use proto_model::Timestamp;
use proto_seam::World;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cursor::CursorFile;
use super::ledger::{Ledger, Ticket};
use super::push::Pusher;
use super::unpack::unpack;
use crate::ship::Mark;

/// Tenants whose requests are on their way at once: one that is throttled does not hold up the others.
const TENANTS_AT_ONCE: usize = 8;
/// Between two looks whether the WAL moved the cursor, or could not be read.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A request that is on its way when the edge stops has so long to be answered.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// A batch of the WAL that is none.
const UNREADABLE: &str = "unreadable";

/// One sink at work.
pub(super) struct Pump {
    pub(super) id: SinkId,
    pub(super) pusher: Arc<Pusher>,
    pub(super) reader: Arc<WalReader>,
    pub(super) cursor: Option<CursorFile>,
    pub(super) ledger: Ledger,
    /// How far it has read.
    pub(super) read: Cursor,
    /// How far it is.
    pub(super) passed: Cursor,
    /// Nothing more lies in the WAL.
    pub(super) is_drained: bool,
    pub(super) durable: watch::Receiver<Mark>,
    pub(super) world: World,
    pub(super) began: Instant,
    pub(super) stop: CancellationToken,
}

impl Pump {
    /// Time since the start: a wall clock that is set would stretch waits.
    fn now(&self) -> Timestamp {
        Timestamp(0).plus(self.began.elapsed())
    }

    pub(super) async fn run(mut self) {
        let mut flights = FuturesUnordered::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            self.heed_cut().await;
            if self.ledger.has_room() && !self.is_drained {
                self.take_next().await;
            }
            // While there is more to read, requests fill up.
            if self.is_drained || !self.ledger.has_room() {
                self.ledger.seal(self.now());
            }
            while let Some(parcel) = self.ledger.next(TENANTS_AT_ONCE) {
                let pusher = Arc::clone(&self.pusher);
                flights.push(async move { pusher.deliver(parcel).await });
            }
            let due = self.ledger.due_in(self.now()).filter(|_| self.is_drained);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(landed) = flights.next(), if !flights.is_empty() => self.landed(landed).await,
                () = ready(()), if self.ledger.has_room() && !self.is_drained => {}
                Ok(()) = self.durable.changed() => self.is_drained = false,
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {}
                _ = look.tick() => self.look(),
            }
        }
        // What is answered yet is not sent again by the next start.
        let last = async {
            while let Some(landed) = flights.next().await {
                self.landed(landed).await;
            }
        };
        if tokio::time::timeout(LAST_WAIT, last).await.is_err() {
            tracing::info!(client = self.pusher.http.target().name, "a push without an answer is left; it is sent again at the next start");
        }
        self.look();
        let there = self.reader.batches_after(self.passed);
        self.lost(reason::WAL_GONE, self.ledger.left_behind(|at| there.contains(&at)));
    }

    /// The WAL may have moved this sink on, since it could not keep all that it was due.
    async fn heed_cut(&mut self) {
        let passed = self.reader.sink_passed(self.id);
        if passed <= self.passed {
            return;
        }
        let lines = self.ledger.cut(passed);
        self.lost(reason::SINK_LAG, lines);
        (self.read, self.is_drained) = (self.read.max(passed), false);
        self.step(passed).await;
    }

    fn look(&mut self) {
        self.is_drained = false;
        for lost in self.reader.take_sink_lost(self.id) {
            self.lost(&lost.reason, lost.lines);
        }
    }

    fn lost(&self, reason: &str, lines: u64) {
        if lines > 0 {
            let client = &self.pusher.http.target().name;
            tracing::error!(client, reason, lines, "the WAL could not keep lines for a client: they are lost to it");
            self.pusher.lost(reason, lines);
        }
    }

    /// Reads the next batch.
    async fn take_next(&mut self) {
        self.durable.mark_unchanged();
        let (reader, id, after, pusher) = (Arc::clone(&self.reader), self.id, self.read, Arc::clone(&self.pusher));
        let read = move || {
            reader.next_for(id, after).map(|entry| {
                entry.map(|SinkEntry { at, body, lines, .. }| {
                    let target = pusher.http.target();
                    (at, lines, unpack(body, &target.settings.tenant_id, &target.labels))
                })
            })
        };
        let now = self.now();
        let moved = match self.world.workers.run(read).await {
            Ok(Some((at, _, Ok(portions)))) => {
                self.read = at;
                self.ledger.add(at, portions, now)
            }
            Ok(Some((at, lines, Err(fault)))) => {
                tracing::error!(client = self.pusher.http.target().name, %fault, "a batch of the WAL cannot be unpacked: it is lost to this client");
                self.pusher.lost(UNREADABLE, lines);
                self.read = at;
                self.ledger.add(at, super::unpack::Portions::new(), now)
            }
            Ok(None) => {
                self.is_drained = true;
                None
            }
            Err(fault) => {
                tracing::warn!(%fault, "the WAL cannot be read for a client: it is tried again");
                self.is_drained = true;
                None
            }
        };
        if let Some(at) = moved {
            self.step(at).await;
        }
    }

    async fn landed(&mut self, landed: Option<Ticket>) {
        let moved = landed.and_then(|ticket| self.ledger.done(&ticket));
        if let Some(at) = moved {
            self.step(at).await;
        }
    }

    /// All up to `at` is delivered, or lost and counted.
    async fn step(&mut self, at: Cursor) {
        if let Some(mut cursor) = self.cursor.take() {
            let (cursor, done) = self
                .world
                .workers
                .run(move || {
                    let done = cursor.step(at);
                    (cursor, done)
                })
                .await;
            self.cursor = Some(cursor);
            if let Err(fault) = done {
                tracing::warn!(client = self.pusher.http.target().name, %fault, "a client's cursor cannot be written: a restart may send lines again");
            }
        }
        self.reader.passed(self.id, at);
        // The WAL may have moved it further meanwhile.
        self.passed = self.passed.max(at);
    }
}
