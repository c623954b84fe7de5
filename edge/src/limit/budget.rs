//! `limits_config.tenant_budgets`: bytes of lines a second for each tenant, so that one that is loud does not take the edge from the others.
//!
//! Pure. A tenant is the value of `__tenant_id__` as the stages leave it, or none. Parts: [`Budget`] (as the settings say), [`Budgets`] (all of
//! them at work), [`Spent`]. A line that is there is taken and owed for; then either its source waits, and others are read on, or further
//! lines are dropped and counted. Limits: [`TENANTS_MAX`] tenants have buckets of their own; what comes after shares one. Must not do: wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto_model::Timestamp;

use super::Bucket;

/// Tenants with a bucket of their own.
pub const TENANTS_MAX: usize = 1_000;
/// The budget of tenants that are not named.
pub const EVERY_OTHER: &str = "*";

/// What one tenant may send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Bytes of lines a second.
    pub bytes_rate: f64,
    /// Bytes at once.
    pub bytes_burst: u64,
    /// Lines beyond are dropped; else their source waits.
    pub drop: bool,
}

/// Budgets by tenant; `*` is for each that is not named.
pub type BudgetSettings = Arc<BTreeMap<String, Budget>>;

/// What came of a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Lines taken.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Lines dropped.
    pub dropped: u64,
    /// Times that a source had to wait.
    pub waits: u64,
}

/// The budgets at work.
#[derive(Debug, Default)]
pub struct Budgets {
    settings: BudgetSettings,
    buckets: BTreeMap<String, Bucket>,
    /// Since the last call for it, by the name of the budget.
    spent: BTreeMap<String, Spent>,
    /// Who sent the last lines must wait until then.
    held_until: Option<Timestamp>,
}

impl Budgets {
    /// From now on these hold; if they are others, everybody begins with a full bucket.
    pub fn set(&mut self, settings: BudgetSettings) {
        if settings != self.settings {
            self.buckets.clear();
            self.settings = settings;
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// Whether a line of so many bytes may pass.
    pub fn take(&mut self, tenant: &str, bytes: usize, now: Timestamp) -> bool {
        let Some((name, budget)) = self.settings.get_key_value(tenant).or_else(|| self.settings.get_key_value(EVERY_OTHER)) else { return true };
        if !self.spent.contains_key(name) {
            self.spent.insert(name.clone(), Spent::default());
        }
        let is_new = !self.buckets.contains_key(tenant);
        let tenant = if is_new && self.buckets.len() >= TENANTS_MAX { EVERY_OTHER } else { tenant };
        if !self.buckets.contains_key(tenant) {
            self.buckets.insert(tenant.to_owned(), Bucket::new(budget.bytes_rate, budget.bytes_burst));
        }
        let (Some(bucket), Some(spent)) = (self.buckets.get_mut(tenant), self.spent.get_mut(name)) else { return true };
        if budget.drop && !bucket.wait(now).is_zero() {
            spent.dropped += 1;
            return false;
        }
        #[expect(clippy::cast_precision_loss, reason = "a line is far below 2^52 bytes")]
        bucket.owe(bytes as f64, now);
        spent.lines += 1;
        spent.bytes += bytes as u64;
        let wait = bucket.wait(now);
        if !budget.drop && !wait.is_zero() {
            spent.waits += 1;
            let until = now.plus(wait);
            self.held_until = Some(self.held_until.map_or(until, |other| other.max(until)));
        }
        true
    }

    /// Whether the source of the last lines must wait.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.held_until.is_some()
    }

    /// Until when, if it must; the next lines begin anew.
    pub const fn take_held(&mut self) -> Option<Timestamp> {
        self.held_until.take()
    }

    /// What came of the budgets since the last call, by their names.
    pub fn take_spent(&mut self) -> BTreeMap<String, Spent> {
        std::mem::take(&mut self.spent)
    }
}

#[cfg(test)]
mod tests;
