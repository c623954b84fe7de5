//! What sinks keep in the WAL, and how they do.
//!
//! [`Keeper::run`]: every two seconds, sinks that lag too far are moved on; without a hub, what all have passed counts as
//! acknowledged; the WAL is trimmed; status and metrics are told. Must not do: send.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use edge_wal::{SinkId, WalReader};
use proto_model::Timestamp;
use proto_seam::World;
use tokio_util::sync::CancellationToken;

use super::push::Pusher;
use crate::ship::{SharedWal, with_wal};
use crate::status::{SinkReport, Status};

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(2);

/// Keeps the sinks' books.
pub(super) struct Keeper {
    pub(super) sinks: Vec<(SinkId, Arc<Pusher>)>,
    pub(super) reader: WalReader,
    pub(super) wal: SharedWal,
    pub(super) has_hub: bool,
    pub(super) lag_max: u64,
    pub(super) status: Status,
    pub(super) world: World,
    pub(super) stop: CancellationToken,
}

impl Keeper {
    pub(super) async fn run(self) {
        let mut round = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                _ = round.tick() => self.round().await,
            }
        }
    }

    async fn round(&self) {
        let (reader, lag_max, has_hub) = (self.reader.clone(), self.lag_max, self.has_hub);
        let now = Timestamp(self.world.clock.now_ns());
        let kept = with_wal(&self.world, &self.wal, move |wal| {
            reader.cut_sinks(lag_max);
            if !has_hub {
                wal.ack_passed()?;
            }
            wal.trim(now)
        });
        if let Err(fault) = kept.await {
            tracing::warn!(%fault, "the WAL could not be trimmed");
        }
        self.report(now);
    }

    fn report(&self, now: Timestamp) {
        let report = |(id, pusher): &(SinkId, Arc<Pusher>)| {
            let (usage, target) = (self.reader.sink_usage(*id), pusher.http.target());
            pusher.metrics.stands(&target.name, &usage, now);
            let tally = pusher.tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
            SinkReport {
                client: target.name.clone(),
                host: target.host.clone(),
                lag_bytes: usage.lag_bytes,
                lag_s: usage.oldest.map_or(0, |oldest| now.since(oldest).as_secs()),
                sent_lines: tally.sent_lines,
                lost_lines: tally.lost_lines,
                trouble: tally.trouble,
            }
        };
        self.status.sinks(self.sinks.iter().map(report).collect());
    }
}
