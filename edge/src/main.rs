//! `tributary-edge`: run, status, wal inspect, check-config. Arguments, then [`edge::run`].
//!
//! Exit codes: 0 done, 1 failed at work, 2 usage or configuration, 3 locked by another, 4 damage found.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use edge::metrics::EdgeMetrics;
use edge::pages::{Pages, routes};
use edge::receive::{self, Intake};
use edge::settings::{EdgeSettings, Prepared};
use edge::status::Status;
use edge::{Edge, EdgeParts};
use edge_wal::{Inspected, InspectedKind, WalFault};
use proto_boot::serve::{Serving, serve};
use proto_boot::telemetry::{LogFormat, LogSettings, log};
use proto_boot::{Metrics, Mistake, Stop, expand, settings};
use proto_link::{ClientTls, GrpcClient, QuicClient};
use proto_seam::{Disk, World};

/// Collects logs, keeps them in its WAL, streams them to the hub.
#[derive(Debug, Parser)]
#[command(name = "tributary-edge", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Promtail's -config.file: run with this file.
    #[arg(long = "config.file", value_name = "FILE", hide = true)]
    config_file: Option<PathBuf>,
    /// Promtail's -config.expand-env.
    #[arg(long = "config.expand-env", global = true, num_args = 0..=1, default_missing_value = "true", default_value = "false", action = clap::ArgAction::Set)]
    expand_env: bool,
    /// Promtail's -check-syntax.
    #[arg(long = "check-syntax", hide = true)]
    check_syntax: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the edge.
    Run {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Show what a running edge knows of itself.
    Status {
        /// Where its pages are, such as http://127.0.0.1:9080.
        #[arg(long)]
        url: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Look into a WAL.
    Wal {
        #[command(subcommand)]
        command: WalCommand,
    },
    /// Check a settings file and all that it names.
    CheckConfig {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum WalCommand {
    /// List its records.
    Inspect {
        /// The WAL's folder.
        dir: PathBuf,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    // Promtail's flags have one dash.
    let arguments = std::env::args().map(|argument| match argument.strip_prefix('-') {
        Some(rest) if rest.len() > 1 && !rest.starts_with('-') => format!("--{rest}"),
        _ => argument,
    });
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(usage) => {
            drop(usage.print());
            return ExitCode::from(if usage.use_stderr() { 2 } else { 0 });
        }
    };
    more_descriptors();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => return fail(1, &format!("the runtime cannot start: {fault}")),
    };
    ExitCode::from(runtime.block_on(act(arguments)))
}

/// Raises the soft limit of open files to the hard one: an edge holds every file that it reads open.
fn more_descriptors() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let wanted = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(refused) = rustix::process::setrlimit(rustix::process::Resource::Nofile, wanted) {
        complain(&format!("the limit of open files cannot be raised: {refused}; going on with the present one"));
    }
}

fn fail(code: u8, text: &str) -> ExitCode {
    complain(text);
    ExitCode::from(code)
}

fn complain(text: &str) {
    drop(writeln!(std::io::stderr(), "tributary-edge: {text}"));
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

async fn act(arguments: Arguments) -> u8 {
    let world = World::real();
    let expand_env = arguments.expand_env;
    match (arguments.command, arguments.config_file) {
        (None, Some(file)) if arguments.check_syntax => check_config(&world, &file, expand_env).await,
        (Some(Command::CheckConfig { config }), _) => check_config(&world, &config, expand_env).await,
        (Some(Command::Run { config }), _) | (None, Some(config)) => run(world, &config, expand_env).await,
        (Some(Command::Status { url, json }), _) => status(&url, json).await,
        (Some(Command::Wal { command: WalCommand::Inspect { dir, json } }), _) => inspect(world.disk.as_ref(), &dir, json),
        (None, None) => {
            complain("say what to do: run, status, wal inspect or check-config; --help tells more");
            2
        }
    }
}

/// Reads, expands and checks a settings file.
fn load(disk: &dyn Disk, file: &Path, expand_env: bool) -> Result<(EdgeSettings, Prepared), Vec<Mistake>> {
    let name = file.to_string_lossy().into_owned();
    let mut text = settings::read_text(disk, file).map_err(|mistake| vec![mistake])?;
    let variables = settings::process_environment();
    if expand_env {
        let variable = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        text = expand::expand(&text, variable)
            .map_err(|fault| vec![Mistake::new(&name, (fault.line() as u64, 1), fault.to_string(), "mend the expression, or write $$ for a dollar")])?;
    }
    let (parsed, mut mistakes) = settings::parse_all::<EdgeSettings>(&name, &text);
    let host = variables.iter().find(|(name, _)| name == "HOSTNAME").map(|(_, value)| value.clone()).or_else(|| hostname(disk)).unwrap_or_default();
    let prepared = parsed.as_ref().map(|parsed| parsed.prepare(&name, &host));
    match (parsed, prepared) {
        (Some(parsed), Some(Ok(prepared))) if mistakes.is_empty() => Ok((parsed, prepared)),
        (_, Some(Err(more))) => {
            mistakes.extend(more);
            mistakes.sort();
            Err(mistakes)
        }
        _ => Err(mistakes),
    }
}

fn hostname(disk: &dyn Disk) -> Option<String> {
    let bytes = disk.read_all(Path::new("/proc/sys/kernel/hostname"), 256).ok()?;
    String::from_utf8(bytes).ok().map(|name| name.trim().to_owned())
}

async fn check_config(world: &World, file: &Path, expand_env: bool) -> u8 {
    match load(world.disk.as_ref(), file, expand_env) {
        Ok(_) => {
            say(&format!("{}: ok", file.display()));
            0
        }
        Err(mistakes) => refuse(&mistakes),
    }
}

fn refuse(mistakes: &[Mistake]) -> u8 {
    for mistake in mistakes {
        drop(writeln!(std::io::stderr(), "{mistake}"));
    }
    2
}

async fn run(world: World, file: &Path, expand_env: bool) -> u8 {
    let (parsed, mut prepared) = match load(world.disk.as_ref(), file, expand_env) {
        Ok(loaded) => loaded,
        Err(mistakes) => return refuse(&mistakes),
    };
    if let Err(fault) = log::start(LogSettings { level: parsed.server.log_level, format: LogFormat::Logfmt }, world.clock.clone()) {
        complain(&fault.to_string());
        return 1;
    }
    for remark in &prepared.remarks {
        tracing::warn!("{remark}");
    }
    let metrics = Metrics::new();
    let status = Status::new(EdgeMetrics::new(&metrics));
    let stop = Stop::new();
    if let Err(fault) = stop.on_signals() {
        complain(&format!("signals cannot be handled: {fault}"));
        return 1;
    }
    let listener = match listen(&parsed).await {
        Ok(listener) => listener,
        Err(code) => return code,
    };
    if let (Some(canary), Some(name)) = (&mut prepared.canary, own_name(&parsed, &world).await) {
        canary.edge = name;
    }
    let Some(hub) = parsed.hub.as_ref().map(|hub| &hub.value) else {
        complain("nothing says where to send; add `hub`");
        return 2;
    };
    let certificates = certs::store::watch_client(&hub.identity_dir, &hub.ca_file, world.clone());
    tokio::spawn(watch_certificate(certificates.clone(), status.clone()));
    let tls = ClientTls::new(certificates, world.clock.clone());
    let dial = prepared.transport.client(Arc::new(QuicClient::new(tls.clone(), &world.entropy)), Arc::new(GrpcClient::new(tls)));
    let pages = routes(Pages { status: status.clone(), metrics: metrics.clone(), ready_needs_targets: parsed.server.health_check_target });
    let (intake, deliveries) = Intake::new(&metrics);
    let jobs = prepared.jobs.clone();
    let parts = EdgeParts {
        prepared,
        discover_every: parsed.target_config.sync_period.0,
        bandwidth: parsed.bandwidth(),
        dial,
        metrics,
        status,
        deliveries: Some(deliveries),
        world: world.clone(),
    };
    let edge = match edge::run(parts, &stop.token()).await {
        Ok(edge) => edge,
        Err(fault) => return wal_failed(&fault),
    };
    if let Err(fault) = receive::start(&jobs, &intake, &world, &stop.token()).await {
        complain(&fault.to_string());
        return 1;
    }
    serve_until_stopped(edge, listener, pages, &stop).await
}

/// The edge's name in its certificate, if there is one already.
async fn own_name(parsed: &EdgeSettings, world: &World) -> Option<String> {
    let hub = &parsed.hub.as_ref()?.value;
    let material = certs::store::load_client(&certs::store::ClientPaths::new(&hub.identity_dir, &hub.ca_file), world).await.ok()?;
    material.own.leaf.subject_uri.as_deref()?.rsplit_once("/edge/").map(|(_, name)| name.to_owned())
}

fn wal_failed(fault: &WalFault) -> u8 {
    complain(&fault.to_string());
    match fault {
        WalFault::Locked { .. } | WalFault::Newer { .. } | WalFault::Foreign { .. } | WalFault::NotWal { .. } | WalFault::Keyed { .. } => 3,
        WalFault::Unwritable { .. } => 2,
        WalFault::DiskFull { .. } | WalFault::Full { .. } | WalFault::Io { .. } | WalFault::TooLarge { .. } | WalFault::NoTrack { .. } => 1,
    }
}

async fn listen(parsed: &EdgeSettings) -> Result<Option<tokio::net::TcpListener>, u8> {
    if parsed.server.disable {
        return Ok(None);
    }
    let address = format!("{}:{}", parsed.server.http_listen_address, parsed.server.http_listen_port);
    match tokio::net::TcpListener::bind(&address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(fault) => {
            complain(&format!("cannot listen on {address}: {fault}; choose a free address under `server`"));
            Err(1)
        }
    }
}

async fn serve_until_stopped(mut edge: Edge, listener: Option<tokio::net::TcpListener>, pages: axum::Router, stop: &Stop) -> u8 {
    let mut address: Option<SocketAddr> = None;
    if let Some(listener) = listener {
        address = listener.local_addr().ok();
        tokio::spawn(serve(listener, Serving::new(pages), stop.token()));
    }
    let http = address.map(|address| address.to_string()).unwrap_or_default();
    say(&format!("{{\"event\":\"listening\",\"http\":\"{http}\"}}"));
    tokio::select! {
        biased;
        () = stop.begun() => {}
        failed = edge.failed() => {
            complain(&failed.unwrap_or_else(|| "a task of the edge ended by itself".to_owned()));
            return 1;
        }
    }
    let ended = tokio::select! {
        biased;
        () = stop.forced() => Ok(()),
        ended = tokio::time::timeout(Duration::from_secs(20), edge.ended()) => ended.unwrap_or(Ok(())),
    };
    match ended {
        Ok(()) => 0,
        Err(why) => {
            complain(&why);
            1
        }
    }
}

/// Keeps the status page's word on the certificate.
async fn watch_certificate(mut certificates: tokio::sync::watch::Receiver<certs::ClientState>, status: Status) {
    loop {
        let shown = match &*certificates.borrow_and_update() {
            certs::ClientState::Missing(why) => {
                tracing::warn!(why, "no usable certificate; lines are kept in the WAL until there is one");
                None
            }
            certs::ClientState::Ready(material) => {
                let ends = material.own.not_after();
                let text = jiff::Timestamp::from_nanosecond(i128::from(ends.nanos())).map(|at| at.to_string()).unwrap_or_default();
                Some((ends.nanos() / 1_000_000_000, text))
            }
        };
        status.certificate(shown);
        if certificates.changed().await.is_err() {
            return;
        }
    }
}

async fn status(url: &str, json: bool) -> u8 {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build();
    let asked = async { client?.get(format!("{}/status", url.trim_end_matches('/'))).send().await?.error_for_status()?.json::<serde_json::Value>().await };
    match asked.await {
        Ok(report) if json => say(&report.to_string()),
        Ok(report) => {
            for (name, value) in report.as_object().into_iter().flatten() {
                say(&format!("{name:18} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
            }
        }
        Err(fault) => {
            complain(&format!("no edge answers at {url}: {fault}; is it running, and is its `server` address this one"));
            return 1;
        }
    }
    0
}

fn inspect(disk: &dyn Disk, dir: &Path, json: bool) -> u8 {
    let show = |record: Inspected| {
        let kind = match record.kind {
            InspectedKind::Batch => "batch",
            InspectedKind::Gap => "gap",
            InspectedKind::Checkpoint => "checkpoint",
            InspectedKind::Control => "control",
            InspectedKind::Bad => "bad",
        };
        let Inspected { file, offset, track, sequence, lines, bytes, .. } = record;
        if json {
            let object =
                serde_json::json!({"kind": kind, "file": file, "offset": offset, "track": track, "sequence": sequence, "lines": lines, "bytes": bytes});
            say(&object.to_string());
        } else {
            say(&format!("{kind:10} {file} at {offset:>10}  track {track} sequence {sequence:>8}  {lines:>7} lines {bytes:>9} bytes"));
        }
    };
    match edge_wal::inspect(dir, disk, &mut { show }) {
        Ok(summary) => {
            if json {
                let object = serde_json::json!({"kind": "summary", "records": summary.records, "bad": summary.bad, "torn_bytes": summary.torn_bytes, "lines": summary.lines});
                say(&object.to_string());
            } else {
                say(&format!("{} records, {} bad, {} torn bytes, {} lines", summary.records, summary.bad, summary.torn_bytes, summary.lines));
            }
            if summary.bad > 0 { 4 } else { 0 }
        }
        Err(fault) => wal_failed(&fault),
    }
}
