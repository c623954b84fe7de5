//! Rotation as the kubelet does it, while the edge is killed and started again and again.
//!
//! Every few hundred milliseconds the log is renamed to `0.log.<stamp>`, the one before is packed into a new file `.gz`
//! (through `.tmp`) and removed, the oldest goes. Each line is in the hub exactly once, those that a removed file took with
//! it are known to the byte. By hand at full speed:
//!
//! ```text
//! TRIBUTARY_TORTURE="10MB/s 30s stops for 300s" cargo test --release -p tests --test e2e torture_at_full -- --ignored --nocapture
//! ```

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use tests::ask::Ask;
use tests::edge::Edge;
use tests::hub::Hub;
use tests::lines::{Writer, reckon, reckon_part, time_base_ns};
use tests::place;

use crate::{Dice, Wish, edge_with};

/// The log of a container as the kubelet keeps it.
struct Rotated {
    dir: PathBuf,
    writer: Writer,
    /// Rotated files, the newest last; packed ones end in `.gz`.
    files: Vec<PathBuf>,
    /// Files in all, the live one too.
    kept: usize,
    rotations: u32,
    packed: u32,
    removed: u32,
}

impl Rotated {
    fn new(dir: &Path, base: i64, kept: usize) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let writer = Writer::new(&dir.join("0.log"), "a", base);
        Self { dir: dir.to_path_buf(), writer, files: Vec::new(), kept, rotations: 0, packed: 0, removed: 0 }
    }

    /// What the kubelet does once a log is too large: the oldest out, all that are plain packed, then the rename.
    fn rotate(&mut self) {
        while self.files.len() + 1 >= self.kept {
            std::fs::remove_file(self.files.remove(0)).unwrap();
            self.removed += 1;
        }
        for file in &mut self.files {
            if file.extension().is_none_or(|extension| extension != "gz") {
                *file = pack(file);
                self.packed += 1;
            }
        }
        self.rotations += 1;
        let (minutes, seconds) = (self.rotations / 60, self.rotations % 60);
        let to = self.dir.join(format!("0.log.20260101-{:02}{:02}{seconds:02}", minutes / 60, minutes % 60));
        self.writer.rotate(&to);
        self.files.push(to);
    }
}

fn pack(file: &Path) -> PathBuf {
    let name = file.to_str().unwrap();
    let (temporary, packed) = (format!("{name}.tmp"), PathBuf::from(format!("{name}.gz")));
    let mut encoder = GzEncoder::new(std::fs::File::create(&temporary).unwrap(), Compression::fast());
    encoder.write_all(&std::fs::read(file).unwrap()).unwrap();
    encoder.finish().unwrap();
    std::fs::rename(&temporary, &packed).unwrap();
    std::fs::remove_file(file).unwrap();
    packed
}

/// An edge of files below `logs-one`, a directory for each container.
fn edge_of(hub: &Hub, dir: &Path) -> Edge {
    edge_with(hub, dir, "alpha", "one", "auto", &Wish { logs: Some("pods/*/*.log"), ..Wish::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_every_line_comes_once_through_rotation_packing_and_kills() {
    let dir = place::folder("torture");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let mut edge = edge_of(&hub, dir.path());
    let base = time_base_ns();
    let mut log = Rotated::new(&dir.path().join("logs-one/pods/c"), base, 40);
    let ask = Ask::new(&hub.url(), &hub.acme);
    log.writer.write(1);
    ask.until_count("{cluster=\"alpha\"}", 1, Duration::from_secs(20)).await;
    let mut dice = Dice(7);
    for _ in 0..12 {
        // Down for none to four rotations, up for some.
        edge.kill();
        for _ in 0..dice.roll(5) {
            log.writer.write(200 + dice.roll(2_000));
            log.rotate();
        }
        log.writer.write(dice.roll(50));
        edge.resume();
        for _ in 0..dice.roll(4) {
            for _ in 0..10 {
                log.writer.write(dice.roll(60));
                tokio::time::sleep(Duration::from_millis(dice.roll(40))).await;
            }
            log.rotate();
        }
    }
    log.writer.write(10);
    let written = log.writer.written;
    ask.until_count("{cluster=\"alpha\"}", written, Duration::from_secs(60)).await;
    let found = ask.every_line("{cluster=\"alpha\"}", base, base + 3_600_000_000_000, 20_000).await;
    let reckoning = reckon(&found, &BTreeMap::from([("a".to_owned(), written)]));
    eprintln!("torture: {written} lines, {} rotations, {} packed, {} removed: {reckoning:?}", log.rotations, log.packed, log.removed);
    assert!(reckoning.is_exact(), "{reckoning:?}");
    let losses = Ask::new(&hub.admin_url(), &hub.operator).json("/admin/v1/losses", &[("tenant", "acme")]).await;
    assert_eq!(losses.as_array().map_or(0, Vec::len), 0, "{losses}");
}

/// Line `number`, which hardly packs.
fn noise(number: u64) -> String {
    let mut dice = Dice(number);
    let words: Vec<String> = (0..64).map(|_| format!("{:08x}", dice.roll(1 << 31))).collect();
    format!("noise {number} {}", words.join(""))
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_what_a_removed_file_took_with_it_is_counted_to_the_byte() {
    let dir = place::folder("torture-removed");
    let mut hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    // A WAL that is soon full while the hub is away: the edge knows of more than it has read.
    let wish = Wish { logs: Some("pods/*/*.log"), wal: ", max_bytes: 16MB, grace_bytes: 0", ..Wish::default() };
    let mut edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &wish);
    let logs = dir.path().join("logs-one/pods/c");
    std::fs::create_dir_all(&logs).unwrap();
    let live = logs.join("0.log");
    let write = |numbers: std::ops::RangeInclusive<u64>| {
        let text: String = numbers.map(|number| noise(number) + "\n").collect();
        std::fs::File::options().create(true).append(true).open(&live).unwrap().write_all(text.as_bytes()).unwrap();
    };
    write(1..=1);
    Ask::new(&hub.url(), &hub.acme).until_count("{cluster=\"alpha\"}", 1, Duration::from_secs(20)).await;
    hub.kill();
    let begun = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    write(2..=100_000);
    // It stops reading when the WAL is full.
    let until = Instant::now() + Duration::from_secs(90);
    while edge.metric("tributary_edge_stalled", "").await != Some(1.0) || edge.metric("tributary_edge_bytes_behind", "").await.unwrap_or(0.0) < 1.0 {
        assert!(Instant::now() < until, "the WAL never became full");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    edge.kill();
    // The file goes while the edge is away, renamed and packed first; what came after it stays.
    let first = logs.join("0.log.20260101-000001");
    std::fs::rename(&live, &first).unwrap();
    std::fs::remove_file(pack(&first)).unwrap();
    write(100_001..=100_500);
    let second = logs.join("0.log.20260101-000002");
    std::fs::rename(&live, &second).unwrap();
    pack(&second);
    write(100_501..=100_510);
    hub.resume();
    edge.resume();
    let ask = Ask::new(&hub.url(), &hub.acme);
    let admin = Ask::new(&hub.admin_url(), &hub.operator);
    let until = Instant::now() + Duration::from_secs(90);
    let (mut found, mut losses);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let streams = ask.every_line("{cluster=\"alpha\"}", begun - 600_000_000_000, begun + 3_600_000_000_000, 20_000).await;
        found = streams.into_values().flatten().filter_map(|row| row.line.split(' ').nth(1)?.parse::<u64>().ok()).collect::<Vec<u64>>();
        losses = admin.json("/admin/v1/losses", &[("tenant", "acme")]).await;
        let is_behind =
            edge.metric("tributary_edge_bytes_behind", "").await != Some(0.0) || edge.metric("tributary_edge_oldest_unacked_seconds", "").await != Some(0.0);
        if (found.contains(&100_510) && losses[0]["bytes"].is_u64() && !is_behind) || Instant::now() > until {
            break;
        }
    }
    found.sort_unstable();
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "nothing twice");
    let missing: Vec<u64> = (1..=100_510).filter(|number| found.binary_search(number).is_err()).collect();
    let bytes: u64 = missing.iter().map(|number| noise(*number).len() as u64 + 1).sum();
    eprintln!("removed: {} lines of 100510 gone, {bytes} bytes: {losses}", missing.len());
    assert!(missing.len() > 1_000 && missing.last() == Some(&100_000), "{:?}", missing.last());
    assert_eq!(losses.as_array().map_or(0, Vec::len), 1, "{losses}");
    // Where its inode was given to the file that bears its name now, it looks as if it had been cut.
    assert!(matches!(losses[0]["reason"].as_str(), Some("vanished" | "truncated")), "{losses}");
    assert_eq!(losses[0]["bytes"].as_u64(), Some(bytes), "{losses}");
}

/// `10MB/s 30s stops for 300s`: bytes a second, seconds down, seconds in all.
fn by_hand() -> Option<(u64, u64, u64)> {
    let wish = std::env::var("TRIBUTARY_TORTURE").ok()?;
    let number = |word: &str| word.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok();
    let words: Vec<&str> = wish.split_whitespace().collect();
    Some((number(words.first()?)?, number(words.get(1)?)?, number(words.last()?)?))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "by hand, with TRIBUTARY_TORTURE"]
async fn torture_at_full_speed_by_hand() {
    let (megabytes, down, seconds) = by_hand().expect("TRIBUTARY_TORTURE says how fast and how long");
    let dir = place::folder("torture-by-hand");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let mut edge = edge_of(&hub, dir.path());
    let base = time_base_ns();
    let mut log = Rotated::new(&dir.path().join("logs-one/pods/c"), base, 5);
    log.writer.write(1);
    Ask::new(&hub.url(), &hub.acme).until_count("{cluster=\"alpha\"}", 1, Duration::from_secs(20)).await;
    let began = Instant::now();
    // A rotation each 10 s, as the kubelet looks; the edge is killed, away for `down`, and up as long.
    let (mut rotated, mut turned, mut bytes, mut unread_removed) = (Instant::now(), Instant::now(), 0_u64, 0);
    let mut longest_behind = 0_f64;
    while began.elapsed() < Duration::from_secs(seconds) {
        let due = megabytes * 1_000_000 * began.elapsed().as_millis() as u64 / 1_000;
        while bytes < due {
            let before = std::fs::metadata(log.dir.join("0.log")).unwrap().len();
            log.writer.write(1_000);
            bytes += std::fs::metadata(log.dir.join("0.log")).unwrap().len() - before;
        }
        if rotated.elapsed() >= Duration::from_secs(10) {
            rotated = Instant::now();
            let removed = log.removed;
            log.rotate();
            unread_removed += u32::from(log.removed > removed);
        }
        if turned.elapsed() >= Duration::from_secs(down) {
            turned = Instant::now();
            if edge.runs() {
                longest_behind = longest_behind.max(edge.metric("tributary_edge_bytes_behind", "").await.unwrap_or(0.0));
                edge.kill();
            } else {
                edge.resume();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if !edge.runs() {
        edge.resume();
    }
    let written = log.writer.written;
    let ask = Ask::new(&hub.url(), &hub.acme);
    ask.until_count("{cluster=\"alpha\"}", written, Duration::from_secs(240)).await;
    let mut reckoned = 0;
    for part in 0..=written / 100_000 {
        let (first, end) = (part * 100_000 + 1, ((part + 1) * 100_000 + 1).min(written + 1));
        let from = base + i64::try_from(first / 4 * 4).unwrap() * 1_000;
        let to = base + i64::try_from(end / 4 * 4 + 4).unwrap() * 1_000;
        let found = ask.every_line("{cluster=\"alpha\"}", from, to, 20_000).await;
        let mine = found.into_iter().map(|(labels, rows)| {
            let is_mine = |row: &tests::ask::Answered| {
                row.line.split(' ').nth(1).and_then(|number| number.parse::<u64>().ok()).is_some_and(|number| (first..end).contains(&number))
            };
            (labels, rows.into_iter().filter(is_mine).collect())
        });
        let reckoning = reckon_part(&mine.collect(), &BTreeMap::from([("a".to_owned(), (first, end))]));
        assert!(reckoning.is_exact(), "lines {first}..{end}: {reckoning:?}");
        reckoned += reckoning.once;
    }
    let losses = Ask::new(&hub.admin_url(), &hub.operator).json("/admin/v1/losses", &[("tenant", "acme")]).await;
    eprintln!(
        "torture by hand: {reckoned} lines ({bytes} bytes in {seconds} s), {} rotations, {} packed, {unread_removed} removed, at most {longest_behind} bytes behind; losses {losses}",
        log.rotations, log.packed
    );
    assert_eq!(losses.as_array().map_or(0, Vec::len), 0, "{losses}");
}
