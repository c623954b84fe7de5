//! One request to a target: its HTTP client, made anew when a file of its settings changes, and who the edge says it is.
//!
//! Parts: [`Http`], [`Answer`]. Secrets in files are read for every request; certificates are looked at for every request
//! and read when they changed. Promises: no error text holds a secret or the url; an answer is read up to [`ANSWER_BYTES_MAX`].
//! Must not do: try again.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use proto_seam::{Disk, World};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, NoProxy, Proxy};

use super::target::Target;
use super::{oauth2, tls};
use crate::settings::http::{Authorization, BasicAuth, HttpSettings, Secret, TlsSettings};

/// Of an answer's text so much is read.
const ANSWER_BYTES_MAX: usize = 1_024;
/// Largest file of a secret.
const SECRET_BYTES_MAX: usize = 64 * 1024;
/// A connection nobody uses is closed after so long.
const IDLE_MAX: Duration = Duration::from_secs(90);
const CONNECT_MAX: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("tributary-edge/", env!("CARGO_PKG_VERSION"));
/// Whose lines a request holds.
pub(super) const TENANT_HEADER: &str = "X-Scope-OrgID";

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: u16,
    /// The beginning of its text, on one line.
    pub(super) text: String,
    /// How long it wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// Requests to one target.
#[derive(Debug)]
pub(super) struct Http {
    target: Target,
    world: World,
    made: Mutex<Option<Made>>,
    token: oauth2::Tokens,
}

#[derive(Debug)]
struct Made {
    client: Client,
    /// The files it was made of, as they were.
    files: tls::Seen,
}

/// What a client is made of beside TLS.
pub(super) struct Way<'s> {
    pub(super) proxy_url: Option<&'s str>,
    pub(super) no_proxy: Option<&'s str>,
    pub(super) from_environment: bool,
    pub(super) connect_header: &'s std::collections::BTreeMap<String, Vec<Secret>>,
}

/// An error of the HTTP client without the url, which may hold a password, but with all its reasons.
pub(super) fn told(fault: reqwest::Error) -> String {
    let fault = fault.without_url();
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(reason) = source {
        text.push_str(&format!(": {reason}"));
        source = reason.source();
    }
    text
}

/// The secret in a file. Blocks.
pub(super) fn secret(disk: &dyn Disk, path: &Path) -> Result<String, String> {
    let bytes = disk.read_all(path, SECRET_BYTES_MAX).map_err(|fault| format!("{}: {fault}", path.display()))?;
    String::from_utf8(bytes).map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).map_err(|_| format!("{}: it is no text", path.display()))
}

/// A client that goes this way. Blocks.
pub(super) fn client(tls: &TlsSettings, way: &Way<'_>, follow: bool, is_plain: bool, disk: &dyn Disk) -> Result<Client, String> {
    let build = |with_roots: bool| -> Result<Client, String> {
        let builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(if follow { Policy::default() } else { Policy::none() })
            .pool_idle_timeout(IDLE_MAX)
            .connect_timeout(CONNECT_MAX);
        let builder = proxied(builder, way)?;
        let builder = tls::apply(builder, tls, disk)?;
        let builder = if with_roots { builder } else { builder.tls_certs_only([]) };
        builder.build().map_err(told)
    };
    // A host without any root certificate can still speak plain HTTP.
    build(true).or_else(|fault| if is_plain && *tls == TlsSettings::default() { build(false) } else { Err(fault) })
}

fn proxied(builder: ClientBuilder, way: &Way<'_>) -> Result<ClientBuilder, String> {
    match way.proxy_url.filter(|url| !url.is_empty()) {
        Some(url) => {
            let mut headers = HeaderMap::new();
            for (name, values) in way.connect_header {
                for value in values {
                    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header for the proxy cannot be sent".to_owned())?;
                    headers.append(name, HeaderValue::from_str(value.expose()).map_err(|_| "a header for the proxy cannot be sent".to_owned())?);
                }
            }
            let proxy = Proxy::all(url).map_err(told)?.no_proxy(way.no_proxy.and_then(NoProxy::from_string)).headers(headers);
            Ok(builder.proxy(proxy))
        }
        None if way.from_environment => Ok(builder),
        None => Ok(builder.no_proxy()),
    }
}

impl HttpSettings {
    fn way(&self) -> Way<'_> {
        Way {
            proxy_url: self.proxy_url.as_deref(),
            no_proxy: self.no_proxy.as_deref(),
            from_environment: self.proxy_from_environment,
            connect_header: &self.proxy_connect_header,
        }
    }
}

impl Http {
    /// Connects with the first request.
    pub(super) fn new(target: Target, world: World) -> Self {
        Self { target, world, made: Mutex::new(None), token: oauth2::Tokens::default() }
    }

    /// Where it goes.
    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// Forgets the token it has, if it has one: the server did not take it.
    pub(super) fn forget_token(&self) -> bool {
        self.token.forget()
    }

    /// Sends `body`, snappy protobuf, for `tenant`.
    ///
    /// # Errors
    /// A text: there was no answer, or a file of the settings cannot be read.
    pub(super) async fn post(&self, tenant: &str, body: Bytes) -> Result<Answer, String> {
        let client = self.client().await?;
        let mut headers = self.target.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if !tenant.is_empty() {
            headers.insert(TENANT_HEADER, HeaderValue::from_str(tenant).map_err(|_| "the tenant cannot be sent as a header".to_owned())?);
        }
        if let Some(who) = self.who().await? {
            headers.insert(AUTHORIZATION, who);
        }
        let request = client.post(self.target.url.clone()).headers(headers).body(body).timeout(self.target.settings.timeout.0);
        let mut response = request.send().await.map_err(told)?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
        let mut text = Vec::new();
        while text.len() < ANSWER_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => text.extend_from_slice(&chunk),
                // What it means stands in the status.
                Ok(None) | Err(_) => break,
            }
        }
        text.truncate(ANSWER_BYTES_MAX);
        Ok(Answer { status, text: one_line(&text), retry_after })
    }

    async fn client(&self) -> Result<Client, String> {
        let (disk, tls) = (self.world.disk.clone(), self.target.http.tls.clone());
        let seen = self.world.workers.run(move || tls::Seen::of(&tls, disk.as_ref())).await;
        if let Some(made) = self.made().as_ref().filter(|made| made.files == seen) {
            return Ok(made.client.clone());
        }
        let (disk, target) = (self.world.disk.clone(), self.target.clone());
        let make = move || client(&target.http.tls, &target.http.way(), target.http.follow_redirects, target.url.scheme() == "http", disk.as_ref());
        let client = self.world.workers.run(make).await?;
        *self.made() = Some(Made { client: client.clone(), files: seen });
        Ok(client)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Option<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The header `Authorization`.
    async fn who(&self) -> Result<Option<HeaderValue>, String> {
        let http = &self.target.http;
        let text = if let Some(basic) = &http.basic_auth {
            basic_text(basic, &self.world).await?
        } else if let Some(own) = &http.authorization {
            format!("{} {}", own.scheme, credentials(own, &self.world).await?)
        } else if let Some(settings) = &http.oauth2 {
            format!("Bearer {}", self.token.token(settings, &self.world).await?)
        } else {
            return Ok(None);
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| "the credentials cannot be sent as a header".to_owned())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

async fn in_file(path: &Path, world: &World) -> Result<String, String> {
    let (disk, path): (_, PathBuf) = (world.disk.clone(), path.to_owned());
    world.workers.run(move || secret(disk.as_ref(), &path)).await
}

async fn basic_text(basic: &BasicAuth, world: &World) -> Result<String, String> {
    use base64::Engine as _;
    let user = match &basic.username_file {
        Some(path) => in_file(path, world).await?,
        None => basic.username.clone(),
    };
    let password = match &basic.password_file {
        Some(path) => in_file(path, world).await?,
        None => basic.password.expose().to_owned(),
    };
    Ok(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))))
}

async fn credentials(own: &Authorization, world: &World) -> Result<String, String> {
    match (&own.credentials_file, &own.credentials) {
        (Some(path), _) => in_file(path, world).await,
        (None, Some(secret)) => Ok(secret.expose().to_owned()),
        (None, None) => Ok(String::new()),
    }
}

fn one_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).split(|c: char| c.is_control()).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
