//! Asking servers over HTTP, as `basic_auth`, `authorization`, `oauth2`, `tls_config` and the proxy keys say: for clients, discovery and
//! Docker alike.
//!
//! Parts: [`Client`] (one server), [`check`] (settings that cannot be), [`tls`] (`tls_config`, for other protocols too), `oauth2` (tokens),
//! [`answer`] (bounded answers), [`encoded`], [`explained`]. Promises: secrets in files are read for every request; certificates are looked at for every
//! request and read when they changed or a request failed; a token that is not taken is asked for anew, once; no error text holds a secret or
//! a url. Limits: a connection is made within [`CONNECT_MAX`]. Must not do: try again when there is no answer.

pub mod answer;
pub mod check;
mod oauth2;
pub(crate) mod tls;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto_seam::{Disk, World};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Method, NoProxy, Proxy, Request, Response, StatusCode, Url};

use crate::settings::http::{HttpSettings, Secret};

/// Until a server must have taken a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Of a connection that nothing comes over.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Largest file of a secret, or of certificates.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
const USER_AGENT: &str = concat!("tributary-edge/", env!("CARGO_PKG_VERSION"));

/// One server, and how it is asked.
pub struct Client {
    settings: Arc<HttpSettings>,
    socket: Option<PathBuf>,
    world: World,
    made: Mutex<Option<Made>>,
    tokens: oauth2::Tokens,
}

struct Made {
    client: reqwest::Client,
    /// The files it was made of, as they were.
    files: tls::Seen,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Client {
    /// Over TCP, or over the Unix socket `socket`; connects with the first request.
    #[must_use]
    pub fn new(settings: HttpSettings, socket: Option<PathBuf>, world: &World) -> Self {
        Self { settings: Arc::new(settings), socket, world: world.clone(), made: Mutex::new(None), tokens: oauth2::Tokens::default() }
    }

    /// Asks for `url`, with more headers; `within` bounds the wait for the answer's head, not its body. An answer of any status is given.
    ///
    /// # Errors
    /// A text saying what is wrong: a file of the settings, the connection, the wait.
    pub async fn get(&self, url: &str, headers: &[(&'static str, String)], within: Duration) -> Result<Response, String> {
        let mut request = Request::new(Method::GET, url.parse::<Url>().map_err(|fault| format!("it is no url: {fault}"))?);
        for (name, value) in headers {
            request.headers_mut().insert(*name, header(value)?);
        }
        tokio::time::timeout(within, self.send(request)).await.map_err(|_| format!("no answer within {} s", within.as_secs()))?
    }

    /// Sends `request` with the credentials of the settings. An answer of any status is given.
    ///
    /// # Errors
    /// A text: there was no answer, or a file of the settings cannot be read.
    pub async fn send(&self, request: Request) -> Result<Response, String> {
        let again = self.settings.oauth2.as_ref().and_then(|_| request.try_clone());
        let (answer, token) = self.once(request).await?;
        match (token, again) {
            (Some(token), Some(again)) if answer.status() == StatusCode::UNAUTHORIZED => {
                self.tokens.forget(&token);
                Ok(self.once(again).await?.0)
            }
            _ => Ok(answer),
        }
    }

    /// The answer, and the token it was asked with.
    async fn once(&self, mut request: Request) -> Result<(Response, Option<String>), String> {
        let client = self.client().await?;
        let token = match &self.settings.oauth2 {
            Some(settings) => Some(self.tokens.token(settings, &self.world).await?),
            None => None,
        };
        request.headers_mut().extend(self.headers(token.as_deref()).await?);
        let answer = client.execute(request).await.map_err(|fault| explained(&fault));
        // Whatever it was, this machine may trust others the next time.
        Ok((answer.inspect_err(|_| *self.made() = None)?, token))
    }

    /// What the settings send along: who the edge is, by `token` or its own credentials, and `http_headers`.
    async fn headers(&self, token: Option<&str>) -> Result<HeaderMap, String> {
        let (settings, disk) = (Arc::clone(&self.settings), Arc::clone(&self.world.disk));
        let token = token.map(|token| format!("Bearer {token}"));
        let read = move || {
            let mut headers = HeaderMap::new();
            let who = if token.is_some() { token } else { who(&settings, disk.as_ref())? };
            if let Some(who) = who {
                headers.insert(AUTHORIZATION, header(&who)?);
            }
            for (name, sent) in &settings.http_headers {
                let name: HeaderName = name.parse().map_err(|_| format!("http_headers {name:?} is no name of a header"))?;
                for value in sent.values.iter().chain(&sent.secrets) {
                    headers.append(&name, header(value.expose())?);
                }
                for path in &sent.files {
                    headers.append(&name, header(&secret(None, Some(path), disk.as_ref())?)?);
                }
            }
            Ok(headers)
        };
        self.world.workers.run(read).await
    }

    async fn client(&self) -> Result<reqwest::Client, String> {
        let (settings, disk) = (Arc::clone(&self.settings), Arc::clone(&self.world.disk));
        let files = self.world.workers.run(move || tls::Seen::of(&settings.tls, disk.as_ref())).await;
        if let Some(made) = self.made().as_ref().filter(|made| made.files == files) {
            return Ok(made.client.clone());
        }
        let (settings, socket, disk) = (Arc::clone(&self.settings), self.socket.clone(), Arc::clone(&self.world.disk));
        let client = self.world.workers.run(move || made(&settings, socket, disk.as_ref())).await?;
        *self.made() = Some(Made { client: client.clone(), files });
        Ok(client)
    }

    fn made(&self) -> MutexGuard<'_, Option<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What user and password, or credentials, say of the edge. Blocks.
fn who(settings: &HttpSettings, disk: &dyn Disk) -> Result<Option<String>, String> {
    if let Some(basic) = &settings.basic_auth {
        let user = secret(Some(&Secret::new(basic.username.as_str())), basic.username_file.as_ref(), disk)?;
        let password = secret(Some(&basic.password), basic.password_file.as_ref(), disk)?;
        return Ok(Some(basic_text(&user, &password)));
    }
    let Some(own) = &settings.authorization else { return Ok(None) };
    Ok(Some(format!("{} {}", own.scheme, secret(own.credentials.as_ref(), own.credentials_file.as_ref(), disk)?)))
}

/// A fault with what caused it; its url may hold a secret and is left out.
pub(crate) fn explained(fault: &reqwest::Error) -> String {
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

/// As a value in a query.
#[must_use]
pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The header `Authorization` of a user and a password.
pub(crate) fn basic_text(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A header that logs do not show.
fn header(value: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(value).map_err(|_| "a secret or header of the settings has characters that no header may have".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// A secret in a file, or else in place. Blocks.
pub(crate) fn secret(text: Option<&Secret>, file: Option<&PathBuf>, disk: &dyn Disk) -> Result<String, String> {
    let Some(path) = file else { return Ok(text.map(|text| text.expose().to_owned()).unwrap_or_default()) };
    text_of(path, disk).map(|text| text.trim().to_owned())
}

/// The text in a file of the settings. Blocks.
pub(crate) fn text_of(path: &Path, disk: &dyn Disk) -> Result<String, String> {
    String::from_utf8(read(path, disk)?).map_err(|_| format!("{}: it is no text", path.display()))
}

fn read(path: &Path, disk: &dyn Disk) -> Result<Vec<u8>, String> {
    disk.read_all(path, FILE_BYTES_MAX).map_err(|fault| format!("{}: {fault}", path.display()))
}

/// A client without credentials. Blocks.
fn made(settings: &HttpSettings, socket: Option<PathBuf>, disk: &dyn Disk) -> Result<reqwest::Client, String> {
    let mut tls = tls::config(&settings.tls, disk)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let client = reqwest::Client::builder().user_agent(USER_AGENT).connect_timeout(CONNECT_MAX).tcp_keepalive(KEEPALIVE).tls_backend_preconfigured(tls);
    let client = client.redirect(if settings.follow_redirects { Policy::default() } else { Policy::none() });
    let client = match socket {
        Some(path) => client.unix_socket(path).no_proxy(),
        None => proxied(client, settings)?,
    };
    client.build().map_err(|fault| format!("no HTTP client can be made: {}", explained(&fault)))
}

fn proxied(client: ClientBuilder, settings: &HttpSettings) -> Result<ClientBuilder, String> {
    let Some(url) = settings.proxy_url.as_ref().filter(|url| !url.is_empty()) else {
        return Ok(if settings.proxy_from_environment { client } else { client.no_proxy() });
    };
    let mut headers = HeaderMap::new();
    for (name, value) in settings.proxy_connect_header.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value))) {
        let name: HeaderName = name.parse().map_err(|_| format!("proxy_connect_header {name:?} is no name of a header"))?;
        headers.append(name, header(value.expose())?);
    }
    let proxy = Proxy::all(url).map_err(|fault| format!("proxy_url: {}", explained(&fault)))?;
    Ok(client.proxy(proxy.no_proxy(settings.no_proxy.as_deref().and_then(NoProxy::from_string)).headers(headers)))
}

#[cfg(test)]
mod tests;
