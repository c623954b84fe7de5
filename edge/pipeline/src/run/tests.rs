//! A run as its caller sees it: addresses of labels, lines of any length, a crash at any moment.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proto_model::{Labels, Timestamp};

use super::Run;
use crate::counters::Counters;
use crate::limits::{LABEL_SETS_MAX, LINE_BYTES_MAX};
use crate::program::Program;
use crate::testing::{NOW, Out, feed, lines, program, run, sent};

#[test]
fn a_source_without_stages_has_one_address() {
    let labels = Arc::new(Labels::from_pairs([("job", "test")]));
    let mut run = Run::new(program("[]"), Arc::clone(&labels));
    for line in ["a", "b"] {
        run.line(line.as_bytes(), NOW, &mut |record| {
            assert!(Arc::ptr_eq(record.labels, &labels));
            assert_eq!((record.line, record.time), (line.as_bytes(), NOW));
        });
    }
    assert_eq!(run.held(), None);
    assert_eq!(run.deadline(), None);
}

#[test]
fn the_line_is_not_copied_when_no_stage_rewrites_it() {
    let mut run = run("- cri: {}\n- static_labels: {a: b}\n- match: {selector: '{a=\"c\"}', action: drop}\n", &[]);
    let given = b"2024-01-01T00:00:00Z stdout F content".to_vec();
    run.line(&given, NOW, &mut |record| assert_eq!(record.line.as_ptr(), given[given.len() - 7..].as_ptr()));
}

#[test]
fn addresses_last_as_long_as_the_label_sets_are_few() {
    let mut run = run("- regex: {expression: '(?P<n>.*)'}\n- labels: {n: }\n", &[]);
    let mut first = None;
    for round in 0..3 {
        for n in 0..LABEL_SETS_MAX - 1 {
            run.line(n.to_string().as_bytes(), NOW, &mut |record| {
                if n == 7 {
                    let known = first.get_or_insert_with(|| Arc::clone(record.labels));
                    assert!(Arc::ptr_eq(known, record.labels), "round {round}");
                }
            });
        }
    }
}

#[test]
fn a_line_too_long_is_cut() {
    let mut run = run("[]", &[]);
    let fits = "x".repeat(LINE_BYTES_MAX);
    let long = "\u{20ac}".repeat(LINE_BYTES_MAX);
    let out = feed(&mut run, &[&fits, &long]);
    assert_eq!(out[0].line, fits);
    assert!(out[1].line.len() <= LINE_BYTES_MAX && out[1].line.len() > LINE_BYTES_MAX - 44);
    assert!(out[1].line.ends_with("\u{20ac}\u{2026}[cut from 3145728 bytes]"));
    assert_eq!(run.take_counters().lines_truncated, 1);
    assert_eq!(run.take_counters(), Counters::default(), "counters begin anew once taken");
}

#[test]
fn counters_add_up() {
    let mut sum = Counters::default();
    for _ in 0..2 {
        let mut run = run("- cri: {}\n- drop: {expression: x}", &[]);
        feed(&mut run, &["x", "y", "2024-01-01T00:00:00Z stdout F x"]);
        sum.add(&run.take_counters());
    }
    assert_eq!((sum.lines_dropped["drop_stage"], sum.parse_errors["cri"]), (4, 4));
}

/// Every stage that remembers something, one behind the other.
const REMEMBERING: &str = r"
- cri: {}
- regex: {expression: '^(?:S(?P<id>\w?) )?(?:t=(?P<t>\S+) )?(?P<body>.*)$'}
- labels: {id: }
- timestamp: {source: t, format: Unix}
- multiline: {firstline: '^S', max_lines: 4, max_wait_time: 2s}
- structured_metadata: {body: }
- match:
    selector: '{stream=~``}'
    stages: [{static_labels: {raw: yes}}]
- multiline: {firstline: '^S[ab]', max_lines: 0, max_wait_time: 3s}
- drop: {expression: 'z'}
";

/// The same for Docker.
const DOCKER: &str = "- docker: {}\n- multiline: {firstline: '^S'}\n";

/// What may happen to a source.
#[derive(Debug, Clone)]
enum Event {
    Line(String),
    Tick,
    Crash,
}

fn content() -> impl Strategy<Value = String> {
    prop_oneof!["S[ab]? ", "S t=1[0-9] ", "[x-z]{0,3}", "t=bad ", Just("S ".to_owned())].prop_map(|text| text)
}

fn cri_event() -> impl Strategy<Value = (u64, Event)> {
    let line = (0_u32..60, "std(out|err)", "[PPFFF]", prop::collection::vec(content(), 0..3))
        .prop_map(|(second, stream, tag, parts)| format!("2024-01-01T00:00:{second:02}Z {stream} {tag} {}", parts.concat()));
    let event = prop_oneof![12 => line.prop_map(Event::Line), 1 => content().prop_map(Event::Line), 2 => Just(Event::Tick), 4 => Just(Event::Crash)];
    (0_u64..20_000, event)
}

fn docker_event() -> impl Strategy<Value = (u64, Event)> {
    let line = ("std(out|err)", 0_usize..3, prop::bool::ANY, content()).prop_map(|(stream, full, ends, text)| {
        let log = format!("{text}{}{}", "p".repeat(full * crate::limits::DOCKER_PIECE_BYTES), if ends { "\n" } else { "" });
        serde_json::json!({"log": log, "stream": stream, "time": "2024-01-01T00:00:00Z"}).to_string()
    });
    let event = prop_oneof![8 => line.prop_map(Event::Line), 2 => Just(Event::Tick), 4 => Just(Event::Crash)];
    (0_u64..20_000, event)
}

/// What a source sends for `events`; a crash is a restart from what was held, or nothing when `crashes` is false.
fn play(program: &Arc<Program>, events: &[(u64, Event)], crashes: bool) -> (Vec<Out>, Counters) {
    let labels = Arc::new(Labels::from_pairs([("job", "test"), ("raw", "no")]));
    let mut run = Run::new(Arc::clone(program), Arc::clone(&labels));
    let (mut out, mut counters, mut now) = (Vec::new(), Counters::default(), NOW);
    for (millis, event) in events {
        now = now.plus(Duration::from_millis(*millis));
        match event {
            Event::Line(line) => run.line(line.as_bytes(), now, &mut |record| out.push(Out::from(record))),
            Event::Tick => run.tick(now, &mut |record| out.push(record.into())),
            Event::Crash if !crashes => {}
            Event::Crash => {
                counters.add(&run.take_counters());
                let deadline = run.deadline();
                run = match run.held() {
                    None => Run::new(Arc::clone(program), Arc::clone(&labels)),
                    Some(bytes) => Run::restore(Arc::clone(program), Arc::clone(&labels), &bytes).expect("what was held is taken up"),
                };
                assert_eq!(run.deadline(), deadline);
            }
        }
        assert_eq!(run.state.held, run.state.held_bytes());
    }
    run.finish(now, &mut |record| out.push(record.into()));
    assert_eq!((run.held(), run.deadline(), run.state.held), (None, None, 0));
    counters.add(&run.take_counters());
    (out, counters)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_crash_at_any_moment_changes_nothing(events in prop::collection::vec(cri_event(), 0..40)) {
        let program = program(REMEMBERING);
        prop_assert_eq!(play(&program, &events, true), play(&program, &events, false));
    }

    #[test]
    fn a_crash_at_any_moment_changes_nothing_for_docker(events in prop::collection::vec(docker_event(), 0..12)) {
        let program = program(DOCKER);
        prop_assert_eq!(play(&program, &events, true), play(&program, &events, false));
    }

    #[test]
    fn every_line_comes_out_once(contents in prop::collection::vec("[a-y ]{0,9}", 0..30)) {
        let program = program("- cri: {}\n- multiline: {firstline: '^a'}\n");
        let events: Vec<_> = contents.iter().map(|text| (500, Event::Line(format!("2024-01-01T00:00:00Z stdout F {text}")))).collect();
        let (out, _) = play(&program, &events, true);
        let joined = lines(&out).join("\n");
        prop_assert_eq!(joined, contents.join("\n"));
    }
}

#[test]
fn a_crash_may_fall_between_any_two_lines_of_an_example() {
    let program = program(REMEMBERING);
    let given = [
        "2024-01-01T00:00:00Z stdout P Sa ",
        "2024-01-01T00:00:01Z stderr F S t=15 first",
        "2024-01-01T00:00:02Z stdout P more ",
        "2024-01-01T00:00:03Z stdout F end",
        "broken",
        "2024-01-01T00:00:04Z stdout F t=bad line",
        "2024-01-01T00:00:05Z stderr F t=bad other",
        "2024-01-01T00:00:06Z stdout F Sb t=16 next",
        "2024-01-01T00:00:07Z stdout P left",
    ];
    let events: Vec<_> = given.iter().map(|line| (100, Event::Line((*line).to_owned()))).collect();
    let whole = play(&program, &events, false);
    assert!(whole.0.len() >= 5, "{:?}", whole.0);
    for at in 0..=events.len() {
        let mut split = events.clone();
        split.insert(at, (0, Event::Crash));
        assert_eq!(play(&program, &split, true), whole, "crash before line {at}");
    }
}

#[test]
fn a_tick_at_the_deadline_always_sends() {
    let mut run = run("- cri: {}\n- multiline: {firstline: '^S'}\n", &[]);
    feed(&mut run, &["2024-01-01T00:00:00Z stdout P S", "2024-01-01T00:00:00Z stderr F S"]);
    let mut ticks = 0;
    while let Some(deadline) = run.deadline() {
        let before = run.held();
        run.tick(deadline, &mut |_| {});
        assert_ne!(run.held(), before);
        ticks += 1;
        assert!(ticks < 10);
    }
    assert!(ticks >= 2);
    assert_ne!(run.deadline(), Some(Timestamp::MIN));
}

#[test]
fn a_clock_that_is_set_changes_no_wait() {
    let second = Duration::from_secs(1);
    for by in [86_400, -86_400_i64] {
        let mut run = run("- cri: {}\n- multiline: {firstline: '^S', max_wait_time: 5s}\n", &[]);
        run.line(b"2024-01-01T00:00:03Z stdout F S one", NOW, &mut |_| panic!("held"));
        run.line(b"2024-01-01T00:00:03Z stderr P half", NOW, &mut |_| panic!("held"));
        run.clock_stepped(by * 1_000_000_000);
        let now = Timestamp(NOW.nanos() + by * 1_000_000_000);
        assert_eq!(run.deadline(), Some(now.plus(5 * second)));
        run.tick(now.plus(4 * second), &mut |_| panic!("not yet"));
        let out = sent(|out| run.tick(now.plus(5 * second), out));
        assert_eq!(lines(&out), ["S one"]);
        assert_eq!(run.deadline(), Some(now.plus(crate::limits::PARTIAL_WAIT_MAX)));
    }
    // Set back while nobody ran.
    let mut before = run("- multiline: {firstline: '^S', max_wait_time: 5s}\n", &[]);
    before.line(b"S one", NOW, &mut |_| panic!("held"));
    let mut after = Run::restore(program("- multiline: {firstline: '^S', max_wait_time: 5s}\n"), Arc::default(), &before.held().unwrap()).unwrap();
    let now = NOW.minus(3_600 * second);
    after.read_by(now);
    assert_eq!(after.deadline(), Some(now.plus(5 * second)));
    after.read_by(NOW);
    assert_eq!(after.deadline(), Some(now.plus(5 * second)), "what waited already goes on waiting");
}
