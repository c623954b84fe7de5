//! Settings as written to settings that can be run: the meaning is checked, stages and rules are compiled.
//!
//! Pure. Parts: [`prepare`]; [`jobs`] (scrape configs), [`listeners`] (who listens where), [`supply`] (where lines are kept and sent), [`traps`] (what loads
//! and does not do what it seems to). Promises: every mistake is found in one go. Must not do: open anything.

mod asked;
mod cluster;
mod jobs;
mod kafka;
mod listeners;
mod supply;
mod supported;
mod traps;

use edge_pipeline::Surroundings;
use proto_boot::settings::place;
use proto_boot::{Bytes, Mistake};

use super::unused::Without;
use super::{EdgeSettings, Placed, Prepared, Purpose, Remark};

struct Checker<'f> {
    file: &'f str,
    mistakes: Vec<Mistake>,
    remarks: Vec<Remark>,
    surroundings: Surroundings,
}

/// See [`EdgeSettings::prepare_in`].
pub(super) fn prepare(settings: &EdgeSettings, purpose: Purpose, (file, host): (&str, &str), surroundings: Surroundings) -> Result<Prepared, Vec<Mistake>> {
    let mut checker = Checker { file, mistakes: Vec::new(), remarks: Vec::new(), surroundings };
    let jobs = checker.jobs(&settings.scrape_configs, host, settings.target_config.stdin);
    let supply = checker.supply(settings, purpose, host);
    let limits = checker.limits(&settings.limits_config);
    checker.listeners(settings);
    checker.without_effect(settings);
    let Checker { mistakes, mut remarks, .. } = checker;
    let Some(supply) = supply.filter(|_| mistakes.is_empty()) else { return Err(mistakes) };
    remarks.sort();
    remarks.dedup();
    Ok(Prepared {
        jobs,
        targets: supply.targets,
        transport: supply.transport,
        gather: supply.gather,
        canary: supply.canary,
        wal: supply.wal,
        backlog_mille: supply.backlog_mille,
        backlog_age: crate::ship::tracks::BACKLOG_AGE,
        clients: supply.clients,
        sink_lag_max: supply.sink_lag_max,
        external_labels: supply.external_labels,
        limits,
        import: supply.import,
        imported: crate::import::Imported::default(),
        remarks,
    })
}

/// One of `consul_sd_configs` as its task takes it, for tests of the task.
#[cfg(test)]
pub(crate) fn consul_of(written: &super::discovery::ConsulSdSettings, is_agent: bool) -> Result<crate::discover::consul::ConsulSd, Vec<Mistake>> {
    let mut checker = Checker { file: "f", mistakes: Vec::new(), remarks: Vec::new(), surroundings: Surroundings::default() };
    checker.consul(written, is_agent, (1, 1)).ok_or(checker.mistakes)
}

impl Checker<'_> {
    fn mistake<T>(&mut self, at: &Placed<T>, text: impl Into<String>, fix: impl Into<String>) {
        self.mistake_at(place(at), text, fix);
    }

    fn mistake_at(&mut self, at: (u64, u64), text: impl Into<String>, fix: impl Into<String>) {
        self.mistakes.push(Mistake::new(self.file, at, text, fix));
    }

    fn remark(&mut self, at: (u64, u64), text: impl Into<String>, fix: impl Into<String>) {
        self.remarks.push(Remark::new(self.file, at, text, fix));
    }

    fn word<T: Copy>(&mut self, written: Option<&Placed<String>>, what: &str, known: &[(&str, T)]) -> T {
        let (_, default) = known[0];
        let Some(written) = written else { return default };
        let found = known.iter().find(|(word, _)| *word == written.value).map(|(_, value)| *value);
        found.unwrap_or_else(|| {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            self.mistake(written, format!("{what} {:?} is not known", written.value), format!("write one of {}", words.join(", ")));
            default
        })
    }

    fn between(&mut self, written: &Placed<Bytes>, what: &str, least: u64, most: u64) -> u64 {
        let bytes = written.value.0;
        if !(least..=most).contains(&bytes) {
            self.mistake(written, format!("{what} is {bytes} bytes"), format!("write {least} to {most} bytes"));
        }
        bytes
    }

    /// Keys that load and do nothing.
    fn without_effect(&mut self, settings: &EdgeSettings) {
        self.unused("server", settings.server.without_effect());
        self.unused("positions", settings.positions.unused());
        self.unused("global.file_watch_config", settings.global.file_watch_config.unused());
        self.unused("wal", settings.wal.unused());
        for (key, written, why) in
            [("tracing", &settings.tracing, "this edge makes no traces"), ("options", &settings.options, "Promtail's options hold nothing")]
        {
            let found = written.iter().map(|written| Without { key, why, at: place(written) }).collect();
            self.unused("", found);
        }
    }

    fn unused(&mut self, block: &str, found: Vec<Without>) {
        for Without { key, why, at } in found {
            let key = if block.is_empty() { key.to_owned() } else { format!("{block}.{key}") };
            self.remark(at, format!("{key} has no effect: {why}"), "take the key out to be rid of this warning");
        }
    }
}
