//! How Promtail writes an HTTP client: authentication, proxy and TLS, the same keys wherever one is made.
//!
//! Parts: [`HttpSettings`] (all of it, put together), its blocks [`BasicAuth`], [`Authorization`], [`OAuth2`],
//! [`TlsSettings`], [`Secret`] (text that is never printed), and `with_http!`, which writes a settings struct whose
//! own keys stand beside those of the client. Must not do: read the files that are named.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

/// A password or token: its text is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// From its text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the request that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// `basic_auth`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// A file that holds the user.
    pub username_file: Option<PathBuf>,
    /// The password.
    pub password: Secret,
    /// A file that holds the password; read anew for every request.
    pub password_file: Option<PathBuf>,
}

/// `authorization`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authorization {
    /// First word of the header.
    #[serde(rename = "type")]
    pub scheme: String,
    /// The rest.
    pub credentials: Option<Secret>,
    /// A file that holds the rest.
    pub credentials_file: Option<PathBuf>,
}

impl Default for Authorization {
    fn default() -> Self {
        Self { scheme: "Bearer".to_owned(), credentials: None, credentials_file: None }
    }
}

/// `oauth2`: client credentials.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth2 {
    /// The client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Option<Secret>,
    /// A file that holds its secret.
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Where tokens are made.
    pub token_url: String,
    /// Further parameters of the token request.
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS of the token request.
    pub tls_config: Option<TlsSettings>,
    /// Proxy of the token request.
    pub proxy_url: Option<String>,
    /// Hosts that need no proxy, by commas.
    pub no_proxy: Option<String>,
    /// Take the proxy from the environment.
    pub proxy_from_environment: bool,
    /// Headers for the proxy.
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

/// `tls_config`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// Who may vouch for the server, PEM.
    pub ca: Option<String>,
    /// The same in a file.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate, PEM.
    pub cert: Option<String>,
    /// The same in a file.
    pub cert_file: Option<PathBuf>,
    /// The client's key, PEM.
    pub key: Option<Secret>,
    /// The same in a file.
    pub key_file: Option<PathBuf>,
    /// Name in the server's certificate, if not the host of the url.
    pub server_name: Option<String>,
    /// Believe any certificate.
    pub insecure_skip_verify: bool,
    /// `TLS10` to `TLS13`.
    pub min_version: Option<String>,
    /// `TLS10` to `TLS13`.
    pub max_version: Option<String>,
}

/// One of `http_headers`: what is sent under a name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderValues {
    /// Texts.
    pub values: Vec<Secret>,
    /// Texts that are secret.
    pub secrets: Vec<Secret>,
    /// Files that hold them.
    pub files: Vec<PathBuf>,
}

impl OAuth2 {
    /// The HTTP client of token requests.
    #[must_use]
    pub fn http(&self) -> HttpSettings {
        HttpSettings {
            tls: self.tls_config.clone().unwrap_or_default(),
            proxy_url: self.proxy_url.clone(),
            no_proxy: self.no_proxy.clone(),
            proxy_from_environment: self.proxy_from_environment,
            proxy_connect_header: self.proxy_connect_header.clone(),
            ..HttpSettings::default()
        }
    }
}

/// An HTTP client as written; at most one way to authenticate is set once `check` has passed.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// User and password.
    pub basic_auth: Option<BasicAuth>,
    /// The header `Authorization`.
    pub authorization: Option<Authorization>,
    /// Tokens by client credentials.
    pub oauth2: Option<OAuth2>,
    /// TLS.
    pub tls: TlsSettings,
    /// A proxy.
    pub proxy_url: Option<String>,
    /// Hosts that need none, by commas.
    pub no_proxy: Option<String>,
    /// Take the proxy from the environment.
    pub proxy_from_environment: bool,
    /// Headers for the proxy.
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    /// Follow redirects.
    pub follow_redirects: bool,
    /// Offer HTTP/2.
    pub enable_http2: bool,
    /// Headers of every request.
    pub http_headers: BTreeMap<String, HeaderValues>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            tls: TlsSettings::default(),
            proxy_url: None,
            no_proxy: None,
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
            follow_redirects: true,
            enable_http2: true,
            http_headers: BTreeMap::new(),
        }
    }
}

impl HttpSettings {
    /// Why it cannot be: more than one way to authenticate, or a secret given twice.
    #[must_use]
    pub fn contradiction(&self) -> Option<&'static str> {
        let ways = [self.basic_auth.is_some(), self.authorization.is_some(), self.oauth2.is_some()].into_iter().filter(|way| *way).count();
        let twice = self.basic_auth.as_ref().is_some_and(|basic| !basic.password.expose().is_empty() && basic.password_file.is_some())
            || self.authorization.as_ref().is_some_and(|own| own.credentials.is_some() && own.credentials_file.is_some())
            || self.oauth2.as_ref().is_some_and(|own| own.client_secret.is_some() && own.client_secret_file.is_some());
        if ways > 1 {
            return Some("more than one of basic_auth, authorization, bearer_token and oauth2");
        }
        twice.then_some("a secret both in place and in a file")
    }
}

/// Keeps `bearer_token` and `bearer_token_file` as what they stand for.
pub(super) fn bearer(own: Option<&Authorization>, token: Option<&Secret>, file: Option<&PathBuf>) -> Option<Authorization> {
    if own.is_some() || (token.is_none() && file.is_none()) {
        return own.cloned();
    }
    Some(Authorization { credentials: token.cloned(), credentials_file: file.cloned(), ..Authorization::default() })
}

/// Writes a settings struct: its own keys, and those of an HTTP client beside them.
macro_rules! with_http {
    ($(#[$outer:meta])* pub struct $name:ident { $($(#[$inner:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$inner])* pub $field: $type,)*
            #[serde(default)]
            basic_auth: Option<$crate::settings::http::BasicAuth>,
            #[serde(default)]
            authorization: Option<$crate::settings::http::Authorization>,
            #[serde(default)]
            oauth2: Option<$crate::settings::http::OAuth2>,
            #[serde(default)]
            bearer_token: Option<$crate::settings::http::Secret>,
            #[serde(default)]
            bearer_token_file: Option<std::path::PathBuf>,
            #[serde(default)]
            tls_config: $crate::settings::http::TlsSettings,
            #[serde(default)]
            proxy_url: Option<String>,
            #[serde(default)]
            no_proxy: Option<String>,
            #[serde(default)]
            proxy_from_environment: bool,
            #[serde(default)]
            proxy_connect_header: std::collections::BTreeMap<String, Vec<$crate::settings::http::Secret>>,
            #[serde(default = "crate::settings::yes")]
            follow_redirects: bool,
            #[serde(default = "crate::settings::yes")]
            enable_http2: bool,
            #[serde(default)]
            http_headers: std::collections::BTreeMap<String, $crate::settings::http::HeaderValues>,
        }

        impl $name {
            /// Its HTTP client.
            #[must_use]
            pub fn http(&self) -> $crate::settings::http::HttpSettings {
                $crate::settings::http::HttpSettings {
                    basic_auth: self.basic_auth.clone(),
                    authorization: $crate::settings::http::bearer(self.authorization.as_ref(), self.bearer_token.as_ref(), self.bearer_token_file.as_ref()),
                    oauth2: self.oauth2.clone(),
                    tls: self.tls_config.clone(),
                    proxy_url: self.proxy_url.clone(),
                    no_proxy: self.no_proxy.clone(),
                    proxy_from_environment: self.proxy_from_environment,
                    proxy_connect_header: self.proxy_connect_header.clone(),
                    follow_redirects: self.follow_redirects,
                    enable_http2: self.enable_http2,
                    http_headers: self.http_headers.clone(),
                }
            }
        }
    };
}
pub(super) use with_http;
