//! The truth: the first object created under a number, any other is garbage. What may be deleted and recorded is judged by it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hub_store::{LaneHeader, LaneRecord, Manifest, SegmentId, StoreKeys};
use proto_model::{LaneId, TenantId};
use tokio::time::Instant;

/// The truth, and what was seen.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) lanes: BTreeMap<LaneId, BTreeMap<u64, LaneHeader>>,
    pub(crate) manifests: BTreeMap<TenantId, BTreeMap<u64, Manifest>>,
    pub(crate) floors: BTreeMap<LaneId, u64>,
    pub(crate) acked: BTreeMap<(TenantId, String), Instant>,
    /// Tenants whose sections hold no floor back.
    pub(crate) erased: BTreeSet<TenantId>,
    /// Lines that were deleted, and when that was answered.
    pub(crate) gone: BTreeMap<(TenantId, String), Instant>,
    /// Lines whose delete is not answered.
    pub(crate) doubtful: BTreeSet<(TenantId, String)>,
    pub(crate) garbage_lanes: u64,
    pub(crate) garbage_manifests: u64,
    pub(crate) deleted: BTreeMap<&'static str, u64>,
    /// What was wrong, in order.
    pub(crate) breaches: Vec<String>,
    /// Forgets what a later floor or manifest cannot be judged by any more: for long runs that nobody sleeps through.
    pub(crate) forgets: bool,
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

impl Oracle {
    pub(super) fn created(&mut self, name: &str, body: &Bytes) {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["lanes", lane, "log", at] => self.lane_object(lane.parse().unwrap(), number(at).unwrap(), body),
            ["tenants", tenant, "manifest", at] => self.manifest(&TenantId::new(tenant).unwrap(), number(at).unwrap(), body),
            _ => {}
        }
    }

    fn lane_object(&mut self, lane: LaneId, number: u64, body: &Bytes) {
        let header = LaneHeader::open(body, lane, number, &StoreKeys::none()).unwrap();
        let known = self.lanes.entry(lane).or_default();
        if known.contains_key(&number) {
            self.garbage_lanes += 1;
            return;
        }
        for record in &header.records {
            if let LaneRecord::Floor(floor) = record {
                self.floors.insert(lane, *floor);
                for (at, below) in known.range(..=*floor) {
                    for section in below.sections.iter().filter(|section| !self.erased.contains(&section.tenant)) {
                        let mark = self.manifests.get(&section.tenant).and_then(|log| log.values().next_back()).map_or(0, |newest| newest.watermark(lane));
                        if mark < *at {
                            self.breaches.push(format!("floor {floor} of lane {lane} passes number {at}, absorbed up to {mark}"));
                        }
                    }
                }
                if self.forgets {
                    known.retain(|at, _| at > floor);
                }
            }
        }
        known.insert(number, header);
    }

    fn manifest(&mut self, tenant: &TenantId, number: u64, body: &Bytes) {
        let manifest = Manifest::read(body, tenant, number, &StoreKeys::none()).unwrap();
        let known = self.manifests.entry(tenant.clone()).or_default();
        if known.contains_key(&number) {
            self.garbage_manifests += 1;
            return;
        }
        if let Some((_, before)) = known.last_key_value()
            && (manifest.previous != before.commit || number != before.number + 1)
        {
            self.breaches.push(format!("manifest {number} does not follow the true {}", before.number));
        }
        known.insert(number, manifest);
        if self.forgets {
            known.retain(|at, _| at + 2 > number);
        }
    }

    pub(super) fn deletes(&mut self, name: &str) {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["lanes", lane, "log", at] => {
                *self.deleted.entry("lane").or_default() += 1;
                let (lane, at): (LaneId, u64) = (lane.parse().unwrap(), number(at).unwrap());
                if at > self.floors.get(&lane).copied().unwrap_or(0) {
                    self.breaches.push(format!("number {at} of lane {lane} is deleted above the floor"));
                }
            }
            ["tenants", tenant, "segments", id] => {
                *self.deleted.entry("segment").or_default() += 1;
                let id = SegmentId(u128::from_str_radix(id, 16).unwrap());
                let newest = self.manifests.get(&TenantId::new(tenant).unwrap()).and_then(|log| log.values().next_back());
                if newest.is_some_and(|newest| newest.names(id)) {
                    self.breaches.push(format!("segment {id} is deleted while it is named"));
                }
            }
            ["tenants", tenant, "manifest", at] => {
                *self.deleted.entry("manifest").or_default() += 1;
                let newest = self.manifests.get(&TenantId::new(tenant).unwrap()).and_then(|log| log.keys().next_back()).copied().unwrap_or(0);
                if number(at).unwrap() + 2 > newest {
                    self.breaches.push(format!("manifest {at} is deleted while {newest} is the newest"));
                }
            }
            _ => {}
        }
    }
}
