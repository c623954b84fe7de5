//! OTLP log bodies to what a push is: streams of records, by Loki's mapping.
//!
//! Parts: [`protobuf`] and [`json`] (bodies, already freed of gzip, to [`Resource`]s), [`Resource::into_pushed`]
//! (resource attributes of an [`Index`] become labels, all else structured metadata), `value` (attributes and
//! bodies as text), [`answer`] (what is answered). Source: the OpenTelemetry protocol, Loki 3.7's OTLP endpoint. Limits:
//! `limits.rs`, counted before memory is spent; what a resource says of all its records is copied to each only after its size was judged.
//! Must not do: HTTP, or judge tenants' limits.

pub mod answer;
mod json;
mod protobuf;
mod value;

use std::collections::BTreeSet;

use proto_model::{Labels, Record, Timestamp};

use crate::otlp_messages::{KeyValue, LogRecord, Scope};
use crate::push::{PushFault, Pushed};

pub use json::json;
pub use protobuf::protobuf;
use value::{flatten, text};

/// Resource attributes that become labels (Loki's default list).
pub const INDEX_ATTRIBUTES: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];

/// Which resource attributes become labels; all others become structured metadata.
#[derive(Debug, Clone, Copy)]
pub enum Index<'n> {
    /// Those of [`INDEX_ATTRIBUTES`].
    Default,
    /// These, by their names as sent.
    Named(&'n BTreeSet<String>),
}

impl Index<'_> {
    fn has(self, name: &str) -> bool {
        match self {
            Self::Default => INDEX_ATTRIBUTES.contains(&name),
            Self::Named(names) => names.contains(name),
        }
    }
}

/// Rough bytes of a pair beside its texts.
const PAIR_BYTES: usize = 48;

/// Name and value pairs.
pub type Pairs = Vec<(String, String)>;

/// The logs of one resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource {
    /// Its labels.
    pub labels: Labels,
    /// What else it says, for each of its records.
    pub metadata: Pairs,
    /// Its records by scope.
    pub scopes: Vec<ScopeRecords>,
}

/// The logs of one scope.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScopeRecords {
    /// What the scope says, for each of its records.
    pub metadata: Pairs,
    /// Records with what they say themselves. Time 0: the sender gave none.
    pub records: Vec<Record>,
}

impl Resource {
    fn read(&mut self, attributes: &[KeyValue], index: Index<'_>) {
        for attribute in attributes {
            let mut pairs = Vec::new();
            flatten(attribute, "", &mut pairs);
            if index.has(&attribute.key) {
                pairs.into_iter().for_each(|(name, value)| self.labels.set(name, value));
            } else {
                self.metadata.append(&mut pairs);
            }
        }
    }

    /// Its records as a pushed stream; a record without a time gets `now`. `room` are the bytes that all may take, less what was taken before.
    ///
    /// # Errors
    /// [`PushFault::TooLarge`] when the room is not there.
    pub fn into_pushed(self, now: Timestamp, room: &mut usize) -> Result<Pushed, PushFault> {
        let cost = |pairs: &Pairs| pairs.iter().map(|(name, value)| name.len() + value.len() + PAIR_BYTES).sum::<usize>();
        let limit = *room as u64;
        let mut pushed = Pushed { labels: self.labels, records: Vec::new() };
        for scope in self.scopes {
            let shared = cost(&self.metadata) + cost(&scope.metadata);
            let needed = shared.saturating_mul(scope.records.len());
            let too_large = PushFault::TooLarge { what: "bytes of attributes", found: needed as u64, limit };
            *room = room.checked_sub(needed).ok_or(too_large)?;
            for mut record in scope.records {
                record.time = if record.time == Timestamp(0) { now } else { record.time };
                record.metadata.extend(self.metadata.iter().chain(&scope.metadata).cloned());
                pushed.records.push(record);
            }
        }
        Ok(pushed)
    }
}

fn scope_pairs(scope: &Scope) -> Pairs {
    let mut pairs = Vec::new();
    scope.attributes.iter().for_each(|attribute| flatten(attribute, "", &mut pairs));
    let mut add = |name: &str, value: String| pairs.push((name.to_owned(), value));
    if !scope.name.is_empty() {
        add("scope_name", scope.name.clone());
    }
    if !scope.version.is_empty() {
        add("scope_version", scope.version.clone());
    }
    if scope.dropped_attributes_count > 0 {
        add("scope_dropped_attributes_count", scope.dropped_attributes_count.to_string());
    }
    pairs
}

fn record(log: &LogRecord) -> Record {
    let mut metadata = Vec::new();
    log.attributes.iter().for_each(|attribute| flatten(attribute, "", &mut metadata));
    let mut add = |name: &str, value: String| metadata.push((name.to_owned(), value));
    if log.time_unix_nano > 0 && log.observed_time_unix_nano > 0 {
        add("observed_timestamp", log.observed_time_unix_nano.to_string());
    }
    if log.severity_number != 0 {
        add("severity_number", log.severity_number.to_string());
    }
    if !log.severity_text.is_empty() {
        add("severity_text", log.severity_text.clone());
    }
    if log.dropped_attributes_count > 0 {
        add("dropped_attributes_count", log.dropped_attributes_count.to_string());
    }
    if log.flags > 0 {
        add("flags", log.flags.to_string());
    }
    for (name, id, length) in [("trace_id", &log.trace_id, 16), ("span_id", &log.span_id, 8)] {
        if id.len() == length && id.iter().any(|byte| *byte != 0) {
            add(name, id.iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    let time = if log.time_unix_nano > 0 { log.time_unix_nano } else { log.observed_time_unix_nano };
    let line = log.body.as_ref().map(text).unwrap_or_default();
    Record { time: Timestamp(i64::try_from(time).unwrap_or(i64::MAX)), line: line.into(), metadata }
}

#[cfg(test)]
mod tests;
