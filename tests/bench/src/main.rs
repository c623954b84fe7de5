//! `bench`: what edge and hub cost on this machine, on generated container logs, beside yardsticks of the same run.
//!
//! Parts, in the order they work: [`corpus`] (seeded CRI files), [`yardsticks`] (`zstd -1` and `memmem` over the same
//! messages), [`place`] (certificates, settings, tokens), [`program`] (a process, its CPU time and memory), [`ask`]
//! (queries), [`questions`] (which), [`run`] (the rows in order), [`row`] (how they are printed). Exit codes: 0 done; 1 failed, or an answer
//! was wrong; 2 usage. Promises: every program started here ends with the bench; no figure is asserted, every count is.
//! Must not do: build the programs; `cargo build --release` comes first.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench measures real time on real files")]

mod ask;
mod corpus;
mod place;
mod program;
mod questions;
mod row;
mod run;
mod yardsticks;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Measures edge and hub on generated container logs.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Options {
    /// Message bytes, in MiB.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) mib: u64,
    /// Seed of the messages.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// `file:///path` (empty or new), or http://USER:PASS@HOST:PORT/bucket/prefix; a folder beside the files by default.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// Where the folder of this run is made; it is removed at the end.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Leave the idle edge out, which takes 40 s.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The edge alone: no absorption, no queries, no restart of the hub.
    #[arg(long)]
    pub(crate) edge: bool,
    /// Print one JSON object per row, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            tell(&format!("the runtime cannot start: {fault}"));
            return ExitCode::from(1);
        }
    };
    runtime.block_on(until_signal(options))
}

/// A signal drops the run, and with it every program that it started and its folder.
async fn until_signal(options: Options) -> ExitCode {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        tell("signals cannot be handled");
        return ExitCode::from(1);
    };
    let ended = tokio::select! {
        biased;
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        _ = hangup.recv() => None,
        ended = run::run(options) => Some(ended),
    };
    match ended {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(fault)) => {
            tell(&format!("{fault:#}"));
            ExitCode::from(1)
        }
        None => {
            tell("stopped by a signal");
            ExitCode::from(1)
        }
    }
}

/// Progress and faults go to stderr.
pub(crate) fn tell(text: &str) {
    drop(writeln!(std::io::stderr(), "bench: {text}"));
}
