//! What loads and does not do what it seems to: told, never refused.
//!
//! Parts: [`Checker::traps`] of a job. Must not do: change anything.

use super::super::ScrapeSettings;
use super::Checker;

impl Checker<'_> {
    /// The traps of one job.
    pub(super) fn traps(&mut self, _scrape: &ScrapeSettings) {}
}
