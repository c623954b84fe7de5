//! Edge and hub in one seeded process: the real code on simulated network, disk, clock and object store.
//!
//! Parts: [`swarm`] (what a seed picks), [`hosts`] (the software), [`floor`] (what it runs on), [`cluster`] (driver and checks), [`seeds`] (many
//! seeds), [`directed`], [`holes`], [`sleepers`], [`copies`], [`deletes`], [`tracks`] (one fault each), [`planted`], [`determinism`]. How to use it: `docs/simulation.md`. Promises: a seed that
//! fails prints the line that runs it again. Must not do: wait for real time.

mod cluster;
mod copies;
mod deletes;
mod determinism;
mod directed;
mod floor;
mod holes;
mod hosts;
mod planted;
mod seeds;
mod sleepers;
mod swarm;
mod tracks;
