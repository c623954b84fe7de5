//! What hosts run on: machines of our own with direct sessions, or turmoil with its sockets under real QUIC.
//!
//! Parts: [`Floor`], with the verbs both have. Only the first can freeze a host; the second holds what a frozen host would not send or take.
//! Promises: the same seed, the same order. Must not do: decide when what happens.

use std::sync::Arc;
use std::time::Duration;

use proto_link::{DirectNet, Side};
use proto_seam::Entropy;
use tests::machines::{Ended, Machines};

use crate::cluster::TICK;

/// Which way a link is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Both,
    ToHub,
    ToEdge,
}

pub enum Floor {
    Direct { machines: Machines, net: DirectNet },
    Sockets(Box<turmoil::Sim<'static>>),
}

/// The name of the direct link of an edge to a hub.
pub fn link(edge: &str, hub: &str) -> String {
    format!("{edge}>{hub}")
}

impl Floor {
    pub fn direct(entropy: &Entropy, latency_ms_max: u64) -> Self {
        let delays = entropy.fork("delays");
        let net = DirectNet::with_delay(Arc::new(move || Duration::from_millis(1 + delays.below(latency_ms_max))));
        Self::Direct { machines: Machines::new(entropy, TICK), net }
    }

    pub fn sockets(seed: u64, latency_ms_max: u64) -> Self {
        let mut builder = turmoil::Builder::new();
        builder.rng_seed(seed).tick_duration(TICK).simulation_duration(Duration::from_secs(10 * 86_400)).udp_capacity(8_192);
        builder.min_message_latency(Duration::from_millis(1)).max_message_latency(Duration::from_millis(latency_ms_max));
        Self::Sockets(Box::new(builder.build()))
    }

    pub fn net(&self) -> Option<DirectNet> {
        if let Self::Direct { net, .. } = self { Some(net.clone()) } else { None }
    }

    pub fn host<F: Future<Output = Ended> + 'static>(&mut self, name: &str, software: impl Fn() -> F + Clone + 'static) {
        match self {
            Self::Direct { machines, .. } => machines.host(name, software),
            Self::Sockets(sim) => sim.host(name, move || {
                let running = software();
                async move { running.await.map_err(Into::into) }
            }),
        }
    }

    pub fn elapsed(&self) -> Duration {
        match self {
            Self::Direct { machines, .. } => machines.elapsed(),
            Self::Sockets(sim) => sim.elapsed(),
        }
    }

    pub fn step(&mut self) -> Ended {
        match self {
            Self::Direct { machines, .. } => machines.step(),
            Self::Sockets(sim) => sim.step().map(drop).map_err(|fault| fault.to_string()),
        }
    }

    pub fn crash(&mut self, host: &str) {
        match self {
            Self::Direct { machines, .. } => machines.crash(host),
            Self::Sockets(sim) => sim.crash(host),
        }
    }

    pub fn start(&mut self, host: &str) {
        match self {
            Self::Direct { machines, .. } => machines.start(host),
            Self::Sockets(sim) => sim.bounce(host),
        }
    }

    pub fn is_running(&mut self, host: &str) -> bool {
        match self {
            Self::Direct { machines, .. } => machines.is_running(host),
            Self::Sockets(sim) => sim.is_host_running(host),
        }
    }

    /// Stops a host wherever it is; false when this floor cannot.
    pub fn freeze(&mut self, host: &str) -> bool {
        match self {
            Self::Direct { machines, .. } => {
                machines.freeze(host);
                true
            }
            Self::Sockets(_) => false,
        }
    }

    pub fn thaw(&mut self, host: &str) {
        if let Self::Direct { machines, .. } = self {
            machines.thaw(host);
        }
    }

    /// What goes between two hosts is lost.
    pub fn cut(&mut self, edge: &str, hub: &str, way: Way) {
        match (self, way) {
            (Self::Direct { net, .. }, Way::Both) => net.cut(&link(edge, hub)),
            // What is lost one way is sent again by every transport until it arrives.
            (Self::Direct { net, .. }, Way::ToHub) => net.pause_to(&link(edge, hub), Side::Hub),
            (Self::Direct { net, .. }, Way::ToEdge) => net.pause_to(&link(edge, hub), Side::Edge),
            (Self::Sockets(sim), Way::Both) => sim.partition(edge, hub),
            (Self::Sockets(sim), Way::ToHub) => sim.partition_oneway(edge, hub),
            (Self::Sockets(sim), Way::ToEdge) => sim.partition_oneway(hub, edge),
        }
    }

    /// What goes between two hosts waits.
    pub fn hold(&mut self, edge: &str, hub: &str) {
        match self {
            Self::Direct { net, .. } => net.pause(&link(edge, hub)),
            Self::Sockets(sim) => sim.hold(edge, hub),
        }
    }

    pub fn mend(&mut self, edge: &str, hub: &str) {
        match self {
            Self::Direct { net, .. } => net.mend(&link(edge, hub)),
            Self::Sockets(sim) => {
                sim.release(edge, hub);
                sim.repair(edge, hub);
            }
        }
    }
}
