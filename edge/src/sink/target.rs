//! One of `clients`, checked: where it is, what it is called, what goes along with every request.
//!
//! Pure. Parts: [`Target`], [`Unfit`]. Promises: its name stands for the same Loki after a restart, and holds no secret.
//! Must not do: read files, or connect.

use proto_model::Labels;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::settings::ClientSettings;
use crate::settings::http::{HttpSettings, Secret, TlsSettings};

/// Hex digits of a name that is made up.
const NAME_DIGITS: usize = 6;

/// A place that batches are pushed to.
#[derive(Debug, Clone)]
pub struct Target {
    /// As written.
    pub settings: ClientSettings,
    /// How it connects and who it says it is.
    pub http: HttpSettings,
    /// Its name in metrics and on pages: as written, or six hex digits of what it is.
    pub name: String,
    /// The url.
    pub url: Url,
    /// Host and port: a metric label.
    pub host: String,
    /// Headers of every request.
    pub headers: HeaderMap,
    /// Labels of every line that has none of that name.
    pub labels: Labels,
}

/// Why a client cannot be, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub fix: &'static str,
}

/// A header as it is sent; its value is not logged.
fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), Unfit> {
    let (Ok(header), Ok(mut value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.expose())) else {
        return unfit(format!("the client's header {name:?} cannot be sent"), "write a name of letters, digits and -, and a value of visible characters");
    };
    value.set_sensitive(true);
    Ok((header, value))
}

fn unfit<T>(text: impl Into<String>, fix: &'static str) -> Result<T, Unfit> {
    Err(Unfit { text: text.into(), fix })
}

impl Target {
    /// Checks one client.
    ///
    /// # Errors
    /// [`Unfit`]: its url, headers, proxy or TLS settings cannot be used.
    pub fn new(settings: &ClientSettings) -> Result<Self, Unfit> {
        let url = url(&settings.url.value)
            .ok_or_else(|| Unfit { text: "a client's url is no http:// or https:// url".to_owned(), fix: "write http://HOST:PORT/loki/api/v1/push" })?;
        let http = settings.http();
        if let Some(why) = http.contradiction() {
            return unfit(format!("the client has {why}"), "keep one of them");
        }
        check_http(&http)?;
        if settings.timeout.0.is_zero() {
            return unfit("the client's timeout is 0", "write 10s or so");
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let (name, value) = header(name, value)?;
            headers.insert(name, value);
        }
        for (name, more) in &http.http_headers {
            if !more.files.is_empty() {
                return unfit(
                    format!("the client's http_headers take {name:?} from a file, which is not supported"),
                    "write it under secrets; tokens have bearer_token_file",
                );
            }
            for value in more.values.iter().chain(&more.secrets) {
                let (name, value) = header(name, value)?;
                headers.append(name, value);
            }
        }
        if HeaderValue::from_str(&settings.tenant_id).is_err() {
            return unfit("the client's tenant_id cannot be sent as a header", "write visible characters");
        }
        let labels = settings.external_labels.labels();
        let host = url.port().map_or_else(String::new, |port| format!(":{port}"));
        let host = format!("{}{host}", url.host_str().unwrap_or_default());
        let name = settings.name.as_ref().map(|name| name.value.clone()).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| made_up(&url, &settings.tenant_id, &labels));
        Ok(Self { settings: settings.clone(), http, name, url, host, headers, labels })
    }

    /// 16 hex digits that stand for its name: the name itself may hold anything.
    #[must_use]
    pub fn key(&self) -> String {
        blake3::hash(self.name.as_bytes()).to_hex()[..16].to_owned()
    }
}

fn url(written: &str) -> Option<Url> {
    Url::parse(written).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty()))
}

/// The same client has the same name, whatever its password is.
fn made_up(url: &Url, tenant: &str, labels: &Labels) -> String {
    let path = [url.scheme(), url.host_str().unwrap_or_default(), url.path(), url.query().unwrap_or_default(), tenant].join("\n");
    let whole = format!("{path}\n{}\n{labels}", url.port_or_known_default().unwrap_or_default());
    blake3::hash(whole.as_bytes()).to_hex()[..NAME_DIGITS].to_owned()
}

fn check_http(http: &HttpSettings) -> Result<(), Unfit> {
    check_tls(&http.tls)?;
    check_proxy(http.proxy_url.as_deref())?;
    for (name, values) in &http.proxy_connect_header {
        let fits = HeaderName::from_bytes(name.as_bytes()).is_ok() && values.iter().all(|value| HeaderValue::from_str(value.expose()).is_ok());
        if !fits {
            return unfit(format!("the client's proxy_connect_header {name:?} cannot be sent"), "write a header's name and values of visible characters");
        }
    }
    let Some(oauth2) = &http.oauth2 else { return Ok(()) };
    if url(&oauth2.token_url).is_none() {
        return unfit("oauth2.token_url is no http:// or https:// url", "write https://HOST/PATH");
    }
    check_proxy(oauth2.proxy_url.as_deref())?;
    oauth2.tls_config.as_ref().map_or(Ok(()), check_tls)
}

fn check_proxy(proxy: Option<&str>) -> Result<(), Unfit> {
    match proxy.filter(|proxy| !proxy.is_empty()) {
        Some(proxy) if url(proxy).is_none() => unfit("the client's proxy_url is no http:// or https:// url", "write http://HOST:PORT"),
        Some(_) | None => Ok(()),
    }
}

fn check_tls(tls: &TlsSettings) -> Result<(), Unfit> {
    for version in [&tls.min_version, &tls.max_version].into_iter().flatten() {
        if !["TLS10", "TLS11", "TLS12", "TLS13"].contains(&version.as_str()) {
            return unfit(format!("the TLS version {version:?} is not known"), "write TLS12 or TLS13");
        }
    }
    if tls.max_version.as_deref().is_some_and(|version| matches!(version, "TLS10" | "TLS11")) {
        return unfit("tls_config.max_version is older than TLS 1.2, which this edge does not speak", "write TLS12 or TLS13");
    }
    let has_ca = tls.ca.is_some() || tls.ca_file.is_some();
    if tls.server_name.as_ref().is_some_and(|name| !name.is_empty()) && !has_ca && !tls.insecure_skip_verify {
        return unfit("tls_config.server_name without a ca_file is not supported", "name the certificate that may vouch for the server in ca_file");
    }
    if (tls.cert.is_some() || tls.cert_file.is_some()) != (tls.key.is_some() || tls.key_file.is_some()) {
        return unfit("tls_config has a certificate without its key, or a key without its certificate", "write both cert_file and key_file, or neither");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
