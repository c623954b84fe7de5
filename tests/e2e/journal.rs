//! systemd's journal: files that `systemd-journal-remote` writes, read while they grow, through kills of the edge and rotation.
//!
//! Without the tool (Debian's `systemd-journal-remote`) or `journalctl` a test is skipped, loudly.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tests::ask::Ask;
use tests::edge::Edge;
use tests::hub::Hub;
use tests::place;
use tests::skip::skipped;

use crate::{Wish, edge_with};

const WITHIN: Duration = Duration::from_secs(90);
const TOOLS: [&str; 2] = ["/lib/systemd/systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote"];
const SELECTOR: &str = "{job=\"systemd-journal\", unit=\"shop.service\", level=\"warning\"}";

/// A program that writes a journal file.
struct Writer {
    child: Child,
    file: PathBuf,
}

fn tool() -> Option<PathBuf> {
    TOOLS.iter().map(PathBuf::from).find(|path| path.exists())
}

fn now_ns() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is right");
    i64::try_from(now.as_nanos()).expect("the clock is right")
}

impl Writer {
    fn start(tool: &Path, file: PathBuf) -> Self {
        let mut command = Command::new(tool);
        command.arg("--split-mode=none").arg(format!("--output={}", file.display())).arg("-");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the tool can be started");
        Self { child, file }
    }

    /// Writes entries of these numbers; every hundredth is long, so that it is packed.
    fn write(&mut self, numbers: std::ops::Range<u64>) {
        let mut text = String::new();
        for number in numbers {
            let micros = now_ns() / 1_000;
            let long = if number % 100 == 0 { "x".repeat(3_000) } else { String::new() };
            writeln!(text, "__REALTIME_TIMESTAMP={micros}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID=0123456789abcdef0123456789abcdef", 1_000 + number).expect("text");
            writeln!(text, "_SYSTEMD_UNIT=shop.service\nPRIORITY=4\n_PID={}\nMESSAGE=line {number}{long}\n", number % 7).expect("text");
        }
        let input = self.child.stdin.as_mut().expect("it has an input");
        input.write_all(text.as_bytes()).expect("the tool reads");
        input.flush().expect("the tool reads");
    }

    /// Ends in peace; the file gets the name of one that is rotated.
    fn rotate(mut self, number: u32) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("it ends").success());
        let archived = self.file.with_file_name(format!("system@{number}.journal"));
        std::fs::rename(&self.file, archived).expect("the file can be renamed");
    }
}

struct Bed {
    _dir: tempfile::TempDir,
    journal: PathBuf,
    hub: Hub,
    edge: Edge,
}

impl Bed {
    fn start(stages: &str) -> Self {
        let dir = place::folder("journal");
        let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
        let journal = dir.path().join("journal");
        std::fs::create_dir_all(&journal).expect("a folder can be made");
        let more = format!(
            "- job_name: journal\n  journal: {{path: {}, labels: {{job: systemd-journal}}{stages}}}\n  relabel_configs:\n  - {{source_labels: [__journal__systemd_unit], target_label: unit}}\n  - {{source_labels: [__journal_priority_keyword], target_label: level}}\n",
            journal.display()
        );
        let edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &Wish { more: &more, ..Wish::default() });
        Self { _dir: dir, journal, hub, edge }
    }

    fn ask(&self) -> Ask {
        Ask::new(&self.hub.url(), &self.hub.acme)
    }

    /// Waits for lines `0..to`; each must be there once.
    async fn settle(&self, to: u64) {
        self.ask().until_count(SELECTOR, to, WITHIN).await;
        let now = now_ns();
        let found = self.ask().every_line(SELECTOR, now - 3_600_000_000_000, now + 3_600_000_000_000, 5_000).await;
        let mut numbers: Vec<u64> = found
            .values()
            .flatten()
            .map(|answered| answered.line.trim_end_matches('x').rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a line of ours"))
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..to).collect::<Vec<u64>>());
    }
}

#[tokio::test]
async fn a_journal_is_read_once_through_kills_and_rotation() {
    let Some(tool) = tool() else {
        return skipped("a_journal_is_read_once_through_kills_and_rotation", "systemd-journal-remote is not installed");
    };
    let mut bed = Bed::start("");
    let file = bed.journal.join("system.journal");
    let mut writer = Writer::start(&tool, file.clone());
    writer.write(0..1_000);
    bed.ask().until_count(SELECTOR, 1_000, WITHIN).await;
    // Killed with entries read and not written, entries written and not sent.
    writer.write(1_000..3_000);
    bed.edge.kill();
    writer.write(3_000..4_000);
    writer.rotate(1);
    let mut writer = Writer::start(&tool, file.clone());
    writer.write(4_000..5_000);
    bed.edge.resume();
    writer.write(5_000..6_000);
    tokio::time::sleep(Duration::from_millis(200)).await;
    bed.edge.kill();
    writer.rotate(2);
    let mut writer = Writer::start(&tool, file);
    writer.write(6_000..7_000);
    bed.edge.resume();
    for from in (7_000..8_000).step_by(100) {
        writer.write(from..from + 100);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bed.settle(8_000).await;
}

#[tokio::test]
async fn a_journal_that_needs_it_is_read_by_journalctl() {
    const TEST: &str = "a_journal_that_needs_it_is_read_by_journalctl";
    let (Some(tool), Ok(about)) = (tool(), Command::new("journalctl").arg("--version").output()) else {
        return skipped(TEST, "systemd-journal-remote or journalctl is not installed");
    };
    if !String::from_utf8_lossy(&about.stdout).contains("+XZ") {
        return skipped(TEST, "this journalctl does not know XZ");
    }
    let mut bed = Bed::start("");
    let made = bed.journal.with_file_name("made");
    std::fs::create_dir_all(&made).expect("a folder can be made");
    let mut writer = Writer::start(&tool, made.join("system.journal"));
    writer.write(0..1_500);
    writer.rotate(1);
    // A file that may hold fields packed with XZ.
    let rotated = made.join("system@1.journal");
    let mut bytes = std::fs::read(&rotated).expect("the file can be read");
    bytes[12] |= 1;
    std::fs::write(bed.journal.join("made.tmp"), bytes).expect("the file can be written");
    std::fs::rename(bed.journal.join("made.tmp"), bed.journal.join("old.journal")).expect("the file can be renamed");
    bed.ask().until_count(SELECTOR, 1_000, WITHIN).await;
    bed.edge.kill();
    let mut writer = Writer::start(&tool, bed.journal.join("system.journal"));
    writer.write(1_500..2_500);
    bed.edge.resume();
    writer.write(2_500..3_000);
    bed.settle(3_000).await;
}
