//! Answers and positions at each stage of a delivery's way, runs and their bounds.

use edge_pipeline::StageSettings;
use proptest::prelude::*;
use proto_boot::Metrics;
use proto_boot::settings::parse_all;
use proto_wire::{BatchView, Compression};
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::gather::GatherSettings;
use crate::receive::{Arrival, Durable, Inlet, Intake};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn gather(bytes_max: u64) -> Gather {
    Gather::new(GatherSettings { bytes_max, wait_max: Duration::from_secs(1), compression: Compression::None })
}

fn program(stages: &str) -> Arc<Program> {
    let (parsed, mistakes) = parse_all::<Vec<StageSettings>>("p.yaml", stages);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    Program::compile(&parsed.unwrap()).unwrap()
}

fn joining() -> Arc<Program> {
    program("- multiline: {firstline: '^A'}\n")
}

fn arrival(app: &str, line: &str) -> Arrival {
    Arrival { labels: Arc::new(Labels::from_pairs([("app", app)])), time: None, line: line.to_owned().into(), metadata: Vec::new() }
}

async fn handed_in(streams: &mut Streams, program: &Arc<Program>, records: Vec<Arrival>, positions: Vec<SourcePosition>) -> Durable {
    let (intake, mut taken) = Intake::new(&Metrics::new());
    let durable = intake.deliver(&Inlet { name: "j}{".into(), program: Arc::clone(program) }, &Arc::default(), records, positions).await.unwrap();
    streams.accept(vec![taken.recv().await.unwrap()]);
    durable
}

fn lines_of(gather: &mut Gather) -> Vec<String> {
    let view = BatchView::parse(gather.freeze().unwrap().body).unwrap();
    let payload = view.payload().unwrap();
    let rows =
        (0..payload.streams()).flat_map(|stream| payload.rows(stream).map(|row| String::from_utf8(row.unwrap().line.to_vec()).unwrap()).collect::<Vec<_>>());
    rows.collect()
}

#[tokio::test]
async fn an_answer_is_given_after_the_sync_and_not_before() {
    let (mut streams, mut gather) = (Streams::new(&[], &[], NOW), gather(1 << 20));
    let mut durable = handed_in(&mut streams, &program("[]"), vec![arrival("a", "one"), arrival("b", "two")], Vec::new()).await;
    let taken = streams.turn(NOW, &mut gather);
    assert_eq!((taken.count.lines, taken.batch_is_full, streams.is_empty()), (2, false, true));
    assert!(!streams.is_due(NOW) && streams.is_due(NOW.plus(DELIVERY_WAIT)));
    streams.written();
    streams.synced();
    assert_eq!(durable.0.try_recv(), Err(TryRecvError::Empty), "it is only gathered");
    assert_eq!(streams.freeze(), []);
    streams.synced();
    assert_eq!(durable.0.try_recv(), Err(TryRecvError::Empty), "it is only frozen");
    streams.written();
    assert_eq!(durable.0.try_recv(), Err(TryRecvError::Empty), "it is only written");
    streams.synced();
    assert_eq!(durable.0.try_recv(), Ok(()));
    assert_eq!(lines_of(&mut gather), ["one", "two"]);
}

#[tokio::test]
async fn what_is_discarded_is_not_confirmed() {
    let (mut streams, mut gather) = (Streams::new(&[], &[], NOW), gather(1 << 20));
    let durable = handed_in(&mut streams, &program("[]"), vec![arrival("a", "one")], Vec::new()).await;
    drop(handed_in(&mut streams, &program("[]"), vec![arrival("a", "nobody waits"), arrival("a", "for these")], Vec::new()).await);
    drop(streams.turn(NOW, &mut gather));
    assert_eq!(streams.discard(), 2, "lines whose sender does not wait to be told");
    drop(streams.freeze());
    streams.written();
    streams.synced();
    durable.wait().await.unwrap_err();
}

#[tokio::test]
async fn a_large_delivery_goes_into_several_batches_and_is_answered_after_the_last() {
    let (mut streams, mut gather) = (Streams::new(&[], &[], NOW), gather(1_000));
    let records = (0..10).map(|n| arrival("a", &format!("{n}{}", "x".repeat(299)))).collect();
    let mut durable = handed_in(&mut streams, &program("[]"), records, Vec::new()).await;
    let mut lines = Vec::new();
    while streams.turn(NOW, &mut gather).batch_is_full {
        drop(streams.freeze());
        lines.push(lines_of(&mut gather).len());
        streams.written();
        streams.synced();
        assert_eq!(durable.0.try_recv(), Err(TryRecvError::Empty));
    }
    assert_eq!(lines, [4, 4]);
    drop(streams.freeze());
    streams.written();
    streams.synced();
    assert_eq!((durable.0.try_recv(), lines_of(&mut gather).len()), (Ok(()), 2));
}

#[tokio::test]
async fn a_cursor_lies_in_the_batch_of_all_its_records() {
    let (mut streams, mut gather) = (Streams::new(&[], &[], NOW), gather(1_000));
    let cursor = |n: u64| SourcePosition { path: "journal:j".to_owned(), offset: n, resume: n, held: vec![7], ..SourcePosition::default() };
    let plain = program("[]");
    let records = |n: usize| (0..n).map(|_| arrival("a", &"x".repeat(300))).collect::<Vec<_>>();
    drop(handed_in(&mut streams, &plain, records(1), vec![cursor(1)]).await);
    drop(handed_in(&mut streams, &plain, records(5), vec![cursor(2)]).await);
    assert!(streams.turn(NOW, &mut gather).batch_is_full, "the second would not fit");
    assert_eq!((streams.freeze(), lines_of(&mut gather).len()), (vec![cursor(1)], 1));
    drop(streams.turn(NOW, &mut gather));
    assert_eq!((streams.freeze(), lines_of(&mut gather).len()), (vec![cursor(2)], 5));
    streams.written();
    streams.synced();
    assert_eq!(streams.cursors().collect::<Vec<_>>(), [&cursor(2)]);
    let again = Streams::new(&[], &[cursor(2)], NOW);
    assert_eq!(again.cursors().collect::<Vec<_>>(), [&cursor(2)]);
}

#[tokio::test]
async fn a_block_that_is_held_survives_a_crash_with_its_answer() {
    let (mut streams, mut first) = (Streams::new(&[], &[], NOW), gather(1 << 20));
    let joining = joining();
    let mut durable = handed_in(&mut streams, &joining, vec![arrival("a", "A 1"), arrival("a", "more")], Vec::new()).await;
    drop(streams.turn(NOW, &mut first));
    assert!(first.due_in(NOW).is_none(), "all of it is held");
    let positions = streams.freeze();
    streams.written();
    streams.synced();
    assert_eq!((positions.len(), durable.0.try_recv()), (1, Ok(())));
    assert!(is_stream(&positions[0]) && !positions[0].held.is_empty());

    let job = |program| Job::new("j}{".to_owned(), Vec::new(), program);
    let (mut after, mut second) = (Streams::new(&[job(Arc::clone(&joining))], &positions, NOW), gather(1 << 20));
    drop(handed_in(&mut after, &joining, vec![arrival("a", "still"), arrival("a", "A 2")], Vec::new()).await);
    drop(after.turn(NOW, &mut second));
    assert_eq!(lines_of(&mut second), ["A 1\nmore\nstill"]);
    // Its end is due by time, and then the WAL is told that nothing is held.
    let later = NOW.plus(Duration::from_secs(4));
    drop(after.freeze());
    drop(after.turn(later, &mut second));
    assert_eq!(lines_of(&mut second), ["A 2"]);
    let last = after.freeze();
    assert!(last.len() == 1 && last[0].gone && last[0].path == positions[0].path, "{last:?}");
    assert_eq!(after.freeze(), []);
}

#[tokio::test]
async fn a_block_of_a_job_that_is_gone_is_sent_as_it_is() {
    let (mut streams, mut first) = (Streams::new(&[], &[], NOW), gather(1 << 20));
    drop(handed_in(&mut streams, &joining(), vec![arrival("a", "A 1"), arrival("a", "more")], Vec::new()).await);
    drop(streams.turn(NOW, &mut first));
    let positions = streams.freeze();
    let (mut after, mut second) = (Streams::new(&[], &positions, NOW), gather(1 << 20));
    drop(after.turn(NOW, &mut second));
    assert_eq!(lines_of(&mut second), ["A 1\nmore"]);
}

#[tokio::test]
async fn a_new_pipeline_takes_over_what_the_old_one_held() {
    let (mut streams, mut gather) = (Streams::new(&[], &[], NOW), gather(1 << 20));
    drop(handed_in(&mut streams, &joining(), vec![arrival("a", "A 1")], Vec::new()).await);
    drop(streams.turn(NOW, &mut gather));
    drop(handed_in(&mut streams, &program("[]"), vec![arrival("a", "plain")], Vec::new()).await);
    drop(streams.turn(NOW, &mut gather));
    assert_eq!(lines_of(&mut gather), ["A 1", "plain"]);
}

#[tokio::test]
async fn runs_are_bounded_in_number_and_what_they_hold_goes_out() {
    let (mut streams, mut gather) = (Streams::new(&[], &[], NOW), gather(1 << 30));
    let joining = joining();
    let records = (0..STREAMS_MAX + 10).map(|n| arrival(&format!("a{n:05}"), "A held")).collect();
    drop(handed_in(&mut streams, &joining, records, Vec::new()).await);
    drop(streams.turn(NOW, &mut gather));
    assert!(streams.runs.len() <= STREAMS_MAX);
    let sent = lines_of(&mut gather).len();
    assert_eq!(sent + streams.runs.len(), STREAMS_MAX + 10);
    assert_eq!(streams.held, streams.runs.values().map(|stream| stream.run.held_bytes()).sum::<usize>());
    assert!(!streams.runs.keys().any(|(_, labels)| labels.value("app") == Some("a00000")), "the one longest unused was ended");
}

#[tokio::test]
async fn what_all_runs_hold_is_bounded() {
    let (mut streams, mut gather) = (Streams::new(&[], &[], NOW), gather(1 << 30));
    let joining = joining();
    let long = format!("A{}", "x".repeat(512 * 1024));
    for n in 0..100 {
        drop(handed_in(&mut streams, &joining, vec![arrival(&format!("a{n}"), &long)], Vec::new()).await);
        drop(streams.turn(NOW, &mut gather));
        assert!(streams.held <= HELD_BYTES_MAX);
    }
    assert!(streams.runs.len() > 10);
}

proptest! {
    #[test]
    fn a_streams_name_is_read_back(job in "\\PC{0,12}", pairs in prop::collection::vec(("[a-z_][a-z0-9_]{0,5}", "\\PC{1,8}"), 0..4)) {
        let key: Key = (Arc::from(job), Arc::new(Labels::from_pairs(pairs)));
        prop_assert_eq!(key_of(&path_of(&key)), Some(key));
    }

    #[test]
    fn any_path_is_read_or_not(path in "(stream:)?\\PC{0,40}") {
        drop(key_of(&path));
    }
}

/// A position of a pulled source: it follows `before` and ends at `after`.
fn cursor(before: u64, after: u64) -> Vec<SourcePosition> {
    vec![SourcePosition { path: "journal:j".to_owned(), offset: after, resume: before, held: vec![u8::try_from(after).unwrap()], ..SourcePosition::default() }]
}

#[tokio::test]
async fn what_follows_a_delivery_that_was_discarded_is_not_taken() {
    let (mut streams, mut gather) = (Streams::new(&[], &[], NOW), gather(1 << 20));
    let program = program("[]");
    let first = handed_in(&mut streams, &program, vec![arrival("a", "one")], cursor(0, 1)).await;
    drop(streams.turn(NOW, &mut gather));
    assert_eq!(streams.freeze()[0].offset, 1);
    drop(gather.freeze().unwrap());
    streams.written();
    streams.synced();
    first.wait().await.unwrap();
    let second = handed_in(&mut streams, &program, vec![arrival("a", "two")], cursor(1, 2)).await;
    drop(streams.turn(NOW, &mut gather));
    // The batch is given up: the cursor that is known is the one that is durable.
    gather.clear();
    let _ = streams.discard();
    assert_eq!(streams.cursors().map(|cursor| cursor.offset).collect::<Vec<_>>(), [1]);
    second.wait().await.unwrap_err();
    let third = handed_in(&mut streams, &program, vec![arrival("a", "three")], cursor(2, 3)).await;
    drop(streams.turn(NOW, &mut gather));
    third.wait().await.unwrap_err();
    let again = handed_in(&mut streams, &program, vec![arrival("a", "two"), arrival("a", "three")], cursor(1, 3)).await;
    drop(streams.turn(NOW, &mut gather));
    assert_eq!(streams.freeze()[0].held, [3]);
    streams.written();
    streams.synced();
    again.wait().await.unwrap();
    assert_eq!(lines_of(&mut gather), ["two", "three"]);
}

#[tokio::test]
async fn what_follows_the_very_first_delivery_is_not_taken_when_that_was_discarded() {
    let (mut streams, mut gather) = (Streams::new(&[], &[], NOW), gather(1 << 20));
    let program = program("[]");
    let first = handed_in(&mut streams, &program, vec![arrival("a", "one")], cursor(0, 1)).await;
    drop(streams.turn(NOW, &mut gather));
    gather.clear();
    assert_eq!(streams.discard(), 0);
    first.wait().await.unwrap_err();
    let second = handed_in(&mut streams, &program, vec![arrival("a", "two")], cursor(1, 2)).await;
    drop(streams.turn(NOW, &mut gather));
    second.wait().await.unwrap_err();
    let _again = handed_in(&mut streams, &program, vec![arrival("a", "one"), arrival("a", "two")], cursor(0, 2)).await;
    drop(streams.turn(NOW, &mut gather));
    assert_eq!(lines_of(&mut gather), ["one", "two"]);
}

#[tokio::test]
async fn what_is_held_of_a_source_that_ends_goes_out_and_the_wal_forgets_it() {
    let (mut streams, mut gather) = (Streams::new(&[], &[], NOW), gather(1 << 20));
    let program = joining();
    let _first = handed_in(&mut streams, &program, vec![arrival("a", "A1"), arrival("a", "more")], Vec::new()).await;
    streams.turn(NOW, &mut gather);
    assert!(gather.due_in(NOW).is_none(), "all of it is held");
    assert!(streams.freeze().iter().all(|position| is_held(position) && !position.gone));
    let (intake, mut taken) = Intake::new(&Metrics::new());
    let ended = intake.end(&Inlet { name: "j}{".into(), program: Arc::clone(&program) }, &Arc::default()).await.unwrap();
    streams.accept(vec![taken.recv().await.unwrap()]);
    streams.turn(NOW, &mut gather);
    assert_eq!(lines_of(&mut gather), ["A1\nmore"]);
    let positions = streams.freeze();
    assert!(positions.len() == 1 && positions[0].gone && is_held(&positions[0]), "{positions:?}");
    streams.written();
    streams.synced();
    ended.wait().await.unwrap();
}
