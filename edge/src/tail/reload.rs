//! Other jobs for the sources that are being read.
//!
//! Parts: [`Tail::reload`]. Promises: a source goes on at its position, whoever names it now; what its pipeline holds goes
//! on in the new one. Must not do: read, or close anything (the next search does).

use std::sync::Arc;

use proto_model::Timestamp;

use super::Tail;
use crate::discover::{Job, Owner, owner};

impl Tail {
    /// Reads `jobs` from `now` on. A source that none of them names keeps its job, without targets, until it is read to its end.
    pub fn reload(&mut self, jobs: Vec<Job>, now: Timestamp) {
        self.stir();
        let before = std::mem::replace(&mut self.jobs, jobs);
        for job in &mut self.jobs {
            job.since = before.iter().find(|other| other.name == job.name).map_or(now, |other| other.since);
        }
        self.jobs_named = self.jobs.len();
        let mut kept: Vec<Option<usize>> = vec![None; before.len()];
        for source in self.sources.values_mut() {
            let own = source.found.job;
            if let Owner::Target(mut found) = owner(&self.jobs[..self.jobs_named], source.path()) {
                // A renamed file is still found by the path it had.
                found.path.clone_from(source.path());
                let program = Arc::clone(&self.jobs[found.job].program);
                source.found.job = found.job;
                source.found.roots = found.roots;
                source.relabel(found.labels, &program);
                continue;
            }
            let at = *kept[own].get_or_insert_with(|| {
                let mut job = Job::new(before[own].name.clone(), Vec::new(), Arc::clone(&before[own].program));
                job.origin = Arc::clone(&before[own].origin);
                job.reading = before[own].reading;
                self.jobs.push(job);
                self.jobs.len() - 1
            });
            source.found.job = at;
        }
        // What must not be read may be wanted otherwise now.
        self.refused.clear();
    }
}
