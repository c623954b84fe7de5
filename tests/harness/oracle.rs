//! What was committed, read from objects as they are created: the truth that hubs and edges are held against.
//!
//! Parts: [`Oracle`]; `producers` (cursors, moves), `manifests` (absorbed state, segments). The first object at a number of a lane or manifest log is the
//! truth; what is created at a number that was deleted is garbage and must never matter. Checked at each create: order, epochs, moves, no batch twice, tenant map,
//! floors; a manifest holds exactly the log at its watermarks; at each delete: floor, snapshots, ascending order, nothing named is deleted.
//! Promises: it shares no code with the store it judges (`docs/formats/{lane,manifest}.md`). Must not do: ask a hub or an edge.

use std::collections::{BTreeMap, BTreeSet};

use crate::fields::Message;

mod manifests;
mod producers;

use manifests::Manifests;
use producers::Producers;

/// What stands, and what has stood.
#[derive(Debug, Default, Clone)]
pub struct Oracle {
    lanes: BTreeMap<String, Lane>,
    producers: Producers,
    manifests: Manifests,
    objects: Vec<Object>,
    /// Lines by tenant.
    lines: BTreeMap<String, u64>,
    /// Lines that edges of a cluster brought.
    of_cluster: BTreeMap<String, u64>,
    /// Pushes by key.
    pushes: BTreeMap<Vec<u8>, u64>,
    losses: BTreeMap<String, Losses>,
    /// Cluster to tenant, by version.
    maps: BTreeMap<u64, BTreeMap<String, String>>,
    map_in_force: u64,
    batches: u64,
    violations: Vec<String>,
}

/// What loss records say.
#[derive(Debug, Default, Clone, Copy)]
pub struct Losses {
    /// How many there are.
    pub records: u64,
    /// Lines that they count.
    pub lines: u64,
    /// Those that do not say how many lines.
    pub uncounted: u64,
}

/// One lane.
#[derive(Debug, Default, Clone)]
struct Lane {
    commits: BTreeMap<u64, Vec<u8>>,
    /// By tenant: numbers of its sections, and lines in them.
    sections: BTreeMap<String, BTreeMap<u64, u64>>,
    floor: u64,
    map: u64,
    snapshots: BTreeSet<u64>,
    /// Numbers below this were deleted.
    deleted_below: u64,
}

/// What one lane object brought.
#[derive(Debug, Default, Clone)]
struct Object {
    advances: Vec<(String, u64)>,
    lines: BTreeMap<String, u64>,
    writer: String,
}

type Check = Result<(), String>;

/// The header of a framed object, and what lies behind it.
fn framed(body: &[u8]) -> Result<(Message<'_>, &[u8]), String> {
    let header_len = body.get(12..16).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes).ok_or("short")?;
    let (header, rest) = body.get(56..).and_then(|rest| rest.split_at_checked(header_len as usize)).ok_or("short")?;
    Ok((Message::read(header)?, rest))
}

impl Oracle {
    /// An object was created under `name`. Whether it is the first ever there; if not, it is garbage.
    pub fn created(&mut self, name: &str, body: &[u8]) -> bool {
        let parts: Vec<&str> = name.split('/').collect();
        let outcome = match parts[..] {
            ["lanes", lane, "log", number] => {
                let number = number.parse().unwrap_or(u64::MAX);
                if self.lanes.get(lane).is_some_and(|lane| lane.commits.contains_key(&number)) {
                    return false;
                }
                self.lane_object(lane, number, body)
            }
            ["tenants", tenant, "manifest", number] => {
                let number = number.parse().unwrap_or(u64::MAX);
                if self.manifests.has(tenant, number) {
                    return false;
                }
                self.manifest(tenant, number, body)
            }
            ["tenants", tenant, "segments", id] => {
                self.manifests.segment_written(tenant, id);
                Ok(())
            }
            _ => Ok(()),
        };
        self.note(name, outcome);
        true
    }

    /// An object was written over whatever stood there.
    pub fn written(&mut self, name: &str) {
        let parts: Vec<&str> = name.split('/').collect();
        match parts[..] {
            ["lanes", lane, "snap", number] => drop(self.lanes.entry(lane.to_owned()).or_default().snapshots.insert(number.parse().unwrap_or(0))),
            ["lanes", _, "log", _] | ["tenants", _, "manifest", _] => self.note(name, Err("it was written over, not created".to_owned())),
            ["tenants", tenant, "segments", id] => self.manifests.segment_written(tenant, id),
            _ => {}
        }
    }

    /// What stood under `name` was deleted.
    pub fn deleted(&mut self, name: &str) {
        let parts: Vec<&str> = name.split('/').collect();
        let outcome = match parts[..] {
            ["lanes", lane, "log", number] => self.lanes.entry(lane.to_owned()).or_default().deleted(number.parse().unwrap_or(u64::MAX)),
            ["lanes", lane, "snap", number] => self.lanes.entry(lane.to_owned()).or_default().snapshot_deleted(number.parse().unwrap_or(u64::MAX)),
            ["tenants", tenant, "manifest", number] => self.manifests.deleted(tenant, number.parse().unwrap_or(u64::MAX)),
            ["tenants", tenant, "segments", id] => self.manifests.segment_deleted(tenant, id),
            ["control", "probe", _] => Ok(()),
            ["control", ..] => Err("control objects are never deleted".to_owned()),
            _ => Ok(()),
        };
        self.note(name, outcome);
    }

    fn note(&mut self, name: &str, outcome: Check) {
        if let Err(reason) = outcome {
            self.violations.push(format!("{name}: {reason}"));
        }
    }

    fn lane_object(&mut self, lane: &str, number: u64, body: &[u8]) -> Check {
        let (header, sections) = framed(body)?;
        let of = self.lanes.entry(lane.to_owned()).or_default();
        if number != of.commits.len() as u64 {
            return Err(format!("it stands though the head is {}", of.commits.len() as i64 - 1));
        }
        if number > 0 && of.commits.get(&(number - 1)).is_none_or(|before| before != header.bytes(4)) {
            return Err("it does not follow the object before it".to_owned());
        }
        of.commits.insert(number, header.bytes(3).to_vec());
        self.objects.push(Object { writer: header.text(5), ..Object::default() });
        for record in header.all(8) {
            self.record(lane, number, &Message::read(record)?)?;
        }
        let map = header.number(7);
        let of = self.lanes.entry(lane.to_owned()).or_default();
        if number > 0 && map < of.map {
            return Err(format!("it was made by map {map}, after {} came into the lane", of.map));
        }
        if number > 0 && map < self.map_in_force {
            return Err(format!("it was made by map {map}, after {} was answered to be in force", self.map_in_force));
        }
        for section in header.all(9) {
            self.section(lane, number, map, &Message::read(section)?, sections)?;
        }
        Ok(())
    }

    fn newest(&mut self) -> &mut Object {
        self.objects.last_mut().expect("one is being read")
    }

    fn record(&mut self, lane: &str, number: u64, record: &Message<'_>) -> Check {
        if let Some(open) = record.all(1).last() {
            self.producers.open(lane, &Message::read(open)?)?;
        }
        if let Some(advance) = record.all(2).last() {
            let (producer, to) = self.producers.advance(lane, &Message::read(advance)?)?;
            self.newest().advances.push((producer, to));
        }
        if let Some(close) = record.all(3).last() {
            self.producers.close(lane, &Message::read(close)?)?;
        }
        if let Some(quarantine) = record.all(4).last() {
            self.producers.quarantine(&Message::read(quarantine)?)?;
        }
        if let Some(loss) = record.all(5).last() {
            let loss = Message::read(loss)?;
            let of = self.losses.entry(loss.text(2)).or_default();
            *of = Losses { records: of.records + 1, lines: of.lines + loss.number(8), uncounted: of.uncounted + u64::from(!loss.has(8)) };
        }
        let of = self.lanes.entry(lane.to_owned()).or_default();
        of.map = of.map.max(record.number(7));
        let floor = record.number(8);
        if floor > 0 {
            if floor <= of.floor || floor > number {
                return Err(format!("floor {floor} is not between {} and {number}", of.floor));
            }
            for (tenant, sections) in &of.sections {
                if let Some((last, _)) = sections.range(of.floor + 1..=floor).next_back()
                    && self.manifests.watermark(tenant, lane) < *last
                {
                    return Err(format!(
                        "floor {floor} is past section {last} of {tenant}, whose manifest holds up to {}",
                        self.manifests.watermark(tenant, lane)
                    ));
                }
            }
            of.floor = floor;
        }
        Ok(())
    }

    fn section(&mut self, lane: &str, number: u64, map: u64, entry: &Message<'_>, sections: &[u8]) -> Check {
        let (tenant, lines) = (entry.text(1), entry.number(7));
        let range = usize::try_from(entry.number(2)).unwrap_or(0)..usize::try_from(entry.number(2) + entry.number(3)).unwrap_or(0);
        let section = sections.get(range).ok_or("a section lies outside")?;
        let table_len = section.get(..4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes).ok_or("short section")?;
        let table = Message::read(section.get(4..4 + table_len as usize).ok_or("short section")?)?;
        let mut counted = 0;
        for batch in table.all(3) {
            let batch = Message::read(batch)?;
            let in_batch = batch.all(7).iter().map(|row| Message::read(row).map(|row| row.number(2))).sum::<Result<u64, String>>()?;
            counted += in_batch;
            let cluster = batch.text(6);
            if cluster.is_empty() {
                *self.pushes.entry(batch.bytes(5).to_vec()).or_default() += in_batch;
                if self.pushes.get(batch.bytes(5)) != Some(&in_batch) {
                    return Err("a push was committed twice".to_owned());
                }
                continue;
            }
            self.batches += 1;
            *self.of_cluster.entry(cluster.clone()).or_default() += in_batch;
            if let Some(owner) = self.maps.get(&map).and_then(|map| map.get(&cluster))
                && *owner != tenant
            {
                return Err(format!("a batch of {cluster} lies in a section of {tenant}, by map {map} it is {owner}'s"));
            }
        }
        if counted != lines {
            return Err(format!("a section says {lines} lines, its batches have {counted}"));
        }
        self.lanes.entry(lane.to_owned()).or_default().sections.entry(tenant.clone()).or_default().insert(number, lines);
        *self.newest().lines.entry(tenant.clone()).or_default() += lines;
        *self.lines.entry(tenant).or_default() += lines;
        Ok(())
    }

    fn manifest(&mut self, tenant: &str, number: u64, body: &[u8]) -> Check {
        let (header, _) = framed(body)?;
        let lanes = &self.lanes;
        let upto = |lane: &str, watermark: u64| {
            let sections = lanes.get(lane).and_then(|lane| lane.sections.get(tenant));
            sections.map_or(0, |sections| sections.range(..=watermark).map(|(_, lines)| lines).sum())
        };
        self.manifests.created(tenant, number, &header, upto)
    }

    /// Clusters belong to tenants as `map` says, by this version.
    pub fn know_map(&mut self, version: u64, map: BTreeMap<String, String>) {
        self.maps.insert(version, map);
    }

    /// The admin was answered that `version` is in force.
    pub fn map_in_force(&mut self, version: u64) {
        self.map_in_force = self.map_in_force.max(version);
    }

    /// Newest committed sequence of a producer; 0 when nothing of it is.
    #[must_use]
    pub fn committed(&self, producer: &str) -> u64 {
        self.producers.last(producer)
    }

    /// Committed lines of a tenant.
    #[must_use]
    pub fn lines(&self, tenant: &str) -> u64 {
        self.lines.get(tenant).copied().unwrap_or(0)
    }

    /// Committed lines that edges of a cluster brought.
    #[must_use]
    pub fn lines_of_cluster(&self, cluster: &str) -> u64 {
        self.of_cluster.get(cluster).copied().unwrap_or(0)
    }

    /// Committed batches of edges.
    #[must_use]
    pub const fn batches(&self) -> u64 {
        self.batches
    }

    /// Lines of a tenant in objects of which everything is acknowledged, when each producer's edge knows of an ack up to `acked`.
    #[must_use]
    pub fn lines_acked(&self, tenant: &str, acked: &BTreeMap<String, u64>) -> u64 {
        let known = |object: &&Object| object.advances.iter().all(|(producer, to)| acked.get(producer).is_some_and(|acked| acked >= to));
        self.objects.iter().filter(known).filter_map(|object| object.lines.get(tenant)).sum()
    }

    /// Losses by cluster.
    #[must_use]
    pub const fn losses(&self) -> &BTreeMap<String, Losses> {
        &self.losses
    }

    /// Quarantined producers.
    #[must_use]
    pub fn quarantined(&self) -> Vec<String> {
        self.producers.quarantined()
    }

    /// Moves of producers: Closes that stand.
    #[must_use]
    pub const fn closes(&self) -> u64 {
        self.producers.closes
    }

    /// Lanes with their heads, floors, and numbers below which all is deleted.
    pub fn lanes(&self) -> impl Iterator<Item = (&str, u64, u64, u64)> {
        self.lanes.iter().map(|(lane, of)| (lane.as_str(), (of.commits.len() as u64).saturating_sub(1), of.floor, of.deleted_below))
    }

    /// Whether every lane's floor is at or past its last section.
    #[must_use]
    pub fn is_absorbed(&self) -> bool {
        let last = |lane: &Lane| lane.sections.values().filter_map(|sections| sections.keys().next_back().copied()).max().unwrap_or(0);
        self.lanes.values().all(|lane| lane.floor >= last(lane))
    }

    /// Manifests that stand, segments that the newest name, segments that stand.
    #[must_use]
    pub fn segments(&self) -> (u64, u64, u64) {
        self.manifests.counts()
    }

    /// Lane objects, those of them that follow one of another hub.
    #[must_use]
    pub fn objects(&self) -> (u64, u64) {
        let changes = self.objects.windows(2).filter(|pair| pair[0].writer != pair[1].writer);
        (self.objects.len() as u64, changes.count() as u64)
    }

    /// Open deletes of a tenant, and lines that its deletes took.
    #[must_use]
    pub fn deletes(&self, tenant: &str) -> (u64, u64) {
        self.manifests.deletes(tenant)
    }

    /// What must never happen and did.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }
}

impl Lane {
    fn second_snapshot(&self) -> u64 {
        self.snapshots.iter().rev().nth(1).copied().unwrap_or(0)
    }

    fn deleted(&mut self, number: u64) -> Check {
        if number < self.deleted_below {
            // Garbage.
            return Ok(());
        }
        if number != self.deleted_below {
            return Err(format!("it was deleted before {}", self.deleted_below));
        }
        if number > self.floor || number >= self.second_snapshot() {
            return Err(format!("it was deleted though the floor is {} and the second newest snapshot {}", self.floor, self.second_snapshot()));
        }
        self.deleted_below = number + 1;
        Ok(())
    }

    fn snapshot_deleted(&mut self, number: u64) -> Check {
        if number >= self.second_snapshot() {
            return Err("one of the two newest snapshots was deleted".to_owned());
        }
        self.snapshots.remove(&number);
        Ok(())
    }
}
