//! What operators do about copies and WALs that contradict what is stored; and how a copy comes to be.
//!
//! Part of [`Cluster`]. Must not do: judge.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto_seam::Disk as _;
use tests::disk::SimDisk;
use tests::oracle::Oracle;
use tests::quic::EDGES;
use tests::world::Wall;

use super::Cluster;
use crate::hosts::{EdgeHost, LOG_DIR, Order};

impl Cluster {
    /// A WAL that was set back and went on under numbers that were taken already contradicts what is stored: an operator releases what it was
    /// bound to. Of a copy, which the operator knows to be one, it is deleted.
    pub(super) fn settle_contradicted(&mut self) {
        let now = self.now();
        for at in self.set_back.clone() {
            let report = self.edges[at].status.lock().unwrap().as_ref().map(edge::status::Status::report);
            let Some(track) = report.and_then(|report| report.tracks.into_iter().find(|track| track.state == "diverged")) else { continue };
            if self.may_quarantine {
                self.fired.add("contradicting wal deleted by an operator");
                self.set_back.remove(&at);
                self.lose_wal(at, Duration::from_secs(1));
                continue;
            }
            let Some(producer) = track.producer.filter(|_| self.release_again <= now) else { continue };
            self.release_again = now + Duration::from_secs(5);
            let hub = self.pick(self.hubs.len());
            if !self.released.contains(&producer) && self.hubs[hub].order(Order::Release { producer }) {
                self.fired.add("contradicted producer released by an operator");
            }
        }
    }

    /// A machine with a copy of an edge's disks starts beside it; it ends after `span`. Call when the edge has nothing left to send.
    pub fn clone_edge(&mut self, at: usize, span: Duration) -> bool {
        self.copy_edge(at, EDGES[at], span, false).is_some()
    }

    /// As [`Self::clone_edge`], under a name of its own perhaps; `own_logs`: it has files of its own to read. Gives the copy.
    pub fn copy_edge(&mut self, at: usize, edge: &'static str, span: Duration, own_logs: bool) -> Option<Arc<EdgeHost>> {
        let original = Arc::clone(&self.edges[at]);
        if self.clone.is_some() || self.swarm.sockets {
            return None;
        }
        let name = format!("clone-{at}");
        let disk = SimDisk::new(&self.entropy.fork("clone"));
        disk.restore(&original.disk.image());
        let sources = SimDisk::new(&self.entropy.fork("clone sources"));
        sources.make_dirs(Path::new(LOG_DIR)).unwrap();
        if own_logs {
            // Another machine's files are others: no number of its file system is one of the original's that is in use.
            for number in 0..100 {
                sources.put(Path::new(&format!("{LOG_DIR}/other-{number}")), b"");
            }
        } else {
            // The logs of its machine cannot be read: what both read would be of both.
            sources.stop_after(0);
        }
        let host = Arc::new(EdgeHost {
            name: name.clone(),
            cluster: original.cluster,
            edge,
            shape: original.shape.clone(),
            hubs: original.hubs.clone(),
            disk,
            sources,
            wall: Wall::default(),
            boots: AtomicU64::new(0),
            status: Mutex::new(None),
            ground: self.ground.clone(),
        });
        self.ground.trace.note(&format!("{name} starts"));
        self.fired.add("edge cloned");
        self.may_quarantine = true;
        if !own_logs {
            // One of the two may find itself contradicted before a hub does.
            self.set_back.insert(at);
        }
        let software = Arc::clone(&host);
        self.floor.host(&name, move || Arc::clone(&software).run());
        self.clone = Some((name, self.now() + span));
        Some(host)
    }

    /// The copy is an edge like others from now on.
    pub fn forget_clone(&mut self) {
        self.clone = None;
    }

    /// The copy is found and switched off; then what was quarantined is released.
    pub(super) fn release_quarantined(&mut self) {
        let now = self.now();
        if let Some((name, until)) = self.clone.clone() {
            if until > now {
                return;
            }
            self.ground.trace.note(&format!("{name} ends"));
            self.floor.crash(&name);
            self.clone = None;
        }
        if !self.may_quarantine || now < self.release_again {
            return;
        }
        self.release_again = now + Duration::from_secs(5);
        for producer in self.ground.bucket.oracle(Oracle::quarantined) {
            if !self.released.contains(&producer) {
                let hub = self.pick(self.hubs.len());
                if self.hubs[hub].order(Order::Release { producer }) {
                    self.fired.add("quarantined producer released");
                }
            }
        }
    }

    /// The machine of an edge goes on under another name, with the disks that it has; the name before is nobody's.
    pub fn rename_edge(&mut self, before: &Arc<EdgeHost>, edge: &'static str) -> Arc<EdgeHost> {
        self.floor.crash(&before.name);
        before.disk.kill();
        let host = Arc::new(EdgeHost {
            name: format!("{}-renamed", before.name),
            cluster: before.cluster,
            edge,
            shape: before.shape.clone(),
            hubs: before.hubs.clone(),
            disk: before.disk.clone(),
            sources: before.sources.clone(),
            wall: before.wall.clone(),
            boots: AtomicU64::new(0),
            status: Mutex::new(None),
            ground: self.ground.clone(),
        });
        self.ground.trace.note(&format!("{} goes on as {edge} of {}", before.name, before.cluster));
        let software = Arc::clone(&host);
        self.floor.host(&host.name, move || Arc::clone(&software).run());
        // Its page may show the numbers of one name beside the other's for a moment.
        self.may_quarantine = true;
        if let Some(at) = self.edges.iter().position(|edge| edge.name == before.name) {
            self.edges[at] = Arc::clone(&host);
        }
        host
    }
}
