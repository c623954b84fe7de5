//! What each job that is sent to has taken, for people.
//!
//! Parts: [`Board`]. One entry for each job, changed once a delivery or a look for containers, never once a record. Promises: the counts of a job go on across a
//! reload that keeps it. Must not do: hold anything of a record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::docker::Found;
use super::start::Running;
use crate::discover::live::JobDiscovered;
use crate::status::{ContainerReport, ReceiverReport};

/// All of them; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<BTreeMap<Arc<str>, Seat>>>);

#[derive(Debug, Default)]
struct Seat {
    kind: &'static str,
    addresses: Vec<String>,
    records: u64,
    bytes: u64,
    last: Option<Instant>,
    errors: BTreeMap<&'static str, u64>,
    last_error: Option<(Instant, &'static str)>,
    /// Containers by host, and what keeps the list from being up to date.
    found: BTreeMap<String, (Found, String)>,
}

impl Board {
    fn seats(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These run now, and no others.
    pub fn running(&self, running: &[Running]) {
        let mut seats = self.seats();
        seats.retain(|job, _| running.iter().any(|one| *one.job == **job));
        seats.values_mut().for_each(|seat| seat.addresses.clear());
        for one in running {
            let seat = seats.entry(one.job.as_str().into()).or_default();
            seat.kind = one.kind;
            seat.addresses.extend(one.address.map(|address| address.to_string()));
        }
    }

    /// Records of `job` were taken.
    pub(super) fn took(&self, job: &Arc<str>, records: usize, bytes: usize) {
        let mut seats = self.seats();
        let seat = match seats.get_mut(job) {
            Some(seat) => seat,
            None => seats.entry(Arc::clone(job)).or_default(),
        };
        seat.records += records as u64;
        seat.bytes += bytes as u64;
        seat.last = Some(Instant::now());
    }

    /// Something of `job` could not be read, or was turned away.
    pub(super) fn refused(&self, job: &Arc<str>, reason: &'static str) {
        if let Some(seat) = self.seats().get_mut(job) {
            *seat.errors.entry(reason).or_default() += 1;
            seat.last_error = Some((Instant::now(), reason));
        }
    }

    /// What there is at a Docker host, at the last look of a job.
    pub(super) fn found(&self, job: &str, host: &str, found: Found) {
        self.seats().entry(job.into()).or_default().found.insert(host.to_owned(), (found, String::new()));
    }

    /// A Docker host cannot be asked.
    pub(super) fn troubled(&self, job: &str, host: &str, why: &str) {
        why.clone_into(&mut self.seats().entry(job.into()).or_default().found.entry(host.to_owned()).or_default().1);
    }

    /// A Docker host is not looked at any more.
    pub(super) fn left(&self, job: &str, host: &str) {
        if let Some(seat) = self.seats().get_mut(job) {
            seat.found.remove(host);
        }
    }

    /// What jobs with containers found, for the service discovery page.
    #[must_use]
    pub fn discovered(&self) -> Vec<JobDiscovered> {
        let seats = self.seats();
        let with_containers = seats.iter().filter(|(_, seat)| !seat.found.is_empty());
        let discovered = |(job, seat): (&Arc<str>, &Seat)| {
            let troubles: Vec<&str> = seat.found.values().map(|(_, trouble)| trouble.as_str()).filter(|trouble| !trouble.is_empty()).collect();
            let mut out = JobDiscovered { job: job.to_string(), trouble: troubles.join("; "), ..JobDiscovered::default() };
            seat.found.values().flat_map(|(found, _)| found.values()).flat_map(|sighted| &sighted.sets).for_each(|set| out.push(set));
            out
        };
        with_containers.map(discovered).collect()
    }

    /// Containers that are read or were, for the targets page.
    #[must_use]
    pub fn containers(&self) -> Vec<ContainerReport> {
        let seats = self.seats();
        let hosts = seats.iter().flat_map(|(job, seat)| seat.found.iter().map(move |(host, (found, _))| (job, host, found)));
        hosts.flat_map(|(job, host, found)| found.iter().filter_map(move |(id, sighted)| sighted.report((job, host, id)))).collect()
    }

    /// As pages show it, by job.
    #[must_use]
    pub fn reports(&self) -> Vec<ReceiverReport> {
        let seats = self.seats();
        let report = |(job, seat): (&Arc<str>, &Seat)| ReceiverReport {
            job: job.to_string(),
            kind: seat.kind.to_owned(),
            addresses: seat.addresses.clone(),
            records: seat.records,
            bytes: seat.bytes,
            last_entry_s: seat.last.map(|at| at.elapsed().as_secs()),
            errors: seat.errors.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
            last_error: seat.last_error.map(|(_, reason)| reason.to_owned()).unwrap_or_default(),
            last_error_s: seat.last_error.map(|(at, _)| at.elapsed().as_secs()),
        };
        seats.iter().map(report).collect()
    }
}
