//! The lane rules, one by one (`own`, `write`, `amend`, `follow`, `begin`), and all at once with a seed (`random`, with `port` on `sea`).

use std::sync::Arc;

use bytes::Bytes;
use proto_model::{Epoch, ProducerId};

use super::*;
use crate::lane::writer::LaneWriter;
use crate::rig::{Edge, Rig, draft};
use crate::store::Store;

mod amend;
mod begin;
mod follow;
mod own;
mod port;
mod random;
mod sea;
mod write;

/// The name of lane object `number` of the only lane.
async fn object(rig: &Rig, number: u64) -> String {
    let genesis = rig.names("/log/00000000000000000000").await;
    assert_eq!(genesis.len(), 1, "one lane: {genesis:?}");
    genesis[0].replace("00000000000000000000", &format!("{number:020}"))
}

/// An edge whose producer is open in the writer's lane.
async fn opened(writer: &mut LaneWriter, unique: u128) -> Edge {
    let mut edge = Edge::new(ProducerId { lane: writer.lane(), unique });
    if let Some(state) = writer.fold().producer(&edge.producer) {
        (edge.epoch, edge.last, edge.chain) = (Epoch(state.epoch.0 + 1), state.last, state.chain);
    }
    writer.put(draft("acme", vec![edge.open()], Vec::new())).await.unwrap();
    edge
}

/// Commits the edge's next batch.
async fn commit(writer: &mut LaneWriter, edge: &mut Edge) -> u64 {
    let (advance, batches) = edge.next(1);
    writer.put(draft("acme", vec![advance], batches)).await.unwrap().number
}

/// Takes lane objects `from..=to` away, as a collection does.
async fn collect(rig: &Rig, from: u64, to: u64) {
    let first = object(rig, 0).await;
    for number in from..=to {
        rig.delete(&first.replace("00000000000000000000", &format!("{number:020}"))).await;
    }
}

/// Writes a snapshot of the hub's fold whether one is due or not; gives its number.
async fn snapshot_now(rig: &Rig, hub: &Arc<Store>) -> u64 {
    let cell = hub.only_cell();
    let fold = cell.known().unwrap().fold;
    let bytes: Bytes = crate::fold::snapshot::encode(&fold, &hub.shore().keys).unwrap();
    rig.write(Key::snapshot(fold.lane(), fold.head()).as_str(), bytes).await;
    fold.head()
}
