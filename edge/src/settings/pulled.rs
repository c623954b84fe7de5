//! Targets that are asked for their lines and have a cursor of their own: the journal, Docker, Kafka.
//!
//! Parts: [`JournalSettings`], [`DockerSdSettings`], [`KafkaSettings`]. The defaults are Promtail's. Must not do: ask.

use std::path::PathBuf;
use std::time::Duration;

use proto_boot::Span;
use serde::Deserialize;

use super::http::{Secret, TlsSettings, with_http};
use super::labels::LabelsYaml;
use super::{Placed, span_of};

/// `journal`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalSettings {
    /// The line is the whole entry as JSON.
    pub json: bool,
    /// Older entries are not read where there is no cursor.
    pub max_age: Span,
    /// Folder of journal files; empty = the system's.
    pub path: PathBuf,
    /// Labels of every line.
    pub labels: LabelsYaml,
    /// `FIELD=value` by spaces: an entry must have each field with one of its values.
    pub matches: Option<Placed<String>>,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self { json: false, max_age: Span(Duration::from_secs(7 * 3600)), path: PathBuf::new(), labels: LabelsYaml::default(), matches: None }
    }
}

with_http! {
    /// One of `docker_sd_configs`
    pub struct DockerSdSettings {
        /// `unix:///var/run/docker.sock`, `tcp://HOST:PORT`, `http://...` or `https://...`.
        pub host: Placed<String>,
        /// Port of `__address__` where a container has none of its own.
        #[serde(default = "port")]
        pub port: u16,
        /// Between two looks.
        #[serde(default = "refresh")]
        pub refresh_interval: Span,
        /// Which containers, in Docker's words.
        #[serde(default)]
        pub filters: Vec<DockerFilter>,
        /// `__address__` of containers with the host's network.
        #[serde(default = "localhost")]
        pub host_networking_host: String,
        /// Only the first network of a container counts.
        #[serde(default)]
        pub match_first_network: Option<bool>,
    }
}

/// One of `filters`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerFilter {
    /// Such as `label`.
    pub name: String,
    /// One of these.
    pub values: Vec<String>,
}

/// `kafka`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSettings {
    /// `HOST:PORT`, at least one.
    pub brokers: Placed<Vec<String>>,
    /// Names; with `^` in front, expressions.
    pub topics: Placed<Vec<Placed<String>>>,
    /// The consumer group.
    #[serde(default = "group")]
    pub group_id: String,
    /// How partitions are shared within the group.
    #[serde(default)]
    pub assignor: KafkaAssignor,
    /// Oldest broker to be spoken to; without effect.
    #[serde(default)]
    pub version: Option<String>,
    /// How to authenticate.
    #[serde(default)]
    pub authentication: KafkaAuthentication,
    /// Labels of every line.
    #[serde(default)]
    pub labels: LabelsYaml,
    /// Keep the message's time instead of that of its arrival.
    #[serde(default)]
    pub use_incoming_timestamp: bool,
}

/// `assignor`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KafkaAssignor {
    /// Neighbouring partitions.
    #[default]
    Range,
    /// As few changes as can be.
    Sticky,
    /// In turn.
    RoundRobin,
}

/// `authentication`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaAuthentication {
    /// Which way.
    #[serde(rename = "type")]
    pub kind: KafkaAuthenticationKind,
    /// TLS, for `ssl`.
    pub tls_config: TlsSettings,
    /// User and password, for `sasl`.
    pub sasl_config: KafkaSasl,
}

impl KafkaAuthentication {
    /// TLS, if it is wanted.
    #[must_use]
    pub fn tls(&self) -> Option<TlsSettings> {
        let sasl = &self.sasl_config;
        match self.kind {
            KafkaAuthenticationKind::None => None,
            KafkaAuthenticationKind::Ssl => Some(self.tls_config.clone()),
            KafkaAuthenticationKind::Sasl => sasl.use_tls.then(|| TlsSettings {
                ca_file: sasl.ca_file.clone(),
                cert_file: sasl.cert_file.clone(),
                key_file: sasl.key_file.clone(),
                server_name: sasl.server_name.clone(),
                insecure_skip_verify: sasl.insecure_skip_verify,
                min_version: sasl.min_version.clone(),
                ..TlsSettings::default()
            }),
        }
    }
}

/// `authentication.type`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KafkaAuthenticationKind {
    /// None.
    #[default]
    None,
    /// A client certificate.
    Ssl,
    /// User and password.
    Sasl,
}

/// `sasl_config`: a user, and beside it the keys of TLS.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSasl {
    /// `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER`.
    pub mechanism: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// Over TLS.
    pub use_tls: bool,
    /// Settings of `OAUTHBEARER`: not supported.
    pub oauth_config: super::unused::Unused,
    /// Who may vouch for the broker.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate.
    pub cert_file: Option<PathBuf>,
    /// The client's key.
    pub key_file: Option<PathBuf>,
    /// Name in the broker's certificate.
    pub server_name: Option<String>,
    /// Believe any certificate.
    pub insecure_skip_verify: bool,
    /// `TLS10` to `TLS13`.
    pub min_version: Option<String>,
}

fn port() -> u16 {
    80
}

fn refresh() -> Span {
    span_of(60)
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn group() -> String {
    "promtail".to_owned()
}
