//! Counters of upkeep: what was absorbed, merged, rewritten, swept, collected, set aside; what was lost to others.
//!
//! Parts: [`UpkeepMetrics`]. Must not do: name tenants.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfJob {
    pub(crate) job: &'static str,
    pub(crate) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfLane {
    pub(crate) lane: String,
}

/// The numbers; clones share them.
#[derive(Debug, Clone, Default)]
pub struct UpkeepMetrics {
    pub(crate) jobs: Family<OfJob, Counter>,
    pub(crate) absorbed_lines: Counter,
    pub(crate) absorbed_bytes: Counter,
    pub(crate) written_segments: Counter,
    pub(crate) merged_segments: Counter,
    pub(crate) rewritten_segments: Counter,
    pub(crate) deleted_lines: Counter,
    pub(crate) deletes_open: Gauge,
    pub(crate) deletes_oldest_s: Gauge,
    pub(crate) swept_segments: Counter,
    pub(crate) collected_objects: Counter,
    pub(crate) aside: Counter,
    pub(crate) behind_objects: Family<OfLane, Gauge>,
    pub(crate) behind_bytes: Family<OfLane, Gauge>,
}

impl UpkeepMetrics {
    /// Makes the numbers readable under `tributary_hub_...`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("tributary_hub_upkeep_jobs", "Jobs of upkeep by outcome: done, lost to another hub, failed", self.jobs.clone());
        registry.register("tributary_hub_absorbed_lines", "Lines that became part of segments", self.absorbed_lines.clone());
        registry.register("tributary_hub_absorbed_bytes", "Bytes of those lines", self.absorbed_bytes.clone());
        registry.register("tributary_hub_segments_written", "Segments made by absorption", self.written_segments.clone());
        registry.register("tributary_hub_segments_merged", "Segments that became part of larger ones", self.merged_segments.clone());
        registry.register("tributary_hub_segments_rewritten", "Segments that deletes took lines out of", self.rewritten_segments.clone());
        registry.register("tributary_hub_lines_deleted", "Lines that deletes took out of segments, or kept out at absorption", self.deleted_lines.clone());
        registry.register("tributary_hub_deletes_open", "Deletes that are not carried out yet, of all tenants", self.deletes_open.clone());
        registry.register("tributary_hub_deletes_oldest_seconds", "Age of the oldest of them; 0 without one", self.deletes_oldest_s.clone());
        registry.register("tributary_hub_segments_swept", "Segments deleted because nothing names them", self.swept_segments.clone());
        registry.register("tributary_hub_lane_objects_collected", "Lane objects deleted after absorption", self.collected_objects.clone());
        registry.register("tributary_hub_batches_set_aside", "Batches or sections that could not be absorbed and were kept apart", self.aside.clone());
        registry.register("tributary_hub_lane_behind_objects", "Objects of a lane that are not absorbed", self.behind_objects.clone());
        registry.register("tributary_hub_lane_behind_bytes", "Bytes of a lane that are not absorbed", self.behind_bytes.clone());
    }
}
