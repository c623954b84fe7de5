//! The label sets of containers, by Prometheus' names.
//!
//! Pure. Parts: [`Container`] and [`Network`] (what the API says of them), [`sets`]. A container has a label set for each of its networks and
//! TCP ports; of those the first that the rules keep counts. Limits: [`LABELS_MAX`] labels of a container or network. Must not do: ask.

use std::collections::BTreeMap;

use proto_model::Labels;
use serde::Deserialize;

use super::Asked;
use crate::discover::kube::labels::{clean, join};

/// Labels of one container or network that count.
const LABELS_MAX: usize = 256;
const PREFIX: &str = "__meta_docker_";

/// One of `/containers/json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) names: Option<Vec<String>>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    /// `running`, `exited`, ...
    pub(super) state: String,
    /// When it was made, seconds since 1970.
    pub(super) created: i64,
    pub(super) host_config: HostConfig,
    pub(super) network_settings: NetworkSettings,
    pub(super) ports: Option<Vec<Port>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HostConfig {
    pub(super) network_mode: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NetworkSettings {
    pub(super) networks: Option<BTreeMap<String, Option<Endpoint>>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Endpoint {
    #[serde(rename = "NetworkID")]
    network: String,
    #[serde(rename = "IPAddress")]
    ip: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Port {
    #[serde(rename = "IP")]
    ip: String,
    #[serde(rename = "PrivatePort")]
    private: u16,
    #[serde(rename = "PublicPort")]
    public: u16,
    #[serde(rename = "Type")]
    kind: String,
}

impl Container {
    /// Its name, with the slash that Docker puts before it.
    pub(super) fn name(&self) -> &str {
        self.names.iter().flatten().next().map_or("", String::as_str)
    }
}

/// One of `/networks`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Network {
    id: String,
    name: String,
    scope: String,
    internal: bool,
    ingress: bool,
    labels: Option<BTreeMap<String, String>>,
}

/// The label sets of one container among `all`, without the stream's.
pub(super) fn sets(container: &Container, all: &BTreeMap<&str, &Container>, networks: &[Network], asked: &Asked) -> Vec<Labels> {
    let Some(name) = container.names.iter().flatten().next() else { return Vec::new() };
    let mut common = Labels::from_pairs([
        ("__meta_docker_container_id", container.id.as_str()),
        ("__meta_docker_container_name", name),
        ("__meta_docker_container_network_mode", &container.host_config.network_mode),
    ]);
    put(&mut common, "container_label_", container.labels.as_ref());
    let mut out = Vec::new();
    let attached = attached(container, all);
    let count = if asked.match_first_network { 1 } else { usize::MAX };
    for endpoint in attached.into_iter().flat_map(BTreeMap::values).flatten().take(count) {
        let mut labels = common.clone();
        labels.set(format!("{PREFIX}network_ip"), endpoint.ip.as_str());
        if let Some(network) = networks.iter().find(|network| network.id == endpoint.network) {
            put_network(&mut labels, network);
        }
        let before = out.len();
        for port in container.ports.iter().flatten().filter(|port| port.kind == "tcp") {
            let mut labels = labels.clone();
            labels.set(format!("{PREFIX}port_private"), port.private.to_string());
            if port.public > 0 {
                labels.set(format!("{PREFIX}port_public"), port.public.to_string());
                labels.set(format!("{PREFIX}port_public_ip"), port.ip.as_str());
            }
            labels.set("__address__", join(&endpoint.ip, i32::from(port.private)));
            out.push(labels);
        }
        if out.len() == before {
            let is_host = container.host_config.network_mode == "host";
            labels.set("__address__", if is_host { asked.host_networking_host.clone() } else { join(&endpoint.ip, i32::from(asked.port)) });
            out.push(labels);
        }
    }
    out
}

/// Its networks, or those of the container whose network it shares.
fn attached<'c>(container: &'c Container, all: &BTreeMap<&str, &'c Container>) -> Option<&'c BTreeMap<String, Option<Endpoint>>> {
    let mut at = container;
    // Each step goes to another container: a ring ends.
    for _ in 0..=all.len() {
        if let Some(networks) = at.network_settings.networks.as_ref().filter(|networks| !networks.is_empty()) {
            return Some(networks);
        }
        at = all.get(at.host_config.network_mode.strip_prefix("container:")?)?;
    }
    None
}

fn put_network(labels: &mut Labels, network: &Network) {
    let own = [("id", network.id.as_str()), ("name", &network.name), ("scope", &network.scope)];
    let flags = [("internal", network.internal), ("ingress", network.ingress)].map(|(name, is_so)| (name, if is_so { "true" } else { "false" }));
    for (name, value) in own.into_iter().chain(flags) {
        labels.set(format!("{PREFIX}network_{name}"), value);
    }
    put(labels, "network_label_", network.labels.as_ref());
}

fn put(labels: &mut Labels, what: &str, pairs: Option<&BTreeMap<String, String>>) {
    for (name, value) in pairs.into_iter().flatten().take(LABELS_MAX) {
        labels.set(format!("{PREFIX}{what}{}", clean(name)), value.as_str());
    }
}

#[cfg(test)]
mod tests;
