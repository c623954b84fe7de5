//! Promtail's positions are taken over once, by the program itself: a kill right after changes nothing.

use super::*;

const OPEN: &str = "server: {http_listen_address: 127.0.0.1, http_listen_port: 0}\n";

/// What a dry run would send first: until `last` comes.
fn shown(file: &str, last: &str) -> Vec<String> {
    let mut running = Running::start(edge(&["-config.file", file, "-dry-run"]));
    let mut lines = Vec::new();
    loop {
        let line = running.line();
        assert!(!line.is_empty(), "{lines:?}");
        lines.push(line.rsplit('\t').next().unwrap().to_owned());
        if lines.last().is_some_and(|line| line == last) {
            assert_eq!(running.end(), 0);
            return lines;
        }
    }
}

fn files(place: &Place) -> serde_json::Value {
    let (_, out, _) = ran(&["wal", "inspect", &place.path("wal"), "--json"]);
    serde_json::from_str(out.lines().last().unwrap_or("{}")).unwrap_or_default()
}

#[test]
fn positions_are_taken_over_once_and_a_kill_after_it_changes_nothing() {
    let place = Place::new();
    place.write("a.log", "one\ntwo\nthree\nfour\n");
    place.write("positions.yaml", &format!("positions:\n  {}: \"8\"\n", place.path("a.log")));
    let more = format!("{HUB}{OPEN}positions: {{filename: {}}}\n", place.path("positions.yaml"));
    let file = place.settings("job: a", "", &more);
    assert_eq!(shown(&file, "four"), ["three", "four"], "a dry run begins there too");
    assert!(!Path::new(&place.path("wal")).exists(), "and writes nothing");

    let mut running = Running::start(edge(&["-config.file", &file]));
    running.address();
    until("what was not read is in the WAL", || files(&place)["lines"].as_u64() == Some(2));
    running.signal("KILL");
    assert!(!running.0.wait().unwrap().success());
    // The other agent's file is stale now, and says so: it is not looked at again, not even where it is damaged.
    place.write("positions.yaml", &format!("positions:\n  {}: \"-1\"\n", place.path("a.log")));
    std::fs::OpenOptions::new().append(true).open(place.path("a.log")).unwrap().write_all(b"five\n").unwrap();
    assert_eq!(shown(&file, "five"), ["five"]);
}

#[test]
fn an_entry_in_doubt_stops_the_start_before_anything_is_made() {
    let place = Place::new();
    place.write("a.log", "one\ntwo\n");
    place.write("positions.yaml", &format!("positions:\n  {}: \"9000\"\n", place.path("a.log")));
    let more = format!("{HUB}{OPEN}positions: {{filename: {}}}\n", place.path("positions.yaml"));
    let file = place.settings("job: a", "", &more);
    let (code, out, err) = ran(&["-config.file", &file]);
    assert!(code == 2 && out.is_empty() && err.contains("positions.yaml:2:3: error: ") && err.contains("when_doubtful"), "{code} {out} {err}");
    assert!(!Path::new(&place.path("wal")).exists());
    assert_eq!(ran(&["-config.file", &file, "-dry-run"]).0, 2);
    let more = more.replace("positions: {", "positions: {when_doubtful: start, ");
    assert_eq!(shown(&place.settings("job: a", "", &more), "two"), ["one", "two"]);
}

#[test]
fn a_wal_that_holds_lines_takes_nothing_over() {
    let place = Place::new();
    place.write("a.log", "one\n");
    let more = format!("{HUB}{OPEN}positions: {{filename: {}}}\n", place.path("positions.yaml"));
    let file = place.settings("job: a", "", &more);
    let mut running = Running::start(edge(&["-config.file", &file]));
    running.address();
    until("the line is in the WAL", || files(&place)["lines"].as_u64() == Some(1));
    assert_eq!(running.end(), 0);
    // Of another time, and damaged: of no concern to an edge that has its own.
    place.write("positions.yaml", "positions: [");
    std::fs::OpenOptions::new().append(true).open(place.path("a.log")).unwrap().write_all(b"two\n").unwrap();
    assert_eq!(shown(&file, "two"), ["two"]);
}
