//! A batch of the WAL to lines by tenant and stream, as a sink sends them. Pure.
//!
//! The tenant is the label `__tenant_id__` (stage `tenant`), else the client's own. Labels that begin with `__` stay here;
//! a stream without any label is called `service_name="unknown_service"`, as a hub calls it: Loki takes none without.
//! Must not do: bound sizes (`ledger.rs`).

use std::collections::BTreeMap;

use bytes::Bytes;
use edge_pipeline::TENANT_LABEL;
use proto_model::{Labels, Record};
use proto_wire::push::Pushed;
use proto_wire::{BatchView, WireFault};

/// What a stream without labels is called.
const NAMELESS: (&str, &str) = ("service_name", "unknown_service");

/// Lines of each tenant, by stream, in the order of the batch.
pub(super) type Portions = BTreeMap<String, Vec<Pushed>>;

/// Unpacks `body` for a client whose own tenant is `tenant` and whose labels are `more`.
///
/// # Errors
/// [`WireFault`]: it is no sound batch.
pub(super) fn unpack(body: Bytes, tenant: &str, more: &Labels) -> Result<Portions, WireFault> {
    let view = BatchView::parse(body)?;
    let payload = view.payload()?;
    let mut portions = Portions::new();
    for (at, row) in view.table().streams.iter().enumerate() {
        let mut labels = Labels::from_pairs(row.labels.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())));
        let own = labels.value(TENANT_LABEL).filter(|own| !own.is_empty()).unwrap_or(tenant).to_owned();
        labels.retain(|name, _| !name.starts_with("__"));
        for (name, value) in more.iter() {
            if labels.value(name).is_none() {
                labels.set(name, value);
            }
        }
        if labels.is_empty() {
            labels.set(NAMELESS.0, NAMELESS.1);
        }
        let record = |row: proto_wire::batch::Row<'_>| Record {
            time: row.time,
            line: Bytes::copy_from_slice(row.line),
            metadata: row.metadata().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        };
        let records = payload.rows(at).map(|row| row.map(record)).collect::<Result<Vec<_>, _>>()?;
        if !records.is_empty() {
            portions.entry(own).or_default().push(Pushed { labels, records });
        }
    }
    Ok(portions)
}

#[cfg(test)]
mod tests;
