//! What brokers are asked: topics, groups, offsets, records.
//!
//! Parts: one method of [`Connection`] for each question, with its answer. Versions: the oldest that brokers of 2.2 to 4 all speak. Must not do: decide.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::assign::Partitions;
use super::connection::{Connection, Fault};
use super::wire::{In, Out, Short};

const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;
const FIND_COORDINATOR: i16 = 10;
const JOIN_GROUP: i16 = 11;
const HEARTBEAT: i16 = 12;
const LEAVE_GROUP: i16 = 13;
const SYNC_GROUP: i16 = 14;
/// The answer to a member without an id.
const MEMBER_ID_REQUIRED: i16 = 79;
/// We are no broker.
const NO_REPLICA: i32 = -1;

/// Where a broker listens.
pub(super) type Place = (String, u16);

/// Brokers, and the leaders of all partitions.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) brokers: BTreeMap<i32, Place>,
    pub(super) topics: BTreeMap<String, BTreeMap<i32, i32>>,
}

/// Our place in a group.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    pub(super) group: String,
    pub(super) id: String,
    pub(super) generation: i32,
}

/// What joining gave.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) generation: i32,
    pub(super) id: String,
    /// All members and what they said, for the leader.
    pub(super) members: Vec<(String, Bytes)>,
    pub(super) leads: bool,
}

/// What a fetch gave of a partition.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) error: i16,
    pub(super) records: Bytes,
}

fn checked(code: i16) -> Result<(), Fault> {
    if code == 0 { Ok(()) } else { Err(Fault::Refused(code)) }
}

fn place(input: &mut In) -> Result<Place, Short> {
    Ok((input.text()?, u16::try_from(input.i32()?).map_err(|_| Short)?))
}

impl Connection {
    pub(super) async fn cluster(&mut self) -> Result<Cluster, Fault> {
        // No list: all topics.
        let mut answer = self.call(METADATA, 1, Out::default().i32(-1)).await?;
        let brokers = answer.each(|input| {
            let broker = (input.i32()?, place(input)?);
            input.text()?;
            Ok(broker)
        })?;
        answer.i32()?;
        let topics = answer.each(|input| {
            let (_error, name, _internal) = (input.i16()?, input.text()?, input.i8()?);
            let partitions = input.each(|input| {
                let (_error, index, leader) = (input.i16()?, input.i32()?, input.i32()?);
                input.each(In::i32)?;
                input.each(In::i32)?;
                Ok((index, leader))
            })?;
            Ok((name, partitions.into_iter().collect()))
        })?;
        Ok(Cluster { brokers: brokers.into_iter().collect(), topics: topics.into_iter().collect() })
    }

    pub(super) async fn coordinator(&mut self, group: &str) -> Result<Place, Fault> {
        let mut answer = self.call(FIND_COORDINATOR, 0, Out::default().text(group)).await?;
        checked(answer.i16()?)?;
        answer.i32()?;
        Ok(place(&mut answer)?)
    }

    /// Joins as `member`, or as somebody new where it has no id: brokers name a new member first, and take it in when it asks by that name.
    pub(super) async fn join(&mut self, member: &Member, session_ms: i32, assignor: &str, said: &[u8]) -> Result<Joined, Fault> {
        let mut id = member.id.clone();
        loop {
            let body = Out::default().text(&member.group).i32(session_ms).i32(session_ms).text(&id).text("consumer");
            let mut answer = self.call(JOIN_GROUP, 4, body.each([assignor].iter(), |out, name| out.text(name).bytes(said))).await?;
            answer.i32()?;
            let code = answer.i16()?;
            let (generation, _assignor, leader, named) = (answer.i32()?, answer.text()?, answer.text()?, answer.text()?);
            if code == MEMBER_ID_REQUIRED && id.is_empty() && !named.is_empty() {
                id = named;
                continue;
            }
            checked(code)?;
            let members = answer.each(|input| Ok((input.text()?, input.bytes()?)))?;
            return Ok(Joined { generation, leads: leader == named, id: named, members });
        }
    }

    pub(super) async fn sync(&mut self, member: &Member, shares: &[(String, Vec<u8>)]) -> Result<Bytes, Fault> {
        let body = Out::default().text(&member.group).i32(member.generation).text(&member.id);
        let mut answer = self.call(SYNC_GROUP, 0, body.each(shares.iter(), |out, (id, share)| out.text(id).bytes(share))).await?;
        checked(answer.i16()?)?;
        Ok(answer.bytes()?)
    }

    pub(super) async fn heartbeat(&mut self, member: &Member) -> Result<(), Fault> {
        let body = Out::default().text(&member.group).i32(member.generation).text(&member.id);
        checked(self.call(HEARTBEAT, 0, body).await?.i16()?)
    }

    pub(super) async fn leave(&mut self, member: &Member) -> Result<(), Fault> {
        checked(self.call(LEAVE_GROUP, 0, Out::default().text(&member.group).text(&member.id)).await?.i16()?)
    }

    /// Offsets that the group has committed; -1 = none.
    pub(super) async fn committed(&mut self, group: &str, partitions: &Partitions) -> Result<BTreeMap<(String, i32), i64>, Fault> {
        let body = Out::default().text(group).each(partitions.iter(), |out, (topic, all)| out.text(topic).each(all.iter(), |out, one| out.i32(*one)));
        let mut answer = self.call(OFFSET_FETCH, 1, body).await?;
        let topics = answer.each(|input| {
            let topic = input.text()?;
            input.each(|input| {
                let (partition, offset, _metadata, error) = (input.i32()?, input.i64()?, input.text()?, input.i16()?);
                Ok(((topic.clone(), partition), offset, error))
            })
        })?;
        let all: Vec<_> = topics.into_iter().flatten().collect();
        all.iter().try_for_each(|(_, _, error)| checked(*error))?;
        Ok(all.into_iter().map(|(partition, offset, _)| (partition, offset)).collect())
    }

    pub(super) async fn commit(&mut self, member: &Member, offsets: &[(String, i32, i64)]) -> Result<(), Fault> {
        let body = Out::default().text(&member.group).i32(member.generation).text(&member.id).i64(-1);
        let body =
            body.each(offsets.iter(), |out, (topic, partition, offset)| out.text(topic).each([()].iter(), |out, ()| out.i32(*partition).i64(*offset).text("")));
        let mut answer = self.call(OFFSET_COMMIT, 2, body).await?;
        let errors = answer.each(|input| {
            input.text()?;
            input.each(|input| {
                input.i32()?;
                input.i16()
            })
        })?;
        errors.into_iter().flatten().try_for_each(checked)
    }

    /// The first offset that is there.
    pub(super) async fn earliest(&mut self, topic: &str, partition: i32) -> Result<i64, Fault> {
        const EARLIEST: i64 = -2;
        let one = [()];
        let body = Out::default().i32(NO_REPLICA).each(one.iter(), |out, ()| out.text(topic).each(one.iter(), |out, ()| out.i32(partition).i64(EARLIEST)));
        let mut answer = self.call(LIST_OFFSETS, 1, body).await?;
        let found = answer.each(|input| {
            input.text()?;
            input.each(|input| {
                let (_partition, error, _time, offset) = (input.i32()?, input.i16()?, input.i64()?, input.i64()?);
                Ok((error, offset))
            })
        })?;
        let (error, offset) = found.into_iter().flatten().next().ok_or(Short)?;
        checked(error)?;
        Ok(offset)
    }

    /// Records of partitions from their offsets on; waits up to `wait_ms` for some.
    pub(super) async fn fetch(&mut self, from: &[(String, i32, i64)], wait_ms: i32, bytes_max: i32) -> Result<Vec<Fetched>, Fault> {
        let body = Out::default().i32(NO_REPLICA).i32(wait_ms).i32(1).i32(bytes_max).i8(0);
        let one = [()];
        let body = body
            .each(from.iter(), |out, (topic, partition, offset)| out.text(topic).each(one.iter(), |out, ()| out.i32(*partition).i64(*offset).i32(bytes_max)));
        let mut answer = self.call(FETCH, 4, body).await?;
        answer.i32()?;
        let topics = answer.each(|input| {
            let topic = input.text()?;
            input.each(|input| {
                let (partition, error, _high, _stable) = (input.i32()?, input.i16()?, input.i64()?, input.i64()?);
                input.each(|input| Ok((input.i64()?, input.i64()?)))?;
                Ok(Fetched { topic: topic.clone(), partition, error, records: input.bytes()? })
            })
        })?;
        Ok(topics.into_iter().flatten().collect())
    }
}
