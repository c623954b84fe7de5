//! `limits_config`: how many lines, how many streams and how long a line may be.
//!
//! Pure. Parts: [`Bucket`] (lines a second), [`Limits`] (all of them, and what they cost), [`budget`] (what each tenant may send). They hold for lines as they
//! leave the pipelines, over all sources together, as in Promtail. Promises: what is given up is counted by reason and tenant, of
//! [`TENANTS_MAX`] tenants.
//! Must not do: hold a clock or wait.

pub mod budget;

use std::collections::BTreeMap;
use std::time::Duration;

use budget::{BudgetSettings, Budgets, TENANTS_MAX};
use proto_model::Timestamp;

/// As the settings say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LimitSettings {
    /// Lines a second and lines at once; `None` = no limit.
    pub rate: Option<(f64, u64)>,
    /// Lines beyond the rate are dropped; else reading waits.
    pub drop: bool,
    /// Streams of one batch; 0 = no limit.
    pub streams_max: u64,
    /// Bytes of a line; 0 = no limit of its own.
    pub line_bytes_max: u64,
    /// A longer line is cut; else it is dropped.
    pub truncate: bool,
    /// What each tenant may send.
    pub budgets: BudgetSettings,
}

/// A token bucket that may owe: a line that is there is taken, and the next wait.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Timestamp,
}

impl Bucket {
    fn new(per_second: f64, burst: u64) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a burst is far below 2^52 lines")]
        let burst = burst as f64;
        Self { per_second, burst, tokens: burst, filled: Timestamp::MIN }
    }

    fn fill(&mut self, now: Timestamp) {
        // A clock that was set back gives nothing for the time that comes again.
        if now > self.filled && self.filled > Timestamp::MIN {
            self.tokens = self.burst.min(now.since(self.filled).as_secs_f64().mul_add(self.per_second, self.tokens));
        }
        self.filled = now;
    }

    /// Takes a token; false when there is none, and then none is owed.
    fn take(&mut self, now: Timestamp) -> bool {
        self.fill(now);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    /// Takes tokens that may not be there yet.
    fn owe(&mut self, tokens: f64, now: Timestamp) {
        self.fill(now);
        self.tokens -= tokens;
    }

    /// How long until there is one again.
    fn wait(&mut self, now: Timestamp) -> Duration {
        self.fill(now);
        if self.tokens >= 1.0 { Duration::ZERO } else { Duration::from_secs_f64(((1.0 - self.tokens) / self.per_second).min(WAIT_SECONDS_MAX)) }
    }
}

/// Longest wait told: a rate below one line an hour is no rate.
const WAIT_SECONDS_MAX: f64 = 3_600.0;

/// What limits cost, in lines and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    /// Over the rate.
    pub rate_limited: u64,
    /// Of one stream too many.
    pub stream_limit: u64,
    /// Their bytes.
    pub stream_limit_bytes: u64,
    /// Too long, and dropped.
    pub line_too_long: u64,
    /// Their bytes.
    pub line_too_long_bytes: u64,
    /// Too long, and cut.
    pub cut: u64,
    /// The bytes cut off them.
    pub cut_bytes: u64,
}

/// What is to become of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'l> {
    /// This of it goes on.
    Pass(&'l [u8]),
    /// It is given up.
    Drop,
}

/// The limits at work.
#[derive(Debug)]
pub struct Limits {
    settings: LimitSettings,
    bucket: Option<Bucket>,
    given: BTreeMap<String, Given>,
    budgets: Budgets,
}

impl Limits {
    /// Nothing was taken yet.
    #[must_use]
    pub fn new(settings: LimitSettings) -> Self {
        let mut budgets = Budgets::default();
        budgets.set(settings.budgets.clone());
        Self { bucket: settings.rate.map(|(rate, burst)| Bucket::new(rate, burst)), settings, given: BTreeMap::new(), budgets }
    }

    /// From now on these hold.
    pub fn set(&mut self, settings: LimitSettings) {
        if settings.rate != self.settings.rate {
            self.bucket = settings.rate.map(|(rate, burst)| Bucket::new(rate, burst));
        }
        self.budgets.set(settings.budgets.clone());
        self.settings = settings;
    }

    /// What each tenant may send.
    pub const fn budgets(&mut self) -> &mut Budgets {
        &mut self.budgets
    }

    /// Whether there are such budgets.
    #[must_use]
    pub fn counts_tenants(&self) -> bool {
        !self.budgets.is_empty()
    }

    /// Whether who sent the last lines must wait.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.budgets.is_held()
    }

    /// Whether it matters which streams a batch has.
    #[must_use]
    pub const fn counts_streams(&self) -> bool {
        self.settings.streams_max > 0
    }

    /// Whether the rate was used up when the last line was judged, and reading waits for it.
    #[must_use]
    pub fn owes(&self) -> bool {
        !self.settings.drop && self.bucket.as_ref().is_some_and(|bucket| bucket.tokens < 1.0)
    }

    /// Judges a line of `tenant` that would join a batch of so many streams, as a new one or in one of them.
    pub fn judge<'l>(&mut self, tenant: &str, line: &'l [u8], (streams, is_new): (u64, bool), now: Timestamp) -> Verdict<'l> {
        let Self { settings, bucket, given, .. } = self;
        if let Some(bucket) = bucket {
            if !settings.drop {
                bucket.owe(1.0, now);
            } else if !bucket.take(now) {
                of(given, tenant).rate_limited += 1;
                return Verdict::Drop;
            }
        }
        if settings.streams_max > 0 && is_new && streams >= settings.streams_max {
            let given = of(given, tenant);
            given.stream_limit += 1;
            given.stream_limit_bytes += line.len() as u64;
            return Verdict::Drop;
        }
        let most = usize::try_from(settings.line_bytes_max).unwrap_or(usize::MAX);
        if most == 0 || line.len() <= most {
            return Verdict::Pass(line);
        }
        let given = of(given, tenant);
        if !settings.truncate {
            given.line_too_long += 1;
            given.line_too_long_bytes += line.len() as u64;
            return Verdict::Drop;
        }
        let kept = cut(line, most);
        given.cut += 1;
        given.cut_bytes += (line.len() - kept.len()) as u64;
        Verdict::Pass(kept)
    }

    /// How long reading must wait before the next line; zero unless the rate makes it wait.
    pub fn wait(&mut self, now: Timestamp) -> Duration {
        if self.settings.drop {
            return Duration::ZERO;
        }
        self.bucket.as_mut().map_or(Duration::ZERO, |bucket| bucket.wait(now))
    }

    /// What they cost since the last call, by tenant.
    pub fn take_given(&mut self) -> BTreeMap<String, Given> {
        std::mem::take(&mut self.given)
    }
}

/// What is counted of a tenant; those without end are counted as none.
fn of<'g>(given: &'g mut BTreeMap<String, Given>, tenant: &str) -> &'g mut Given {
    let tenant = if given.len() < TENANTS_MAX || given.contains_key(tenant) { tenant } else { "" };
    given.entry(tenant.to_owned()).or_default()
}

/// The first `most` bytes, but no half of a character.
fn cut(line: &[u8], most: usize) -> &[u8] {
    let is_continuation = |at: usize| line.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let end = (0..=most).rev().take(4).find(|at| !is_continuation(*at)).unwrap_or(most);
    &line[..end]
}

#[cfg(test)]
mod tests;
