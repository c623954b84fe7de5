//! The records of a lane header: what a lane object changes in the fold, in absolutes (lane rule 3).
//!
//! Parts: [`LaneRecord`], [`Loss`], and their form in `lane.proto`. Promises: a record that this program
//! does not know is a fault, never passed over, since a fold without it would be another fold. Must not
//! do: judge whether a record fits a fold (`fold.rs` does).

use proto_model::{BatchDigest, Chain, ClusterId, EdgeId, Epoch, ProducerId, Sequence, TenantId, Timestamp};
use proto_wire::edge_hub::Position;

use crate::limits::{PUSH_KEY_BYTES_MAX, SOURCES_MAX, TEXT_BYTES_MAX};
use crate::proto;

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum LaneRecord {
    /// A producer stands open under an epoch.
    Open {
        /// Which.
        producer: ProducerId,
        /// Its new epoch, above every earlier one.
        epoch: Epoch,
        /// Whom it belongs to: `cluster/edge`.
        identity: String,
        /// The edge process' nonce.
        nonce: [u8; 16],
        /// The edge's WAL.
        wal_id: u64,
        /// The edge's name for it in that WAL.
        track: u32,
        /// Where it stands: its newest durable sequence, 0 for none.
        sequence: Sequence,
        /// The chain there.
        chain: Chain,
        /// Positions taken over from the producer before, or from others that end in this one.
        positions: Vec<Position>,
        /// The closed producer that this one goes on for, when it is opened for the first time; its Close
        /// names this one. `None`: it begins at 0, or was opened before.
        after: Option<ProducerId>,
    },
    /// Batches `from..=to` of a producer are durable with this object; a gap, when there are no digests.
    Advance {
        /// Whose.
        producer: ProducerId,
        /// Under which epoch.
        epoch: Epoch,
        /// The number after its newest so far.
        from: Sequence,
        /// Its newest from now on.
        to: Sequence,
        /// The chain there.
        chain_to: Chain,
        /// D of each of `from..=to`, which lead from the chain before to `chain_to`; none for a gap.
        digests: Vec<BatchDigest>,
        /// How far its sources are durable.
        positions: Vec<Position>,
    },
    /// A producer has ended.
    Close {
        /// Which.
        producer: ProducerId,
        /// Where it stood.
        sequence: Sequence,
        /// The chain there.
        chain: Chain,
        /// Who goes on in its place; itself: nobody does, for ever.
        next: ProducerId,
    },
    /// A producer's chain or digests did not fit: nothing of it is taken any more.
    Quarantine {
        /// Which.
        producer: ProducerId,
        /// Why.
        reason: String,
    },
    /// Lines that were given up.
    Loss {
        /// Whose lines.
        tenant: TenantId,
        /// Where.
        cluster: ClusterId,
        /// Where.
        edge: EdgeId,
        /// Of which source; empty when not of one.
        source: String,
        /// Why.
        reason: String,
        /// Earliest line, ns since 1970.
        from_ns: i64,
        /// Latest line, ns since 1970.
        to_ns: i64,
        /// How many; unknown when `None`.
        lines: Option<u64>,
        /// How large; unknown when `None`.
        bytes: Option<u64>,
    },
    /// A push stands in this object.
    PushKey {
        /// Whose.
        tenant: TenantId,
        /// What makes its repeat known.
        key: Vec<u8>,
        /// When.
        at: Timestamp,
    },
    /// From here on sections follow at least this version of the tenant map.
    Map(u64),
    /// All up to this number is absorbed.
    Floor(u64),
    /// The hub of this name writes the lane as its own.
    Owner(String),
    /// Whoever reads for the tenant needs its manifest of this number at least: a delete stands in it (lane rule 17).
    Manifest {
        /// Whose.
        tenant: TenantId,
        /// Which.
        number: u64,
    },
}

/// Lines that were given up, as [`LaneRecord::Loss`] says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    /// Whose lines.
    pub tenant: TenantId,
    /// Where.
    pub cluster: ClusterId,
    /// Where.
    pub edge: EdgeId,
    /// Of which source; empty when not of one.
    pub source: String,
    /// Why.
    pub reason: String,
    /// Earliest line, ns since 1970.
    pub from_ns: i64,
    /// Latest line, ns since 1970.
    pub to_ns: i64,
    /// How many; unknown when `None`.
    pub lines: Option<u64>,
    /// How large; unknown when `None`.
    pub bytes: Option<u64>,
}

pub(crate) fn chain_of(bytes: &[u8]) -> Result<Chain, String> {
    Chain::from_bytes(bytes).ok_or_else(|| "a chain is not 16 bytes".to_owned())
}

pub(crate) fn producer_of(bytes: &[u8]) -> Result<ProducerId, String> {
    ProducerId::from_bytes(bytes).ok_or_else(|| "a producer id is not 24 bytes".to_owned())
}

/// As [`producer_of`]; no bytes are nobody.
pub(crate) fn maybe_producer_of(bytes: &[u8]) -> Result<Option<ProducerId>, String> {
    if bytes.is_empty() { Ok(None) } else { producer_of(bytes).map(Some) }
}

pub(crate) fn nonce_of(bytes: &[u8]) -> Result<[u8; 16], String> {
    bytes.try_into().map_err(|_| "a nonce is not 16 bytes".to_owned())
}

pub(crate) fn digests_of(bytes: &[u8]) -> Result<Vec<BatchDigest>, String> {
    let (whole, rest) = bytes.as_chunks::<16>();
    if rest.is_empty() { Ok(whole.iter().map(|d| BatchDigest(*d)).collect()) } else { Err("digests are not 16 bytes each".to_owned()) }
}

pub(crate) fn text_of(text: String) -> Result<String, String> {
    if text.len() <= TEXT_BYTES_MAX { Ok(text) } else { Err(format!("a text has {} bytes", text.len())) }
}

pub(crate) fn tenant_of(text: &str) -> Result<TenantId, String> {
    TenantId::new(text).map_err(|fault| fault.to_string())
}

impl Loss {
    pub(crate) fn to_proto(&self) -> proto::Loss {
        proto::Loss {
            tenant: self.tenant.to_string(),
            cluster: self.cluster.to_string(),
            edge: self.edge.to_string(),
            source: self.source.clone(),
            reason: self.reason.clone(),
            from_ns: self.from_ns,
            to_ns: self.to_ns,
            lines: self.lines,
            bytes: self.bytes,
        }
    }

    pub(crate) fn from_proto(loss: proto::Loss) -> Result<Self, String> {
        Ok(Self {
            tenant: tenant_of(&loss.tenant)?,
            cluster: ClusterId::new(&loss.cluster).map_err(|fault| fault.to_string())?,
            edge: EdgeId::new(&loss.edge).map_err(|fault| fault.to_string())?,
            source: text_of(loss.source)?,
            reason: text_of(loss.reason)?,
            from_ns: loss.from_ns,
            to_ns: loss.to_ns,
            lines: loss.lines,
            bytes: loss.bytes,
        })
    }
}

impl From<Loss> for LaneRecord {
    fn from(loss: Loss) -> Self {
        let Loss { tenant, cluster, edge, source, reason, from_ns, to_ns, lines, bytes } = loss;
        Self::Loss { tenant, cluster, edge, source, reason, from_ns, to_ns, lines, bytes }
    }
}

impl LaneRecord {
    pub(crate) fn to_proto(&self) -> proto::Record {
        use proto::record::Kind;
        let kind = match self {
            Self::Open { producer, epoch, identity, nonce, wal_id, track, sequence, chain, positions, after } => Kind::Open(proto::Open {
                producer: producer.to_bytes().to_vec(),
                epoch: epoch.0,
                identity: identity.clone(),
                nonce: nonce.to_vec(),
                wal_id: *wal_id,
                sequence: sequence.0,
                chain: chain.0.to_vec(),
                track: *track,
                positions: positions.clone(),
                after: after.map(|after| after.to_bytes().to_vec()).unwrap_or_default(),
            }),
            Self::Advance { producer, epoch, from, to, chain_to, digests, positions } => Kind::Advance(proto::Advance {
                producer: producer.to_bytes().to_vec(),
                epoch: epoch.0,
                from: from.0,
                to: to.0,
                chain_to: chain_to.0.to_vec(),
                digests: digests.iter().flat_map(|digest| digest.0).collect(),
                positions: positions.clone(),
            }),
            Self::Close { producer, sequence, chain, next } => Kind::Close(proto::Close {
                producer: producer.to_bytes().to_vec(),
                sequence: sequence.0,
                chain: chain.0.to_vec(),
                next: next.to_bytes().to_vec(),
            }),
            Self::Quarantine { producer, reason } => Kind::Quarantine(proto::Quarantine { producer: producer.to_bytes().to_vec(), reason: reason.clone() }),
            Self::Loss { tenant, cluster, edge, source, reason, from_ns, to_ns, lines, bytes } => Kind::Loss(proto::Loss {
                tenant: tenant.to_string(),
                cluster: cluster.to_string(),
                edge: edge.to_string(),
                source: source.clone(),
                reason: reason.clone(),
                from_ns: *from_ns,
                to_ns: *to_ns,
                lines: *lines,
                bytes: *bytes,
            }),
            Self::PushKey { tenant, key, at } => Kind::PushKey(proto::PushKey { tenant: tenant.to_string(), key: key.clone(), at_ns: at.nanos() }),
            Self::Map(version) => Kind::Map(*version),
            Self::Floor(number) => Kind::Floor(*number),
            Self::Owner(name) => Kind::Owner(name.clone()),
            Self::Manifest { tenant, number } => Kind::Manifest(proto::ManifestNote { tenant: tenant.to_string(), number: *number }),
        };
        proto::Record { kind: Some(kind) }
    }

    pub(crate) fn from_proto(record: proto::Record) -> Result<Self, String> {
        use proto::record::Kind;
        let kind = record.kind.ok_or("it holds a record of a kind this hub does not know: upgrade the hub")?;
        Ok(match kind {
            Kind::Open(open) => Self::open(open)?,
            Kind::Advance(advance) => Self::advance(advance)?,
            Kind::Close(close) => Self::Close {
                producer: producer_of(&close.producer)?,
                sequence: Sequence(close.sequence),
                chain: chain_of(&close.chain)?,
                next: producer_of(&close.next)?,
            },
            Kind::Quarantine(quarantine) => Self::Quarantine { producer: producer_of(&quarantine.producer)?, reason: text_of(quarantine.reason)? },
            Kind::Loss(loss) => Loss::from_proto(loss)?.into(),
            Kind::PushKey(push) => Self::PushKey { tenant: tenant_of(&push.tenant)?, key: push_key_of(push.key)?, at: Timestamp(push.at_ns) },
            Kind::Map(version) => Self::Map(version),
            Kind::Floor(number) => Self::Floor(number),
            Kind::Owner(name) => Self::Owner(text_of(name)?),
            Kind::Manifest(note) => Self::Manifest { tenant: tenant_of(&note.tenant)?, number: note.number },
        })
    }

    fn open(open: proto::Open) -> Result<Self, String> {
        if open.positions.len() > SOURCES_MAX {
            return Err(format!("an open holds {} positions", open.positions.len()));
        }
        Ok(Self::Open {
            producer: producer_of(&open.producer)?,
            epoch: Epoch(open.epoch),
            identity: text_of(open.identity)?,
            nonce: nonce_of(&open.nonce)?,
            wal_id: open.wal_id,
            track: open.track,
            sequence: Sequence(open.sequence),
            chain: chain_of(&open.chain)?,
            positions: open.positions,
            after: maybe_producer_of(&open.after)?,
        })
    }

    fn advance(advance: proto::Advance) -> Result<Self, String> {
        if advance.positions.len() > SOURCES_MAX {
            return Err(format!("an advance holds {} positions", advance.positions.len()));
        }
        Ok(Self::Advance {
            producer: producer_of(&advance.producer)?,
            epoch: Epoch(advance.epoch),
            from: Sequence(advance.from),
            to: Sequence(advance.to),
            chain_to: chain_of(&advance.chain_to)?,
            digests: digests_of(&advance.digests)?,
            positions: advance.positions,
        })
    }
}

pub(crate) fn push_key_of(key: Vec<u8>) -> Result<Vec<u8>, String> {
    if key.len() <= PUSH_KEY_BYTES_MAX { Ok(key) } else { Err(format!("a push key has {} bytes", key.len())) }
}
