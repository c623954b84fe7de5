//! An edge as a process: settings, WAL and logs in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{self, program};
use crate::process::Process;

/// An edge.
#[derive(Debug)]
pub struct Edge {
    process: Option<Process>,
    dir: PathBuf,
    starts: usize,
    /// Port of its pages.
    pub http: u16,
}

/// What an edge is told.
#[derive(Debug, Clone)]
pub struct EdgeParts<'a> {
    /// Folder of identity files.
    pub identity: &'a Path,
    /// CA file of the hub.
    pub ca_file: &'a Path,
    /// The hub's link port.
    pub link: u16,
    /// `auto`, `quic` or `grpc`.
    pub transport: &'a str,
    /// Glob of its logs.
    pub logs: String,
    /// YAML list items of `pipeline_stages`, indented by four spaces; empty for none.
    pub stages: &'a str,
    /// Further top-level YAML.
    pub more: &'a str,
    /// Further keys of `wal`, each with a comma before it.
    pub wal: &'a str,
}

impl Edge {
    /// Writes its settings into `dir` and starts it.
    #[must_use]
    pub fn start(dir: &Path, name: &str, parts: &EdgeParts<'_>) -> Self {
        let mut edge = Self::prepare(dir, name, parts);
        edge.resume();
        edge
    }

    /// Writes its settings into `dir`.
    #[must_use]
    pub fn prepare(dir: &Path, name: &str, parts: &EdgeParts<'_>) -> Self {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).expect("the edge's folder can be made");
        let http = place::port();
        let stages = if parts.stages.is_empty() { String::new() } else { format!("  pipeline_stages:\n{}", parts.stages) };
        let settings = format!(
            "server: {{http_listen_address: 127.0.0.1, http_listen_port: {http}}}\nhub: {{url: \"https://127.0.0.1:{}\", ca_file: {}, identity_dir: {}, transport: {}}}\nwal: {{dir: {}/wal{}}}\nbatch: {{max_wait: 200ms}}\nscrape_configs:\n- job_name: files\n  static_configs:\n  - targets: [localhost]\n    labels: {{job: files, __path__: \"{}\"}}\n{stages}{}",
            parts.link,
            parts.ca_file.display(),
            parts.identity.display(),
            parts.transport,
            dir.display(),
            parts.wal,
            parts.logs,
            parts.more
        );
        std::fs::write(dir.join("edge.yaml"), settings).expect("edge.yaml can be written");
        Self { process: None, dir, starts: 0, http }
    }

    /// Starts it (again) and waits until it listens.
    pub fn resume(&mut self) {
        let mut command = Command::new(program("tributary-edge"));
        command.arg("run").arg("--config").arg(self.dir.join("edge.yaml"));
        let mut process = Process::start(command, &self.dir, "edge");
        let _ = process.listening(self.starts);
        self.starts += 1;
        self.process = Some(process);
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
        self.process = None;
    }

    /// Its process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the edge runs")
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its status as `tributary-edge status --json` tells it; null when it does not answer.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        let url = format!("http://127.0.0.1:{}", self.http);
        let done = Command::new(program("tributary-edge")).args(["status", "--url", &url, "--json"]).output().expect("the edge program can be started");
        serde_json::from_slice(&done.stdout).unwrap_or(serde_json::Value::Null)
    }

    /// The URL of its pages.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }
}
