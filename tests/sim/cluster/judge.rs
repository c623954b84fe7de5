//! What must hold of a cluster: at any time, and once all faults have ended.
//!
//! Part of [`Cluster`]: `ask` and `judge` (queries in the midst of faults), [`Cluster::drain`] (liveness, then everything exactly once).
//! Must not do: bring faults.

use tests::invariants::{self, Found};
use tests::ledger::cluster_of;
use tests::oracle::{Losses, Oracle};
use tests::quic::CLUSTERS;

use super::{ANSWER_MAX, Cluster, DRAIN_MAX, TENANTS, TIDY_MAX};
use crate::hosts::{Answer, Order};

use std::collections::BTreeMap;
use std::time::Duration;

impl Cluster {
    /// Asks all hubs for everything.
    pub fn ask(&mut self) {
        self.asked += 1;
        let before = self.acked_before.front().map(|(_, acked)| acked.clone()).unwrap_or_default();
        for tenant in TENANTS {
            let lines = self.ground.bucket.oracle(|oracle| oracle.lines_acked(tenant, &before));
            self.acked_when_asked.insert((self.asked, tenant), lines);
        }
        for hub in &self.hubs {
            hub.order(Order::Ask(self.asked));
        }
    }

    fn is_ordered(&self) -> bool {
        // Lines without times of their own are given new ones when a lost WAL makes an edge read them again.
        self.swarm.shape.timed
    }

    /// What was answered so far is sound.
    pub fn judge(&mut self) -> Result<(), String> {
        for answer in self.answers() {
            if let Ok(streams) = &answer.streams {
                let sound = invariants::sound(&self.ledger, &answer.tenant, streams, self.is_ordered());
                let found = sound.map_err(|breach| format!("{}: {breach}", answer.hub))?.len() as u64;
                let wanted = self
                    .acked_when_asked
                    .iter()
                    .find(|((asked, tenant), _)| *asked == answer.asked && **tenant == *answer.tenant)
                    .map_or(0, |(_, lines)| *lines);
                if found < wanted {
                    return Err(format!("{} found {found} lines of {}, but {wanted} were acknowledged well before it was asked", answer.hub, answer.tenant));
                }
            }
        }
        Ok(())
    }

    fn answers(&self) -> Vec<Answer> {
        self.hubs.iter().flat_map(|hub| std::mem::take(&mut *hub.answers.lock().unwrap())).collect()
    }

    /// Lines that edges of a cluster wrote and that must arrive.
    fn owed_by_edge(&self, at: usize) -> u64 {
        self.ledger.owed(|source| cluster_of(source) == CLUSTERS[at] && !source.ends_with(".push"))
    }

    fn drained(&self) -> bool {
        (0..self.edges.len()).filter(|at| !self.revoked.contains(at)).all(|at| self.is_drained(at))
    }

    /// Whether all that an edge wrote is stored and acknowledged.
    pub fn is_drained(&self, at: usize) -> bool {
        let edge = &self.edges[at];
        let (arrived, lost) = self.ground.bucket.oracle(|oracle| (oracle.lines_of_cluster(edge.cluster), oracle.losses().contains_key(edge.cluster)));
        let report = edge.status.lock().unwrap().as_ref().map(edge::status::Status::report);
        let committed = |producer: &Option<String>| producer.as_ref().map(|producer| self.ground.bucket.oracle(|oracle| oracle.committed(producer)));
        let all_acked = report.is_some_and(|report| {
            report.producer.is_some() && report.tracks.iter().all(|track| track.acked == track.sequence && committed(&track.producer) == Some(track.acked))
        });
        all_acked && (arrived >= self.owed_by_edge(at) || (lost && self.may_lose.contains(edge.cluster)))
    }

    /// With no faults left, everything that was written is stored, acknowledged and answered by every hub.
    ///
    /// # Errors
    /// What is missing after [`DRAIN_MAX`].
    pub fn drain(&mut self) -> Result<(), String> {
        if !self.until(DRAIN_MAX, |cluster| cluster.drained())? {
            return Err(format!("not drained {} s after the last fault: {}", DRAIN_MAX.as_secs(), self.standing()));
        }
        // What is still on its way (a write that was given up) must change nothing.
        let late = self.until(Duration::from_secs(120), |cluster| cluster.ground.bucket.under_way() == 0 && cluster.pushes.is_empty())?;
        if !late {
            return Err("writes are still under way long after everything drained".to_owned());
        }
        self.tidied()?;
        let end = self.now() + ANSWER_MAX;
        loop {
            let left = match self.query_all()? {
                left if left.is_empty() => return Ok(()),
                left => left,
            };
            if self.now() >= end {
                return Err(format!("queries are not answered {} s after everything drained: {left:?}", ANSWER_MAX.as_secs()));
            }
        }
    }

    /// Everything is absorbed, and what is absorbed is collected.
    fn tidied(&mut self) -> Result<(), String> {
        // Snapshots lie as far apart as the lane grew between two looks.
        let short = 3 * self.swarm.pace.snapshot_every + 40;
        let is_tidy = move |oracle: &Oracle| oracle.is_absorbed() && oracle.lanes().all(|(_, head, _, below)| head < below + short);
        let tidy = self.until(TIDY_MAX, |cluster| cluster.ground.bucket.oracle(is_tidy))?;
        if tidy {
            return Ok(());
        }
        let lanes = self.ground.bucket.oracle(|oracle| {
            oracle.lanes().map(|(lane, head, floor, below)| format!("{lane} head {head} floor {floor} deleted below {below}")).collect::<Vec<_>>()
        });
        Err(format!("not absorbed and collected {} s after everything drained: {lanes:?}", TIDY_MAX.as_secs()))
    }

    /// Asks all hubs once; what they answer must be complete. Gives who could not answer, and why.
    fn query_all(&mut self) -> Result<Vec<String>, String> {
        self.ask();
        let (asked, wanted) = (self.asked, (self.hubs.len() - self.retired.len()) * TENANTS.len());
        let mut answers = Vec::new();
        self.until(Duration::from_secs(10), |cluster| {
            answers.extend(cluster.answers().into_iter().filter(|answer| answer.asked == asked));
            answers.len() >= wanted
        })?;
        let mut left = Vec::new();
        if answers.len() < wanted {
            left.push(format!("{} of {wanted} answers came", answers.len()));
        }
        let mut found: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        for answer in answers {
            match answer.streams {
                Ok(streams) => {
                    let sound = invariants::sound(&self.ledger, &answer.tenant, &streams, self.is_ordered());
                    found.entry(answer.hub.clone()).or_default().push(sound.map_err(|breach| format!("{}: {breach}", answer.hub))?);
                }
                Err(fault) => left.push(format!("{}: {fault}", answer.hub)),
            }
        }
        for (hub, found) in found.into_iter().filter(|(_, found)| found.len() == TENANTS.len()) {
            self.complete(&found).map_err(|breach| format!("{hub}: {breach}"))?;
        }
        Ok(left)
    }

    /// Everything is there that must be; what is missing is counted as lost.
    fn complete(&self, found: &[Found]) -> Result<(), String> {
        let missing = invariants::complete(&self.ledger, found)?;
        for edge in &self.edges {
            let of_edge = || missing.iter().filter(|(source, _)| cluster_of(source) == edge.cluster && !source.ends_with(".push"));
            let count: u64 = of_edge().map(|(_, numbers)| numbers.len() as u64).sum();
            let losses = self.ground.bucket.oracle(|oracle| oracle.losses().get(edge.cluster).copied()).unwrap_or_default();
            let is_revoked = self.revoked.iter().any(|at| self.edges[*at].cluster == edge.cluster);
            let is_counted = self.may_lose.contains(edge.cluster) && losses.records > 0 && (losses.lines >= count || losses.uncounted > 0);
            if count > 0 && !is_revoked && !is_counted {
                let first = of_edge().next().map(|(source, numbers)| format!("{numbers:?} of {source}")).unwrap_or_default();
                return Err(format!("{count} lines of {} are missing ({first}), lost are {losses:?}, may be: {:?}", edge.cluster, self.may_lose));
            }
        }
        match missing.iter().find(|(source, _)| source.ends_with(".push")) {
            Some((source, numbers)) => Err(format!("{numbers:?} of {source} are missing")),
            None => Ok(()),
        }
    }

    /// What loss records say of an edge's cluster.
    pub fn losses(&self, at: usize) -> Losses {
        self.ground.bucket.oracle(|oracle| oracle.losses().get(self.edges[at].cluster).copied()).unwrap_or_default()
    }

    /// Lines of an edge may be missing, if they are counted.
    pub fn may_lose(&mut self, at: usize) {
        self.may_lose.insert(self.edges[at].cluster);
    }

    /// Newest ack that an edge knows of, and newest sequence of it that is committed.
    pub fn acked_and_committed(&self, at: usize) -> (u64, u64) {
        let report = self.edges[at].status.lock().unwrap().as_ref().map(edge::status::Status::report);
        let Some((acked, Some(producer))) = report.map(|report| (report.acked, report.producer)) else { return (0, 0) };
        (acked, self.ground.bucket.oracle(|oracle| oracle.committed(&producer)))
    }

    /// Where everything stands, for people.
    pub fn standing(&self) -> String {
        let edges: Vec<String> = (0..self.edges.len())
            .map(|at| {
                let edge = &self.edges[at];
                format!(
                    "{} {} of {} lines {:?} skew {} s",
                    edge.name,
                    self.ground.bucket.oracle(|oracle| oracle.lines_of_cluster(edge.cluster)),
                    self.owed_by_edge(at),
                    edge.status.lock().unwrap().as_ref().map(edge::status::Status::report),
                    edge.wall.skew_ns() / 1_000_000_000
                )
            })
            .collect();
        let skews: Vec<_> = self.hubs.iter().map(|hub| hub.wall.skew_ns() / 1_000_000_000).collect();
        format!("{}; down {:?}; hub skew {skews:?} s", edges.join("; "), self.down)
    }
}
