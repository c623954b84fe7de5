//! What is sent to the edge, or pulled from another program: records that do not come from files.
//!
//! ```text
//! listener or puller ── Arrival (labels after relabelling) ──► Delivery ── Intake (bounded) ──► collector
//!        ▲                                                                    Streams: a Run per job and labels
//!        └──────────── Durable: told after the sync that made all of it durable ◄── gather ── WAL
//! ```
//!
//! Parts: [`Arrival`], [`Delivery`], [`Intake`] (the way in, bounded in number and bytes), [`Durable`] (the answer), [`mod@streams`]
//! (the collector's side); [`mod@start`] (all listeners), [`board`] (what each has taken, for people), one file for each protocol (`push`, `syslog`, `otlp`, `forward`, `gelf`) and each source that is asked (`journal`, `docker`, [`kafka`]), and what they
//! share: `post` (a job's labels), [`pulled`] (cursors and deliveries under way), `http` (bodies and answers), `repeats`, [`sender`] (until when one waits), [`listen`] (sockets and TLS). Promises: a sender is told "taken" only after its records are on disk; what is not taken is told too,
//! by a dropped answer; when the WAL has no room nothing is taken, and each receiver tells its senders so in its protocol's words.
//! Must not do: know the hub.

pub mod board;
mod docker;
mod forward;
mod gelf;
mod http;
pub mod journal;
pub mod kafka;
pub mod listen;
pub mod metrics;
mod otlp;
mod post;
pub mod pulled;
mod push;
mod repeats;
pub mod sender;
pub mod start;
pub mod streams;
mod syslog;
mod udp;

use std::sync::Arc;

use bytes::Bytes;
use edge_pipeline::{Program, Relabeling};
use edge_wal::SourcePosition;
use proto_boot::Metrics;
use proto_model::{Labels, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use board::Board;
pub(crate) use docker::Endpoint as DockerEndpoint;
pub use listen::ReceiveFault;
use metrics::ReceiveMetrics;
use sender::Sender;
pub use start::{Receivers, start};

/// Deliveries that wait for the collector.
pub const DELIVERIES_MAX: usize = 256;
/// Bytes of all deliveries that were handed in and are not gathered yet.
pub const INTAKE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most a delivery of a pulled source should hold: it goes into one batch with its cursor.
pub const PULLED_BYTES_MAX: usize = 256 * 1024;
/// What a record takes in memory beside its texts.
const ARRIVAL_BYTES: usize = 96;

/// One record that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its labels after relabelling; none begins with `__`.
    pub labels: Arc<Labels>,
    /// The time its sender gave it; `None` = when it is taken.
    pub time: Option<Timestamp>,
    /// Its line.
    pub line: Bytes,
    /// Structured metadata, names unique.
    pub metadata: Vec<(String, String)>,
}

impl Arrival {
    /// About what it takes in memory.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.line.len() + ARRIVAL_BYTES + self.metadata.iter().map(|(name, value)| name.len() + value.len() + ARRIVAL_BYTES / 2).sum::<usize>()
    }
}

/// The job that deliveries are of: its name and what becomes of its lines.
#[derive(Debug, Clone)]
pub struct Inlet {
    /// Its name, unique among jobs.
    pub name: Arc<str>,
    /// Its pipeline.
    pub program: Arc<Program>,
}

/// Records handed in together.
#[derive(Debug)]
pub struct Delivery {
    /// Whose.
    pub inlet: Inlet,
    /// Who waits if these use a budget up.
    pub sender: Arc<Sender>,
    /// In their order.
    pub records: Vec<Arrival>,
    /// Cursor of a pulled source after the last record, durable together with it: `path` names the source
    /// (`journal:<job>`, `docker:<container id>`), `identity` is the default, `held` are the cursor's bytes, `offset` rises. Where `resume`
    /// is not 0 and below `offset`, it is the `offset` this delivery follows: it is not taken if the one before was not.
    pub positions: Vec<SourcePosition>,
    /// The source has ended: what pipelines hold of this inlet goes out behind the records.
    pub ends: bool,
    /// Told once all of it is durable; dropped: it was not taken.
    pub(crate) done: oneshot::Sender<()>,
    /// Room of the intake, given back when this is gathered and dropped.
    pub(crate) _room: OwnedSemaphorePermit,
}

/// Told when a delivery is durable.
#[derive(Debug)]
pub struct Durable(oneshot::Receiver<()>);

impl Durable {
    /// Waits for it. Safe to be dropped: the delivery is taken all the same.
    ///
    /// # Errors
    /// [`NotTaken`]: the edge ends, or its WAL began anew; the records must be sent again.
    pub async fn wait(self) -> Result<(), NotTaken> {
        self.0.await.map_err(|_| NotTaken)
    }

    /// The same, and safe to be asked again after it was dropped; not after it answered.
    pub(crate) async fn told(&mut self) -> Result<(), NotTaken> {
        (&mut self.0).await.map_err(|_| NotTaken)
    }
}

/// The records were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the edge has no room for more, or is stopping; send it again later")]
pub struct NotTaken;

/// The way into the collector; clones share it.
#[derive(Debug, Clone)]
pub struct Intake {
    deliveries: mpsc::Sender<Delivery>,
    room: Arc<Semaphore>,
    /// Counters of all receivers.
    pub metrics: ReceiveMetrics,
    /// What each job has taken.
    pub board: Board,
    /// Where pulled sources stand.
    pub stands: pulled::Stands,
}

impl Intake {
    /// A way in, and the collector's end of it.
    #[must_use]
    pub fn new(metrics: &Metrics) -> (Self, mpsc::Receiver<Delivery>) {
        let (deliveries, taken) = mpsc::channel(DELIVERIES_MAX);
        (
            Self {
                deliveries,
                room: Arc::new(Semaphore::new(INTAKE_BYTES_MAX)),
                metrics: ReceiveMetrics::new(metrics),
                stands: pulled::Stands::default(),
                board: Board::default(),
            },
            taken,
        )
    }

    /// Hands records in, waiting for room as long as it takes: for receivers that can let their senders wait.
    ///
    /// # Errors
    /// [`NotTaken`] when the edge ends.
    pub async fn deliver(&self, inlet: &Inlet, sender: &Arc<Sender>, records: Vec<Arrival>, positions: Vec<SourcePosition>) -> Result<Durable, NotTaken> {
        let room = Arc::clone(&self.room).acquire_many_owned(cost(&records)).await.map_err(|_| NotTaken)?;
        let count = size(&records);
        let (delivery, durable) = Self::delivery(inlet, sender, (records, positions), room);
        self.deliveries.send(delivery).await.map_err(|_| NotTaken)?;
        self.took(inlet, count);
        Ok(durable)
    }

    /// Says that a source has ended: what its pipeline holds goes out now, as nothing more comes. Durable like a delivery.
    ///
    /// # Errors
    /// [`NotTaken`] when the edge ends.
    pub async fn end(&self, inlet: &Inlet, sender: &Arc<Sender>) -> Result<Durable, NotTaken> {
        let room = Arc::clone(&self.room).acquire_many_owned(cost(&[])).await.map_err(|_| NotTaken)?;
        let (mut delivery, durable) = Self::delivery(inlet, sender, (Vec::new(), Vec::new()), room);
        delivery.ends = true;
        self.deliveries.send(delivery).await.map_err(|_| NotTaken)?;
        Ok(durable)
    }

    /// Hands records in if there is room at once: for receivers whose senders do not wait.
    ///
    /// # Errors
    /// [`NotTaken`]; the records are gone then.
    pub fn try_deliver(&self, inlet: &Inlet, sender: &Arc<Sender>, records: Vec<Arrival>) -> Result<Durable, NotTaken> {
        let room = Arc::clone(&self.room).try_acquire_many_owned(cost(&records)).map_err(|_| NotTaken)?;
        let count = size(&records);
        let (delivery, durable) = Self::delivery(inlet, sender, (records, Vec::new()), room);
        self.deliveries.try_send(delivery).map_err(|_| NotTaken)?;
        self.took(inlet, count);
        Ok(durable)
    }

    fn took(&self, inlet: &Inlet, (records, bytes): (usize, usize)) {
        if records > 0 {
            self.board.took(&inlet.name, records, bytes);
        }
    }

    fn delivery(
        inlet: &Inlet,
        sender: &Arc<Sender>,
        (records, positions): (Vec<Arrival>, Vec<SourcePosition>),
        room: OwnedSemaphorePermit,
    ) -> (Delivery, Durable) {
        let (done, told) = oneshot::channel();
        (Delivery { inlet: inlet.clone(), sender: Arc::clone(sender), records, positions, ends: false, done, _room: room }, Durable(told))
    }
}

/// Records and bytes of their lines.
fn size(records: &[Arrival]) -> (usize, usize) {
    (records.len(), records.iter().map(|record| record.line.len()).sum())
}

/// Room of a delivery; one that is larger than the intake takes all of it.
fn cost(records: &[Arrival]) -> u32 {
    let bytes: usize = records.iter().map(Arrival::cost).sum();
    u32::try_from(bytes.clamp(1, INTAKE_BYTES_MAX)).unwrap_or(u32::MAX)
}

/// A label set after `relabel`, without the reserved names; `None` when a rule drops it.
#[must_use]
pub fn relabelled(mut labels: Labels, relabel: &Relabeling) -> Option<Labels> {
    if !relabel.apply(&mut labels) {
        return None;
    }
    labels.retain(|name, _| !name.starts_with("__"));
    Some(labels)
}

#[cfg(test)]
mod tests;
