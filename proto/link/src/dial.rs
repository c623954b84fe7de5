//! Dialling a hub: the trait, and what is dialled.
//!
//! Parts: [`Dial`]; [`Target`], one address of a hub, and [`Proxy`]; [`Targets`], a list tried in turn.
//! Promises: texts are checked whole when they are read; a proxy's password is in no `Debug` text or fault.
//! Must not do: sockets.

use std::fmt;

use async_trait::async_trait;
use http::Uri;

use crate::fault::LinkFault;
use crate::limits::HUB_PORT;
use crate::session::{Session, Transport};

/// Makes sessions. Implemented by [`crate::QuicClient`], [`crate::GrpcClient`], [`crate::DirectClient`] and, over the first two, [`crate::Auto`].
#[async_trait]
pub trait Dial: fmt::Debug + Send + Sync {
    /// A new session with `target`, made with the newest certificate: the hub has let us in when it stands.
    async fn dial(&self, target: &Target) -> Result<Session, LinkFault>;

    /// Waits until a session over a better transport than `current` stands with `target`; for ever when there is no better one.
    /// Keep the future for as long as the session with `current` lives: dropping it ends an attempt that may be under way.
    async fn better(&self, target: &Target, current: Transport) -> Session {
        let _ = (target, current);
        std::future::pending().await
    }
}

/// One address of a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name or address, without brackets.
    pub host: String,
    /// The same port for UDP and TCP.
    pub port: u16,
    /// The name that its certificate must carry.
    pub server_name: String,
    /// An HTTP proxy on the way; gRPC only.
    pub proxy: Option<Proxy>,
}

impl Target {
    /// Reads `https://HOST[:PORT]`. An empty `server_name` stands for HOST, an empty `proxy` for none.
    ///
    /// # Errors
    /// [`LinkFault::Target`].
    pub fn parse(url: &str, server_name: &str, proxy: &str) -> Result<Self, LinkFault> {
        let parts = Parts::of(url, "https")?;
        if parts.credentials.is_some() {
            return Err(unusable(url, "it holds a user name; the edge proves itself by certificate"));
        }
        let server_name = if server_name.is_empty() { parts.host.clone() } else { server_name.to_owned() };
        if rustls_pki_types::ServerName::try_from(server_name.as_str()).is_err() {
            return Err(unusable(url, &format!("its server name {server_name:?} is neither a dns name nor an ip address")));
        }
        let proxy = if proxy.is_empty() { None } else { Some(Proxy::parse(proxy)?) };
        Ok(Self { host: parts.host, port: parts.port.unwrap_or(HUB_PORT), server_name, proxy })
    }

    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())
    }
}

/// An HTTP proxy that connects us through.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `user:password`.
    pub(crate) credentials: Option<String>,
}

impl Proxy {
    /// Reads `http://[USER:PASSWORD@]HOST[:PORT]`; port 3128 when none is given.
    ///
    /// # Errors
    /// [`LinkFault::Target`].
    pub fn parse(url: &str) -> Result<Self, LinkFault> {
        let parts = Parts::of(url, "http")?;
        Ok(Self { host: parts.host, port: parts.port.unwrap_or(3128), credentials: parts.credentials })
    }

    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Addresses of hubs, tried in turn: the one that worked is kept, the next one follows a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    list: Vec<Target>,
    at: usize,
}

impl Targets {
    /// From the configured urls, in order.
    ///
    /// # Errors
    /// [`LinkFault::Target`] for the first that is not usable, or when there is none.
    pub fn parse(urls: &[String], server_name: &str, proxy: &str) -> Result<Self, LinkFault> {
        let list = urls.iter().map(|url| Target::parse(url, server_name, proxy)).collect::<Result<Vec<_>, _>>()?;
        if list.is_empty() {
            return Err(unusable("", "no url is given"));
        }
        Ok(Self { list, at: 0 })
    }

    /// The one to dial.
    #[must_use]
    pub fn current(&self) -> &Target {
        &self.list[self.at]
    }

    /// Goes to the next one, after a failure.
    pub fn advance(&mut self) {
        self.at = (self.at + 1) % self.list.len();
    }
}

struct Parts {
    host: String,
    port: Option<u16>,
    credentials: Option<String>,
}

impl Parts {
    fn of(url: &str, scheme: &str) -> Result<Self, LinkFault> {
        let uri: Uri = url.parse().map_err(|_| unusable(url, "it is no url"))?;
        if uri.scheme_str() != Some(scheme) {
            return Err(unusable(url, &format!("it does not begin with {scheme}://")));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(unusable(url, "it has a path"));
        }
        let authority = uri.authority().ok_or_else(|| unusable(url, "it has no host"))?;
        let (credentials, place) = authority.as_str().rsplit_once('@').map_or((None, authority.as_str()), |(who, place)| (Some(who.to_owned()), place));
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // `Uri` takes "host:" and "host:99999" for a host without port.
        let port = authority.port_u16();
        if host.is_empty() || (port.is_none() && !place.ends_with(authority.host())) || port == Some(0) {
            return Err(unusable(url, "its host or port is not valid"));
        }
        Ok(Self { host: host.to_owned(), port, credentials })
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A fault about `url`, without the credentials in it.
fn unusable(url: &str, reason: &str) -> LinkFault {
    let text = match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://...@{place}"),
        (None, Some((_, place))) => format!("...@{place}"),
        (_, None) => url.to_owned(),
    };
    LinkFault::Target { text, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
