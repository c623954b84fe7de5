//! What lies below `control/`: first producers, push lanes, published tenant maps, tokens made by command.
//!
//! Parts: `first_producer` (lane rule 8); `push_lane` (rule 10); [`maps`]; [`tokens`]. Promises: everything here is created
//! once and never changed; a lost answer is cleared up by reading. Must not do: know what a map or a
//! token says.

pub mod maps;
pub mod revocations;
pub mod tokens;

use prost::Message;
use proto_model::{ClusterId, EdgeId, LaneId, ProducerId, TenantId};

use crate::fault::StoreFault;
use crate::keys::Key;
use crate::lane::Shore;
use crate::limits::CREATE_ROUNDS;
use crate::numbered::{create_control, read_control};
use crate::proto;
use crate::record::producer_of;

pub use maps::{TenantMap, TenantMaps};
pub use revocations::Revocations;
pub use tokens::{StoredToken, Tokens};

/// The first producer of an identity: what stands, else a new one of `lane`.
pub(crate) async fn first_producer(shore: &Shore, cluster: &ClusterId, edge: &EdgeId, lane: LaneId) -> Result<ProducerId, StoreFault> {
    let key = Key::first_producer(cluster, edge);
    let stands = fixed::<proto::FirstProducer>(shore, &key, || proto::FirstProducer {
        producer: ProducerId { lane, unique: shore.objects.entropy().next_u128() }.to_bytes().to_vec(),
        identity: format!("{cluster}/{edge}"),
        written_ns: shore.objects.moment().wall.nanos(),
    });
    producer_of(&stands.await?.producer).map_err(|reason| StoreFault::Damaged { key: key.to_string(), reason })
}

/// The lane that takes the pushes of a tenant, for ever: what stands, else `otherwise`.
pub(crate) async fn push_lane(shore: &Shore, tenant: &TenantId, otherwise: LaneId) -> Result<LaneId, StoreFault> {
    let key = Key::push_lane(tenant);
    let entry = || proto::PushLane { tenant: tenant.to_string(), lane: otherwise.0, written_ns: shore.objects.moment().wall.nanos() };
    let stands = fixed::<proto::PushLane>(shore, &key, entry).await?;
    if stands.tenant == tenant.as_str() {
        Ok(LaneId(stands.lane))
    } else {
        Err(StoreFault::Damaged { key: key.to_string(), reason: format!("it says it is of tenant {}", stands.tenant) })
    }
}

/// What stands under `key`, once and for all: what `make` gives if there was nothing.
async fn fixed<M: Message + Default>(shore: &Shore, key: &Key, make: impl Fn() -> M) -> Result<M, StoreFault> {
    let mut unanswered = None;
    for _ in 0..CREATE_ROUNDS {
        if let Some(stands) = read_control(&shore.objects, &shore.keys, key).await? {
            return Ok(stands);
        }
        // Whatever the answer, what stands is what counts: the next round reads it.
        match create_control(&shore.objects, &shore.keys, key, &make()).await {
            Ok(_) => {}
            Err(fault) if fault.is_transient() => unanswered = Some(fault),
            Err(fault) => return Err(fault),
        }
    }
    let absent = || StoreFault::Unreachable { action: "create", key: key.to_string(), reason: "it never stood".to_owned() };
    Err(unanswered.unwrap_or_else(absent))
}

#[cfg(test)]
mod tests;
