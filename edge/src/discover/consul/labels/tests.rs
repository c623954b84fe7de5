use super::*;

const OF: Of<'_> = Of { service: "web", datacenter: "dc1", separator: "," };

#[test]
fn the_catalogues_instances_have_prometheus_labels() {
    let text = r#"[{
        "Node": {"Node": "n1", "Address": "10.0.0.1", "Meta": {"rack.id": "7"}},
        "Service": {"ID": "web-1", "Service": "web", "Tags": ["a", "b"], "Address": "10.1.0.1", "Port": 8080, "Meta": {"v": "2"},
                    "TaggedAddresses": {"wan": {"Address": "1.2.3.4", "Port": 80}}, "Namespace": "ns"},
        "Checks": [{"CheckID": "x", "Status": "passing"}, {"CheckID": "y", "Status": "critical"}]},
        {"Node": {"Node": "n2", "Address": "fd00::1"}, "Service": {"ID": "web-2", "Tags": null, "Address": "", "Port": 1},
         "Checks": [{"CheckID": "_node_maintenance", "Status": "critical"}]}]"#;
    let found = of_catalogue(&serde_json::from_str::<Vec<Instance>>(text).unwrap(), OF);
    let wanted = Labels::from_pairs([
        ("__address__", "10.1.0.1:8080"),
        ("__meta_consul_address", "10.0.0.1"),
        ("__meta_consul_node", "n1"),
        ("__meta_consul_metadata_rack_id", "7"),
        ("__meta_consul_service", "web"),
        ("__meta_consul_dc", "dc1"),
        ("__meta_consul_tags", ",a,b,"),
        ("__meta_consul_service_address", "10.1.0.1"),
        ("__meta_consul_service_port", "8080"),
        ("__meta_consul_service_id", "web-1"),
        ("__meta_consul_service_metadata_v", "2"),
        ("__meta_consul_tagged_address_wan", "1.2.3.4:80"),
        ("__meta_consul_namespace", "ns"),
        ("__meta_consul_health", "critical"),
    ]);
    assert_eq!(found[0], wanted);
    assert_eq!(found[1].value("__address__"), Some("[fd00::1]:1"));
    assert_eq!(found[1].value("__meta_consul_tags"), Some(",,"));
    assert_eq!(found[1].value("__meta_consul_health"), Some("maintenance"));
}

#[test]
fn an_agents_instances_have_promtails_labels() {
    let own = r#"{"Config": {"Datacenter": "dc1", "NodeName": "n1"}, "Member": {"Addr": "10.0.0.9"}, "Meta": {"rack": "7", "n": 5}}"#;
    let text = r#"[{"AggregatedStatus": "passing", "Service": {"ID": "w1", "Service": "web", "Port": 80, "Tags": ["a"]}},
                   {"AggregatedStatus": "warning", "Service": {"ID": "w2", "Service": "web", "Port": 81}}]"#;
    let found = of_agent(&serde_json::from_str::<Vec<OwnInstance>>(text).unwrap(), &serde_json::from_str(own).unwrap(), OF);
    let wanted = Labels::from_pairs([
        ("__address__", "10.0.0.9:80"),
        ("__meta_consulagent_address", "10.0.0.9"),
        ("__meta_consulagent_node", "n1"),
        ("__meta_consulagent_metadata_rack", "7"),
        ("__meta_consulagent_service", "web"),
        ("__meta_consulagent_dc", "dc1"),
        ("__meta_consulagent_tags", ",a,"),
        ("__meta_consulagent_service_port", "80"),
        ("__meta_consulagent_service_id", "w1"),
        ("__meta_consulagent_health", "warning"),
    ]);
    assert_eq!(found[0], wanted);
    assert_eq!(found[1].value("__meta_consulagent_service_id"), Some("w2"));
}

#[test]
fn services_are_wanted_by_name_and_by_all_of_the_tags() {
    let of = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert!(wanted("a", &[], &[], &[]));
    assert!(!wanted("a", &[], &of(&["b"]), &[]));
    assert!(wanted("a", &of(&["x", "y"]), &of(&["a"]), &of(&["y", "x"])));
    assert!(!wanted("a", &of(&["x"]), &[], &of(&["y", "x"])));
}
