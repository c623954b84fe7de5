//! What must hold: every line once, byte for byte, in order; memory flat.
//!
//! [`Check::follow`] reads what was written part by part while the soak runs (a part is done when all of it is there);
//! [`Check::finish`] waits for the rest and reads everything again, on every hub. Memory: of the last hub and the last
//! edge, which are never killed, the median of the last quarter against that of the second.

use std::time::{Duration, Instant};

use tests::ask::Ask;
use tests::lines::{Reckoning, SAME_TIME, reckon_part};

use crate::site::Site;

/// Runs shorter than this say nothing about memory.
const MEMORY_RUN_MIN: Duration = Duration::from_secs(240);
/// Memory may grow by a quarter and so many bytes: caches fill, allocators keep.
const MEMORY_SLACK: u64 = 24 * 1024 * 1024;
const MIB: u64 = 1024 * 1024;
/// Lines of one question, of all files.
const PART_LINES: u64 = 40_000;
const SELECTOR: &str = "{cluster=\"alpha\"}";
const PAGE: usize = 20_000;

/// When, and the memory of the last hub and the last edge.
type Sample = (Duration, u64, u64);
/// One of the two.
type Of = fn(&Sample) -> u64;

/// What was seen so far.
pub(crate) struct Check {
    /// Numbers of a file in one part.
    part: u64,
    /// Parts that were complete.
    parts: u64,
    /// Lines found in the first that was not.
    beyond: u64,
    files: u64,
    acked: f64,
    acked_of: Vec<f64>,
    /// Of the last hub and the last edge.
    memory: Vec<Sample>,
    shown: String,
    peak: (u64, u64),
    /// The worst that was found.
    breaches: Vec<String>,
    sum: Reckoning,
    took: Duration,
}

/// What it comes to.
pub(crate) struct Verdict {
    pub(crate) held: bool,
    pub(crate) text: String,
}

impl Check {
    pub(crate) fn new(site: &Site) -> Self {
        let files = site.written().len() as u64;
        Self {
            part: (PART_LINES / files / SAME_TIME).max(1) * SAME_TIME,
            parts: 0,
            beyond: 0,
            files,
            acked: 0.0,
            acked_of: vec![0.0; site.edges.len()],
            memory: Vec::new(),
            shown: String::new(),
            peak: (0, 0),
            breaches: Vec::new(),
            sum: Reckoning::default(),
            took: Duration::ZERO,
        }
    }

    /// Memory and acks now.
    pub(crate) async fn sample(&mut self, site: &mut Site, at: Duration) {
        for (n, edge) in site.edges.iter().enumerate().filter(|(_, edge)| edge.runs()) {
            let asked = tokio::time::timeout(Duration::from_millis(300), edge.metric("tributary_edge_lines_acked_total", "")).await;
            if let Ok(Some(acked)) = asked {
                // A new process counts from 0.
                self.acked += if acked >= self.acked_of[n] { acked - self.acked_of[n] } else { acked };
                self.acked_of[n] = acked;
            }
        }
        let hubs: Vec<u64> = site.hubs.iter_mut().map(|hub| if hub.runs() { hub.process().rss_bytes() } else { 0 }).collect();
        let edges: Vec<u64> = site.edges.iter_mut().map(|edge| if edge.runs() { edge.process().rss_bytes() } else { 0 }).collect();
        let told = |all: &[u64]| all.iter().map(|bytes| (bytes / MIB).to_string()).collect::<Vec<_>>().join("/");
        self.shown = format!("RSS MiB hubs {} edges {}", told(&hubs), told(&edges));
        self.peak = (self.peak.0.max(hubs.iter().copied().max().unwrap_or(0)), self.peak.1.max(edges.iter().copied().max().unwrap_or(0)));
        self.memory.push((at, hubs.last().copied().unwrap_or(0), edges.last().copied().unwrap_or(0)));
    }

    /// Reads on, on the first hub that answers, for about 3 s.
    pub(crate) async fn follow(&mut self, site: &Site) {
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            let written = site.written().iter().map(|(_, written)| *written).min().unwrap_or(0);
            let mut found = None;
            for hub in site.hubs.iter().filter(|hub| hub.runs()) {
                let asked = tokio::time::timeout(Duration::from_secs(3), self.read(site, &Ask::new(&hub.url(), &hub.acme), self.parts)).await;
                if let Ok(Ok(reckoning)) = asked {
                    found = Some(reckoning);
                    break;
                }
            }
            let Some(reckoning) = found else { return };
            self.judge(&reckoning, "while it ran");
            self.beyond = reckoning.once;
            if reckoning.missing_count > 0 || written < (self.parts + 1) * self.part {
                return;
            }
            self.parts += 1;
            self.beyond = 0;
        }
    }

    /// One part on one hub.
    async fn read(&self, site: &Site, ask: &Ask, part: u64) -> Result<Reckoning, String> {
        let (first, end) = (part * self.part, (part + 1) * self.part);
        let time = |number: u64| site.base_ns + i64::try_from(number).expect("few lines") * site.step_ns;
        let found = ask.try_every_line(SELECTOR, time(first), time(end), PAGE).await?;
        let expected = site.written().into_iter().map(|(name, written)| (name, (first.max(1), end.min(written + 1).max(first.max(1)))));
        Ok(reckon_part(&found, &expected.collect()))
    }

    fn judge(&mut self, reckoning: &Reckoning, when: &str) {
        let bad = reckoning.repeated > 0 || reckoning.disordered > 0 || !reckoning.foreign.is_empty();
        if bad && self.breaches.len() < 20 {
            let text = format!(
                "{when}: {} repeated, {} out of order, {} foreign {:?}",
                reckoning.repeated,
                reckoning.disordered,
                reckoning.foreign.len(),
                reckoning.foreign.first()
            );
            println!("BREACH {text}");
            self.breaches.push(text);
        }
    }

    /// One line.
    pub(crate) fn progress(&self, site: &Site) -> String {
        let written: u64 = site.written().iter().map(|(_, written)| written).sum();
        let queryable = (self.parts * self.part).saturating_sub(1) * self.files + self.beyond;
        format!("written {written} acked >={:.0} queryable {queryable}  {}", self.acked, self.shown)
    }

    /// Waits until all that was written is there, then reads all of it on every hub; whether it came in time.
    pub(crate) async fn finish(&mut self, site: &mut Site, within: Duration, began: Instant) -> bool {
        let (from, mut drained) = (Instant::now(), false);
        let written: u64 = site.written().iter().map(|(_, written)| written).sum();
        while !drained && from.elapsed() < within {
            self.follow(site).await;
            self.sample(site, began.elapsed()).await;
            drained = (self.parts * self.part).saturating_sub(1) * self.files + self.beyond >= written;
            println!("drain {:4.0}s {}", from.elapsed().as_secs_f64(), self.progress(site));
            if !drained {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
        self.took = from.elapsed();
        let longest = site.written().iter().map(|(_, written)| *written).max().unwrap_or(0);
        for (n, hub) in site.hubs.iter().enumerate() {
            let (ask, mut sum) = (Ask::new(&hub.url(), &hub.acme), Reckoning::default());
            for part in 0..=longest / self.part {
                match self.read(site, &ask, part).await {
                    Ok(found) => {
                        sum.once += found.once;
                        sum.missing_count += found.missing_count;
                        sum.missing.extend(found.missing.into_iter().take(3));
                        sum.repeated += found.repeated;
                        sum.disordered += found.disordered;
                        sum.foreign.extend(found.foreign.into_iter().take(3));
                    }
                    Err(why) => self.breaches.push(format!("hub {n} does not answer at the end: {why}")),
                }
            }
            println!(
                "hub {n}: {} once, {} missing, {} repeated, {} out of order, {} foreign",
                sum.once,
                sum.missing_count,
                sum.repeated,
                sum.disordered,
                sum.foreign.len()
            );
            if !sum.is_exact() {
                sum.missing.truncate(10);
                self.breaches.push(format!("at the end, hub {n}: {sum:?}"));
            }
            self.sum = sum;
        }
        drained
    }

    /// The last word.
    pub(crate) fn verdict(&self, site: &Site, drained: bool) -> Verdict {
        let (flat, memory) = self.memory_flat();
        let written: u64 = site.written().iter().map(|(_, written)| written).sum();
        let held = drained && flat && self.breaches.is_empty() && self.sum.once == written;
        let mut text = format!(
            "{}: {written} lines written, {} once, {} missing, {} duplicated, {} out of order; drained in {:.0?}{}; {memory}; peak RSS hub {} MiB, edge {} MiB",
            if held { "HELD" } else { "FAILED" },
            self.sum.once,
            self.sum.missing_count,
            self.sum.repeated,
            self.sum.disordered,
            self.took,
            if drained { "" } else { " (NOT ALL)" },
            self.peak.0 / MIB,
            self.peak.1 / MIB
        );
        for breach in &self.breaches {
            text.push_str(&format!("\n  {breach}"));
        }
        Verdict { held, text }
    }

    fn memory_flat(&self) -> (bool, String) {
        let last = self.memory.last().map_or(Duration::ZERO, |sample| sample.0);
        if last < MEMORY_RUN_MIN {
            return (true, format!("memory not judged (runs of {MEMORY_RUN_MIN:?} and more are)"));
        }
        let quarter = |from: u32, of: Of| {
            let mut values: Vec<u64> = self
                .memory
                .iter()
                .filter(|sample| sample.0 >= last / 4 * from && sample.0 < last / 4 * (from + 1))
                .map(of)
                .filter(|bytes| *bytes > 0)
                .collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or(0)
        };
        let (mut flat, mut texts) = (true, Vec::new());
        let kinds: [(&str, Of); 2] = [("hub", |sample| sample.1), ("edge", |sample| sample.2)];
        for (name, of) in kinds {
            let (early, late) = (quarter(1, of), quarter(3, of));
            flat &= late <= early + early / 4 + MEMORY_SLACK;
            texts.push(format!("{name} {} -> {} MiB", early / MIB, late / MIB));
        }
        (flat, format!("memory {} ({})", if flat { "flat" } else { "GREW" }, texts.join(", ")))
    }
}
