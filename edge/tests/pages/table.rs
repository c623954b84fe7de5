//! `docs/metrics.md`, row by row.

use std::collections::BTreeSet;

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) there: String,
}

impl Row {
    /// Whether it stands for names, types and labels that settings choose.
    pub(crate) fn is_open(&self) -> bool {
        self.name.ends_with('*')
    }

    pub(crate) fn names(&self, name: &str) -> bool {
        self.name.strip_suffix('*').map_or(self.name == name, |begin| name.starts_with(begin))
    }
}

/// All rows; each has a name, a type, and says when it is there and what it means.
pub(crate) fn read() -> Vec<Row> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md")).unwrap();
    let rows: Vec<Row> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, kind, labels, there, meaning] = cells[..] else { panic!("{line} has {} cells", cells.len()) };
            assert!(!there.is_empty() && !meaning.is_empty(), "{line}");
            assert!(["counter", "gauge", "histogram", "any"].contains(&kind), "{line}");
            let labels = labels.split(',').map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect();
            Row { name: name.trim_matches('`').to_owned(), kind: kind.to_owned(), labels, there: there.to_owned() }
        })
        .collect();
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert!(rows.len() > 60 && names.len() == rows.len(), "{} rows, {} names", rows.len(), names.len());
    rows
}
