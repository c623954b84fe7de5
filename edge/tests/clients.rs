//! The program with `clients`: what a Loki gets from it, whatever it answers, and what becomes of the WAL meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::float_cmp,
    reason = "tests"
)]

#[path = "clients/answers.rs"]
mod answers;
#[path = "clients/credentials.rs"]
mod credentials;
#[path = "clients/delivery.rs"]
mod delivery;
#[path = "clients/figures.rs"]
mod figures;
#[path = "clients/loki.rs"]
mod loki;
#[path = "clients/program.rs"]
mod program;
#[path = "clients/stdin.rs"]
mod stdin;
