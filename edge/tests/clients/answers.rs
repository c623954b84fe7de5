//! What becomes of lines under each answer.

use std::time::Duration;

use crate::loki::{Loki, Mood};
use crate::program::{Place, numbered, until};

const BACKOFF: &str = "backoff_config: {min_period: 50ms, max_period: 200ms";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_pass_is_tried_again_in_order_and_nothing_is_lost() {
    let (place, loki) = (Place::new(), Loki::start(Mood::Answers(204)).await);
    let mut answers = [500, 429, 503, 429].into_iter();
    loki.judges(move |_| answers.next().map_or(Mood::Answers(204), Mood::Answers));
    place.settings(&format!("[{{url: '{}', name: l, {BACKOFF}}}}}]", loki.url()), "", "batch: {max_wait: 100ms}");
    place.lines(1..=100);
    let edge = place.start();
    until("all lines are taken", &place, async || loki.lines().len() >= 100).await;
    place.lines(101..=200);
    until("more lines are taken", &place, async || loki.lines().len() >= 200).await;
    assert_eq!(loki.lines(), numbered(1..=200), "each once, in order");
    assert_eq!(edge.metric(&format!("promtail_batch_retries_total{{host=\"{}\",tenant=\"\"}}", loki.host())).await, 4.0);
    for (status, count) in [(500, 1.0), (429, 2.0), (503, 1.0)] {
        let name = format!("promtail_request_duration_seconds_count{{status_code=\"{status}\",host=\"{}\"}}", loki.host());
        assert_eq!(edge.metric(&name).await, count, "{name} in\n{}", edge.page("/metrics").await.1);
    }
    until("nothing is left", &place, async || edge.client("l").await["lag_bytes"] == 0).await;
    assert_eq!((edge.client("l").await["trouble"].as_str(), edge.client("l").await["lost_lines"].as_u64()), (Some(""), Some(0)));
    edge.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_will_never_be_taken_is_given_up_counted_and_told() {
    let (place, strict, tired, busy) =
        (Place::new(), Loki::start(Mood::Answers(204)).await, Loki::start(Mood::Answers(500)).await, Loki::start(Mood::Answers(429)).await);
    strict.judges(|asked| Mood::Answers(if asked.lines().contains(&"line 1".to_owned()) { 400 } else { 204 }));
    let clients = format!(
        "[{{url: '{}', name: strict}}, {{url: '{}', name: tired, {BACKOFF}, max_retries: 3}}}}, {{url: '{}', name: busy, drop_rate_limited_batches: true, tenant_id: t}}]",
        strict.url().replace("http://", "http://user:geheim@"),
        tired.url(),
        busy.url()
    );
    place.settings(&clients, "", "batch: {max_wait: 100ms}");
    place.lines(1..=10);
    let edge = place.start();
    for (name, reason, loki, tenant) in
        [("strict", "ingester_error", &strict, ""), ("tired", "ingester_error", &tired, ""), ("busy", "rate_limited", &busy, "t")]
    {
        let dropped = format!("promtail_dropped_entries_total{{host=\"{}\",tenant=\"{tenant}\",reason=\"{reason}\"}}", loki.host());
        until("lines are given up", &place, async || edge.metric(&dropped).await == 10.0).await;
        assert_eq!(edge.metric(&format!("tributary_edge_sink_lines_lost_total{{client=\"{name}\",reason=\"{reason}\"}}")).await, 10.0);
        assert!(edge.metric(&dropped.replace("entries", "bytes")).await > 10.0);
    }
    assert_eq!((strict.asked().len(), tired.asked().len(), busy.asked().len()), (1, 3, 1), "once, as often as told, once");
    place.lines(11..=20);
    until("what comes after is taken", &place, async || strict.lines() == numbered(11..=20)).await;
    until("it stands on the page", &place, async || edge.client("strict").await["lost_lines"] == 10).await;
    let said = place.said();
    assert!(said.contains("400 the stand-in says no: because") && said.contains("a push is given up"), "{said}");
    assert!(!said.contains("geheim") && !edge.page("/status").await.1.contains("geheim") && !edge.page("/metrics").await.1.contains("geheim"));
    edge.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_client_stalls_nobody_and_gets_everything_once_it_answers() {
    let (place, stuck, good) = (Place::new(), Loki::start(Mood::Silent).await, Loki::start(Mood::Answers(204)).await);
    let clients = format!("[{{url: '{}', name: stuck, timeout: 500ms, {BACKOFF}}}}}, {{url: '{}', name: good}}]", stuck.url(), good.url());
    place.settings(&clients, "", "batch: {max_wait: 100ms}");
    let edge = place.start();
    for round in 0..5 {
        place.lines(round * 20 + 1..=round * 20 + 20);
        until("the good one has the round", &place, async || good.lines().len() as u64 == round * 20 + 20).await;
    }
    until("the other one's lag shows", &place, async || {
        edge.client("stuck").await["lag_bytes"].as_u64() > Some(0) && edge.client("good").await["lag_bytes"] == 0
    })
    .await;
    assert!(stuck.lines().is_empty());
    assert!(edge.metric("tributary_edge_sink_lag_bytes{client=\"stuck\"}").await > 0.0);
    stuck.feels(Mood::Answers(204));
    until("the stuck one has all", &place, async || stuck.lines().len() >= 100).await;
    assert_eq!((stuck.lines(), good.lines()), (numbered(1..=100), numbered(1..=100)));
    edge.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_lags_too_far_is_cut_forward_with_a_counted_loss() {
    let (place, stuck, good) = (Place::new(), Loki::start(Mood::Answers(500)).await, Loki::start(Mood::Answers(204)).await);
    let clients = format!("[{{url: '{}', name: stuck, batchsize: 32KiB, {BACKOFF}}}}}, {{url: '{}', name: good}}]", stuck.url(), good.url());
    // One hundredth of 16 MiB.
    place.settings(&clients, "", "wal: {max_bytes: 16MiB, sink_max_lag: 1%}\nbatch: {max_bytes: 32KiB, max_wait: 100ms}");
    let edge = place.start();
    let entropy = proto_seam::Entropy::seeded(1);
    let mut written = 0_u64;
    while edge.client("stuck").await["lost_lines"].as_u64().unwrap_or(0) < 1_000 {
        assert!(written < 200_000, "no cut\n{}", place.said());
        // Noise, so that it does not shrink to nothing.
        let noise: String =
            (0..3_000).map(|n| format!("{} {:032x}{:032x}{:032x}\n", written + n, entropy.next_u128(), entropy.next_u128(), entropy.next_u128())).collect();
        place.append("a.log", &noise);
        written += 3_000;
        until("the good one has it", &place, async || good.lines().len() as u64 == written).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let lost = async || edge.client("stuck").await["lost_lines"].as_u64().unwrap();
    until("it is counted", &place, async || edge.metric("tributary_edge_sink_lines_lost_total{client=\"stuck\",reason=\"sink_lag\"}").await >= 1_000.0).await;
    assert!(edge.client("stuck").await["lag_bytes"].as_u64().unwrap() < 1_000_000);
    assert_eq!(edge.client("good").await["lost_lines"], 0);
    stuck.feels(Mood::Answers(204));
    until("the rest arrives", &place, async || stuck.lines().len() as u64 + lost().await >= written).await;
    until("nothing is left", &place, async || edge.client("stuck").await["lag_bytes"] == 0).await;
    let got = stuck.lines();
    assert_eq!(got.last().unwrap().split(' ').next().unwrap(), (written - 1).to_string());
    let once: std::collections::BTreeSet<&String> = got.iter().collect();
    assert_eq!((once.len() as u64 + lost().await, got.len()), (written, once.len()), "each line came once or is counted as lost, to the line");
    assert!(place.said().contains("the WAL could not keep lines for a client"));
    edge.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_wal_gives_up_is_counted_to_the_line() {
    let (place, away) = (Place::new(), Loki::start(Mood::Answers(503)).await);
    place.settings(
        &format!("[{{url: '{}', name: away, {BACKOFF}}}}}]", away.url()),
        "",
        "wal: {max_bytes: 16MiB, when_full: drop_oldest}\nbatch: {max_bytes: 256KiB, max_wait: 100ms}",
    );
    let edge = place.start();
    let entropy = proto_seam::Entropy::seeded(1);
    // Noise, so that a batch does not shrink to nothing.
    let noise: Vec<String> = (0..250).map(|_| (0..30).map(|_| format!("{:032x}", entropy.next_u128())).collect()).collect();
    let (mut written, lost) = (0_usize, async || edge.client("away").await["lost_lines"].as_u64().unwrap_or(0) as usize);
    while lost().await < 1_000 {
        assert!(written < 100_000, "nothing was given up\n{}", place.said());
        let text: String = (written..written + 6_000).map(|n| format!("{n} {}\n", noise[n % noise.len()])).collect();
        place.append("a.log", &text);
        written += 6_000;
        until("it is read", &place, async || edge.metric("tributary_edge_lines_read_total").await as usize == written).await;
    }
    away.feels(Mood::Answers(204));
    until("the rest arrives", &place, async || edge.client("away").await["lag_bytes"] == 0).await;
    let got = away.lines();
    let once: std::collections::BTreeSet<&String> = got.iter().collect();
    assert_eq!((once.len() + lost().await, got.len()), (written, once.len()), "each line came once or is counted as lost, to the line");
    assert_eq!(edge.metric("tributary_edge_sink_lines_lost_total{client=\"away\",reason=\"wal_full\"}").await as usize, lost().await);
    edge.end();
}
