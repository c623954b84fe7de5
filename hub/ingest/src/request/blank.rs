//! For tests: requests that differ in little from these; nobody hears their answers.

use super::*;

pub(crate) fn speaker(cluster: &str, edge: &str) -> Speaker {
    Speaker { cluster: ClusterId::new(cluster).unwrap(), edge: EdgeId::new(edge).unwrap() }
}

/// The first meeting, for track 1.
pub(crate) fn open(speaker: Speaker) -> Open {
    let (acked, reply) = ((Sequence(0), Chain::default()), mpsc::channel(1).0);
    let confirmed = Arc::default();
    Open { speaker, track: TrackId(1), producer: None, nonce: [0; 16], wal_id: 1, acked, followed: false, target: None, walks: 0, confirmed, reply }
}

/// A batch of one line, in the first epoch.
pub(crate) fn offer(speaker: Speaker, producer: ProducerId, sequence: u64) -> Offer {
    Offer {
        speaker,
        producer,
        epoch: Epoch(1),
        sequence: Sequence(sequence),
        chain_previous: Chain::default(),
        digest: BatchDigest([0; 16]),
        positions: Vec::new(),
        rows: Vec::new(),
        body: Bytes::new(),
        lines: 1,
        room: Room::default(),
        reply: mpsc::channel(1).0,
    }
}

/// Batches that are given up, in the first epoch.
pub(crate) fn gap(speaker: Speaker, producer: ProducerId, (from, to): (u64, u64)) -> GapOffer {
    GapOffer {
        speaker,
        producer,
        epoch: Epoch(1),
        from: Sequence(from),
        to: Sequence(to),
        chain_previous: Chain::default(),
        chain_to: Chain::default(),
        lines: None,
        bytes: None,
        range: (Timestamp(0), Timestamp(0)),
        reason: String::new(),
        source: String::new(),
        reply: mpsc::channel(1).0,
    }
}
