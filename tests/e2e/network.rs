//! Faults of the network between edge and hub, in a namespace of its own: partitions of both kinds, UDP blocked
//! in mid-stream, a moved address, packets above a size swallowed.

use std::time::Duration;

use tests::edge::Edge;
use tests::hub::Hub;
use tests::lines::{Writer, time_base_ns};
use tests::machine::Namespace;
use tests::place;
use tests::skip::skipped;

use crate::faults::write_for;
use crate::{Wish, edge_with, settle};

struct Site {
    // Dropped in this order: programs before the network, the network before the folder.
    hub: Hub,
    edge: Edge,
    network: Namespace,
    writer: Writer,
    base: i64,
    _dir: tempfile::TempDir,
}

impl Site {
    /// A hub outside, an edge inside a namespace; `None` after saying that `test` is skipped.
    fn start(test: &str, transport: &str) -> Option<Self> {
        let network = Namespace::make().map_err(|why| skipped(test, &why)).ok()?;
        let dir = place::folder("network");
        let hub = Hub::prepare_at(dir.path(), &network.outside, &crate::folder_store(dir.path()), "").started();
        let wish = Wish { hubs: vec![format!("https://{}:{}", network.outside, hub.link)], namespace: Some(&network.name), ..Wish::default() };
        let edge = edge_with(&hub, dir.path(), "alpha", "one", transport, &wish);
        let base = time_base_ns();
        let writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
        Some(Self { hub, edge, network, writer, base, _dir: dir })
    }

    async fn write(&mut self, seconds: u64) {
        write_for(&mut self.writer, 50, Duration::from_secs(seconds)).await;
    }

    /// Waits until the edge says that its session is one of `wanted`.
    async fn until_session(&self, wanted: &[&str], within: Duration) -> String {
        let until = tokio::time::Instant::now() + within;
        loop {
            let session = self.edge.status()["session"].as_str().unwrap_or("none").to_owned();
            if wanted.contains(&session.as_str()) || tokio::time::Instant::now() > until {
                return session;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn settle(&self, within: Duration) {
        settle(&self.hub, "{cluster=\"alpha\"}", &[&self.writer], self.base, within).await;
    }
}

async fn partitions(test: &str, transport: &str) {
    let Some(mut site) = Site::start(test, transport) else { return };
    site.write(2).await;
    for (one_way, seconds) in [(false, 3), (true, 3), (false, 20), (true, 12)] {
        if one_way {
            site.network.block_in("")
        } else {
            site.network.block("")
        }
        site.write(seconds).await;
        site.network.unblock();
        site.write(2).await;
    }
    site.settle(Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_over_quic() {
    partitions("partitions_over_quic", "quic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_over_grpc() {
    partitions("partitions_over_grpc", "grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_is_blocked_in_mid_stream() {
    let Some(mut site) = Site::start("udp_is_blocked_in_mid_stream", "auto") else { return };
    assert_eq!(site.until_session(&["quic"], Duration::from_secs(10)).await, "quic");
    site.write(2).await;
    site.network.block("udp dport != 0");
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while site.edge.status()["session"] != "grpc" {
        assert!(tokio::time::Instant::now() < until, "no session over gRPC within 60 s of blocking UDP: {}", site.edge.status());
        site.write(1).await;
    }
    site.write(2).await;
    // While UDP stays blocked.
    site.settle(Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_changes_in_mid_stream() {
    let Some(mut site) = Site::start("the_address_changes_in_mid_stream", "auto") else { return };
    for last in [3, 4, 5] {
        site.write(3).await;
        site.network.readdress(last);
    }
    site.write(3).await;
    site.settle(Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_packets_are_swallowed() {
    let Some(mut site) = Site::start("large_packets_are_swallowed", "auto") else { return };
    assert_eq!(site.until_session(&["quic"], Duration::from_secs(10)).await, "quic");
    site.write(3).await;
    // A tunnel of 1,280 bytes that says nothing: what IPv6 guarantees, and QUIC's least is 1,200 + 28.
    site.network.swallow(1_280);
    site.write(10).await;
    site.settle(Duration::from_secs(90)).await;
}
