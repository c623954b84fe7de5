//! One of `clients`, checked: where it is, what it is called, what goes along with every request.
//!
//! Pure. Promises: its name stands for the same Loki after a restart, and holds no secret.
//! Must not do: read files, or connect.

use proto_model::Labels;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::check::{Unfit, check, unfit, url};
use crate::settings::ClientSettings;
use crate::settings::http::HttpSettings;

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

impl Target {
    /// Checks one client.
    ///
    /// # Errors
    /// [`Unfit`]: its url, headers, proxy or TLS settings cannot be used.
    pub fn new(settings: &ClientSettings) -> Result<Self, Unfit> {
        let url = url(&settings.url.value)
            .ok_or_else(|| Unfit { text: "a client's url is no http:// or https:// url".to_owned(), fix: "write http://HOST:PORT/loki/api/v1/push" })?;
        let http = settings.http();
        check(&http)?;
        if settings.timeout.0.is_zero() {
            return unfit("the client's timeout is 0", "write 10s or so");
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let (Ok(header), Ok(mut value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.expose())) else {
                return unfit(
                    format!("the client's header {name:?} cannot be sent"),
                    "write a name of letters, digits and -, and a value of visible characters",
                );
            };
            value.set_sensitive(true);
            headers.insert(header, value);
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

/// The same client has the same name, whatever its password is.
fn made_up(url: &Url, tenant: &str, labels: &Labels) -> String {
    let path = [url.scheme(), url.host_str().unwrap_or_default(), url.path(), url.query().unwrap_or_default(), tenant].join("\n");
    let whole = format!("{path}\n{}\n{labels}", url.port_or_known_default().unwrap_or_default());
    blake3::hash(whole.as_bytes()).to_hex()[..NAME_DIGITS].to_owned()
}

#[cfg(test)]
mod tests;
