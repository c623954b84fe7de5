//! `docs/compatibility.md` against a real hub: every row of its tables names a probe, and every probe holds.
//!
//! Parts: the page's rows; `probe` (what a probe is and asks); `edges` (those with an edge).

mod edges;
mod probe;

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use probe::probe;

use crate::site::Site;

/// A row: what, verdict, probe.
struct Row {
    what: String,
    verdict: String,
    here: String,
    probe: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Cells of a table's line; `\|` is a bar within a cell.
fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{1}");
    inner.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|--")) {
        let cells = cells(line);
        assert_eq!(cells.len(), 4, "{line}");
        if cells[3] == "probe" {
            continue;
        }
        let probe = cells[3].strip_prefix('`').and_then(|probe| probe.strip_suffix('`')).unwrap_or_else(|| panic!("no probe: {line}"));
        rows.push(Row { what: cells[0].clone(), verdict: cells[1].clone(), here: cells[2].clone(), probe: probe.replace("\\n", "\n") });
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_page_holds() {
    // A site of its own: some rows write.
    let site = Site::start().await;
    let rows = rows();
    assert!(rows.len() > 250, "{} rows", rows.len());
    for row in &rows {
        assert!(["same", "better", "absent"].contains(&row.verdict.as_str()), "{}: {}", row.what, row.verdict);
        assert!(row.verdict == "same" || !row.here.is_empty(), "{}: {} without a word", row.what, row.verdict);
    }
    // Those with a hub of their own go beside each other.
    let (own, shared): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.probe.starts_with("UNDER ") || row.probe.contains("EDGE "));
    let asked = async |row: &Row| probe(&site, &row.probe).await.err().map(|found| format!("{} | {} | {found}", row.what, row.probe));
    let mut wrong: Vec<String> = futures::stream::iter(own).map(&asked).buffer_unordered(3).filter_map(async |found| found).collect().await;
    for row in shared {
        wrong.extend(asked(row).await);
    }
    let unasked: Vec<&str> = rows.iter().filter(|row| row.probe.starts_with("TEST ")).map(|row| row.what.as_str()).collect();
    assert!(unasked.len() <= 1, "rows that ask no hub: {unasked:?}");
    assert!(wrong.is_empty(), "{} of {} rows do not hold:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    // The other way round: everything the hub serves that Loki has is on the page.
    let page = std::fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let routes = std::fs::read_to_string(root().join("hub/src/api.rs")).unwrap();
    for route in routes.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(route) || route == "/loki/api/v1/cardinality", "{route} is not on the page");
    }
}
