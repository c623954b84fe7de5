//! The limits of this crate, each with its reason.

use std::time::Duration;

/// Longest identity URI in bytes: SPIFFE's own limit.
pub const URI_BYTES_MAX: usize = 2048;

/// Longest trust domain in bytes: SPIFFE's own limit.
pub const TRUST_DOMAIN_BYTES_MAX: usize = 255;

/// Largest certificate or bundle file: some hundred corporate roots stay below it.
pub const CERTIFICATE_FILE_BYTES_MAX: usize = 1 << 20;

/// Largest key file: an RSA key of 16,384 bits in PEM is 13 KiB.
pub const KEY_FILE_BYTES_MAX: usize = 64 << 10;

/// Longest certificate chain or trust bundle, in certificates.
pub const CERTIFICATES_PER_FILE_MAX: usize = 256;

/// How often certificate files are read again: a replaced one is in use within this.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How far a new certificate's start lies in the past, for clocks that run behind.
pub const BACKDATE: Duration = Duration::from_secs(5 * 60);

/// Longest life of a certificate made here, in days: a century, well inside of what `Timestamp` holds.
pub const DAYS_MAX: u32 = 36_500;

/// Life of a CA certificate in days when none is given.
pub const CA_DAYS: u32 = 3_650;

/// Life of a hub's certificate in days when none is given.
pub const HUB_DAYS: u32 = 90;

/// Life of an edge's certificate in days when none is given.
pub const EDGE_DAYS: u32 = 30;

/// Most names in one hub certificate.
pub const HUB_NAMES_MAX: usize = 64;
