//! Asking a server over HTTP, as `basic_auth`, `authorization`, `tls_config` and the proxy keys say.
//!
//! Parts: [`Fetch`] (one server), [`unsupported`] (what of the settings it cannot do), [`body`] and [`json`] (bounded answers).
//! Promises: secrets are read from their files for each request, certificates whenever a connection is made anew after a failure; nothing
//! of them is shown. Limits: what the caller says of bytes and time; a connection is made within [`CONNECT_MAX`]. Must not do: retry.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto_seam::{Disk, World};
use reqwest::header::{AUTHORIZATION, HOST, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Identity, NoProxy, Proxy, Response, Url, redirect, tls};
use serde::de::DeserializeOwned;

use crate::settings::http::HttpSettings;

/// Until a server must have taken a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Of a connection that nothing comes over.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Largest secret or certificate file.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// A refusal is read so far, and so much of it is shown.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
const SHOWN_BYTES: usize = 300;

/// What of an HTTP client's settings cannot be done, with the other way.
#[must_use]
pub fn unsupported(http: &HttpSettings) -> Option<(&'static str, &'static str)> {
    let tls = &http.tls;
    let all = [
        (http.oauth2.is_some(), "oauth2", "give a token with authorization.credentials_file"),
        (http.proxy_from_environment, "proxy_from_environment", "write proxy_url"),
        (!http.http_headers.is_empty(), "http_headers", "take it out; authorization has a type and credentials of its own"),
        (tls.max_version.is_some(), "tls_config.max_version", "take it out: TLS 1.2 and 1.3 are spoken"),
        (tls.server_name.is_some() && http.proxy_url.is_some(), "tls_config.server_name with a proxy", "keep one of them"),
    ];
    all.into_iter().find(|(is_there, ..)| *is_there).map(|(_, what, fix)| (what, fix))
}

/// One server, and how it is asked.
pub struct Fetch {
    http: HttpSettings,
    socket: Option<PathBuf>,
    world: World,
    client: Mutex<Option<Client>>,
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Resolves every name as that of this host.
struct Instead(String);

impl reqwest::dns::Resolve for Instead {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

impl Fetch {
    /// Over TCP, or over the Unix socket `socket`.
    #[must_use]
    pub fn new(http: HttpSettings, socket: Option<PathBuf>, world: &World) -> Self {
        Self { http, socket, world: world.clone(), client: Mutex::new(None) }
    }

    /// Asks for `url`, with more headers; `within` bounds the wait for the answer's head, not its body. An answer of any status is given.
    ///
    /// # Errors
    /// A text saying what is wrong: a file of the settings, the connection, the wait.
    pub async fn get(&self, url: &str, headers: &[(&'static str, String)], within: Duration) -> Result<Response, String> {
        let mut url: Url = url.parse().map_err(|fault| format!("{url:?} is no url: {fault}"))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let client = self.client(&host).await?;
        let mut request_host = None;
        if let Some(name) = self.http.tls.server_name.as_deref().filter(|_| url.scheme() == "https" && self.socket.is_none()) {
            request_host = Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")));
            url.set_host(Some(name)).map_err(|_| "tls_config.server_name is no host name".to_owned())?;
        }
        let mut request = client.get(url);
        if let Some(host) = request_host {
            request = request.header(HOST, host);
        }
        for (name, value) in headers {
            request = request.header(*name, secret_header(value)?);
        }
        if let Some(basic) = &self.http.basic_auth {
            let user = self.either(&basic.username, basic.username_file.as_deref()).await?;
            let password = self.either(basic.password.expose(), basic.password_file.as_deref()).await?;
            request = request.basic_auth(user, Some(password));
        }
        if let Some(own) = &self.http.authorization {
            let secret = self.either(own.credentials.as_ref().map_or("", |secret| secret.expose()), own.credentials_file.as_deref()).await?;
            request = request.header(AUTHORIZATION, secret_header(&format!("{} {secret}", own.scheme))?);
        }
        let answered = tokio::time::timeout(within, request.send()).await;
        answered.map_err(|_| format!("no answer within {} s", within.as_secs())).and_then(|answer| answer.map_err(|fault| explained(&fault))).inspect_err(
            |_| {
                // Whatever it was, certificates may be new the next time.
                *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
            },
        )
    }

    async fn client(&self, host: &str) -> Result<Client, String> {
        if let Some(client) = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(client);
        }
        let (http, socket, disk, host) = (self.http.clone(), self.socket.clone(), Arc::clone(&self.world.disk), host.to_owned());
        let made = self.world.workers.run(move || made(&http, socket, &host, disk.as_ref())).await?;
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
        Ok(made)
    }

    /// A secret in place, or in a file.
    async fn either(&self, text: &str, file: Option<&Path>) -> Result<String, String> {
        let Some(file) = file.map(Path::to_path_buf) else { return Ok(text.to_owned()) };
        let disk = Arc::clone(&self.world.disk);
        self.world.workers.run(move || read(disk.as_ref(), &file)).await.map(|text| text.trim().to_owned())
    }
}

fn read(disk: &dyn Disk, path: &Path) -> Result<String, String> {
    let bytes = disk.read_all(path, FILE_BYTES_MAX).map_err(|fault| format!("{}: {fault}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| format!("{}: it is no text", path.display()))
}

fn secret_header(value: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(value).map_err(|_| "a secret or header of the settings has characters that no header may have".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn made(http: &HttpSettings, socket: Option<PathBuf>, host: &str, disk: &dyn Disk) -> Result<Client, String> {
    let mut client = Client::builder().connect_timeout(CONNECT_MAX).tcp_keepalive(KEEPALIVE);
    client = client.redirect(if http.follow_redirects { redirect::Policy::limited(10) } else { redirect::Policy::none() });
    if let Some(path) = socket {
        return client.unix_socket(path).no_proxy().build().map_err(|fault| fault.to_string());
    }
    client = match &http.proxy_url {
        None => client.no_proxy(),
        Some(url) => {
            let proxy = Proxy::all(url).map_err(|fault| format!("proxy_url: {fault}"))?;
            client.proxy(proxy.no_proxy(http.no_proxy.as_deref().and_then(NoProxy::from_string)))
        }
    };
    if http.tls.server_name.is_some() {
        client = client.dns_resolver(Instead(host.to_owned()));
    }
    with_tls(client, http, disk)?.build().map_err(|fault| format!("no HTTP client can be made: {}", explained(&fault)))
}

fn with_tls(mut client: ClientBuilder, http: &HttpSettings, disk: &dyn Disk) -> Result<ClientBuilder, String> {
    let settings = &http.tls;
    let either = |text: Option<&str>, file: Option<&PathBuf>| match (text, file) {
        (Some(text), _) => Ok(Some(text.to_owned())),
        (None, Some(file)) => read(disk, file).map(Some),
        (None, None) => Ok(None),
    };
    if let Some(pem) = either(settings.ca.as_deref(), settings.ca_file.as_ref())? {
        let all = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|fault| format!("tls_config.ca_file: {fault}"))?;
        client = client.tls_certs_only(all);
    }
    let cert = either(settings.cert.as_deref(), settings.cert_file.as_ref())?;
    let key = either(settings.key.as_ref().map(|key| key.expose()), settings.key_file.as_ref())?;
    client = match (cert, key) {
        (Some(cert), Some(key)) => {
            let own = Identity::from_pem(format!("{cert}\n{key}").as_bytes()).map_err(|fault| format!("tls_config.cert_file and key_file: {fault}"))?;
            client.identity(own)
        }
        (None, None) => client,
        _ => return Err("tls_config has one of cert_file and key_file without the other; add it".to_owned()),
    };
    if settings.min_version.as_deref() == Some("TLS13") {
        client = client.tls_version_min(tls::Version::TLS_1_3);
    }
    Ok(client.tls_danger_accept_invalid_certs(settings.insecure_skip_verify))
}

/// As a value in a query.
#[must_use]
pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A fault with what caused it; its url may hold a secret and is left out.
fn explained(fault: &reqwest::Error) -> String {
    let mut out = if fault.is_timeout() { "no answer in time".to_owned() } else { String::new() };
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(fault);
    while let Some(why) = cause {
        let text = why.to_string();
        if !out.contains(&text) {
            out = if out.is_empty() { text } else { format!("{out}: {text}") };
        }
        cause = why.source();
    }
    if out.is_empty() { "the request failed".to_owned() } else { out }
}

/// The body of an answer of status 200, whole.
///
/// # Errors
/// A text: another status with what the server says, a body beyond `bytes_max`, a connection that broke or stalled for `within`.
pub async fn body(answer: Response, bytes_max: usize, within: Duration) -> Result<Vec<u8>, String> {
    let status = answer.status();
    if status.is_success() {
        return body_of_any_status(answer, bytes_max, within).await;
    }
    let said = body_of_any_status(answer, REFUSAL_BYTES_MAX, within).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said[..said.len().min(SHOWN_BYTES)]).trim().to_owned();
    Err(format!("the server answers {}: {said:?}", status.as_u16()))
}

/// The body of an answer, whole, whatever its status.
///
/// # Errors
/// As [`body`], but for the status.
pub async fn body_of_any_status(mut answer: Response, bytes_max: usize, within: Duration) -> Result<Vec<u8>, String> {
    let read = async {
        let mut out = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|fault| explained(&fault))? {
            out.extend_from_slice(&chunk);
            if out.len() > bytes_max {
                return Err(format!("the answer is larger than {bytes_max} bytes"));
            }
        }
        Ok(out)
    };
    tokio::time::timeout(within, read).await.map_err(|_| format!("the answer did not end within {} s", within.as_secs()))?
}

/// The same, as JSON.
///
/// # Errors
/// As [`body`], and what is not the JSON that was expected.
pub async fn json<T: DeserializeOwned>(answer: Response, bytes_max: usize, within: Duration) -> Result<T, String> {
    let bytes = body(answer, bytes_max, within).await?;
    serde_json::from_slice(&bytes).map_err(|fault| format!("the answer is not understood: {fault}"))
}
