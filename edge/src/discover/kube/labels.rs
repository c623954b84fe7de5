//! Label sets of pods, nodes, services and ingresses, by Prometheus' names.
//!
//! Parts: one function a kind, giving the label sets of one object; [`attach_node`]. One difference is on purpose: a pod
//! without an address yet has targets too (its containers may write), and so have ephemeral containers.
//! Must not do: look anything up.

use proto_model::Labels;

use super::records::{ContainerRecord, IngressRecord, Meta, NodeRecord, PodRecord, Port, ServiceRecord};

const PREFIX: &str = "__meta_kubernetes_";
/// Which of a node's addresses is its address, the first that it has.
const ADDRESS_TYPES: [&str; 6] = ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

/// Sets `__meta_kubernetes_<name>`.
pub(super) fn set(labels: &mut Labels, name: &str, value: impl Into<String>) {
    labels.set(format!("{PREFIX}{name}"), value);
}

/// A label name with everything outside `[a-zA-Z0-9_]` made `_`.
pub(crate) fn clean(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

/// `host:port`, the host in brackets when it is an IPv6 address.
pub(crate) fn join(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Name, labels and annotations of an object, and its namespace.
pub(super) fn object(labels: &mut Labels, role: &str, meta: &Meta) {
    set(labels, "namespace", meta.namespace.as_str());
    set(labels, &format!("{role}_name"), meta.name.as_str());
    for (what, pairs) in [("label", &meta.labels), ("annotation", &meta.annotations)] {
        for (name, value) in pairs {
            let name = clean(name);
            set(labels, &format!("{role}_{what}_{name}"), value.as_str());
            set(labels, &format!("{role}_{what}present_{name}"), "true");
        }
    }
}

/// The labels that all targets of a pod have, its namespace among them.
pub(super) fn pod_labels(pod: &PodRecord) -> Labels {
    let mut labels = Labels::empty();
    object(&mut labels, "pod", &pod.meta);
    let own = [("ip", &pod.ip), ("ready", &pod.ready), ("phase", &pod.phase), ("node_name", &pod.node), ("host_ip", &pod.host_ip), ("uid", &pod.meta.uid)];
    for (name, value) in own {
        set(&mut labels, &format!("pod_{name}"), value.as_str());
    }
    if let Some((kind, name)) = &pod.meta.controller {
        set(&mut labels, "pod_controller_kind", kind.as_str());
        set(&mut labels, "pod_controller_name", name.as_str());
    }
    labels
}

/// The labels of one container's port.
pub(super) fn container_port(labels: &mut Labels, container: &ContainerRecord, port: &Port) {
    set(labels, "pod_container_name", container.name.as_str());
    set(labels, "pod_container_image", container.image.as_str());
    set(labels, "pod_container_port_name", port.name.as_str());
    set(labels, "pod_container_port_number", port.number.to_string());
    set(labels, "pod_container_port_protocol", port.protocol.as_str());
}

/// One label set for each container and port of a pod, one for a container without ports.
#[must_use]
pub fn pod(pod: &PodRecord, node: Option<&NodeRecord>) -> Vec<Labels> {
    let mut common = pod_labels(pod);
    attach_node(&mut common, node);
    let mut out = Vec::new();
    for container in &pod.containers {
        let mut labels = common.clone();
        set(&mut labels, "pod_container_name", container.name.as_str());
        set(&mut labels, "pod_container_id", container.id.as_str());
        set(&mut labels, "pod_container_image", container.image.as_str());
        set(&mut labels, "pod_container_init", container.init.to_string());
        if container.ports.is_empty() {
            labels.set("__address__", pod.ip.as_str());
            out.push(labels);
            continue;
        }
        for port in &container.ports {
            let mut labels = labels.clone();
            labels.set("__address__", if pod.ip.is_empty() { String::new() } else { join(&pod.ip, port.number) });
            container_port(&mut labels, container, port);
            out.push(labels);
        }
    }
    out
}

/// Adds what `attach_metadata` wants of a node: its name and labels.
pub fn attach_node(labels: &mut Labels, node: Option<&NodeRecord>) {
    let Some(node) = node else { return };
    set(labels, "node_name", node.meta.name.as_str());
    for (name, value) in &node.meta.labels {
        let name = clean(name);
        set(labels, &format!("node_label_{name}"), value.as_str());
        set(labels, &format!("node_labelpresent_{name}"), "true");
    }
}

/// The label set of a node; none when it has no address.
#[must_use]
pub fn node(node: &NodeRecord) -> Vec<Labels> {
    let first = |kind: &str| node.addresses.iter().find(|(other, _)| other == kind).map(|(_, address)| address.as_str());
    let Some(address) = ADDRESS_TYPES.iter().find_map(|kind| first(kind)) else { return Vec::new() };
    let mut labels = Labels::empty();
    object(&mut labels, "node", &node.meta);
    set(&mut labels, "node_provider_id", node.provider_id.as_str());
    labels.set("__address__", join(address, node.kubelet_port));
    labels.set("instance", node.meta.name.as_str());
    for (kind, address) in node.addresses.iter().rev() {
        set(&mut labels, &format!("node_address_{}", clean(kind)), address.as_str());
    }
    vec![labels]
}

/// The label sets of a service, one for each port.
#[must_use]
pub fn service(service: &ServiceRecord) -> Vec<Labels> {
    let mut common = Labels::empty();
    object(&mut common, "service", &service.meta);
    set(&mut common, "service_type", service.kind.as_str());
    match service.kind.as_str() {
        "ExternalName" => set(&mut common, "service_external_name", service.external_name.as_str()),
        kind => {
            set(&mut common, "service_cluster_ip", service.cluster_ip.as_str());
            if kind == "LoadBalancer" {
                set(&mut common, "service_loadbalancer_ip", service.load_balancer_ip.as_str());
            }
        }
    }
    let host = format!("{}.{}.svc", service.meta.name, service.meta.namespace);
    let target = |port: &Port| {
        let mut labels = common.clone();
        labels.set("__address__", join(&host, port.number));
        set(&mut labels, "service_port_name", port.name.as_str());
        set(&mut labels, "service_port_number", port.number.to_string());
        set(&mut labels, "service_port_protocol", port.protocol.as_str());
        labels
    };
    service.ports.iter().map(target).collect()
}

/// The label sets of an ingress, one for each path of each rule.
#[must_use]
pub fn ingress(ingress: &IngressRecord) -> Vec<Labels> {
    let mut common = Labels::empty();
    object(&mut common, "ingress", &ingress.meta);
    set(&mut common, "ingress_class_name", ingress.class.as_str());
    let mut out = Vec::new();
    for (host, paths) in &ingress.rules {
        let scheme = if ingress.tls_hosts.iter().any(|pattern| covers(pattern, host)) { "https" } else { "http" };
        let root = [String::new()];
        for path in if paths.is_empty() { &root[..] } else { paths } {
            let mut labels = common.clone();
            labels.set("__address__", host.as_str());
            set(&mut labels, "ingress_scheme", scheme);
            set(&mut labels, "ingress_host", host.as_str());
            set(&mut labels, "ingress_path", if path.is_empty() { "/" } else { path });
            out.push(labels);
        }
    }
    out
}

/// Whether a name of a certificate, `*.` for one name allowed, covers a host.
fn covers(pattern: &str, host: &str) -> bool {
    let below = |name: &str| name.split_once('.').map(|(_, below)| below.to_owned());
    pattern == host || (pattern.starts_with("*.") && below(pattern) == below(host))
}

#[cfg(test)]
mod tests;
