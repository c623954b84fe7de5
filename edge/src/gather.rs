//! Records to one batch, by size or age.
//!
//! Pure. [`Gather`] holds the batch being filled: full at `bytes_max` of lines, due when its oldest record
//! has waited `wait_max`. The level of a line is found here, once, and travels as a column. The canary's lines
//! join here, so that they go the way of all lines. Must not do: number or store batches.

use std::sync::Arc;
use std::time::Duration;

use proto_extract::level;
use proto_model::{Labels, Timestamp};
use proto_wire::{BatchBuilder, Compression, FrozenBatch, WireFault};

use crate::canary::Canary;

/// When a batch is closed, and how it is packed.
#[derive(Debug, Clone, Copy)]
pub struct GatherSettings {
    /// Bytes of lines.
    pub bytes_max: u64,
    /// Age of the oldest record.
    pub wait_max: Duration,
    /// How the payload is packed.
    pub compression: Compression,
}

/// The batch being filled.
#[derive(Debug)]
pub struct Gather {
    settings: GatherSettings,
    builder: BatchBuilder,
    oldest: Option<Timestamp>,
    canary: Option<Canary>,
}

impl Gather {
    /// An empty one.
    #[must_use]
    pub fn new(settings: GatherSettings) -> Self {
        Self { settings, builder: BatchBuilder::new(), oldest: None, canary: None }
    }

    /// The same with a canary.
    #[must_use]
    pub fn with_canary(self, canary: Option<Canary>) -> Self {
        Self { canary, ..self }
    }

    /// Adds the canary's line, if there is one and it is time.
    pub fn sing(&mut self, now: Timestamp) {
        let due = self.canary.as_mut().and_then(|canary| Some((canary.due(now)?, Arc::clone(canary.labels()))));
        if let Some(((time, line), labels)) = due {
            self.push(&labels, time, &[], line.as_bytes(), now);
        }
    }

    /// Adds a record that was read at `now`.
    pub fn push(&mut self, labels: &Arc<Labels>, time: Timestamp, metadata: &[(String, String)], line: &[u8], now: Timestamp) {
        let level = level::detect(labels, metadata, line);
        self.builder.push(labels, time, level.code(), metadata, line);
        self.oldest.get_or_insert(now);
    }

    /// Whether it must be frozen before more is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.builder.raw_bytes() + self.builder.metadata_bytes() >= self.settings.bytes_max || (self.builder.lines() > 0 && !self.builder.has_room(0))
    }

    /// How long it may still wait; `None` when it is empty.
    #[must_use]
    pub fn due_in(&self, now: Timestamp) -> Option<Duration> {
        // A clock that was set back leaves the age unknown: due at once.
        self.oldest.map(|oldest| if now < oldest { Duration::ZERO } else { self.settings.wait_max.saturating_sub(now.since(oldest)) })
    }

    /// Bytes of lines in it.
    #[must_use]
    pub const fn raw_bytes(&self) -> u64 {
        self.builder.raw_bytes()
    }

    /// Whether `bytes` more would make it larger than a batch should be.
    #[must_use]
    pub const fn would_overflow(&self, bytes: u64) -> bool {
        let taken = self.builder.raw_bytes() + self.builder.metadata_bytes();
        taken > 0 && taken + bytes > self.settings.bytes_max
    }

    /// Freezes it and begins the next.
    ///
    /// # Errors
    /// See [`BatchBuilder::freeze`].
    pub fn freeze(&mut self) -> Result<FrozenBatch, WireFault> {
        self.oldest = None;
        self.builder.freeze(self.settings.compression)
    }

    /// Forgets what was gathered: its lines will be read again.
    pub fn clear(&mut self) {
        // The canary's lines are not read again: it begins anew, so that nobody misses them.
        if let Some(canary) = &mut self.canary {
            canary.begin_anew();
        }
        self.oldest = None;
        self.builder = BatchBuilder::new();
    }
}
