//! `server`: the edge's own pages, and the listeners of targets that are pushed to.
//!
//! Parts: [`ServerSettings`], [`ListenTls`]. What only Promtail's gRPC server, its tracing and its request log need is
//! accepted and has no effect. Must not do: listen.

use std::path::PathBuf;

use proto_boot::Span;
use proto_boot::telemetry::{LogFormat, LogLevel};
use serde::Deserialize;

use super::http::{Secret, TlsSettings};
use super::unused::{Without, with_unused};
use super::{Placed, span_of};

const NO_GRPC: &str = "nothing listens for gRPC there";
const HELD: &str = "a connection that keeps others waiting is closed after some seconds";
const NO_LOG: &str = "requests are not logged";

with_unused! {
    /// `server`
    pub struct ServerSettings {
        /// Serve no pages.
        pub disable: bool = false,
        /// Address of the pages; empty = every address.
        pub http_listen_address: String = String::new(),
        /// Port of the pages; 0 = any.
        pub http_listen_port: u16 = 80,
        /// TLS of a receiver's listener; the edge's own pages are plain.
        pub http_tls_config: Option<ListenTls> = None,
        /// What every path begins with.
        pub http_path_prefix: String = String::new(),
        /// `debug`, `info`, `warn`, `error`.
        pub log_level: LogLevel = LogLevel::default(),
        /// `logfmt` or `json`.
        pub log_format: LogFormat = LogFormat::Logfmt,
        /// `/ready` depends on files having been searched for.
        pub health_check_target: bool = true,
        /// Serve `/reload`.
        pub enable_runtime_reload: bool = false,
        /// Serve `/metrics`.
        pub register_instrumentation: bool = true,
        /// Longest wait for open requests and last lines at the end.
        pub graceful_shutdown_timeout: Span = span_of(30),
        /// Most connections; 0 = no limit of its own.
        pub http_listen_conn_limit: u64 = 0,
        /// Promtail's gRPC port: nothing listens there; 0, which means any port, is passed over in silence.
        pub grpc_listen_port: Option<Placed<u16>> = None,
        unused {
            external_url: "pages hold no absolute links",
            http_server_read_timeout: HELD,
            http_server_write_timeout: HELD,
            http_server_idle_timeout: HELD,
            grpc_listen_address: NO_GRPC,
            grpc_server_max_recv_msg_size: NO_GRPC,
            profiling_enabled: "there is no profiler in it",
            grpc_server_max_send_msg_size: NO_GRPC,
            grpc_server_max_concurrent_streams: NO_GRPC,
            grpc_server_max_connection_idle: NO_GRPC,
            grpc_server_max_connection_age: NO_GRPC,
            grpc_server_max_connection_age_grace: NO_GRPC,
            grpc_server_keepalive_time: NO_GRPC,
            grpc_server_keepalive_timeout: NO_GRPC,
            grpc_server_min_time_between_pings: NO_GRPC,
            grpc_server_ping_without_stream_allowed: NO_GRPC,
            grpc_server_num_workers: NO_GRPC,
            grpc_server_stats_tracking_enabled: NO_GRPC,
            grpc_server_recv_buffer_pools_enabled: NO_GRPC,
            grpc_server_read_buffer_size: NO_GRPC,
            grpc_server_write_buffer_size: NO_GRPC,
            grpc_listen_network: NO_GRPC,
            grpc_listen_conn_limit: NO_GRPC,
            grpc_collect_max_streams_by_conn: NO_GRPC,
            grpc_tls_config: NO_GRPC,
            http_listen_network: "the address says which network is meant",
            http_server_read_header_timeout: "a request's head has 10s",
            http_log_closed_connections_without_response_enabled: NO_LOG,
            report_grpc_codes_in_instrumentation_label_enabled: NO_GRPC,
            proxy_protocol_enabled: "the PROXY protocol is not spoken",
            tls_cipher_suites: "the TLS library chooses, TLS 1.2 and 1.3 only",
            tls_min_version: "TLS 1.2 and 1.3 only",
            log_source_ips_enabled: NO_LOG,
            log_source_ips_full: NO_LOG,
            log_source_ips_header: NO_LOG,
            log_source_ips_regex: NO_LOG,
            log_request_headers: NO_LOG,
            log_request_at_info_level_enabled: NO_LOG,
            log_request_exclude_headers_list: NO_LOG,
            trace_request_headers: NO_LOG,
            trace_request_exclude_headers_list: NO_LOG,
            cluster_validation: NO_GRPC,
            create_new_traces: NO_LOG,
        }
    }
}

impl ServerSettings {
    /// Its keys that are there and have no effect.
    #[must_use]
    pub fn without_effect(&self) -> Vec<Without> {
        let port = self.grpc_listen_port.as_ref().filter(|port| port.value != 0);
        let port = port.map(|port| Without { key: "grpc_listen_port", why: NO_GRPC, at: proto_boot::settings::place(port) });
        self.unused().into_iter().chain(port).collect()
    }
}

/// TLS of a listener.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenTls {
    /// The server's certificate, PEM.
    pub cert: Option<String>,
    /// The same in a file.
    pub cert_file: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<Secret>,
    /// The same in a file.
    pub key_file: Option<PathBuf>,
    /// Go's words: `NoClientCert`, `RequestClientCert`, `RequireAnyClientCert`, `VerifyClientCertIfGiven`,
    /// `RequireAndVerifyClientCert`; empty = the last where there is a `client_ca`, else the first.
    pub client_auth_type: String,
    /// Who may vouch for clients, PEM.
    pub client_ca: Option<String>,
    /// The same in a file.
    pub client_ca_file: Option<PathBuf>,
}

/// `tls_config` of a receiver that is no HTTP server (syslog, forward): its CA is who may vouch for clients.
impl From<&TlsSettings> for ListenTls {
    fn from(tls: &TlsSettings) -> Self {
        Self {
            cert: tls.cert.clone(),
            cert_file: tls.cert_file.clone(),
            key: tls.key.clone(),
            key_file: tls.key_file.clone(),
            client_auth_type: String::new(),
            client_ca: tls.ca.clone(),
            client_ca_file: tls.ca_file.clone(),
        }
    }
}
