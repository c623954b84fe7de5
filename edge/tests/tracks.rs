//! Several tracks of one edge, moved and released producers, a hub that asks for less: with a hub that keeps books of
//! every producer as a real one does (receiver table, chains, epochs, closes) and is told what to do between.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::wildcard_enum_match_arm, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared with the tests crate, which uses other parts")]
#[path = "../../tests/harness/disk.rs"]
mod sim_disk;

#[allow(dead_code, unreachable_pub, reason = "shared by several tests, each of which uses other parts")]
#[path = "bed/host.rs"]
mod host;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use host::{Host, Talk};
use proto_model::{BatchDigest, Chain, LaneId, ProducerId};
use proto_seam::Clock;
use proto_wire::edge_hub::message::Kind;
use proto_wire::edge_hub::{Ack, Batch, Carry, Close, Gap, Message, Open, Position, Refuse, RefuseCode, Slow, Welcome};
use proto_wire::{BatchView, digest};
use tokio::time::{Instant, sleep, timeout};

const fn producer(unique: u128) -> ProducerId {
    ProducerId { lane: LaneId(4), unique }
}

fn id(unique: u128) -> Bytes {
    Bytes::copy_from_slice(&producer(unique).to_bytes())
}

/// One producer.
#[derive(Debug, Default, Clone)]
struct Cursor {
    track: u32,
    epoch: u64,
    last: u64,
    chain: Chain,
    digests: BTreeMap<u64, BatchDigest>,
    closed: Option<u128>,
    /// Whether its successor begins anew.
    released: bool,
}

/// What a hub knows.
#[derive(Default)]
struct Hub {
    producers: BTreeMap<u128, Cursor>,
    minted: u128,
    positions: Vec<Position>,
    /// Lines with the time they came, in the order of arrival.
    lines: Vec<(String, Instant)>,
    losses: Vec<Gap>,
    closes: Vec<(u128, u128)>,
    bytes: u64,
    /// Answers no Close.
    deaf: bool,
}

impl Hub {
    fn mint(&mut self, track: u32) -> u128 {
        self.minted += 1;
        self.producers.insert(self.minted, Cursor { track, ..Cursor::default() });
        self.minted
    }

    /// The end of the chain from `asked`, and the last released one on the way.
    fn end_of(&self, asked: u128) -> (u128, Option<u128>) {
        let (mut at, mut released) = (asked, None);
        while let Some(next) = self.producers[&at].closed {
            released = self.producers[&at].released.then_some(at).or(released);
            at = next;
        }
        (at, released)
    }

    /// An operator lets a quarantined producer out.
    fn release(&mut self, unique: u128) -> u128 {
        let track = self.producers[&unique].track;
        let next = self.mint(track);
        let cursor = self.producers.get_mut(&unique).unwrap();
        (cursor.closed, cursor.released) = (Some(next), true);
        next
    }

    /// Another hub takes a producer over into its lane.
    fn move_away(&mut self, unique: u128) -> u128 {
        let before = self.producers[&unique].clone();
        let next = self.mint(before.track);
        self.producers.insert(next, Cursor { epoch: 0, ..before });
        self.producers.get_mut(&unique).unwrap().closed = Some(next);
        next
    }

    /// The end of a track that another went on for, to an edge that has that other.
    fn end_told(&self, open: &Open) -> Option<Close> {
        let asked = ProducerId::from_bytes(&open.producer).filter(|_| open.followed)?.unique;
        let (end, _) = self.end_of(asked);
        let cursor = &self.producers[&asked];
        let chain = Bytes::copy_from_slice(&cursor.chain.0);
        (self.producers[&end].track != open.track).then(|| Close { producer: id(asked), epoch: cursor.epoch, sequence: cursor.last, chain, next: id(end) })
    }

    fn welcome(&mut self, open: &Open) -> Welcome {
        let asked = ProducerId::from_bytes(&open.producer).map(|producer| producer.unique);
        let known = asked.unwrap_or_else(|| {
            let same = self.producers.iter().find(|(_, cursor)| cursor.track == open.track && cursor.closed.is_none()).map(|(unique, _)| *unique);
            same.unwrap_or_else(|| self.mint(open.track))
        });
        let (end, released) = self.end_of(known);
        let carry = released.map(|unique| {
            let before = &self.producers[&unique];
            let from = before.last.saturating_sub(64) + 1;
            let digests: Vec<u8> = (from..=before.last).flat_map(|n| before.digests.get(&n).map_or([0; 16], |digest| digest.0)).collect();
            Carry { producer: id(unique), last: before.last, chain: Bytes::copy_from_slice(&before.chain.0), digests: digests.into(), ended: false }
        });
        let positions = self.positions.clone();
        let cursor = self.producers.get_mut(&end).unwrap();
        cursor.epoch += 1;
        let carry = carry.filter(|_| cursor.last == 0);
        let chain = Bytes::copy_from_slice(&cursor.chain.0);
        Welcome {
            track: open.track,
            producer: id(end),
            epoch: cursor.epoch,
            last: cursor.last,
            chain,
            positions,
            window_batches: 64,
            window_bytes: 16 << 20,
            carry,
            later: 0,
        }
    }

    fn cursor(&mut self, producer: &[u8], epoch: u64) -> &mut Cursor {
        let cursor = self.producers.get_mut(&ProducerId::from_bytes(producer).unwrap().unique).unwrap();
        assert_eq!(cursor.closed, None, "nothing is sent to a closed producer");
        assert_eq!(cursor.epoch, epoch);
        cursor
    }

    fn enter(&mut self, batch: &Batch) {
        let stated = digest::of_batch(&batch.body);
        let cursor = self.cursor(&batch.producer, batch.epoch);
        assert_eq!((batch.sequence, batch.chain_previous.as_ref()), (cursor.last + 1, &cursor.chain.0[..]));
        cursor.last += 1;
        cursor.chain = digest::extend(cursor.chain, stated);
        cursor.digests.insert(cursor.last, stated);
        self.bytes += batch.body.len() as u64;
        for position in &batch.positions {
            self.positions.retain(|known| (known.device, known.inode) != (position.device, position.inode));
            self.positions.push(position.clone());
        }
        let payload = BatchView::parse(batch.body.clone()).unwrap().payload().unwrap();
        for stream in 0..payload.streams() {
            self.lines.extend(payload.rows(stream).map(|row| (String::from_utf8(row.unwrap().line.to_vec()).unwrap(), Instant::now())));
        }
    }

    /// Takes what comes; gives an answer, if there is one.
    fn take(&mut self, heard: &Kind) -> Option<Kind> {
        let ack = |producer: &Bytes, epoch, sequence| Some(Kind::Ack(Ack { producer: producer.clone(), epoch, sequence }));
        match heard {
            Kind::Open(open) => Some(self.end_told(open).map_or_else(|| Kind::Welcome(self.welcome(open)), Kind::Close)),
            Kind::Batch(batch) if batch.epoch < self.producers[&ProducerId::from_bytes(&batch.producer).unwrap().unique].epoch => {
                let code = RefuseCode::RefuseFenced.into();
                Some(Kind::Refuse(Refuse { code, producer: batch.producer.clone(), ..Refuse::default() }))
            }
            Kind::Batch(batch) => {
                self.enter(batch);
                ack(&batch.producer, batch.epoch, batch.sequence)
            }
            Kind::Gap(gap) => {
                let cursor = self.cursor(&gap.producer, gap.epoch);
                assert_eq!((gap.from, gap.chain_previous.as_ref()), (cursor.last + 1, &cursor.chain.0[..]));
                cursor.chain = digest::extend_gap(cursor.chain, gap.from, gap.to);
                assert_eq!(gap.chain_to.as_ref(), cursor.chain.0);
                cursor.last = gap.to;
                self.losses.push(gap.clone());
                ack(&gap.producer, gap.epoch, gap.to)
            }
            Kind::Close(close) => {
                let cursor = self.cursor(&close.producer, close.epoch);
                assert_eq!((close.sequence, close.chain.as_ref()), (cursor.last, &cursor.chain.0[..]));
                let next = ProducerId::from_bytes(&close.next).unwrap().unique;
                cursor.closed = Some(next);
                self.closes.push((ProducerId::from_bytes(&close.producer).unwrap().unique, next));
                (!self.deaf).then(|| Kind::Close(Close::clone(close)))
            }
            other => panic!("{other:?}"),
        }
    }

    /// Serves until `done`, at `rate` bytes a second.
    async fn serve(&mut self, talk: &mut Talk, rate: u64, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let heard = timeout(Duration::from_secs(300), talk.hear()).await.expect("the edge goes on");
            if let Kind::Batch(batch) = &heard {
                sleep(Duration::from_nanos(batch.body.len() as u64 * 1_000_000_000 / rate)).await;
            }
            if let Some(answer) = self.take(&heard) {
                talk.say(answer).await;
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        self.lines.iter().map(|(line, _)| line.as_str()).collect()
    }
}

fn wide(name: &str, from: usize, to: usize) -> String {
    (from..=to).map(|number| format!("{name} {number} {}\n", "y".repeat(1_000))).collect()
}

fn number_of(line: &str) -> usize {
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

const FAST: u64 = 1 << 30;

/// An hour without a hub leaves a backlog; then the hub serves `rate` bytes a second while a line comes each second.
/// Gives what arrived, and the longest wait of a line written after the hub was back.
async fn backlog_drains(rate: u64, lines: usize) -> (Hub, Duration) {
    let mut host = Host::new();
    let mut hub = Hub::default();
    host.append("a.log", &wide("old", 1, 10));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 10).await;
    host.net.cut("link");
    host.append("a.log", &wide("old", 11, lines));
    sleep(Duration::from_secs(3_600)).await;
    host.net.mend("link");
    let mut talk = host.accept().await;
    let (disk, start) = (host.disk.clone(), Instant::now());
    let writer = tokio::spawn(async move {
        for second in 0..60 {
            let line = format!("live {second} x\n");
            proto_seam::Disk::open(&disk, std::path::Path::new("/logs/b.log"), proto_seam::OpenHow::Append).unwrap().append(line.as_bytes()).unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    });
    hub.serve(&mut talk, rate, |hub| hub.lines.len() == lines + 60 && !hub.closes.is_empty()).await;
    writer.await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let report = running.status.report();
    assert_eq!((report.tracks.len(), report.tracks[0].track, report.tracks[0].state), (1, 2, "open"));
    assert_eq!((report.producer, report.lost_lines), (Some(producer(2).to_string()), 0));
    running.end().await;
    let late = hub.lines.iter().filter(|(line, _)| line.starts_with("live")).map(|(line, at)| {
        let written = Duration::from_secs(number_of(line) as u64);
        at.duration_since(start).saturating_sub(written)
    });
    let longest = late.max().unwrap();
    (hub, longest)
}

#[tokio::test(start_paused = true)]
async fn a_backlog_drains_on_a_track_of_its_own_while_new_lines_arrive_live() {
    let (hub, longest) = backlog_drains(1_000_000, 30_000).await;
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    let old: Vec<usize> = hub.names().iter().filter(|line| line.starts_with("old")).map(|line| number_of(line)).collect();
    assert_eq!(old, (1..=30_000).collect::<Vec<_>>(), "each once, in order");
    let live: Vec<usize> = hub.names().iter().filter(|line| line.starts_with("live")).map(|line| number_of(line)).collect();
    assert_eq!(live, (0..60).collect::<Vec<_>>());
    assert_eq!(hub.closes, [(1, 2)], "the old track ends in the new one");
    assert!(hub.losses.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_close_whose_answer_is_lost_is_made_up_for() {
    let mut host = Host::new();
    let mut hub = Hub { deaf: true, ..Hub::default() };
    host.append("a.log", &wide("old", 1, 500));
    let running = host.start("{dir: /wal}").await;
    sleep(Duration::from_secs(100)).await;
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| !hub.closes.is_empty()).await;
    host.disk.kill();
    drop((running, talk));
    host.append("a.log", &wide("old", 501, 600));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 600).await;
    host.append("a.log", &wide("old", 601, 700));
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 700).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(running.status.report().tracks.iter().map(|track| track.track).collect::<Vec<_>>(), [2]);
    assert_eq!(hub.lines.iter().map(|(line, _)| number_of(line)).collect::<Vec<_>>(), (1..=700).collect::<Vec<_>>());
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_moved_producer_is_bound_and_the_numbering_goes_on() {
    let mut host = Host::new();
    let mut hub = Hub::default();
    host.append("a.log", &wide("old", 1, 200));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 200).await;
    host.net.cut("link");
    let next = hub.move_away(1);
    let stood = hub.producers[&next].last;
    host.append("a.log", &wide("old", 201, 300));
    sleep(Duration::from_secs(5)).await;
    host.net.mend("link");
    let mut talk = host.accept().await;
    let Kind::Open(open) = talk.hear().await else { panic!("no Open") };
    assert_eq!(open.producer, id(1));
    let answer = hub.welcome(&open);
    talk.say(Kind::Welcome(answer)).await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 300).await;
    assert!(hub.producers[&next].last > stood);
    // It is in the WAL.
    running.end().await;
    drop(talk);
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    assert_eq!(talk.open().await.producer, id(next));
    running.end().await;
    assert_eq!(hub.lines.iter().map(|(line, _)| number_of(line)).collect::<Vec<_>>(), (1..=300).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_quarantined_track_is_kept_asks_every_half_minute_and_is_carried_over_when_released() {
    let mut host = Host::new();
    let mut hub = Hub::default();
    host.append("a.log", &wide("old", 1, 200));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 200).await;
    // Taken, but what comes back is no ack.
    host.append("a.log", &wide("old", 201, 400));
    while hub.lines.len() < 300 {
        let Kind::Batch(batch) = talk.hear().await else { panic!("no batch") };
        hub.enter(&batch);
    }
    let diverged = || Kind::Refuse(Refuse { code: RefuseCode::RefuseDiverged.into(), producer: id(1), text: "quarantined".to_owned(), ..Refuse::default() });
    talk.say(diverged()).await;
    let asked = loop {
        if let Kind::Open(open) = talk.hear().await {
            break (open, Instant::now());
        }
    };
    assert_eq!(asked.0.producer, id(1));
    talk.say(diverged()).await;
    let again = talk.open().await;
    assert_eq!(again.producer, id(1));
    assert!(asked.1.elapsed() >= Duration::from_secs(30) && asked.1.elapsed() < Duration::from_secs(32));
    assert_eq!(running.status.report().tracks[0].state, "diverged");
    let next = hub.release(1);
    let welcome = hub.welcome(&again);
    assert!(welcome.carry.is_some() && welcome.last == 0);
    // The answer is lost with the process: it is asked and told again.
    host.disk.kill();
    drop((running, talk));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() >= 400).await;
    assert_eq!(hub.lines.iter().map(|(line, _)| number_of(line)).collect::<Vec<_>>(), (1..=400).collect::<Vec<_>>(), "each once");
    assert!(hub.producers[&next].last > 0);
    running.end().await;
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    let open = talk.open().await;
    assert_eq!((open.producer, open.next), (id(next), hub.producers[&next].last + 1));
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn slow_is_honoured_for_as_long_as_it_was_said() {
    let mut host = Host::new();
    let mut hub = Hub::default();
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    let open = talk.open().await;
    let welcome = hub.welcome(&open);
    talk.say(Kind::Welcome(welcome)).await;
    talk.say(Kind::Slow(Slow { bytes_per_second: 100_000, for_ms: 20_000 })).await;
    let begun = Instant::now();
    host.append("a.log", &wide("old", 1, 5_000));
    while begun.elapsed() < Duration::from_secs(19) {
        let Ok(heard) = timeout(Duration::from_secs(1), talk.hear()).await else { continue };
        let answer = hub.take(&heard).unwrap();
        talk.say(answer).await;
    }
    assert!((1_500_000..2_300_000).contains(&hub.bytes), "{} bytes in 19 s", hub.bytes);
    let before = Instant::now();
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 5_000).await;
    assert!(before.elapsed() < Duration::from_secs(3), "then it goes as fast as it can: {:?}", before.elapsed());
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_bandwidth_limit_holds_over_all_tracks() {
    let mut host = Host::new();
    let mut hub = Hub::default();
    let running = host.start_with("{dir: /wal}", ", bandwidth: 200KB", "static_configs").await;
    host.append("a.log", &wide("old", 1, 2_000));
    sleep(Duration::from_secs(90)).await;
    let mut talk = host.accept().await;
    let begun = Instant::now();
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 2_000).await;
    let rate = hub.bytes as f64 / begun.elapsed().as_secs_f64();
    assert!((150_000.0..260_000.0).contains(&rate), "{rate}");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_full_wal_gave_up_becomes_losses_of_its_track_and_every_line_is_accounted_for() {
    let mut host = Host::new();
    let mut hub = Hub::default();
    let running = host.start("{dir: /wal, max_bytes: 16MB, grace_bytes: 0, grace_age: 0s, when_full: drop_oldest}").await;
    let mut written = 0;
    // Connected for a moment, so that the track is bound and what was sent stays.
    host.append("a.log", &wide("old", 1, 100));
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 100).await;
    host.net.cut("link");
    for _ in 0..40 {
        host.append("a.log", &wide("old", 101 + written, 1_100 + written));
        written += 1_000;
        sleep(Duration::from_secs(4)).await;
    }
    let lost = running.status.report().lost_lines;
    assert!(lost > 10_000, "{lost}");
    assert_eq!(running.status.heartbeat(proto_model::Timestamp(0)).lost_lines, lost);
    host.net.mend("link");
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| !hub.closes.is_empty()).await;
    host.append("a.log", &wide("old", 101 + written, 200 + written));
    let last = 200 + written;
    hub.serve(&mut talk, FAST, |hub| hub.lines.last().is_some_and(|(line, _)| number_of(line) == last)).await;
    let told: u64 = hub.losses.iter().map(|gap| gap.lines.unwrap()).sum();
    assert_eq!(told, lost, "{:?}", hub.losses);
    assert!(hub.losses.iter().all(|gap| gap.reason == "wal_full" && gap.producer == id(1)));
    let numbers: BTreeSet<usize> = hub.lines.iter().map(|(line, _)| number_of(line)).collect();
    assert_eq!(numbers.len(), hub.lines.len(), "nothing twice");
    assert_eq!(hub.lines.len() as u64 + told, last as u64, "every line is here or in a loss");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_does_not_hold_lines() {
    let mut host = Host::new();
    let mut hub = Hub::default();
    let running = host.start_with("{dir: /wal}", "", "pipeline_stages: [{multiline: {firstline: '^S', max_wait_time: 3s}}], static_configs").await;
    let mut talk = host.accept().await;
    host.append("a.log", "S one\n two\n");
    sleep(Duration::from_secs(1)).await;
    let Clock::Simulated { skew_ns, .. } = &host.clock else { panic!("a simulated clock") };
    skew_ns.store(-86_400_000_000_000, Ordering::Relaxed);
    let begun = Instant::now();
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 1).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // Nor does one set forward cut them.
    host.append("a.log", "S three\n");
    sleep(Duration::from_millis(700)).await;
    skew_ns.store(86_400_000_000_000, Ordering::Relaxed);
    sleep(Duration::from_millis(1_000)).await;
    host.append("a.log", " four\n");
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 2).await;
    assert_eq!(hub.names(), ["S one\n two", "S three\n four"]);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_across_two_tracks_at_the_head_of_one_too_is_told_by_both() {
    let mut host = Host::new();
    let mut hub = Hub::default();
    let running = host.start("{dir: /wal, max_bytes: 16MB, grace_bytes: 0, grace_age: 0s, when_full: drop_oldest}").await;
    let mut talk = host.accept().await;
    host.append("a.log", &wide("old", 1, 100));
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 100).await;
    host.net.cut("link");
    host.append("a.log", &wide("old", 101, 9_000));
    sleep(Duration::from_secs(120)).await;
    host.net.mend("link");
    // It comes back for a moment: a second track is begun, hardly anything is sent.
    let mut talk = host.accept().await;
    hub.serve(&mut talk, 20_000, |hub| hub.lines.len() > 200 && hub.producers.len() == 2).await;
    drop(talk);
    host.net.cut("link");
    let mut last = 9_000;
    for _ in 0..30 {
        host.append("a.log", &wide("old", last + 1, last + 1_000));
        last += 1_000;
        sleep(Duration::from_secs(4)).await;
    }
    let lost = running.status.report().lost_lines;
    host.net.mend("link");
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.last().is_some_and(|(line, _)| number_of(line) == last) && !hub.closes.is_empty()).await;
    let told: u64 = hub.losses.iter().map(|gap| gap.lines.unwrap()).sum();
    let of = |unique: u128| hub.losses.iter().filter(|gap| gap.producer == id(unique)).count();
    assert!(of(1) > 0 && of(2) > 0, "{} and {}", of(1), of(2));
    assert_eq!(told, lost);
    let numbers: BTreeSet<usize> = hub.lines.iter().map(|(line, _)| number_of(line)).collect();
    assert_eq!((numbers.len(), hub.lines.len() as u64 + told), (hub.lines.len(), last as u64), "every line once, or in a loss");
    running.end().await;
}

/// Copies the WAL's files away, or back.
fn copy_files(disk: &sim_disk::SimDisk, from: &str, to: &str) {
    use proto_seam::Disk as _;
    disk.make_dirs(std::path::Path::new(to)).unwrap();
    for path in disk.paths().iter().filter(|path| path.parent() == Some(std::path::Path::new(to)) && path.extension().is_some_and(|ext| ext == "wal")) {
        disk.remove(path).unwrap();
    }
    for path in disk.paths().iter().filter(|path| path.parent() == Some(std::path::Path::new(from)) && path.extension().is_some_and(|ext| ext == "wal")) {
        disk.put(&std::path::Path::new(to).join(path.file_name().unwrap()), &disk.contents(path).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_wal_restored_from_a_backup_goes_on_behind_what_the_hub_has() {
    let mut host = Host::new();
    let mut hub = Hub::default();
    host.append("a.log", &wide("old", 1, 300));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 300).await;
    running.end().await;
    copy_files(&host.disk, "/wal", "/backup");
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    for more in (310..=600).step_by(10) {
        host.append("a.log", &wide("old", more - 9, more));
        hub.serve(&mut talk, FAST, |hub| hub.lines.len() == more).await;
    }
    running.end().await;
    drop(talk);
    copy_files(&host.disk, "/backup", "/wal");
    host.append("a.log", &wide("old", 601, 700));
    // It reads on before it meets the hub: lines the hub has, under fewer numbers that mean something else.
    let running = host.start("{dir: /wal}").await;
    sleep(Duration::from_secs(5)).await;
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() >= 700).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(hub.lines.iter().map(|(line, _)| number_of(line)).collect::<Vec<_>>(), (1..=700).collect::<Vec<_>>());
    assert_eq!(running.status.report().lost_lines, 0);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_wal_whose_positions_are_damaged_takes_the_hubs_word() {
    let mut host = Host::new();
    let mut hub = Hub::default();
    host.append("a.log", &wide("old", 1, 300));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 300).await;
    running.end().await;
    drop(talk);
    // No record that tells how far the file was read can be read any more.
    let mut found = Vec::new();
    edge_wal::inspect(std::path::Path::new("/wal"), &host.disk, &mut |record| found.push(record)).unwrap();
    let batches: Vec<_> = found.iter().filter(|record| record.kind == edge_wal::InspectedKind::Batch).collect();
    for record in &batches {
        assert!(host.disk.flip(&std::path::Path::new("/wal").join(&record.file), record.offset + 60));
    }
    host.append("a.log", &wide("old", 301, 400));
    let running = host.start("{dir: /wal}").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(running.status.fresh().await.files[0].offset, 0, "it waits for the hub's word");
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() >= 400).await;
    assert!(timeout(Duration::from_secs(120), talk.hear()).await.is_err(), "nothing comes a second time");
    assert_eq!(hub.lines.iter().map(|(line, _)| number_of(line)).collect::<Vec<_>>(), (1..=400).collect::<Vec<_>>());
    running.end().await;
}

/// A hub that cannot use its store, and one that does not answer at all, are left for the next of the list.
#[tokio::test(start_paused = true)]
async fn a_hub_that_opens_nothing_is_left_for_another() {
    let mut host = Host::new();
    let silent = host.net.listen("silent");
    let other = host.net.listen("other");
    host.append("a.log", &wide("old", 1, 20));
    let jobs = "scrape_configs: [{job_name: t, static_configs: [{labels: {job: t, __path__: /logs/*.log}}]}]";
    let hubs = "url: ['https://silent:9443', 'https://hub:9443', 'https://other:9443'], ca_file: /c, identity_dir: /i, compression: none";
    let running = host.start_text(&format!("{jobs}\nhub: {{{hubs}}}\nwal: {{dir: /wal}}\nbatch: {{max_bytes: 64KB, max_wait: 200ms}}\n")).await;
    // It never says Hello.
    let begun = Instant::now();
    let mut talk = host.accept().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let mut asked = 0;
    while let Some(Ok(message)) = talk.session.incoming.recv().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "it stays: {asked}");
        if matches!(message.kind, Some(Kind::Open(_))) {
            asked += 1;
            let away = Refuse { code: RefuseCode::RefuseUnavailable.into(), text: "the store is away".to_owned(), ..Refuse::default() };
            drop(talk.session.outgoing.send(Message { kind: Some(Kind::Refuse(away)) }).await);
        }
    }
    assert!(asked > 20, "it asks again while it waits: {asked}");
    host.server = other;
    let mut hub = Hub::default();
    let mut talk = host.accept().await;
    hub.serve(&mut talk, FAST, |hub| hub.lines.len() == 20).await;
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    running.end().await;
    drop(silent);
}
