use super::*;

#[test]
fn settings_are_shown_without_secrets() {
    let text = "store: s3://logs/a\ns3: {access_key_id: AKIA1, secret_access_key: hush}\ntenants: {file: t.yaml}\nlink: {cert_file: a, key_file: b, client_ca_file: c, trust_domain: d}\n";
    let settings: HubSettings = serde_saphyr::from_str(text).unwrap();
    let yaml = shown(&settings, &hub_tenant::Limits::default());
    assert!(!yaml.contains("hush") && !yaml.contains("AKIA1"), "{yaml}");
    let read: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(read["store"], "s3://logs/a");
    assert_eq!(read["s3"]["secret_access_key"], "<secret>");
    assert_eq!(read["lane"]["linger"], "200ms");
    assert_eq!(read["limits"]["max_query_series"], 500);
    assert_eq!(read["log"]["level"], "info");
}

#[test]
fn levels_have_lokis_names() {
    assert_eq!(level("debug"), Some(LogLevel::Debug));
    assert_eq!(level("loud"), None);
    assert_eq!(level(""), None);
}
