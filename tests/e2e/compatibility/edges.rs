//! Short lives of an edge and its hub, for rows of the page that speak of edges.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tests::ask::Ask;
use tests::hub::Hub;
use tests::lines::{Writer, time_base_ns};
use tests::place;

use super::probe::Held;
use crate::{Wish, edge_with, settle};

/// What happens, in words: `write` (50 lines), `away` and `back` (the hub is killed and comes again), `dies` and `returns` (the edge),
/// `torn` (its WAL ends in bytes that are no record). In the end all lines are at their tenant, each once and in order, and at no other.
pub(super) async fn lives(script: &str, expected: &str) -> Held {
    let dir = place::folder("lives");
    let wal = dir.path().join("wal");
    let mut hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let mut edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &Wish { wal_dir: Some(&wal), ..Wish::default() });
    let base = time_base_ns();
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    for word in script.split(' ') {
        match word {
            "write" => {
                writer.write(50);
                tokio::time::sleep(Duration::from_millis(1_500)).await;
            }
            "away" => hub.kill(),
            "back" => hub.resume(),
            "dies" => edge.kill(),
            "returns" => edge.resume(),
            "torn" => tear(&wal),
            other => return Err(format!("{other} is nothing that happens to an edge")),
        }
    }
    settle(&hub, "{cluster=\"alpha\"}", &[&writer], base, Duration::from_secs(60)).await;
    let blue = Ask::new(&hub.url(), &hub.blue).count("{cluster=~\".+\"}").await;
    if blue == 0 && writer.written.to_string() == expected { Ok(()) } else { Err(format!("{} lines, {blue} at another tenant", writer.written)) }
}

/// Writes what a crash may leave: half a record.
fn tear(folder: &Path) {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "wal"));
    files.sort();
    let newest = files.pop().unwrap_or_else(|| panic!("no WAL in {}", folder.display()));
    OpenOptions::new().append(true).open(newest).unwrap().write_all(&[7; 100]).unwrap();
}
