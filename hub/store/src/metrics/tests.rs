use proto_model::{ClusterId, EdgeId, TenantId};

use super::*;

fn loss(reason: &str, lines: Option<u64>) -> Loss {
    Loss {
        tenant: TenantId::new("acme").unwrap(),
        cluster: ClusterId::new("alpha").unwrap(),
        edge: EdgeId::new("one").unwrap(),
        source: String::new(),
        reason: reason.to_owned(),
        from_ns: 0,
        to_ns: 1,
        lines,
        bytes: None,
    }
}

#[test]
fn losses_are_counted_by_tenant_and_known_reason() {
    let metrics = StoreMetrics::default();
    for one in [loss("wal_full", Some(40)), loss("wal_full", Some(2)), loss("vanished", None), loss("x\n} 1", Some(1)), loss("y", Some(2))] {
        metrics.lost(&one);
    }
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "tributary_hub_lines_lost_total{tenant=\"acme\",reason=\"wal_full\"} 42",
        "tributary_hub_losses_total{tenant=\"acme\",reason=\"wal_full\"} 2",
        "tributary_hub_losses_total{tenant=\"acme\",reason=\"vanished\"} 1",
        "tributary_hub_lines_lost_total{tenant=\"acme\",reason=\"vanished\"} 0",
        "tributary_hub_lines_lost_total{tenant=\"acme\",reason=\"other\"} 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}
