//! Servers that are asked over HTTP or DNS: `docker_sd_configs`, `http_sd_configs`, `consul_sd_configs`, `dns_sd_configs`.
//!
//! Promises: what cannot be done is refused by name. Must not do: ask.

use super::super::http::HttpSettings;
use super::super::pulled::DockerSdSettings;
use super::Checker;
use crate::discover::fetch::unsupported;
use crate::receive::DockerEndpoint;

impl Checker<'_> {
    /// The keys of an HTTP client; mistakes are told at `at`.
    pub(super) fn http(&mut self, key: &str, http: &HttpSettings, at: (u64, u64)) {
        self.contradiction(http.contradiction(), at);
        if let Some((what, fix)) = unsupported(http) {
            self.mistake_at(at, format!("{what} is not supported for {key}"), fix);
        }
    }

    /// One of `docker_sd_configs`.
    pub(super) fn docker(&mut self, docker: &DockerSdSettings, at: (u64, u64)) {
        let http = docker.http();
        self.http("docker_sd_configs", &http, at);
        if let Err(why) = DockerEndpoint::parse(&docker.host.value, &http) {
            self.mistake(&docker.host, why, "write unix:///var/run/docker.sock, tcp://HOST:PORT or https://HOST:PORT");
        }
        if docker.refresh_interval.0.is_zero() {
            self.mistake_at(at, "docker_sd_configs.refresh_interval is 0", "write 60s or so");
        }
    }
}
