//! The bytes that edge and hub agree on: session messages, frozen batches, Loki's push request.
//!
//! Parts: [`edge_hub`] (generated from `edge_hub.proto`), [`batch`] (records <-> frozen batch, the one
//! place), [`digest`] (D and C), [`version`] (who may talk to whom), [`push`] (Loki's push bodies).
//! Formats: `docs/formats/wire.md`, `docs/formats/batch.md`.
//! Promises: decoding never panics, never allocates more than the limits in [`limits`] allow, and gives
//! each batch a fresh buffer (a reused one could show one tenant another's lines).
//! Must not do: sockets, time, files.

pub mod batch;
pub mod digest;
pub mod fault;
pub mod limits;
pub mod otlp;
pub mod push;
pub mod varint;
pub mod version;

/// Messages of a session, generated from `edge_hub.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::wildcard_enum_match_arm,
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    clippy::use_self,
    clippy::let_underscore_must_use
)]
pub mod edge_hub {
    tonic::include_proto!("tributary.v1");
}

/// Loki's push messages, generated from `push.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::use_self)]
pub mod logproto {
    tonic::include_proto!("logproto");
}

/// OTLP's log messages, generated from `otlp.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::use_self)]
pub mod otlp_messages {
    tonic::include_proto!("otlp");
}

pub use batch::{BatchBuilder, BatchView, Compression, FrozenBatch, Payload};
pub use fault::WireFault;
