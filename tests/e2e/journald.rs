//! A running journald in a mount namespace of its own: programs log by all its sockets while it rotates, is killed and removes files, and
//! the edge is killed. What `journalctl` finds in the files is the truth.
//!
//! Parts: `daemon` (journald, what it is sent). Skipped, and said, where systemd is not installed or there are no namespaces.

mod daemon;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tests::ask::Ask;
use tests::edge::Edge;
use tests::hub::Hub;
use tests::place;
use tests::skip::skipped;

use crate::{Wish, edge_with};
use daemon::{Journald, Kind, Sender};

const WITHIN: Duration = Duration::from_secs(90);
const SELECTOR: &str = "{job=\"systemd-journal\"}";
/// What the edge keeps of a field, its name included.
const FIELD_BYTES_MAX: usize = 256 * 1024;

struct Bed {
    dir: tempfile::TempDir,
    hub: Hub,
    edge: Edge,
    journald: Journald,
}

impl Bed {
    fn start(settings: &str) -> Result<Self, String> {
        let dir = place::folder("journald");
        let journald = Journald::start(&dir.path().join("machine"), settings)?;
        let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
        let more = format!(
            "- job_name: journal\n  journal: {{path: {}, labels: {{job: systemd-journal}}}}\n  relabel_configs:\n  \
             - {{source_labels: [__journal_syslog_identifier], target_label: app}}\n  \
             - {{source_labels: [__journal__transport], target_label: transport}}\n  \
             - {{source_labels: [__journal_priority_keyword], target_label: level}}\n",
            journald.files().display()
        );
        let edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &Wish { more: &more, ..Wish::default() });
        Ok(Self { dir, hub, edge, journald })
    }

    fn ask(&self) -> Ask {
        Ask::new(&self.hub.url(), &self.hub.acme)
    }

    /// Entries that the edge says are gone.
    fn gone(&self) -> u64 {
        let status = self.edge.status();
        let losses = status["losses"].as_array().into_iter().flatten();
        losses.filter(|loss| loss["reason"] == "journal_gone").filter_map(|loss| loss["lines"].as_u64()).sum()
    }

    /// Every line that came, and how often.
    async fn heard(&self, selector: &str) -> BTreeMap<String, u64> {
        let now = jiff::Timestamp::now().as_nanosecond() as i64;
        let found = self.ask().every_line(selector, now - 3_600_000_000_000, now + 3_600_000_000_000, 5_000).await;
        counted(found.into_values().flatten().map(|answered| answered.line))
    }
}

fn counted(lines: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    for line in lines {
        *out.entry(line).or_default() += 1;
    }
    out
}

/// As the edge tells a message: cut where it is too long.
fn as_told(message: String) -> String {
    let kept = FIELD_BYTES_MAX - "MESSAGE=".len();
    if message.len() <= kept { message } else { format!("{}…[cut from {} bytes]", &message[..kept], message.len()) }
}

/// What differs, shortened.
fn differences(heard: &BTreeMap<String, u64>, truth: &BTreeMap<String, u64>) -> Vec<String> {
    let brief = |line: &str| line.chars().take(80).collect::<String>();
    let missing = truth
        .iter()
        .filter(|(line, count)| heard.get(*line) != Some(count))
        .map(|(line, count)| format!("{} of {count}: {}", heard.get(line).unwrap_or(&0), brief(line)));
    let foreign = heard.keys().filter(|line| !truth.contains_key(*line)).map(|line| format!("not in the journal: {}", brief(line)));
    missing.chain(foreign).take(20).collect()
}

/// Programs that log until they have said all; what they said.
struct Programs {
    threads: Vec<std::thread::JoinHandle<()>>,
    said: Arc<AtomicU64>,
}

impl Programs {
    fn start(journald: &Journald, each: u64) -> Self {
        let said = Arc::new(AtomicU64::new(0));
        let threads = [Kind::Native, Kind::Syslog, Kind::Stdout].map(|kind| {
            let (mut sender, said) = (Sender::new(kind, journald), Arc::clone(&said));
            std::thread::spawn(move || {
                for number in 0..each {
                    sender.say(number);
                    said.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Self { threads: threads.into(), said }
    }

    async fn until_said(&self, lines: u64) {
        let until = tokio::time::Instant::now() + WITHIN;
        while self.said.load(Ordering::Relaxed) < lines {
            assert!(tokio::time::Instant::now() < until, "the programs are stuck at {}", self.said.load(Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn end(self) {
        self.threads.into_iter().for_each(|thread| thread.join().expect("a program ends"));
    }
}

fn each() -> u64 {
    std::env::var("TRIBUTARY_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(8_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_running_journald_writes_is_read_once() {
    const TEST: &str = "what_a_running_journald_writes_is_read_once";
    let mut bed = match Bed::start("SystemMaxFileSize=2M\nSystemMaxUse=2G\nSystemMaxFiles=1000\n") {
        Ok(bed) => bed,
        Err(why) => return skipped(TEST, &why),
    };
    let all = 3 * each();
    let programs = Programs::start(&bed.journald, each());
    programs.until_said(all / 6).await;
    // Its file stays as if it were written, and gets another name at the next start.
    bed.journald.kill();
    bed.journald.resume().expect("journald starts again");
    programs.until_said(all / 3).await;
    bed.edge.kill();
    bed.journald.rotate();
    programs.until_said(all / 2).await;
    bed.edge.resume();
    programs.until_said(2 * all / 3).await;
    bed.journald.kill();
    bed.edge.kill();
    bed.journald.resume().expect("journald starts again");
    bed.edge.resume();
    programs.until_said(5 * all / 6).await;
    bed.journald.restart("SystemMaxFileSize=4M\nSystemMaxUse=2G\n").expect("journald starts again");
    programs.end();
    bed.journald.until_quiet().await;
    let truth = counted(bed.journald.messages().into_iter().map(as_told));
    let entries: u64 = truth.values().sum();
    // What lay in a socket when journald was killed is lost to all.
    assert!(entries > all - 3_000, "{entries} of {all} entries are in the journal");
    bed.ask().until_count(SELECTOR, entries, WITHIN).await;
    let heard = bed.heard(SELECTOR).await;
    assert_eq!(differences(&heard, &truth), Vec::<String>::new());
    for selector in [
        "{transport=\"journal\", app=\"native\", level=\"warning\"}",
        "{transport=\"syslog\", app=\"old\", level=\"warning\"}",
        "{transport=\"stdout\", app=\"plain\", level=\"notice\"}",
    ] {
        assert!(bed.ask().count(selector).await > all / 4, "{selector}");
    }
    let files = bed.journald.names();
    assert!(files.iter().any(|name| name.ends_with(".journal~")) && files.len() > 4, "it rotated and was found broken: {files:?}");
    for reason in ["journal_gone", "journal_damaged"] {
        assert_eq!(bed.edge.metric("tributary_edge_losses_total", reason).await.unwrap_or(0.0), 0.0, "{reason}");
    }
    drop(bed.dir);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_journald_removed_unread_is_told() {
    const TEST: &str = "what_journald_removed_unread_is_told";
    let small = "SystemMaxFileSize=512K\nSystemMaxFiles=6\n";
    let mut bed = match Bed::start(small) {
        Ok(bed) => bed,
        Err(why) => return skipped(TEST, &why),
    };
    Programs::start(&bed.journald, 300).end();
    bed.journald.until_quiet().await;
    let first = bed.journald.messages().len() as u64;
    assert!(first >= 900, "nothing is removed yet: {first}");
    bed.ask().until_count(SELECTOR, first, WITHIN).await;
    // The edge is away while many files come and go.
    bed.edge.kill();
    Programs::start(&bed.journald, each()).end();
    bed.journald.until_quiet().await;
    let (begin, end) = bed.journald.numbers();
    assert!(begin > first + 1, "entries were removed: {begin} is the first");
    bed.edge.resume();
    let left = end - begin + 1;
    bed.ask().until_count(SELECTOR, first + left, WITHIN).await;
    // It is told once all files are known to be read.
    let until = tokio::time::Instant::now() + WITHIN;
    while bed.gone() != begin - 1 - first {
        assert!(tokio::time::Instant::now() < until, "{} entries are told to be gone of {}", bed.gone(), begin - 1 - first);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(bed.ask().count(SELECTOR).await, first + left, "what is left is read once");
    // It reads, and files come and go faster than it looks.
    Programs::start(&bed.journald, each()).end();
    bed.journald.until_quiet().await;
    let (_, all) = bed.journald.numbers();
    let until = tokio::time::Instant::now() + WITHIN;
    loop {
        let (heard, told) = (bed.ask().count(SELECTOR).await, bed.gone());
        if heard + told == all {
            println!("{heard} entries were read, {told} were removed unread");
            break;
        }
        assert!(heard + told < all && tokio::time::Instant::now() < until, "{heard} entries and {told} that are told to be gone are {all}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
