//! Records to one batch, by size or age.
//!
//! Pure. [`Gather`] holds the batch being filled: full at `bytes_max` of lines, due when its oldest record
//! has waited `wait_max`. The level of a line is found here, once, and travels as a column. The canary's lines
//! join here, so that they go the way of all lines; what is limited or labelled for all lines, is so here. With a tap
//! ([`Gather::tapped`]) lines are shown instead of gathered. Must not do: number or store batches.

mod added;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::TENANT_LABEL;
use proto_extract::level;
use proto_model::{Labels, Timestamp};
use proto_wire::{BatchBuilder, Compression, FrozenBatch, WireFault};

use crate::canary::Canary;
use crate::limit::budget::Spent;
use crate::limit::{Given, LimitSettings, Limits, Verdict};
use added::Added;

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

/// What is shown of a line: its labels, time, metadata and text.
pub type Tap = Box<dyn FnMut(&Labels, Timestamp, &[(String, String)], &[u8]) + Send>;

/// The batch being filled.
pub struct Gather {
    settings: GatherSettings,
    builder: BatchBuilder,
    oldest: Option<Timestamp>,
    canary: Option<Canary>,
    limits: Limits,
    added: Added,
    tap: Option<Tap>,
}

impl Gather {
    /// An empty one.
    #[must_use]
    pub fn new(settings: GatherSettings) -> Self {
        Self {
            settings,
            builder: BatchBuilder::new(),
            oldest: None,
            canary: None,
            limits: Limits::new(LimitSettings::default()),
            added: Added::default(),
            tap: None,
        }
    }

    /// The same with a canary.
    #[must_use]
    pub fn with_canary(self, canary: Option<Canary>) -> Self {
        Self { canary, ..self }
    }

    /// One that shows lines instead of gathering them.
    #[must_use]
    pub fn tapped(settings: GatherSettings, tap: Tap) -> Self {
        Self { tap: Some(tap), ..Self::new(settings) }
    }

    /// From now on these limits hold, and every line gets these labels unless it has others of their names.
    pub fn set_rules(&mut self, limits: LimitSettings, labels: Labels) {
        self.limits.set(limits);
        self.added = Added::new(labels);
    }

    /// Adds the canary's line, if there is one and it is time.
    pub fn sing(&mut self, now: Timestamp) {
        let due = self.canary.as_mut().and_then(|canary| Some((canary.due(now)?, Arc::clone(canary.labels()))));
        if let Some(((time, line), labels)) = due {
            self.add(&labels, time, &[], line.as_bytes(), now);
        }
    }

    /// Adds a record that was read at `now`, unless a limit says no.
    pub fn push(&mut self, labels: &Arc<Labels>, time: Timestamp, metadata: &[(String, String)], line: &[u8], now: Timestamp) {
        let more = (!self.added.is_empty()).then(|| self.added.to(labels));
        let labels = more.as_ref().unwrap_or(labels);
        let is_new = self.limits.counts_streams() && !self.builder.has_stream(labels);
        let tenant = labels.value(TENANT_LABEL).unwrap_or_default();
        let Verdict::Pass(line) = self.limits.judge(tenant, line, (self.builder.streams() as u64, is_new), now) else { return };
        if self.limits.counts_tenants() && !self.limits.budgets().take(tenant, line.len(), now) {
            return;
        }
        match &mut self.tap {
            Some(tap) => tap(labels, time, metadata, line),
            None => self.add(labels, time, metadata, line, now),
        }
    }

    fn add(&mut self, labels: &Arc<Labels>, time: Timestamp, metadata: &[(String, String)], line: &[u8], now: Timestamp) {
        let level = level::detect(labels, metadata, line);
        self.builder.push(labels, time, level.code(), metadata, line);
        self.oldest.get_or_insert(now);
    }

    /// Whether it must be frozen before more is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.builder.raw_bytes() + self.builder.metadata_bytes() >= self.settings.bytes_max || (self.builder.lines() > 0 && !self.builder.has_room(0))
    }

    /// Whether reading must stop after the present line: the batch is full, or the rate of lines is used up.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_full() || self.limits.owes()
    }

    /// Whether the source of the lines that came last must wait for its tenant's budget.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.limits.holds()
    }

    /// Until when, if it must; the next lines begin anew.
    pub const fn take_held(&mut self) -> Option<Timestamp> {
        self.limits.budgets().take_held()
    }

    /// How long reading must wait at `now` for the rate of lines.
    pub fn wait(&mut self, now: Timestamp) -> Duration {
        self.limits.wait(now)
    }

    /// What limits cost since the last call, by tenant and by the name of a budget.
    pub fn take_given(&mut self) -> (BTreeMap<String, Given>, BTreeMap<String, Spent>) {
        (self.limits.take_given(), self.limits.budgets().take_spent())
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
