//! What is there, for people: the state of a running edge, the records of a WAL.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use edge::http::Client;
use edge::http::answer::json;
use edge::settings::http::HttpSettings;
use edge::status::view::{Look, view};
use edge_wal::Inspected;
use proto_seam::{Disk, World};
use serde_json::Value;
use tokio::time::Instant;

use crate::{complain, say, wal_failed};

/// Columns where nobody says how wide the terminal is.
const WIDTH: usize = 80;
/// For an answer, and its largest.
const WITHIN: Duration = Duration::from_secs(5);
const REPORT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Moves to the corner and clears what was there.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J\u{1b}[3J";

/// Asks a running edge how it is, once or every `watch` seconds.
pub(crate) async fn status(url: &str, (json, watch): (bool, Option<u64>), world: &World) -> u8 {
    let client = Client::new(HttpSettings::default(), None, world);
    let mut before: Option<(Value, Instant)> = None;
    loop {
        let asked = ask(&client, url).await;
        let at = Instant::now();
        let is_read = match &asked {
            Ok(report) if json => show(&format!("{report}\n"), false),
            Ok(report) => {
                let before = before.as_ref().map(|(report, then)| (report, at.duration_since(*then)));
                show(&view(report, before, look()), watch.is_some())
            }
            // One that is being restarted is there again soon.
            Err(why) => {
                complain(why);
                true
            }
        };
        let Some(seconds) = watch.filter(|_| is_read) else { return u8::from(asked.is_err()) };
        before = asked.ok().map(|report| (report, at));
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

async fn ask(client: &Client, url: &str) -> Result<Value, String> {
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err(format!("{url} is no url: write --url http://127.0.0.1:9080, with the address of the edge's setting `server`"));
    }
    let asked = async { json(client.get(&format!("{}/status", url.trim_end_matches('/')), &[], WITHIN).await?, REPORT_BYTES_MAX, WITHIN).await };
    asked.await.map_err(|why| format!("no edge answers at {url}: {why}; is it running, and is its `server` address this one"))
}

/// How wide the terminal is, and whether it is one that has colours.
fn look() -> Look {
    let out = std::io::stdout();
    let width = rustix::termios::tcgetwinsize(&out).ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0);
    let width = width.or_else(|| variable("COLUMNS")?.parse().ok()).unwrap_or(WIDTH);
    let is_plain = variable("NO_COLOR").is_some_and(|value| !value.is_empty()) || variable("TERM").is_some_and(|value| value == "dumb");
    Look { width, colour: out.is_terminal() && !is_plain }
}

fn variable(name: &str) -> Option<String> {
    proto_boot::settings::process_environment().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// Prints; false when nobody reads it any more.
fn show(text: &str, again: bool) -> bool {
    let mut out = std::io::stdout();
    let begin = if again && out.is_terminal() { CLEAR } else { "" };
    write!(out, "{begin}{text}").and_then(|()| out.flush()).is_ok()
}

pub(crate) fn inspect(disk: &dyn Disk, dir: &Path, json: bool) -> u8 {
    let show = |record: Inspected| {
        let kind = record.kind.as_str();
        let Inspected { file, offset, track, sequence, lines, bytes, .. } = record;
        if json {
            let object =
                serde_json::json!({"kind": kind, "file": file, "offset": offset, "track": track, "sequence": sequence, "lines": lines, "bytes": bytes});
            say(&object.to_string());
        } else {
            say(&format!("{kind:10} {file} at {offset:>10}  track {track} sequence {sequence:>8}  {lines:>7} lines {bytes:>9} bytes"));
        }
    };
    match edge_wal::inspect(dir, disk, &mut { show }) {
        Ok(summary) if summary.files == 0 => {
            complain(&format!("no file of a WAL is in {}: name the folder of the setting wal.dir", dir.display()));
            1
        }
        Ok(summary) => {
            if json {
                let object = serde_json::json!({"kind": "summary", "records": summary.records, "bad": summary.bad, "torn_bytes": summary.torn_bytes, "lines": summary.lines});
                say(&object.to_string());
            } else {
                say(&format!("{} records, {} bad, {} torn bytes, {} lines", summary.records, summary.bad, summary.torn_bytes, summary.lines));
            }
            if summary.bad > 0 { 4 } else { 0 }
        }
        Err(fault) => wal_failed(&fault),
    }
}
