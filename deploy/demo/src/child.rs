//! A program that runs beside the demo and ends with it.
//!
//! Promises: dropped = killed, by its id, whatever ends the demo's run (a panic included); its log stays in a file.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child as Process, Command};

use crate::fault::DemoFault;

/// Until it must listen.
const START_MAX: Duration = Duration::from_secs(60);
/// Until it must have ended after it was asked to.
const END_MAX: Duration = Duration::from_secs(5);
/// Lines of its log that are shown when it fails.
const TAIL_LINES: usize = 12;

/// A running program.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    name: &'static str,
    log: PathBuf,
    /// Its `listening` event.
    pub(crate) listening: Value,
}

impl Child {
    /// Starts `program` and waits until it says that it listens; what it logs goes to `log`.
    pub(crate) async fn start(name: &'static str, program: &Path, arguments: &[&str], log: &Path) -> Result<Self, DemoFault> {
        let file = tokio::fs::File::create(log).await.map_err(DemoFault::file("create", log))?.into_std().await;
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .map_err(DemoFault::file("start", program))?;
        let stdout = process.stdout.take().expect("stdout is piped");
        let mut child = Self { process, name, log: log.to_path_buf(), listening: Value::Null };
        let mut lines = BufReader::new(stdout).lines();
        let heard = async {
            while let Ok(Some(line)) = lines.next_line().await {
                match serde_json::from_str::<Value>(&line) {
                    Ok(event) if event["event"] == "listening" => return Some(event),
                    _ => {}
                }
            }
            None
        };
        child.listening = match tokio::time::timeout(START_MAX, heard).await {
            Ok(Some(event)) => event,
            Ok(None) => return Err(child.failed("did not start").await),
            Err(_) => return Err(child.failed("did not listen within 60 s").await),
        };
        // Read on, so that it never waits for the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(child)
    }

    /// Where it listens, by the name in its event.
    pub(crate) fn address(&self, name: &str) -> Result<std::net::SocketAddr, DemoFault> {
        let told = self.listening[name].as_str().and_then(|text| text.parse().ok());
        told.ok_or_else(|| DemoFault::Program(format!("{} does not say where it listens for {name}: {}", self.name, self.listening)))
    }

    /// A fault when it has ended by itself.
    pub(crate) async fn check(&mut self) -> Result<(), DemoFault> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(&format!("ended by itself ({status})")).await),
            Err(fault) => Err(DemoFault::Program(format!("{} cannot be watched: {fault}", self.name))),
        }
    }

    /// Asks it to end, and ends it if it does not.
    pub(crate) async fn end(mut self) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let is_asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        if !is_asked || tokio::time::timeout(END_MAX, self.process.wait()).await.is_err() {
            drop(self.process.kill().await);
        }
    }

    async fn failed(&self, what: &str) -> DemoFault {
        let text = tokio::fs::read(&self.log).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        DemoFault::Program(format!("{} {what}; the end of {}:\n{tail}", self.name, self.log.display()))
    }
}
