//! What status and metrics say of each client, while it is away and after it came back, and what limits cost each.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::loki::{Loki, Mood};
use crate::program::{Place, Program, numbered, until};

/// Bytes and seconds behind: in the status, and in the metrics.
async fn behind(edge: &Program, client: &str) -> [(f64, f64); 2] {
    let told = edge.client(client).await;
    let metric = async |what: &str| edge.metric(&format!("tributary_edge_sink_lag_{what}{{client=\"{client}\"}}")).await;
    [(told["lag_bytes"].as_f64().unwrap(), told["lag_s"].as_f64().unwrap()), (metric("bytes").await, metric("seconds").await)]
}

/// The row of a client as `tributary-edge status` shows it, in words.
fn row(edge: &Program, client: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_tributary-edge")).args(["status", "--url", &edge.url()]).env("COLUMNS", "200").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found = text.lines().find(|line| line.split_whitespace().next() == Some(client));
    found.unwrap_or_else(|| panic!("{text}")).split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lag_of_each_client_is_told_while_it_is_away_and_after_it_came_back() {
    let (place, away, good) = (Place::new(), Loki::start(Mood::Answers(503)).await, Loki::start(Mood::Answers(204)).await);
    let backoff = "backoff_config: {min_period: 50ms, max_period: 100ms}";
    place.settings(&format!("[{{url: '{}', name: away, {backoff}}}, {{url: '{}', name: good}}]", away.url(), good.url()), "", "batch: {max_wait: 100ms}");
    place.lines(1..=50);
    let edge = place.start();
    until("it lags", &place, async || behind(&edge, "away").await.iter().all(|(bytes, seconds)| *bytes > 0.0 && *seconds >= 2.0)).await;
    let first = behind(&edge, "away").await;
    place.lines(51..=100);
    until("it lags by more", &place, async || behind(&edge, "away").await.iter().zip(first).all(|(now, before)| now.0 > before.0 && now.1 >= before.1 + 2.0))
        .await;
    until("nobody else does", &place, async || good.lines() == numbered(1..=100) && behind(&edge, "good").await == [(0.0, 0.0); 2]).await;
    let trouble = edge.client("away").await["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.starts_with("503 the stand-in says no"), "{trouble}");
    assert!(row(&edge, "away").contains(&"503".to_owned()) && !row(&edge, "good").contains(&"503".to_owned()), "{:?}", row(&edge, "away"));
    away.feels(Mood::Answers(204));
    until("it is there again", &place, async || behind(&edge, "away").await == [(0.0, 0.0); 2]).await;
    assert_eq!(away.lines(), numbered(1..=100));
    let told = edge.client("away").await;
    assert_eq!((told["trouble"].as_str(), told["sent_lines"].as_u64(), told["lost_lines"].as_u64()), (Some(""), Some(100), Some(0)));
    assert_eq!(row(&edge, "away")[2..], row(&edge, "good")[2..], "both have all");
    edge.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_counted_for_every_client_under_the_tenant_of_the_line() {
    let (place, first, second) = (Place::new(), Loki::start(Mood::Answers(204)).await, Loki::start(Mood::Answers(204)).await);
    let clients = format!("[{{url: '{}', tenant_id: own}}, {{url: '{}'}}]", first.url(), second.url());
    let stages = "{regex: {expression: '^(?P<who>blue)'}}, {tenant: {source: who}}";
    let dropped =
        |loki: &Loki, tenant: &str, what: &str| format!("promtail_{what}_total{{host=\"{}\",tenant=\"{tenant}\",reason=\"line_too_long\"}}", loki.host());
    place.settings(&clients, stages, "limits_config: {max_line_size: 10}");
    place.append("a.log", "blue is too long\nplain\ngreen is too long\nblue\n");
    let edge = place.start();
    until("the rest arrives", &place, async || first.lines().len() == 2 && second.lines().len() == 2).await;
    for (loki, tenant, bytes) in [(&first, "blue", 16.0), (&second, "blue", 16.0), (&first, "own", 17.0), (&second, "", 17.0)] {
        until("it is counted", &place, async || edge.metric(&dropped(loki, tenant, "dropped_entries")).await == 1.0).await;
        assert_eq!(edge.metric(&dropped(loki, tenant, "dropped_bytes")).await, bytes);
    }
    edge.end();
    place.settings(&clients, stages, "limits_config: {max_line_size: 10, max_line_size_truncate: true}");
    let edge = place.start();
    place.append("a.log", "blue is too long\n");
    until("it is cut", &place, async || second.lines().last().is_some_and(|line| line == "blue is to")).await;
    until("it is counted", &place, async || edge.metric(&dropped(&second, "blue", "mutated_entries")).await == 1.0).await;
    assert_eq!(edge.metric(&dropped(&second, "blue", "mutated_bytes")).await, 6.0);
    edge.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_how_long_is_left_alone_so_long() {
    let (place, busy, good) = (Place::new(), Loki::start(Mood::Answers(204)).await, Loki::start(Mood::Answers(204)).await);
    let asked_at: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let times = Arc::clone(&asked_at);
    busy.judges(move |_| {
        let mut times = times.lock().unwrap();
        times.push(Instant::now());
        if times.len() == 1 { Mood::Limits(3) } else { Mood::Answers(204) }
    });
    let backoff = "backoff_config: {min_period: 50ms, max_period: 50ms}";
    place.settings(&format!("[{{url: '{}', name: busy, {backoff}}}, {{url: '{}', name: good}}]", busy.url(), good.url()), "", "");
    place.lines(1..=10);
    let edge = place.start();
    until("the other one has all", &place, async || good.lines() == numbered(1..=10)).await;
    until("it has all", &place, async || busy.lines() == numbered(1..=10)).await;
    let times = asked_at.lock().unwrap().clone();
    assert!(times[1] - times[0] >= Duration::from_secs(3), "{times:?}");
    edge.end();
}
