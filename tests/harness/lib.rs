//! The verbs of a test: given a store, a hub, an edge; lines are written; a query answers.
//!
//! Parts: [`place`] (folders, ports, where the programs are), [`process`] (a child that dies with its
//! test), [`minio`] (a real object store), [`hub`], [`edge`], [`lines`] (writers of numbered lines and the
//! reckoning), [`ask`] (the Loki API as a client speaks it), [`relay`] (a TCP relay that can stop), [`gate`] (a
//! faulty way to the store), [`machine`] (loop disks, network namespaces, strace), [`skip`] (what a machine cannot do). For
//! simulations: [`world`] (trace and clocks), [`machines`] (what runs), [`disk`], [`objects`], [`net`] and [`quic`] (what fails, from a seed),
//! [`ledger`], [`oracle`] and [`invariants`] (what must hold).
//! Promises: everything runs on loopback, in folders of its own, and ends with the test: only processes
//! started here are ended, by id. Must not do: be imported by anything that ships.

pub mod ask;
pub mod cluster;
pub mod disk;
pub mod edge;
pub mod evaluator;
mod fields;
pub mod gate;
pub mod hub;
pub mod invariants;
pub mod ledger;
pub mod lines;
pub mod machine;
pub mod machines;
pub mod minio;
pub mod net;
pub mod objects;
pub mod oracle;
pub mod place;
pub mod process;
pub mod quic;
pub mod relay;
pub mod skip;
pub mod world;
