//! The names of all objects, formed and parsed here alone (`docs/formats/lane.md`).
//!
//! Parts: [`Key`], one constructor per kind; the parsers of names that listings bring. Promises: a name
//! holds only what the id grammars allow, so no input can lead out of its folder; numbers are 20 digits,
//! so the order of names is the order of numbers. Must not do: know the configured prefix.

use std::fmt;

use proto_model::{ClusterId, EdgeId, LaneId, TenantId, TokenId};

/// A name below the configured prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(String);

impl Key {
    /// Lane object `number`.
    pub(crate) fn lane_object(lane: LaneId, number: u64) -> Self {
        Self(format!("lanes/{lane}/log/{number:020}"))
    }

    /// That the damaged lane object `number` counts as empty.
    pub(crate) fn skipped(lane: LaneId, number: u64) -> Self {
        Self(format!("control/skips/{lane}/{number:020}"))
    }

    /// The folder of a lane's snapshots.
    pub(crate) fn snapshots(lane: LaneId) -> Self {
        Self(format!("lanes/{lane}/snap"))
    }

    /// The snapshot of Fold(`number`).
    pub(crate) fn snapshot(lane: LaneId, number: u64) -> Self {
        Self(format!("lanes/{lane}/snap/{number:020}"))
    }

    /// The `number`th registration of a lane.
    pub(crate) fn registration(number: u64) -> Self {
        Self(format!("control/lanes/{number:020}"))
    }

    /// The first producer of an identity.
    pub(crate) fn first_producer(cluster: &ClusterId, edge: &EdgeId) -> Self {
        Self(format!("control/edges/{cluster}/{edge}"))
    }

    /// The lane that takes a tenant's pushes.
    pub(crate) fn push_lane(tenant: &TenantId) -> Self {
        Self(format!("control/push/{tenant}"))
    }

    /// The `number`th published tenant map.
    pub(crate) fn tenant_map(number: u64) -> Self {
        Self(format!("control/tenants/{number:020}"))
    }

    /// The folder of revoked identities of one cluster.
    pub(crate) fn revoked_of(cluster: &ClusterId) -> Self {
        Self(format!("control/revoked/{cluster}"))
    }

    /// The revocation of an edge's identity.
    pub(crate) fn revoked(cluster: &ClusterId, edge: &EdgeId) -> Self {
        Self(format!("control/revoked/{cluster}/{edge}"))
    }

    /// The folder of tokens.
    pub(crate) fn tokens() -> Self {
        Self("control/tokens".to_owned())
    }

    /// A token made by command.
    pub(crate) fn token(id: &TokenId) -> Self {
        Self(format!("control/tokens/{id}"))
    }

    /// The revocation of a token.
    pub(crate) fn revocation(id: &TokenId) -> Self {
        Self(format!("control/tokens/{id}.revoked"))
    }

    /// Where a hub proves at its start that the store keeps create-if-absent.
    pub(crate) fn probe(random: u128) -> Self {
        Self(format!("control/probe/{random:032x}"))
    }

    /// The folder of a tenant's manifests.
    pub(crate) fn manifests(tenant: &TenantId) -> Self {
        Self(format!("tenants/{tenant}/manifest"))
    }

    /// Manifest `number` of a tenant.
    pub(crate) fn manifest(tenant: &TenantId, number: u64) -> Self {
        Self(format!("tenants/{tenant}/manifest/{number:020}"))
    }

    /// The folder of registrations of manifests.
    pub(crate) fn manifest_registrations() -> Self {
        Self("control/manifests".to_owned())
    }

    /// The registration of a tenant's manifest 0.
    pub(crate) fn manifest_registration(tenant: &TenantId) -> Self {
        Self(format!("control/manifests/{tenant}"))
    }

    /// The folder of a tenant's segments.
    pub(crate) fn segments(tenant: &TenantId) -> Self {
        Self(format!("tenants/{tenant}/segments"))
    }

    /// A segment of a tenant.
    pub(crate) fn segment(tenant: &TenantId, id: u128) -> Self {
        Self(format!("tenants/{tenant}/segments/{id:032x}"))
    }

    /// What absorption set aside: batch `at` of the tenant's section of a lane object, or the whole section.
    pub(crate) fn aside(tenant: &TenantId, lane: LaneId, number: u64, at: Option<usize>) -> Self {
        let at = at.map_or_else(|| "section".to_owned(), |at| format!("{at:06}"));
        Self(format!("tenants/{tenant}/aside/{lane}-{number:020}-{at}"))
    }

    /// The folder of what absorption set aside of a tenant.
    pub(crate) fn asides(tenant: &TenantId) -> Self {
        Self(format!("tenants/{tenant}/aside"))
    }

    /// What was set aside under a name that a listing of that folder gave.
    pub(crate) fn aside_named(tenant: &TenantId, name: &str) -> Self {
        Self(format!("tenants/{tenant}/aside/{name}"))
    }

    /// The folder of a lane's objects.
    pub(crate) fn lane_objects(lane: LaneId) -> Self {
        Self(format!("lanes/{lane}/log"))
    }

    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lane and number that the key of a lane object names; `None` when it is no such key.
pub(crate) fn lane_object_of(key: &str) -> Option<(LaneId, u64)> {
    let (lane, number) = key.strip_prefix("lanes/")?.split_once("/log/")?;
    let lane = LaneId(u64::from_str_radix(lane, 16).ok()?);
    let number = number_of(number)?;
    (Key::lane_object(lane, number).as_str() == key).then_some((lane, number))
}

/// The number that the last part of a name is; `None` when it is not exactly 20 digits.
pub(crate) fn number_of(last: &str) -> Option<u64> {
    (last.len() == 20 && last.bytes().all(|b| b.is_ascii_digit())).then(|| last.parse().ok()).flatten()
}

/// The segment that the last part of a name is; `None` when it is not exactly 32 hex digits.
pub(crate) fn segment_of(last: &str) -> Option<u128> {
    let digits = last.len() == 32 && last.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    digits.then(|| u128::from_str_radix(last, 16).ok()).flatten()
}

/// The token that the last part of a name below `control/tokens` names, and whether it is its revocation.
pub(crate) fn token_of(last: &str) -> Option<(TokenId, bool)> {
    match last.strip_suffix(".revoked") {
        Some(id) => Some((TokenId::new(id).ok()?, true)),
        None => Some((TokenId::new(last).ok()?, false)),
    }
}

#[cfg(test)]
mod tests;
