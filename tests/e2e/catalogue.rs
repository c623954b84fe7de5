//! `docs/bad-input.md` is true: each row of the catalogue names tests, and each of them exists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows that are the edge's.
fn wanted() -> impl Iterator<Item = u32> {
    (1..=35).chain(95..=99)
}

/// The page's rows: number, and the tests named there (`file` `function`).
fn rows(page: &str) -> BTreeMap<u32, Vec<(String, String)>> {
    let cells = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        Some((cells.first()?.parse::<u32>().ok()?, *cells.get(3)?))
    });
    let named = |cell: &str| -> Vec<(String, String)> {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.filter_map(|test| test.split_once("::").map(|(file, name)| (file.to_owned(), name.to_owned()))).collect()
    };
    cells.map(|(number, cell)| (number, named(cell))).collect()
}

/// Whether `file` has a test of this name that runs by itself.
fn has_test(file: &Path, name: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_it =
        |line: &str| line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('));
    lines.iter().enumerate().any(|(at, line)| {
        let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).copied().collect::<Vec<_>>();
        is_it(line) && above.iter().any(|line| line.contains("test")) && !above.iter().any(|line| line.starts_with("#[ignore"))
    })
}

#[test]
fn every_row_of_the_catalogue_names_tests_that_exist() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/bad-input.md")).expect("the page can be read");
    let rows = rows(&page);
    let mut wrong = Vec::new();
    for number in wanted() {
        match rows.get(&number) {
            None => wrong.push(format!("row {number} is not on the page")),
            Some(tests) if tests.is_empty() => wrong.push(format!("row {number} names no test")),
            Some(tests) => {
                let absent = tests.iter().filter(|(file, name)| !has_test(&root.join(file), name));
                wrong.extend(absent.map(|(file, name)| format!("row {number}: {file} has no test {name}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!has_test(&root.join("tests/e2e/catalogue.rs"), "rows"), "what is no test does not count");
}
