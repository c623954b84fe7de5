//! A hub of `random`: opens producers by rule 8, stores batches by rules 4 and 5, in a lane of its own.
//!
//! Parts: [`Ask`]; [`Port`], one life of a hub. Holds every answer against the oracle before it is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_model::{BatchDigest, Chain, ClusterId, EdgeId, Epoch, ProducerId, Sequence};
use proto_wire::digest;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::sea::{Sea, Way};
use crate::fault::{PutFault, StoreFault};
use crate::fold::Fold;
use crate::lane::writer::LaneWriter;
use crate::record::LaneRecord;
use crate::rig::{draft, row};
use crate::section::{BatchDraft, Draft, Origin};
use crate::store::Store;

/// What an edge asks of a hub.
#[derive(Debug)]
pub(super) enum Ask {
    /// The edge, and the producer it believes it is.
    Open(u8, Option<ProducerId>, oneshot::Sender<Stand>),
    Batch(u8, ProducerId, Epoch, Sequence, oneshot::Sender<Sequence>),
}

/// Where an edge stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stand {
    pub(super) producer: ProducerId,
    pub(super) epoch: Epoch,
    pub(super) last: Sequence,
}

pub(super) fn body(edge: u8, sequence: Sequence) -> Bytes {
    format!("batch {} of edge {edge}", sequence.0).into()
}

/// The chain at `sequence` of an edge whose batches are all known.
pub(super) fn chain_at(edge: u8, sequence: Sequence) -> Chain {
    (1..=sequence.0).fold(Chain::default(), |chain, at| digest::extend(chain, digest::of_batch(&body(edge, Sequence(at)))))
}

pub(super) fn identity(edge: u8) -> String {
    format!("alpha/e{edge}")
}

pub(super) struct Port<'a> {
    pub(super) sea: &'a Sea,
    pub(super) way: &'a Way,
    pub(super) store: &'a Arc<Store>,
    pub(super) writer: LaneWriter,
    /// The tenant map this hub has loaded.
    pub(super) map: u64,
    pub(super) conflicts: u32,
}

impl Port<'_> {
    pub(super) async fn serve(&mut self, asks: Vec<Ask>) {
        let mut batches = Vec::new();
        for ask in asks {
            match ask {
                Ask::Open(edge, known, reply) => {
                    // Unknown is not an answer: the edge asks again, here or elsewhere.
                    if !reply.is_closed()
                        && let Ok(stand) = self.open(edge, known).await
                    {
                        self.way.awake().await;
                        reply.send(stand).ok();
                    }
                }
                Ask::Batch(edge, producer, epoch, sequence, reply) => batches.push((edge, producer, epoch, sequence, reply)),
            }
        }
        self.seal(batches).await;
        if self.conflicts >= 3 {
            self.conflicts = 0;
            if let Ok(writer) = self.store.another_lane().await {
                self.writer = writer;
            }
        }
    }

    async fn open(&self, edge: u8, known: Option<ProducerId>) -> Result<Stand, StoreFault> {
        let own = self.writer.lane();
        let mut at = match known {
            Some(known) => known,
            None => {
                let name = EdgeId::new(&format!("e{edge}")).unwrap();
                self.store.first_producer(&ClusterId::new("alpha").unwrap(), &name, own).await?
            }
        };
        let mut before = None;
        loop {
            // A Close that was seen once stands for ever.
            let ended = |fold: &Arc<Fold>| fold.producer(&at).is_some_and(|state| state.closed.is_some());
            let fold = match self.store.known_fold(at.lane).filter(ended) {
                Some(fold) => fold,
                None => self.store.fold_of(at.lane).await?,
            };
            let Some(state) = fold.producer(&at).cloned() else {
                self.begin(edge, at, before).await?;
                continue;
            };
            if let Some(next) = state.closed {
                before = Some((at, state.last, state.chain));
                at = next;
            } else if at.lane == own {
                return self.open_again(edge, at).await;
            } else {
                let next = ProducerId { lane: own, unique: self.sea.entropy.next_u128() };
                let close = |fold: &Fold| {
                    let state = fold.producer(&at).unwrap();
                    let close = LaneRecord::Close { producer: at, sequence: state.last, chain: state.chain, next };
                    Ok(state.closed.is_none().then(|| Draft { records: vec![close], ..Draft::default() }))
                };
                self.store.amend(at.lane, close).await?;
            }
        }
    }

    /// Opens a producer that a Close, or `control/edges`, names but that nobody opened yet.
    async fn begin(&self, edge: u8, producer: ProducerId, before: Option<(ProducerId, Sequence, Chain)>) -> Result<(), StoreFault> {
        let (sequence, chain) = before.map_or((Sequence(0), Chain::default()), |(_, sequence, chain)| (sequence, chain));
        let after = before.map(|(before, ..)| before);
        let open = |fold: &Fold| {
            let record = opening(edge, producer, (Epoch(1), sequence, chain), after);
            Ok(fold.producer(&producer).is_none().then(|| Draft { records: vec![record], ..Draft::default() }))
        };
        self.store.amend(producer.lane, open).await.map(drop)
    }

    async fn open_again(&self, edge: u8, producer: ProducerId) -> Result<Stand, StoreFault> {
        let mut given = None;
        let open = |fold: &Fold| {
            let state = fold.producer(&producer).unwrap();
            if given.is_some_and(|epoch| epoch == state.epoch) {
                return Ok(None);
            }
            if state.closed.is_some() {
                return Err(StoreFault::Foreign);
            }
            let epoch = Epoch(state.epoch.0 + 1);
            given = Some(epoch);
            Ok(Some(Draft { records: vec![opening(edge, producer, (epoch, state.last, state.chain), None)], ..Draft::default() }))
        };
        let fold = self.store.amend(producer.lane, open).await?;
        let state = fold.producer(&producer).unwrap();
        Ok(Stand { producer, epoch: given.unwrap_or(state.epoch), last: state.last })
    }

    async fn seal(&mut self, asks: Vec<(u8, ProducerId, Epoch, Sequence, oneshot::Sender<Sequence>)>) {
        if asks.is_empty() {
            return;
        }
        loop {
            self.way.awake().await;
            self.writer.refresh();
            let (draft, acks) = judge(self.writer.fold(), &asks, self.map);
            let done = if draft.is_empty() { None } else { Some(self.writer.put(draft).await) };
            self.way.awake().await;
            match done {
                None => {}
                Some(Ok(committed)) => {
                    self.conflicts = 0;
                    let mut oracle = self.sea.oracle.lock().unwrap();
                    let lane = self.writer.lane();
                    assert_eq!(oracle.commit(lane, committed.number), Some(committed.commit), "an ack into the void");
                    oracle.acked.insert((lane, committed.number), Instant::now());
                }
                Some(Err(fault)) => {
                    self.learn(fault).await;
                    continue;
                }
            }
            for ((.., reply), ack) in asks.into_iter().zip(acks) {
                if let Some(last) = ack {
                    reply.send(last).ok();
                }
            }
            return;
        }
    }

    /// After a PUT that was not confirmed: what stands, and a newer map if there is one.
    async fn learn(&mut self, fault: PutFault) {
        assert!(!matches!(&fault, PutFault::NotWritten(StoreFault::Draft { .. } | StoreFault::Frozen { .. })), "{fault}");
        let conflict = matches!(&fault, PutFault::NotWritten(cause) if cause.is_conflict());
        loop {
            let learned = if fault == PutFault::Lost { self.writer.restart().await } else { self.writer.follow().await };
            let newest = self.store.tenant_maps().newest().await;
            if let (Ok(()), Ok(newest)) = (learned, newest) {
                self.map = newest.map_or(0, |map| map.version);
                break;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let other = self.writer.fold().writer() != self.store.writer_name();
        self.conflicts += u32::from(conflict && other && self.writer.fold().owner() != self.store.writer_name());
    }
}

fn opening(edge: u8, producer: ProducerId, (epoch, sequence, chain): (Epoch, Sequence, Chain), after: Option<ProducerId>) -> LaneRecord {
    let (identity, positions) = (identity(edge), Vec::new());
    LaneRecord::Open { producer, epoch, identity, nonce: [7; 16], wal_id: 5, track: 1, sequence, chain, positions, after }
}

/// What becomes of the batches on this fold: the object, and what each is told once that stands.
fn judge(fold: &Fold, asks: &[(u8, ProducerId, Epoch, Sequence, oneshot::Sender<Sequence>)], map: u64) -> (Draft, Vec<Option<Sequence>>) {
    struct Grown {
        edge: u8,
        epoch: Epoch,
        from: Sequence,
        last: Sequence,
        chain: Chain,
        digests: Vec<BatchDigest>,
    }
    let mut grown: BTreeMap<ProducerId, Grown> = BTreeMap::new();
    let mut batches = Vec::new();
    let acks = asks.iter().map(|(edge, producer, epoch, sequence, _)| {
        let state = fold.producer(producer).filter(|state| state.closed.is_none() && state.epoch == *epoch)?;
        let fresh = || Grown { edge: *edge, epoch: *epoch, from: state.last.next(), last: state.last, chain: state.chain, digests: Vec::new() };
        let grown = grown.entry(*producer).or_insert_with(fresh);
        if *sequence == grown.last.next() {
            let body = body(*edge, *sequence);
            let digest = digest::of_batch(&body);
            (grown.last, grown.chain) = (*sequence, digest::extend(grown.chain, digest));
            grown.digests.push(digest);
            let origin = Origin::Producer { producer: *producer, sequence: *sequence };
            let rows = vec![row("web", 1, i64::try_from(sequence.0).unwrap() * 100)];
            batches.push(BatchDraft { origin, cluster: Some(ClusterId::new("alpha").unwrap()), body, rows });
        }
        (*sequence <= grown.last).then_some(grown.last)
    });
    let acks = acks.collect();
    let advances = grown.into_iter().filter(|(_, grown)| !grown.digests.is_empty()).map(|(producer, grown)| {
        let Grown { edge, epoch, from, last, chain, digests } = grown;
        assert_eq!(chain, chain_at(edge, last));
        LaneRecord::Advance { producer, epoch, from, to: last, chain_to: chain, digests, positions: Vec::new() }
    });
    let advances = advances.collect();
    (Draft { map_version: map, ..draft("acme", advances, batches) }, acks)
}
