//! Kafka: a group of edges before franz-go's fake cluster, with TLS, a user, packed batches, brokers that come late or never, a kill and a second member.
//!
//! Without `target/tools/kafka` (`tests/kafka/build`, which needs Go) it is skipped, loudly.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tests::ask::Ask;
use tests::hub::Hub;
use tests::place;
use tests::skip::skipped;

use crate::{Wish, edge_with};

const WITHIN: Duration = Duration::from_secs(90);
const SELECTOR: &str = "{job=\"kafka\", topic=~\"shop-[ab]\", key=~\"k[012]\"}";

/// The cluster.
pub(crate) struct Kafka {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Kafka {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Kafka {
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the cluster can be started");
        let (input, output) = (child.stdin.take().expect("it has an input"), child.stdout.take().expect("it has an output"));
        let mut kafka = Self { child, input, output: BufReader::new(output) };
        assert!(kafka.answer().starts_with('['), "it names its brokers");
        kafka
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        line.trim().to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("it listens");
        self.answer()
    }

    pub(crate) fn produce(&mut self, topic: &str, numbers: std::ops::Range<u64>, packing: &str) {
        assert_eq!(self.ask(&format!("produce {topic} {} {} {packing}", numbers.start, numbers.end)), "done");
    }
}

async fn exactly(hub: &Hub, to: u64) {
    let ask = Ask::new(&hub.url(), &hub.acme);
    ask.until_count(SELECTOR, to, WITHIN).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is right").as_nanos();
    let now = i64::try_from(now).expect("the clock is right");
    let found = ask.every_line(SELECTOR, now - 3_600_000_000_000, now + 3_600_000_000_000, 5_000).await;
    let number = |line: &str| line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a line of ours");
    let mut numbers: Vec<u64> = found.values().flatten().map(|line| number(&line.line)).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..to).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_group_reads_topics_once_through_a_kill_and_a_second_member() {
    const TEST: &str = "a_group_reads_topics_once_through_a_kill_and_a_second_member";
    let program = place::programs().parent().map(|target| target.join("tools/kafka")).filter(|program| program.exists());
    let Some(program) = program else { return skipped(TEST, "target/tools/kafka is not there (tests/kafka/build)") };
    let dir = place::folder("kafka");
    let ca = dir.path().join("brokers.crt").display().to_string();
    let ports = [place::port(), place::port(), place::port()];
    let brokers = ports.map(|port| format!("127.0.0.1:{port}"));
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let brokers = serde_json::to_string(&brokers).expect("texts");
    let more = format!(
        "- job_name: kafka
  kafka:
    brokers: {brokers}
    topics: ['^shop-.*']
    group_id: shop
    labels: {{job: kafka}}
    authentication:
      type: sasl
      sasl_config: {{mechanism: SCRAM-SHA-512, user: edge, password: secret, use_tls: true, ca_file: {ca}}}
  relabel_configs:
  - {{source_labels: [__meta_kafka_topic], target_label: topic}}
  - {{source_labels: [__meta_kafka_message_key], target_label: key}}
"
    );
    let start = |name: &str| edge_with(&hub, dir.path(), "alpha", name, "auto", &Wish { more: &more, ..Wish::default() });
    let mut one = start("one");
    // It asks before the brokers and their certificate are there; the first that is named never comes.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let listen = format!("{},{}", ports[1], ports[2]);
    let mut kafka = Kafka::start(&program, &["-user", "edge", "-password", "secret", "-mechanism", "SCRAM-SHA-512", "-ca", &ca, "-ports", &listen]);
    for (at, packing) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let from = u64::try_from(at).expect("small") * 200;
        kafka.produce(if at % 2 == 0 { "shop-a" } else { "shop-b" }, from..from + 200, packing);
    }
    kafka.produce("other", 0..50, "none");
    exactly(&hub, 1_000).await;
    // Killed with records read and offsets not committed: the WAL's own count.
    kafka.produce("shop-a", 1_000..3_000, "none");
    tokio::time::sleep(Duration::from_millis(400)).await;
    one.kill();
    kafka.produce("shop-b", 3_000..4_000, "zstd");
    one.resume();
    exactly(&hub, 4_000).await;
    // A second member takes over half of the partitions.
    let two = start("two");
    for from in (4_000..6_000).step_by(100) {
        kafka.produce("shop-a", from..from + 100, "none");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    exactly(&hub, 6_000).await;
    let committed = async {
        while kafka.ask("committed shop") != "6000" {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(WITHIN, committed).await.expect("all offsets are committed");
    drop((one, two));
}
