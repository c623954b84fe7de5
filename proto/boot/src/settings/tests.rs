//! Settings: what is read, each kind of mistake with its line, column and fix, and the layers.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proto_seam::World;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Layers, load, parse, parse_all, place, read};
use crate::mistake::Mistake;
use crate::units::{Bytes, Span};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hub {
    #[serde(default)]
    http: Http,
    store: String,
    store_key_file: Option<String>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    lane: Lane,
    #[serde(default)]
    limits: BTreeMap<String, String>,
    #[serde(default)]
    stages: Vec<Stage>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default)]
struct Http {
    listen: String,
    path_prefix: String,
    port: u16,
    tls: Tls,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Tls {
    cert_file: String,
    on: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: "0.0.0.0:3100".to_owned(), path_prefix: String::new(), port: 80, tls: Tls::default() }
    }
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Lane {
    linger: Span,
    object_max: Bytes,
    share: f64,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Ingest,
    Query,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Docker {},
    Drop { source: String },
    Labels(BTreeMap<String, Option<String>>),
}

fn mistakes<T: serde::de::DeserializeOwned>(text: &str) -> Vec<String> {
    match parse::<T>("hub.yaml", text) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_full_file_is_read() {
    let text = r"
http: {listen: '127.0.0.1:3100', port: 0x50, tls: {on: yes}}
store: file:///data
store_key_file:
roles: [ingest, query]
lane:
  linger: 200ms
  object_max: 8MiB
  share: 0.7
limits: {max_query_series: 500, version: 1.10, truncate: true, zero: 007}
stages:
- docker
- docker: {}
- docker:
- drop: {source: app}
- labels: {level: , stream: out}
";
    let hub: Hub = parse("hub.yaml", text).expect("a good file");
    assert_eq!(hub.http, Http { listen: "127.0.0.1:3100".to_owned(), path_prefix: String::new(), port: 80, tls: Tls { cert_file: String::new(), on: true } });
    assert_eq!((hub.store.as_str(), &hub.store_key_file), ("file:///data", &None));
    assert_eq!(hub.roles, [Role::Ingest, Role::Query]);
    assert_eq!(hub.lane, Lane { linger: Span(std::time::Duration::from_millis(200)), object_max: Bytes(8 << 20), share: 0.7 });
    let limits: Vec<(&str, &str)> = hub.limits.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(limits, [("max_query_series", "500"), ("truncate", "true"), ("version", "1.10"), ("zero", "007")], "text stays as it was written");
    let labels = [("level".to_owned(), None), ("stream".to_owned(), Some("out".to_owned()))].into();
    assert_eq!(hub.stages, [Stage::Docker {}, Stage::Docker {}, Stage::Docker {}, Stage::Drop { source: "app".to_owned() }, Stage::Labels(labels)]);
}

#[test]
fn each_mistake_has_its_place_and_fix() {
    for (text, expected) in [
        ("store: a\nhttp:\n  lisen: b\n", "hub.yaml:3:3: error: unknown key \"lisen\"; fix: did you mean \"listen\""),
        ("store: a\nhttp: {zzzzzzzz: 1}\n", "hub.yaml:2:8: error: unknown key \"zzzzzzzz\"; fix: known here are listen, path_prefix, port, tls"),
        ("store: a\nstore: b\n", "hub.yaml:2:1: error: duplicate key \"store\", first given at line 1; fix: keep one of the two"),
        ("http: {port: 80}\n", "hub.yaml:1:1: error: key \"store\" is missing; fix: add store: with its value"),
        ("", "hub.yaml:1:1: error: key \"store\" is missing; fix: add store: with its value"),
        ("---\n", "hub.yaml:1:4: error: key \"store\" is missing; fix: add store: with its value"),
        (
            "store: a\nhttp: {port: 70000}\n",
            "hub.yaml:2:14: error: expected a whole number from 0 to 65535, found a whole number; fix: write a whole number from 0 to 65535",
        ),
        (
            "store: a\nhttp: {port: '80'}\n",
            "hub.yaml:2:14: error: expected a whole number from 0 to 65535, found text; fix: write a whole number from 0 to 65535",
        ),
        ("store: a\nhttp: {tls: {on: maybe}}\n", "hub.yaml:2:18: error: expected true or false, found text; fix: write true or false"),
        ("store: [a]\n", "hub.yaml:1:8: error: expected text, found a list; fix: write text"),
        ("store: a\nhttp: 3100\n", "hub.yaml:2:7: error: expected a map of keys, found a whole number; fix: write a map of keys"),
        ("store: a\nroles: ingest\n", "hub.yaml:2:8: error: expected a list, found text; fix: write a list"),
        ("store: a\nroles: [ingest, qery]\n", "hub.yaml:2:17: error: unknown value \"qery\"; fix: did you mean \"query\""),
        ("store: a\nlane: {linger: 200}\n", "hub.yaml:2:16: error: \"200\" is no length of time: a unit is missing; fix: write it like 500ms, 1h30m or 30d"),
        (
            "store: a\nlane:\n  object_max: 8 pigs\n",
            "hub.yaml:3:15: error: \"8 pigs\" is no size: its unit is none of B, KiB, MiB, GiB, TiB, PiB, EiB; fix: write it like 8MiB or 256KB",
        ),
        (
            "store: a\nstages:\n- drop: {source: x}\n  docker: {}\n",
            "hub.yaml:3:3: error: expected exactly one key, found 2; fix: keep one of docker, drop, labels",
        ),
        ("store: a\nstages:\n- drop: {}\n", "hub.yaml:3:9: error: key \"source\" is missing; fix: add source: with its value"),
        ("store: a\nstages:\n- dorp: {}\n", "hub.yaml:3:3: error: unknown value \"dorp\"; fix: did you mean \"drop\""),
        ("store: a\n---\nstore: b\n", "hub.yaml:2:1: error: a second document begins here; fix: keep one document: remove the line --- and what follows it"),
        ("store: !secret a\n", "hub.yaml:1:16: error: tag \"!secret\" has no meaning here; fix: remove the tag"),
        ("store: a\n? [x]\n: y\n", "hub.yaml:2:3: error: a key is no text; fix: write a plain name before the colon"),
    ] {
        assert_eq!(mistakes::<Hub>(text), [expected], "{text}");
    }
}

#[test]
fn broken_yaml_is_told_with_its_place() {
    for (text, at) in [
        ("store: [a\n", "hub.yaml:"),
        ("store: a\n\tb: c\n", "hub.yaml:1:8:"),
        ("store: 'a\n", "hub.yaml:"),
        ("store: *nobody\n", "hub.yaml:1:8:"),
        ("a: b: c\n", "hub.yaml:1:"),
    ] {
        let told = mistakes::<Hub>(text);
        assert!(
            told.len() == 1
                && told[0].starts_with(at)
                && told[0].contains("error: not valid yaml: ")
                && told[0].ends_with("; fix: mend the yaml here or just above"),
            "{told:?}"
        );
    }
}

#[test]
fn all_mistakes_are_told_together_and_once() {
    let text =
        "http: {lisen: a, port: x, tls: {on: 5}}\nlane: {linger: 1, linger: 2s, object_max: y}\nroles: [a, ingest, b]\nstages:\n- drop:\n- nothing\nextra: 1\n";
    let places: Vec<String> = parse::<Hub>("f", text).expect_err("mistakes").iter().map(|m| format!("{}:{} {}", m.line, m.column, m.text)).collect();
    assert_eq!(
        places,
        [
            "1:1 key \"store\" is missing",
            "1:8 unknown key \"lisen\"",
            "1:24 expected a whole number from 0 to 65535, found text",
            "1:37 expected true or false, found a whole number",
            "2:16 \"1\" is no length of time: a unit is missing",
            "2:19 duplicate key \"linger\", first given at line 2",
            "2:43 \"y\" is no size: it does not begin with a number",
            "3:9 unknown value \"a\"",
            "3:20 unknown value \"b\"",
            "5:7 key \"source\" is missing",
            "6:3 unknown value \"nothing\"",
            "7:1 unknown key \"extra\"",
        ]
    );
}

#[derive(Debug, Deserialize)]
struct Strict {
    #[expect(dead_code, reason = "only its absence matters")]
    first: std::net::SocketAddr,
    #[expect(dead_code, reason = "only its absence matters")]
    second: u32,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only its mistakes matter")]
struct Outer {
    inner: Strict,
    other: Option<Strict>,
}

#[test]
fn what_follows_from_a_mistake_is_not_told() {
    // A bad value of a required key is one mistake, not also a missing key; a missing key that nothing can stand in for ends its map only.
    assert_eq!(mistakes::<Outer>("inner: {first: nonsense, second: 1}"), ["hub.yaml:1:16: error: invalid socket address syntax; fix: correct the value"]);
    let told = mistakes::<Outer>("inner: {second: x}\nother: {first: '1.2.3.4:5'}\n");
    assert_eq!(
        told,
        [
            "hub.yaml:1:8: error: key \"first\" is missing; fix: add first: with its value",
            "hub.yaml:1:17: error: expected a whole number from 0 to 4294967295, found text; fix: write a whole number from 0 to 4294967295",
            "hub.yaml:2:8: error: key \"second\" is missing; fix: add second: with its value"
        ]
    );
}

#[derive(Debug, Deserialize)]
struct Token {
    id: Spanned<proto_model::TokenId>,
}

#[test]
fn a_missing_value_that_a_type_checks_itself_is_one_mistake() {
    let (tokens, told) = parse_all::<BTreeMap<String, Vec<Token>>>("f", "t: [{}, {id: a}]\n");
    assert_eq!(told.iter().map(ToString::to_string).collect::<Vec<_>>(), ["f:1:5: error: key \"id\" is missing; fix: add id: with its value"]);
    let ids: Vec<String> = tokens.expect("the rest")["t"].iter().map(|token| token.id.value.to_string()).collect();
    assert_eq!(ids, ["a"]);
}

#[test]
fn the_rest_is_given_beside_the_mistakes() {
    let (hub, told) = parse_all::<Hub>("f", "store: a\nroles: [ingest, nobody]\nhttp: {port: x}\n");
    let hub = hub.expect("enough is left");
    assert_eq!((hub.roles, hub.http.port, told.len()), (vec![Role::Ingest], 80, 2));
}

#[test]
fn aliases_and_merges_are_read() {
    let text = "a: &a {listen: x, port: 1}\nb: {<<: *a, port: 2}\nc: {<<: [*a, {path_prefix: p, port: 3}]}\nd: *a\n";
    let maps: BTreeMap<String, Http> = parse("f", text).expect("good");
    let shape = |key: &str| (maps[key].listen.as_str(), maps[key].path_prefix.as_str(), maps[key].port);
    assert_eq!((shape("a"), shape("b"), shape("c"), shape("d")), (("x", "", 1), ("x", "", 2), ("x", "p", 1), ("x", "", 1)));
}

#[test]
fn an_alias_bomb_ends_in_a_mistake() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", ")));
    }
    let told = mistakes::<BTreeMap<String, serde_json::Value>>(&text);
    assert!(told[0].contains("the file expands to more than 500000 values") && told[0].ends_with("fix: use fewer aliases or a smaller file"), "{told:?}");
    let itself = mistakes::<BTreeMap<String, serde_json::Value>>("a: &a [*a]\n");
    assert_eq!(itself, ["hub.yaml:1:8: error: the alias stands inside of what it refers to; fix: write the value out"]);
}

#[test]
fn deep_nesting_ends_in_a_mistake() {
    for text in ["[".repeat(10_000), "- ".repeat(10_000), format!("a: {}1{}", "{b: ".repeat(80), "}".repeat(80))] {
        assert_eq!(mistakes::<BTreeMap<String, serde_json::Value>>(&text).len(), 1);
    }
}

fn layered(text: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Hub, Vec<Mistake>> {
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
    read(&Layers { file: "hub.yaml", text, env_prefix: "TRIBUTARY_HUB", env: &owned(env), overrides: &owned(flags) })
}

#[test]
fn later_layers_win_key_by_key() {
    let hub = layered(
        "store: file\nhttp: {listen: file, path_prefix: file, port: 1}\n",
        &[
            ("TRIBUTARY_HUB_HTTP_LISTEN", "env"),
            ("TRIBUTARY_HUB_HTTP_PATH_PREFIX", "env"),
            ("TRIBUTARY_HUB_HTTP_TLS_CERT_FILE", "env"),
            ("TRIBUTARY_HUB_STORE_KEY_FILE", "key"),
            ("TRIBUTARY_HUB_ROLES", "ingest,query"),
            ("TRIBUTARY_HUB_LIMITS_MAX_LINE_SIZE", "1MB"),
            ("TRIBUTARY_HUB_LANE_LINGER", "1s"),
            ("TRIBUTARY_HUBX_STORE", "other"),
            ("PATH", "/bin"),
        ],
        &[("http.listen", "flag"), ("lane.object_max", "1KiB"), ("http.tls.on", "true"), ("limits", "{max_query_series: 7}")],
    );
    let hub = hub.expect("good layers");
    assert_eq!((hub.http.listen.as_str(), hub.http.path_prefix.as_str(), hub.http.port), ("flag", "env", 1));
    assert_eq!(hub.http.tls, Tls { cert_file: "env".to_owned(), on: true });
    assert_eq!((hub.store.as_str(), hub.store_key_file.as_deref()), ("file", Some("key")));
    assert_eq!(hub.roles, [Role::Ingest, Role::Query]);
    assert_eq!(hub.lane, Lane { linger: Span::from_secs(1), object_max: Bytes(1024), share: 0.0 });
    let limits: Vec<_> = hub.limits.into_iter().collect();
    assert_eq!(limits, [("max_line_size".to_owned(), "1MB".to_owned()), ("max_query_series".to_owned(), "7".to_owned())]);
}

#[test]
fn mistakes_of_variables_and_flags_name_them() {
    let told = |env: &[(&str, &str)], flags: &[(&str, &str)]| {
        layered("store: a\n", env, flags).expect_err("mistakes").iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        told(&[("TRIBUTARY_HUB_HTTP_PORT", "x")], &[]),
        ["TRIBUTARY_HUB_HTTP_PORT:0:0: error: expected a whole number from 0 to 65535, found text; fix: write a whole number from 0 to 65535"]
    );
    assert_eq!(
        told(&[("TRIBUTARY_HUB_HTTP_LISEN", "x")], &[]),
        ["TRIBUTARY_HUB_HTTP_LISEN:0:0: error: this variable names no setting; fix: did you mean TRIBUTARY_HUB_HTTP_LISTEN"]
    );
    assert_eq!(told(&[], &[("http.lisen", "x")]), ["--http.lisen:0:0: error: unknown key \"lisen\"; fix: did you mean \"listen\""]);
    assert_eq!(told(&[], &[("roles", "ingest,cook")]), ["--roles:0:0: error: unknown value \"cook\"; fix: known here are ingest, query"]);
    let broken = told(&[], &[("roles", "[ingest")]);
    assert!(broken.len() == 1 && broken[0].starts_with("--roles:0:0: error: not valid yaml: "), "{broken:?}");
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_are_passed_over() {
    let env = [
        ("TRIBUTARY_HUB_SERVICE_HOST", "10.0.0.1"),
        ("TRIBUTARY_HUB_SERVICE_PORT", "3100"),
        ("TRIBUTARY_HUB_SERVICE_PORT_HTTP", "3100"),
        ("TRIBUTARY_HUB_PORT", "tcp://10.0.0.1:3100"),
        ("TRIBUTARY_HUB_PORT_3100_TCP_ADDR", "10.0.0.1"),
        ("TRIBUTARY_HUB_HEADLESS_SERVICE_HOST", "10.0.0.1"),
    ];
    assert_eq!(layered("store: a\n", &env, &[]).expect("passed over").store, "a");
}

#[derive(Debug, Deserialize)]
struct Placed {
    version: Spanned<u32>,
    tenants: BTreeMap<String, Vec<Spanned<String>>>,
    names: Vec<(Spanned<String>, u8)>,
}

#[test]
fn spanned_values_know_their_place() {
    let placed: Placed = parse("f", "version: 3\ntenants:\n  acme:\n  - alpha\n  -  beta\nnames: [[x, 1]]\n").expect("good");
    assert_eq!((placed.version.value, place(&placed.version)), (3, (1, 10)));
    let clusters: Vec<_> = placed.tenants["acme"].iter().map(|c| (c.value.as_str(), place(c))).collect();
    assert_eq!(clusters, [("alpha", (4, 5)), ("beta", (5, 6))]);
    assert_eq!((placed.names[0].1, place(&placed.names[0].0)), (1, (6, 10)));
    assert_eq!(
        mistakes::<Placed>("version: x\ntenants: {}\nnames: []\n"),
        ["hub.yaml:1:10: error: expected a whole number from 0 to 4294967295, found text; fix: write a whole number from 0 to 4294967295"]
    );
}

#[test]
fn a_file_is_loaded_from_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = World::real().disk;
    let file = dir.path().join("hub.yaml");
    disk.write_all(&file, b"store: x\n").expect("written");
    let hub: Hub = load(&*disk, &file, "TRIBUTARY_TEST_NONE", &[("http.port".to_owned(), "7".to_owned())]).expect("good");
    assert_eq!((hub.store.as_str(), hub.http.port), ("x", 7));

    disk.write_all(&file, b"store: \xff\n").expect("written");
    let told = load::<Hub>(&*disk, &file, "", &[]).expect_err("not text");
    assert_eq!((told[0].line, told[0].text.as_str()), (1, "the file is not utf-8"));
    let told = load::<Hub>(&*disk, &dir.path().join("none.yaml"), "", &[]).expect_err("no file");
    assert!(told[0].text.starts_with("cannot read the file: ") && told[0].file.ends_with("none.yaml"), "{told:?}");
}

#[test]
fn a_mistake_is_one_line_whatever_the_input_held() {
    let told = mistakes::<Hub>("store: a\n\"x\\e[31m\\ny\": 1\n");
    assert_eq!(told.len(), 1);
    assert!(!told[0].contains(['\n', '\u{1b}']), "{told:?}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-c:\\[\\]{}&*<>,'\"|#%!\n -]{0,80}") {
        let (_, told) = parse_all::<BTreeMap<String, serde_json::Value>>("f", &text);
        prop_assert!(told.iter().all(|mistake| !mistake.to_string().contains('\n')));
        let (_, told) = parse_all::<Hub>("f", &text);
        prop_assert!(told.len() <= crate::limits::MISTAKES_MAX);
    }

    #[test]
    fn json_is_read_as_itself(value in arbitrary_json()) {
        let text = serde_json::to_string(&value).expect("json");
        prop_assert_eq!(parse::<serde_json::Value>("f", &text), Ok(value));
    }
}

fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        "[a-zA-Z0-9 :#\\[-]{0,12}".prop_map(serde_json::Value::from),
    ];
    let tree = leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-z<]{1,8}", inner, 0..5).prop_map(|map| map.into_iter().collect::<serde_json::Value>()),
        ]
    });
    prop::collection::btree_map("[a-z]{1,8}", tree, 0..5).prop_map(|map| map.into_iter().collect())
}
