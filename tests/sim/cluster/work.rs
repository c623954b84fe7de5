//! What a driver lets be written: lines into files that edges read, pushes at hubs.
//!
//! Part of [`Cluster`]. A push is tried at one hub after another until one says that it is stored, or for a minute. Must not do: faults.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proto_seam::{Disk, Entropy, OpenHow};
use tests::disk::SimDisk;
use tests::world::START_NS;

use super::{Cluster, SPARE};
use crate::hosts::{EdgeHost, LOG_DIR, Order, Outcome};

/// How long a sender of a push tries.
const PUSH_FOR: Duration = Duration::from_secs(60);
/// How long it waits for one hub.
const PUSH_WAIT: Duration = Duration::from_secs(10);

/// A push that nobody has answered yet.
#[derive(Debug)]
pub struct PendingPush {
    tenant: usize,
    number: usize,
    key: Vec<u8>,
    line: String,
    began: Duration,
    again: Duration,
    tries: u64,
}

fn padding(entropy: &Entropy, max: u64) -> String {
    let len = usize::try_from(if entropy.chance(0.05) { entropy.below(1_500) } else { entropy.below(max) }).unwrap();
    let drawn = entropy.next_u64();
    (0..len).map(|at| char::from(b'a' + u8::try_from((drawn.rotate_left(u32::try_from(at % 64).unwrap()) ^ at as u64) % 26).unwrap())).collect()
}

/// Appends as a program that logs does; at once durable.
fn append(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let mut file = disk.open(path, OpenHow::Append).unwrap();
    file.append(bytes).and_then(|()| file.sync()).unwrap();
    disk.sync_dir(Path::new(LOG_DIR)).unwrap();
}

impl Cluster {
    /// Writes the next line of a source of an edge: whole, in two pieces of CRI, or not to its end yet.
    pub fn write(&mut self, at: usize, source: usize) {
        let edge = Arc::clone(&self.edges[at]);
        let name = format!("{}.{}.app-{source}", edge.cluster, edge.edge);
        let line = self.ledger.write(&name, &padding(&self.entropy, self.swarm.padding));
        let mut bytes = self.half.remove(&(at, source)).unwrap_or_default();
        let mut line_is_whole = true;
        if edge.shape.timed {
            let cut = if self.entropy.chance(0.05) { usize::try_from(1 + self.entropy.below(line.len() as u64 - 1)).unwrap() } else { 0 };
            if cut > 0 {
                line_is_whole = false;
                bytes.extend(format!("{} stdout P {}\n", self.stamp(), &line[..cut]).bytes());
            }
            bytes.extend(format!("{} stdout F {}\n", self.stamp(), &line[cut..]).bytes());
        } else {
            bytes.extend(format!("{line}\n").bytes());
        }
        // Pieces of one line lie together: an edge gives up waiting for the rest after half a minute.
        if line_is_whole && self.entropy.chance(0.1) {
            let keep = usize::try_from(self.entropy.below(bytes.len() as u64)).unwrap();
            self.half.insert((at, source), bytes.split_off(keep));
        }
        append(&edge.sources, &EdgeHost::log(source, None), &bytes);
    }

    /// Writes the next line of a source that only a copy of an edge has.
    pub fn write_beside(&mut self, copy: &EdgeHost, source: usize) {
        let name = format!("{}.copy.app-{source}", copy.cluster);
        let line = self.ledger.write(&name, &padding(&self.entropy, self.swarm.padding));
        let bytes = format!("{} stdout F {line}\n", self.stamp());
        append(&copy.sources, &EdgeHost::log(source, None), bytes.as_bytes());
    }

    /// A time that no other line has, RFC 3339 with nanoseconds.
    fn stamp(&mut self) -> String {
        let now = START_NS + i64::try_from(self.now().as_nanos()).unwrap() * self.days_fold;
        self.stamp = now.max(self.stamp + 1);
        let since = self.stamp - START_NS;
        let (secs, nanos) = (since / 1_000_000_000, since % 1_000_000_000);
        let (day, secs) = (secs / 86_400, secs % 86_400);
        format!("2026-01-{:02}T{:02}:{:02}:{:02}.{nanos:09}Z", 1 + day, secs / 3_600, secs / 60 % 60, secs % 60)
    }

    /// What was written not to its end yet is ended.
    pub fn finish_halves(&mut self) {
        for ((at, source), bytes) in std::mem::take(&mut self.half) {
            append(&self.edges[at].sources, &EdgeHost::log(source, None), &bytes);
        }
    }

    /// Renames a source's file and goes on in a new one.
    pub(super) fn rotate(&mut self, at: usize, source: usize) {
        if self.half.contains_key(&(at, source)) {
            return;
        }
        let disk = self.edges[at].sources.clone();
        let number = self.rotations.entry((at, source)).or_default();
        *number += 1;
        let (from, to) = (EdgeHost::log(source, None), EdgeHost::log(source, Some(*number)));
        if disk.contents(&from).is_some() && disk.rename(&from, &to).is_ok() {
            drop(disk.sync_dir(Path::new(LOG_DIR)));
            self.ground.trace.note(&format!("rotate {} {}", self.edges[at].name, to.display()));
            self.fired.add("file rotated");
        }
    }

    /// Pushes a line of a tenant.
    pub fn push(&mut self, tenant: usize) {
        let (number, line) = self.ledger.offer(&format!("{}.push", SPARE[tenant]), &padding(&self.entropy, self.swarm.padding));
        self.pushed += 1;
        let now = self.now();
        let key = format!("push {}", self.pushed).into_bytes();
        self.pushes.insert(self.pushed, PendingPush { tenant, number, key, line, began: now, again: now, tries: 0 });
    }

    /// Pushes that were answered are done, others are tried at another hub.
    pub(super) fn carry_on_pushes(&mut self) {
        for hub in &self.hubs {
            for outcome in std::mem::take(&mut *hub.outcomes.lock().unwrap()) {
                match outcome {
                    Outcome::Pushed { id, stored: true } => {
                        if let Some(push) = self.pushes.remove(&id) {
                            self.ledger.owe(&format!("{}.push", SPARE[push.tenant]), push.number);
                        }
                    }
                    Outcome::Pushed { id, stored: false } => {
                        if let Some(push) = self.pushes.get_mut(&id) {
                            push.again = self.floor.elapsed() + Duration::from_millis(500);
                        }
                    }
                    Outcome::Released { producer, done: true } => {
                        self.released.insert(producer);
                    }
                    Outcome::Released { .. } => {}
                    Outcome::Deleted { tenant, done } => drop(self.deleted.insert(tenant, done)),
                }
            }
        }
        let now = self.floor.elapsed();
        self.pushes.retain(|_, push| push.began + PUSH_FOR > now);
        for (id, push) in self.pushes.iter_mut().filter(|(_, push)| push.again <= now) {
            let hub = &self.hubs[usize::try_from((id + push.tries) % self.hubs.len() as u64).unwrap()];
            push.tries += 1;
            push.again = now + PUSH_WAIT;
            let at = i64::try_from(push.number).unwrap() * 1_000;
            if hub.order(Order::Push { id: *id, cluster: SPARE[push.tenant], key: push.key.clone(), line: push.line.clone(), at }) && push.tries > 1 {
                self.fired.add("push retried at another hub");
            }
        }
    }
}
