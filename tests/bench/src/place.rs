//! What hub and edges of a bench are told: certificates, settings, tenants and a reader's token, in a folder of its own.
//!
//! Parts: [`Place`], [`StoreChoice`]. Promises: the folder is removed with the value.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use reqwest::Url;

use crate::program::{Program, answer};

const TRUST_DOMAIN: &str = "bench.tributary";
/// Limits of the tenant: the questions of a bench go over everything.
const LIMITS: &str = "{max_query_length: 0s, max_entries_limit_per_query: 100000, max_query_series: 0, max_query_bytes_read: 0B, query_timeout: 10m}";

/// Absorption happens when the bench asks for it, not beside what is measured.
const ABSORB: &str = "absorb: {bytes: 64GiB, after: 24h, after_small: 24h}\n";

/// Who asks.
pub(crate) struct Tokens {
    pub(crate) reader: String,
    pub(crate) operator: String,
}

/// Where the hub stores.
pub(crate) enum StoreChoice {
    /// A folder.
    Folder(PathBuf),
    /// YAML lines of an S3 service.
    S3(String),
}

impl StoreChoice {
    /// Reads `file:///path` or `http://USER:PASS@HOST:PORT/bucket/prefix`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("file://") {
            ensure!(path.starts_with('/'), "--store {text}: write file:///path");
            let is_empty = fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
            ensure!(is_empty, "--store {text}: the folder is not empty, so what is stored there would be measured too");
            return Ok(Self::Folder(path.into()));
        }
        let url = Url::parse(text).context("--store is neither file:///path nor http://USER:PASS@HOST:PORT/bucket/prefix")?;
        let (host, bucket) = (url.host_str().unwrap_or_default(), url.path().trim_matches('/'));
        ensure!(matches!(url.scheme(), "http" | "https") && !bucket.is_empty(), "--store: write http://USER:PASS@HOST:PORT/bucket/prefix");
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        Ok(Self::S3(format!(
            "store: {}\ns3: {{endpoint: {}, access_key_id: {}, secret_access_key: {}, allow_http: {}}}\n",
            quoted(&format!("s3://{bucket}")),
            quoted(&format!("{}://{host}{port}", url.scheme())),
            quoted(url.username()),
            quoted(url.password().unwrap_or_default()),
            url.scheme() == "http"
        )))
    }
}

/// The folder.
pub(crate) struct Place {
    dir: PathBuf,
    /// Where the hub stores.
    pub(crate) store: StoreChoice,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(fault) = fs::remove_dir_all(&self.dir) {
            crate::tell(&format!("{} cannot be removed: {fault}", self.dir.display()));
        }
    }
}

impl Place {
    /// Makes a new folder below `under`.
    pub(crate) fn make(under: &Path, store: Option<&str>) -> Result<Self> {
        let dir = std::path::absolute(under)?.join(format!("tributary-bench-{}-{}", std::process::id(), jiff::Timestamp::now().as_millisecond()));
        let store = store.map_or_else(|| Ok(StoreChoice::Folder(dir.join("store"))), StoreChoice::parse)?;
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { dir, store })
    }

    /// A path in it.
    pub(crate) fn join(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    fn text(&self, below: &str) -> String {
        self.join(below).to_string_lossy().into_owned()
    }

    /// Certificates and settings of the hub; tokens.
    pub(crate) async fn prepare_hub(&self) -> Result<Tokens> {
        let (ca, tls) = (self.text("ca"), self.text("tls"));
        answer("tributary-certs", &["init", &ca, "--trust-domain", TRUST_DOMAIN]).await?;
        answer("tributary-certs", &["issue", "hub", "--ca", &ca, "--out", &tls, "--name", "127.0.0.1"]).await?;
        let store = match &self.store {
            StoreChoice::Folder(path) => format!("store: \"file://{}\"\n", path.display()),
            StoreChoice::S3(lines) => lines.clone(),
        };
        let listen = "http: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}\n";
        let link = format!(
            "link: {{listen: \"127.0.0.1:0\", cert_file: {tls}/hub.crt, key_file: {tls}/hub.key, client_ca_file: {ca}/ca.crt, trust_domain: {TRUST_DOMAIN}}}\n"
        );
        let tenants = self.text("tenants.yaml");
        fs::write(&tenants, format!("version: 1\ntenants:\n  acme: {{clusters: [alpha], limits: {LIMITS}}}\n"))?;
        fs::write(self.join("hub.yaml"), format!("{listen}{link}{store}tenants: {{file: {tenants}}}\n{ABSORB}"))?;
        let config = self.text("hub.yaml");
        let token = async |of: &[&str]| answer("tributary-hub", &[&["token", "new", "--config", &config, "--role"], of].concat()).await;
        Ok(Tokens { reader: token(&["reader", "--tenant", "acme"]).await?, operator: token(&["operator"]).await? })
    }

    /// Starts the hub, on any ports.
    pub(crate) async fn start_hub(&self) -> Result<Program> {
        Program::start("tributary-hub", &["serve", "--config", &self.text("hub.yaml")], &self.join("hub.log")).await
    }

    /// Starts an edge over `files`, with a new identity and WAL.
    pub(crate) async fn start_edge(&self, job: &str, files: &str, link: &str) -> Result<Program> {
        // New in each run: a bucket that is used again knows the edges of earlier runs.
        let name = format!("{job}-{}", jiff::Timestamp::now().as_millisecond());
        let (ca, identity, wal) = (self.text("ca"), self.text(&format!("{job}-identity")), self.text(&format!("{job}-wal")));
        answer("tributary-certs", &["issue", "edge", "--ca", &ca, "--out", &identity, "--cluster", "alpha", "--edge", &name]).await?;
        let config = self.text(&format!("{job}.yaml"));
        let settings = format!(
            "server: {{http_listen_address: 127.0.0.1, http_listen_port: 0}}\nhub: {{url: \"https://{link}\", ca_file: {ca}/ca.crt, identity_dir: {identity}}}\nwal: {{dir: {wal}}}\nscrape_configs:\n- job_name: pods\n  static_configs:\n  - targets: [localhost]\n    labels: {{job: {job}, __path__: \"{files}\"}}\n  pipeline_stages:\n  - cri: {{}}\n  - regex:\n      source: filename\n      expression: '/(?P<namespace>[^/_]+)_(?P<pod>[^/_]+)_[^/_]+/(?P<app>[^/]+)/0\\.log$'\n  - labels:\n      namespace:\n      pod:\n      app:\n"
        );
        fs::write(&config, settings)?;
        Program::start("tributary-edge", &["run", "--config", &config], &self.join(&format!("{job}.log"))).await
    }
}

/// Bytes of all files below `dir`.
pub(crate) fn bytes_below(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { bytes_below(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}
