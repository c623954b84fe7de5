//! `crowd`: many edges meet one hub at once: how long until all have a session, what they send, what the hub's memory does.
//!
//! The hub is the built program; the edges are the edge's own code, all in this process, each with a certificate, a
//! WAL and a log file of its own. Exit codes: 0 all held; 1 something did not; 2 usage, or the programs are not built.
//! Limits: all on one machine, over loopback. Must not do: leave out what a real edge does (certificates, WAL, QUIC).

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certs::authority::{Authority, Validity};
use clap::Parser;
use edge::metrics::EdgeMetrics;
use edge::settings::EdgeSettings;
use edge::status::Status;
use edge::{Edge, EdgeParts};
use proto_boot::Metrics;
use proto_link::{ClientTls, GrpcClient, QuicClient};
use proto_model::{ClusterId, EdgeId};
use proto_seam::World;
use tests::ask::Ask;
use tests::hub::Hub;
use tests::lines::{Writer, time_base_ns};
use tests::place;
use tokio_util::sync::CancellationToken;

/// Many edges against one hub.
#[derive(Debug, Parser)]
#[command(name = "crowd")]
struct Options {
    /// Edges.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    edges: u16,
    /// How long they send after all are there, in seconds: `60s` or `60`.
    #[arg(long = "for", default_value = "60s")]
    span: String,
    /// Lines a second of each.
    #[arg(long, default_value_t = 2)]
    rate: u64,
    /// `auto`, `quic` or `grpc`.
    #[arg(long, default_value = "auto")]
    transport: String,
    /// Kill the hub in the middle and start it again: all edges come back at once.
    #[arg(long)]
    kill: bool,
}

/// All must have a session within this.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The hub's resident memory stays below this.
const RSS_MAX: u64 = 512 << 20;
const MIB: u64 = 1 << 20;

fn main() -> ExitCode {
    let options = Options::parse();
    let Ok(seconds) = options.span.trim_end_matches('s').parse::<u64>() else {
        eprintln!("--for {:?}: write seconds, such as 60s", options.span);
        return ExitCode::from(2);
    };
    if let Some(missing) = ["tributary-hub", "tributary-certs"].into_iter().find(|name| !place::programs().join(name).exists()) {
        eprintln!("{missing} is not built: cargo build --release -p hub -p certs");
        return ExitCode::from(2);
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(refused) = rustix::process::setrlimit(rustix::process::Resource::Nofile, all) {
        eprintln!("the limit of open files cannot be raised: {refused}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made");
    if runtime.block_on(crowd(&options, Duration::from_secs(seconds))) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One of the crowd.
struct Member {
    status: Status,
    writer: Writer,
    edge: Option<Edge>,
    connected: Option<Duration>,
}

/// A folder in memory if there is one: a thousand disks are not one disk.
fn ground() -> tempfile::TempDir {
    let builder = tempfile::Builder::new().prefix("tributary-crowd-").tempdir_in("/dev/shm");
    builder.unwrap_or_else(|_| place::folder("crowd"))
}

async fn crowd(options: &Options, span: Duration) -> bool {
    let (dir, stop) = (ground(), CancellationToken::new());
    let store = format!("store: \"file://{}/store\"\n", dir.path().display());
    let mut hub = Hub::start(dir.path(), &store, "log: {level: warn}\n");
    let mut members = certified(&hub, dir.path(), options);
    println!("{} edges have certificates; they start now", members.len());
    let (began, mut peak) = (Instant::now(), 0);
    for (n, member) in members.iter_mut().enumerate() {
        member.edge = Some(start(dir.path(), n, &hub, options, &member.status, &stop).await);
    }
    let in_time = sessions(&mut members, began, &mut hub, &mut peak).await;
    println!("{}", told(&members));
    let (sent, acked_in) = send(&mut members, options, span, &mut hub, &mut peak).await;
    let ask = Ask::new(&hub.url(), &hub.acme);
    let (mut found, wait) = (0, Instant::now());
    while found < sent && wait.elapsed() < Duration::from_secs(120) {
        found = ask.count("{cluster=\"alpha\"}").await;
        peak = peak.max(hub.process().rss_bytes());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stop.cancel();
    for member in &mut members {
        if let Some(edge) = member.edge.take() {
            drop(tokio::time::timeout(Duration::from_secs(10), edge.ended()).await);
        }
    }
    let held = in_time && found == sent && peak < RSS_MAX;
    println!(
        "{}: {} edges, sessions within 10 s: {in_time}; {sent} lines sent, {found} found ({acked_in:?} of sending, {:.1?} of waiting); hub RSS peak {} MiB (< {} MiB)",
        if held { "HELD" } else { "FAILED" },
        members.len(),
        wait.elapsed(),
        peak / MIB,
        RSS_MAX / MIB
    );
    held
}

/// Identities and log files for all.
fn certified(hub: &Hub, dir: &Path, options: &Options) -> Vec<Member> {
    let world = World::real();
    let authority = Authority::load(world.disk.as_ref(), &hub.dir().join("ca")).expect("the hub's CA can be read");
    let validity = Validity::days(&world.clock, 1).expect("a day is a life");
    let (cluster, base) = (ClusterId::new("alpha").expect("a name"), time_base_ns());
    let one = |n: u16| {
        let own = own(dir, usize::from(n));
        let edge = EdgeId::new(&format!("crowd-{n}")).expect("a name");
        let issued = authority.issue_edge(&cluster, &edge, validity).expect("a certificate can be issued");
        issued.save(world.disk.as_ref(), &own.join("identity"), "edge").expect("a certificate can be written");
        let writer = Writer::new(&own.join("a.log"), &format!("crowd{n}"), base);
        Member { status: Status::new(EdgeMetrics::new(&Metrics::new())), writer, edge: None, connected: None }
    };
    (0..options.edges).map(one).collect()
}

fn own(dir: &Path, n: usize) -> PathBuf {
    let own = dir.join(format!("e{n}"));
    std::fs::create_dir_all(&own).expect("a folder can be made");
    own
}

/// What `tributary-edge run` does, here.
async fn start(dir: &Path, n: usize, hub: &Hub, options: &Options, status: &Status, stop: &CancellationToken) -> Edge {
    let own = own(dir, n);
    let identity = own.join("identity");
    let text = format!(
        "server: {{disable: true}}\nhub: {{url: \"https://127.0.0.1:{}\", ca_file: {}/ca.crt, identity_dir: {}, transport: {}}}\nwal: {{dir: {}/wal, max_bytes: 16MiB}}\nscrape_configs:\n- job_name: files\n  static_configs:\n  - targets: [localhost]\n    labels: {{job: files, __path__: \"{}/*.log\"}}\n  pipeline_stages:\n  - cri: {{}}\n",
        hub.link,
        identity.display(),
        identity.display(),
        options.transport,
        own.display(),
        own.display()
    );
    let (settings, mistakes) = proto_boot::settings::parse_all::<EdgeSettings>("edge.yaml", &text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let settings = settings.expect("settings without mistakes");
    let prepared = settings.prepare("edge.yaml", "crowd").unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let world = World::real();
    let hub = settings.hub.as_ref().expect("the crowd's settings name a hub");
    let tls = ClientTls::new(certs::store::watch_client(&hub.value.identity_dir, &hub.value.ca_file, world.clone()), world.clock.clone());
    let dial = prepared.transport.client(Arc::new(QuicClient::new(tls.clone(), &world.entropy)), Arc::new(GrpcClient::new(tls)));
    let parts = EdgeParts {
        prepared,
        discover_every: Duration::from_secs(10),
        bandwidth: 0,
        dial: Some(dial),
        metrics: Metrics::new(),
        status: status.clone(),
        deliveries: None,
        world,
    };
    edge::run(parts, stop).await.unwrap_or_else(|fault| panic!("edge {n}: {fault}"))
}

/// Waits until all have a session; whether all had one in time.
async fn sessions(members: &mut [Member], began: Instant, hub: &mut Hub, peak: &mut u64) -> bool {
    while began.elapsed() < CONNECT_MAX * 6 {
        *peak = (*peak).max(hub.process().rss_bytes());
        for member in members.iter_mut().filter(|member| member.connected.is_none()) {
            member.connected = (member.status.report().session != "none").then(|| began.elapsed());
        }
        if members.iter().all(|member| member.connected.is_some()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    members.iter().all(|member| member.connected.is_some_and(|took| took <= CONNECT_MAX))
}

fn told(members: &[Member]) -> String {
    let mut took: Vec<Duration> = members.iter().filter_map(|member| member.connected).collect();
    took.sort_unstable();
    let at = |share: usize| took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied().unwrap_or_default();
    format!(
        "sessions: {} of {}; median {:.2?}, 99 of 100 {:.2?}, last {:.2?}",
        took.len(),
        members.len(),
        at(50),
        at(99),
        took.last().copied().unwrap_or_default()
    )
}

/// Load for `span`; lines written, and how long it took.
async fn send(members: &mut [Member], options: &Options, span: Duration, hub: &mut Hub, peak: &mut u64) -> (u64, Duration) {
    let (began, mut told_at, mut killed) = (Instant::now(), Instant::now(), !options.kill);
    while began.elapsed() < span {
        let due = u64::try_from(began.elapsed().as_millis()).expect("a short run") * options.rate / 1_000 + 1;
        for member in members.iter_mut() {
            let written = member.writer.written;
            member.writer.write(due.saturating_sub(written));
        }
        *peak = (*peak).max(hub.process().rss_bytes());
        if !killed && began.elapsed() > span / 2 {
            killed = true;
            // A session that ended is told by a new epoch: the status says `quic` until the silence is noticed.
            let epochs: Vec<u64> = members.iter().map(|member| member.status.report().epoch).collect();
            hub.kill();
            hub.resume();
            let back = Instant::now();
            while members.iter().zip(&epochs).any(|(member, epoch)| member.status.report().epoch <= *epoch) && back.elapsed() < CONNECT_MAX * 6 {
                *peak = (*peak).max(hub.process().rss_bytes());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            println!("after a kill of the hub all were back within {:.2?}", back.elapsed());
        }
        if told_at.elapsed() > Duration::from_secs(5) {
            told_at = Instant::now();
            let there = members.iter().filter(|member| member.status.report().session != "none").count();
            let written: u64 = members.iter().map(|member| member.writer.written).sum();
            println!(
                "{:4.0}s {there} sessions, {written} lines written, hub RSS {} MiB, peak {} MiB",
                began.elapsed().as_secs_f64(),
                hub.process().rss_bytes() / MIB,
                *peak / MIB
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (members.iter().map(|member| member.writer.written).sum(), began.elapsed())
}
