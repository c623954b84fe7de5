//! One generation of a group: joined, partitions begun at their offsets, fetched until the group changes.
//!
//! Parts: `Reader::generation`, `Generation`, [`Part`] (one partition). Kafka's answers: 22, 25 and 27 say that the group changed, 1 that an offset is not there.
//! Promises: heartbeats go on while the intake has no room; before the partitions are given up, what is under way is waited for (shortly) and committed.
//! Must not do: talk to brokers otherwise than through `calls`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use proto_model::{Labels, Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::assign::{self, Partitions};
use super::calls::{Cluster, Fetched, Member};
use super::connection::{Connection, Fault};
use super::records::{self, Message};
use super::{PAUSE_MIN, Reader};
use crate::receive::pulled::Pull;
use crate::receive::{Arrival, PULLED_BYTES_MAX};

/// A member that is not heard of for so long is put out of the group, ms.
const SESSION_MS: i32 = 10_000;
const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);
const COMMIT_EVERY: Duration = Duration::from_secs(5);
/// Topics and leaders are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Longest wait of a fetch for records, ms, and the bytes it asks for.
const FETCH_WAIT_MS: i32 = 500;
const FETCH_BYTES: i32 = 1024 * 1024;
/// What is under way is waited for so long before partitions are given up.
const SETTLE_MAX: Duration = Duration::from_secs(3);
/// Before a group that changes is joined again.
const REJOIN_PAUSE: Duration = Duration::from_millis(500);
/// Longest line that is taken: as of files.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Kafka's errors that are told apart.
const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_MEMBER: i16 = 25;
const CHANGED: [i16; 3] = [22, UNKNOWN_MEMBER, 27];
/// The key of a record that has none, as in Promtail.
const NO_KEY: &str = "none";

/// One partition that is ours.
struct Part {
    topic: String,
    partition: i32,
    leader: i32,
    /// The offset to fetch next; -1 = the first there is.
    next: i64,
    committed: i64,
    pull: Pull,
}

/// What belongs to one generation.
struct Generation {
    coordinator: Connection,
    member: Member,
    parts: Vec<Part>,
    cluster: Cluster,
    leaders: BTreeMap<i32, Connection>,
    /// Which partition is asked for first: an answer is filled in the order of the question.
    turn: usize,
}

impl Reader {
    /// Joins, and reads until the group changes, something fails, or the end.
    pub(super) async fn generation(&self, id: &mut String) -> Result<(), Fault> {
        let joined = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(()),
            joined = self.join(id) => joined,
        };
        let mut generation = match joined {
            Ok(generation) => generation,
            Err(Fault::Refused(code)) if CHANGED.contains(&code) => {
                if code == UNKNOWN_MEMBER {
                    id.clear();
                }
                tracing::info!(job = self.post.name(), group = self.group, code, "the group of Kafka changes while it is joined: it is joined again");
                self.pause(REJOIN_PAUSE).await;
                return Ok(());
            }
            Err(fault) => return Err(fault),
        };
        let read = self.read(&mut generation).await;
        generation.settle().await;
        let committed = generation.commit().await;
        if self.stop.is_cancelled() {
            return generation.coordinator.leave(&generation.member).await;
        }
        let changed = match read.and(committed) {
            Err(Fault::Refused(code)) if CHANGED.contains(&code) => code,
            other => return other,
        };
        if changed == UNKNOWN_MEMBER {
            id.clear();
        }
        tracing::info!(job = self.post.name(), group = self.group, code = changed, "the group of Kafka shares its partitions anew");
        self.pause(REJOIN_PAUSE).await;
        Ok(())
    }

    async fn join(&self, id: &mut String) -> Result<Generation, Fault> {
        let (mut any, cluster) = self.cluster().await?;
        let topics: Vec<String> = cluster.topics.keys().filter(|topic| self.topics.iter().any(|wanted| wanted.wants(topic))).cloned().collect();
        if topics.is_empty() {
            return Err(Fault::NoTopic);
        }
        let (host, port) = any.coordinator(&self.group).await?;
        let mut coordinator = self.access.connect(&host, port).await?;
        let mut member = Member { group: self.group.clone(), id: id.clone(), generation: -1 };
        let joined = coordinator.join(&member, SESSION_MS, assign::name(self.assignor), &assign::subscription(topics.iter())).await?;
        (member.id, member.generation) = (joined.id.clone(), joined.generation);
        *id = joined.id;
        let mut shares = Vec::new();
        if joined.leads {
            let said: Result<BTreeMap<_, _>, _> = joined.members.iter().map(|(member, said)| Ok((member.clone(), assign::topics_of(said)?))).collect();
            let there: Partitions = cluster.topics.iter().map(|(topic, all)| (topic.clone(), all.keys().copied().collect())).collect();
            let shared = assign::share(self.assignor, &said.map_err(Fault::Answer)?, &there);
            shares = shared.into_iter().map(|(member, share)| (member, assign::assignment(&share))).collect();
        }
        let ours = assign::partitions_of(&coordinator.sync(&member, &shares).await?)?;
        let committed = coordinator.committed(&self.group, &ours).await?;
        let part = |topic: &String, partition: i32| {
            let pull = Pull::new(Arc::clone(&self.post), format!("kafka:{}/{}/{topic}/{partition}", self.post.name(), self.group));
            let own = own_offset(&pull);
            let committed = committed.get(&(topic.clone(), partition)).copied().unwrap_or(-1);
            let leader = cluster.topics.get(topic).and_then(|all| all.get(&partition)).copied().unwrap_or(-1);
            Part { topic: topic.clone(), partition, leader, next: committed.max(own), committed, pull }
        };
        let parts: Vec<Part> = ours.iter().flat_map(|(topic, all)| all.iter().map(|one| part(topic, *one)).collect::<Vec<_>>()).collect();
        tracing::info!(job = self.post.name(), group = self.group, generation = member.generation, partitions = parts.len(), "partitions of Kafka are read");
        Ok(Generation { coordinator, member, parts, cluster, leaders: BTreeMap::new(), turn: 0 })
    }

    async fn read(&self, generation: &mut Generation) -> Result<(), Fault> {
        let (began, mut beat, mut committed) = (Instant::now(), interval(HEARTBEAT_EVERY), Instant::now());
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let known = generation.cluster.topics.clone();
        while !self.stop.is_cancelled() {
            let fetched = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                fetched = generation.fetch(self) => fetched?,
            };
            for one in fetched {
                self.take(generation, one, &mut beat).await?;
            }
            if beat.tick().now_or_never().is_some() {
                generation.coordinator.heartbeat(&generation.member).await?;
            }
            if generation.settle_ready() {
                self.pause(PAUSE_MIN).await;
            }
            if committed.elapsed() >= COMMIT_EVERY {
                committed = Instant::now();
                generation.commit().await?;
            }
            if began.elapsed() >= LOOK_EVERY {
                // Topics that came or partitions that were added: the group shares anew.
                let (_, cluster) = self.cluster().await?;
                if cluster.topics != known {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Waits, or until the end.
    pub(super) async fn pause(&self, pause: Duration) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// What one fetch gave of one partition goes in.
    async fn take(&self, generation: &mut Generation, fetched: Fetched, beat: &mut tokio::time::Interval) -> Result<(), Fault> {
        let Generation { coordinator, member, parts, leaders, .. } = generation;
        let Some(part) = parts.iter_mut().find(|part| part.topic == fetched.topic && part.partition == fetched.partition) else { return Ok(()) };
        if fetched.error == OFFSET_OUT_OF_RANGE {
            let Some(leader) = leaders.get_mut(&part.leader) else { return Ok(()) };
            let first = leader.earliest(&part.topic, part.partition).await?;
            self.gone(part, first);
            return Ok(());
        }
        if fetched.error != 0 {
            return Err(Fault::Refused(fetched.error));
        }
        let read = records::read(&fetched.records, part.next);
        if read.damaged > 0 {
            tracing::error!(
                job = self.post.name(),
                topic = part.topic,
                partition = part.partition,
                records = read.damaged,
                "records of Kafka cannot be read and are skipped"
            );
            self.status.lost("kafka_damaged", Some(read.damaged));
        }
        let Some(end) = read.next.filter(|end| *end > part.next) else { return Ok(()) };
        let mut rest = read.messages.into_iter().peekable();
        loop {
            let (mut records, mut bytes, mut passed, mut next) = (Vec::new(), 0, 0, end);
            while let Some(message) = rest.next() {
                passed += 1;
                if let Some(record) = self.record(part, &member.id, &message) {
                    bytes += record.cost();
                    records.push(record);
                }
                if bytes >= PULLED_BYTES_MAX && rest.peek().is_some() {
                    next = message.offset + 1;
                    break;
                }
            }
            let is_last = rest.peek().is_none();
            let handed = {
                let handing = part.pull.hand_in(records, next.to_string().into_bytes(), passed);
                tokio::pin!(handing);
                loop {
                    tokio::select! {
                        biased;
                        () = self.stop.cancelled() => return Ok(()),
                        handed = &mut handing => break handed,
                        _ = beat.tick() => coordinator.heartbeat(member).await?,
                    }
                }
            };
            if handed.is_err() {
                // What was handed in before may not have been taken: the durable cursor counts.
                part.next = own_offset(&part.pull).max(part.committed);
                return Ok(());
            }
            part.next = next;
            if is_last {
                return Ok(());
            }
        }
    }

    /// What was to be read is gone from Kafka: reading goes on at `first`.
    fn gone(&self, part: &mut Part, first: i64) {
        let (topic, partition, from) = (&part.topic, part.partition, part.next);
        tracing::error!(job = self.post.name(), topic, partition, from, first, "offsets are gone from Kafka: reading goes on at the first");
        self.status.lost("kafka_gone", u64::try_from(first - from).ok());
        // What was committed is of no log that is there: what is read from here on is.
        (part.next, part.committed) = (first, -1);
    }

    fn record(&self, part: &Part, member: &str, message: &Message) -> Option<Arrival> {
        let mut labels = Labels::from_pairs([
            ("__meta_kafka_topic", part.topic.as_str()),
            ("__meta_kafka_member_id", member),
            ("__meta_kafka_group_id", self.group.as_str()),
        ]);
        labels.set("__meta_kafka_partition", part.partition.to_string());
        if self.needs_key {
            let key = String::from_utf8_lossy(&message.key);
            labels.set("__meta_kafka_message_key", if key.is_empty() { NO_KEY } else { &*key });
        }
        let Some(labels) = self.post.labels(labels) else {
            self.post.dropped(1);
            return None;
        };
        let time = message.time_ms.checked_mul(1_000_000).filter(|_| self.keep_times && message.time_ms > 0).map(Timestamp);
        let mut line = message.value.clone();
        if line.len() > LINE_BYTES_MAX {
            let mut start = line.slice(..LINE_BYTES_MAX - 64).to_vec();
            start.extend_from_slice(format!("…[cut from {} bytes]", line.len()).as_bytes());
            line = start.into();
            self.post.cut();
        }
        Some(self.post.arrival(&labels, time, line, Vec::new()))
    }
}

/// The offset behind all that was handed in; -1 = this edge read nothing of it.
fn own_offset(pull: &Pull) -> i64 {
    pull.cursor().and_then(|held| std::str::from_utf8(held).ok()?.parse().ok()).unwrap_or(-1)
}

impl Generation {
    /// Asks all leaders at once for what comes next.
    async fn fetch(&mut self, reader: &Reader) -> Result<Vec<Fetched>, Fault> {
        let Self { parts, leaders, cluster, turn, .. } = self;
        let mut wanted: BTreeMap<i32, Vec<(String, i32, i64)>> = BTreeMap::new();
        for part in parts.iter_mut().filter(|part| part.pull.sender().wait().is_none()) {
            let Some((host, port)) = cluster.brokers.get(&part.leader) else { return Err(Fault::Refused(5)) };
            let leader = match leaders.entry(part.leader) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(reader.access.connect(host, *port).await?),
            };
            if part.next < 0 {
                part.next = leader.earliest(&part.topic, part.partition).await?;
            }
            wanted.entry(part.leader).or_default().push((part.topic.clone(), part.partition, part.next));
        }
        if wanted.is_empty() {
            tokio::time::sleep(Duration::from_millis(FETCH_WAIT_MS.unsigned_abs().into())).await;
            return Ok(Vec::new());
        }
        *turn = turn.wrapping_add(1);
        for asked in wanted.values_mut() {
            let first = *turn % asked.len();
            asked.rotate_left(first);
        }
        let fetches = leaders.iter_mut().filter_map(|(id, leader)| Some(leader.fetch(wanted.get(id)?, FETCH_WAIT_MS, FETCH_BYTES)));
        let fetched: Result<Vec<_>, _> = join_all(fetches).await.into_iter().collect();
        Ok(fetched?.into_iter().flatten().collect())
    }

    /// Takes the answers that are there; whether something was not taken, and is fetched again.
    fn settle_ready(&mut self) -> bool {
        let mut is_refused = false;
        for part in &mut self.parts {
            while let Some(settled) = part.pull.settle_first().now_or_never() {
                if settled.is_err() {
                    is_refused = true;
                    part.next = own_offset(&part.pull).max(part.committed);
                }
            }
        }
        is_refused
    }

    /// Waits shortly for what is under way.
    async fn settle(&mut self) {
        let all = async {
            for part in &mut self.parts {
                while !part.pull.is_settled() && part.pull.settle_first().await.is_ok() {}
            }
        };
        if tokio::time::timeout(SETTLE_MAX, all).await.is_err() {
            tracing::warn!("records of Kafka wait for room: who reads their partitions next may read them again");
        }
    }

    /// Tells the group what is durable.
    async fn commit(&mut self) -> Result<(), Fault> {
        let durable = |part: &Part| std::str::from_utf8(part.pull.durable()?).ok()?.parse::<i64>().ok();
        let news: Vec<(String, i32, i64)> = self
            .parts
            .iter()
            .filter_map(|part| durable(part).filter(|offset| *offset > part.committed).map(|offset| (part.topic.clone(), part.partition, offset)))
            .collect();
        if news.is_empty() {
            return Ok(());
        }
        self.coordinator.commit(&self.member, &news).await?;
        for (topic, partition, offset) in news {
            if let Some(part) = self.parts.iter_mut().find(|part| part.topic == topic && part.partition == partition) {
                part.committed = offset;
            }
        }
        Ok(())
    }
}
