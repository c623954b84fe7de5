//! `soak`: several hubs and edges as real programs under load and random faults, for as long as is asked.
//!
//! Parts: [`site`] (store, hubs, edges, writers), [`trouble`] (which fault comes when, from a seed), [`check`] (every
//! line once and in order, while it runs and at the end; memory flat). A progress line every few seconds; the last
//! line is the verdict. Exit codes: 0 all held; 1 something did not; 2 usage, or the programs are not built.
//! Promises: what was started ends with the soak. Must not do: judge what a fault hides for a while; only the end counts
//! as missing.

mod check;
mod site;
mod trouble;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use tests::place;

use check::Check;
use site::Site;
use trouble::Trouble;

/// Hubs and edges under load and random faults.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Options {
    /// How long faults and load last: 90s, 30m, 2h.
    #[arg(long = "for", default_value = "2m", value_parser = span)]
    span: Duration,
    /// `file:///path` (empty), or http://USER:PASS@HOST:PORT/bucket/prefix; a MinIO of its own, else a folder, by default.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Of what happens when.
    #[arg(long)]
    seed: Option<u64>,
    /// Hubs on the one store.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    hubs: u16,
    /// Edges, which know all hubs.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    edges: u16,
    /// Lines a second, of all edges.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(8..=1_000_000))]
    rate: u64,
    /// No faults: load alone.
    #[arg(long)]
    calm: bool,
}

/// `90s`, `30m`, `2h`.
fn span(text: &str) -> Result<Duration, String> {
    let unit = text.chars().last().unwrap_or(' ');
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err("write 90s, 30m or 2h".to_owned()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| "write 90s, 30m or 2h".to_owned())?;
    Ok(Duration::from_secs(count * seconds))
}

/// Between two progress lines.
const PROGRESS: Duration = Duration::from_secs(5);
/// Between two draws of a fault.
const TICK: Duration = Duration::from_secs(1);
/// When the faults are over, everything must have arrived within this.
const DRAIN_MAX: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(why) = build() {
        eprintln!("{why}");
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime can be made");
    if runtime.block_on(soak(&options)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The programs, in the profile of this one; `cargo run` says which cargo.
fn build() -> Result<(), String> {
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut command = Command::new(cargo);
        command.args(["build", "-p", "hub", "-p", "edge", "-p", "certs"]);
        if place::programs().ends_with("release") {
            command.arg("--release");
        }
        let built = command.status().is_ok_and(|status| status.success());
        return if built { Ok(()) } else { Err("hub, edge and certs cannot be built".to_owned()) };
    }
    let missing = ["tributary-hub", "tributary-edge", "tributary-certs"].into_iter().find(|name| !place::programs().join(name).exists());
    missing.map_or(Ok(()), |name| Err(format!("{name} is not built: cargo build --release -p hub -p edge -p certs")))
}

async fn soak(options: &Options) -> bool {
    let seed = options.seed.unwrap_or_else(|| u64::from(std::process::id()) ^ Instant::now().elapsed().as_nanos() as u64 ^ tests::lines::time_base_ns() as u64);
    println!("soak: {:?}, {} hubs, {} edges, {} lines/s, --seed {seed}", options.span, options.hubs, options.edges, options.rate);
    let mut site = Site::start(options.store.as_deref(), usize::from(options.hubs), usize::from(options.edges), options.rate, seed).await;
    println!("store: {}", site.store_told());
    let load = site.load();
    let (mut trouble, mut check) = (Trouble::new(seed), Check::new(&site));
    let (began, mut told) = (Instant::now(), Instant::now());
    let signal = tokio::signal::ctrl_c();
    tokio::pin!(signal);
    while began.elapsed() < options.span {
        tokio::select! {
            biased;
            _ = &mut signal => {
                println!("told to end");
                break;
            }
            () = tokio::time::sleep(TICK) => {}
        }
        trouble.tick(&mut site, !options.calm);
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            check.sample(&mut site, began.elapsed()).await;
            check.follow(&site).await;
            println!("{:6.0}s {}  {}", began.elapsed().as_secs_f64(), check.progress(&site), trouble.told());
        }
    }
    load.abort();
    trouble.calm(&mut site);
    println!("faults are over: {}; {}", trouble.told(), site.gate_told());
    let drained = check.finish(&mut site, DRAIN_MAX, began).await;
    let verdict = check.verdict(&site, drained);
    println!("{}", verdict.text);
    verdict.held
}
