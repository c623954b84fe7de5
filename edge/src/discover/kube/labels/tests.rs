use serde_json::json;

use super::*;
use crate::discover::kube::endpoints::{Around, sets};
use crate::discover::kube::records::{self, Kind, Object};

fn pod_of(value: serde_json::Value) -> PodRecord {
    let Object::Pod(pod) = records::pod(serde_json::from_value(value).unwrap()) else { panic!("a pod is a pod") };
    pod
}

fn shown(labels: &Labels) -> Vec<String> {
    labels.iter().map(|(name, value)| format!("{}={value}", name.strip_prefix("__meta_kubernetes_").unwrap_or(name))).collect()
}

fn web() -> serde_json::Value {
    json!({
        "metadata": {"name": "web-0", "namespace": "shop", "uid": "u-1",
            "labels": {"app.kubernetes.io/name": "web", "empty": ""}, "annotations": {"kubernetes.io/config.hash": "abc"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "x"},
                {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "y", "controller": true}]},
        "spec": {"nodeName": "node1",
            "containers": [{"name": "app", "image": "shop/web:1", "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "protocol": "UDP"}]},
                {"name": "side", "image": "side:2"}],
            "initContainers": [{"name": "setup", "image": "setup:3"}],
            "ephemeralContainers": [{"name": "debug", "image": "box:4"}]},
        "status": {"podIP": "10.0.0.7", "hostIP": "10.99.0.1", "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "app", "containerID": "containerd://c1", "image": "", "imageID": "", "ready": true, "restartCount": 0}],
            "initContainerStatuses": [{"name": "setup", "containerID": "containerd://c0", "image": "", "imageID": "", "ready": true, "restartCount": 0}]}
    })
}

#[test]
fn a_pod_has_a_target_for_each_container_and_port() {
    let found = pod(&pod_of(web()), None);
    assert_eq!(found.len(), 5, "two ports, a container without, an init and an ephemeral one");
    let expected = [
        "__address__=10.0.0.7:80",
        "namespace=shop",
        "pod_annotation_kubernetes_io_config_hash=abc",
        "pod_annotationpresent_kubernetes_io_config_hash=true",
        "pod_container_id=containerd://c1",
        "pod_container_image=shop/web:1",
        "pod_container_init=false",
        "pod_container_name=app",
        "pod_container_port_name=http",
        "pod_container_port_number=80",
        "pod_container_port_protocol=TCP",
        "pod_controller_kind=StatefulSet",
        "pod_controller_name=web",
        "pod_host_ip=10.99.0.1",
        "pod_ip=10.0.0.7",
        "pod_label_app_kubernetes_io_name=web",
        "pod_labelpresent_app_kubernetes_io_name=true",
        "pod_labelpresent_empty=true",
        "pod_name=web-0",
        "pod_node_name=node1",
        "pod_phase=Running",
        "pod_ready=true",
        "pod_uid=u-1",
    ];
    assert_eq!(shown(&found[0]), expected);
    let value = |at: usize, name: &str| found[at].value(&format!("__meta_kubernetes_pod_container_{name}")).map(str::to_owned);
    assert_eq!((value(1, "port_number").as_deref(), value(1, "port_protocol").as_deref(), value(1, "port_name")), (Some("81"), Some("UDP"), None));
    assert_eq!((value(2, "name").as_deref(), found[2].value("__address__")), (Some("side"), Some("10.0.0.7")));
    assert_eq!((value(3, "name").as_deref(), value(3, "init").as_deref(), value(3, "id").as_deref()), (Some("setup"), Some("true"), Some("containerd://c0")));
    assert_eq!((value(4, "name").as_deref(), value(4, "init").as_deref()), (Some("debug"), Some("false")));
}

#[test]
fn a_pod_without_address_or_status_has_targets_all_the_same() {
    let found = pod(
        &pod_of(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1}]}]}})),
        None,
    );
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].value("__address__"), found[0].value("__meta_kubernetes_pod_ready")), (None, Some("unknown")));
}

#[test]
fn a_node_is_its_kubelet_and_lends_its_labels() {
    let value = json!({"metadata": {"name": "node1", "labels": {"zone": "z-1"}}, "spec": {"providerID": "cloud://7"},
        "status": {"addresses": [{"type": "Hostname", "address": "node1"}, {"type": "InternalIP", "address": "fd00::1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}}});
    let Object::Node(record) = records::node(serde_json::from_value(value).unwrap()) else { panic!() };
    let expected = [
        "__address__=[fd00::1]:10250",
        "node_address_Hostname=node1",
        "node_address_InternalIP=fd00::1",
        "node_label_zone=z-1",
        "node_labelpresent_zone=true",
        "node_name=node1",
        "node_provider_id=cloud://7",
        "instance=node1",
    ];
    assert_eq!(shown(&node(&record)[0]), expected);
    let attached = pod(&pod_of(web()), Some(&record));
    assert_eq!(attached[0].value("__meta_kubernetes_node_label_zone"), Some("z-1"));
    assert!(node(&NodeRecord::default()).is_empty());
}

#[test]
fn a_service_has_a_target_for_each_port() {
    let value = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.9", "loadBalancerIP": "1.2.3.4",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}});
    let Object::Service(record) = records::service(serde_json::from_value(value).unwrap()) else { panic!() };
    let found = service(&record);
    let expected = [
        "__address__=web.shop.svc:80",
        "namespace=shop",
        "service_cluster_ip=10.96.0.9",
        "service_loadbalancer_ip=1.2.3.4",
        "service_name=web",
        "service_port_name=http",
        "service_port_number=80",
        "service_port_protocol=TCP",
        "service_type=LoadBalancer",
    ];
    assert_eq!((found.len(), shown(&found[0])), (2, expected.map(str::to_owned).to_vec()));
    let external =
        ServiceRecord { kind: "ExternalName".into(), external_name: "db.example".into(), cluster_ip: "x".into(), ports: vec![Port::default()], ..record };
    let found = service(&external);
    assert_eq!((found[0].value("__meta_kubernetes_service_external_name"), found[0].value("__meta_kubernetes_service_cluster_ip")), (Some("db.example"), None));
}

#[test]
fn an_ingress_has_a_target_for_each_path() {
    let value = json!({"metadata": {"name": "in", "namespace": "shop"}, "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["*.secure.io", "x.io"]}],
        "rules": [{"host": "a.secure.io", "http": {"paths": [{"path": "/a", "pathType": "Prefix", "backend": {}}, {"pathType": "Prefix", "backend": {}}]}},
            {"host": "b.a.secure.io"}, {"host": "x.io"}]}});
    let Object::Ingress(record) = records::ingress(serde_json::from_value(value).unwrap()) else { panic!() };
    let found = ingress(&record);
    let brief: Vec<String> = found
        .iter()
        .map(|labels| ["scheme", "host", "path"].map(|name| labels.value(&format!("__meta_kubernetes_ingress_{name}")).unwrap_or_default()).join(" "))
        .collect();
    assert_eq!(brief, ["https a.secure.io /a", "https a.secure.io /", "http b.a.secure.io /", "https x.io /"]);
    assert_eq!((found[0].value("__meta_kubernetes_ingress_class_name"), found[0].value("__address__")), (Some("nginx"), Some("a.secure.io")));
}

struct Cluster(Vec<Object>);

impl Cluster {
    fn new() -> Self {
        let service = json!({"metadata": {"name": "web", "namespace": "shop", "labels": {"team": "t"}}, "spec": {"type": "ClusterIP"}});
        let node = json!({"metadata": {"name": "node1", "labels": {"zone": "z"}}});
        Self(vec![Object::Pod(pod_of(web())), records::service(serde_json::from_value(service).unwrap()), records::node(serde_json::from_value(node).unwrap())])
    }

    fn sets(&self, object: &Object) -> Vec<Labels> {
        let find = |kind: Kind, namespace: &str, name: &str| {
            self.0.iter().find(|object| object.kind() == kind && object.meta().namespace == namespace && object.meta().name == name)
        };
        let around = Around { find: &find, attach_node: true };
        let is_slice = matches!(object, Object::EndpointSlice(_));
        let (Object::Endpoints(record) | Object::EndpointSlice(record)) = object else { panic!("{object:?}") };
        sets(record, is_slice, &around)
    }
}

#[test]
fn endpoints_carry_their_service_pod_and_node_and_the_pods_other_ports() {
    let value = json!({"metadata": {"name": "web", "namespace": "shop"}, "subsets": [{"ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        "addresses": [{"ip": "10.0.0.7", "nodeName": "node1", "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-0"}}],
        "notReadyAddresses": [{"ip": "10.0.0.8", "hostname": "h"}]}]});
    let found = Cluster::new().sets(&records::endpoints(serde_json::from_value(value).unwrap()));
    assert_eq!(found.len(), 3, "{found:?}");
    let value = |at: usize, name: &str| found[at].value(&format!("__meta_kubernetes_{name}")).unwrap_or_default().to_owned();
    for (name, expected) in [
        ("namespace", "shop"),
        ("endpoints_name", "web"),
        ("service_name", "web"),
        ("service_label_team", "t"),
        ("endpoint_port_name", "http"),
        ("endpoint_port_protocol", "TCP"),
        ("endpoint_ready", "true"),
        ("endpoint_address_target_kind", "Pod"),
        ("endpoint_address_target_name", "web-0"),
        ("endpoint_node_name", "node1"),
        ("node_label_zone", "z"),
        ("pod_name", "web-0"),
        ("pod_container_name", "app"),
        ("pod_container_port_number", "80"),
    ] {
        assert_eq!(value(0, name), expected, "{name}");
    }
    assert_eq!((value(1, "endpoint_ready").as_str(), value(1, "endpoint_hostname").as_str(), value(1, "pod_name").as_str()), ("false", "h", ""));
    assert_eq!((value(2, "pod_container_port_number").as_str(), found[2].value("__address__")), ("81", Some("10.0.0.7:81")));
}

#[test]
fn endpoint_slices_carry_conditions_zone_and_topology() {
    let value = json!({"metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "appProtocol": "h2c"}],
        "endpoints": [{"addresses": ["10.0.0.9"], "conditions": {"ready": false, "serving": true, "terminating": true}, "zone": "z9", "nodeName": "gone",
            "hostname": "h9", "deprecatedTopology": {"rack-no": "4"}, "targetRef": {"kind": "Node", "name": "node1"}}]});
    let found = Cluster::new().sets(&records::endpoint_slice(serde_json::from_value(value).unwrap()));
    assert_eq!(found.len(), 1);
    for (name, expected) in [
        ("endpointslice_name", "web-x"),
        ("endpointslice_address_type", "IPv4"),
        ("endpointslice_port", "80"),
        ("endpointslice_port_name", "http"),
        ("endpointslice_port_protocol", "TCP"),
        ("endpointslice_port_app_protocol", "h2c"),
        ("endpointslice_endpoint_conditions_ready", "false"),
        ("endpointslice_endpoint_conditions_serving", "true"),
        ("endpointslice_endpoint_conditions_terminating", "true"),
        ("endpointslice_endpoint_hostname", "h9"),
        ("endpointslice_endpoint_node_name", "gone"),
        ("endpointslice_endpoint_zone", "z9"),
        ("endpointslice_address_target_kind", "Node"),
        ("endpointslice_address_target_name", "node1"),
        ("endpointslice_endpoint_topology_rack_no", "4"),
        ("endpointslice_endpoint_topology_present_rack_no", "true"),
        ("node_label_zone", "z"),
        ("service_name", "web"),
        ("service_label_team", "t"),
    ] {
        assert_eq!(found[0].value(&format!("__meta_kubernetes_{name}")), Some(expected), "{name}");
    }
}

#[test]
fn a_huge_annotation_is_known_without_its_text() {
    let mut value = web();
    value["metadata"]["annotations"]["last-applied"] = "x".repeat(records::ANNOTATION_BYTES_MAX + 1).into();
    let labels = pod(&pod_of(value), None).remove(0);
    assert_eq!(
        (labels.value("__meta_kubernetes_pod_annotation_last_applied"), labels.value("__meta_kubernetes_pod_annotationpresent_last_applied")),
        (None, Some("true"))
    );
}
