//! Making a lane (rule 1): its genesis once, then its registration; number 1 is the writer's.
//!
//! Promises: a genesis that was not answered with success is abandoned with its id. Must not do: decide
//! which lane a hub writes (`store/writers.rs` does).

use proto_model::{LaneId, Timestamp};

use super::{LaneCell, Shore};
use crate::fault::StoreFault;
use crate::header::{CommitId, LaneHeader};
use crate::keys::Key;
use crate::limits::CREATE_ROUNDS;
use crate::numbered::ControlLog;
use crate::object::Create;
use crate::proto::LaneRegistration;
use crate::record::text_of;

/// Makes a lane and registers it; `registry` names it then.
///
/// # Errors
/// The store's fault: then it is not known whether one was registered. One that was is idle, and good for
/// whoever looks for one.
pub(crate) async fn make(shore: &Shore, registry: &mut ControlLog<LaneRegistration>, writer: &str) -> Result<LaneId, StoreFault> {
    let (lane, genesis) = make_genesis(shore, writer).await?;
    let written_ns = shore.objects.moment().wall.nanos();
    let entry = LaneRegistration { lane: lane.0, genesis: genesis.0.to_vec(), writer: writer.to_owned(), written_ns };
    let unless_there = |entries: &[LaneRegistration]| Ok(entries.iter().all(|other| other.lane != entry.lane).then(|| entry.clone()));
    registry.append(&shore.objects, &shore.keys, unless_there).await?;
    Ok(lane)
}

pub(super) async fn make_genesis(shore: &Shore, writer: &str) -> Result<(LaneId, CommitId), StoreFault> {
    let mut last = None;
    for _ in 0..CREATE_ROUNDS {
        let lane = LaneId(shore.objects.entropy().next_u64());
        let commit = CommitId(shore.objects.entropy().next_u128().to_be_bytes());
        let mut header = LaneHeader {
            lane,
            number: 0,
            commit,
            previous: CommitId::NONE,
            writer: writer.to_owned(),
            written: shore.objects.moment().wall,
            map_version: 0,
            records: Vec::new(),
            sections: Vec::new(),
        };
        let bytes = header.seal(&shore.keys)?;
        // Any answer but success: that id is given up, whatever stands or will stand under it.
        match shore.objects.create(&Key::lane_object(lane, 0), vec![bytes]).await {
            Ok(Create::Created) => return Ok((lane, commit)),
            Ok(Create::Exists) => {}
            Err(fault) => last = Some(fault),
        }
    }
    let taken = || StoreFault::Unreachable { action: "create", key: "lanes/".to_owned(), reason: "every lane id was taken".to_owned() };
    Err(last.unwrap_or_else(taken))
}

/// The lane that a registration names, nothing of it read yet.
///
/// # Errors
/// [`StoreFault::Damaged`].
pub(crate) fn registered(number: u64, entry: &LaneRegistration) -> Result<LaneCell, StoreFault> {
    let damaged = |reason| StoreFault::Damaged { key: Key::registration(number).to_string(), reason };
    let genesis = CommitId::read(&entry.genesis).map_err(damaged)?;
    let maker = text_of(entry.writer.clone()).map_err(damaged)?;
    Ok(LaneCell::new(LaneId(entry.lane), genesis, maker, Timestamp(entry.written_ns)))
}
