//! Looking into the store: all of it for damage, or a tenant's segments.

use std::sync::Arc;

use hub::fsck::{self, Asked};
use hub::segments;
use hub_store::{GiveUpFault, Keeper, SegmentId, SegmentRef, Store};
use proto_model::TenantId;
use serde_json::Value;

use crate::given::Given;
use crate::{complain, failed, say};

/// Gives up what `given_up` names, then looks at all there is; exit code 4 when something is damaged.
pub(crate) async fn fsck(given: &Given, asked: Asked, given_up: &[String], json: bool) -> Result<(), u8> {
    let (store, _) = given.store().await?;
    let mut shown = |row: Value| show(&row, json);
    for key in given_up {
        fsck::give_up(&store, key, &mut shown).await.map_err(|fault| {
            complain(&fault);
            if matches!(fault, GiveUpFault::Unfit(_)) { 3 } else { 1 }
        })?;
    }
    match fsck::examine(&store, asked, &mut shown).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(4),
        Err(fault) => Err(failed(format!("not all could be looked at: {fault}"))),
    }
}

/// One segment, by its key.
pub(crate) async fn segment(given: &Given, key: &str, json: bool) -> Result<(), u8> {
    let Some((tenant, id)) = SegmentRef::parse_key(key) else {
        complain(format!("{key} is no key of a segment; fix: write tenants/T/segments/ID, as segment list --tenant T shows it"));
        return Err(2);
    };
    segments(given, &tenant, Some(id), json).await
}

/// The segments of a tenant, or the streams and blocks of one.
pub(crate) async fn segments(given: &Given, tenant: &TenantId, id: Option<SegmentId>, json: bool) -> Result<(), u8> {
    let (store, _) = given.store().await?;
    for row in segments_of(&store, tenant, id).await.map_err(failed)? {
        show(&row, json);
    }
    Ok(())
}

async fn segments_of(store: &Arc<Store>, tenant: &TenantId, id: Option<SegmentId>) -> Result<Vec<Value>, anyhow::Error> {
    let keeper = Keeper::new(Arc::clone(store));
    let manifest = keeper.newest(tenant).await?.ok_or_else(|| anyhow::anyhow!("tenant {tenant} has no segments"))?;
    let Some(id) = id else { return Ok(manifest.segments.iter().map(segments::shown).collect()) };
    let found = manifest.segments.iter().find(|segment| segment.id == id);
    let segment =
        found.ok_or_else(|| anyhow::anyhow!("the newest manifest of {tenant} names no segment {id}; segment list --tenant {tenant} shows what there is"))?;
    let footer = keeper.footer(segment).await?;
    Ok(std::iter::once(segments::shown(segment)).chain(segments::footer(&footer)).collect())
}

/// One JSON object, or `key=value` for people.
fn show(row: &Value, json: bool) {
    if json {
        return say(&row.to_string());
    }
    let pairs = row.as_object().into_iter().flatten().map(|(key, value)| match value.as_str() {
        Some(text) => format!("{key}={text}"),
        None => format!("{key}={value}"),
    });
    say(&pairs.collect::<Vec<_>>().join(" "));
}
