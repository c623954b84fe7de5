use super::*;

const ASKED: Asked = Asked { port: 80, host_networking_host: String::new(), match_first_network: false };

fn containers() -> Vec<Container> {
    serde_json::from_str(
        r#"[
        {"Id": "aa", "Names": ["/web"], "State": "running", "Created": 5, "Labels": {"com.docker.compose.service": "web", "tier": "front"},
         "HostConfig": {"NetworkMode": "site"},
         "Ports": [{"IP": "0.0.0.0", "PrivatePort": 8080, "PublicPort": 80, "Type": "tcp"}, {"PrivatePort": 9000, "Type": "tcp"}, {"PrivatePort": 53, "Type": "udp"}],
         "NetworkSettings": {"Networks": {"site": {"NetworkID": "n1", "IPAddress": "10.0.0.2"}, "back": {"NetworkID": "n2", "IPAddress": "fd00::2"}}}},
        {"Id": "bb", "Names": ["/side"], "HostConfig": {"NetworkMode": "container:aa"}, "Labels": null, "Ports": null, "NetworkSettings": {"Networks": null}},
        {"Id": "cc", "Names": ["/own"], "HostConfig": {"NetworkMode": "host"}, "NetworkSettings": {"Networks": {"host": {"NetworkID": "n3", "IPAddress": ""}}}},
        {"Id": "dd", "Names": ["/ring"], "HostConfig": {"NetworkMode": "container:dd"}, "NetworkSettings": {}},
        {"Id": "ee", "Names": null, "HostConfig": {"NetworkMode": "none"}, "NetworkSettings": {"Networks": {"none": {"NetworkID": "n4"}}}}]"#,
    )
    .unwrap()
}

fn networks() -> Vec<Network> {
    serde_json::from_str(
        r#"[{"Id": "n1", "Name": "site", "Scope": "local", "Internal": false, "Ingress": false, "Labels": {"my.key": "v"}},
            {"Id": "n2", "Name": "back", "Scope": "local", "Internal": true, "Ingress": false, "Labels": {}}]"#,
    )
    .unwrap()
}

fn of(id: &str, asked: &Asked) -> Vec<Labels> {
    let containers = containers();
    let all: BTreeMap<&str, &Container> = containers.iter().map(|container| (container.id.as_str(), container)).collect();
    sets(all[id], &all, &networks(), asked)
}

#[test]
fn a_container_has_a_set_for_each_network_and_tcp_port() {
    let found = of("aa", &ASKED);
    let addresses: Vec<_> = found.iter().map(|labels| labels.value("__address__").unwrap()).collect();
    assert_eq!(addresses, ["[fd00::2]:8080", "[fd00::2]:9000", "10.0.0.2:8080", "10.0.0.2:9000"]);
    let wanted = Labels::from_pairs([
        ("__address__", "10.0.0.2:8080"),
        ("__meta_docker_container_id", "aa"),
        ("__meta_docker_container_name", "/web"),
        ("__meta_docker_container_network_mode", "site"),
        ("__meta_docker_container_label_com_docker_compose_service", "web"),
        ("__meta_docker_container_label_tier", "front"),
        ("__meta_docker_network_id", "n1"),
        ("__meta_docker_network_name", "site"),
        ("__meta_docker_network_scope", "local"),
        ("__meta_docker_network_internal", "false"),
        ("__meta_docker_network_ingress", "false"),
        ("__meta_docker_network_label_my_key", "v"),
        ("__meta_docker_network_ip", "10.0.0.2"),
        ("__meta_docker_port_private", "8080"),
        ("__meta_docker_port_public", "80"),
        ("__meta_docker_port_public_ip", "0.0.0.0"),
    ]);
    assert_eq!(found[2], wanted);
    assert_eq!(found[3].value("__meta_docker_port_public"), None);
    let first = of("aa", &Asked { match_first_network: true, ..ASKED });
    assert_eq!(first, found[..2]);
}

#[test]
fn a_shared_network_is_that_of_the_other_container() {
    let found = of("bb", &ASKED);
    let addresses: Vec<_> = found.iter().map(|labels| labels.value("__address__").unwrap()).collect();
    assert_eq!(addresses, ["[fd00::2]:80", "10.0.0.2:80"]);
    assert_eq!(of("dd", &ASKED), []);
}

#[test]
fn the_hosts_network_has_the_address_of_the_settings() {
    let found = of("cc", &Asked { host_networking_host: "me".into(), ..ASKED });
    assert_eq!(found[0].value("__address__"), Some("me"));
    assert_eq!(found[0].value("__meta_docker_network_ip"), None, "an empty label is none");
    assert_eq!(of("ee", &ASKED), [], "a container without a name is not known, as in Prometheus");
}
