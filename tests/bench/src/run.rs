//! The path of a bench: corpus, yardsticks, edge and hub, what is stored, queries, an idle edge, a restart.
//!
//! Parts: [`run`], then its steps in order. Promises: a row is printed as soon as it is measured. Rows for 1 GiB are
//! those measured, divided by the size of the corpus.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::{Instant, sleep};

use crate::ask::{Asker, Segments};
use crate::corpus::{self, Corpus, HOURS, Wanted};
use crate::place::{Place, StoreChoice, bytes_below};
use crate::program::Program;
use crate::questions::questions;
use crate::row::{Row, print_head};
use crate::{Options, tell, yardsticks};

const GIB: f64 = 1_073_741_824.0;
/// Between two looks at the edge's counter.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Without any line acked for so long, the bench gives up.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// Each query is asked so often; the middle one counts.
const ASKED: usize = 3;
/// Silent files of the idle edge, and lines in each.
const IDLE_FILES: u64 = 500;
const IDLE_LINES: u64 = 4;
/// An idle edge settles, then is measured.
const IDLE_SETTLE: Duration = Duration::from_secs(5);
const IDLE_MEASURED: Duration = Duration::from_secs(30);
/// Segments that stay the same for so long are merged: the hub looks once a minute.
const MERGED_AFTER: Duration = Duration::from_secs(65);
const ACKED: &str = "tributary_edge_lines_acked_total";

/// Measures all rows.
pub(crate) async fn run(options: Options) -> Result<()> {
    let place = Place::make(&options.data.clone().unwrap_or_else(std::env::temp_dir), options.store.as_deref())?;
    let now = u64::try_from(jiff::Timestamp::now().as_nanosecond()).context("the clock stands before 1970")?;
    // Whole minutes, as dashboards ask for them.
    let begin_ns = (now - (HOURS + 1) * 3_600_000_000_000) / 60_000_000_000 * 60_000_000_000;
    let wanted = Wanted { bytes: options.mib << 20, seed: options.seed, begin_ns };
    let begun = Instant::now();
    let corpus = corpus::write(&place.join("pods"), wanted)?;
    let counts = corpus.counts;
    tell(&format!(
        "{} lines, {} message bytes in {} files, made in {:.1} s",
        counts.lines,
        counts.bytes,
        corpus.containers.len(),
        begun.elapsed().as_secs_f64()
    ));
    print_head(options.json);
    let bench = Bench { gib: counts.bytes as f64 / GIB, corpus, place, json: options.json };
    bench.yardsticks()?;
    let tokens = bench.place.prepare_hub().await?;
    let asker = Asker::new(tokens.reader)?;
    let mut hub = bench.place.start_hub().await?;
    bench.ship(&asker, &mut hub).await?;
    if options.edge {
        if !options.quick {
            bench.idle(&asker, &hub).await?;
        }
        return hub.end().await;
    }
    bench.stored(&asker, &hub).await?;
    bench.queries(&asker, &mut hub, "sections").await?;
    bench.absorb(&asker, &mut hub, &tokens.operator).await?;
    bench.queries(&asker, &mut hub, "segments").await?;
    if !options.quick {
        bench.idle(&asker, &hub).await?;
    }
    bench.restart(&asker, hub).await
}

struct Bench {
    corpus: Corpus,
    place: Place,
    /// Messages in GiB.
    gib: f64,
    json: bool,
}

impl Bench {
    fn yardsticks(&self) -> Result<()> {
        let measured = yardsticks::measure(&files_below(&self.place.join("pods"))?)?;
        let bytes = self.corpus.counts.bytes;
        let (ratio, speed) = (bytes as f64 / measured.zstd_bytes as f64, bytes as f64 / measured.memmem_cpu_s / 1e9);
        let row = Row { name: "yardstick: zstd -1", cpu_s: Some(measured.zstd_cpu_s), cpu_s_per_gib: Some(measured.zstd_cpu_s / self.gib), ..Row::default() };
        Row { bytes: Some(measured.zstd_bytes), ratio: Some(ratio), detail: "one thread, one stream".to_owned(), ..row }.print(self.json);
        let row =
            Row { name: "yardstick: memmem", cpu_s: Some(measured.memmem_cpu_s), cpu_s_per_gib: Some(measured.memmem_cpu_s / self.gib), ..Row::default() };
        Row { detail: format!("{speed:.1} GB/s, one thread"), ..row }.print(self.json);
        Ok(())
    }

    /// One edge ships everything; what that costs the edge and the hub.
    async fn ship(&self, asker: &Asker, hub: &mut Program) -> Result<()> {
        let lines = self.corpus.counts.lines;
        let before = hub.cost()?;
        let begun = Instant::now();
        let files = self.place.join("pods/*/*/0.log");
        let mut edge = self.place.start_edge("bench", &files.to_string_lossy(), &hub.address("quic")?).await?;
        let pages = edge.address("http")?;
        acked(asker, &mut edge, &pages, lines).await?;
        let (wall_s, cost, hub_cost) = (begun.elapsed().as_secs_f64(), edge.cost()?, hub.cost()?);
        let (raw, batches) = (asker.counter(&pages, "tributary_edge_raw_bytes_total").await?, asker.counter(&pages, "tributary_edge_batch_bytes_total").await?);
        ensure!(raw == self.corpus.counts.bytes, "the edge read {raw} message bytes of {}", self.corpus.counts.bytes);
        Row {
            name: "edge",
            cpu_s: Some(cost.cpu_s),
            cpu_s_per_gib: Some(cost.cpu_s / self.gib),
            wall_s: Some(wall_s),
            rss_peak_bytes: Some(cost.rss_peak),
            bytes: Some(batches),
            ratio: Some(raw as f64 / batches as f64),
            goal: "<= 8 CPU-s, <= 50 MiB",
            detail: format!("{:.0} MB/s of messages, {:.1} MB written to disk", raw as f64 / wall_s / 1e6, cost.written as f64 / 1e6),
        }
        .print(self.json);
        let cpu_s = hub_cost.cpu_s - before.cpu_s;
        Row {
            name: "hub, accept to ack",
            cpu_s: Some(cpu_s),
            cpu_s_per_gib: Some(cpu_s / self.gib),
            wall_s: Some(wall_s),
            rss_peak_bytes: Some(hub_cost.rss_peak),
            goal: "<= 2 CPU-s, <= 300 MiB",
            detail: format!("{:.1} MiB before the first batch", before.rss as f64 / f64::from(1 << 20)),
            ..Row::default()
        }
        .print(self.json);
        edge.end().await
    }

    async fn stored(&self, asker: &Asker, hub: &Program) -> Result<()> {
        let (bytes, detail) = match &self.place.store {
            StoreChoice::Folder(path) => (bytes_below(&path.join("lanes"))?, "all objects of lanes: lines, times, labels, snapshots"),
            StoreChoice::S3(_) => (asker.counter(&hub.address("admin")?, "tributary_hub_store_written_bytes_total").await?, "all bytes the hub wrote"),
        };
        let ratio = self.corpus.counts.bytes as f64 / bytes as f64;
        Row { name: "stored", bytes: Some(bytes), ratio: Some(ratio), goal: "all >= 4.6 (segments)", detail: detail.to_owned(), ..Row::default() }
            .print(self.json);
        Ok(())
    }

    /// Lane sections to segments, and those to larger ones, until nothing changes any more.
    async fn absorb(&self, asker: &Asker, hub: &mut Program, operator: &str) -> Result<()> {
        let admin = hub.address("admin")?;
        hub.forget_peak()?;
        let (before, begun) = (hub.cost()?, Instant::now());
        asker.absorb(&admin, operator).await?;
        let (absorbed, wall_s) = (hub.cost()?, begun.elapsed().as_secs_f64());
        let mut segments = asker.segments(&admin, operator).await?;
        let row = |name, cpu_s: f64, wall_s: f64, goal, peak, segments: Segments| Row {
            name,
            cpu_s: Some(cpu_s),
            cpu_s_per_gib: Some(cpu_s / self.gib),
            wall_s: Some(wall_s),
            rss_peak_bytes: Some(peak),
            bytes: Some(segments.bytes),
            ratio: Some(self.corpus.counts.bytes as f64 / segments.bytes as f64),
            goal,
            detail: format!("{} segments", segments.count),
        };
        row("absorption", absorbed.cpu_s - before.cpu_s, wall_s, "<= 10, all >= 4.6", absorbed.rss_peak, segments).print(self.json);
        let mut since = Instant::now();
        while since.elapsed() < MERGED_AFTER {
            sleep(Duration::from_secs(1)).await;
            let now = asker.segments(&admin, operator).await?;
            if now != segments {
                (segments, since) = (now, Instant::now());
            }
        }
        let merged = hub.cost()?;
        ensure!(segments.lines == self.corpus.counts.lines, "{} lines in segments, {} written", segments.lines, self.corpus.counts.lines);
        row("merging", merged.cpu_s - absorbed.cpu_s, begun.elapsed().as_secs_f64() - wall_s, "", merged.rss_peak, segments).print(self.json);
        Ok(())
    }

    async fn queries(&self, asker: &Asker, hub: &mut Program, over: &'static str) -> Result<()> {
        let (http, times) = (hub.address("http")?, (self.corpus.begin_ns, self.corpus.end_ns));
        for question in questions(&self.corpus)? {
            hub.forget_peak()?;
            let (mut cpus, mut walls, mut found) = (Vec::new(), Vec::new(), 0);
            for _ in 0..ASKED {
                let (before, begun) = (hub.cost()?.cpu_s, Instant::now());
                found = asker.ask(&http, &question, times).await?;
                walls.push(begun.elapsed().as_secs_f64());
                cpus.push(hub.cost()?.cpu_s - before);
            }
            let (first, first_cpu) = (walls[0], cpus[0]);
            let (cpu_s, wall_s) = (middle(&mut cpus), middle(&mut walls));
            Row {
                name: question.name,
                cpu_s: Some(cpu_s),
                cpu_s_per_gib: question.is_scaled.then_some(cpu_s / self.gib),
                wall_s: Some(wall_s),
                rss_peak_bytes: Some(hub.cost()?.rss_peak),
                goal: question.goal,
                detail: format!("{over}: {found} as written; first: {first_cpu:.2} CPU-s, {first:.3} s"),
                ..Row::default()
            }
            .print(self.json);
        }
        Ok(())
    }

    /// An edge over files that say nothing.
    async fn idle(&self, asker: &Asker, hub: &Program) -> Result<()> {
        for at in 0..IDLE_FILES {
            let dir = self.place.join(&format!("silent/idle_pod-{at}_0/idle"));
            fs::create_dir_all(&dir)?;
            let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000000000Z").to_string();
            fs::write(dir.join("0.log"), (0..IDLE_LINES).map(|line| format!("{time} stdout F line {line} of {at}\n")).collect::<String>())?;
        }
        let files = self.place.join("silent/*/*/0.log");
        let mut edge = self.place.start_edge("idle", &files.to_string_lossy(), &hub.address("quic")?).await?;
        let pages = edge.address("http")?;
        acked(asker, &mut edge, &pages, IDLE_FILES * IDLE_LINES).await?;
        sleep(IDLE_SETTLE).await;
        let (before, begun) = (edge.cost()?, Instant::now());
        sleep(IDLE_MEASURED).await;
        let after = edge.cost()?;
        let (cpu_s, wall_s) = (after.cpu_s - before.cpu_s, begun.elapsed().as_secs_f64());
        Row {
            name: "edge, idle, 500 files",
            cpu_s: Some(cpu_s),
            wall_s: Some(wall_s),
            rss_peak_bytes: Some(after.rss_peak),
            goal: "< 0.1 a min, <= 20 MiB",
            detail: format!("{:.2} CPU-s a minute, {:.1} MiB now", cpu_s * 60.0 / wall_s, after.rss as f64 / f64::from(1 << 20)),
            ..Row::default()
        }
        .print(self.json);
        edge.end().await
    }

    /// kill -9, and how soon a new hub listens and answers.
    async fn restart(&self, asker: &Asker, hub: Program) -> Result<()> {
        hub.kill().await?;
        let begun = Instant::now();
        let mut hub = self.place.start_hub().await?;
        let cost = hub.cost()?;
        let questions = questions(&self.corpus)?;
        let needle = questions.first().context("a bench asks something")?;
        asker.ask(&hub.address("http")?, needle, (self.corpus.begin_ns, self.corpus.end_ns)).await?;
        let answered_s = begun.elapsed().as_secs_f64();
        Row {
            name: "hub, start after kill -9",
            cpu_s: Some(cost.cpu_s),
            wall_s: Some(hub.start.as_secs_f64()),
            rss_peak_bytes: Some(cost.rss_peak),
            goal: "< 0.5 s, < 60 MiB",
            detail: format!("the needle found in all lines {answered_s:.3} s after its start"),
            ..Row::default()
        }
        .print(self.json);
        hub.end().await
    }
}

/// Waits until the edge has `lines` acked.
async fn acked(asker: &Asker, edge: &mut Program, pages: &str, lines: u64) -> Result<()> {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let now = asker.counter(pages, ACKED).await?;
        ensure!(now <= lines, "{now} lines acked of {lines} written");
        if now == lines {
            return Ok(());
        }
        if now != last {
            (last, since) = (now, Instant::now());
        }
        edge.cost()?;
        ensure!(since.elapsed() < QUIET_MAX, "{now} lines acked of {lines} written, none for {} s", QUIET_MAX.as_secs());
        sleep(LOOK_EVERY).await;
    }
}

/// The middle one.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// All log files, in order.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
