//! What is there, for people: the state of a running edge, the records of a WAL.

use std::path::Path;
use std::time::Duration;

use edge_wal::{Inspected, InspectedKind};
use proto_seam::Disk;

use crate::{complain, say, wal_failed};

pub(crate) async fn status(url: &str, json: bool) -> u8 {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build();
    let asked = async { client?.get(format!("{}/status", url.trim_end_matches('/'))).send().await?.error_for_status()?.json::<serde_json::Value>().await };
    match asked.await {
        Ok(report) if json => say(&report.to_string()),
        Ok(report) => {
            for (name, value) in report.as_object().into_iter().flatten() {
                say(&format!("{name:18} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
            }
        }
        Err(fault) => {
            complain(&format!("no edge answers at {url}: {fault}; is it running, and is its `server` address this one"));
            return 1;
        }
    }
    0
}

pub(crate) fn inspect(disk: &dyn Disk, dir: &Path, json: bool) -> u8 {
    let show = |record: Inspected| {
        let kind = match record.kind {
            InspectedKind::Batch => "batch",
            InspectedKind::Gap => "gap",
            InspectedKind::Checkpoint => "checkpoint",
            InspectedKind::Control => "control",
            InspectedKind::Bad => "bad",
        };
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
