//! Entries of the WAL as messages, positions both ways.
//!
//! Pure. Parts: [`kind_of`], [`message_of`], [`position_of`]. Must not do: read the WAL.

use bytes::Bytes;
use edge_wal::{Entry, SourcePosition};
use proto_link::LinkFault;
use proto_model::{Sequence, TrackId};
use proto_wire::edge_hub::message::Kind;
use proto_wire::edge_hub::{Batch, Gap, Message, Position};

use crate::receive::streams::is_stream;

/// What was heard, or why nothing more will be.
pub(super) fn kind_of(heard: Option<Result<Message, LinkFault>>) -> Result<Kind, String> {
    match heard {
        None => Err("the hub closed the session".to_owned()),
        Some(Err(fault)) => Err(fault.to_string()),
        Some(Ok(message)) => message.kind.ok_or_else(|| "the hub sent a message of an unknown kind".to_owned()),
    }
}

/// The message of an entry, the last sequence it covers, its bytes.
pub(super) fn message_of(entry: Entry, producer: Bytes, epoch: u64) -> (Kind, Sequence, u64) {
    match entry {
        Entry::Batch { sequence, chain_previous, digest, body, positions, .. } => {
            let bytes = body.len() as u64;
            let batch = Batch {
                producer,
                epoch,
                sequence: sequence.0,
                chain_previous: Bytes::copy_from_slice(&chain_previous.0),
                digest: Bytes::copy_from_slice(&digest.0),
                // The hub keeps how far files were read; streams and cursors are known here alone.
                positions: positions.iter().filter(|position| !is_stream(position)).map(told_position).collect(),
                body,
            };
            (Kind::Batch(batch), sequence, bytes)
        }
        Entry::Gap { from, to, chain_previous, chain_to, lines, bytes, min, max, reason, source } => {
            let gap = Gap {
                producer,
                epoch,
                from: from.0,
                to: to.0,
                chain_previous: Bytes::copy_from_slice(&chain_previous.0),
                chain_to: Bytes::copy_from_slice(&chain_to.0),
                lines,
                bytes,
                min_ns: min.nanos(),
                max_ns: max.nanos(),
                reason,
                source,
            };
            (Kind::Gap(gap), to, 0)
        }
    }
}

/// What the hub is told of a position: where reading would have to resume without this edge's memory.
fn told_position(position: &SourcePosition) -> Position {
    Position {
        path: position.path.clone(),
        device: position.identity.device,
        inode: position.identity.inode,
        head: position.head_hash,
        head_len: position.head_len,
        generation: position.generation,
        offset: position.resume,
        gone: position.gone,
        from: position.from,
        missing: 0,
    }
}

/// A position of the hub, told for `track`, as the WAL keeps it.
pub(super) fn position_of(track: TrackId, told: &Position) -> SourcePosition {
    SourcePosition {
        path: told.path.clone(),
        identity: proto_seam::FileIdentity { device: told.device, inode: told.inode },
        head_hash: told.head,
        head_len: told.head_len,
        generation: told.generation,
        offset: told.offset,
        resume: told.offset,
        held: Vec::new(),
        gone: told.gone,
        track: track.0,
        from: told.from,
        missing: told.missing,
        ..SourcePosition::default()
    }
}
