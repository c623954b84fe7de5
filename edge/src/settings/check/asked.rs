//! Servers that are asked over HTTP or DNS: `docker_sd_configs`, `http_sd_configs`, `consul_sd_configs`, `dns_sd_configs`.
//!
//! Promises: what cannot be done is refused by name. Must not do: ask.

use std::path::PathBuf;
use std::time::Duration;

use super::super::discovery::{ConsulSdSettings, DnsSdSettings, HttpSdSettings};
use super::super::http::{BasicAuth, HttpSettings};
use super::super::pulled::DockerSdSettings;
use super::Checker;
use crate::discover::consul::ConsulSd;
use crate::discover::dns::{DnsSd, Kind};
use crate::discover::http_sd::HttpSd;
use crate::http::check::{Unfit, check};
use crate::http::encoded;
use crate::receive::DockerEndpoint;

impl Checker<'_> {
    /// The keys of an HTTP client; mistakes are told at `at`.
    pub(super) fn http(&mut self, key: &str, http: &HttpSettings, at: (u64, u64)) {
        if let Err(Unfit { text, fix }) = check(http) {
            self.mistake_at(at, format!("{key}: {text}"), fix);
        }
    }

    /// One of `docker_sd_configs`.
    pub(super) fn docker(&mut self, docker: &DockerSdSettings, at: (u64, u64)) {
        let http = docker.http();
        self.http("docker_sd_configs", &http, at);
        if let Err(why) = DockerEndpoint::parse(&docker.host.value, &http) {
            self.mistake(&docker.host, why, "write unix:///var/run/docker.sock, tcp://HOST:PORT or https://HOST:PORT");
        }
        self.refreshed("docker_sd_configs", docker.refresh_interval.0, at);
    }

    /// One of `http_sd_configs`; `None` after a mistake.
    pub(super) fn http_sd(&mut self, written: &HttpSdSettings, at: (u64, u64)) -> Option<HttpSd> {
        let (before, http, url) = (self.mistakes.len(), written.http(), &written.url.value);
        self.http("http_sd_configs", &http, at);
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
            self.mistake(&written.url, format!("url {url:?} is no http:// or https:// url"), "write http://HOST:PORT/PATH");
        }
        self.refreshed("http_sd_configs", written.refresh_interval.0, at);
        (self.mistakes.len() == before).then(|| HttpSd { url: url.clone(), http, refresh: written.refresh_interval.0 })
    }

    /// One of `dns_sd_configs`; `None` after a mistake.
    pub(super) fn dns(&mut self, written: &DnsSdSettings, at: (u64, u64)) -> Option<DnsSd> {
        let before = self.mistakes.len();
        if written.names.value.is_empty() || written.names.value.iter().any(String::is_empty) {
            self.mistake(&written.names, "dns_sd_configs needs names", "name at least one, none of them empty");
        }
        let kind = Kind::named(&written.kind);
        if kind.is_none() {
            self.mistake_at(at, format!("dns_sd_configs.type {:?} is not known", written.kind), "write one of SRV, A, AAAA, MX, NS");
        }
        if kind.is_some_and(|kind| kind != Kind::Srv) && written.port.is_none() {
            self.mistake_at(at, "dns_sd_configs needs a port: only records of type SRV have one", "add port");
        }
        self.refreshed("dns_sd_configs", written.refresh_interval.0, at);
        let kind = kind.filter(|_| self.mistakes.len() == before)?;
        let (names, port) = (written.names.value.clone(), written.port.unwrap_or_default());
        Some(DnsSd { names, kind, port, refresh: written.refresh_interval.0, resolv_conf: PathBuf::from("/etc/resolv.conf") })
    }

    /// One of `consul_sd_configs`, or of `consulagent_sd_configs`; `None` after a mistake.
    pub(super) fn consul(&mut self, written: &ConsulSdSettings, is_agent: bool, at: (u64, u64)) -> Option<ConsulSd> {
        let before = self.mistakes.len();
        let key = if is_agent { "consulagent_sd_configs" } else { "consul_sd_configs" };
        let mut http = written.http();
        if !written.username.is_empty() {
            if http.basic_auth.is_some() || http.authorization.is_some() || http.oauth2.is_some() {
                self.mistake_at(at, format!("{key} has a username and another way to authenticate"), "keep one of them");
            }
            let (username, password) = (written.username.clone(), written.password.clone());
            http.basic_auth = Some(BasicAuth { username, password, ..BasicAuth::default() });
        }
        self.http(key, &http, at);
        let scheme = if written.scheme.is_empty() { "http" } else { written.scheme.as_str() };
        if !["http", "https"].contains(&scheme) {
            self.mistake_at(at, format!("{key}.scheme {scheme:?} is not known"), "write http or https");
        }
        if written.server.trim().is_empty() || written.server.contains("://") {
            self.mistake_at(at, format!("{key}.server {:?} is no HOST:PORT", written.server), "write HOST:PORT, and https under scheme");
        }
        self.refreshed(key, written.refresh_interval.0, at);
        let prefix = written.path_prefix.trim_matches('/');
        let pairs = [("dc", &written.datacenter), ("ns", &written.namespace), ("partition", &written.partition)];
        let mut query: String = pairs.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("&{name}={}", encoded(value))).collect();
        if written.allow_stale {
            query.push_str("&stale=");
        }
        let node_meta = written.node_meta.iter().map(|(name, value)| format!("&node-meta={}", encoded(&format!("{name}:{value}")))).collect();
        let filter = if written.filter.is_empty() { String::new() } else { format!("&filter={}", encoded(&written.filter)) };
        (self.mistakes.len() == before).then(|| ConsulSd {
            is_agent,
            url: format!("{scheme}://{}{}{prefix}", written.server.trim(), if prefix.is_empty() { "" } else { "/" }),
            http,
            token: written.token.clone(),
            query,
            node_meta,
            filter,
            datacenter: written.datacenter.clone(),
            tag_separator: written.tag_separator.clone(),
            refresh: written.refresh_interval.0,
            services: written.services.clone(),
            tags: written.tags.clone(),
        })
    }

    fn refreshed(&mut self, key: &str, refresh: Duration, at: (u64, u64)) {
        if refresh.is_zero() {
            self.mistake_at(at, format!("{key}.refresh_interval is 0"), "write 30s or so");
        }
    }
}
