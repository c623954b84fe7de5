//! The built edge on a folder of its own: started, killed, asked.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A folder with settings, a log and what the edge says.
pub(crate) struct Place {
    dir: TempDir,
}

/// A running edge; it ends with the test.
pub(crate) struct Program {
    child: Child,
    address: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::with_prefix("tributary-clients").unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub(crate) fn append(&self, name: &str, text: &str) {
        std::fs::OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Appends `line N` for each number.
    pub(crate) fn lines(&self, numbers: impl IntoIterator<Item = u64>) {
        let mut text = String::new();
        for number in numbers {
            writeln!(text, "line {number}").unwrap();
        }
        self.append("a.log", &text);
    }

    /// Settings as Promtail has them, without a hub: these clients, stages, and more.
    pub(crate) fn settings(&self, clients: &str, stages: &str, more: &str) {
        let text = format!(
            "server: {{http_listen_address: 127.0.0.1, http_listen_port: 0, enable_runtime_reload: true}}\n\
             positions: {{filename: {}}}\nclients: {clients}\ntarget_config: {{sync_period: 200ms}}\n{more}\n\
             scrape_configs:\n  - job_name: a\n    static_configs: [{{labels: {{job: a, __path__: {}}}}}]\n    pipeline_stages: [{stages}]\n",
            self.path("positions.yaml"),
            self.path("a.log")
        );
        self.write("edge.yaml", &text);
    }

    pub(crate) fn start(&self) -> Program {
        self.start_with(&[])
    }

    pub(crate) fn start_with(&self, flags: &[&str]) -> Program {
        let err = std::fs::OpenOptions::new().append(true).create(true).open(self.path("err")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary-edge"));
        command.args(["-config.file", &self.path("edge.yaml")]).args(flags).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(err).env("HOSTNAME", "h1");
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}: {}", self.said()));
        Program { child, address: event["http"].as_str().unwrap().to_owned() }
    }

    /// Runs an edge with these flags to its end, with a home of its own and `input` as its standard input. Gives its exit code.
    pub(crate) fn fed(&self, flags: &[&str], input: &str) -> Option<i32> {
        self.fed_until(flags, input, || false)
    }

    /// The same, ended as soon as there is `enough`.
    pub(crate) fn fed_until(&self, flags: &[&str], input: &str, enough: impl Fn() -> bool) -> Option<i32> {
        let err = std::fs::OpenOptions::new().append(true).create(true).open(self.path("err")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary-edge"));
        command
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(err)
            .env("HOSTNAME", "h1")
            .env("HOME", self.path("home"))
            .env_remove("XDG_STATE_HOME");
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let began = Instant::now();
        while !enough() && child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if child.try_wait().unwrap().is_none() {
            drop(Command::new("kill").args(["-TERM", &child.id().to_string()]).status());
        }
        child.wait().unwrap().code()
    }

    /// All that the edges said.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.path("err")).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Program {
    /// Status and text of one of its pages.
    pub(crate) async fn page(&self, path: &str) -> (u16, String) {
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("http://{}{path}", self.address)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn reload(&self) -> (u16, String) {
        self.page("/reload").await
    }

    /// What the status says of a client.
    pub(crate) async fn client(&self, name: &str) -> serde_json::Value {
        let status: serde_json::Value = serde_json::from_str(&self.page("/status").await.1).unwrap();
        status["clients"].as_array().unwrap().iter().find(|client| client["client"] == name).cloned().unwrap_or_default()
    }

    /// The value of a metric, by its whole name with labels; 0 when it is not there.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.page("/metrics").await.1;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn end(mut self) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Waits for `holds`.
pub(crate) async fn until(what: &str, place: &Place, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(60), "not within 60 s: {what}\n{}", place.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// `line N` for each number.
pub(crate) fn numbered(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("line {number}")).collect()
}
