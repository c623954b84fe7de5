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
    namespace: Option<String>,
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
    /// The hubs' urls (`https://HOST:PORT`), tried in turn; see [`loopback`].
    pub hubs: Vec<String>,
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
    /// Folder of the WAL; `None` = in the edge's own folder.
    pub wal_dir: Option<&'a Path>,
    /// The network namespace it runs in; `None` = that of the test.
    pub namespace: Option<&'a str>,
}

/// The url of a hub on loopback.
#[must_use]
pub fn loopback(link: u16) -> String {
    format!("https://127.0.0.1:{link}")
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
        let wal = parts.wal_dir.map_or_else(|| dir.join("wal"), Path::to_path_buf);
        let settings = format!(
            "server: {{http_listen_address: 127.0.0.1, http_listen_port: {http}}}\nhub: {{url: {}, ca_file: {}, identity_dir: {}, server_name: localhost, transport: {}}}\nwal: {{dir: {}{}}}\nbatch: {{max_wait: 200ms}}\nscrape_configs:\n- job_name: files\n  static_configs:\n  - targets: [localhost]\n    labels: {{job: files, __path__: \"{}\"}}\n{stages}{}",
            serde_json::to_string(&parts.hubs).expect("urls are text"),
            parts.ca_file.display(),
            parts.identity.display(),
            parts.transport,
            wal.display(),
            parts.wal,
            parts.logs,
            parts.more
        );
        std::fs::write(dir.join("edge.yaml"), settings).expect("edge.yaml can be written");
        Self { process: None, dir, starts: 0, namespace: parts.namespace.map(str::to_owned), http }
    }

    /// The edge program, in the edge's network namespace.
    fn program(&self) -> Command {
        let program = program("tributary-edge");
        match &self.namespace {
            None => Command::new(program),
            Some(namespace) => {
                // It becomes the program. `ip netns exec` would copy all mounts too, and keep other tests' disks from going.
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{namespace}")).arg(program);
                command
            }
        }
    }

    /// Tells it other hubs, in this order, for its next start.
    ///
    /// # Panics
    /// When its settings cannot be written.
    pub fn retarget(&self, hubs: &[String]) {
        let file = self.dir.join("edge.yaml");
        let text = std::fs::read_to_string(&file).expect("edge.yaml can be read");
        let (head, rest) = text.split_once("hub: {url: [").expect("edge.yaml names hubs");
        let (_, tail) = rest.split_once(']').expect("the list of urls ends");
        let urls = serde_json::to_string(hubs).expect("urls are text");
        std::fs::write(file, format!("{head}hub: {{url: {urls}{tail}")).expect("edge.yaml can be written");
    }

    /// Whether it was started and not killed since.
    #[must_use]
    pub const fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it (again) and waits until it listens.
    pub fn resume(&mut self) {
        let mut command = self.program();
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
        let done = self.program().args(["status", "--url", &url, "--json"]).output().expect("the edge program can be started");
        serde_json::from_slice(&done.stdout).unwrap_or(serde_json::Value::Null)
    }

    /// The sum of all samples of a metric on its pages, of those with `label` in their labels; `None` when it does not answer.
    pub async fn metric(&self, name: &str, label: &str) -> Option<f64> {
        crate::ask::metric(&self.url(), name, label).await
    }

    /// The URL of its pages.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }
}
