//! Receivers before a whole edge: what senders send, byte for byte as they send it, what they are told, and what lies in the WAL.
//!
//! Sockets and time are real, the disk is simulated: `crash` takes from it what was not synced. One file for each protocol.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared with the tests crate, which uses other parts")]
#[path = "../../tests/harness/disk.rs"]
mod sim_disk;

mod receivers {
    pub(crate) mod budget;
    pub(crate) mod docker;
    pub(crate) mod forward;
    pub(crate) mod gelf;
    pub(crate) mod otlp;
    pub(crate) mod push;
    pub(crate) mod site;
    pub(crate) mod syslog;
}
