//! A hub as a process, with certificates and tenants of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{self, program};
use crate::process::Process;

/// The trust domain of all tests.
pub const TRUST_DOMAIN: &str = "test.tributary";

/// A hub, its settings and its certificate authority.
#[derive(Debug)]
pub struct Hub {
    process: Option<Process>,
    dir: PathBuf,
    starts: usize,
    /// Query API port.
    pub http: u16,
    /// Admin port.
    pub admin: u16,
    /// Link port (UDP and TCP).
    pub link: u16,
    /// Reader token of tenant `acme`, which owns cluster `alpha`.
    pub acme: String,
    /// Reader token of tenant `blue`, which owns cluster `beta`.
    pub blue: String,
    /// Writer token of `acme`.
    pub acme_writer: String,
    /// Operator token.
    pub operator: String,
}

/// Runs a program to its end; its standard output.
///
/// # Panics
/// When it fails, with its standard error.
pub fn run(program: &Path, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{} cannot be started: {e}", program.display()));
    assert!(done.status.success(), "{} {arguments:?} failed:\n{}", program.display(), String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

impl Hub {
    /// A hub in `dir`, not yet started; `store` = the YAML lines of its store, `more` = further YAML.
    #[must_use]
    pub fn prepare(dir: &Path, store: &str, more: &str) -> Self {
        Self::prepare_at(dir, "127.0.0.1", store, more)
    }

    /// As [`Self::prepare`], its link on `address` (port 0 is not asked for: a free one of loopback is taken).
    #[must_use]
    pub fn prepare_at(dir: &Path, address: &str, store: &str, more: &str) -> Self {
        let dir = dir.join("hub");
        std::fs::create_dir_all(&dir).expect("the hub's folder can be made");
        let text = |path: PathBuf| path.to_str().expect("test paths are UTF-8").to_owned();
        let (ca, tls) = (text(dir.join("ca")), text(dir.join("tls")));
        run(&program("tributary-certs"), &["init", &ca, "--trust-domain", TRUST_DOMAIN]);
        run(&program("tributary-certs"), &["issue", "hub", "--ca", &ca, "--out", &tls, "--name", "127.0.0.1", "--name", "localhost"]);
        let tenants = "version: 1\ntenants:\n  acme: {clusters: [alpha], retention: 30d, limits: {max_entries_limit_per_query: 100000, max_query_length: 0s}}\n  blue: {clusters: [beta], limits: {max_entries_limit_per_query: 100000, max_query_length: 0s}}\n";
        std::fs::write(dir.join("tenants.yaml"), tenants).expect("tenants.yaml can be written");
        Self::configured(dir, address, &tls, store, more)
    }

    /// Writes `hub.yaml` into `dir`, which holds `tenants.yaml`.
    fn configured(dir: PathBuf, address: &str, tls: &str, store: &str, more: &str) -> Self {
        let (http, admin, link) = (place::port(), place::port(), place::port());
        let settings = format!(
            "http: {{listen: \"127.0.0.1:{http}\"}}\nadmin: {{listen: \"127.0.0.1:{admin}\"}}\nlink: {{listen: \"{address}:{link}\", cert_file: {tls}/hub.crt, key_file: {tls}/hub.key, client_ca_file: {tls}/ca.crt, trust_domain: {TRUST_DOMAIN}}}\ntenants: {{file: {}/tenants.yaml}}\n{store}{more}",
            dir.display()
        );
        std::fs::write(dir.join("hub.yaml"), settings).expect("hub.yaml can be written");
        Self { process: None, dir, starts: 0, http, admin, link, acme: String::new(), blue: String::new(), acme_writer: String::new(), operator: String::new() }
    }

    /// A further hub in `dir/name`: same certificate, tenants and tokens; `store` should name the same store. Not yet started.
    ///
    /// # Panics
    /// When its folder cannot be made.
    #[must_use]
    pub fn beside(&self, dir: &Path, name: &str, store: &str, more: &str) -> Self {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).expect("the hub's folder can be made");
        std::fs::copy(self.dir.join("tenants.yaml"), dir.join("tenants.yaml")).expect("tenants.yaml can be copied");
        let mut other = Self::configured(dir, "127.0.0.1", &self.dir.join("tls").to_string_lossy(), store, more);
        for (to, from) in
            [(&mut other.acme, &self.acme), (&mut other.blue, &self.blue), (&mut other.acme_writer, &self.acme_writer), (&mut other.operator, &self.operator)]
        {
            to.clone_from(from);
        }
        other
    }

    /// Prepares a hub, makes its tokens and starts it.
    #[must_use]
    pub fn start(dir: &Path, store: &str, more: &str) -> Self {
        Self::prepare(dir, store, more).started()
    }

    /// Makes the tokens of a prepared hub and starts it.
    #[must_use]
    pub fn started(mut self) -> Self {
        self.acme = self.token(&["--role", "reader", "--tenant", "acme"]);
        self.blue = self.token(&["--role", "reader", "--tenant", "blue"]);
        self.acme_writer = self.token(&["--role", "writer", "--tenant", "acme"]);
        self.operator = self.token(&["--role", "operator"]);
        self.resume();
        self
    }

    /// Whether it was started and not killed since.
    #[must_use]
    pub const fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// A token made by `tributary-hub token new`.
    #[must_use]
    pub fn token(&self, arguments: &[&str]) -> String {
        let config = self.config();
        let config = config.to_str().expect("test paths are UTF-8");
        let all: Vec<&str> = ["token", "new", "--config", config].iter().chain(arguments).copied().collect();
        run(&program("tributary-hub"), &all).trim().to_owned()
    }

    /// Its settings file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("hub.yaml")
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts it (again) on the same ports and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    pub fn resume(&mut self) {
        self.try_resume().unwrap_or_else(|why| panic!("{why}"));
    }

    /// The same where the store may be away.
    ///
    /// # Errors
    /// What it said when it ended.
    pub fn try_resume(&mut self) -> Result<(), String> {
        let mut command = Command::new(program("tributary-hub"));
        command.arg("serve").arg("--config").arg(self.config());
        let mut process = Process::start(command, &self.dir, "hub");
        let _ = process.try_listening(self.starts)?;
        self.starts += 1;
        self.process = Some(process);
        Ok(())
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
        self.process.as_mut().expect("the hub runs")
    }

    /// The URL of its query API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// The URL of its admin API.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin)
    }

    /// The folder of its own certificate: `hub.crt`, `hub.key`, `ca.crt`.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("tls")
    }

    /// A certificate for an edge, in a folder named after it; further arguments of `issue edge` may follow.
    #[must_use]
    pub fn identity(&self, cluster: &str, edge: &str, more: &[&str]) -> PathBuf {
        let out = self.dir.join(format!("edge-{cluster}-{edge}"));
        let (ca, out_text) = (self.dir.join("ca"), out.to_str().expect("test paths are UTF-8").to_owned());
        let ca = ca.to_str().expect("test paths are UTF-8");
        let all: Vec<&str> = ["issue", "edge", "--ca", ca, "--out", &out_text, "--cluster", cluster, "--edge", edge].iter().chain(more).copied().collect();
        run(&program("tributary-certs"), &all);
        out
    }
}
