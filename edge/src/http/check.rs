//! What of an HTTP client's settings cannot be, and what to write instead.
//!
//! Pure. Parts: [`check`], [`check_tls`], [`url`], [`Unfit`]. Must not do: read files, or connect.

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use crate::settings::http::{HttpSettings, TlsSettings};

/// Not for `http_headers`: the edge sets them, for each request.
const RESERVED: [&str; 6] = ["authorization", "host", "content-length", "content-type", "content-encoding", "user-agent"];

/// Why it cannot be, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub fix: &'static str,
}

pub(crate) fn unfit<T>(text: impl Into<String>, fix: &'static str) -> Result<T, Unfit> {
    Err(Unfit { text: text.into(), fix })
}

/// What is written, if it is a url of a server.
pub(crate) fn url(written: &str) -> Option<Url> {
    Url::parse(written).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty()))
}

/// # Errors
/// [`Unfit`]: two ways to authenticate, a proxy, TLS or `oauth2` that cannot be.
pub fn check(http: &HttpSettings) -> Result<(), Unfit> {
    if let Some(why) = http.contradiction() {
        return unfit(format!("there is {why}"), "keep one of them");
    }
    check_tls(&http.tls)?;
    if http.proxy_url.as_ref().is_some_and(|proxy| !proxy.is_empty() && url(proxy).is_none()) {
        return unfit("proxy_url is no http:// or https:// url", "write http://HOST:PORT");
    }
    for (name, values) in &http.proxy_connect_header {
        let fits = HeaderName::from_bytes(name.as_bytes()).is_ok() && values.iter().all(|value| HeaderValue::from_str(value.expose()).is_ok());
        if !fits {
            return unfit(format!("proxy_connect_header {name:?} cannot be sent"), "write a header's name and values of visible characters");
        }
    }
    for (name, sent) in &http.http_headers {
        let fits = HeaderName::from_bytes(name.as_bytes()).is_ok()
            && sent.values.iter().chain(&sent.secrets).all(|value| HeaderValue::from_str(value.expose()).is_ok());
        if !fits {
            return unfit(format!("http_headers {name:?} cannot be sent"), "write a header's name and values of visible characters");
        }
        if RESERVED.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return unfit(format!("http_headers {name:?} is set by the edge itself"), "take it out; basic_auth, authorization and oauth2 say who the edge is");
        }
    }
    let Some(oauth2) = &http.oauth2 else { return Ok(()) };
    if url(&oauth2.token_url).is_none() {
        return unfit("oauth2.token_url is no http:// or https:// url", "write https://HOST/PATH");
    }
    check(&oauth2.http())
}

/// # Errors
/// [`Unfit`]: a version that is not spoken, or half of a certificate and its key.
pub fn check_tls(tls: &TlsSettings) -> Result<(), Unfit> {
    for version in [&tls.min_version, &tls.max_version].into_iter().flatten() {
        if !["TLS10", "TLS11", "TLS12", "TLS13"].contains(&version.as_str()) {
            return unfit(format!("the TLS version {version:?} is not known"), "write TLS12 or TLS13");
        }
    }
    if tls.max_version.as_deref().is_some_and(|version| matches!(version, "TLS10" | "TLS11")) {
        return unfit("tls_config.max_version is older than TLS 1.2, which this edge does not speak", "write TLS12 or TLS13");
    }
    if (tls.min_version.as_deref(), tls.max_version.as_deref()) == (Some("TLS13"), Some("TLS12")) {
        return unfit("tls_config.min_version is newer than its max_version", "keep one of them");
    }
    if (tls.cert.is_some() || tls.cert_file.is_some()) != (tls.key.is_some() || tls.key_file.is_some()) {
        return unfit("tls_config has a certificate without its key, or a key without its certificate", "write both cert_file and key_file, or neither");
    }
    Ok(())
}
