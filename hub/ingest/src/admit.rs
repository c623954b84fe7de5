//! A batch as sent to an offer as sealed: checked, measured, labelled.
//!
//! Pure. Parts: [`check`] (digest, shape, limits), [`hub_rows`] (the hub's own stream table: reserved
//! labels dropped, `cluster` and `service_name` added). Promises: `cluster` in a stored stream is always
//! what the certificate proved; a label starting with `__` and the reserved names never come from an
//! edge. Must not do: look at lines.

use bytes::Bytes;
use hub_store::HubRow;
use proto_model::labels::is_label_name;
use proto_model::{BatchDigest, ClusterId, Labels};
use proto_wire::edge_hub::{Pair, StreamRow};
use proto_wire::{BatchView, WireFault, digest};

use crate::limits::{EDGE_LABEL_VALUE_BYTES_MAX, EDGE_LABELS_MAX};

/// Labels that only the hub gives.
pub const RESERVED: [&str; 2] = ["cluster", "tenant"];
/// What a stream is called when nothing names its service (Loki: `discover_service_name`).
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// A batch that may be offered.
#[derive(Debug)]
pub struct Admitted {
    /// The hub's stream rows, one per row of the edge's table.
    pub rows: Vec<HubRow>,
    /// Lines by the table.
    pub lines: u64,
    /// Labels that were dropped because they are reserved, unnamed or too many.
    pub labels_dropped: u64,
}

/// Why a batch may not be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAdmitted {
    /// Damaged: the edge sends it again from its WAL.
    Corrupt(String),
    /// It passes a limit of the format: the edge sets it aside.
    TooLarge(String),
}

/// Checks a batch from an edge.
///
/// # Errors
/// [`NotAdmitted`], with a text for the edge's log.
pub fn check(body: &Bytes, stated: &BatchDigest, cluster: &ClusterId, services: &[String]) -> Result<Admitted, NotAdmitted> {
    if digest::of_batch(body) != *stated {
        return Err(NotAdmitted::Corrupt("the digest is not that of the body".to_owned()));
    }
    let view = BatchView::parse(body.clone()).map_err(|fault| match fault {
        WireFault::TooLarge { .. } | WireFault::Version { .. } => NotAdmitted::TooLarge(fault.to_string()),
        WireFault::Short { .. } | WireFault::Magic { .. } | WireFault::Checksum { .. } | WireFault::Malformed { .. } => NotAdmitted::Corrupt(fault.to_string()),
    })?;
    let (rows, labels_dropped) = hub_rows(&view.table().streams, Some(cluster), services);
    Ok(Admitted { rows, lines: view.lines(), labels_dropped })
}

/// The hub's stream rows for an edge's table; also the number of labels dropped.
#[must_use]
pub fn hub_rows(streams: &[StreamRow], cluster: Option<&ClusterId>, services: &[String]) -> (Vec<HubRow>, u64) {
    let mut dropped = 0;
    let rows = streams
        .iter()
        .map(|row| {
            let (labels, gone) = hub_labels(&row.labels, cluster, services);
            dropped += gone;
            HubRow::under(labels, row)
        })
        .collect();
    (rows, dropped)
}

fn hub_labels(pairs: &[Pair], cluster: Option<&ClusterId>, services: &[String]) -> (Labels, u64) {
    let mut labels = Labels::empty();
    let mut dropped = 0;
    for pair in pairs {
        let reserved = cluster.is_some() && RESERVED.contains(&pair.name.as_str());
        let fits =
            is_label_name(&pair.name) && !pair.name.starts_with("__") && pair.value.len() <= EDGE_LABEL_VALUE_BYTES_MAX && labels.len() < EDGE_LABELS_MAX;
        if reserved || !fits {
            dropped += 1;
        } else {
            labels.set(pair.name.clone(), pair.value.clone());
        }
    }
    if let Some(cluster) = cluster {
        labels.set("cluster", cluster.as_str());
    }
    // An empty list turns the search off.
    if !services.is_empty() && labels.value("service_name").is_none() {
        let service = services.iter().find_map(|name| labels.value(name)).unwrap_or(UNKNOWN_SERVICE).to_owned();
        labels.set("service_name", service);
    }
    (labels, dropped)
}

#[cfg(test)]
mod tests;
