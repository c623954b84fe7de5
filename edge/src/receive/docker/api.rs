//! What is asked of Docker.
//!
//! Parts: [`Endpoint`] (where the daemon is; `host` of the settings), [`Api`] (the questions). The version of the API is agreed on anew
//! whenever [`Api::greet`] is asked. Limits: [`LIST_BYTES_MAX`] a list, [`WITHIN`] for each answer but a log's. Must not do: retry.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proto_model::Timestamp;
use proto_seam::World;
use reqwest::Response;
use serde::Deserialize;

use super::labels::{Container, Network};
use crate::http::answer::{body, json};
use crate::http::{Client, encoded};
use crate::settings::http::HttpSettings;
use crate::settings::pulled::DockerFilter;

/// Largest list: some ten thousand containers.
const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// For an answer's head, and for all of a list.
const WITHIN: Duration = Duration::from_secs(30);
/// The newest version of the API that is spoken.
const NEWEST: (u32, u32) = (1, 47);
/// Where daemons say nothing of versions.
const OLDEST: (u32, u32) = (1, 24);

/// Where a daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A Unix socket.
    Socket(PathBuf),
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    Url(String),
}

impl Endpoint {
    /// From `host`; `tcp://` is with TLS when `tls_config` names a CA or certificate.
    ///
    /// # Errors
    /// A text saying why it cannot be.
    pub(crate) fn parse(host: &str, http: &HttpSettings) -> Result<Self, String> {
        let (scheme, rest) = host.split_once("://").ok_or_else(|| format!("host {host:?} has no scheme"))?;
        let rest = rest.trim_end_matches('/');
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Socket(PathBuf::from(rest))),
            "unix" => Err(format!("host {host:?} names no absolute path")),
            "tcp" | "http" | "https" if rest.is_empty() => Err(format!("host {host:?} names no host")),
            "tcp" => {
                let tls = &http.tls;
                let is_tls = tls.ca.is_some() || tls.ca_file.is_some() || tls.cert.is_some() || tls.cert_file.is_some() || tls.insecure_skip_verify;
                Ok(Self::Url(format!("{}://{rest}", if is_tls { "https" } else { "http" })))
            }
            "http" | "https" => Ok(Self::Url(format!("{scheme}://{rest}"))),
            other => Err(format!("host {host:?} is reached by {other}, which is not supported")),
        }
    }
}

/// One daemon.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    base: String,
    filters: String,
    version: Mutex<(u32, u32)>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Version {
    api_version: String,
    #[serde(rename = "MinAPIVersion")]
    oldest: String,
}

/// What is to be known of a container before its log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) is_running: bool,
    pub(super) has_terminal: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inspected {
    state: State,
    config: Config,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    running: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    tty: bool,
}

impl Api {
    pub(super) fn new(endpoint: &Endpoint, http: HttpSettings, filters: &[DockerFilter], world: &World) -> Self {
        let (socket, base) = match endpoint {
            Endpoint::Socket(path) => (Some(path.clone()), "http://docker".to_owned()),
            Endpoint::Url(url) => (None, url.clone()),
        };
        let mut all = serde_json::Map::new();
        for filter in filters {
            if let Some(values) = all.entry(filter.name.clone()).or_insert_with(|| serde_json::Value::Array(Vec::new())).as_array_mut() {
                values.extend(filter.values.iter().cloned().map(serde_json::Value::String));
            }
        }
        let filters = encoded(&serde_json::Value::Object(all).to_string());
        Self { client: Client::new(http, socket, world), base, filters, version: Mutex::new(OLDEST) }
    }

    async fn ask(&self, path: &str) -> Result<Response, String> {
        let (major, minor) = *self.version.lock().unwrap_or_else(PoisonError::into_inner);
        self.client.get(&format!("{}/v{major}.{minor}{path}", self.base), &[], WITHIN).await
    }

    /// Agrees on a version; gives the daemon's time, if it says it.
    pub(super) async fn greet(&self) -> Result<Option<Timestamp>, String> {
        let answer = self.client.get(&format!("{}/version", self.base), &[], WITHIN).await?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let version: Version = json(answer, LIST_BYTES_MAX, WITHIN).await?;
        let newest = pair(&version.api_version).unwrap_or(OLDEST).min(NEWEST);
        let agreed = pair(&version.oldest).map_or(newest, |oldest| newest.max(oldest));
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = agreed;
        Ok(date.map(|date| Timestamp::from_secs(date.timestamp().as_second())))
    }

    /// All containers that the filters name, those that ended among them, and all networks.
    pub(super) async fn containers(&self) -> Result<(Vec<Container>, Vec<Network>), String> {
        let containers = self.ask(&format!("/containers/json?all=1&filters={}", self.filters)).await?;
        let containers = json(containers, LIST_BYTES_MAX, WITHIN).await?;
        let networks = json(self.ask("/networks").await?, LIST_BYTES_MAX, WITHIN).await?;
        Ok((containers, networks))
    }

    /// How a container is now; `None` = there is no such container.
    pub(super) async fn condition(&self, id: &str) -> Result<Option<Condition>, String> {
        let answer = self.ask(&format!("/containers/{id}/json")).await?;
        if answer.status().as_u16() == 404 {
            return Ok(None);
        }
        let Inspected { state, config } = json(answer, LIST_BYTES_MAX, WITHIN).await?;
        Ok(Some(Condition { is_running: state.running, has_terminal: config.tty }))
    }

    /// A container's log from `since` on; with `follow` until it ends.
    pub(super) async fn log(&self, id: &str, since: Option<Timestamp>, follow: bool) -> Result<Response, String> {
        let since = since.map_or_else(|| "0".to_owned(), seconds);
        let path = format!("/containers/{id}/logs?stdout=1&stderr=1&timestamps=1&follow={}&since={since}", u8::from(follow));
        let answer = self.ask(&path).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(body(answer, 0, WITHIN).await.err().unwrap_or_default())
    }

    /// What happens to containers from now on.
    pub(super) async fn events(&self) -> Result<Response, String> {
        let filters = encoded(r#"{"type":["container"],"event":["create","start","die","destroy","rename","update"]}"#);
        let answer = self.ask(&format!("/events?filters={filters}")).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(body(answer, 0, WITHIN).await.err().unwrap_or_default())
    }
}

/// Seconds since 1970 with nine digits after the point.
fn seconds(time: Timestamp) -> String {
    let nanos = time.nanos().max(0);
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

fn pair(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests;
