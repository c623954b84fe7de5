//! `clients`: any number of Lokis (or hubs' push APIs) that are pushed to from the same WAL, beside a hub or without one.
//!
//! ```text
//!  WAL ─► unpack ─► ledger ─► push ─► Loki        a pump for each client: none waits for another, nor for the hub
//!    ▲ passed ◄──── cursor ◄────┘                 keeper: who lags too far is moved on; trim
//! ```
//!
//! Parts: [`Sinks`] (start, reload, end); [`target`] (a client, checked), `pump` (one client's task), `unpack` and `ledger`
//! (pure: lines to requests, and the cursor behind them), `push` (one request until it is taken), `http`, `tls` and `oauth2`
//! (how it is sent), `cursor` (on disk), `keeper` (all of them and the WAL), [`metrics`]. Promises: a line that is in the WAL reaches every
//! client at least once, in order within its stream; after a crash what was on its way is sent again, no more; what a client
//! does not get is counted for it by reason. Must not do: append to the WAL, or hold back the hub.

mod cursor;
mod http;
mod keeper;
mod ledger;
pub mod metrics;
mod oauth2;
mod pump;
mod push;
pub mod target;
mod tls;
mod unpack;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edge_wal::{Cursor, SinkId, WalReader};
use proto_model::WalId;
use proto_seam::World;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ship::{Mark, SharedWal};
use crate::status::Status;
use cursor::{CursorFile, Told};
use http::Http;
use keeper::Keeper;
use ledger::Ledger;
use metrics::SinkMetrics;
use pump::Pump;
use push::Pusher;
pub use target::{Target, Unfit};

/// What sinks are run with.
pub struct SinkParts {
    /// The world.
    pub world: World,
    /// The WAL, for trimming.
    pub wal: SharedWal,
    /// The WAL, for reading.
    pub reader: WalReader,
    /// The WAL's id.
    pub wal_id: WalId,
    /// The WAL's folder.
    pub dir: PathBuf,
    /// Told when more is durable.
    pub durable: watch::Receiver<Mark>,
    /// Whether a hub acknowledges too.
    pub has_hub: bool,
    /// What a sink may keep in the WAL that others have passed, in bytes.
    pub lag_max: u64,
    /// How long a line waits before it is in the WAL: that much of a client's `batchwait` has passed then.
    pub gathered_for: Duration,
    /// Counters.
    pub metrics: SinkMetrics,
    /// What pages show.
    pub status: Status,
    /// Ends them.
    pub stop: CancellationToken,
}

/// All sinks at work.
pub struct Sinks {
    parts: SinkParts,
    tasks: JoinSet<()>,
    running: Vec<(SinkId, Arc<Pusher>)>,
    /// Ends these; a reload begins others.
    own_stop: CancellationToken,
    id_next: u64,
}

impl Sinks {
    /// None yet.
    #[must_use]
    pub fn new(parts: SinkParts) -> Self {
        let own_stop = parts.stop.child_token();
        Self { parts, tasks: JoinSet::new(), running: Vec::new(), own_stop, id_next: 1 }
    }

    /// Pushes to `targets` from now on, and to no others. Those that go on are where they were.
    ///
    /// # Errors
    /// A task of the sinks before failed.
    pub async fn replace(&mut self, targets: Vec<Target>) -> Result<(), String> {
        self.own_stop.cancel();
        self.joined().await?;
        self.own_stop = self.parts.stop.child_token();
        let before = std::mem::take(&mut self.running);
        for (_, pusher) in &before {
            self.parts.metrics.end(pusher.http.target());
        }
        self.forget_others(&targets).await;
        for target in targets {
            self.start(target).await;
        }
        // Only now: what those that go on have yet to get must not leave the WAL between.
        for (id, _) in before {
            self.parts.reader.remove_sink(id);
        }
        self.parts.status.sink_targets(self.parts.metrics.clone(), self.running.iter().map(|(_, pusher)| pusher.http.target().clone()).collect());
        if !self.running.is_empty() || !self.parts.has_hub {
            let SinkParts { wal, reader, has_hub, lag_max, status, world, .. } = &self.parts;
            let keeper = Keeper {
                sinks: self.running.clone(),
                reader: reader.clone(),
                wal: Arc::clone(wal),
                has_hub: *has_hub,
                lag_max: *lag_max,
                status: status.clone(),
                world: world.clone(),
                stop: self.own_stop.clone(),
            };
            self.tasks.spawn(keeper.run());
        }
        Ok(())
    }

    async fn joined(&mut self) -> Result<(), String> {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(failed) = ended {
                result = Err(format!("a client's task failed: {failed}"));
            }
        }
        result
    }

    /// Waits until all have ended.
    ///
    /// # Errors
    /// A task failed.
    pub async fn ended(mut self) -> Result<(), String> {
        self.joined().await
    }

    /// Waits until one fails: nothing else ends them before a stop.
    pub async fn failed(&mut self) -> String {
        loop {
            match self.tasks.join_next().await {
                Some(Err(failed)) => return format!("a client's task failed: {failed}"),
                Some(Ok(())) => {}
                None => std::future::pending().await,
            }
        }
    }

    async fn forget_others(&self, targets: &[Target]) {
        let keys: Vec<String> = targets.iter().map(Target::key).collect();
        let (dir, disk) = (self.parts.dir.clone(), Arc::clone(&self.parts.world.disk));
        match self.parts.world.workers.run(move || cursor::forget_others(&dir, &keys, disk.as_ref())).await {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "cursors of clients that are not in the settings any more are forgotten"),
            Err(fault) => tracing::warn!(%fault, "cursors of clients that are not in the settings any more cannot be removed"),
        }
    }

    async fn start(&mut self, target: Target) {
        let SinkParts { world, reader, wal_id, dir, durable, gathered_for, metrics, .. } = &self.parts;
        let (file_dir, key, disk, wal_id) = (dir.clone(), target.key(), Arc::clone(&world.disk), *wal_id);
        let (file, told) = world.workers.run(move || CursorFile::open(&file_dir, &key, wal_id, disk)).await;
        let passed = told_of(&target, told);
        let id = SinkId(self.id_next);
        self.id_next += 1;
        reader.add_sink(id, passed);
        metrics.begin(&target);
        let wait = target.settings.batch_wait.0.saturating_sub(*gathered_for);
        let size_max = target.settings.batch_size.0;
        let pusher = Arc::new(Pusher {
            entropy: world.entropy.fork(&format!("sink {}", target.name)),
            http: Http::new(target, world.clone()),
            metrics: metrics.clone(),
            world: world.clone(),
            tally: Arc::default(),
            stop: self.own_stop.clone(),
        });
        let pump = Pump {
            id,
            pusher: Arc::clone(&pusher),
            reader: Arc::new(reader.clone()),
            cursor: Some(file),
            ledger: Ledger::new(size_max, wait),
            read: passed,
            passed,
            is_drained: false,
            durable: durable.clone(),
            world: world.clone(),
            began: Instant::now(),
            stop: self.own_stop.clone(),
        };
        self.tasks.spawn(pump.run());
        self.running.push((id, pusher));
    }
}

/// Where a sink begins, told where that is not where it was.
fn told_of(target: &Target, told: std::io::Result<Told>) -> Cursor {
    let (client, host) = (target.name.as_str(), target.host.as_str());
    match told {
        Ok(Told::At(cursor)) => return cursor,
        Ok(Told::Nothing) => tracing::info!(client, host, "a client without a cursor gets all that lies in the WAL"),
        Ok(Told::Unusable) => tracing::warn!(client, host, "a client's cursor is damaged, or of another WAL: it gets all that lies in the WAL"),
        Err(fault) => tracing::error!(client, host, %fault, "a client's cursor cannot be read: it gets all that lies in the WAL"),
    }
    Cursor::default()
}
