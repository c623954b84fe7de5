//! Blocks of lines: joined, sent, bounded.

use std::time::Duration;

use proto_model::Timestamp;

use crate::limits::{BLOCKS_MAX, LINE_BYTES_MAX};
use crate::testing::{NOW, feed, lines, run, sent, through};

const FIRST: &str = "- multiline: {firstline: '^START'}\n";

#[test]
fn a_block_reaches_to_the_next_first_line() {
    let given = ["START one", "  two", "", "START three", "four"];
    let (out, _) = through(FIRST, &given);
    assert_eq!(lines(&out), ["START one\n  two\n", "START three\nfour"]);
}

#[test]
fn lines_before_the_first_match_pass() {
    let (out, _) = through(FIRST, &["not", "yet", "START a", "b"]);
    assert_eq!(lines(&out), ["not", "yet", "START a\nb"]);
}

#[test]
fn a_block_has_the_time_labels_and_values_of_its_first_line() {
    let yaml = "
- cri: {}
- regex: {expression: '^START (?P<id>\\w+)'}
- multiline: {firstline: '^START'}
- labels: {id: }
";
    let given = [
        "2024-01-01T00:00:01Z stdout F START a",
        "2024-01-01T00:00:02Z stderr F START x",
        "2024-01-01T00:00:03Z stdout F more",
        "2024-01-01T00:00:04Z stderr F else",
    ];
    let (out, _) = through(yaml, &given);
    assert_eq!(lines(&out), ["START a\nmore", "START x\nelse"], "blocks of two streams do not mix");
    assert_eq!(out[0].labels, r#"{id="a", job="test", stream="stdout"}"#);
    assert_eq!(out[0].time, Timestamp::from_secs(1_704_067_201));
}

#[test]
fn a_block_is_sent_at_its_longest() {
    let (out, _) = through("- multiline: {firstline: '^START', max_lines: 3}", &["START", "1", "2", "3", "4", "START", "5"]);
    assert_eq!(lines(&out), ["START\n1\n2", "3\n4", "START\n5"]);
}

#[test]
fn without_a_longest_a_block_goes_on() {
    let given: Vec<String> = std::iter::once("START".to_owned()).chain((0..500).map(|n| n.to_string())).collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let (out, _) = through("- multiline: {firstline: '^START', max_lines: 0}", &given);
    assert_eq!(lines(&out), [given.join("\n")]);
    let (out, _) = through(FIRST, &given);
    assert_eq!(lines(&out)[0].lines().count(), 128, "Promtail's default");
}

#[test]
fn a_block_is_sent_when_its_next_line_does_not_come() {
    let mut run = run("- multiline: {firstline: '^START', max_wait_time: 5s}", &[("job", "test")]);
    feed(&mut run, &["START"]);
    let second = Duration::from_secs(1);
    run.line(b"one", NOW.plus(4 * second), &mut |_| panic!("nothing is sent yet"));
    assert_eq!(run.deadline(), Some(NOW.plus(9 * second)));
    assert_eq!(sent(|out| run.tick(NOW.plus(8 * second), out)), []);
    let out = sent(|out| run.tick(NOW.plus(9 * second), out));
    assert_eq!((lines(&out), out[0].time), (vec!["START\none"], NOW));
    assert_eq!(run.deadline(), None);
    let mut late = Vec::new();
    run.line(b"late", NOW.plus(20 * second), &mut |record| late.push(record.line.to_vec()));
    assert_eq!(late, Vec::<Vec<u8>>::new(), "a line after it begins a block again");
    let out = sent(|out| run.finish(NOW.plus(21 * second), out));
    assert_eq!((lines(&out), out[0].time), (vec!["late"], NOW), "under the same first line");
}

#[test]
fn a_block_too_large_is_sent_in_parts() {
    let mut run = run("- multiline: {firstline: '^S', max_lines: 0}", &[]);
    let mut all = vec![format!("S{}", "s".repeat(99_999))];
    all.extend((0..25).map(|n| format!("{n}{}", "-".repeat(99_998))));
    let mut out = Vec::new();
    for line in &all {
        out.extend(feed(&mut run, &[line]));
        assert!(run.state.held <= LINE_BYTES_MAX);
        assert_eq!(run.state.held, run.state.held_bytes());
    }
    out.extend(sent(|out| run.finish(NOW, out)));
    assert_eq!(lines(&out).join("\n"), all.join("\n"), "nothing is lost and nothing is cut");
    assert!(out.len() > 2 && out.iter().all(|record| record.line.len() <= LINE_BYTES_MAX));
    assert!(run.take_counters().is_empty());
}

#[test]
fn blocks_give_way_to_each_other_and_to_partial_lines() {
    let mut run = run("- cri: {}\n- regex: {expression: '^S(?P<id>\\d+)'}\n- labels: {id: }\n- multiline: {firstline: '^S', max_lines: 0}\n", &[]);
    let mut out = Vec::new();
    for n in 0..8 {
        out.extend(feed(&mut run, &[&format!("2024-01-01T00:00:00Z stdout F S{n} {}", "b".repeat(200_000))]));
        assert!(run.state.held <= LINE_BYTES_MAX);
    }
    assert!(out[0].line.starts_with("S0 "), "the oldest goes first");
    let piece = format!("2024-01-01T00:00:00Z stdout P {}", "p".repeat(900_000));
    out.extend(feed(&mut run, &[&piece]));
    assert!(run.state.held <= LINE_BYTES_MAX);
    out.extend(feed(&mut run, &["2024-01-01T00:00:00Z stdout F ."]));
    assert_eq!(out.last().map(|record| record.line.len()), Some(900_001), "the pieces are whole: blocks made room");
    out.extend(sent(|out| run.finish(NOW, out)));
    assert_eq!(out.len(), 9);
    assert_eq!(run.state.held, 0);
}

#[test]
fn only_so_many_label_sets_are_remembered() {
    let mut run = run("- regex: {expression: '^S(?P<id>\\d+)'}\n- labels: {id: }\n- multiline: {firstline: '^S'}\n", &[]);
    let mut out = Vec::new();
    for n in 0..BLOCKS_MAX + 10 {
        run.line(format!("S{n}").as_bytes(), NOW.plus(Duration::from_nanos(n as u64)), &mut |record| out.push(record.into()));
        assert!(run.state.blocks[0].streams.len() <= BLOCKS_MAX);
    }
    assert_eq!(lines(&out), (0..10).map(|n| format!("S{n}")).collect::<Vec<_>>());
    assert_eq!(sent(|out| run.finish(NOW, out)).len(), BLOCKS_MAX);
}

#[test]
fn metadata_of_the_first_line_goes_with_the_block() {
    let yaml = "- regex: {expression: '^START (?P<id>\\w+)'}\n- structured_metadata: {id: }\n- multiline: {firstline: '^START'}\n";
    let (out, _) = through(yaml, &["START a", "x", "START b"]);
    assert_eq!(
        out.iter().map(|record| record.metadata.as_slice()).collect::<Vec<_>>(),
        [[("id".to_owned(), "a".to_owned())], [("id".to_owned(), "b".to_owned())]]
    );
}
