//! The limits of this crate, each with its reason.

use std::time::Duration;

/// Largest settings file: ten thousand tenants with a token each need 3 MiB.
pub const SETTINGS_BYTES_MAX: usize = 16 << 20;

/// Most nodes of a settings tree once aliases are expanded: an alias bomb ends here, a real file far below.
pub const SETTINGS_NODES_MAX: usize = 500_000;

/// Deepest nesting of a settings file: Promtail's deepest pipelines (match in match) stay below 30.
pub const SETTINGS_DEPTH_MAX: usize = 64;

/// Most mistakes reported at once; more would scroll the first one away.
pub const MISTAKES_MAX: usize = 100;

/// Most keys named in a fix.
pub const KNOWN_KEYS_SHOWN_MAX: usize = 24;

/// Longest piece of untrusted text in a mistake, in characters.
pub const QUOTED_CHARS_MAX: usize = 80;

/// Longest value of one field in our own log, in bytes; longer ones are cut with a mark.
pub const LOG_VALUE_BYTES_MAX: usize = 4096;

/// Warnings and errors of one place of the program that its log tells in a minute; the others are counted.
pub const LOG_WARNINGS_MAX: u32 = 10;

/// Most label sets of one metric; what comes after is counted under `_other`.
pub const SERIES_PER_METRIC_MAX: usize = 10_000;

/// How long a connection may take to send a request's head, and may idle between two requests.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest head of a request in bytes: Grafana's longest queries travel in the URL.
pub const HEADER_BYTES_MAX: usize = 256 << 10;

/// Most header fields of a request.
pub const HEADERS_MAX: usize = 128;

/// Connections served at once when nothing else is said; more wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 1024;

/// First pause after a failed accept; doubled up to [`ACCEPT_PAUSE_MAX`].
pub const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);

/// Longest pause after a failed accept (out of file descriptors, mostly).
pub const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long open connections may take to end once the stop signal came.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Environment variables looked at: more than any process has.
pub const ENVIRONMENT_MAX: usize = 10_000;
