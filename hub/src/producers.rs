//! Producers, for the operator: who has which, and the way out of a quarantine or a decommission.
//!
//! Parts: [`list`]; [`act`], one [`Action`] on one producer, for the command line and the admin API. What an action writes
//! is decided by `judge`, on the fold of the producer's lane. Promises: an action that was answered stands in the
//! lane; the same action again is answered again. Must not do: judge batches.

use std::sync::Arc;

use hub_store::{Draft, Fold, LaneRecord, ProducerState, Store, StoreFault};
use hub_tenant::Tenants;
use proto_model::{ClusterId, ProducerId, TenantId};
use proto_seam::Entropy;
use serde::{Deserialize, Serialize};

/// What is to become of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A quarantined one ends; its edge goes on under a numbering of its own, and brings over what is not stored. One that
    /// is open is continued by another: an edge whose WAL was set back and contradicts what is stored forgets what it
    /// holds of it, and reads its sources on from where the hub stands; any other edge just goes on.
    Release,
    /// It ends for ever: whoever asks for it is denied.
    Retire,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ProducerFault {
    /// There is no such producer.
    #[error("there is no producer {0}")]
    Unknown(ProducerId),
    /// It is not in a state for that.
    #[error("{0}")]
    Unfit(String),
    /// The store refuses or fails.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// One producer, for people.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Its id.
    pub producer: String,
    /// `cluster/edge`.
    pub identity: String,
    /// Its tenant; absent while its cluster is in none.
    pub tenant: Option<TenantId>,
    /// The edge's number for its track.
    pub track: u32,
    /// Newest epoch.
    pub epoch: u64,
    /// Newest durable sequence.
    pub last: u64,
    /// `open`, `quarantined`, `released` or `retired`.
    pub state: &'static str,
    /// Why it is quarantined, or was.
    pub reason: String,
    /// Who goes on in its place.
    pub next: Option<String>,
}

/// All producers of all lanes, read now, but for those that simply moved on; of one tenant if given.
///
/// # Errors
/// The store's fault: a lane that cannot be read may hold more.
pub async fn list(store: &Arc<Store>, tenants: &Tenants, of: Option<&TenantId>) -> Result<Vec<Listed>, StoreFault> {
    store.follow_round().await?;
    let mut out = Vec::new();
    for lane in store.lanes() {
        let fold = store.fold_of(lane.lane).await?;
        out.extend(fold.producers().filter_map(|(id, state)| shown(*id, state, tenants)).filter(|row| of.is_none() || row.tenant.as_ref() == of));
    }
    Ok(out)
}

/// What is told of a producer; `None` when it moved on.
fn shown(id: ProducerId, state: &ProducerState, tenants: &Tenants) -> Option<Listed> {
    let word = match state.closed {
        None if state.quarantined => "quarantined",
        None => "open",
        Some(next) if next == id => "retired",
        Some(_) if state.quarantined => "released",
        Some(_) => return None,
    };
    let cluster = state.identity.split_once('/').and_then(|(cluster, _)| ClusterId::new(cluster).ok());
    let next = state.closed.filter(|next| *next != id).map(|next| next.to_string());
    Some(Listed {
        producer: id.to_string(),
        identity: state.identity.clone(),
        tenant: cluster.and_then(|cluster| tenants.identify(&cluster)).map(|grant| grant.tenant().clone()),
        track: state.track,
        epoch: state.epoch.0,
        last: state.last.0,
        state: word,
        reason: state.quarantine_reason.clone(),
        next,
    })
}

/// Does it.
///
/// # Errors
/// [`ProducerFault`]; after a fault of the store it is not known whether it was done: ask again.
pub async fn act(store: &Arc<Store>, entropy: &Entropy, producer: ProducerId, action: Action) -> Result<(), ProducerFault> {
    let next = match action {
        // In the lane of the one before: whoever meets it opens it there.
        Action::Release => ProducerId { lane: producer.lane, unique: entropy.next_u128() },
        Action::Retire => producer,
    };
    let mut unfit = None;
    let judged = store
        .amend(producer.lane, |fold| {
            let state = fold.producer(&producer);
            let wanted = match judge(producer, fold, action) {
                Ok(wanted) => wanted,
                Err(why) => {
                    unfit = Some(why);
                    false
                }
            };
            let close = state.filter(|_| wanted).map(|state| LaneRecord::Close { producer, sequence: state.last, chain: state.chain, next });
            Ok(close.map(|close| Draft { records: vec![close], ..Draft::default() }))
        })
        .await;
    match (judged, unfit) {
        (Err(StoreFault::NoLane { .. }), _) => Err(ProducerFault::Unknown(producer)),
        (Err(fault), _) => Err(fault.into()),
        (Ok(_), Some(why)) => Err(why),
        (Ok(_), None) => Ok(()),
    }
}

/// Whether a Close is to be written; false when that was done.
fn judge(producer: ProducerId, fold: &Fold, action: Action) -> Result<bool, ProducerFault> {
    let state = fold.producer(&producer).ok_or(ProducerFault::Unknown(producer))?;
    match (action, state.closed) {
        (_, None) => Ok(true),
        (Action::Retire, Some(next)) if next == producer => Ok(false),
        (Action::Release, Some(next)) if next == producer => Err(ProducerFault::Unfit("it is retired".to_owned())),
        (Action::Release, Some(next)) if state.quarantined || is_release(producer, fold, next) => Ok(false),
        (_, Some(next)) => Err(ProducerFault::Unfit(format!("it has moved on to {next}"))),
    }
}

/// Whether the Close of one that was open is a release: a hub moves a producer into another lane, and a track that is drained ends in
/// one that began without it.
fn is_release(producer: ProducerId, fold: &Fold, next: ProducerId) -> bool {
    next.lane == producer.lane && fold.producer(&next).is_none_or(|next| next.after == Some(producer))
}

#[cfg(test)]
mod tests;
