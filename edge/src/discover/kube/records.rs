//! What is kept of a Kubernetes object: the fields that labels are made of.
//!
//! Parts: [`Object`] and its kinds, each made from the API's own type. Limits: an annotation longer than
//! [`ANNOTATION_BYTES_MAX`] is known to be there, without its text. Must not do: make labels.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerPort, ContainerStatus, Endpoints, EphemeralContainer, Node, ObjectReference, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

/// Longest text of an annotation that is kept: longer ones are whole objects (`last-applied-configuration`), no labels.
pub const ANNOTATION_BYTES_MAX: usize = 8 * 1024;

/// What every object has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// Its namespace; empty for a node.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Kind and name of what made it.
    pub controller: Option<(String, String)>,
}

/// One port of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Port {
    /// Its name, if any.
    pub name: String,
    /// Its number.
    pub number: i32,
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: String,
}

/// One container of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerRecord {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The runtime's id; empty before it was created.
    pub id: String,
    /// Whether it is an init container.
    pub init: bool,
    /// Its ports.
    pub ports: Vec<Port>,
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodRecord {
    /// What every object has.
    pub meta: Meta,
    /// Its node; empty before it is scheduled.
    pub node: String,
    /// Its address; empty before it has one.
    pub ip: String,
    /// Its node's address.
    pub host_ip: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: String,
    /// `true`, `false`, `unknown`.
    pub ready: String,
    /// Containers, then init containers, then ephemeral ones.
    pub containers: Vec<ContainerRecord>,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeRecord {
    /// What every object has.
    pub meta: Meta,
    /// `spec.providerID`.
    pub provider_id: String,
    /// Type and address, in the API's order.
    pub addresses: Vec<(String, String)>,
    /// The kubelet's port.
    pub kubelet_port: i32,
}

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceRecord {
    /// What every object has.
    pub meta: Meta,
    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
    pub kind: String,
    /// `spec.clusterIP`.
    pub cluster_ip: String,
    /// `spec.loadBalancerIP`.
    pub load_balancer_ip: String,
    /// `spec.externalName`.
    pub external_name: String,
    /// Its ports.
    pub ports: Vec<Port>,
}

/// What an address of endpoints stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// `Pod`, `Node`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One address of endpoints or of an endpoint slice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// The addresses, one for endpoints.
    pub ips: Vec<String>,
    /// Its host name.
    pub hostname: Option<String>,
    /// Its node.
    pub node: Option<String>,
    /// What it stands for.
    pub reference: Option<Reference>,
    /// Whether it takes requests.
    pub ready: Option<bool>,
    /// Whether it answers, terminating or not.
    pub serving: Option<bool>,
    /// Whether it is going away.
    pub terminating: Option<bool>,
    /// Its zone.
    pub zone: Option<String>,
    /// Topology of the older API.
    pub topology: BTreeMap<String, String>,
}

/// One port of endpoints or of an endpoint slice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointPort {
    /// Its name.
    pub name: Option<String>,
    /// Its number; none = all ports.
    pub number: Option<i32>,
    /// Its protocol.
    pub protocol: Option<String>,
    /// What is spoken on it.
    pub app_protocol: Option<String>,
}

/// Endpoints, or an endpoint slice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointsRecord {
    /// What every object has.
    pub meta: Meta,
    /// `IPv4`, `IPv6`, `FQDN`; empty for endpoints.
    pub address_type: String,
    /// Ports with the addresses that have them.
    pub subsets: Vec<(Vec<EndpointPort>, Vec<Address>)>,
}

/// An ingress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IngressRecord {
    /// What every object has.
    pub meta: Meta,
    /// Its class.
    pub class: String,
    /// Hosts with TLS.
    pub tls_hosts: Vec<String>,
    /// Hosts and their paths.
    pub rules: Vec<(String, Vec<String>)>,
}

/// What is kept of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A pod.
    Pod(PodRecord),
    /// A node.
    Node(NodeRecord),
    /// A service.
    Service(ServiceRecord),
    /// Endpoints.
    Endpoints(EndpointsRecord),
    /// An endpoint slice.
    EndpointSlice(EndpointsRecord),
    /// An ingress.
    Ingress(IngressRecord),
}

/// What an object is; in settings the `role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `pods`
    Pod,
    /// `nodes`
    Node,
    /// `services`
    Service,
    /// `endpoints`
    Endpoints,
    /// `endpointslices`
    EndpointSlice,
    /// `ingresses`
    Ingress,
}

impl Object {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Pod(_) => Kind::Pod,
            Self::Node(_) => Kind::Node,
            Self::Service(_) => Kind::Service,
            Self::Endpoints(_) => Kind::Endpoints,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Ingress(_) => Kind::Ingress,
        }
    }

    /// What every object has.
    #[must_use]
    pub const fn meta(&self) -> &Meta {
        match self {
            Self::Pod(record) => &record.meta,
            Self::Node(record) => &record.meta,
            Self::Service(record) => &record.meta,
            Self::Endpoints(record) | Self::EndpointSlice(record) => &record.meta,
            Self::Ingress(record) => &record.meta,
        }
    }
}

fn meta(meta: ObjectMeta) -> Meta {
    let owner = meta.owner_references.unwrap_or_default().into_iter().find(|owner| owner.controller == Some(true));
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.values_mut().filter(|text| text.len() > ANNOTATION_BYTES_MAX).for_each(|text| *text = String::new());
    Meta {
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
        labels: meta.labels.unwrap_or_default().into_iter().collect(),
        annotations: annotations.into_iter().collect(),
        controller: owner.map(|owner| (owner.kind, owner.name)),
    }
}

fn container(name: String, image: Option<String>, ports: Option<Vec<ContainerPort>>, init: bool, statuses: &[ContainerStatus]) -> ContainerRecord {
    let id = statuses.iter().find(|status| status.name == name).and_then(|status| status.container_id.clone());
    let port = |port: ContainerPort| Port { name: port.name.unwrap_or_default(), number: port.container_port, protocol: port.protocol.unwrap_or_default() };
    ContainerRecord {
        name,
        image: image.unwrap_or_default(),
        id: id.unwrap_or_default(),
        init,
        ports: ports.unwrap_or_default().into_iter().map(port).collect(),
    }
}

/// What is kept of a pod.
#[must_use]
pub fn pod(from: Pod) -> Object {
    let (spec, status) = (from.spec.unwrap_or_default(), from.status.unwrap_or_default());
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready").map(|condition| condition.status.to_lowercase());
    let (running, init) = (status.container_statuses.unwrap_or_default(), status.init_container_statuses.unwrap_or_default());
    let ephemeral = status.ephemeral_container_statuses.unwrap_or_default();
    let plain = |from: Container, is_init: bool, statuses: &[ContainerStatus]| container(from.name, from.image, from.ports, is_init, statuses);
    let mut containers: Vec<ContainerRecord> = spec.containers.into_iter().map(|from| plain(from, false, &running)).collect();
    containers.extend(spec.init_containers.into_iter().flatten().map(|from| plain(from, true, &init)));
    let late = |from: EphemeralContainer| container(from.name, from.image, from.ports, false, &ephemeral);
    containers.extend(spec.ephemeral_containers.into_iter().flatten().map(late));
    Object::Pod(PodRecord {
        meta: meta(from.metadata),
        node: spec.node_name.unwrap_or_default(),
        ip: status.pod_ip.unwrap_or_default(),
        host_ip: status.host_ip.unwrap_or_default(),
        phase: status.phase.unwrap_or_default(),
        ready: ready.unwrap_or_else(|| "unknown".to_owned()),
        containers,
    })
}

/// What is kept of a node.
#[must_use]
pub fn node(from: Node) -> Object {
    let (spec, status) = (from.spec.unwrap_or_default(), from.status.unwrap_or_default());
    let port = status.daemon_endpoints.and_then(|daemon| daemon.kubelet_endpoint).map_or(0, |kubelet| kubelet.port);
    Object::Node(NodeRecord {
        meta: meta(from.metadata),
        provider_id: spec.provider_id.unwrap_or_default(),
        addresses: status.addresses.unwrap_or_default().into_iter().map(|address| (address.type_, address.address)).collect(),
        kubelet_port: port,
    })
}

/// What is kept of a service.
#[must_use]
pub fn service(from: Service) -> Object {
    let spec = from.spec.unwrap_or_default();
    let ports = spec.ports.unwrap_or_default().into_iter();
    Object::Service(ServiceRecord {
        meta: meta(from.metadata),
        kind: spec.type_.unwrap_or_default(),
        cluster_ip: spec.cluster_ip.unwrap_or_default(),
        load_balancer_ip: spec.load_balancer_ip.unwrap_or_default(),
        external_name: spec.external_name.unwrap_or_default(),
        ports: ports.map(|port| Port { name: port.name.unwrap_or_default(), number: port.port, protocol: port.protocol.unwrap_or_default() }).collect(),
    })
}

fn reference(from: ObjectReference) -> Reference {
    Reference { kind: from.kind.unwrap_or_default(), namespace: from.namespace.unwrap_or_default(), name: from.name.unwrap_or_default() }
}

/// What is kept of endpoints.
#[must_use]
pub fn endpoints(from: Endpoints) -> Object {
    let address = |from: k8s_openapi::api::core::v1::EndpointAddress, ready: bool| Address {
        ips: vec![from.ip],
        hostname: from.hostname,
        node: from.node_name,
        reference: from.target_ref.map(reference),
        ready: Some(ready),
        ..Address::default()
    };
    let subsets = from.subsets.unwrap_or_default().into_iter().map(|subset| {
        let ports = subset.ports.into_iter().flatten();
        let ports = ports.map(|port| EndpointPort { name: port.name, number: Some(port.port), protocol: port.protocol, app_protocol: port.app_protocol });
        let ready = subset.addresses.into_iter().flatten().map(|from| address(from, true));
        let unready = subset.not_ready_addresses.into_iter().flatten().map(|from| address(from, false));
        (ports.collect(), ready.chain(unready).collect())
    });
    Object::Endpoints(EndpointsRecord { meta: meta(from.metadata), address_type: String::new(), subsets: subsets.collect() })
}

/// What is kept of an endpoint slice.
#[must_use]
pub fn endpoint_slice(from: EndpointSlice) -> Object {
    let ports = from.ports.unwrap_or_default().into_iter();
    let ports = ports.map(|port| EndpointPort { name: port.name, number: port.port, protocol: port.protocol, app_protocol: port.app_protocol });
    let addresses = from.endpoints.into_iter().map(|from| {
        let conditions = from.conditions.unwrap_or_default();
        Address {
            ips: from.addresses,
            hostname: from.hostname,
            node: from.node_name,
            reference: from.target_ref.map(reference),
            ready: conditions.ready,
            serving: conditions.serving,
            terminating: conditions.terminating,
            zone: from.zone,
            topology: from.deprecated_topology.unwrap_or_default().into_iter().collect(),
        }
    });
    let subsets = vec![(ports.collect(), addresses.collect())];
    Object::EndpointSlice(EndpointsRecord { meta: meta(from.metadata), address_type: from.address_type, subsets })
}

/// What is kept of an ingress.
#[must_use]
pub fn ingress(from: Ingress) -> Object {
    let spec = from.spec.unwrap_or_default();
    let rules = spec.rules.unwrap_or_default().into_iter().map(|rule| {
        let paths = rule.http.map(|http| http.paths.into_iter().map(|path| path.path.unwrap_or_default()).collect());
        (rule.host.unwrap_or_default(), paths.unwrap_or_default())
    });
    Object::Ingress(IngressRecord {
        meta: meta(from.metadata),
        class: spec.ingress_class_name.unwrap_or_default(),
        tls_hosts: spec.tls.unwrap_or_default().into_iter().flat_map(|tls| tls.hosts.unwrap_or_default()).collect(),
        rules: rules.collect(),
    })
}
