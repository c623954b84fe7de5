//! Promtail's command line: flags with one dash or two, `-flag=value` or `-flag value`, as Go reads them.
//!
//! Pure. Parts: [`take`] (takes Promtail's flags out of a command line), [`Flags`] (what they say), [`FLAGS`] (all of them).
//! A flag that is a setting becomes an override of the file's key, which is Promtail's precedence: default, file, flag.
//! Promises: what is no flag of Promtail's stays for the program's own parser; a flag without effect is told. Must not do: read files.

use proto_boot::Mistake;

use Meaning::{Effectless, Key, Mode, Switch};

/// What a flag does.
#[derive(Debug, Clone, Copy)]
pub enum Meaning {
    /// Sets this key of the file.
    Key(&'static str),
    /// Sets this key of the file, a boolean: no value means true.
    Switch(&'static str),
    /// Says what the program does: a boolean.
    Mode(fn(&mut Flags, bool)),
    /// Nothing, and why; the word says whether it takes a value.
    Effectless(bool, &'static str),
}

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Flags {
    /// `-config.file`: the first of them that is there is read.
    pub files: Vec<String>,
    /// `-config.expand-env`
    pub expand_env: bool,
    /// `-dry-run`
    pub dry_run: bool,
    /// `-inspect`
    pub inspect: bool,
    /// `-stdin`
    pub stdin: bool,
    /// `-check-syntax`
    pub check_syntax: bool,
    /// `-print-config-stderr`
    pub print_config: bool,
    /// `-log-config-reverse-order`
    pub log_config: bool,
    /// `-version`
    pub version: bool,
    /// Settings: dotted keys and values, for `proto_boot::settings::Layers::overrides`.
    pub overrides: Vec<(String, String)>,
    /// Flags without effect, each with the reason.
    pub remarks: Vec<String>,
}

const NO_GRPC: &str = "nothing listens for gRPC there";
const NO_CLUSTER: &str = "no cluster label is looked at";

/// Every flag of Promtail's but `-config.file`.
pub const FLAGS: &[(&str, Meaning)] = &[
    ("config.expand-env", Mode(|flags, on| flags.expand_env = on)),
    ("dry-run", Mode(|flags, on| flags.dry_run = on)),
    ("inspect", Mode(|flags, on| flags.inspect = on)),
    ("stdin", Mode(|flags, on| flags.stdin = on)),
    ("check-syntax", Mode(|flags, on| flags.check_syntax = on)),
    ("print-config-stderr", Mode(|flags, on| flags.print_config = on)),
    ("log-config-reverse-order", Mode(|flags, on| flags.log_config = on)),
    ("version", Mode(|flags, on| flags.version = on)),
    ("client.url", Key("client.url")),
    ("client.batch-wait", Key("client.batchwait")),
    ("client.batch-size-bytes", Key("client.batchsize")),
    ("client.min-backoff", Key("client.backoff_config.min_period")),
    ("client.max-backoff", Key("client.backoff_config.max_period")),
    ("client.max-retries", Key("client.backoff_config.max_retries")),
    ("client.timeout", Key("client.timeout")),
    ("client.tenant-id", Key("client.tenant_id")),
    ("client.drop-rate-limited-batches", Switch("client.drop_rate_limited_batches")),
    ("client.external-labels", Key("client.external_labels")),
    ("positions.file", Key("positions.filename")),
    ("positions.sync-period", Key("positions.sync_period")),
    ("positions.ignore-invalid-yaml", Switch("positions.ignore_invalid_yaml")),
    ("target.sync-period", Key("target_config.sync_period")),
    ("target.stdin", Switch(STDIN)),
    ("file-watch.min-poll-frequency", Key("global.file_watch_config.min_poll_frequency")),
    ("file-watch.max-poll-frequency", Key("global.file_watch_config.max_poll_frequency")),
    ("limit.readline-rate", Key("limits_config.readline_rate")),
    ("limit.readline-burst", Key("limits_config.readline_burst")),
    ("limit.readline-rate-enabled", Switch("limits_config.readline_rate_enabled")),
    ("limit.readline-rate-drop", Switch("limits_config.readline_rate_drop")),
    ("max-streams", Key("limits_config.max_streams")),
    ("max-line-size", Key("limits_config.max_line_size")),
    ("max-line-size-truncate", Switch("limits_config.max_line_size_truncate")),
    ("log.level", Key("server.log_level")),
    ("log.format", Key("server.log_format")),
    ("server.disable", Switch("server.disable")),
    ("server.profiling_enabled", Switch("server.profiling_enabled")),
    ("server.enable-runtime-reload", Switch("server.enable_runtime_reload")),
    ("server.health-check-target", Switch("server.health_check_target")),
    ("server.http-listen-address", Key("server.http_listen_address")),
    ("server.http-listen-network", Key("server.http_listen_network")),
    ("server.http-listen-port", Key("server.http_listen_port")),
    ("server.http-conn-limit", Key("server.http_listen_conn_limit")),
    ("server.http-read-timeout", Key("server.http_server_read_timeout")),
    ("server.http-read-header-timeout", Key("server.http_server_read_header_timeout")),
    ("server.http-write-timeout", Key("server.http_server_write_timeout")),
    ("server.http-idle-timeout", Key("server.http_server_idle_timeout")),
    ("server.http-log-closed-connections-without-response-enabled", Switch("server.http_log_closed_connections_without_response_enabled")),
    ("server.http-tls-cert-path", Key("server.http_tls_config.cert_file")),
    ("server.http-tls-key-path", Key("server.http_tls_config.key_file")),
    ("server.http-tls-client-auth", Key("server.http_tls_config.client_auth_type")),
    ("server.http-tls-ca-path", Key("server.http_tls_config.client_ca_file")),
    ("server.path-prefix", Key("server.http_path_prefix")),
    ("server.external-url", Key("server.external_url")),
    ("server.graceful-shutdown-timeout", Key("server.graceful_shutdown_timeout")),
    ("server.register-instrumentation", Switch("server.register_instrumentation")),
    ("server.report-grpc-codes-in-instrumentation-label-enabled", Switch("server.report_grpc_codes_in_instrumentation_label_enabled")),
    ("server.proxy-protocol-enabled", Switch("server.proxy_protocol_enabled")),
    ("server.tls-cipher-suites", Key("server.tls_cipher_suites")),
    ("server.tls-min-version", Key("server.tls_min_version")),
    ("server.log-source-ips-enabled", Switch("server.log_source_ips_enabled")),
    ("server.log-source-ips-full", Switch("server.log_source_ips_full")),
    ("server.log-source-ips-header", Key("server.log_source_ips_header")),
    ("server.log-source-ips-regex", Key("server.log_source_ips_regex")),
    ("server.log-request-headers", Switch("server.log_request_headers")),
    ("server.log-request-at-info-level-enabled", Switch("server.log_request_at_info_level_enabled")),
    ("server.log-request-headers-exclude-list", Key("server.log_request_exclude_headers_list")),
    ("server.grpc-listen-address", Key("server.grpc_listen_address")),
    ("server.grpc-listen-network", Key("server.grpc_listen_network")),
    ("server.grpc-listen-port", Key("server.grpc_listen_port")),
    ("server.grpc-conn-limit", Key("server.grpc_listen_conn_limit")),
    ("server.grpc-max-recv-msg-size-bytes", Key("server.grpc_server_max_recv_msg_size")),
    ("server.grpc-max-send-msg-size-bytes", Key("server.grpc_server_max_send_msg_size")),
    ("server.grpc-max-concurrent-streams", Key("server.grpc_server_max_concurrent_streams")),
    ("server.grpc-tls-cert-path", Effectless(true, NO_GRPC)),
    ("server.grpc-tls-key-path", Effectless(true, NO_GRPC)),
    ("server.grpc-tls-client-auth", Effectless(true, NO_GRPC)),
    ("server.grpc-tls-ca-path", Effectless(true, NO_GRPC)),
    ("server.grpc-collect-max-streams-by-conn", Effectless(false, NO_GRPC)),
    ("server.grpc.keepalive.max-connection-idle", Key("server.grpc_server_max_connection_idle")),
    ("server.grpc.keepalive.max-connection-age", Key("server.grpc_server_max_connection_age")),
    ("server.grpc.keepalive.max-connection-age-grace", Key("server.grpc_server_max_connection_age_grace")),
    ("server.grpc.keepalive.time", Key("server.grpc_server_keepalive_time")),
    ("server.grpc.keepalive.timeout", Key("server.grpc_server_keepalive_timeout")),
    ("server.grpc.keepalive.min-time-between-pings", Key("server.grpc_server_min_time_between_pings")),
    ("server.grpc.keepalive.ping-without-stream-allowed", Switch("server.grpc_server_ping_without_stream_allowed")),
    ("server.grpc.num-workers", Key("server.grpc_server_num_workers")),
    ("server.grpc.stats-tracking-enabled", Switch("server.grpc_server_stats_tracking_enabled")),
    ("server.grpc.recv-buffer-pools-enabled", Switch("server.grpc_server_recv_buffer_pools_enabled")),
    ("server.grpc.read-buffer-size-bytes", Key("server.grpc_server_read_buffer_size")),
    ("server.grpc.write-buffer-size-bytes", Key("server.grpc_server_write_buffer_size")),
    ("server.trace-request-headers", Switch("server.trace_request_headers")),
    ("server.trace-request-headers-exclude-list", Key("server.trace_request_exclude_headers_list")),
    ("server.create-new-traces", Switch("server.create_new_traces")),
    ("server.throughput.latency-cutoff", Effectless(true, "requests are not measured so")),
    ("server.throughput.unit", Effectless(true, "requests are not measured so")),
    ("server.cluster-validation.label", Effectless(true, NO_GRPC)),
    ("server.cluster-validation.additional-labels", Effectless(true, NO_GRPC)),
    ("server.cluster-validation.grpc.enabled", Effectless(false, NO_GRPC)),
    ("server.cluster-validation.grpc.soft-validation", Effectless(false, NO_GRPC)),
    ("server.cluster-validation.http.enabled", Effectless(false, NO_CLUSTER)),
    ("server.cluster-validation.http.soft-validation", Effectless(false, NO_CLUSTER)),
    ("server.cluster-validation.http.excluded-paths", Effectless(true, NO_CLUSTER)),
    ("server.cluster-validation.http.excluded-user-agents", Effectless(true, NO_CLUSTER)),
    ("tracing.enabled", Effectless(false, "this edge makes no traces")),
    ("client.stream-lag-labels", Effectless(true, "Promtail has removed it")),
];

/// The key that says the same as `-stdin`.
pub const STDIN: &str = "target_config.stdin";

/// Takes Promtail's flags out of `arguments` (without the program's name): the rest is the program's own.
///
/// # Errors
/// One mistake for each flag without a value, or with one that is no boolean.
pub fn take(arguments: impl IntoIterator<Item = String>) -> Result<(Vec<String>, Flags), Vec<Mistake>> {
    let (mut rest, mut flags, mut mistakes) = (Vec::new(), Flags::default(), Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            rest.push(argument);
            rest.extend(arguments);
            break;
        }
        let written = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')).unwrap_or_default();
        let (name, value) = written.split_once('=').map_or((written, None), |(name, value)| (name, Some(value.to_owned())));
        let known = FLAGS.iter().find(|(known, _)| *known == name);
        let wrong = |what: &str, fix: String| Mistake::new(format!("-{name}"), (0, 0), what, fix);
        let taken = match (known, name) {
            (None, "config.file") => {
                let files = value.or_else(|| arguments.next()).ok_or_else(|| wrong("the flag has no value", "write -config.file=FILE".to_owned()));
                files.map(|files| flags.files = files.split(',').map(str::to_owned).collect())
            }
            (None, _) => {
                rest.push(argument);
                continue;
            }
            (Some((_, meaning)), _) => {
                let value = if meaning.takes_value() { value.or_else(|| arguments.next()) } else { value.or_else(|| Some("true".to_owned())) };
                match value {
                    None => Err(wrong("the flag has no value", format!("write -{name}=VALUE"))),
                    Some(value) => flags.say(name, *meaning, value).map_err(|what| wrong(&what, meaning.form(name))),
                }
            }
        };
        mistakes.extend(taken.err());
    }
    if mistakes.is_empty() { Ok((rest, flags)) } else { Err(mistakes) }
}

impl Meaning {
    const fn takes_value(self) -> bool {
        matches!(self, Self::Key(_) | Self::Effectless(true, _))
    }

    /// How a value is written.
    fn form(self, name: &str) -> String {
        match self {
            Key(_) | Effectless(..) => format!("write -{name}=NAME=VALUE,NAME=VALUE"),
            Switch(_) | Mode(_) => format!("write -{name}=true or -{name}=false"),
        }
    }
}

impl Flags {
    /// Whether the standard input is read, by either flag: then there need not be a file.
    #[must_use]
    pub fn reads_stdin(&self) -> bool {
        let told = self.overrides.iter().rfind(|(key, _)| key == STDIN);
        self.stdin || told.is_some_and(|(_, value)| value == "true")
    }

    fn say(&mut self, name: &str, meaning: Meaning, value: String) -> Result<(), String> {
        match meaning {
            Key("client.external_labels") => self.overrides.push(("client.external_labels".to_owned(), labels(&value)?)),
            Key(key) => self.overrides.push((key.to_owned(), value)),
            Switch(key) => self.overrides.push((key.to_owned(), boolean(&value)?.to_string())),
            Mode(set) => set(self, boolean(&value)?),
            Effectless(_, why) => self.remarks.push(format!("-{name} has no effect: {why}")),
        }
        Ok(())
    }
}

/// Go's booleans.
fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(format!("{other:?} is no boolean")),
    }
}

/// `a=b,c=d` as a map of YAML's.
fn labels(value: &str) -> Result<String, String> {
    let mut map = serde_json::Map::new();
    for pair in value.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is no label: it has no ="))?;
        map.insert(name.trim().to_owned(), value.into());
    }
    Ok(serde_json::Value::Object(map).to_string())
}

#[cfg(test)]
mod tests;
