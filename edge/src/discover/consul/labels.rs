//! The label sets of Consul's services, by Prometheus' and Promtail's names.
//!
//! Pure. Parts: [`Instance`] (of the catalogue's health), [`Own`] and [`OwnInstance`] (of an agent), [`of_catalogue`], [`of_agent`], [`wanted`].
//! Must not do: ask.

use std::collections::BTreeMap;

use proto_model::Labels;
use serde::Deserialize;
use serde_json::Value;

use super::super::kube::labels::{clean, join};

type Pairs = Option<BTreeMap<String, String>>;

/// One of `/v1/health/service/NAME`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Instance {
    node: Node,
    service: Service,
    checks: Option<Vec<Check>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    node: String,
    address: String,
    meta: Pairs,
}

/// A service.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Service {
    #[serde(rename = "ID")]
    id: String,
    pub(super) service: String,
    pub(super) tags: Option<Vec<String>>,
    address: String,
    port: i32,
    meta: Pairs,
    tagged_addresses: Option<BTreeMap<String, TaggedAddress>>,
    namespace: String,
    partition: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TaggedAddress {
    address: String,
    port: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    #[serde(rename = "CheckID")]
    id: String,
    status: String,
}

/// One of `/v1/agent/health/service/name/NAME`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct OwnInstance {
    aggregated_status: String,
    service: Service,
}

/// `/v1/agent/self`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Own {
    pub(super) config: OwnConfig,
    member: Member,
    meta: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct OwnConfig {
    pub(super) datacenter: String,
    node_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Member {
    addr: String,
}

/// Of which service, with what between tags.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'s> {
    pub(super) service: &'s str,
    pub(super) datacenter: &'s str,
    pub(super) separator: &'s str,
}

/// Whether a service with these tags is among those that are wanted.
pub(super) fn wanted(name: &str, tags: &[String], services: &[String], all_of: &[String]) -> bool {
    (services.is_empty() || services.iter().any(|service| service == name)) && all_of.iter().all(|tag| tags.contains(tag))
}

/// The labels of the catalogue's instances of a service.
pub(super) fn of_catalogue(instances: &[Instance], of: Of<'_>) -> Vec<Labels> {
    const PREFIX: &str = "__meta_consul_";
    let one = |instance: &Instance| {
        let mut labels = service(PREFIX, &instance.service, &instance.node.address, of);
        labels.set(format!("{PREFIX}node"), instance.node.node.as_str());
        labels.set(format!("{PREFIX}namespace"), instance.service.namespace.as_str());
        labels.set(format!("{PREFIX}partition"), instance.service.partition.as_str());
        labels.set(format!("{PREFIX}health"), aggregated(instance.checks.as_deref().unwrap_or_default()));
        put(&mut labels, PREFIX, "metadata_", instance.node.meta.iter().flatten().map(|(name, value)| (name, value.as_str())));
        labels
    };
    instances.iter().map(one).collect()
}

/// The labels of an agent's own instances of a service.
pub(super) fn of_agent(instances: &[OwnInstance], own: &Own, of: Of<'_>) -> Vec<Labels> {
    const PREFIX: &str = "__meta_consulagent_";
    // The agent gives one word for all of them.
    let health = worst(instances.iter().map(|instance| instance.aggregated_status.as_str()));
    let one = |instance: &OwnInstance| {
        let mut labels = service(PREFIX, &instance.service, &own.member.addr, of);
        labels.set(format!("{PREFIX}node"), own.config.node_name.as_str());
        labels.set(format!("{PREFIX}health"), health);
        let meta = own.meta.iter().flatten().filter_map(|(name, value)| Some((name, value.as_str()?)));
        put(&mut labels, PREFIX, "metadata_", meta);
        labels
    };
    instances.iter().map(one).collect()
}

fn service(prefix: &str, service: &Service, node_address: &str, of: Of<'_>) -> Labels {
    let tags = service.tags.as_deref().unwrap_or_default().join(of.separator);
    let host = if service.address.is_empty() { node_address } else { &service.address };
    let mut labels = Labels::from_pairs([("__address__", join(host, service.port))]);
    let own = [
        ("address", node_address.to_owned()),
        ("service", of.service.to_owned()),
        ("dc", of.datacenter.to_owned()),
        // A separator on both sides: expressions need not care where a tag stands.
        ("tags", format!("{0}{tags}{0}", of.separator)),
        ("service_address", service.address.clone()),
        ("service_port", service.port.to_string()),
        ("service_id", service.id.clone()),
    ];
    for (name, value) in own {
        labels.set(format!("{prefix}{name}"), value);
    }
    put(&mut labels, prefix, "service_metadata_", service.meta.iter().flatten().map(|(name, value)| (name, value.as_str())));
    for (name, tagged) in service.tagged_addresses.iter().flatten() {
        labels.set(format!("{prefix}tagged_address_{}", clean(name)), format!("{}:{}", tagged.address, tagged.port));
    }
    labels
}

fn put<'p>(labels: &mut Labels, prefix: &str, what: &str, pairs: impl Iterator<Item = (&'p String, &'p str)>) {
    for (name, value) in pairs {
        labels.set(format!("{prefix}{what}{}", clean(name)), value);
    }
}

fn aggregated(checks: &[Check]) -> &'static str {
    if checks.iter().any(|check| check.id == "_node_maintenance" || check.id.starts_with("_service_maintenance:")) {
        return "maintenance";
    }
    worst(checks.iter().map(|check| check.status.as_str()))
}

fn worst<'w>(words: impl Iterator<Item = &'w str>) -> &'static str {
    const WORDS: [&str; 4] = ["passing", "warning", "critical", "maintenance"];
    let place = words.filter_map(|word| WORDS.iter().position(|known| *known == word)).max().unwrap_or_default();
    WORDS[place]
}

#[cfg(test)]
mod tests;
