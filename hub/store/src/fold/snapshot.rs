//! A fold as bytes and back (lane rule 11).
//!
//! Promises: `decode(encode(fold)) == fold`; arbitrary bytes end in a fault; tenants' names stand once.
//! Must not do: decide whether a snapshot is still the lane's state (the second look does).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use proto_model::{Epoch, LaneId, ProducerId, Sequence, TenantId, Timestamp};

use super::log::{Commit, Log};
use super::producer::{ProducerState, SourceKey, SourceNote};
use super::{Fold, LossKey};
use crate::fault::StoreFault;
use crate::frame::{self, Kind};
use crate::header::{Checksum, CommitId, SectionEntry};
use crate::keys::Key;
use crate::limits::{DIGESTS_KEPT, LOSSES_KEPT, NUMBER_MAX, SOURCES_MAX};
use crate::mac::StoreKeys;
use crate::proto;
use crate::record::{Loss, chain_of, digests_of, maybe_producer_of, nonce_of, producer_of, push_key_of, tenant_of, text_of};

/// The bytes of `lanes/<lane>/snap/<head>`.
///
/// # Errors
/// [`StoreFault::TooLarge`] when it passes its limit.
pub(crate) fn encode(fold: &Fold, keys: &StoreKeys) -> Result<Bytes, StoreFault> {
    let owners = fold.log.iter().flat_map(|commit| commit.sections.iter().map(|entry| &entry.tenant)).chain(fold.absorbed.keys());
    let tenants: BTreeMap<&TenantId, u32> = owners.collect::<BTreeSet<_>>().into_iter().zip(0..).collect();
    let place = |tenant: &TenantId| tenants.get(tenant).copied().unwrap_or(u32::MAX);
    let message = proto::LaneSnapshot {
        lane: fold.lane.0,
        number: fold.head,
        commit: fold.head_commit.0.to_vec(),
        floor: fold.floor,
        map_version: fold.map_version,
        writer: fold.writer.clone(),
        owner: fold.owner.clone(),
        skipped: fold.skipped,
        written_ns: fold.written.nanos(),
        tenants: tenants.keys().map(ToString::to_string).collect(),
        commits: fold.log.iter().map(|commit| commit_to_proto(commit, place)).collect(),
        producers: fold.producers.iter().map(|(id, state)| producer_to_proto(id, state)).collect(),
        push_keys: fold
            .push_keys
            .iter()
            .map(|((tenant, key), at)| proto::PushKey { tenant: tenant.to_string(), key: key.clone(), at_ns: at.nanos() })
            .collect(),
        losses: fold.losses.values().flatten().map(Loss::to_proto).collect(),
        absorbed: fold.absorbed.iter().map(|(tenant, last)| proto::SnapshotTenant { tenant: place(tenant), last: *last }).collect(),
        manifests: fold.manifests.iter().map(|(tenant, number)| proto::ManifestNote { tenant: tenant.to_string(), number: *number }).collect(),
    };
    frame::seal(Kind::Snapshot, &Key::snapshot(fold.lane, fold.head), &message.encode_to_vec(), keys)
}

/// The fold in `bytes`, which were found as snapshot `number` of `lane`.
///
/// # Errors
/// [`StoreFault::Damaged`] or [`StoreFault::Version`].
pub(crate) fn decode(bytes: &Bytes, lane: LaneId, number: u64, keys: &StoreKeys) -> Result<Fold, StoreFault> {
    let key = Key::snapshot(lane, number);
    let damaged = |reason: String| StoreFault::Damaged { key: key.to_string(), reason };
    let header = frame::open(Kind::Snapshot, &key, bytes, keys)?;
    let message = proto::LaneSnapshot::decode(header).map_err(|fault| damaged(fault.to_string()))?;
    let fold = from_proto(message).map_err(damaged)?;
    if (fold.lane, fold.head) != (lane, number) {
        return Err(StoreFault::Damaged { key: key.to_string(), reason: format!("it says it is number {} of lane {}", fold.head, fold.lane) });
    }
    Ok(fold)
}

fn from_proto(message: proto::LaneSnapshot) -> Result<Fold, String> {
    let tenants = message.tenants.iter().map(|tenant| tenant_of(tenant)).collect::<Result<Vec<_>, _>>()?;
    let named = |at: u32| tenants.get(at as usize).cloned().ok_or_else(|| "it names a tenant that it does not list".to_owned());
    if message.floor.checked_add(message.commits.len() as u64) != Some(message.number) {
        return Err(format!("it holds {} numbers between floor {} and head {}", message.commits.len(), message.floor, message.number));
    }
    if message.skipped > message.number {
        return Err(format!("it skipped number {} above its own", message.skipped));
    }
    if message.number > NUMBER_MAX {
        return Err(format!("it is of number {}", message.number));
    }
    let head_commit = CommitId::read(&message.commit)?;
    let mut log = Log::new();
    let mut newest = None;
    for (number, commit) in (message.floor..message.number).map(|below| below + 1).zip(message.commits) {
        let commit = commit_from_proto(&commit, number, named)?;
        newest = Some(commit.commit);
        log.push(commit);
    }
    if newest.is_some_and(|commit| commit != head_commit) {
        return Err("its head and its newest commit differ".to_owned());
    }
    let mut losses: BTreeMap<LossKey, VecDeque<Loss>> = BTreeMap::new();
    for loss in message.losses {
        let loss = Loss::from_proto(loss)?;
        losses.entry((loss.tenant.clone(), loss.cluster.clone(), loss.edge.clone())).or_default().push_back(loss);
    }
    if losses.values().any(|kept| kept.len() > LOSSES_KEPT) {
        return Err("it holds too many losses of one edge".to_owned());
    }
    let producers: BTreeMap<ProducerId, Arc<ProducerState>> = message.producers.into_iter().map(producer_from_proto).collect::<Result<_, _>>()?;
    let push_keys = message.push_keys.into_iter().map(|push| Ok(((tenant_of(&push.tenant)?, push_key_of(push.key)?), Timestamp(push.at_ns))));
    Ok(Fold {
        lane: LaneId(message.lane),
        head: message.number,
        head_commit,
        floor: message.floor,
        map_version: message.map_version,
        writer: text_of(message.writer)?,
        owner: text_of(message.owner)?,
        skipped: message.skipped,
        written: Timestamp(message.written_ns),
        log,
        lingering: producers.iter().filter(|(_, state)| state.lingers()).map(|(id, _)| *id).collect(),
        producers,
        push_keys: push_keys.collect::<Result<_, String>>()?,
        losses,
        absorbed: Arc::new(message.absorbed.iter().map(|entry| Ok((named(entry.tenant)?, entry.last))).collect::<Result<_, String>>()?),
        manifests: Arc::new(message.manifests.iter().map(|note| Ok((tenant_of(&note.tenant)?, note.number))).collect::<Result<_, String>>()?),
    })
}

fn commit_to_proto(commit: &Commit, place: impl Fn(&TenantId) -> u32) -> proto::SnapshotCommit {
    let sections = commit.sections.iter().map(|entry| proto::SnapshotSection {
        tenant: place(&entry.tenant),
        offset: entry.offset,
        length: entry.length,
        checksum: entry.checksum.0.to_vec(),
        table_length: entry.table_length,
        table_checksum: entry.table_checksum.0.to_vec(),
        lines: entry.lines,
        bytes: entry.bytes,
        min_ns: entry.min.nanos(),
        max_ns: entry.max.nanos(),
        batches: entry.batches,
    });
    proto::SnapshotCommit { commit: commit.commit.0.to_vec(), sections: sections.collect() }
}

fn commit_from_proto(commit: &proto::SnapshotCommit, number: u64, named: impl Fn(u32) -> Result<TenantId, String>) -> Result<Commit, String> {
    let sections = commit.sections.iter().map(|entry| {
        let read = SectionEntry {
            tenant: named(entry.tenant)?,
            offset: entry.offset,
            length: entry.length,
            checksum: Checksum::read(&entry.checksum)?,
            table_length: entry.table_length,
            table_checksum: Checksum::read(&entry.table_checksum)?,
            lines: entry.lines,
            bytes: entry.bytes,
            min: Timestamp(entry.min_ns),
            max: Timestamp(entry.max_ns),
            batches: entry.batches,
        };
        read.check().map(|()| read)
    });
    let sections = sections.collect::<Result<Vec<_>, String>>()?;
    if !sections.is_sorted_by(|a, b| a.tenant < b.tenant) {
        return Err(format!("the sections of number {number} are not in ascending order of tenants"));
    }
    Ok(Commit { number, commit: CommitId::read(&commit.commit)?, sections })
}

fn producer_to_proto(id: &ProducerId, state: &ProducerState) -> proto::SnapshotProducer {
    let positions = state.positions.iter().map(|(key, position)| {
        let note = state.notes.get(key);
        proto::SnapshotPosition {
            position: Some(position.clone()),
            number: note.map_or(0, |note| note.number),
            gone_ns: note.and_then(|note| note.gone).map(Timestamp::nanos),
        }
    });
    proto::SnapshotProducer {
        producer: id.to_bytes().to_vec(),
        identity: state.identity.clone(),
        epoch: state.epoch.0,
        nonce: state.nonce.to_vec(),
        wal_id: state.wal_id,
        last: state.last.0,
        chain: state.chain.0.to_vec(),
        digest_sequences: state.digests.iter().map(|(sequence, _)| sequence.0).collect(),
        digests: state.digests.iter().flat_map(|(_, digest)| digest.0).collect(),
        positions: positions.collect(),
        closed: state.closed.map(|next| next.to_bytes().to_vec()).unwrap_or_default(),
        closed_ns: state.closed_at.map(Timestamp::nanos),
        track: state.track,
        after: state.after.map(|after| after.to_bytes().to_vec()).unwrap_or_default(),
        torn: state.torn,
        quarantine: state.quarantined.then(|| state.quarantine_reason.clone()),
    }
}

fn producer_from_proto(message: proto::SnapshotProducer) -> Result<(ProducerId, Arc<ProducerState>), String> {
    let digests = digests_of(&message.digests)?;
    if digests.len() != message.digest_sequences.len() || digests.len() > DIGESTS_KEPT || message.positions.len() > SOURCES_MAX {
        return Err("a producer holds too many digests or positions".to_owned());
    }
    if message.last > Sequence::MAX.0 {
        return Err(format!("a producer stands at sequence {}", message.last));
    }
    if message.closed.is_empty() != message.closed_ns.is_none() {
        return Err("it is not said when a producer was closed".to_owned());
    }
    if !message.digest_sequences.is_sorted_by(|a, b| a < b) {
        return Err("the digests of a producer are not in order".to_owned());
    }
    let mut state = ProducerState {
        epoch: Epoch(message.epoch),
        nonce: nonce_of(&message.nonce)?,
        wal_id: message.wal_id,
        last: Sequence(message.last),
        chain: chain_of(&message.chain)?,
        closed: maybe_producer_of(&message.closed)?,
        closed_at: message.closed_ns.map(Timestamp),
        track: message.track,
        torn: message.torn,
        quarantined: message.quarantine.is_some(),
        quarantine_reason: text_of(message.quarantine.unwrap_or_default())?,
        digests: message.digest_sequences.into_iter().map(Sequence).zip(digests).collect(),
        ..ProducerState::opened(text_of(message.identity)?, maybe_producer_of(&message.after)?)
    };
    for entry in message.positions {
        let position = entry.position.ok_or("a position is empty")?;
        let key = SourceKey::of(&position);
        state.notes.insert(key.clone(), SourceNote { number: entry.number, gone: entry.gone_ns.map(Timestamp) });
        state.positions.insert(key, position);
    }
    Ok((producer_of(&message.producer)?, Arc::new(state)))
}
