//! Several hubs on one bucket: edges move between them while everything is killed; each line exactly once, seen on each hub.

use std::path::Path;
use std::time::{Duration, Instant};

use tests::ask::Ask;
use tests::edge::{Edge, loopback};
use tests::hub::Hub;
use tests::lines::{Writer, time_base_ns};
use tests::minio::Minio;
use tests::place;

use crate::{Dice, Wish, edge_with, settle};

const ALPHA: &str = "{cluster=\"alpha\"}";

/// Two hubs on one bucket.
pub(crate) fn two(dir: &Path, minio: &Minio) -> [Hub; 2] {
    let store = minio.settings("t", minio.port);
    let first = Hub::start(dir, &store, "");
    let mut second = first.beside(dir, "hub-2", &store, "");
    second.resume();
    [first, second]
}

fn edges(hubs: &[Hub; 2], dir: &Path, count: usize) -> Vec<Edge> {
    let urls = [loopback(hubs[0].link), loopback(hubs[1].link)];
    let one = |n: usize| {
        let mut hubs_of = urls.to_vec();
        hubs_of.rotate_left(n % 2);
        let transport = ["auto", "quic", "grpc"][n % 3];
        edge_with(&hubs[0], dir, "alpha", &format!("e{n}"), transport, &Wish { hubs: hubs_of, ..Wish::default() })
    };
    (0..count).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_move_between_hubs_while_all_are_killed() {
    let dir = place::folder("hubs");
    let mut minio = Minio::start(dir.path());
    let mut hubs = two(dir.path(), &minio);
    let mut edges = edges(&hubs, dir.path(), 4);
    let mut urls = vec![loopback(hubs[0].link), loopback(hubs[1].link)];
    let (base, mut dice) = (time_base_ns(), Dice(11));
    let log = |n: usize, file: usize| dir.path().join(format!("logs-e{n}/f{file}.log"));
    let mut writers: Vec<Writer> = (0..8).map(|n| Writer::new(&log(n / 2, n % 2), &format!("e{}f{}", n / 2, n % 2), base).distinct()).collect();
    let (mut kills, mut moves) = ([0; 3], 0);
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        writers.iter_mut().for_each(|writer| writer.write(20));
        tokio::time::sleep(Duration::from_millis(50 + dice.roll(100))).await;
        match dice.roll(24) {
            n @ 0..=1 => {
                // One hub stays away for a while: its edges go to the other.
                let hub = &mut hubs[n as usize];
                hub.kill();
                kills[0] += 1;
                for _ in 0..dice.roll(20) {
                    writers.iter_mut().for_each(|writer| writer.write(20));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                hub.resume();
            }
            2..=3 => {
                let edge = &mut edges[usize::try_from(dice.roll(4)).unwrap()];
                edge.kill();
                kills[1] += 1;
                if dice.roll(2) == 0 {
                    urls.reverse();
                    edge.retarget(&urls);
                    moves += 1;
                }
                edge.resume();
            }
            4 if kills[2] < 3 => {
                minio.kill();
                kills[2] += 1;
                tokio::time::sleep(Duration::from_millis(dice.roll(1_500))).await;
                minio.resume();
            }
            _ => {}
        }
    }
    eprintln!("kills of hubs {}, edges {}, MinIO {}; {moves} edges told another order", kills[0], kills[1], kills[2]);
    assert!(kills.iter().all(|kills| *kills > 0) && moves > 0, "the dice skipped a kind: {kills:?} {moves}");
    let all: Vec<&Writer> = writers.iter().collect();
    for hub in &hubs {
        settle(hub, ALPHA, &all, base, Duration::from_secs(120)).await;
    }
    let lanes = Ask::new(&hubs[0].admin_url(), &hubs[0].operator).json("/admin/v1/lanes", &[]).await;
    assert!(lanes.as_array().is_some_and(|lanes| lanes.len() >= 2), "each hub has a lane of its own: {lanes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acked_is_seen_on_every_hub_within_two_seconds() {
    let dir = place::folder("seen");
    let minio = Minio::start(dir.path());
    let hubs = two(dir.path(), &minio);
    let edges = edges(&hubs, dir.path(), 2);
    let base = time_base_ns();
    let mut writers: Vec<Writer> = (0..2).map(|n| Writer::new(&dir.path().join(format!("logs-e{n}/a.log")), &format!("e{n}"), base)).collect();
    let asks: Vec<Ask> = hubs.iter().map(|hub| Ask::new(&hub.url(), &hub.acme)).collect();
    let mut slowest = Duration::ZERO;
    for round in 0..16_u64 {
        let at = usize::try_from(round % 2).unwrap();
        writers[at].write(10);
        let lines = writers[at].written as f64;
        while edges[at].metric("tributary_edge_lines_acked_total", "").await.unwrap_or(0.0) < lines {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let acked = Instant::now();
        let wanted: u64 = writers.iter().map(|writer| writer.written).sum();
        for (n, ask) in asks.iter().enumerate() {
            while ask.count(ALPHA).await < wanted {
                assert!(acked.elapsed() < Duration::from_secs(20), "hub {n} does not show {wanted} lines");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            slowest = slowest.max(acked.elapsed());
        }
    }
    eprintln!("acked lines were seen on both hubs within {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "seen only after {slowest:?}");
    let all: Vec<&Writer> = writers.iter().collect();
    for hub in &hubs {
        settle(hub, ALPHA, &all, base, Duration::from_secs(30)).await;
    }
}
