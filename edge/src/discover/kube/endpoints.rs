//! Label sets of endpoints and endpoint slices, with those of the services and pods behind them.
//!
//! Parts: [`sets`], the one walk for both kinds; [`Around`], what is looked up. As in Prometheus, a pod's ports that
//! the endpoints do not name get targets of their own. Must not do: change what it looks up.

use std::collections::BTreeMap;

use proto_model::Labels;

use super::labels::{attach_node, container_port, join, object, pod_labels, set};
use super::records::{Address, EndpointPort, EndpointsRecord, Kind, NodeRecord, Object, PodRecord, Reference, ServiceRecord};

/// In whose label an endpoint slice names its service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What endpoints refer to.
pub struct Around<'t> {
    /// Objects by kind and `namespace/name`.
    pub find: &'t dyn Fn(Kind, &str, &str) -> Option<&'t Object>,
    /// Whether nodes' labels are wanted.
    pub attach_node: bool,
}

impl<'t> Around<'t> {
    fn pod(&self, reference: Option<&Reference>) -> Option<&'t PodRecord> {
        let reference = reference.filter(|reference| reference.kind == "Pod")?;
        let Object::Pod(pod) = (self.find)(Kind::Pod, &reference.namespace, &reference.name)? else { return None };
        Some(pod)
    }

    fn service(&self, namespace: &str, name: &str) -> Option<&'t ServiceRecord> {
        let Object::Service(service) = (self.find)(Kind::Service, namespace, name)? else { return None };
        Some(service)
    }

    fn node(&self, name: Option<&str>) -> Option<&'t NodeRecord> {
        let Object::Node(node) = (self.find)(Kind::Node, "", name.filter(|_| self.attach_node)?)? else { return None };
        Some(node)
    }
}

/// The label sets of endpoints (`is_slice` false) or of an endpoint slice.
#[must_use]
pub fn sets(record: &EndpointsRecord, is_slice: bool, around: &Around<'_>) -> Vec<Labels> {
    let common = common(record, is_slice, around);
    let mut out = Vec::new();
    let mut seen: BTreeMap<(&str, &str), (&PodRecord, Vec<i32>)> = BTreeMap::new();
    for (ports, addresses) in &record.subsets {
        for (address, port, ip) in addresses.iter().flat_map(|address| ports.iter().flat_map(move |port| address.ips.iter().map(move |ip| (address, port, ip))))
        {
            let mut labels = common.clone();
            labels.set("__address__", port.number.map_or_else(|| ip.clone(), |number| join(ip, number)));
            if is_slice {
                slice_target(&mut labels, address, port)
            } else {
                endpoint_target(&mut labels, address, port)
            }
            let is_node = address.reference.as_ref().filter(|reference| reference.kind == "Node");
            attach_node(&mut labels, around.node(is_node.map(|node| node.name.as_str()).or(address.node.as_deref())));
            if let Some(pod) = around.pod(address.reference.as_ref()) {
                merge(&mut labels, &pod_labels(pod));
                for container in &pod.containers {
                    if let Some(own) = container.ports.iter().find(|own| Some(own.number) == port.number) {
                        container_port(&mut labels, container, own);
                    }
                }
                seen.entry((&pod.meta.namespace, &pod.meta.name)).or_insert_with(|| (pod, Vec::new())).1.extend(port.number);
            }
            out.push(labels);
        }
    }
    for (pod, named) in seen.values() {
        unnamed_ports(&common, pod, named, &mut out);
    }
    out
}

/// A pod's ports that the endpoints do not name.
fn unnamed_ports(common: &Labels, pod: &PodRecord, named: &[i32], out: &mut Vec<Labels>) {
    if pod.ip.is_empty() {
        return;
    }
    for container in pod.containers.iter().filter(|container| !container.init) {
        for port in container.ports.iter().filter(|port| !named.contains(&port.number)) {
            let mut labels = common.clone();
            merge(&mut labels, &pod_labels(pod));
            labels.set("__address__", join(&pod.ip, port.number));
            container_port(&mut labels, container, port);
            out.push(labels);
        }
    }
}

fn merge(labels: &mut Labels, more: &Labels) {
    for (name, value) in more.iter() {
        labels.set(name, value);
    }
}

fn common(record: &EndpointsRecord, is_slice: bool, around: &Around<'_>) -> Labels {
    let mut labels = Labels::empty();
    let meta = &record.meta;
    let of = if is_slice { meta.labels.get(SERVICE_NAME).map(String::as_str) } else { Some(meta.name.as_str()) };
    if let Some(owner) = of.and_then(|name| around.service(&meta.namespace, name)) {
        object(&mut labels, "service", &owner.meta);
    }
    if is_slice {
        object(&mut labels, "endpointslice", meta);
        set(&mut labels, "endpointslice_address_type", record.address_type.as_str());
    } else {
        object(&mut labels, "endpoints", meta);
    }
    labels
}

fn endpoint_target(labels: &mut Labels, address: &Address, port: &EndpointPort) {
    set(labels, "endpoint_port_name", port.name.as_deref().unwrap_or_default());
    set(labels, "endpoint_port_protocol", port.protocol.as_deref().unwrap_or_default());
    set(labels, "endpoint_ready", address.ready.unwrap_or(false).to_string());
    reference_labels(labels, "endpoint", address);
    set(labels, "endpoint_node_name", address.node.as_deref().unwrap_or_default());
    set(labels, "endpoint_hostname", address.hostname.as_deref().unwrap_or_default());
}

fn reference_labels(labels: &mut Labels, role: &str, address: &Address) {
    if let Some(reference) = &address.reference {
        set(labels, &format!("{role}_address_target_kind"), reference.kind.as_str());
        set(labels, &format!("{role}_address_target_name"), reference.name.as_str());
    }
}

fn slice_target(labels: &mut Labels, address: &Address, port: &EndpointPort) {
    set(labels, "endpointslice_port_name", port.name.as_deref().unwrap_or_default());
    set(labels, "endpointslice_port_protocol", port.protocol.as_deref().unwrap_or_default());
    set(labels, "endpointslice_port", port.number.map(|number| number.to_string()).unwrap_or_default());
    set(labels, "endpointslice_port_app_protocol", port.app_protocol.as_deref().unwrap_or_default());
    for (name, value) in [("ready", address.ready), ("serving", address.serving), ("terminating", address.terminating)] {
        set(labels, &format!("endpointslice_endpoint_conditions_{name}"), value.map(|value| value.to_string()).unwrap_or_default());
    }
    set(labels, "endpointslice_endpoint_hostname", address.hostname.as_deref().unwrap_or_default());
    set(labels, "endpointslice_endpoint_node_name", address.node.as_deref().unwrap_or_default());
    set(labels, "endpointslice_endpoint_zone", address.zone.as_deref().unwrap_or_default());
    reference_labels(labels, "endpointslice", address);
    for (name, value) in &address.topology {
        let name = super::labels::clean(name);
        set(labels, &format!("endpointslice_endpoint_topology_{name}"), value.as_str());
        set(labels, &format!("endpointslice_endpoint_topology_present_{name}"), "true");
    }
}
