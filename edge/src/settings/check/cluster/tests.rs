use super::super::super::EdgeSettings;
use super::*;
use crate::discover::feeds::Discovery;

fn prepare(sd: &str) -> Result<KubeSettings, String> {
    let text = format!(
        "scrape_configs: [{{job_name: pods, kubernetes_sd_configs: [{sd}]}}]\nhub: {{url: 'https://h:1', ca_file: /c, identity_dir: /i}}\nwal: {{dir: /w}}\n"
    );
    let (parsed, mistakes) = proto_boot::settings::parse_all::<EdgeSettings>("e.yaml", &text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    match parsed.unwrap().prepare("e.yaml", "node7") {
        Ok(prepared) => {
            let Discovery::Kubernetes(settings) = &prepared.jobs[0].discoveries[0] else { panic!("pods are discovered") };
            Ok(KubeSettings::clone(settings))
        }
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn pods_are_those_of_this_node_unless_nodes_are_named() {
    let fields = |sd: &str| prepare(sd).unwrap().scopes("own")[0].field.clone();
    assert_eq!(fields("{role: pod}"), "spec.nodeName=node7");
    assert_eq!(fields("{role: pod, selectors: [{role: pod, label: 'a=b', field: status.phase=Running}]}"), "status.phase=Running,spec.nodeName=node7");
    assert_eq!(fields("{role: pod, selectors: [{role: pod, field: spec.nodeName=other}]}"), "spec.nodeName=other");
    assert_eq!(fields("{role: endpoints}"), "");
}

#[test]
fn namespaces_and_kinds_make_the_scopes() {
    let settings = prepare("{role: endpointslice, namespaces: {names: [a, b], own_namespace: true}, attach_metadata: {node: true}}").unwrap();
    let scopes = settings.scopes("b");
    assert_eq!(scopes.len(), 3 * 2 + 1, "slices, services and pods in two namespaces, and nodes");
    let scopes = settings.scopes("c");
    assert_eq!(scopes.iter().filter(|scope| scope.namespace.as_deref() == Some("c")).count(), 3);
    assert_eq!(settings.access, Access::InCluster);
}

#[test]
fn a_server_and_its_credentials_are_taken() {
    let sd = "{role: node, api_server: 'https://10.0.0.1:6443', bearer_token_file: /t, tls_config: {ca_file: /ca, server_name: k, insecure_skip_verify: true}}";
    let Access::Server(server) = prepare(sd).unwrap().access else { panic!() };
    assert_eq!((server.url.as_str(), server.server_name.as_str(), server.insecure), ("https://10.0.0.1:6443", "k", true));
    assert_eq!((server.token, server.ca), (Secret::File("/t".into()), Secret::File("/ca".into())));
    let Access::Server(server) = prepare("{role: node, api_server: 'http://h', basic_auth: {username: u, password: hidden}}").unwrap().access else { panic!() };
    assert_eq!((server.user.as_str(), &server.password), ("u", &Secret::Text("hidden".into())));
    assert!(!format!("{server:?}").contains("hidden"));
    assert_eq!(prepare("{role: node, kubeconfig_file: /k}").unwrap().access, Access::Kubeconfig("/k".into()));
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    for (sd, says) in [
        ("{role: node, api_server: 'https://h', kubeconfig_file: /k}", "both"),
        ("{role: node, bearer_token: t}", "without api_server"),
        ("{role: node, api_server: h}", "no address"),
        ("{role: node, api_server: 'https://h', oauth2: {client_id: c, token_url: t}}", "oauth2"),
        ("{role: node, api_server: 'https://h', proxy_url: 'http://p'}", "proxy"),
        ("{role: pod, attach_metadata: {namespace: true}}", "namespace"),
        ("{role: pod, kubeconfig_file: /k, namespaces: {own_namespace: true}}", "own_namespace"),
        ("{role: pod, selectors: [{role: node, label: a}]}", "no use"),
        ("{role: endpoints, selectors: [{role: pod, label: a}, {role: pod, label: b}]}", "two selectors"),
    ] {
        let told = prepare(sd).unwrap_err();
        assert!(told.contains(says), "{sd}: {told}");
    }
}

/// The ConfigMap of `deploy/edge` is taken whole, and asks for the pods of this node.
#[test]
fn the_settings_of_deploy_edge_are_taken() {
    #[derive(serde::Deserialize)]
    struct ConfigMap {
        data: std::collections::BTreeMap<String, String>,
    }
    let text = include_str!("../../../../../deploy/edge/config.yaml");
    let map: ConfigMap = serde_saphyr::from_str(text).unwrap();
    let (parsed, mistakes) = proto_boot::settings::parse_all::<EdgeSettings>("edge.yaml", &map.data["edge.yaml"]);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let prepared = parsed.unwrap().prepare("edge.yaml", "node7").unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    assert!(prepared.remarks.is_empty(), "{:?}", prepared.remarks);
    let Discovery::Kubernetes(settings) = &prepared.jobs[0].discoveries[0] else { panic!("pods are discovered") };
    assert_eq!((settings.role, &settings.access), (Kind::Pod, &Access::InCluster));
    assert_eq!(settings.scopes("tributary")[0].field, "spec.nodeName=node7");
}
