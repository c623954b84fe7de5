//! A row of the bench, and how it is printed: a table for people, JSON objects for programs.

use std::io::Write as _;

use serde::Serialize;

/// One line of what is measured; what does not apply is left out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: &'static str,
    /// CPU seconds, user and system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_s: Option<f64>,
    /// The same for 1 GiB of messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_s_per_gib: Option<f64>,
    /// Wall clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wall_s: Option<f64>,
    /// Most memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rss_peak_bytes: Option<u64>,
    /// Bytes that came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    /// Message bytes for each byte that came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    /// What it must reach; empty for a yardstick.
    pub(crate) goal: &'static str,
    /// What else was seen.
    pub(crate) detail: String,
}

/// Prints the head of the table.
pub(crate) fn print_head(is_json: bool) {
    if !is_json {
        print(&line(["row", "CPU-s/GiB", "CPU-s", "wall s", "peak MiB", "MB out", "ratio", "goal", "detail"].map(str::to_owned)));
    }
}

impl Row {
    /// Prints it.
    pub(crate) fn print(&self, is_json: bool) {
        if is_json {
            print(&serde_json::to_string(self).expect("a row is made of numbers and texts"));
            return;
        }
        let number = |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
        print(&line([
            self.name.to_owned(),
            number(self.cpu_s_per_gib, 3),
            number(self.cpu_s, 2),
            number(self.wall_s, 3),
            number(self.rss_peak_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20)), 1),
            number(self.bytes.map(|bytes| bytes as f64 / 1e6), 1),
            number(self.ratio, 2),
            if self.goal.is_empty() { "-" } else { self.goal }.to_owned(),
            self.detail.clone(),
        ]));
    }
}

fn line(cells: [String; 9]) -> String {
    let [name, gib, cpu, wall, rss, bytes, ratio, goal, detail] = cells;
    format!("{name:<28} {gib:>9} {cpu:>7} {wall:>8} {rss:>8} {bytes:>8} {ratio:>6}  {goal:<22} {detail}").trim_end().to_owned()
}

/// To stdout at once; a closed pipe ends the bench no sooner than its programs.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}
