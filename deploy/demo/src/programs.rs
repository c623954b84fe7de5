//! The three programs that the demo drives: beside its own executable, built when they are not there.
//!
//! Under `cargo run` they are built again when a source is newer, so that what is shown is what was checked out.
//! Must not do: look for programs anywhere else.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use tokio::fs;
use tokio::process::Command;

use crate::complain;
use crate::fault::DemoFault;

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    /// `tributary-hub`
    pub(crate) hub: PathBuf,
    /// `tributary-edge`
    pub(crate) edge: PathBuf,
    /// `tributary-certs`
    pub(crate) certs: PathBuf,
}

/// Folders whose files make the programs.
const SOURCES: [&str; 4] = ["proto", "certs", "edge", "hub"];

impl Programs {
    /// Finds them, or builds them.
    pub(crate) async fn ready() -> Result<Self, DemoFault> {
        let own = std::env::current_exe().map_err(DemoFault::file("find", Path::new("demo")))?;
        let beside = own.parent().unwrap_or(Path::new("/"));
        let found = Self { hub: beside.join("tributary-hub"), edge: beside.join("tributary-edge"), certs: beside.join("tributary-certs") };
        let oldest = found.oldest().await;
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let is_stale = match oldest {
            None => true,
            Some(built) => std::env::var_os("CARGO").is_some() && newest_source(&workspace).await > Some(built),
        };
        if is_stale {
            build(&workspace, beside).await?;
        }
        match found.oldest().await {
            Some(_) => Ok(found),
            None => Err(DemoFault::Program(format!(
                "tributary-hub, tributary-edge and tributary-certs are not in {}; run cargo build --release -p hub -p edge -p certs",
                beside.display()
            ))),
        }
    }

    /// When the oldest was built; `None` when one is missing.
    async fn oldest(&self) -> Option<SystemTime> {
        let mut oldest = None;
        for program in [&self.hub, &self.edge, &self.certs] {
            let built = fs::metadata(program).await.and_then(|found| found.modified()).ok()?;
            oldest = Some(oldest.map_or(built, |other: SystemTime| other.min(built)));
        }
        oldest
    }
}

/// When the newest source was written; `None` without sources.
async fn newest_source(workspace: &Path) -> Option<SystemTime> {
    let mut newest = None;
    let mut folders: Vec<PathBuf> = SOURCES.iter().map(|below| workspace.join(below)).collect();
    while let Some(folder) = folders.pop() {
        let Ok(mut entries) = fs::read_dir(&folder).await else { continue };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let Ok(found) = entry.metadata().await else { continue };
            if found.is_dir() {
                folders.push(entry.path());
            } else if let Ok(written) = found.modified() {
                newest = newest.max(Some(written));
            }
        }
    }
    newest
}

async fn build(workspace: &Path, beside: &Path) -> Result<(), DemoFault> {
    complain("building tributary-hub, tributary-edge and tributary-certs; the first time takes some minutes");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace).args(["build", "-p", "hub", "-p", "edge", "-p", "certs"]);
    if beside.file_name().is_none_or(|profile| profile != "debug") {
        command.arg("--release");
    }
    if let Some(target) = beside.parent() {
        command.arg("--target-dir").arg(target);
    }
    // Its answer is the exit code; stdout stays the demo's own.
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).status().await;
    match done {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(DemoFault::Program(format!("cargo build failed ({status}); see its messages above"))),
        Err(fault) => Err(DemoFault::Program(format!("cargo cannot be started: {fault}; install Rust from https://rustup.rs"))),
    }
}

/// Runs a program to its end; its standard output.
pub(crate) async fn answer(program: &Path, arguments: &[&str]) -> Result<String, DemoFault> {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let done = Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await;
    match done {
        Ok(done) if done.status.success() => Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned()),
        Ok(done) => {
            Err(DemoFault::Program(format!("{name} {} failed ({}):\n{}", arguments.join(" "), done.status, String::from_utf8_lossy(&done.stderr).trim())))
        }
        Err(fault) => Err(DemoFault::Program(format!("{name} cannot be started: {fault}"))),
    }
}
