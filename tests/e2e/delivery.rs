//! Exactly once, in order, byte for byte: with kills of everything, over QUIC and gRPC, on a real MinIO;
//! and a hub that loses its disk loses nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use tests::ask::Ask;
use tests::hub::Hub;
use tests::lines::{Writer, reckon, time_base_ns};
use tests::minio::Minio;
use tests::place;

use crate::{Dice, edge_of};

/// Lines of the kill tests: `TRIBUTARY_LINES` for a longer run by hand.
fn lines_wanted() -> u64 {
    std::env::var("TRIBUTARY_LINES").ok().and_then(|text| text.parse().ok()).unwrap_or(200_000)
}

async fn kills(transport: &str, seed: u64) {
    let dir = place::folder("kills");
    let minio = Minio::start(dir.path());
    let mut hub = Hub::start(dir.path(), &minio.settings("t", minio.port), "");
    let mut edge = edge_of(&hub, dir.path(), "alpha", "one", transport);
    let ask = Ask::new(&hub.url(), &hub.acme);
    let (base, mut dice) = (time_base_ns(), Dice(seed));
    let mut writers: Vec<Writer> = (0..8).map(|n| Writer::new(&dir.path().join(format!("logs-one/f{n}.log")), &format!("f{n}"), base)).collect();
    let total = lines_wanted();
    let (mut hub_kills, mut edge_kills) = (0, 0);
    let steps = 200;
    for step in 0..steps {
        for writer in &mut writers {
            writer.write(total / 8 / steps);
        }
        tokio::time::sleep(Duration::from_millis(20 + dice.roll(80))).await;
        match dice.roll(12) {
            0 | 1 => {
                hub.kill();
                hub_kills += 1;
                tokio::time::sleep(Duration::from_millis(dice.roll(300))).await;
                hub.resume();
            }
            2 | 3 => {
                edge.kill();
                edge_kills += 1;
                tokio::time::sleep(Duration::from_millis(dice.roll(300))).await;
                edge.resume();
            }
            _ => {}
        }
        if step == steps - 1 {
            while hub_kills < 10 || edge_kills < 10 {
                hub.kill();
                edge.kill();
                (hub_kills, edge_kills) = (hub_kills + 1, edge_kills + 1);
                hub.resume();
                edge.resume();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let written: BTreeMap<String, u64> = writers.iter().enumerate().map(|(n, writer)| (format!("f{n}"), writer.written)).collect();
    let lines: u64 = written.values().sum();
    ask.until_count("{cluster=\"alpha\"}", lines, Duration::from_secs(120)).await;
    let found = ask.every_line("{cluster=\"alpha\"}", base, base + 3_600_000_000_000, 20_000).await;
    let reckoning = reckon(&found, &written);
    assert!(reckoning.is_exact(), "seed {seed}, {hub_kills} hub kills, {edge_kills} edge kills: {reckoning:?}");
    assert_eq!(ask.count("{cluster=\"alpha\"}").await, lines, "counted as found");
    eprintln!("{transport}: {lines} lines exactly once over {hub_kills} kills of the hub and {edge_kills} of the edge");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_edge_and_hub_over_quic() {
    kills("quic", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_edge_and_hub_over_grpc() {
    kills("grpc", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_hub_on_the_bucket_answers_the_same() {
    let dir = place::folder("newhub");
    let minio = Minio::start(dir.path());
    let mut hub = Hub::start(dir.path(), &minio.settings("t", minio.port), "cache: {dir: \"\"}\n");
    let _edge = edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let base = time_base_ns();
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    writer.write(5_000);
    let ask = Ask::new(&hub.url(), &hub.acme);
    ask.until_count("{cluster=\"alpha\"}", 5_000, Duration::from_secs(30)).await;
    let (start, end) = (base.to_string(), (base + 3_600_000_000_000).to_string());
    let range = [("query", "{cluster=\"alpha\"}"), ("start", &*start), ("end", &*end), ("limit", "5000")];
    let questions: [(&str, &[(&str, &str)]); 4] = [
        ("/loki/api/v1/query_range", &range),
        ("/loki/api/v1/labels", &range[1..3]),
        ("/loki/api/v1/series", &range[1..3]),
        ("/loki/api/v1/label/filename/values", &range[1..3]),
    ];
    let mut before = Vec::new();
    for (path, parameters) in questions {
        let mut answer = ask.json(path, parameters).await;
        answer["data"].as_object_mut().map(|data| data.remove("stats"));
        before.push(answer);
    }
    hub.kill();
    // The hub's own disk: everything but its settings, certificates and tenants.
    for name in ["cache", "data", "index", "state"] {
        let _ = std::fs::remove_dir_all(hub.dir().join(name));
    }
    hub.resume();
    for ((path, parameters), before) in questions.into_iter().zip(before) {
        let mut answer = ask.json(path, parameters).await;
        answer["data"].as_object_mut().map(|data| data.remove("stats"));
        assert_eq!(answer, before, "{path}");
    }
}
