//! Container runtime lines: whole, cut into pieces, broken.

use std::time::Duration;

use proptest::prelude::*;
use proto_model::Timestamp;

use proto_extract::gotime::RecentMinute;

use super::take_apart;
use crate::limits::{LINE_BYTES_MAX, PARTIAL_WAIT_MAX};
use crate::testing::{NOW, feed, lines, run, sent, through};

const CRI: &str = "- cri: {}";

#[test]
fn a_whole_line_gives_time_stream_and_content() {
    let (out, counters) = through(CRI, &["2019-05-07T18:57:50.904275087+00:00 stdout F some full line"]);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].line, "some full line");
    assert_eq!(out[0].labels, r#"{job="test", stream="stdout"}"#);
    assert_eq!(out[0].time, Timestamp(1_557_255_470_904_275_087));
    assert_eq!(out[0].metadata, []);
    assert!(counters.is_empty());
}

#[test]
fn content_is_kept_byte_for_byte() {
    for content in ["", " ", "  two  ", "F P stdout", "tab\there", "\u{2028}"] {
        let (out, _) = through(CRI, &[&format!("2024-01-01T00:00:00Z stderr F {content}")]);
        assert_eq!(lines(&out), [content]);
        assert_eq!(out[0].labels, r#"{job="test", stream="stderr"}"#);
    }
}

#[test]
fn pieces_are_joined_per_stream() {
    let given = [
        "2024-01-01T00:00:01Z stdout P out one, ",
        "2024-01-01T00:00:02Z stderr P err one, ",
        "2024-01-01T00:00:03Z stdout P out two, ",
        "2024-01-01T00:00:04Z stderr F err end",
        "2024-01-01T00:00:05Z stdout F out end",
        "2024-01-01T00:00:06Z stdout F whole",
    ];
    let (out, counters) = through(CRI, &given);
    assert_eq!(lines(&out), ["err one, err end", "out one, out two, out end", "whole"]);
    let seconds: Vec<_> = out.iter().map(|record| record.time.nanos() / 1_000_000_000 - 1_704_067_200).collect();
    assert_eq!(seconds, [4, 5, 6], "the time is that of the last piece");
    assert!(counters.is_empty());
}

#[test]
fn further_tags_are_allowed() {
    let (out, _) = through(CRI, &["2024-01-01T00:00:01Z stdout P:x a", "2024-01-01T00:00:01Z stdout F:y:z b"]);
    assert_eq!(lines(&out), ["ab"]);
}

#[test]
fn a_line_of_another_form_passes_as_it_is() {
    let broken = [
        "not cri at all",
        "",
        "yesterday stdout F bad time",
        "2024-13-01T00:00:00Z stdout F bad month",
        "2024-01-01T00:00:00Z stdin F bad stream",
        "2024-01-01T00:00:00Z stdout X bad tag",
        "2024-01-01T00:00:00Z stdout FF bad tag",
        "2024-01-01T00:00:00Z stdout  F two spaces",
        "2024-01-01T00:00:00Z stdout F",
        "2024-01-01T00:00:00Z stdout",
        r#"{"log":"docker","stream":"stdout","time":"2024-01-01T00:00:00Z"}"#,
    ];
    let (out, counters) = through(CRI, &broken);
    assert_eq!(lines(&out), broken);
    for record in &out {
        assert_eq!((record.time, record.labels.as_str()), (NOW, r#"{job="test"}"#));
        assert_eq!(record.metadata, [("parse_error".to_owned(), "cri".to_owned())]);
    }
    assert_eq!(counters.parse_errors["cri"], broken.len() as u64);
}

#[test]
fn a_broken_line_leaves_its_neighbours_alone() {
    let (out, _) = through(CRI, &["2024-01-01T00:00:00Z stdout P a", "garbage", "2024-01-01T00:00:00Z stdout F b"]);
    assert_eq!(lines(&out), ["garbage", "ab"]);
}

#[test]
fn a_line_without_end_is_sent_when_it_has_waited_long_enough() {
    let mut run = run(CRI, &[("job", "test")]);
    assert_eq!(run.deadline(), None);
    assert_eq!(feed(&mut run, &["2024-01-01T00:00:00Z stdout P half"]), []);
    let due = NOW.plus(PARTIAL_WAIT_MAX);
    assert_eq!(run.deadline(), Some(due));
    assert_eq!(sent(|out| run.tick(due.minus(Duration::from_nanos(1)), out)), []);
    let out = sent(|out| run.tick(due, out));
    assert_eq!(lines(&out), ["half"]);
    assert_eq!((out[0].labels.as_str(), out[0].time), (r#"{job="test", stream="stdout"}"#, Timestamp::from_secs(1_704_067_200)));
    assert_eq!(run.deadline(), None);
    assert_eq!(run.take_counters().partials_unfinished, 1);
    assert_eq!(lines(&feed(&mut run, &["2024-01-01T00:00:00Z stdout F rest"])), ["rest"]);
}

#[test]
fn the_end_of_a_source_sends_what_is_left() {
    let (out, counters) = through(CRI, &["2024-01-01T00:00:00Z stdout P last ", "2024-01-01T00:00:00Z stdout P words"]);
    assert_eq!(lines(&out), ["last words"]);
    assert_eq!(counters.partials_unfinished, 1);
}

#[test]
fn later_stages_see_a_line_without_end() {
    let yaml = "- cri: {}\n- labels: {flags: , stream: , content: }\n- static_labels: {seen: yes}\n";
    let (out, _) = through(yaml, &["2024-01-01T00:00:00Z stdout P half"]);
    assert_eq!(out[0].labels, r#"{content="half", flags="P", job="test", seen="yes", stream="stdout"}"#);
}

#[test]
fn parts_become_values_when_asked_for() {
    let yaml = "- cri: {}\n- labels: {t: time, f: flags, c: content, s: stream}\n";
    let (out, _) = through(yaml, &["2024-01-01T00:00:00Z stdout P:a x", "2024-01-01T00:00:01Z stdout F y"]);
    assert_eq!(out[0].labels, r#"{c="xy", f="F", job="test", s="stdout", stream="stdout", t="2024-01-01T00:00:01Z"}"#);
}

#[test]
fn a_joined_line_is_cut_at_the_longest_length() {
    let piece = "x".repeat(100_000);
    let given: Vec<String> = (0..15).map(|n| format!("2024-01-01T00:00:00Z stdout {} {piece}", if n == 14 { "F" } else { "P" })).collect();
    let mut run = run(CRI, &[]);
    let mut out = Vec::new();
    for line in &given {
        out.extend(feed(&mut run, &[line]));
        assert!(run.state.held <= LINE_BYTES_MAX);
        assert!(run.held().map_or(0, |bytes| bytes.len()) <= LINE_BYTES_MAX + 100);
    }
    assert_eq!(out.len(), 1);
    assert!(out[0].line.len() <= LINE_BYTES_MAX);
    assert!(out[0].line.ends_with("x\u{2026}[cut from 1500000 bytes]"), "{}", &out[0].line[out[0].line.len() - 60..]);
    assert_eq!(run.take_counters().lines_truncated, 1);
    assert_eq!(run.state.held, 0);
}

#[test]
fn two_streams_share_the_bound() {
    let piece = "y".repeat(300_000);
    let mut run = run(CRI, &[]);
    for _ in 0..3 {
        for stream in ["stdout", "stderr"] {
            feed(&mut run, &[&format!("2024-01-01T00:00:00Z {stream} P {piece}")]);
            assert!(run.state.held <= LINE_BYTES_MAX);
        }
    }
    let out = feed(&mut run, &["2024-01-01T00:00:00Z stdout F .", "2024-01-01T00:00:00Z stderr F ."]);
    assert!(out.iter().all(|record| record.line.ends_with("[cut from 900001 bytes]")));
}

#[test]
fn the_length_of_joined_lines_can_be_set() {
    let yaml = "- cri: {max_partial_line_size: 6, max_partial_line_size_truncate: true}";
    let (out, counters) =
        through(yaml, &["2024-01-01T00:00:00Z stdout P abcd", "2024-01-01T00:00:00Z stdout F efgh", "2024-01-01T00:00:00Z stdout F whole lines are not cut"]);
    assert_eq!(lines(&out), ["abcdef\u{2026}[cut from 8 bytes]", "whole lines are not cut"]);
    assert_eq!(counters.lines_truncated, 1);
    let (out, _) = through("- cri: {max_partial_line_size: 6}", &["2024-01-01T00:00:00Z stdout P abcd", "2024-01-01T00:00:00Z stdout F efgh"]);
    assert_eq!(lines(&out), ["abcdefgh"], "the size alone does nothing, as in Promtail");
}

#[test]
fn the_number_of_held_streams_can_be_set() {
    let yaml = "- cri: {max_partial_lines: 1}";
    let given = ["2024-01-01T00:00:00Z stdout P a", "2024-01-01T00:00:00Z stdout P b", "2024-01-01T00:00:00Z stderr P c", "2024-01-01T00:00:00Z stderr F d"];
    let (out, _) = through(yaml, &given);
    assert_eq!(lines(&out), ["ab", "cd"]);
}

proptest! {
    #[test]
    fn no_input_panics_and_whole_lines_come_back(line in prop::collection::vec(any::<u8>(), 0..80), content in "[^\n]{0,40}") {
        if let Some(piece) = take_apart(&line, &mut RecentMinute::default()) {
            prop_assert!(line.ends_with(piece.content));
        }
        let given = format!("2024-01-01T00:00:00Z stdout F {content}");
        let piece = take_apart(given.as_bytes(), &mut RecentMinute::default()).unwrap();
        prop_assert_eq!(piece.content, content.as_bytes());
        prop_assert!(piece.is_last);
    }
}
