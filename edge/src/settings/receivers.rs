//! Targets that are sent to: syslog, Loki's push API, GELF as Promtail has them, OTLP and Fluent forward as it has not.
//!
//! Parts: [`SyslogSettings`], [`PushSettings`], [`GelfSettings`], [`OtlpSettings`], [`ForwardSettings`]. The defaults
//! are Promtail's. Must not do: listen.

use proto_boot::{Bytes, Span};
use serde::Deserialize;

use super::http::{Secret, TlsSettings};
use super::labels::{LabelsYaml, ListenAddress};
use super::server::{ListenTls, ServerSettings};
use super::{Placed, span_of};

/// `syslog`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyslogSettings {
    /// Where to listen.
    pub listen_address: ListenAddress,
    /// How messages come.
    #[serde(default)]
    pub listen_protocol: SyslogProtocol,
    /// Longest silence of a connection.
    #[serde(default = "idle")]
    pub idle_timeout: Span,
    /// Longest message, bytes.
    #[serde(default = "message")]
    pub max_message_length: Placed<u64>,
    /// Structured data becomes `__syslog_message_sd_<id>_<name>`.
    #[serde(default)]
    pub label_structured_data: bool,
    /// Labels of every line.
    #[serde(default)]
    pub labels: LabelsYaml,
    /// Keep the message's time instead of that of its arrival.
    #[serde(default)]
    pub use_incoming_timestamp: bool,
    /// The whole message is the line, not its text alone.
    #[serde(default)]
    pub use_rfc5424_message: bool,
    /// What messages look like.
    #[serde(default)]
    pub syslog_format: SyslogFormat,
    /// TLS of the listener; its CA is who may vouch for clients.
    #[serde(default)]
    pub tls_config: TlsSettings,
}

/// `listen_protocol`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogProtocol {
    /// Connections, octet counting or newline framing, TLS where there is a certificate.
    #[default]
    Tcp,
    /// A message is a datagram.
    Udp,
}

/// `syslog_format`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogFormat {
    /// The newer form.
    #[default]
    Rfc5424,
    /// The BSD form.
    Rfc3164,
}

/// `loki_push_api`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushSettings {
    /// Its own listener.
    #[serde(default)]
    pub server: ServerSettings,
    /// Labels of every line.
    #[serde(default)]
    pub labels: LabelsYaml,
    /// Keep the sender's times instead of that of the arrival.
    #[serde(default)]
    pub use_incoming_timestamp: bool,
    /// Ours: who may push, by user and password; absent = anyone.
    #[serde(default)]
    pub basic_auth: Option<ReceiverUser>,
}

/// User and password that a receiver asks for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverUser {
    /// The user.
    pub username: String,
    /// The password.
    #[serde(default)]
    pub password: Secret,
    /// A file that holds the password.
    #[serde(default)]
    pub password_file: Option<std::path::PathBuf>,
}

/// `gelf`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GelfSettings {
    /// Where to listen, UDP.
    #[serde(default = "gelf")]
    pub listen_address: ListenAddress,
    /// Labels of every line.
    #[serde(default)]
    pub labels: LabelsYaml,
    /// Keep the message's time instead of that of its arrival.
    #[serde(default)]
    pub use_incoming_timestamp: bool,
}

/// `otlp`: OpenTelemetry logs; not Promtail's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpSettings {
    /// Where to listen for HTTP (`/v1/logs`, protobuf and JSON); absent = not.
    #[serde(default)]
    pub http_listen_address: Option<ListenAddress>,
    /// Where to listen for gRPC; absent = not. At least one of the two must be there.
    #[serde(default)]
    pub grpc_listen_address: Option<ListenAddress>,
    /// TLS of both listeners.
    #[serde(default)]
    pub tls_config: Option<ListenTls>,
    /// Labels of every line.
    #[serde(default)]
    pub labels: LabelsYaml,
    /// Resource attributes that become labels, dots as underscores; the others become metadata. Absent = Loki's list.
    #[serde(default)]
    pub index_attributes: Option<Vec<String>>,
    /// Keep the record's time; it is there in any case as it was sent.
    #[serde(default = "super::yes")]
    pub use_incoming_timestamp: bool,
    /// Largest request, bytes unpacked.
    #[serde(default = "request")]
    pub max_request_size: Bytes,
    /// Who may send, by user and password; absent = anyone.
    #[serde(default)]
    pub basic_auth: Option<ReceiverUser>,
}

/// `forward`: Fluent Bit's and Fluentd's protocol; not Promtail's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardSettings {
    /// Where to listen, TCP (and UDP for heartbeats).
    #[serde(default = "forward")]
    pub listen_address: ListenAddress,
    /// TLS of the listener; its CA is who may vouch for clients.
    #[serde(default)]
    pub tls_config: TlsSettings,
    /// The protocol's shared key; absent = none is asked for.
    #[serde(default)]
    pub shared_key: Option<Secret>,
    /// Name told to senders in the handshake; empty = the host's.
    #[serde(default)]
    pub self_hostname: String,
    /// Labels of every line.
    #[serde(default)]
    pub labels: LabelsYaml,
    /// Keep the event's time instead of that of its arrival.
    #[serde(default = "super::yes")]
    pub use_incoming_timestamp: bool,
    /// Key of the record that is the line; the others become metadata. Absent or not there: the whole record as JSON.
    #[serde(default)]
    pub message_key: Option<String>,
    /// Longest silence of a connection.
    #[serde(default = "idle")]
    pub idle_timeout: Span,
    /// Largest message, bytes unpacked.
    #[serde(default = "request")]
    pub max_message_size: Bytes,
}

fn idle() -> Span {
    span_of(120)
}

fn message() -> Placed<u64> {
    super::unplaced(8192)
}

fn request() -> Bytes {
    Bytes(16 * 1024 * 1024)
}

fn gelf() -> ListenAddress {
    ListenAddress { host: String::new(), port: 12_201 }
}

fn forward() -> ListenAddress {
    ListenAddress { host: String::new(), port: 24_224 }
}
