//! The canary: known lines through the whole path, and what the hub says became of them.

use std::time::Duration;

use serde_json::json;
use tests::ask::{Ask, metric};
use tests::hub::Hub;
use tests::place;

use crate::{Wish, edge_with};

const NAME: &str = "tributary_hub_canary_";

async fn value(hub: &Hub, metric_name: &str, label: &str) -> f64 {
    metric(&hub.admin_url(), &format!("{NAME}{metric_name}"), label).await.expect("the hub answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn known_lines_are_counted_and_missing_ones_too() {
    let dir = place::folder("canary");
    let hub_more = "canary: {every: 300ms, wait: 3s}\n";
    let mut hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), hub_more);
    let wish = Wish { more: "canary: {every: 200ms}\n", ..Wish::default() };
    let mut edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &wish);
    tokio::time::sleep(Duration::from_secs(8)).await;
    // A new start of the edge is a new run; the hub that is away for a moment loses none.
    edge.kill();
    edge.resume();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let own = "edge=\"one\"";
    let labelled = Ask::new(&hub.admin_url(), "").text("/metrics", &[]).await.1;
    assert!(labelled.contains(&format!("{NAME}lines_total{{tenant=\"acme\",cluster=\"alpha\",edge=\"one\"}}")), "{labelled}");
    assert!(value(&hub, "lines_total", own).await >= 40.0, "{}", value(&hub, "lines_total", own).await);
    let latency = value(&hub, "latency_seconds", own).await;
    assert!(latency > 0.0 && latency < 5.0, "{latency}");
    for bad in ["missing_total", "late_total", "duplicate_total", "out_of_order_total"] {
        assert_eq!(value(&hub, bad, own).await, 0.0, "{bad}");
    }
    edge.kill();

    // Lines of an edge that drops some: number 3 and 4 never come, 6 comes twice, 2 comes late.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_nanos()).unwrap();
    let line = |number: i64| {
        let at = now + number * 1_000_000;
        json!([at.to_string(), format!("canary {now:016x} {number} {at}")])
    };
    let push = async |lines: Vec<serde_json::Value>| {
        let body = json!({"streams": [{"stream": {"job": "tributary-canary", "edge": "lossy"}, "values": lines}]});
        let pushed = Ask::new(&hub.url(), &hub.acme_writer).post("/loki/api/v1/push", "application/json", body.to_string().into_bytes()).await.unwrap();
        assert_eq!(pushed.status().as_u16(), 204, "{}", pushed.text().await.unwrap());
    };
    push(vec![line(1), line(5), line(6)]).await;
    push(vec![line(6), line(7)]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let lossy = "edge=\"lossy\"";
    let found = [value(&hub, "lines_total", lossy).await, value(&hub, "missing_total", lossy).await, value(&hub, "duplicate_total", lossy).await];
    assert_eq!(found, [4.0, 3.0, 1.0], "lines, missing, duplicate");
    push(vec![line(2)]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(value(&hub, "late_total", lossy).await, 1.0);
    assert_eq!(value(&hub, "missing_total", lossy).await, 3.0, "what was counted stays");
    assert!(hub.process().alive());
}
