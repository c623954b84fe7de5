//! Manifests and their registrations as bytes and back.
//!
//! Promises: `decode(encode(manifest)) == manifest`; arbitrary bytes end in a fault. Must not do: judge a
//! manifest against the one before it.

use std::collections::BTreeMap;

use bytes::Bytes;
use hub_segment::{Facts, Kind as SegmentKind};
use prost::Message as _;
use proto_model::{LaneId, TenantId, TimeRange, Timestamp};

use super::{Delete, Doomed, Manifest, SegmentId, SegmentRef};
use crate::fault::StoreFault;
use crate::frame::{self, Kind};
use crate::header::{Checksum, CommitId};
use crate::keys::Key;
use crate::limits::NUMBER_MAX;
use crate::mac::StoreKeys;
use crate::proto::manifest as proto;
use crate::record::{tenant_of, text_of};

/// The bytes of `tenants/<tenant>/manifest/<number>`.
///
/// # Errors
/// [`StoreFault::TooLarge`] when it passes its limit.
pub(crate) fn encode(manifest: &Manifest, keys: &StoreKeys) -> Result<Bytes, StoreFault> {
    let message = proto::Manifest {
        tenant: manifest.tenant.to_string(),
        number: manifest.number,
        commit: manifest.commit.0.to_vec(),
        previous: manifest.previous.0.to_vec(),
        writer: manifest.writer.clone(),
        written_ns: manifest.written.nanos(),
        segments: manifest.segments.iter().map(segment_to_proto).collect(),
        watermarks: marks_to_proto(&manifest.watermarks),
        doomed: manifest.doomed.iter().map(|doomed| proto::Doomed { id: id_bytes(doomed.id), at_ns: doomed.at.nanos() }).collect(),
        deletes: manifest.deletes.iter().map(delete_to_proto).collect(),
        done: manifest.done.iter().map(delete_to_proto).collect(),
        deleted_lines: manifest.deleted_lines,
        erased: manifest.erased,
    };
    // A hub that does not know deletes would bring lines back by the next number.
    let version = if manifest.deletes.is_empty() && !manifest.erased { frame::VERSION } else { frame::MANIFEST_VERSION };
    frame::seal_as(version, Kind::Manifest, &Key::manifest(&manifest.tenant, manifest.number), &message.encode_to_vec(), keys)
}

/// The manifest in `bytes`, which were found as `number` of `tenant`.
///
/// # Errors
/// [`StoreFault::Damaged`] or [`StoreFault::Version`].
pub(crate) fn decode(bytes: &Bytes, tenant: &TenantId, number: u64, keys: &StoreKeys) -> Result<Manifest, StoreFault> {
    let key = Key::manifest(tenant, number);
    let damaged = |reason: String| StoreFault::Damaged { key: key.to_string(), reason };
    let header = frame::open(Kind::Manifest, &key, bytes, keys)?;
    let message = proto::Manifest::decode(header).map_err(|fault| damaged(fault.to_string()))?;
    let manifest = from_proto(message).map_err(damaged)?;
    if (&manifest.tenant, manifest.number) != (tenant, number) {
        return Err(StoreFault::Damaged { key: key.to_string(), reason: format!("it says it is number {}", manifest.number) });
    }
    Ok(manifest)
}

fn from_proto(message: proto::Manifest) -> Result<Manifest, String> {
    let tenant = tenant_of(&message.tenant)?;
    if message.number > NUMBER_MAX {
        return Err(format!("it is of number {}", message.number));
    }
    let manifest = Manifest {
        number: message.number,
        commit: CommitId::read(&message.commit)?,
        previous: CommitId::read(&message.previous)?,
        writer: text_of(message.writer)?,
        written: Timestamp(message.written_ns),
        segments: message.segments.iter().map(|segment| segment_from_proto(segment, &tenant)).collect::<Result<_, _>>()?,
        watermarks: marks_of(&message.watermarks)?,
        doomed: message.doomed.iter().map(|doomed| Ok(Doomed { id: id_of(&doomed.id)?, at: Timestamp(doomed.at_ns) })).collect::<Result<_, String>>()?,
        deletes: message.deletes.into_iter().map(delete_of).collect::<Result<_, _>>()?,
        done: message.done.into_iter().map(delete_of).collect::<Result<_, _>>()?,
        deleted_lines: message.deleted_lines,
        erased: message.erased,
        tenant,
    };
    manifest.check()?;
    Ok(manifest)
}

fn marks_to_proto(marks: &BTreeMap<LaneId, u64>) -> Vec<proto::Watermark> {
    marks.iter().map(|(lane, number)| proto::Watermark { lane: lane.0, number: *number }).collect()
}

fn marks_of(marks: &[proto::Watermark]) -> Result<BTreeMap<LaneId, u64>, String> {
    if !marks.is_sorted_by(|a, b| a.lane < b.lane) {
        return Err("its watermarks, or a delete's heads, are not in ascending order of lanes".to_owned());
    }
    Ok(marks.iter().map(|mark| (LaneId(mark.lane), mark.number)).collect())
}

fn delete_to_proto(delete: &Delete) -> proto::Delete {
    proto::Delete {
        number: delete.number,
        query: delete.query.clone(),
        start_ns: delete.range.start.nanos(),
        end_ns: delete.range.end.nanos(),
        accepted_ns: delete.accepted.nanos(),
        heads: marks_to_proto(&delete.heads),
        pieces: delete.pieces,
        lines: delete.lines,
        done_ns: delete.done.map_or(0, Timestamp::nanos),
    }
}

fn delete_of(delete: proto::Delete) -> Result<Delete, String> {
    Ok(Delete {
        number: delete.number,
        query: delete.query,
        range: TimeRange { start: Timestamp(delete.start_ns), end: Timestamp(delete.end_ns) },
        accepted: Timestamp(delete.accepted_ns),
        heads: marks_of(&delete.heads)?,
        pieces: delete.pieces,
        lines: delete.lines,
        done: (delete.done_ns != 0).then_some(Timestamp(delete.done_ns)),
    })
}

fn id_bytes(id: SegmentId) -> Vec<u8> {
    id.0.to_be_bytes().to_vec()
}

fn id_of(bytes: &[u8]) -> Result<SegmentId, String> {
    bytes.try_into().map(|bytes| SegmentId(u128::from_be_bytes(bytes))).map_err(|_| "a segment id is not 16 bytes".to_owned())
}

fn segment_to_proto(segment: &SegmentRef) -> proto::Segment {
    let facts = &segment.facts;
    proto::Segment {
        id: id_bytes(segment.id),
        day: match facts.kind {
            SegmentKind::Day(day) => Some(day),
            SegmentKind::Odd => None,
        },
        bytes: facts.bytes,
        lines: facts.lines,
        raw_bytes: facts.raw_bytes,
        min_ns: facts.min.nanos(),
        max_ns: facts.max.nanos(),
        streams: facts.streams,
        footer_offset: facts.footer_offset,
        footer_length: facts.footer_length,
        footer_checksum: facts.footer_checksum.to_vec(),
        cleaned: segment.cleaned,
    }
}

fn segment_from_proto(segment: &proto::Segment, tenant: &TenantId) -> Result<SegmentRef, String> {
    let facts = Facts {
        kind: segment.day.map_or(SegmentKind::Odd, SegmentKind::Day),
        bytes: segment.bytes,
        lines: segment.lines,
        raw_bytes: segment.raw_bytes,
        min: Timestamp(segment.min_ns),
        max: Timestamp(segment.max_ns),
        streams: segment.streams,
        footer_offset: segment.footer_offset,
        footer_length: segment.footer_length,
        footer_checksum: Checksum::read(&segment.footer_checksum)?.0,
    };
    Ok(SegmentRef { id: id_of(&segment.id)?, tenant: tenant.clone(), facts, cleaned: segment.cleaned })
}

/// What `control/manifests/<tenant>` says.
pub(crate) fn registration(tenant: &TenantId, genesis: CommitId, written: Timestamp) -> proto::ManifestRegistration {
    proto::ManifestRegistration { tenant: tenant.to_string(), genesis: genesis.0.to_vec(), written_ns: written.nanos() }
}

/// The commit id of number 0 that a registration names.
///
/// # Errors
/// [`StoreFault::Damaged`].
pub(crate) fn registered(tenant: &TenantId, entry: &proto::ManifestRegistration) -> Result<CommitId, StoreFault> {
    let damaged = |reason| StoreFault::Damaged { key: Key::manifest_registration(tenant).to_string(), reason };
    if entry.tenant != tenant.as_str() {
        return Err(damaged("it is another tenant's".to_owned()));
    }
    CommitId::read(&entry.genesis).map_err(damaged)
}
