//! Both transports end to end, with certificates made in memory: on loopback, and over an in-memory network whose
//! time is paused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod close;
mod fallback;
mod frames;
mod interop;
mod memory;
mod network;
mod parts;
mod pressure;
mod trust;
