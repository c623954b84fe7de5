//! Faults of the edge's disk, on real file systems: power cuts, no room, failing and short writes.

use std::time::Duration;

use tests::edge::Edge;
use tests::hub::Hub;
use tests::lines::{Writer, time_base_ns};
use tests::machine::{LoopDisk, RamDisk, Strace};
use tests::place;
use tests::skip::skipped;

use crate::faults::write_for;
use crate::{Dice, Wish, edge_with, settle};

const ALPHA: &str = "{cluster=\"alpha\"}";

/// Waits until the edge's metric `name` is at least `least`.
async fn until_metric(edge: &Edge, name: &str, least: f64, within: Duration) {
    let until = tokio::time::Instant::now() + within;
    loop {
        let found = edge.metric(name, "").await;
        if found.is_some_and(|value| value >= least) {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "{name} is {found:?} after {within:?}, not {least}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_power_is_cut_again_and_again() {
    const TEST: &str = "the_power_is_cut_again_and_again";
    const ROUNDS: u32 = 30;
    let dir = place::folder("power");
    let disk = match LoopDisk::make(dir.path(), 128) {
        Ok(disk) => disk,
        Err(why) => return skipped(TEST, &why),
    };
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let wal = disk.dir.join("wal");
    let wish = Wish { wal_dir: Some(&wal), ..Wish::default() };
    let mut edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &wish);
    let (base, mut dice) = (time_base_ns(), Dice(7));
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    for round in 0..ROUNDS {
        let until = tokio::time::Instant::now() + Duration::from_millis(50 + dice.roll(700));
        while tokio::time::Instant::now() < until {
            writer.write(100);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if let Err(why) = disk.cut_power() {
            assert_eq!(round, 0, "the power could be cut before: {why}");
            edge.kill();
            return skipped(TEST, &why);
        }
        // A machine without power does nothing; this one gets a moment to meet the dead disk.
        tokio::time::sleep(Duration::from_millis(dice.roll(100))).await;
        edge.kill();
        disk.restore().expect("the journal is replayed");
        edge.resume();
    }
    settle(&hub, ALPHA, &[&writer], base, Duration::from_secs(60)).await;
    eprintln!("{} lines exactly once over {ROUNDS} power cuts", writer.written);
    edge.kill();
}

/// Fills the WAL's disk while the hub is away; `give` makes room. The edge must stall, say so, and go on.
async fn no_room(hub: &mut Hub, edge: &mut Edge, writer: &mut Writer, base: i64, give: impl FnOnce()) {
    writer.write(1_000);
    until_metric(edge, "tributary_edge_lines_acked_total", 1_000.0, Duration::from_secs(30)).await;
    hub.kill();
    for _ in 0..120 {
        writer.write(2_000);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    until_metric(edge, "tributary_edge_stalled", 1.0, Duration::from_secs(30)).await;
    assert!(edge.metric("tributary_edge_wal_failures_total", "").await.unwrap() >= 1.0, "a full disk is told");
    let read = edge.metric("tributary_edge_lines_read_total", "").await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(read < writer.written as f64, "the files are the buffer");
    assert!(edge.process().alive(), "a full disk ends nobody: {}", edge.process().tail());
    // Started again on the full disk: it opens its WAL and drains it.
    edge.kill();
    edge.resume();
    give();
    hub.resume();
    settle(hub, ALPHA, &[writer], base, Duration::from_secs(90)).await;
    until_metric(edge, "tributary_edge_lines_acked_total", 1.0, Duration::from_secs(10)).await;
    edge.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_tmpfs_stalls_the_edge_and_loses_nothing() {
    let dir = place::folder("tmpfs");
    let disk = match RamDisk::make(dir.path(), 8) {
        Ok(disk) => disk,
        Err(why) => return skipped("a_full_tmpfs_stalls_the_edge_and_loses_nothing", &why),
    };
    let mut hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let (base, wal) = (time_base_ns(), disk.dir.join("wal"));
    let mut edge = packed_nothing(&hub, dir.path(), &wal);
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    no_room(&mut hub, &mut edge, &mut writer, base, || disk.resize(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_ext4_drains_without_being_given_room() {
    let dir = place::folder("ext4");
    let disk = match LoopDisk::make(dir.path(), 12) {
        Ok(disk) => disk,
        Err(why) => return skipped("a_full_ext4_drains_without_being_given_room", &why),
    };
    let mut hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let (base, wal) = (time_base_ns(), disk.dir.join("wal"));
    let mut edge = packed_nothing(&hub, dir.path(), &wal);
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    // No room is given: what the hub acknowledges is freed, and that is room enough.
    no_room(&mut hub, &mut edge, &mut writer, base, || {}).await;
}

/// An edge whose WAL holds lines as they are, so that a small disk is soon full.
fn packed_nothing(hub: &Hub, dir: &std::path::Path, wal: &std::path::Path) -> Edge {
    let wish = Wish { wal_dir: Some(wal), wal: ", max_bytes: 64MiB, grace_bytes: 0", ..Wish::default() };
    let mut edge = edge_with(hub, dir, "alpha", "one", "auto", &wish);
    edge.kill();
    let file = edge.dir().join("edge.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace("transport: auto", "transport: auto, compression: none");
    std::fs::write(&file, text).unwrap();
    edge.resume();
    edge
}

#[tokio::test(flavor = "multi_thread")]
async fn system_calls_fail() {
    let dir = place::folder("strace");
    if let Err(why) = Strace::works(dir.path()) {
        return skipped("system_calls_fail", &why);
    }
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let mut edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &Wish::default());
    let base = time_base_ns();
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    write_for(&mut writer, 50, Duration::from_secs(1)).await;
    let wal = edge.dir().join("wal");
    // Of `write` only those on the WAL's files: the runtime wakes itself with others.
    let rounds: [(&str, &[&str], Option<&std::path::Path>); 4] = [
        ("eio", &["fdatasync:error=EIO:when=3+4"], None),
        ("eio-once", &["fdatasync:error=EIO:when=1"], None),
        ("enospc", &["write:error=ENOSPC:when=2+3"], Some(&wal)),
        // Zero bytes written: what a short write comes to without lying about what reached the file.
        ("short", &["write:retval=0:when=2+3"], Some(&wal)),
    ];
    for (name, inject, only) in rounds {
        let strace = Strace::attach(edge.process().id(), inject, only, dir.path(), name);
        write_for(&mut writer, 50, Duration::from_secs(4)).await;
        let failed = strace.end(dir.path(), name);
        eprintln!("{name}: {failed} calls failed");
        assert!(edge.process().alive(), "{name} ends nobody: {}", edge.process().tail());
        assert!(failed > 0, "{name}: no call was made to fail");
        if name == "enospc" {
            // What was left by failed writes is read by a new start.
            edge.kill();
            edge.resume();
        }
    }
    write_for(&mut writer, 50, Duration::from_secs(1)).await;
    settle(&hub, ALPHA, &[&writer], base, Duration::from_secs(60)).await;
}
