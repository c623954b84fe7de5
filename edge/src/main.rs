//! `tributary-edge`: run, status, wal inspect, check-config, convert; Promtail's flags. Arguments, then [`act`] says who does it.
//!
//! Parts: [`arguments`], [`load`] (settings from the disk), [`run`], [`show`] (`-dry-run`, `-stdin`), [`look`] (status, WAL), [`convert`].
//! Exit codes: 0 done, 1 failed at work, 2 usage or configuration, 3 locked by another, 4 damage found.

#[path = "main/arguments.rs"]
mod arguments;
#[path = "main/convert.rs"]
mod convert;
#[path = "main/load.rs"]
mod load;
#[path = "main/look.rs"]
mod look;
#[path = "main/run.rs"]
mod run;
#[path = "main/show.rs"]
mod show;

use std::io::Write;
use std::process::ExitCode;

use arguments::{Asked, Task};
use edge::settings::Purpose;
use edge_wal::WalFault;
use load::From;
use proto_boot::{Mistake, memory};
use proto_seam::World;

/// The columns of a batch and what they are packed into; one is filled and packed after the other.
const KEPT_BYTES: i32 = 8 << 20;

fn main() -> ExitCode {
    memory::settle();
    memory::keep_blocks(KEPT_BYTES);
    let asked = match arguments::read(std::env::args()) {
        Ok(asked) => asked,
        Err(code) => return ExitCode::from(code),
    };
    more_descriptors();
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => ExitCode::from(runtime.block_on(act(asked))),
        Err(fault) => {
            complain(&format!("the runtime cannot start: {fault}"));
            ExitCode::from(1)
        }
    }
}

async fn act(asked: Asked) -> u8 {
    let world = World::real();
    let Asked { task, flags } = asked;
    let from = From::new(&flags);
    match task {
        Task::Status { url, json, watch } => look::status(&url, (json, watch), &world).await,
        Task::InspectWal { dir, json } => look::inspect(world.disk.as_ref(), &dir, json),
        Task::Convert(arguments) => convert::convert(&arguments, world.disk.as_ref(), flags.expand_env),
        Task::Check => check(&from, &world),
        Task::Run if flags.dry_run => show::dry_run(&from, world, &flags).await,
        Task::Run => run::run(from, world, &flags).await,
    }
}

fn check(from: &From, world: &World) -> u8 {
    let loaded = from.load(world.disk.as_ref(), Purpose::Run);
    match loaded {
        Ok((file, loaded)) => {
            for remark in &loaded.prepared.remarks {
                drop(writeln!(std::io::stderr(), "{remark}"));
            }
            say(&format!("{file}: ok"));
            0
        }
        Err(mistakes) => refuse(&mistakes),
    }
}

/// Raises the soft limit of open files to the hard one: an edge holds every file that it reads open.
fn more_descriptors() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let wanted = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(refused) = rustix::process::setrlimit(rustix::process::Resource::Nofile, wanted) {
        complain(&format!("the limit of open files cannot be raised: {refused}; going on with the present one"));
    }
}

fn complain(text: &str) {
    drop(writeln!(std::io::stderr(), "tributary-edge: {text}"));
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

fn refuse(mistakes: &[Mistake]) -> u8 {
    for mistake in mistakes {
        drop(writeln!(std::io::stderr(), "{mistake}"));
    }
    2
}

fn wal_failed(fault: &WalFault) -> u8 {
    complain(&fault.to_string());
    match fault {
        WalFault::Locked { .. } | WalFault::Newer { .. } | WalFault::Foreign { .. } | WalFault::NotWal { .. } | WalFault::Keyed { .. } => 3,
        WalFault::Unwritable { .. } => 2,
        WalFault::DiskFull { .. } | WalFault::Full { .. } | WalFault::Io { .. } | WalFault::TooLarge { .. } | WalFault::NoTrack { .. } => 1,
    }
}
