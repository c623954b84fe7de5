//! What a Loki gets, over starts, kills and reloads.

use std::collections::BTreeMap;

use crate::loki::{Loki, Mood};
use crate::program::{Place, numbered, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_of_promtail_runs_as_it_is() {
    let (place, loki) = (Place::new(), Loki::start(Mood::Answers(204)).await);
    let client = format!(
        "[{{url: '{}', name: first, tenant_id: acme, headers: {{X-Site: north}}, basic_auth: {{username: u, password: p}}, external_labels: {{dc: d1, job: not this}}}}]",
        loki.url()
    );
    let stages = "{regex: {expression: '^(?P<who>\\S+) (?P<trace>\\S+)'}}, {match: {selector: '{job=\"a\"} |= \"blue\"', stages: [{tenant: {source: who}}]}}, {labels: {trace: }}, {structured_metadata: {trace: }}";
    place.settings(&client, stages, "");
    place.append("a.log", "acme t1 one\nblue t2 two\nacme t3 three\n");
    let edge = place.start_with(&["-client.external-labels=site=x"]);
    until("all lines are taken", &place, async || loki.lines().len() >= 3).await;
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for asked in loki.asked() {
        let (path, kind, who) = (asked.path.as_str(), asked.header("content-type"), asked.header("authorization"));
        assert_eq!((path, kind, who), ("/loki/api/v1/push", "application/x-protobuf", "Basic dTpw"));
        assert_eq!(asked.header("x-site"), "north");
        for stream in &asked.streams {
            assert_eq!(stream.labels.to_string(), format!("{{dc=\"d1\", filename=\"{}\", job=\"a\", site=\"x\"}}", place.path("a.log")));
            let line = |record: &proto_model::Record| format!("{} {:?}", String::from_utf8_lossy(&record.line), record.metadata);
            seen.entry(asked.header("x-scope-orgid").to_owned()).or_default().extend(stream.records.iter().map(line));
        }
    }
    assert_eq!(seen["acme"], ["acme t1 one [(\"trace\", \"t1\")]", "acme t3 three [(\"trace\", \"t3\")]"]);
    assert_eq!((seen["blue"].as_slice(), seen.len()), (["blue t2 two [(\"trace\", \"t2\")]".to_owned()].as_slice(), 2));
    assert_eq!(edge.page("/ready").await.0, 200);
    until("the status knows", &place, async || edge.client("first").await["sent_lines"] == 3 && edge.client("first").await["lag_bytes"] == 0).await;
    assert_eq!(edge.client("first").await["host"], loki.host());
    assert_eq!(edge.metric(&format!("promtail_sent_entries_total{{host=\"{}\"}}", loki.host())).await, 3.0);
    let bytes = edge.metric(&format!("promtail_sent_bytes_total{{host=\"{}\"}}", loki.host())).await;
    assert!(bytes > 50.0 && edge.metric(&format!("promtail_encoded_bytes_total{{host=\"{}\"}}", loki.host())).await == bytes);
    // Beside the positions, and told; what all clients have counts as acknowledged.
    assert!(std::path::Path::new(&place.path("tributary-wal")).is_dir() && place.said().contains("the WAL lies in"));
    until("it is acknowledged", &place, async || {
        let status: serde_json::Value = serde_json::from_str(&edge.page("/status").await.1).unwrap();
        status["sequence"].as_u64() > Some(0) && status["acked"] == status["sequence"]
    })
    .await;
    edge.end();
    let before = loki.asked().len();
    let edge = place.start();
    place.append("a.log", "acme t4 four\n");
    until("the next start goes on", &place, async || loki.lines().len() >= 4).await;
    assert_eq!((loki.lines().len(), loki.asked().len()), (4, before + 1), "nothing comes twice after an end in peace");
    edge.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_edge_repeats_what_was_on_its_way_and_no_more() {
    let (place, loki) = (Place::new(), Loki::start(Mood::Slow(30)).await);
    place.settings(&format!("[{{url: '{}', batchsize: 500, batchwait: 10ms}}]", loki.url()), "", "batch: {max_bytes: 2KiB, max_wait: 50ms}");
    let mut written = 0;
    for _ in 0..4 {
        let edge = place.start();
        let before = loki.lines().len();
        place.lines(written + 1..=written + 1_000);
        written += 1_000;
        until("some of it is taken", &place, async || loki.lines().len() > before + 300).await;
        edge.kill();
    }
    let edge = place.start();
    let all = numbered(1..=written);
    let counts = |lines: Vec<String>| {
        lines.into_iter().fold(BTreeMap::<String, u64>::new(), |mut counts, line| {
            *counts.entry(line).or_default() += 1;
            counts
        })
    };
    until("every line is there", &place, async || counts(loki.lines()).len() as u64 >= written).await;
    edge.end();
    let found = counts(loki.lines());
    assert!(all.iter().all(|line| found.contains_key(line)));
    // A batch of the WAL is four requests or so of 60 lines; one of them is on its way when the edge is killed.
    let repeats: u64 = found.values().map(|count| count - 1).sum();
    assert!(repeats <= 4 * 300, "{repeats} of {written} lines came more than once");
    assert!(found.values().all(|count| *count <= 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_cursor_begins_at_the_oldest_and_is_told() {
    let (place, loki) = (Place::new(), Loki::start(Mood::Answers(204)).await);
    place.settings(&format!("[{{url: '{}'}}]", loki.url()), "", "");
    place.lines(1..=10);
    let edge = place.start();
    until("all lines are taken", &place, async || loki.lines().len() >= 10).await;
    edge.end();
    let cursors = || std::fs::read_dir(place.path("tributary-wal/sinks")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(cursors().len(), 1);
    std::fs::write(&cursors()[0], "nothing of the kind").unwrap();
    let edge = place.start();
    place.lines(11..=12);
    until("all of the WAL comes", &place, async || loki.lines().len() >= 22).await;
    assert_eq!(loki.lines()[10..], numbered(1..=12));
    assert!(place.said().contains("a client's cursor is damaged"), "{}", place.said());
    edge.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_come_and_go_by_a_reload() {
    let (place, first, second) = (Place::new(), Loki::start(Mood::Answers(204)).await, Loki::start(Mood::Answers(204)).await);
    let one = format!("{{url: '{}', name: one}}", first.url());
    place.settings(&format!("[{one}]"), "", "");
    place.lines(1..=10);
    let edge = place.start();
    until("the first has all", &place, async || first.lines() == numbered(1..=10)).await;
    place.settings(&format!("[{one}, {{url: '{}', name: two}}]", second.url()), "", "");
    assert_eq!(edge.reload().await, (200, "the settings were reloaded\n".to_owned()));
    place.lines(11..=20);
    until("the second has what lies in the WAL and what comes", &place, async || second.lines() == numbered(1..=20)).await;
    until("the first goes on", &place, async || first.lines() == numbered(1..=20)).await;
    place.settings(&format!("[{{url: '{}', name: two}}]", second.url()), "", "");
    assert_eq!(edge.reload().await.0, 200);
    place.lines(21..=30);
    until("the second goes on", &place, async || second.lines() == numbered(1..=30)).await;
    assert_eq!(first.lines().len(), 20);
    assert!(edge.client("one").await.is_null());
    // What leaves no place to send to changes nothing.
    place.settings("[]", "", "hub: {url: 'https://127.0.0.1:1', ca_file: /nowhere/ca.crt, identity_dir: /nowhere}");
    let (status, why) = edge.reload().await;
    assert!(status == 500 && why.contains("the settings in force stay"), "{status} {why}");
    place.lines(31..=31);
    until("nothing changed", &place, async || second.lines() == numbered(1..=31)).await;
    edge.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_hub_that_is_away_clients_get_everything() {
    let (place, loki) = (Place::new(), Loki::start(Mood::Answers(204)).await);
    let hub = "hub: {url: 'https://127.0.0.1:1', ca_file: /nowhere/ca.crt, identity_dir: /nowhere}";
    place.settings(&format!("[{{url: '{}'}}]", loki.url()), "", hub);
    place.lines(1..=50);
    let edge = place.start();
    until("the client has all", &place, async || loki.lines() == numbered(1..=50)).await;
    let status: serde_json::Value = serde_json::from_str(&edge.page("/status").await.1).unwrap();
    assert_eq!((status["acked"].as_u64(), status["session"].as_str()), (Some(0), Some("none")), "the hub has none of it");
    assert_eq!(status["hub"], true);
    edge.end();
}
