//! Held state from elsewhere: another version, another program, damage.

use std::sync::Arc;

use proptest::prelude::*;
use proto_model::{Labels, Timestamp};

use crate::fault::PipelineFault;
use crate::run::Run;
use crate::testing::{NOW, Out, feed, lines, program, run, sent};

const BOTH: &str = "- cri: {}\n- multiline: {firstline: '^S'}\n";

fn labels() -> Arc<Labels> {
    Arc::new(Labels::from_pairs([("job", "test")]))
}

/// A source that holds a partial line and a block.
fn holding() -> Vec<u8> {
    let mut run = run(BOTH, &[("job", "test")]);
    feed(&mut run, &["2024-01-01T00:00:01Z stderr F S one", "2024-01-01T00:00:02Z stderr F two", "2024-01-01T00:00:03Z stdout P half"]);
    run.held().unwrap()
}

#[test]
fn the_format_is_fixed() {
    let mut run = run("- cri: {}", &[("job", "test")]);
    run.line(b"2024-01-01T00:00:03Z stdout P ab", Timestamp(7), &mut |_| {});
    let mut wanted = vec![1, 1, 0, 6];
    wanted.extend_from_slice(b"stdout\x02ab\x02");
    wanted.extend_from_slice(&7_i64.to_be_bytes());
    wanted.extend_from_slice(&1_704_067_203_000_000_000_i64.to_be_bytes());
    wanted.extend_from_slice(b"\x00\x01\x06stream\x06stdout");
    assert_eq!(run.held().unwrap(), wanted);
}

#[test]
fn another_version_is_refused() {
    let mut bytes = holding();
    bytes[0] = 2;
    let fault = Run::restore(program(BOTH), labels(), &bytes).err();
    assert_eq!(fault, Some(PipelineFault::HeldVersion { found: 2, known: 1 }));
    assert!(Run::restore(program(BOTH), labels(), &[]).is_err());
    assert!(Run::restore(program(BOTH), labels(), &[1]).is_ok_and(|run| run.held().is_none()));
}

#[test]
fn what_is_cut_short_is_refused() {
    let bytes = holding();
    let whole = Run::restore(program(BOTH), labels(), &bytes).unwrap();
    assert_eq!(whole.held(), Some(bytes.clone()));
    let items_end: Vec<usize> = (1..bytes.len()).filter(|end| Run::restore(program(BOTH), labels(), &bytes[..*end]).is_ok()).collect();
    assert_eq!(items_end.len(), 2, "only the version alone and one whole item read: {items_end:?}");
}

/// What a run that took `bytes` up sends at once.
fn rehomed(yaml: &str, bytes: &[u8]) -> (Vec<Out>, Run) {
    let mut run = Run::restore(program(yaml), labels(), bytes).unwrap();
    assert_eq!(run.deadline(), Some(Timestamp::MIN));
    let again = Run::restore(program(yaml), labels(), &run.held().unwrap()).unwrap();
    assert_eq!(again.held(), run.held(), "it is held until it is sent");
    let out = sent(|out| run.tick(NOW, out));
    (out, run)
}

#[test]
fn what_no_stage_would_hold_is_sent_as_it_is() {
    let bytes = holding();
    let (out, mut run) = rehomed("- static_labels: {new: program}", &bytes);
    assert_eq!(lines(&out), ["half", "S one\ntwo"]);
    assert_eq!((out[0].labels.as_str(), out[0].time), (r#"{job="test", stream="stdout"}"#, Timestamp::from_secs(1_704_067_203)));
    assert_eq!((out[1].labels.as_str(), out[1].time), (r#"{job="test", stream="stderr"}"#, Timestamp::from_secs(1_704_067_201)));
    assert_eq!(run.held(), None);
    assert_eq!(run.take_counters().lines_rehomed, 2);
}

#[test]
fn a_program_with_one_of_the_stages_takes_its_part() {
    let (out, run) = rehomed("- docker: {}\n- multiline: {firstline: '^S'}\n", &holding());
    assert_eq!(lines(&out), ["half"], "a piece of a CRI line is none of Docker's");
    assert!(run.held().is_some());
    let mut run =
        Run::restore(program("- static_labels: {a: b}\n- cri: {}\n- multiline: {firstline: '^S'}\n- labels: {job: }\n"), labels(), &holding()).unwrap();
    let out = sent(|out| run.finish(NOW, out));
    assert_eq!(out.len(), 2);
}

#[test]
fn changed_labels_of_the_source_are_followed() {
    let mut run = Run::restore(program(BOTH), Arc::new(Labels::from_pairs([("job", "moved"), ("pod", "p")])), &holding()).unwrap();
    let out = sent(|out| run.finish(NOW, out));
    assert!(out.iter().all(|record| record.labels.starts_with(r#"{job="moved", pod="p", stream="#)), "{out:?}");
}

#[test]
fn values_are_held_by_name() {
    let held = {
        let mut run = run("- regex: {expression: '^S(?P<id>.)'}\n- multiline: {firstline: '^S'}\n- labels: {id: , zone: }\n", &[]);
        feed(&mut run, &["S7"]);
        run.held().unwrap()
    };
    let mut run = Run::restore(program("- multiline: {firstline: '^S'}\n- labels: {a: , id: , b: }\n"), Arc::default(), &held).unwrap();
    let out = sent(|out| run.finish(NOW, out));
    assert_eq!(out[0].labels, r#"{id="7"}"#);
}

proptest! {
    #[test]
    fn no_bytes_panic(tail in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..200, flip in 1_u8..) {
        let mut made = vec![1];
        made.extend(&tail);
        if let Err(fault) = Run::restore(program(BOTH), labels(), &made) {
            let is_inside = matches!(fault, PipelineFault::HeldDamaged { at, len, .. } if at <= len && len == made.len());
            prop_assert!(is_inside, "{}", fault);
        }
        let mut bytes = holding();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Ok(mut run) = Run::restore(program(BOTH), labels(), &bytes) {
            run.line(b"2024-01-01T00:00:03Z stdout F x", NOW, &mut |_| {});
            run.tick(NOW, &mut |_| {});
            run.finish(NOW, &mut |_| {});
        }
    }
}
