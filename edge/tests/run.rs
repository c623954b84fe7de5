//! A whole edge on a simulated disk and network, with a hub driven by hand.
//!
//! The hub side takes sessions, answers as told, and compares what arrives with what was written.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared with the tests crate, which uses other parts")]
#[path = "../../tests/harness/disk.rs"]
mod sim_disk;

#[allow(dead_code, unreachable_pub, reason = "shared by several tests, each of which uses other parts")]
#[path = "bed/host.rs"]
mod host;

#[path = "run/reload.rs"]
mod reload;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use host::{Host, Talk};
use proto_model::{BatchDigest, Chain, LaneId, ProducerId};
use proto_wire::edge_hub::message::Kind;
use proto_wire::edge_hub::{Ack, Batch, Gap, Position, Refuse, RefuseCode, Welcome};
use proto_wire::{BatchView, digest};
use tokio::time::sleep;

const P: ProducerId = ProducerId { lane: LaneId(4), unique: 9 };

/// The hub's books of one producer.
#[derive(Default)]
struct Books {
    epoch: u64,
    last: u64,
    chain: Chain,
    digests: BTreeMap<u64, BatchDigest>,
    positions: Vec<Position>,
    lines: Vec<String>,
    /// The same with their labels.
    labelled: Vec<(String, String)>,
    lost_lines: u64,
    repeats: usize,
}

impl Books {
    async fn welcome(&mut self, talk: &Talk, window: u32) {
        self.epoch += 1;
        let (producer, chain) = (Bytes::copy_from_slice(&P.to_bytes()), Bytes::copy_from_slice(&self.chain.0));
        let positions = self.positions.clone();
        talk.say(Kind::Welcome(Welcome {
            track: 1,
            producer,
            epoch: self.epoch,
            last: self.last,
            chain,
            positions,
            window_batches: window,
            window_bytes: 16 << 20,
            carry: None,
            later: 0,
        }))
        .await;
    }

    /// Enters a batch by the receiver table.
    fn enter(&mut self, batch: &Batch) {
        assert_eq!((batch.producer.as_ref(), batch.epoch), (&P.to_bytes()[..], self.epoch));
        let stated = digest::of_batch(&batch.body);
        assert_eq!(batch.digest.as_ref(), stated.0);
        if batch.sequence <= self.last {
            assert_eq!(self.digests.get(&batch.sequence), Some(&stated), "the same number is the same batch");
            self.repeats += 1;
            return;
        }
        assert_eq!((batch.sequence, batch.chain_previous.as_ref()), (self.last + 1, &self.chain.0[..]));
        self.last += 1;
        self.chain = digest::extend(self.chain, stated);
        self.digests.insert(self.last, stated);
        for position in &batch.positions {
            self.positions.retain(|known| (known.device, known.inode) != (position.device, position.inode));
            self.positions.push(position.clone());
        }
        let view = BatchView::parse(batch.body.clone()).unwrap();
        let payload = view.payload().unwrap();
        for stream in 0..payload.streams() {
            let lines: Vec<String> = payload.rows(stream).map(|row| String::from_utf8(row.unwrap().line.to_vec()).unwrap()).collect();
            let pairs = view.table().streams[stream].labels.iter().map(|pair| (pair.name.as_str(), pair.value.as_str()));
            let labels = proto_model::Labels::from_pairs(pairs).to_string();
            self.labelled.extend(lines.iter().map(|line| (labels.clone(), line.clone())));
            self.lines.extend(lines);
        }
    }

    fn give_up(&mut self, gap: &Gap) {
        assert_eq!((gap.from, gap.chain_previous.as_ref()), (self.last + 1, &self.chain.0[..]));
        self.chain = digest::extend_gap(self.chain, gap.from, gap.to);
        assert_eq!(gap.chain_to.as_ref(), self.chain.0);
        self.last = gap.to;
        self.lost_lines += gap.lines.unwrap_or(0);
    }

    async fn ack(&self, talk: &Talk) {
        let producer = Bytes::copy_from_slice(&P.to_bytes());
        talk.say(Kind::Ack(Ack { producer, epoch: self.epoch, sequence: self.last })).await;
    }

    /// Takes and acks until `count` lines are here.
    async fn take(&mut self, talk: &mut Talk, count: usize) {
        while self.lines.len() < count {
            let heard = talk.hear().await;
            if let Kind::Batch(batch) = &heard {
                self.enter(batch);
            } else if let Kind::Gap(gap) = &heard {
                self.give_up(gap);
            } else {
                panic!("{heard:?}");
            }
            self.ack(talk).await;
        }
    }
}

fn numbered(last: usize) -> Vec<String> {
    (1..=last).map(|number| format!("line {number}")).collect()
}

fn text(from: usize, to: usize) -> String {
    (from..=to).map(|number| format!("line {number}\n")).collect()
}

#[tokio::test(start_paused = true)]
async fn lines_go_from_file_to_hub_once_through_kills_and_cut_links() {
    let mut host = Host::new();
    let mut books = Books::default();
    host.append("a.log", &text(1, 100));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    let open = talk.open().await;
    assert_eq!((open.producer.len(), open.acked), (0, 0), "it was never bound");
    books.welcome(&talk, 64).await;
    books.take(&mut talk, 100).await;

    // Batches are stored, but their acks are lost with the link.
    host.append("a.log", &text(101, 200));
    let Kind::Batch(batch) = talk.hear().await else { panic!("no batch") };
    books.enter(&batch);
    host.net.cut("link");
    host.append("a.log", &text(201, 300));
    sleep(Duration::from_secs(20)).await;
    host.net.mend("link");
    let mut talk = host.accept().await;
    assert_eq!(talk.open().await.producer.as_ref(), P.to_bytes());
    books.welcome(&talk, 64).await;
    books.take(&mut talk, 300).await;
    assert_eq!(books.repeats, 0, "the Welcome told what stands");

    // The process is killed; what was read and not synced is read again.
    host.append("a.log", &text(301, 400));
    sleep(Duration::from_millis(300)).await;
    host.disk.kill();
    drop(running);
    drop(talk);
    host.append("a.log", &text(401, 500));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    talk.open().await;
    books.welcome(&talk, 64).await;
    books.take(&mut talk, 500).await;
    assert_eq!(books.lines, numbered(500));
    assert!(talk.within(Duration::from_secs(5)).await.is_none(), "nothing comes after the last line");
    assert_eq!(running.status.report().acked, books.last);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn refusals_keep_the_lines_and_ask_again() {
    let mut host = Host::new();
    let mut books = Books::default();
    host.append("a.log", &text(1, 10));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    talk.open().await;
    let no_tenant = Refuse { code: RefuseCode::RefuseNoTenant.into(), text: "none".to_owned(), retry_after_ms: 5_000, ..Refuse::default() };
    talk.say(Kind::Refuse(no_tenant)).await;
    assert!(talk.within(Duration::from_secs(4)).await.is_none());
    talk.open().await;
    books.welcome(&talk, 64).await;
    // The first is called damaged twice, then taken.
    for _ in 0..2 {
        let Kind::Batch(batch) = talk.hear().await else { panic!("no batch") };
        assert_eq!(batch.sequence, 1);
        let corrupt = Refuse { code: RefuseCode::RefuseCorrupt.into(), producer: batch.producer.clone(), sequence: 1, ..Refuse::default() };
        talk.say(Kind::Refuse(corrupt)).await;
    }
    books.take(&mut talk, 10).await;
    assert_eq!(books.lines, numbered(10));
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_called_damaged_for_good_becomes_a_gap_and_the_rest_arrives() {
    let mut host = Host::new();
    let mut books = Books::default();
    host.append("a.log", &text(1, 10));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    talk.open().await;
    books.welcome(&talk, 64).await;
    for _ in 0..3 {
        let Kind::Batch(batch) = talk.hear().await else { panic!("no batch") };
        let corrupt = Refuse { code: RefuseCode::RefuseCorrupt.into(), producer: batch.producer.clone(), sequence: 1, ..Refuse::default() };
        talk.say(Kind::Refuse(corrupt)).await;
    }
    host.append("a.log", &text(11, 20));
    books.take(&mut talk, 10).await;
    assert_eq!((books.lost_lines, books.lines.clone()), (10, numbered(20)[10..].to_vec()));
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_wal_stops_the_reading_and_loses_nothing() {
    let mut host = Host::new();
    let mut books = Books::default();
    let count = 400_000;
    host.append("a.log", &format!("{}{}", "x".repeat(10), "\n"));
    let wide: String = (1..=count).map(|number| format!("line {number} {}\n", "y".repeat(60))).collect();
    host.append("b.log", &wide);
    let running = host.start("{dir: /wal, max_bytes: 16MB, grace_bytes: 0, grace_age: 0s}").await;
    sleep(Duration::from_secs(40)).await;
    let used: u64 =
        host.disk.paths().iter().filter(|path| path.starts_with("/wal")).filter_map(|path| host.disk.contents(path)).map(|bytes| bytes.len() as u64).sum();
    assert!(used <= 17 << 20, "{used} bytes");
    let shown = running.status.fresh().await;
    assert!(running.status.report().stalled && shown.files.iter().any(|source| source.behind > 0), "reading has stopped");
    let mut talk = host.accept().await;
    talk.open().await;
    books.welcome(&talk, 64).await;
    books.take(&mut talk, count + 1).await;
    assert_eq!(books.lost_lines, 0);
    let numbers: Vec<usize> =
        books.lines.iter().filter(|line| line.starts_with("line ")).map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    assert!(numbers == (1..=count).collect::<Vec<_>>(), "each once, in order");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_edge_whose_wal_is_lost_continues_where_the_hub_stands() {
    let mut host = Host::new();
    let mut books = Books::default();
    host.append("a.log", &text(1, 50));
    let running = host.start("{dir: /wal}").await;
    let mut talk = host.accept().await;
    talk.open().await;
    books.welcome(&talk, 64).await;
    books.take(&mut talk, 50).await;
    running.end().await;
    drop(talk);
    host.append("a.log", &text(51, 80));
    let running = host.start("{dir: /new-wal}").await;
    let mut talk = host.accept().await;
    assert!(talk.open().await.producer.is_empty());
    books.welcome(&talk, 64).await;
    books.take(&mut talk, 80).await;
    assert_eq!(books.lines, numbered(80), "nothing twice, although the new WAL began with the first line");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn metrics_that_stages_make_are_told_and_forgotten() {
    let host = Host::new();
    host.append("a.log", &text(1, 25));
    let stages = "[{metrics: {lines: {type: Counter, max_idle_duration: 10s, config: {match_all: true, action: inc}}}}]";
    let running = host.start_with("{dir: /wal}", "", &format!("pipeline_stages: {stages}, static_configs")).await;
    sleep(Duration::from_secs(5)).await;
    let told = running.status.custom_text();
    assert!(told.contains("# TYPE promtail_custom_lines counter\n"), "{told}");
    assert!(told.contains("promtail_custom_lines{filename=\"/logs/a.log\",job=\"t\"} 25\n"), "{told}");
    sleep(Duration::from_secs(15)).await;
    assert_eq!(running.status.custom_text(), "", "nothing was counted for as long as it may be idle");
    running.end().await;
}
