//! `demo`: two clusters, two edges, one hub and two tenants on this machine, with real programs and real files.
//!
//! Parts, in the order they work: [`place`] (the folder), [`programs`] (found or built), [`settings`] (what they are
//! told), [`child`] (a program that ends with the demo), [`lines`] and [`write`] (logs as containers write them),
//! [`count`] (what stands in the files), [`ask`] (what was acked, what a query finds), [`report`] (what is said),
//! [`run`] (the path). Exit codes: 0 all lines written were acked and found; 1 not so, or failed; 2 usage; 3 the folder
//! is not a demo's. Promises: every program started here ends with the demo. Must not do: end anything it did not start.

mod ask;
mod child;
mod count;
mod fault;
mod lines;
mod place;
mod programs;
mod report;
mod run;
mod settings;
mod write;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use proto_boot::Span;
use tokio::signal::unix::{SignalKind, signal};

/// Runs two clusters, two edges, a hub and two tenants, and shows what is written, acked and queryable.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
pub(crate) struct Options {
    /// How long to write lines.
    #[arg(long = "for", value_name = "TIME", default_value = "60s")]
    pub(crate) duration: Span,
    /// Folder of everything; an earlier demo in it is removed.
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    pub(crate) data: PathBuf,
    /// Store in S3 or `MinIO` in place of a folder: http://USER:PASS@HOST:PORT/bucket/prefix.
    #[arg(long, value_name = "URL")]
    pub(crate) s3: Option<String>,
    /// Address of the query API; port 0 = any.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3100")]
    pub(crate) http: std::net::SocketAddr,
    /// Address where edges come in (UDP and TCP); port 0 = any.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9443")]
    pub(crate) link: std::net::SocketAddr,
    /// Address of the admin API; port 0 = any.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3101")]
    pub(crate) admin: std::net::SocketAddr,
    /// Lines a second and cluster.
    #[arg(long, value_name = "LINES", default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub(crate) rate: u64,
    /// Print JSON objects, one per line, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            complain(&format!("the runtime cannot start: {fault}"));
            return ExitCode::from(1);
        }
    };
    ExitCode::from(runtime.block_on(until_signal(options)))
}

/// A signal drops the run, and with it every program that it started.
async fn until_signal(options: Options) -> u8 {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        complain("signals cannot be handled");
        return 1;
    };
    let ended = tokio::select! {
        biased;
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        _ = hangup.recv() => None,
        ended = run::run(options) => Some(ended),
    };
    match ended {
        None => {
            complain("stopped by a signal");
            1
        }
        Some(Ok(true)) => 0,
        Some(Ok(false)) => 1,
        Some(Err(fault)) => {
            complain(&fault.to_string());
            fault.exit_code()
        }
    }
}

/// Progress and faults go to stderr.
pub(crate) fn complain(text: &str) {
    drop(writeln!(std::io::stderr(), "demo: {text}"));
}
