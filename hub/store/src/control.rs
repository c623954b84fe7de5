//! What lies below `control/`: first producers, published tenant maps, tokens made by command.
//!
//! Parts: `first_producer` (lane rule 8); [`maps`]; [`tokens`]. Promises: everything here is created
//! once and never changed; a lost answer is cleared up by reading. Must not do: know what a map or a
//! token says.

pub mod maps;
pub mod revocations;
pub mod tokens;

use proto_model::{ClusterId, EdgeId, LaneId, ProducerId};

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
    let mut unanswered = None;
    for _ in 0..CREATE_ROUNDS {
        if let Some(stands) = read_control::<proto::FirstProducer>(&shore.objects, &shore.keys, &key).await? {
            return producer_of(&stands.producer).map_err(|reason| StoreFault::Damaged { key: key.to_string(), reason });
        }
        let producer = ProducerId { lane, unique: shore.objects.entropy().next_u128() };
        let entry = proto::FirstProducer {
            producer: producer.to_bytes().to_vec(),
            identity: format!("{cluster}/{edge}"),
            written_ns: shore.objects.moment().wall.nanos(),
        };
        // Whatever the answer, what stands is what counts: the next round reads it.
        match create_control(&shore.objects, &shore.keys, &key, &entry).await {
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
