//! What befalls a cluster, at the rates of its swarm; and the end of it.
//!
//! Part of [`Cluster`]: [`Cluster::suffer`] writes lines while faults come, [`Cluster::heal`] ends them all. Must not do: judge.

use std::sync::Arc;
use std::time::Duration;

use tests::objects::Rates;
use tests::quic::CLUSTERS;
use tests::world::Wall;

use super::{Cluster, TENANTS, TICK, map_text};
use crate::floor::Way;
use crate::hosts::{Order, WAL_DIR};

impl Cluster {
    fn strikes(&self, rate: u64) -> bool {
        rate > 0 && self.entropy.below(1_000_000) < rate
    }

    pub(super) fn pick(&self, count: usize) -> usize {
        usize::try_from(self.entropy.below(count as u64)).unwrap()
    }

    fn span(&self, max_ms: u64) -> Duration {
        Duration::from_millis(10 + self.entropy.below(max_ms >> self.entropy.below(5)))
    }

    /// Perhaps brings faults, at the rates of the swarm.
    fn misfortune(&mut self) {
        let faults = self.swarm.faults.clone();
        for (rate, power, kind) in [(faults.edge_killed, false, "edge killed"), (faults.edge_power_lost, true, "edge power lost")] {
            if self.strikes(rate) {
                let (at, away) = (self.pick(self.edges.len()), self.span(10_000));
                self.fired.add(kind);
                self.crash_edge(at, power, away);
            }
        }
        if self.strikes(faults.edge_stopped) {
            self.fired.add("edge stopped at a disk operation");
            self.edges[self.pick(self.edges.len())].disk.stop_after(1 + self.entropy.below(12));
        }
        if self.strikes(faults.hub_killed) {
            let (at, away) = (self.pick(self.hubs.len()), self.span(10_000));
            self.fired.add("hub killed");
            self.crash_hub(at, away);
        }
        self.slumber();
        if self.strikes(faults.store_held) {
            let span = self.span(20_000);
            self.fired.add("store held");
            self.hold_store(span);
        }
        self.misfortune_around();
        self.misfortune_of_disks();
        self.operators();
    }

    fn slumber(&mut self) {
        let faults = self.swarm.faults.clone();
        if self.strikes(faults.edge_frozen) {
            let (at, span) = (self.pick(self.edges.len()), self.span(20_000));
            let name = self.edges[at].name.clone();
            if self.freeze(&name, span) {
                self.fired.add("edge frozen");
            }
        }
        if self.strikes(faults.hub_frozen) {
            let (at, span) = (self.pick(self.hubs.len()), self.span(faults.frozen_ms_max));
            if self.freeze_hub(at, span) {
                self.fired.add("hub frozen");
            }
        }
        if self.strikes(faults.hubs_frozen) {
            let (awake, span) = (self.pick(self.hubs.len()), self.span(faults.frozen_ms_max));
            let count = self.hubs.len();
            for at in (0..count).filter(|at| *at != awake || count == 2) {
                let more = Duration::from_millis(self.entropy.below(2_000));
                if self.freeze_hub(at, span + more) {
                    self.fired.add("hub frozen together with another");
                }
            }
        }
    }

    fn misfortune_around(&mut self) {
        let faults = self.swarm.faults.clone();
        let one_way = if self.entropy.chance(0.5) { Way::ToHub } else { Way::ToEdge };
        for (rate, way, max_ms, kind) in [
            (faults.cut, Way::Both, 20_000, "link cut"),
            (faults.cut_one_way, one_way, 20_000, "link cut one way"),
            // What is on its way is lost, dialling works again at once.
            (faults.address_changed, Way::Both, 20, "address changed"),
        ] {
            if self.strikes(rate) {
                let (edge, hub, span) = (self.pick(self.edges.len()), self.pick(self.hubs.len()), self.span(max_ms));
                if self.cut(edge, hub, way, span) {
                    self.fired.add(kind);
                }
            }
        }
        if self.strikes(faults.clock_moved) {
            let walls: Vec<Wall> = self.edges.iter().map(|edge| edge.wall.clone()).chain(self.hubs.iter().map(|hub| hub.wall.clone())).collect();
            let ms = i64::try_from(self.entropy.below(600_000 >> self.entropy.below(8))).unwrap();
            let ns = if self.entropy.chance(0.5) { ms } else { -ms } * 1_000_000;
            self.ground.trace.note(&format!("clock moved by {ns}"));
            self.fired.add("clock moved");
            walls[self.pick(walls.len())].shift(ns);
        }
    }

    fn misfortune_of_disks(&mut self) {
        let faults = self.swarm.faults.clone();
        if self.strikes(faults.disk_sync_failed) {
            let at = self.pick(self.edges.len());
            self.fired.add("disk sync failed");
            self.edges[at].disk.fail_sync(1);
            // Dying before it could write anew elsewhere it may find only later records; what lies before them is counted.
            self.may_lose.insert(self.edges[at].cluster);
        }
        if self.strikes(faults.disk_full) {
            self.fired.add("disk write found no room");
            self.edges[self.pick(self.edges.len())].disk.fail_write(1 + self.entropy.below(4));
        }
        let at = self.pick(self.edges.len());
        let away = Duration::from_millis(10 + self.entropy.below(3_000));
        // What an edge said of its tracks may be older than the newest of them.
        let was_ahead = self.most_tracks > 1 || self.swarm.has_backlog();
        if self.strikes(faults.wal_lost) {
            self.lose_wal(at, away);
            self.lose_backlog(at, was_ahead);
        }
        if self.strikes(faults.wal_restored) {
            self.restore_wal(at, away);
            self.lose_backlog(at, was_ahead);
        }
        if self.strikes(faults.wal_bit_rot) && self.rot(at) {
            self.fired.add("wal bit rot");
            self.crash_edge(at, false, away);
        }
        if self.strikes(faults.wal_file_lost) && self.lose_wal_file(at) {
            self.fired.add("wal file lost");
            self.crash_edge(at, false, away);
        }
    }

    /// With a track that went on ahead, what an older one had not sent is on no disk any more but that of the files.
    fn lose_backlog(&mut self, at: usize, was_ahead: bool) {
        if was_ahead && self.down.contains_key(&self.edges[at].name) {
            self.fired.add("wal lost or restored with several tracks");
            self.may_lose(at);
        }
    }

    /// The edge's disk is new; its sources are where they were.
    pub fn lose_wal(&mut self, at: usize, away: Duration) {
        let edge = Arc::clone(&self.edges[at]);
        if self.down.contains_key(&edge.name) {
            return;
        }
        self.fired.add("wal lost");
        self.ground.trace.note(&format!("the WAL of {} is lost", edge.name));
        self.crash_edge(at, false, away);
        edge.disk.wipe();
    }

    /// The edge's disk of an earlier moment is put back; the first time it is only kept.
    pub fn restore_wal(&mut self, at: usize, away: Duration) {
        let edge = Arc::clone(&self.edges[at]);
        if self.down.contains_key(&edge.name) {
            return;
        }
        match self.backups.remove(&at) {
            // A backup of a WAL that no hub has welcomed yet is one that an operator has to release.
            None if edge.status.lock().unwrap().as_ref().is_none_or(|status| status.report().producer.is_none()) => {}
            None => {
                self.ground.trace.note(&format!("the WAL of {} is kept", edge.name));
                self.backups.insert(at, edge.disk.image());
            }
            Some(image) => {
                self.fired.add("wal restored");
                self.ground.trace.note(&format!("the WAL of {} is restored", edge.name));
                self.crash_edge(at, false, away);
                edge.disk.restore(&image);
                self.set_back.insert(at);
            }
        }
    }

    /// The bucket of the last [`tests::objects::Bucket::keep`] is put back while all hubs are down.
    pub fn roll_back(&mut self, away: Duration) {
        for at in 0..self.hubs.len() {
            self.crash_hub(at, away);
        }
        if self.ground.bucket.roll_back().is_some() {
            self.ground.trace.note("the bucket is rolled back");
            self.fired.add("bucket rolled back");
            // What edges know of acks may lie beyond what stands; what they do not keep any more is counted.
            self.rolled_back = true;
            self.may_lose.extend(self.edges.iter().map(|edge| edge.cluster));
            // Who pushed has an answer and sends nothing again.
            self.ledger.disown(".push");
            self.acked.clear();
            self.acked_before.clear();
            self.acked_when_asked.clear();
        }
    }

    fn wal_files(&self, at: usize) -> Vec<std::path::PathBuf> {
        self.edges[at].disk.paths().into_iter().filter(|path| path.starts_with(WAL_DIR) && path.extension().is_some()).collect()
    }

    /// A bit of a WAL file flips; what it held may be lost, and is counted.
    fn rot(&mut self, at: usize) -> bool {
        let files = self.wal_files(at);
        if files.is_empty() {
            return false;
        }
        let file = &files[self.pick(files.len())];
        let len = self.edges[at].disk.contents(file).map_or(0, |bytes| bytes.len() as u64);
        self.may_lose.insert(self.edges[at].cluster);
        self.set_back.insert(at);
        self.ground.trace.note(&format!("rot {}", file.display()));
        len > 0 && self.edges[at].disk.flip(file, self.entropy.below(len))
    }

    fn lose_wal_file(&mut self, at: usize) -> bool {
        let files = self.wal_files(at);
        if files.is_empty() {
            return false;
        }
        let file = &files[self.pick(files.len())];
        self.may_lose.insert(self.edges[at].cluster);
        self.set_back.insert(at);
        self.ground.trace.note(&format!("lose {}", file.display()));
        self.edges[at].disk.lose(file)
    }

    /// What operators and other clients do.
    fn operators(&mut self) {
        let faults = self.swarm.faults.clone();
        if self.strikes(faults.remapped) && self.maps_due.is_empty() {
            let at = self.pick(self.owners.len());
            self.remap(at);
        }
        if self.strikes(faults.pushed) {
            let at = self.pick(TENANTS.len());
            self.push(at);
        }
    }

    /// A cluster changes its tenant; hubs get the new map one after the other.
    pub fn remap(&mut self, at: usize) {
        self.fired.add("cluster moved to another tenant");
        self.owners[at] = (self.owners[at] + 1) % TENANTS.len();
        self.map += 1;
        self.know_map();
        self.ground.trace.note(&format!("map {} gives {} to {}", self.map, CLUSTERS[at], TENANTS[self.owners[at]]));
        let text = map_text(self.map, &self.owners);
        for hub in 0..self.hubs.len() {
            let when = self.now() + Duration::from_millis(self.entropy.below(3_000));
            self.maps_due.push((when, hub, text.clone()));
        }
    }

    /// An edge's identity is revoked, at the first hub that can.
    pub fn revoke(&mut self, at: usize) {
        let (cluster, edge) = (self.edges[at].cluster, self.edges[at].edge);
        if self.hubs.iter().any(|hub| hub.order(Order::Revoke { cluster, edge })) {
            self.fired.add("edge revoked");
            self.revoked.insert(at);
        }
    }

    /// What comes once in a run, at its time.
    fn once(&mut self, step: u64, steps: u64) {
        if self.swarm.succession {
            let last = self.hubs.len() - 1;
            if step == 0 {
                self.crash_hub(last, self.swarm.faults_for / 2);
            } else if step == steps / 2 {
                self.fired.add("hub replaced");
                self.crash_hub(0, Duration::from_secs(86_400));
                let name = self.hubs[0].name.clone();
                self.down.insert(name.clone(), self.now() + Duration::from_secs(86_400));
                self.retired.insert(name);
            }
        }
        if self.swarm.faults.cloned && step > steps / 2 && !self.may_quarantine && self.is_drained(0) {
            let at = 0;
            let span = Duration::from_secs(5 + self.entropy.below(20));
            self.clone_edge(at, span);
        }
        if self.swarm.faults.rolled_back && step == steps / 3 {
            self.ground.trace.note("the bucket is kept");
            self.ground.bucket.keep();
        }
        if self.swarm.faults.rolled_back && step == steps / 2 {
            let away = self.span(5_000);
            self.roll_back(away);
        }
        if self.swarm.faults.revoked && self.edges.len() > 2 && step == steps * 2 / 3 {
            self.revoke(self.edges.len() - 1);
        }
    }

    /// Lines are written and faults come.
    pub fn suffer(&mut self) -> Result<(), String> {
        self.ground.bucket.set_rates(self.swarm.faults.store);
        self.ground.weather.set_loss(self.swarm.faults.packets_lost);
        let steps = u64::try_from(self.swarm.faults_for.as_millis() / TICK.as_millis()).unwrap().max(1);
        let total = self.swarm.lines * self.edges.len() as u64;
        let mut left = total;
        for step in 0..steps {
            // In bursts: most steps write nothing.
            if left > 0 && self.entropy.below(20) == 0 {
                let share = (total * 20 / steps).max(1);
                for _ in 0..(1 + self.entropy.below(2 * share)).min(left) {
                    let (at, source) = (self.pick(self.edges.len()), self.pick(self.swarm.shape.sources));
                    self.write(at, source);
                    left -= 1;
                }
            }
            if self.swarm.rotates && self.strikes(500) {
                let (at, source) = (self.pick(self.edges.len()), self.pick(self.swarm.shape.sources));
                self.rotate(at, source);
            }
            self.once(step, steps);
            self.misfortune();
            self.step()?;
            if step % 1_000 == 999 {
                self.ask();
            }
            self.judge()?;
        }
        Ok(())
    }

    /// All faults end.
    pub fn heal(&mut self) {
        self.ground.trace.note("heal");
        self.ground.bucket.set_rates(Rates::default());
        self.ground.weather.set_loss(0);
        let now = self.now();
        let retired = self.retired.clone();
        self.down.iter_mut().filter(|(host, _)| !retired.contains(*host)).for_each(|(_, at)| *at = now);
        self.frozen.values_mut().for_each(|at| *at = now);
        self.links.values_mut().for_each(|at| *at = now);
        self.maps_due.iter_mut().for_each(|(at, _, _)| *at = now);
        self.store_held = self.store_held.map(|_| now);
        self.edges.iter().for_each(|edge| edge.disk.heal());
        self.edges.iter().map(|edge| &edge.wall).chain(self.hubs.iter().map(|hub| &hub.wall)).for_each(|wall| wall.shift(-wall.skew_ns()));
        if let Some((_, until)) = &mut self.clone {
            *until = now;
        }
        self.finish_halves();
    }
}
