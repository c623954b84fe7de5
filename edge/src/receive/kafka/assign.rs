//! How a group shares partitions: what members say they read, and who reads what.
//!
//! Parts: [`subscription`], [`topics_of`] (a member's word), [`assignment`], [`partitions_of`] (the leader's word), [`share`]. Pure. As Kafka's own
//! assignors `range` and `roundrobin`, so that a group may mix clients. Must not do: talk.

use std::collections::BTreeMap;

use super::wire::{In, Out, Short};
use crate::settings::pulled::KafkaAssignor;

/// Partitions by topic.
pub(super) type Partitions = BTreeMap<String, Vec<i32>>;

/// The name of an assignor in a group.
pub(super) const fn name(assignor: KafkaAssignor) -> &'static str {
    match assignor {
        KafkaAssignor::Range | KafkaAssignor::Sticky => "range",
        KafkaAssignor::RoundRobin => "roundrobin",
    }
}

/// What a member says: the topics it reads.
pub(super) fn subscription<'t>(topics: impl ExactSizeIterator<Item = &'t String>) -> Vec<u8> {
    Out::default().i16(0).each(topics, |out, topic| out.text(topic)).bytes(&[]).0
}

pub(super) fn topics_of(said: &[u8]) -> Result<Vec<String>, Short> {
    let mut input = In(bytes::Bytes::copy_from_slice(said));
    input.i16()?;
    input.each(In::text)
}

/// What the leader says to a member.
pub(super) fn assignment(partitions: &Partitions) -> Vec<u8> {
    let out = Out::default().i16(0);
    out.each(partitions.iter(), |out, (topic, all)| out.text(topic).each(all.iter(), |out, one| out.i32(*one))).bytes(&[]).0
}

pub(super) fn partitions_of(said: &[u8]) -> Result<Partitions, Short> {
    if said.is_empty() {
        return Ok(Partitions::new());
    }
    let mut input = In(bytes::Bytes::copy_from_slice(said));
    input.i16()?;
    Ok(input.each(|input| Ok((input.text()?, input.each(In::i32)?)))?.into_iter().collect())
}

/// Who reads what: `members` by id with their topics, `there` are the partitions of all topics.
pub(super) fn share(assignor: KafkaAssignor, members: &BTreeMap<String, Vec<String>>, there: &Partitions) -> BTreeMap<String, Partitions> {
    let mut shares: BTreeMap<String, Partitions> = members.keys().map(|member| (member.clone(), Partitions::new())).collect();
    let mut give = |member: &String, topic: &String, one: i32| {
        if let Some(share) = shares.get_mut(member) {
            share.entry(topic.clone()).or_default().push(one);
        }
    };
    let mut turn = 0;
    let order: Vec<&String> = members.keys().collect();
    for (topic, partitions) in there {
        let mut partitions = partitions.clone();
        partitions.sort_unstable();
        let readers: Vec<&String> = members.iter().filter(|(_, topics)| topics.contains(topic)).map(|(member, _)| member).collect();
        if readers.is_empty() {
            continue;
        }
        match assignor {
            KafkaAssignor::Range | KafkaAssignor::Sticky => {
                let (each, more) = (partitions.len() / readers.len(), partitions.len() % readers.len());
                let mut rest = partitions.iter();
                for (at, member) in readers.into_iter().enumerate() {
                    rest.by_ref().take(each + usize::from(at < more)).for_each(|one| give(member, topic, *one));
                }
            }
            KafkaAssignor::RoundRobin => {
                for one in partitions {
                    while !readers.contains(&order[turn % order.len()]) {
                        turn += 1;
                    }
                    give(order[turn % order.len()], topic, one);
                    turn += 1;
                }
            }
        }
    }
    shares
}

#[cfg(test)]
mod tests;
