//! What the hub and the edges are told: their YAML, as a person would write it.
//!
//! Parts: [`StoreChoice`], [`hub`], [`tenants`], [`edge`]. Pure. Promises: every value from outside is quoted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;

use crate::fault::DemoFault;

/// Of all identities of the demo.
pub(crate) const TRUST_DOMAIN: &str = "demo.tributary";

/// Label of what the edges of the demo read: other edges and pushes are not counted.
pub(crate) const JOB: &str = "containers";

/// A tenant of the demo and its one cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    /// The tenant.
    pub(crate) tenant: &'static str,
    /// The cluster whose edge writes to it.
    pub(crate) cluster: &'static str,
}

/// The tenants.
pub(crate) const PAIRS: [Pair; 2] = [Pair { tenant: "acme", cluster: "alpha" }, Pair { tenant: "blue", cluster: "beta" }];

/// Where the hub stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreChoice {
    /// A folder.
    Folder(PathBuf),
    /// An S3 service.
    S3 {
        /// `http(s)://host:port`
        endpoint: String,
        /// `bucket/prefix`
        place: String,
        /// Access key, empty = as the environment of AWS says.
        user: String,
        /// Its secret.
        password: String,
    },
}

impl StoreChoice {
    /// Reads `http://USER:PASS@HOST:PORT/bucket/prefix`.
    pub(crate) fn parse_s3(text: &str) -> Result<Self, DemoFault> {
        let wrong = || DemoFault::Usage("--s3 is not of the form http://USER:PASS@HOST:PORT/bucket/prefix".to_owned());
        let url = Url::parse(text).map_err(|_| wrong())?;
        let (Some(host), place) = (url.host_str(), url.path().trim_matches('/')) else { return Err(wrong()) };
        if !matches!(url.scheme(), "http" | "https") || place.is_empty() || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong());
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let (Some(user), Some(password), Some(place)) = (decoded(url.username()), decoded(url.password().unwrap_or_default()), decoded(place)) else {
            return Err(wrong());
        };
        Ok(Self::S3 { endpoint: format!("{}://{host}{port}", url.scheme()), place, user, password })
    }

    fn yaml(&self) -> String {
        match self {
            Self::Folder(path) => format!("store: {}\n", quoted(&format!("file://{}", path.display()))),
            Self::S3 { endpoint, place, user, password } => format!(
                "store: {}\ns3: {{endpoint: {}, access_key_id: {}, secret_access_key: {}, allow_http: {}}}\n",
                quoted(&format!("s3://{place}")),
                quoted(endpoint),
                quoted(user),
                quoted(password),
                endpoint.starts_with("http://")
            ),
        }
    }
}

/// Percent escapes undone; `None` when they are broken.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
            out.push(u8::try_from(value).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// A JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Addresses that a hub listens on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listen {
    /// The query API.
    pub(crate) http: SocketAddr,
    /// The admin API.
    pub(crate) admin: SocketAddr,
    /// The link.
    pub(crate) link: SocketAddr,
}

/// `hub.yaml`; `dir` holds `tls` and `tenants.yaml`.
pub(crate) fn hub(dir: &Path, listen: &Listen, store: &StoreChoice) -> String {
    let tls = dir.join("tls");
    format!(
        "http: {{listen: \"{}\"}}\nadmin: {{listen: \"{}\"}}\nlink:\n  listen: \"{}\"\n  cert_file: {}\n  key_file: {}\n  client_ca_file: {}\n  trust_domain: {TRUST_DOMAIN}\n{}tenants: {{file: {}}}\n",
        listen.http,
        listen.admin,
        listen.link,
        path(&tls.join("hub.crt")),
        path(&tls.join("hub.key")),
        path(&tls.join("ca.crt")),
        store.yaml(),
        path(&dir.join("tenants.yaml")),
    )
}

/// `tenants.yaml`: the same text in each run, since a bucket may hold it already.
pub(crate) fn tenants() -> String {
    let rows = PAIRS.map(|Pair { tenant, cluster }| format!("  {tenant}: {{clusters: [{cluster}]}}\n"));
    format!("version: 1\ntenants:\n{}", rows.concat())
}

/// What an edge is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EdgeParts<'a> {
    /// Folder of the cluster: `identity`, `logs` and `wal` lie in it.
    pub(crate) dir: &'a Path,
    /// Where the hub's link is.
    pub(crate) link: SocketAddr,
}

/// `edge.yaml`
pub(crate) fn edge(parts: &EdgeParts<'_>) -> String {
    let EdgeParts { dir, link } = parts;
    let identity = dir.join("identity");
    format!(
        "server: {{http_listen_address: 127.0.0.1, http_listen_port: 0}}\nhub:\n  url: \"https://{link}\"\n  ca_file: {}\n  identity_dir: {}\nwal: {{dir: {}, max_bytes: 1GiB}}\nbatch: {{max_wait: 250ms}}\nscrape_configs:\n- job_name: containers\n  static_configs:\n  - targets: [localhost]\n    labels:\n      job: {JOB}\n      __path__: {}\n  pipeline_stages:\n  - cri: {{}}\n  - regex:\n      source: filename\n      expression: '/(?P<app>[a-z]+)-[^/]*\\.log$'\n  - labels:\n      app:\n",
        path(&identity.join("ca.crt")),
        path(&identity),
        path(&dir.join("wal")),
        path(&dir.join("logs").join("*.log")),
    )
}

#[cfg(test)]
mod tests;
