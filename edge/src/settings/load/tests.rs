use proto_seam::World;

use super::*;

const FILE: &str = r#"server: {http_listen_port: 9080}
clients: []
hub: {url: 'https://${HUB:-hub}:9443', ca_file: /c, identity_dir: /i}
wal: {dir: /wal}
scrape_configs:
  - job_name: a
    static_configs: [{labels: {__path__: /a/b, x: "${X}"}}]
    relabel_configs: [{source_labels: [x], target_label: y, replacement: '$1'}]
"#;

fn loaded(text: &str, variables: Option<&[(&str, &str)]>, overrides: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    let (variables, overrides) = (variables.map(owned), owned(overrides));
    let world = World::real();
    let written =
        Written { file: "f.yaml", text, variables: variables.as_deref(), overrides: &overrides, host: "h", disk: world.disk.as_ref(), inspector: None };
    load(&written, Purpose::Run).map_err(|all| all.iter().map(ToString::to_string).collect())
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let loaded = loaded(&FILE.replace("${HUB:-hub}", "hub"), None, &[("server.http_listen_address", "127.0.0.1"), ("server.http_listen_port", "1")])
        .unwrap_or_else(|all| panic!("{all:?}"));
    let server = &loaded.settings.server;
    assert_eq!((server.http_listen_port, server.http_listen_address.as_str(), server.graceful_shutdown_timeout.0.as_secs()), (1, "127.0.0.1", 30));
}

#[test]
fn variables_are_put_in_and_what_looks_like_one_is_told() {
    let done = loaded(FILE, Some(&[("HUB", "h2")]), &[]).unwrap_or_else(|all| panic!("{all:?}"));
    assert_eq!(done.prepared.targets.current().host, "h2");
    let told: Vec<String> = done.prepared.remarks.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("f.yaml:7:52: warning: the variable X is not set"), "{}", told[0]);
    assert!(told[1].starts_with("f.yaml:8:") && told[1].contains("a group of an expression"), "{}", told[1]);
    let braces = FILE.replace("$1", "a${1}b$$1");
    let done = loaded(&braces, Some(&[("X", "1")]), &[]).unwrap_or_else(|all| panic!("{all:?}"));
    let told: Vec<&str> = done.prepared.remarks.iter().map(Remark::fix).collect();
    assert_eq!(told, ["write $${1}"]);
    let done = loaded(&FILE.replace("${HUB:-hub}", "hub"), None, &[]).unwrap_or_else(|all| panic!("{all:?}"));
    assert_eq!(done.prepared.remarks, [], "without the flag a dollar is a dollar");
    assert!(loaded("hub: ${X", Some(&[]), &[]).is_err());
}

#[test]
fn what_is_shown_reads_back_and_holds_no_secret() {
    let text = FILE.replace(
        "clients: []",
        "clients: [{url: 'http://l/', name: 'yes', basic_auth: {username: u, password: geheim}, headers: {X-Token: geheim}, bearer_token: geheim}]",
    );
    let tree: Value = proto_boot::settings::parse("f", &text).unwrap();
    let shown = show(&tree);
    assert_eq!(show(&serde_json::json!({"url": "http://user:geheim@h:1/p@q", "b": "http://h/p@q"})), "url: \"http://<secret>@h:1/p@q\"\nb: \"http://h/p@q\"\n");
    assert!(!shown.contains("geheim") && shown.contains("username: u\n"), "{shown}");
    let back: Value = proto_boot::settings::parse("f", &shown).unwrap_or_else(|all| panic!("{all:?} in {shown}"));
    let without = |mut tree: Value| {
        let client = tree["clients"][0].as_object_mut().unwrap();
        for key in ["basic_auth", "headers", "bearer_token"] {
            client.remove(key);
        }
        tree
    };
    assert_eq!(without(back), without(tree));
}
