//! One fault each, at the moment where it hurts.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::swarm::Swarm;

#[test]
fn calm_water() {
    let mut cluster = Cluster::new(Swarm::calm(7));
    cluster.suffer().unwrap();
    cluster.heal();
    cluster.drain().unwrap();
    assert!(cluster.now() < Duration::from_secs(200), "{:?}", cluster.now());
}
