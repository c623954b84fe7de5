//! Deliveries to the batch being filled: the collector's side of the intake.
//!
//! Parts: [`Streams`] (deliveries under way, a `Run` for each job and label set, answers that wait for a sync), `Stream` (one of these runs).
//! An answer goes through three stages: gathered, frozen into a batch, written; it is told after the sync. What a pipeline holds of a
//! stream (a multiline block, half a line) is written as a position beside the batch, so that a delivery is durable although a
//! line of it was not sent on yet. Limits: [`STREAMS_MAX`] runs, [`HELD_BYTES_MAX`] held by all; the least recently used are
//! ended first, what they hold goes out. Whose lines used a tenant's budget up is told to wait ([`super::sender`]), what was handed in is taken. Must not do: freeze batches or write the WAL.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::{Counters, Program, Run};
use edge_wal::SourcePosition;
use proto_model::{Labels, Timestamp};
use tokio::sync::oneshot;

use super::Delivery;
use crate::discover::Job;
use crate::gather::Gather;
use crate::tail::source::read::LineCount;

/// Runs at once: as many label sets as senders of a site have at a time.
pub const STREAMS_MAX: usize = 4_096;
/// Bytes that all runs together hold back.
pub const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A sender waits so long for others to join its batch.
pub const DELIVERY_WAIT: Duration = Duration::from_millis(100);
/// Before the name of a stream's job, in the path of a position.
const PATH_PREFIX: &str = "stream:";

/// Job and labels.
type Key = (Arc<str>, Arc<Labels>);

/// The runs and answers of all deliveries.
pub struct Streams {
    /// Being gathered, the first from record `at` on.
    queue: VecDeque<Delivery>,
    at: usize,
    runs: BTreeMap<Key, Stream>,
    /// Rises with each record, to know who was used last.
    used: u64,
    held: usize,
    /// When a run must be ticked.
    next_tick: Timestamp,
    /// Cursors of pulled sources whose records are gathered.
    cursors: Vec<SourcePosition>,
    /// Those in the batch that is frozen, and in what is written and not synced.
    frozen_cursors: Vec<SourcePosition>,
    written_cursors: Vec<SourcePosition>,
    /// All cursors as they are durable.
    durable_cursors: BTreeMap<String, SourcePosition>,
    /// Up to where deliveries of pulled sources were taken.
    taken: BTreeMap<String, u64>,
    /// Positions of streams that ended.
    farewell: Vec<SourcePosition>,
    gathered: Vec<Answer>,
    /// Since when the first of `gathered` waits.
    waiting_since: Option<Timestamp>,
    frozen: Vec<Answer>,
    written: Vec<Answer>,
    counters: Counters,
}

/// What a sender waits for.
struct Answer {
    done: oneshot::Sender<()>,
    lines: u64,
}

struct Stream {
    run: Run,
    program: Arc<Program>,
    used: u64,
    /// Touched since its position was taken.
    dirty: bool,
    held: usize,
    /// Number of positions written of it; 0 = the WAL knows none.
    positions: u64,
}

/// What one turn did.
#[derive(Debug, Default)]
pub struct Taken {
    /// Lines and bytes.
    pub count: LineCount,
    /// What pipelines counted.
    pub counters: Counters,
    /// The batch must be frozen before it goes on.
    pub batch_is_full: bool,
}

impl Streams {
    /// With what the WAL knew: of streams that held lines, and of pulled sources.
    #[must_use]
    pub fn new(jobs: &[Job], recovered: &[SourcePosition], now: Timestamp) -> Self {
        let mut streams = Self {
            queue: VecDeque::new(),
            at: 0,
            runs: BTreeMap::new(),
            used: 0,
            held: 0,
            next_tick: Timestamp::MAX,
            cursors: Vec::new(),
            frozen_cursors: Vec::new(),
            written_cursors: Vec::new(),
            durable_cursors: BTreeMap::new(),
            taken: BTreeMap::new(),
            farewell: Vec::new(),
            gathered: Vec::new(),
            waiting_since: None,
            frozen: Vec::new(),
            written: Vec::new(),
            counters: Counters::default(),
        };
        for position in recovered.iter().filter(|position| is_stream(position) && !position.gone) {
            if is_held(position) {
                streams.restore(jobs, position, now);
            } else {
                streams.taken.insert(position.path.clone(), position.offset);
                streams.durable_cursors.insert(position.path.clone(), position.clone());
            }
        }
        streams
    }

    fn restore(&mut self, jobs: &[Job], position: &SourcePosition, now: Timestamp) {
        let Some(((job, labels), labels_known)) = key_of(&position.path).map(|key| (key.clone(), key.1)) else { return };
        let known = jobs.iter().find(|known| *known.name == *job).map(|known| Arc::clone(&known.program));
        let Some(program) = known.or_else(|| Program::compile(&[]).ok()) else { return };
        match Run::restore(Arc::clone(&program), labels_known, &position.held) {
            Ok(mut run) => {
                run.read_by(now);
                let held = run.held_bytes();
                self.held += held;
                self.next_tick = now;
                self.runs.insert((job, labels), Stream { run, program, used: 0, dirty: true, held, positions: position.offset.max(1) });
            }
            Err(fault) => tracing::error!(path = position.path, %fault, "lines that the pipeline held of a stream are lost"),
        }
    }

    /// Takes deliveries in.
    pub fn accept(&mut self, deliveries: Vec<Delivery>) {
        self.queue.extend(deliveries);
    }

    /// Whether deliveries wait to be gathered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Gathers until the batch is full or nothing is left.
    pub fn turn(&mut self, now: Timestamp, gather: &mut Gather) -> Taken {
        let mut taken = Taken::default();
        self.tick(now, gather);
        while let Some(mut delivery) = self.queue.pop_front() {
            if self.at == 0 && !self.follows(&delivery) {
                // Its sender is told by the dropped answer, and goes on where the last durable one ended.
                continue;
            }
            let is_pulled = !delivery.positions.is_empty();
            let bytes = if is_pulled && self.at == 0 { delivery.records.iter().map(|record| record.cost() as u64).sum() } else { 0 };
            if gather.is_full() || gather.would_overflow(bytes) {
                taken.batch_is_full = true;
                self.queue.push_front(delivery);
                break;
            }
            // What others sent is not held against this sender.
            gather.take_held();
            while let Some(record) = delivery.records.get(self.at).filter(|_| is_pulled || !gather.is_full()) {
                taken.count.lines += 1;
                taken.count.bytes += record.line.len() as u64;
                self.record(&delivery, self.at, now, gather);
                self.at += 1;
            }
            if let Some(until) = gather.take_held().max(delivery.inlet.program.wait_until(now)) {
                delivery.sender.hold(until.since(now));
            }
            if self.at < delivery.records.len() {
                taken.batch_is_full = true;
                self.queue.push_front(delivery);
                break;
            }
            self.at = 0;
            if delivery.ends {
                self.end(&delivery.inlet.name, now, gather);
            }
            for cursor in &delivery.positions {
                if cursor.gone {
                    self.taken.remove(&cursor.path);
                } else {
                    self.taken.insert(cursor.path.clone(), cursor.offset);
                }
            }
            self.cursors.append(&mut delivery.positions);
            self.gathered.push(Answer { done: delivery.done, lines: delivery.records.len() as u64 });
            self.waiting_since.get_or_insert(now);
        }
        self.bound(now, gather);
        taken.counters = std::mem::take(&mut self.counters);
        taken
    }

    /// Whether a delivery of a pulled source follows what was taken of it, where it says what it follows. One of which nothing was taken
    /// begins: what comes behind a first delivery that was discarded does not.
    fn follows(&self, delivery: &Delivery) -> bool {
        let mut says = delivery.positions.iter().filter(|cursor| cursor.resume > 0 && cursor.resume < cursor.offset);
        says.all(|cursor| cursor.resume == self.taken.get(&cursor.path).copied().unwrap_or(0))
    }

    fn record(&mut self, delivery: &Delivery, at: usize, now: Timestamp, gather: &mut Gather) {
        let record = &delivery.records[at];
        self.used += 1;
        let stream = self.stream(delivery, &record.labels);
        let time = record.time.unwrap_or(now);
        stream.run.entry(&record.line, time, &record.metadata, now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
        stream.dirty = true;
        let (before, after) = (stream.held, stream.run.held_bytes());
        stream.held = after;
        let (deadline, counters) = (stream.run.deadline(), stream.run.take_counters());
        self.held = self.held + after - before;
        self.next_tick = deadline.map_or(self.next_tick, |deadline| deadline.min(self.next_tick));
        self.counters.add(&counters);
    }

    /// The run of a record; of a job whose pipeline changed it goes on with the new one.
    fn stream(&mut self, delivery: &Delivery, labels: &Arc<Labels>) -> &mut Stream {
        let (program, used) = (&delivery.inlet.program, self.used);
        let begin = || Run::new(Arc::clone(program), Arc::clone(labels));
        let stream = self.runs.entry((Arc::clone(&delivery.inlet.name), Arc::clone(labels))).or_insert_with(|| Stream {
            run: begin(),
            program: Arc::clone(program),
            used,
            dirty: true,
            held: 0,
            positions: 0,
        });
        if !Arc::ptr_eq(&stream.program, program) {
            let held = stream.run.held();
            stream.run = held.and_then(|held| Run::restore(Arc::clone(program), Arc::clone(labels), &held).ok()).unwrap_or_else(begin);
            stream.program = Arc::clone(program);
        }
        stream.used = used;
        stream
    }

    /// Sends what waited too long in pipelines.
    fn tick(&mut self, now: Timestamp, gather: &mut Gather) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = Timestamp::MAX;
        for stream in self.runs.values_mut() {
            if stream.run.deadline().is_some_and(|deadline| deadline <= now) {
                stream.run.tick(now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
                let after = stream.run.held_bytes();
                self.held = self.held + after - stream.held;
                (stream.held, stream.dirty) = (after, true);
                self.counters.add(&stream.run.take_counters());
            }
            self.next_tick = stream.run.deadline().map_or(self.next_tick, |deadline| deadline.min(self.next_tick));
        }
    }

    /// Ends runs beyond the limits, those first that were not used for longest: an eighth of them, so that this is rare.
    fn bound(&mut self, now: Timestamp, gather: &mut Gather) {
        let over = self.runs.len() > STREAMS_MAX;
        if !over && self.held <= HELD_BYTES_MAX {
            return;
        }
        let mut oldest: Vec<(u64, Key)> =
            self.runs.iter().filter(|(_, stream)| over || stream.held > 0).map(|(key, stream)| (stream.used, key.clone())).collect();
        oldest.sort_unstable();
        let count = oldest.len() / 8 + 1;
        for (_, key) in oldest.into_iter().take(count) {
            self.finish(&key, now, gather);
        }
    }

    /// Ends the runs of a job whose source has ended.
    fn end(&mut self, job: &Arc<str>, now: Timestamp, gather: &mut Gather) {
        let own: Vec<Key> = self.runs.keys().filter(|(name, _)| name == job).cloned().collect();
        for key in own {
            self.finish(&key, now, gather);
        }
    }

    /// Ends a run: what it holds goes out.
    fn finish(&mut self, key: &Key, now: Timestamp, gather: &mut Gather) {
        let Some(mut stream) = self.runs.remove(key) else { return };
        stream.run.finish(now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
        self.counters.add(&stream.run.take_counters());
        self.held -= stream.held;
        if stream.positions > 0 {
            self.farewell.push(SourcePosition { path: path_of(key), gone: true, ..SourcePosition::default() });
        }
    }

    /// When something must be done that no delivery brings.
    #[must_use]
    pub fn due_in(&self, now: Timestamp) -> Duration {
        let answer =
            self.waiting_since.map_or(Duration::MAX, |since| if now < since { Duration::ZERO } else { DELIVERY_WAIT.saturating_sub(now.since(since)) });
        let tick = if self.next_tick == Timestamp::MAX { Duration::MAX } else { self.next_tick.since(now) };
        answer.min(tick)
    }

    /// Whether senders have waited long enough for the batch to be frozen.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.waiting_since.is_some_and(|since| now < since || now.since(since) >= DELIVERY_WAIT)
    }

    /// The batch is frozen: what it must be written with. Answers to what is in it wait for [`Self::written`].
    #[must_use]
    pub fn freeze(&mut self) -> Vec<SourcePosition> {
        self.frozen.append(&mut self.gathered);
        self.waiting_since = None;
        let mut positions = std::mem::take(&mut self.farewell);
        for mut cursor in std::mem::take(&mut self.cursors) {
            cursor.resume = cursor.offset;
            self.frozen_cursors.retain(|frozen| frozen.path != cursor.path);
            self.frozen_cursors.push(cursor.clone());
            // Of one source the newest counts.
            positions.retain(|position| position.path != cursor.path);
            positions.push(cursor);
        }
        for (key, stream) in self.runs.iter_mut().filter(|(_, stream)| stream.dirty) {
            stream.dirty = false;
            positions.extend(stream.position(key));
        }
        positions
    }

    /// What was frozen is in the WAL.
    pub fn written(&mut self) {
        self.written.append(&mut self.frozen);
        self.written_cursors.append(&mut self.frozen_cursors);
    }

    /// What is in the WAL is on disk: senders are told.
    pub fn synced(&mut self) {
        for cursor in self.written_cursors.drain(..) {
            if cursor.gone {
                self.durable_cursors.remove(&cursor.path);
            } else {
                self.durable_cursors.insert(cursor.path.clone(), cursor);
            }
        }
        for answer in self.written.drain(..) {
            // A sender that went away is not told: it sends again, or does not.
            let _is_gone = answer.done.send(()).is_err();
        }
    }

    /// What was gathered is discarded: its senders are not told that it was taken, and send it again. Gives the lines of senders that
    /// do not wait to be told: these are lost.
    pub fn discard(&mut self) -> u64 {
        let answers = [&mut self.gathered, &mut self.frozen, &mut self.written].into_iter().flat_map(std::mem::take);
        let lost = answers.filter(|answer| answer.done.is_closed()).map(|answer| answer.lines).sum();
        for cursors in [&mut self.cursors, &mut self.frozen_cursors, &mut self.written_cursors] {
            cursors.clear();
        }
        self.taken = self.durable_cursors.iter().map(|(path, cursor)| (path.clone(), cursor.offset)).collect();
        self.waiting_since = None;
        self.runs.values_mut().for_each(|stream| stream.dirty = true);
        lost
    }

    /// Cursors of pulled sources, for a WAL that begins anew.
    pub fn cursors(&self) -> impl Iterator<Item = &SourcePosition> {
        self.durable_cursors.values()
    }

    /// The wall clock was set forward by `by_ns`: what is held waits as long as it would have.
    pub fn clock_stepped(&mut self, by_ns: i64) {
        self.runs.values_mut().for_each(|stream| stream.run.clock_stepped(by_ns));
        self.waiting_since = self.waiting_since.map(|since| Timestamp(since.nanos().saturating_add(by_ns)));
        if self.next_tick != Timestamp::MAX {
            self.next_tick = Timestamp::MIN;
        }
    }
}

impl Stream {
    /// What the WAL must know of it; nothing of one that holds nothing and did not before.
    fn position(&mut self, key: &Key) -> Option<SourcePosition> {
        let held = if self.run.is_holding() { self.run.held() } else { None };
        let gone = held.is_none();
        if gone && self.positions == 0 {
            return None;
        }
        self.positions = if gone { 0 } else { self.positions + 1 };
        let offset = self.positions;
        Some(SourcePosition { path: path_of(key), offset, resume: offset, held: held.unwrap_or_default(), gone, ..SourcePosition::default() })
    }
}

/// Whether a position is not of a file.
#[must_use]
pub fn is_stream(position: &SourcePosition) -> bool {
    position.identity == proto_seam::FileIdentity::default()
}

/// Whether it is of what a pipeline held of a stream, not of a pulled source's cursor.
#[must_use]
pub fn is_held(position: &SourcePosition) -> bool {
    position.path.starts_with(PATH_PREFIX)
}

fn path_of((job, labels): &Key) -> String {
    format!("{PATH_PREFIX}{labels}{job}")
}

fn key_of(path: &str) -> Option<Key> {
    let rest = path.strip_prefix(PATH_PREFIX)?;
    // The job's name comes last: it may hold any character. Of all braces that could end the labels the right one makes them readable.
    let ends = rest.match_indices('}').map(|(at, _)| at + 1);
    ends.filter_map(|at| Some((proto_wire::push::labels(&rest[..at]).ok()?, &rest[at..]))).map(|(labels, job)| (Arc::from(job), Arc::new(labels))).next()
}

#[cfg(test)]
mod tests;
