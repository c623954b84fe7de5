//! A program of this workspace as a process: started, waited for, measured by what the kernel tells of it.
//!
//! Parts: [`Program`], [`Cost`]. Promises: dropped = killed, by its id. CPU time is exact to 10 ms.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

/// Until it must listen.
const START_MAX: Duration = Duration::from_secs(120);
/// Until it must have ended after it was asked to.
const END_MAX: Duration = Duration::from_secs(20);
/// The kernel's ticks in a second (`USER_HZ`, the same on all of Linux' common machines).
const TICKS_A_SECOND: f64 = 100.0;

/// A running program.
pub(crate) struct Program {
    child: Child,
    pid: u32,
    /// Its `listening` event.
    listening: Value,
    /// From its start until it listened.
    pub(crate) start: Duration,
    log: PathBuf,
}

/// What a process has used since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// CPU seconds, user and system.
    pub(crate) cpu_s: f64,
    /// Most memory since [`Program::forget_peak`], or its start.
    pub(crate) rss_peak: u64,
    /// Memory now.
    pub(crate) rss: u64,
    /// Bytes that it made the disk write.
    pub(crate) written: u64,
}

/// The program beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("the bench does not find itself")?;
    let path = own.parent().unwrap_or(Path::new("/")).join(name);
    if !path.exists() {
        bail!("{} is not there: run cargo build --release first", path.display());
    }
    Ok(path)
}

/// Runs a program to its end; its standard output.
pub(crate) async fn answer(name: &str, arguments: &[&str]) -> Result<String> {
    let done = Command::new(beside(name)?).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await?;
    if !done.status.success() {
        bail!("{name} {} failed:\n{}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

impl Program {
    /// Starts it and waits until it says that it listens.
    pub(crate) async fn start(name: &str, arguments: &[&str], log: &Path) -> Result<Self> {
        let path = beside(name)?;
        let file = fs::File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let begun = Instant::now();
        let mut child = Command::new(path).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).kill_on_drop(true).spawn()?;
        let pid = child.id().context("it ended at once")?;
        let mut lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        let heard = async {
            while let Ok(Some(line)) = lines.next_line().await {
                match serde_json::from_str::<Value>(&line) {
                    Ok(event) if event["event"] == "listening" => return Some(event),
                    _ => {}
                }
            }
            None
        };
        let Ok(Some(listening)) = timeout(START_MAX, heard).await else {
            bail!("{name} did not start:\n{}", String::from_utf8_lossy(&fs::read(log).unwrap_or_default()));
        };
        let start = begun.elapsed();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, pid, listening, start, log: log.to_path_buf() })
    }

    /// `host:port` of what it listens on by this name.
    pub(crate) fn address(&self, name: &str) -> Result<String> {
        Ok(self.listening[name].as_str().with_context(|| format!("it does not say where it listens for {name}"))?.to_owned())
    }

    /// What it has used.
    pub(crate) fn cost(&mut self) -> Result<Cost> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it ended by itself ({status}):\n{}", String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()));
        }
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.pid)).with_context(|| format!("/proc/{}/{name}", self.pid));
        let (stat, status, io) = (read("stat")?, read("status")?, read("io")?);
        // Its name, in brackets, may hold anything: fields are counted after it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("/proc/<pid>/stat cannot be read");
        let number = |text: &str, key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse::<u64>().ok()).with_context(|| format!("no {key} in /proc"))
        };
        Ok(Cost {
            cpu_s: (ticks(11)? + ticks(12)?) / TICKS_A_SECOND,
            rss_peak: number(&status, "VmHWM:")? * 1024,
            rss: number(&status, "VmRSS:")? * 1024,
            written: number(&io, "write_bytes:")?,
        })
    }

    /// From now on the peak is counted anew.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5").context("the peak of memory cannot be set back")
    }

    /// kill -9
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("it cannot be killed")
    }

    /// SIGTERM, and kill -9 if that does not help.
    pub(crate) async fn end(mut self) -> Result<()> {
        // By kill(1): the standard library knows no signals.
        let asked = Command::new("kill").arg(self.pid.to_string()).status().await;
        if !asked.is_ok_and(|status| status.success()) || timeout(END_MAX, self.child.wait()).await.is_err() {
            self.child.kill().await.context("it cannot be ended")?;
        }
        Ok(())
    }
}
