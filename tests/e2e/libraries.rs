//! Logging libraries before an edge: Fluentd's for Go and Python, two of GELF's, one of Loki's, librdkafka; rsyslog over TLS.
//!
//! Each is its real self, pinned by `tests/run`; one that this machine lacks is skipped, loudly. What is stored is compared field by field
//! with what Promtail, or Fluent Bit's Loki output, makes of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tests::ask::Ask;
use tests::hub::Hub;
use tests::place;
use tests::process::Process;
use tests::skip::skipped;

use crate::kafka::Kafka;
use crate::senders::Gateway;
use crate::{Dice, Wish, edge_with};

const WITHIN: Duration = Duration::from_secs(60);

fn tool(name: &str) -> Option<PathBuf> {
    Some(place::programs().parent()?.join("tools").join(name)).filter(|path| path.exists())
}

/// Python with the libraries, which `tests/run prepare` installs.
fn python(module: &str) -> Option<PathBuf> {
    let python = tool("senders/bin/python")?;
    let works = Command::new(&python).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
    works.is_ok_and(|status| status.success()).then_some(python)
}

/// Runs a script to its end.
fn run(python: &Path, script: &str, arguments: &[&str]) {
    let done = Command::new(python).args(["-c", script]).args(arguments).output().expect("python can be started");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && !said.contains("Traceback"), "{said}");
}

/// Stream labels and metadata as one object, and the line, of the only row of a query.
async fn only(ask: &Ask, query: &str) -> (Value, String, i64) {
    let now = jiff::Timestamp::now().as_second();
    let (start, end) = ("1690000000".to_owned(), (now + 3_600).to_string());
    let answer = ask.json("/loki/api/v1/query_range", &[("query", query), ("start", &start), ("end", &end), ("limit", "10")]).await;
    let rows: Vec<(Value, Value)> = answer["data"]["result"]
        .as_array()
        .expect("streams")
        .iter()
        .flat_map(|stream| stream["values"].as_array().expect("values").iter().map(|value| (stream["stream"].clone(), value.clone())))
        .collect();
    assert_eq!(rows.len(), 1, "{query}: {rows:?}");
    let (labels, value) = rows.into_iter().next().expect("one");
    let time = value[0].as_str().and_then(|text| text.parse().ok()).expect("a time");
    (labels, value[1].as_str().expect("a line").to_owned(), time)
}

const FORWARD: &str = "  forward: {listen_address: '127.0.0.1:PORT', message_key: log, labels: {job: fluent}}\n  relabel_configs:\n  - {source_labels: [__forward_tag], target_label: tag}";

#[tokio::test]
async fn fluentds_library_for_go_loses_nothing_through_kills_of_the_edge() {
    const TEST: &str = "fluentds_library_for_go_loses_nothing_through_kills_of_the_edge";
    let Some(program) = tool("fluent") else { return skipped(TEST, "target/tools/fluent is not there (tests/senders/build)") };
    let (mut gateway, port) = Gateway::start(FORWARD);
    let (count, senders) = (600, 10);
    let second = jiff::Timestamp::now().as_second();
    let mut command = Command::new(program);
    command.args(["127.0.0.1", &port.to_string(), "shop.web", &count.to_string(), &senders.to_string(), &second.to_string()]);
    let mut sender = Process::start(command, &gateway.dir, "fluent");
    let (mut dice, mut kills) = (Dice(5), 0);
    let until = tokio::time::Instant::now() + WITHIN;
    while sender.alive() {
        assert!(tokio::time::Instant::now() < until, "{}", sender.tail());
        tokio::time::sleep(Duration::from_millis(300 + dice.roll(700))).await;
        if kills < 4 && sender.alive() {
            gateway.edge.kill();
            gateway.edge.resume();
            kills += 1;
        }
    }
    assert_eq!(sender.wait(Duration::ZERO), Some(0), "{}", sender.tail());
    let selector = "{job=\"fluent\", tag=\"shop.web\"}";
    gateway.ask().until_count(selector, count, WITHIN).await;
    let found = gateway.ask().every_line(selector, second * 1_000_000_000, (second + 1) * 1_000_000_000, 5_000).await;
    let mut numbers: Vec<u64> = found.values().flatten().map(|row| row.line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("ours")).collect();
    let all = numbers.len() as u64;
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "what was confirmed is there");
    assert!(all - count <= kills * senders, "only what was not confirmed in time is there twice: {all}, {kills} kills");
    // Its time to the nanosecond; text in bytes is text; a map is JSON.
    let (labels, line, time) = only(&gateway.ask(), &format!("{selector} |= \"line 599\" | order=\"599\"")).await;
    assert_eq!((line.as_str(), time), ("line 599", second * 1_000_000_000 + 600));
    assert_eq!((&labels["blob"], &labels["nested"], &labels["log"]), (&json!("é"), &json!("{\"a\":\"b\"}"), &Value::Null));
}

const FLUENT: &str = "
import sys, logging
from fluent import sender, asyncsender, handler
host, port = '127.0.0.1', int(sys.argv[1])
plain = sender.FluentSender('shop', host=host, port=port, nanosecond_precision=True)
for n in range(200): assert plain.emit('web', {'log': 'line %d' % n, 'order': n, 'user': {'name': 'é'}, 'flag': True, 'none': None, 'f': 1.5})
assert plain.emit_with_time('old', int(sys.argv[2]), {'log': 'seconds'})
plain.close()
beside = asyncsender.FluentSender('shop', host=host, port=port, queue_circular=False)
for n in range(200): beside.emit('beside', {'log': 'line %d' % n})
beside.close()
log = logging.getLogger('x'); log.setLevel(logging.INFO)
way = handler.FluentHandler('shop.handler', host=host, port=port)
way.setFormatter(handler.FluentRecordFormatter({'level': '%(levelname)s', 'where': '%(name)s'}))
log.addHandler(way)
for n in range(50): log.warning({'log': 'line %d' % n})
log.warning('only text')
way.close()
";

#[tokio::test]
async fn fluentds_library_for_python_is_heard() {
    let Some(python) = python("fluent") else { return skipped("fluentds_library_for_python_is_heard", "fluent-logger is not in target/tools/senders") };
    let (gateway, port) = Gateway::start(FORWARD);
    let second = jiff::Timestamp::now().as_second() - 3_600;
    run(&python, FLUENT, &[&port.to_string(), &second.to_string()]);
    let ask = gateway.ask();
    for (tag, count) in [("shop.web", 200), ("shop.beside", 200), ("shop.old", 1), ("shop.handler", 51)] {
        ask.until_count(&format!("{{tag=\"{tag}\"}}"), count, WITHIN).await;
    }
    let (labels, line, _) = only(&ask, "{tag=\"shop.web\"} | order=\"7\"").await;
    assert_eq!(line, "line 7");
    assert_eq!((&labels["user"], &labels["flag"], &labels["f"]), (&json!("{\"name\":\"é\"}"), &json!("true"), &json!("1.5")));
    assert_eq!(only(&ask, "{tag=\"shop.old\"}").await.2, second * 1_000_000_000);
    let (labels, ..) = only(&ask, "{tag=\"shop.handler\"} |= \"line 49\"").await;
    assert_eq!((&labels["level"], &labels["where"]), (&json!("WARNING"), &json!("x")));
    // Without the key the line is the record.
    let (_, line, _) = only(&ask, "{tag=\"shop.handler\"} |= \"only text\"").await;
    assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON")["message"], "only text");
}

const GELF: &str = "
import sys, logging, random, pygelf, graypy
port = int(sys.argv[1])
random.seed(7)
long = ''.join(random.choice('0123456789abcdef') for _ in range(100000))
ways = [('pygelf', pygelf.GelfUdpHandler(host='127.0.0.1', port=port, chunk_size=1300, include_extra_fields=True, _lib='pygelf')),
        ('raw', pygelf.GelfUdpHandler(host='127.0.0.1', port=port, compress=False, include_extra_fields=True, _lib='raw')),
        ('graypy', graypy.GELFUDPHandler('127.0.0.1', port, extra_fields=True, facility='shop'))]
for name, way in ways:
    log = logging.getLogger(name); log.setLevel(logging.INFO); log.addHandler(way)
    for n in range(30): log.warning('line %d', n, extra={'order': n, 'lib': name})
    log.error('long ' + long, extra={'order': 99, 'lib': name})
    way.close()
";

#[tokio::test]
async fn gelfs_libraries_are_heard() {
    let Some(python) = python("pygelf, graypy") else { return skipped("gelfs_libraries_are_heard", "pygelf and graypy are not in target/tools/senders") };
    let (gateway, port) = Gateway::start(
        "  gelf: {listen_address: '127.0.0.1:PORT', use_incoming_timestamp: true, labels: {job: gelf}}\n  relabel_configs:\n  - {source_labels: [__gelf_message_level], target_label: level}\n  - {source_labels: [__gelf_message_host], target_label: host}\n  - {source_labels: [__gelf_message_version], target_label: version}\n  - {source_labels: [__gelf_message_facility], target_label: facility}",
    );
    run(&python, GELF, &[&port.to_string()]);
    let ask = gateway.ask();
    ask.until_count("{job=\"gelf\"}", 93, WITHIN).await;
    for lib in ["pygelf", "raw", "graypy"] {
        let (labels, line, time) = only(&ask, &format!("{{job=\"gelf\", level=\"warning\"}} |= \"{lib}\" | json | _order=\"7\" | _lib=\"{lib}\"")).await;
        let message: Value = serde_json::from_str(&line).expect("the line is the message");
        assert_eq!((&message["short_message"], &message["_order"]), (&json!("line 7"), &json!(7)), "{lib}");
        assert_eq!((&labels["version"], &labels["host"]), (&message["version"], &message["host"]), "{lib}");
        let seconds = message["timestamp"].as_f64().expect("its time");
        assert!((seconds - time as f64 / 1e9).abs() < 0.001, "{lib}: {seconds} {time}");
        assert_eq!(labels.get("facility"), message.get("facility").filter(|facility| *facility != ""), "{lib}");
        let (_, line, _) = only(&ask, &format!("{{job=\"gelf\", level=\"error\"}} |= \"{lib}\"")).await;
        let message: Value = serde_json::from_str(&line).expect("the line is the message");
        let text = message["full_message"].as_str().filter(|text| text.len() > 100_000).or(message["short_message"].as_str());
        assert_eq!(text.map(str::len), Some(100_005), "{lib}: in many pieces");
    }
}

const LOKI: &str = "
import sys, logging, logging_loki
way = logging_loki.LokiHandler(url=sys.argv[1], tags={'app': 'shop', 'job': 'loki'}, version='1')
log = logging.getLogger('web'); log.setLevel(logging.INFO); log.addHandler(way)
logging.raiseExceptions = True
for n in range(200): log.warning('line %d é', n, extra={'tags': {'kind': 'even' if n % 2 == 0 else 'odd'}})
";

#[tokio::test]
async fn lokis_library_stores_what_it_stores_at_the_hub() {
    let Some(python) = python("logging_loki") else {
        return skipped("lokis_library_stores_what_it_stores_at_the_hub", "python-logging-loki is not in target/tools/senders");
    };
    let (gateway, port) = Gateway::start("  loki_push_api: {server: {http_listen_address: 127.0.0.1, http_listen_port: PORT}, use_incoming_timestamp: true}");
    run(&python, LOKI, &[&format!("http://127.0.0.1:{port}/loki/api/v1/push")]);
    let ask = gateway.ask();
    ask.until_count("{job=\"loki\", app=\"shop\", severity=\"warning\", logger=\"web\"}", 200, WITHIN).await;
    let (labels, line, time) = only(&ask, "{job=\"loki\", kind=\"odd\"} |= \"line 7 \"").await;
    assert_eq!(line, "line 7 é");
    assert!((time / 1_000_000_000).abs_diff(jiff::Timestamp::now().as_second()) < 600, "{time}");
    let names: Vec<&String> =
        labels.as_object().expect("labels").keys().filter(|name| !["cluster", "detected_level", "service_name"].contains(&name.as_str())).collect();
    assert_eq!(names, ["app", "job", "kind", "logger", "severity"]);
}

const RDKAFKA: &str = "
import sys
from confluent_kafka import Producer
number = 0
for packing in ['none', 'gzip', 'snappy', 'lz4', 'zstd']:
    producer = Producer({'bootstrap.servers': sys.argv[1], 'compression.type': packing, 'enable.idempotence': packing != 'none', 'linger.ms': 20, 'acks': 'all'})
    failed = []
    for _ in range(400):
        producer.produce('shop-a', ('line %d ' % number + 'é' * (number % 50)).encode(), key=b'k%d' % (number % 3), headers={'h': b'1'}, timestamp=int(sys.argv[2]) * 1000 + number, on_delivery=lambda e, m: e and failed.append(e))
        number += 1
    assert producer.flush(30) == 0 and not failed, failed
producer.produce('shop-a', None, key=b'gone')
producer.produce('shop-a', b'\\xff\\xfe\\x00', key=b'bytes')
assert producer.flush(30) == 0
";

#[tokio::test]
async fn records_of_librdkafka_are_read() {
    const TEST: &str = "records_of_librdkafka_are_read";
    let (Some(python), Some(program)) = (python("confluent_kafka"), tool("kafka")) else {
        return skipped(TEST, "confluent-kafka is not in target/tools/senders, or target/tools/kafka is not there");
    };
    let dir = place::folder("rdkafka");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let ports = format!("{},{}", place::port(), place::port());
    let mut kafka = Kafka::start(&program, &["-ports", &ports]);
    kafka.produce("shop-a", 0..1, "none");
    let broker = format!("127.0.0.1:{}", ports.split(',').next().expect("two"));
    let second = jiff::Timestamp::now().as_second() - 3_600;
    run(&python, RDKAFKA, &[&broker, &second.to_string()]);
    let more = format!(
        "- job_name: kafka\n  kafka: {{brokers: ['{broker}'], topics: [shop-a], group_id: shop, labels: {{job: kafka}}, use_incoming_timestamp: true}}\n  relabel_configs:\n  - {{source_labels: [__meta_kafka_message_key], target_label: key}}\n"
    );
    let edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &Wish { more: &more, ..Wish::default() });
    let ask = Ask::new(&hub.url(), &hub.acme);
    ask.until_count("{job=\"kafka\", key=~\"k[012]\"}", 2_001, WITHIN).await;
    let (_, line, time) = only(&ask, "{job=\"kafka\", key=\"k1\"} |= \"line 1999 \"").await;
    assert_eq!((line.as_str(), time), (format!("line 1999 {}", "é".repeat(49)).as_str(), second * 1_000_000_000 + 1_999_000_000));
    let found = ask.every_line("{job=\"kafka\", key=~\"k[012]\"}", (second - 60) * 1_000_000_000, (second + 7_200) * 1_000_000_000, 5_000).await;
    let mut lines: Vec<String> = found.into_values().flatten().map(|row| row.line).collect();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 2_000, "each once");
    ask.until_count("{job=\"kafka\", key=\"bytes\"}", 1, WITHIN).await;
    assert_eq!(edge.metric("tributary_edge_losses_total", "kafka").await.unwrap_or(0.0), 0.0);
}

#[tokio::test]
async fn rsyslog_forwards_over_tls_and_shows_its_certificate() {
    const TEST: &str = "rsyslog_forwards_over_tls_and_shows_its_certificate";
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"].map(|dir| Path::new(dir).join("rsyslog/lmnsd_gtls.so"));
    let rsyslogd = Path::new("/usr/sbin/rsyslogd");
    if !rsyslogd.exists() || !library.iter().any(|path| path.exists()) {
        return skipped(TEST, "rsyslog or rsyslog-gnutls is not installed");
    }
    let dir = place::folder("rsyslog-tls");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    // The certificate of a server; those of the same authority are let in.
    let (own, shop) = (hub.certificate(), hub.identity("alpha", "shop", &[]));
    let port = place::port();
    let more = format!(
        "- job_name: tls\n  syslog:\n    listen_address: '127.0.0.1:{port}'\n    labels: {{job: tls}}\n    use_incoming_timestamp: true\n    label_structured_data: true\n    tls_config: {{cert_file: {own}/hub.crt, key_file: {own}/hub.key, ca_file: {own}/ca.crt}}\n  relabel_configs:\n  - {{source_labels: [__syslog_message_app_name], target_label: app}}\n  - {{source_labels: [__syslog_message_severity], target_label: severity}}\n",
        own = own.display()
    );
    let edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &Wish { more: &more, ..Wish::default() });
    let work = dir.path().join("rsyslog");
    std::fs::create_dir_all(&work).expect("a folder can be made");
    let input = work.join("in.log");
    let long = "x".repeat(7_000);
    let text: String = (0..500).map(|n| format!("line {n}{}\n", if n == 250 { long.as_str() } else { "" })).collect();
    std::fs::write(&input, text).expect("a file can be written");
    let settings = format!(
        "global(workDirectory=\"{work}\" maxMessageSize=\"64k\" defaultNetstreamDriverCAFile=\"{shop}/ca.crt\" defaultNetstreamDriverCertFile=\"{shop}/edge.crt\" defaultNetstreamDriverKeyFile=\"{shop}/edge.key\")\n\
         module(load=\"imfile\" mode=\"polling\" PollingInterval=\"1\")\ninput(type=\"imfile\" File=\"{input}\" Tag=\"shop\" Severity=\"error\")\n\
         action(type=\"omfwd\" Target=\"127.0.0.1\" Port=\"{port}\" Protocol=\"tcp\" TCP_Framing=\"octet-counted\" template=\"RSYSLOG_SyslogProtocol23Format\"\n\
         StreamDriver=\"gtls\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"x509/certvalid\" action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\")\n",
        work = work.display(),
        shop = shop.display(),
        input = input.display()
    );
    std::fs::write(work.join("rsyslog.conf"), settings).expect("a file can be written");
    let mut command = Command::new(rsyslogd);
    command.arg("-n").arg("-f").arg(work.join("rsyslog.conf")).arg("-i").arg(work.join("pid"));
    let rsyslog = Process::start(command, &work, "rsyslogd");
    let ask = Ask::new(&hub.url(), &hub.acme);
    let selector = "{job=\"tls\", app=\"shop\", severity=\"error\"}";
    ask.until_count(selector, 500, WITHIN).await;
    assert_eq!(ask.count(selector).await, 500, "{}", rsyslog.tail());
    assert_eq!(only(&ask, &format!("{selector} |= \"line 250\"")).await.1, format!("line 250{long}"));
    // Without a certificate nobody is let in.
    let refused = edge.metric("tributary_edge_receive_refused_total", "syslog").await.unwrap_or(0.0);
    let stranger = Command::new("openssl").args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}")]).stdin(Stdio::null()).output();
    if stranger.is_ok() {
        let until = tokio::time::Instant::now() + WITHIN;
        while edge.metric("tributary_edge_receive_refused_total", "syslog").await.unwrap_or(0.0) <= refused {
            assert!(tokio::time::Instant::now() < until, "a sender without a certificate is counted");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
