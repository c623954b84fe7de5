//! An edge as a gateway before real senders: rsyslog, `logger`, Python's logging, OpenTelemetry's SDK; and kills while a sender pushes.
//!
//! A sender that this machine lacks is skipped, loudly.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tests::ask::Ask;
use tests::edge::Edge;
use tests::hub::Hub;
use tests::place;
use tests::process::Process;
use tests::skip::skipped;

use crate::{Dice, Wish, edge_with};

const WITHIN: Duration = Duration::from_secs(60);

/// A hub, and an edge with one more job.
pub(crate) struct Gateway {
    _dir: tempfile::TempDir,
    pub(crate) dir: PathBuf,
    hub: Hub,
    pub(crate) edge: Edge,
}

impl Gateway {
    /// `job` is YAML after `job_name: gate`, with `PORT` where the port goes.
    pub(crate) fn start(job: &str) -> (Self, u16) {
        let dir = place::folder("senders");
        let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
        let port = place::port();
        let more = format!("- job_name: gate\n{}\n", job.replace("PORT", &port.to_string()));
        let edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &Wish { more: &more, ..Wish::default() });
        (Self { dir: dir.path().to_path_buf(), _dir: dir, hub, edge }, port)
    }

    pub(crate) fn ask(&self) -> Ask {
        Ask::new(&self.hub.url(), &self.hub.acme)
    }

    /// All lines of a selector within the last hour, by labels.
    async fn lines(&self, selector: &str) -> Vec<(String, String)> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = i64::try_from(now.as_nanos()).unwrap();
        let found = self.ask().every_line(selector, now - 3_600_000_000_000, now + 3_600_000_000_000, 5_000).await;
        found.into_iter().flat_map(|(labels, lines)| lines.into_iter().map(move |answered| (labels.clone(), answered.line))).collect()
    }
}

fn program_at(names: &[&str]) -> Option<PathBuf> {
    names.iter().map(PathBuf::from).find(|path| path.exists())
}

const SYSLOG_RULES: &str = "  relabel_configs:\n  - {source_labels: [__syslog_message_hostname], target_label: host}\n  - {source_labels: [__syslog_message_app_name], target_label: app}\n  - {source_labels: [__syslog_message_severity], target_label: severity}\n";

#[tokio::test]
async fn rsyslog_forwards_over_tcp_through_a_restart_of_the_edge() {
    let Some(rsyslogd) = program_at(&["/usr/sbin/rsyslogd"]) else {
        return skipped("rsyslog_forwards_over_tcp_through_a_restart_of_the_edge", "rsyslog is not installed");
    };
    let (mut gateway, port) = Gateway::start(&format!("  syslog: {{listen_address: '127.0.0.1:PORT', labels: {{job: rsyslog}}}}\n{SYSLOG_RULES}"));
    let dir = gateway.dir.join("rsyslog");
    std::fs::create_dir_all(&dir).unwrap();
    let (input, work) = (dir.join("in.log"), dir.join("work"));
    std::fs::create_dir_all(&work).unwrap();
    std::fs::write(&input, "").unwrap();
    let settings = format!(
        "global(workDirectory=\"{work}\")\nmodule(load=\"imfile\" mode=\"polling\" PollingInterval=\"1\")\n\
         input(type=\"imfile\" File=\"{input}\" Tag=\"shop\" Severity=\"warning\")\n\
         action(type=\"omfwd\" Target=\"127.0.0.1\" Port=\"{port}\" Protocol=\"tcp\" TCP_Framing=\"octet-counted\" template=\"RSYSLOG_SyslogProtocol23Format\"\n\
         action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\" queue.type=\"LinkedList\" RebindInterval=\"50\")\n",
        work = work.display(),
        input = input.display()
    );
    std::fs::write(dir.join("rsyslog.conf"), settings).unwrap();
    let mut command = Command::new(rsyslogd);
    command.arg("-n").arg("-f").arg(dir.join("rsyslog.conf")).arg("-i").arg(dir.join("pid"));
    let mut rsyslog = Process::start(command, &dir, "rsyslogd");
    let append = |from: usize, to: usize| {
        let text: String = (from..to).map(|n| format!("line {n}\n")).collect();
        let mut file = std::fs::OpenOptions::new().append(true).open(&input).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    append(0, 500);
    let selector = "{job=\"rsyslog\", app=\"shop\", severity=\"warning\"}";
    gateway.ask().until_count(selector, 500, WITHIN).await;
    // An end in peace: the edge takes what came, rsyslog keeps what did not.
    gateway.edge.process().stop(Duration::from_secs(30));
    gateway.edge.kill();
    append(500, 700);
    tokio::time::sleep(Duration::from_secs(2)).await;
    gateway.edge.resume();
    append(700, 1_000);
    // TCP tells a sender nothing of what its peer never read: rsyslog knows that it may lose one send at a break, so the edge owes the rest.
    gateway.ask().until_count(&format!("{selector} |~ \"line ([7-9]..)$\""), 300, WITHIN).await;
    assert!(rsyslog.alive(), "{}", rsyslog.tail());
    let lines = gateway.lines(selector).await;
    let numbers: Vec<usize> = lines.iter().map(|(_, line)| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    for (from, to, least) in [(0, 500, 500), (500, 700, 199), (700, 1_000, 300)] {
        let mut found: Vec<usize> = numbers.iter().copied().filter(|n| (from..to).contains(n)).collect();
        found.sort_unstable();
        found.dedup();
        assert!(found.len() >= least, "{from}..{to}: {} of {least}", found.len());
    }
}

#[tokio::test]
async fn logger_is_heard_in_both_forms_and_framings() {
    let Some(logger) = program_at(&["/usr/bin/logger"]) else { return skipped("logger_is_heard_in_both_forms_and_framings", "logger is not installed") };
    let udp = place::port();
    let job = format!(
        "  syslog: {{listen_address: '127.0.0.1:PORT', labels: {{job: logger}}}}\n{SYSLOG_RULES}- job_name: udp\n  syslog: {{listen_address: '127.0.0.1:{udp}', listen_protocol: udp, labels: {{job: logger}}}}\n{SYSLOG_RULES}"
    );
    let (gateway, tcp) = Gateway::start(&job);
    for (port, more, text) in [
        (tcp, vec!["--tcp", "--octet-count", "--rfc5424"], "tcp counted new"),
        (tcp, vec!["--tcp", "--rfc5424"], "tcp lines new"),
        (tcp, vec!["--tcp", "--rfc3164"], "tcp lines old"),
        (udp, vec!["--udp", "--rfc5424"], "udp new"),
        (udp, vec!["--udp", "--rfc3164"], "udp old"),
    ] {
        let done = Command::new(&logger)
            .args(["--server", "127.0.0.1", "--port", &port.to_string(), "--priority", "user.err", "--tag", "shop"])
            .args(more)
            .arg(text)
            .output();
        assert!(done.as_ref().is_ok_and(|done| done.status.success()), "{done:?}");
    }
    gateway.ask().until_count("{job=\"logger\", app=\"shop\", severity=\"error\"}", 5, WITHIN).await;
    let mut lines: Vec<String> = gateway.lines("{job=\"logger\"}").await.into_iter().map(|(_, line)| line).collect();
    lines.sort();
    assert_eq!(lines, ["tcp counted new", "tcp lines new", "tcp lines old", "udp new", "udp old"]);
}

/// Python with OpenTelemetry's SDK, which `tests/run prepare` installs.
fn python_with_sdk() -> Option<PathBuf> {
    let target = place::programs().parent().map(Path::to_path_buf)?;
    let python = target.join("tools/otel/bin/python");
    let works = Command::new(&python).args(["-c", "import opentelemetry.sdk._logs, opentelemetry.exporter.otlp.proto.grpc"]).stderr(Stdio::null()).status();
    works.is_ok_and(|status| status.success()).then_some(python)
}

#[tokio::test]
async fn pythons_handler_is_heard() {
    let Some(python) = program_at(&["/usr/bin/python3", "/root/.pyenv/shims/python3"]) else {
        return skipped("pythons_handler_is_heard", "there is no python3");
    };
    let (gateway, port) =
        Gateway::start(&format!("  syslog: {{listen_address: '127.0.0.1:PORT', listen_protocol: udp, labels: {{job: python}}}}\n{SYSLOG_RULES}"));
    let script = format!(
        "import logging, logging.handlers\nlog = logging.getLogger('x')\nlog.setLevel(logging.INFO)\nlog.addHandler(logging.handlers.SysLogHandler(('127.0.0.1', {port})))\nfor n in range(50): log.warning('line %d', n)\n"
    );
    assert!(Command::new(python).args(["-c", &script]).status().unwrap().success());
    gateway.ask().until_count("{job=\"python\", severity=\"warning\"}", 50, WITHIN).await;
}

const SDK: &str = "
import logging, sys
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
kind, endpoint, name = sys.argv[1:4]
if kind == 'grpc':
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from grpc import Compression
    exporter = OTLPLogExporter(endpoint=endpoint, insecure=True, compression=Compression.Gzip)
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    exporter = OTLPLogExporter(endpoint=endpoint + '/v1/logs')
provider = LoggerProvider(resource=Resource.create({'service.name': name, 'host.name': 'h1'}))
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
log = logging.getLogger('shop')
log.setLevel(logging.INFO)
log.addHandler(LoggingHandler(logger_provider=provider))
for n in range(500): log.warning('line %d', n, extra={'order': n})
provider.shutdown()
";

#[tokio::test]
async fn opentelemetrys_sdk_exports_over_grpc_and_http() {
    let Some(python) = python_with_sdk() else {
        return skipped("opentelemetrys_sdk_exports_over_grpc_and_http", "OpenTelemetry's SDK for Python is not in target/tools/otel");
    };
    let grpc = place::port();
    let (gateway, http) =
        Gateway::start(&format!("  otlp: {{http_listen_address: '127.0.0.1:PORT', grpc_listen_address: '127.0.0.1:{grpc}', labels: {{job: otel}}}}"));
    for (kind, port) in [("grpc", grpc), ("http", http)] {
        let endpoint = format!("http://127.0.0.1:{port}");
        let done = Command::new(&python).args(["-c", SDK, kind, &endpoint, kind]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && !said.contains("Failed to export") && !said.contains("Traceback"), "{kind}: {said}");
    }
    for kind in ["grpc", "http"] {
        let selector = format!("{{job=\"otel\", service_name=\"{kind}\"}} | host_name=\"h1\" | order=~\"[0-9]+\" | severity_text=~\"(?i)warn.*\"");
        gateway.ask().until_count(&selector, 500, WITHIN).await;
    }
    assert_eq!(gateway.edge.metric("tributary_edge_receive_records_total", "otlp").await, Some(1_000.0), "each record once");
}

#[tokio::test]
async fn what_a_push_was_told_is_taken_survives_kills_of_the_edge() {
    let (mut gateway, port) =
        Gateway::start("  loki_push_api: {server: {http_listen_address: 127.0.0.1, http_listen_port: PORT}, use_incoming_timestamp: true}");
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let url = format!("http://127.0.0.1:{port}/loki/api/v1/push");
    let base = tests::lines::time_base_ns();
    let (mut dice, mut kills, mut unanswered) = (Dice(11), 0, 0);
    let pushes = 300_i64;
    for number in 0..pushes {
        let values: Vec<_> = (0..10).map(|n| json!([(base + number * 10 + n).to_string(), format!("push {number} line {n}")])).collect();
        let body = json!({"streams": [{"stream": {"job": "pushed"}, "values": values}]}).to_string();
        let strike = dice.roll(30) == 0;
        let mut tries = 0;
        loop {
            let sent = client.post(&url).header("content-type", "application/json").body(body.clone()).send();
            let answer = if strike && tries == 0 {
                // While it is under way, or just before.
                let sent = tokio::spawn(sent);
                tokio::time::sleep(Duration::from_millis(dice.roll(120))).await;
                gateway.edge.kill();
                kills += 1;
                gateway.edge.resume();
                sent.await.unwrap()
            } else {
                sent.await
            };
            match answer {
                Ok(answer) if answer.status().as_u16() == 204 => break,
                _ => unanswered += 1,
            }
            tries += 1;
            assert!(tries < 100, "push {number} is never taken");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert!(kills >= 5, "{kills} kills");
    let wanted = u64::try_from(pushes * 10).unwrap();
    gateway.ask().until_count("{job=\"pushed\"}", wanted, WITHIN).await;
    let found = gateway.ask().every_line("{job=\"pushed\"}", base, base + 3_600_000_000_000, 5_000).await;
    let mut lines: Vec<String> = found.into_values().flatten().map(|answered| answered.line).collect();
    let all = lines.len();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len() as u64, wanted, "every line that was answered is there");
    // Copies can only come of a push that was durable when its answer was cut off.
    assert!(all - lines.len() <= unanswered * 10, "{} copies after {unanswered} unanswered pushes", all - lines.len());
}
