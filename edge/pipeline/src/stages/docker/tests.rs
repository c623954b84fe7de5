//! Docker's JSON lines: whole, in pieces of 16 KiB, broken.

use proptest::prelude::*;
use proto_model::Timestamp;

use proto_extract::gotime::RecentMinute;

use super::take_apart;
use crate::limits::DOCKER_PIECE_BYTES;
use crate::testing::{NOW, feed, lines, run, through};

const DOCKER: &str = "- docker: {}";

fn line(log: &str, stream: &str, time: &str) -> String {
    serde_json::json!({"log": log, "stream": stream, "time": time}).to_string()
}

#[test]
fn a_whole_line_gives_time_stream_and_log() {
    let given = r#"{"log":"11.11.11.11 - frank [25/Jan/2000:14:00:01 -0500] \"GET /1986.js HTTP/1.1\" 200 932\n","stream":"stderr","time":"2019-04-30T02:12:41.8443515Z"}"#;
    let (out, counters) = through(DOCKER, &[given]);
    assert_eq!(lines(&out), [r#"11.11.11.11 - frank [25/Jan/2000:14:00:01 -0500] "GET /1986.js HTTP/1.1" 200 932"#]);
    assert_eq!(out[0].labels, r#"{job="test", stream="stderr"}"#);
    assert_eq!(out[0].time, Timestamp(1_556_590_361_844_351_500));
    assert!(counters.is_empty());
}

#[test]
fn one_newline_is_taken_off_and_short_lines_do_not_wait() {
    let given =
        [line("two\n\n", "stdout", "2024-01-01T00:00:00Z"), line("none", "stdout", "2024-01-01T00:00:00Z"), line("\n", "stdout", "2024-01-01T00:00:00Z")];
    let mut run = run(DOCKER, &[]);
    let out = feed(&mut run, &[&given[0], &given[1], &given[2]]);
    assert_eq!(lines(&out), ["two\n", "none", ""]);
}

#[test]
fn other_fields_are_left_alone() {
    let (out, _) = through(DOCKER, &[r#"{"time":"2024-01-01T00:00:00Z","attrs":{"tag":["x"]},"log":"a\tb\u00e9\n"}"#]);
    assert_eq!(lines(&out), ["a\tb\u{e9}"]);
    assert_eq!(out[0].labels, r#"{job="test"}"#, "without a stream there is no label for it");
}

#[test]
fn full_pieces_are_joined_per_stream() {
    let full = "p".repeat(DOCKER_PIECE_BYTES);
    let given = [
        line(&full, "stdout", "2024-01-01T00:00:01Z"),
        line("other\n", "stderr", "2024-01-01T00:00:02Z"),
        line(&full, "stdout", "2024-01-01T00:00:03Z"),
        line("end\n", "stdout", "2024-01-01T00:00:04Z"),
    ];
    let (out, counters) = through(DOCKER, &[&given[0], &given[1], &given[2], &given[3]]);
    assert_eq!(lines(&out), ["other".to_owned(), format!("{full}{full}end")]);
    assert_eq!(out[1].time, Timestamp::from_secs(1_704_067_204));
    assert!(counters.is_empty());
}

#[test]
fn a_broken_line_passes_as_it_is() {
    let broken = [
        r#"{"log":"cut in the mid"#,
        r#"{"log":"no time\n","stream":"stdout"}"#,
        r#"{"log":"bad time\n","stream":"stdout","time":"noon"}"#,
        r#"{"stream":"stdout","time":"2024-01-01T00:00:00Z"}"#,
        r#"{"log":5,"stream":"stdout","time":"2024-01-01T00:00:00Z"}"#,
        r#"["log"]"#,
        "2024-01-01T00:00:00Z stdout F a CRI line",
        "",
        r#"{"log":"\ud800","stream":"stdout","time":"2024-01-01T00:00:00Z"}"#,
    ];
    let (out, counters) = through(DOCKER, &broken);
    assert_eq!(lines(&out), broken);
    for record in &out {
        assert_eq!((record.time, record.labels.as_str()), (NOW, r#"{job="test"}"#));
        assert_eq!(record.metadata, [("parse_error".to_owned(), "docker".to_owned())]);
    }
    assert_eq!(counters.parse_errors["docker"], broken.len() as u64);
}

#[test]
fn a_stream_has_a_short_name() {
    let given = line("a\n", &"s".repeat(65), "2024-01-01T00:00:00Z");
    let (out, counters) = through(DOCKER, &[&given]);
    assert_eq!(lines(&out), [given]);
    assert_eq!(counters.parse_errors["docker"], 1);
}

#[test]
fn parts_become_values_when_asked_for() {
    let given = line("text\n", "stdout", "2024-01-01T00:00:00Z");
    let (out, _) = through("- docker: {}\n- labels: {o: output, s: stream, t: timestamp}", &[&given]);
    assert_eq!(out[0].labels, r#"{job="test", o="text", s="stdout", stream="stdout", t="2024-01-01T00:00:00Z"}"#);
}

#[test]
fn a_piece_without_end_is_sent_at_the_end() {
    let full = "p".repeat(DOCKER_PIECE_BYTES);
    let given = line(&full, "stdout", "2024-01-01T00:00:01Z");
    let (out, counters) = through("- docker: {}\n- labels: {s: stream}", &[&given]);
    assert_eq!(lines(&out), [full]);
    assert_eq!(out[0].labels, r#"{job="test", s="stdout", stream="stdout"}"#);
    assert_eq!(counters.partials_unfinished, 1);
}

proptest! {
    #[test]
    fn any_text_comes_back(log in any::<String>(), junk in prop::collection::vec(any::<u8>(), 0..60)) {
        let given = line(&format!("{log}\n"), "stdout", "2024-01-01T00:00:00Z");
        let (out, _) = through(DOCKER, &[&given]);
        prop_assert_eq!(lines(&out), [log.as_str()]);
        prop_assert!(take_apart(&junk, &mut RecentMinute::default()).is_none());
    }
}
