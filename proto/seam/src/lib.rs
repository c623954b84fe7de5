//! The world as four small values: clock, entropy, disk, workers.
//!
//! Production code takes a [`World`] (and its sockets and object store) as arguments and touches the
//! outside through nothing else; only `main.rs` makes a real one. Timers are plain `tokio::time`,
//! which a simulation pauses. Must not do: know anything about logs.

pub mod clock;
pub mod disk;
pub mod entropy;
pub mod workers;

use std::sync::Arc;

pub use clock::Clock;
pub use disk::watch::{DiskWatch, Noticed};
pub use disk::{DirEntry, Disk, DiskFile, DiskLock, FileIdentity, FileKind, FileState, OpenHow};
pub use entropy::Entropy;
pub use workers::Workers;

/// Everything of the outside that is not a socket or the object store.
#[derive(Clone, Debug)]
pub struct World {
    /// Wall time.
    pub clock: Clock,
    /// Random numbers.
    pub entropy: Entropy,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Where blocking and heavy work runs.
    pub workers: Workers,
}

impl World {
    /// The real world: system clock, operating system entropy, the real disk, worker threads.
    #[must_use]
    pub fn real() -> Self {
        Self { clock: Clock::real(), entropy: Entropy::real(), disk: Arc::new(disk::real::RealDisk::new()), workers: Workers::Threads }
    }
}
