use proto_boot::settings::parse_all;

use super::*;
use crate::settings::EdgeSettings;

fn clients(text: &str) -> Vec<Result<Target, Unfit>> {
    let (parsed, mistakes) = parse_all::<EdgeSettings>("e.yaml", &format!("clients: {text}\n"));
    assert!(mistakes.is_empty(), "{mistakes:?}");
    parsed.unwrap().clients.iter().map(Target::new).collect()
}

fn one(text: &str) -> Target {
    clients(&format!("[{{{text}}}]")).remove(0).unwrap()
}

#[test]
fn a_name_stands_for_the_same_loki_and_holds_no_secret() {
    let plain = one("url: 'https://loki.example/loki/api/v1/push'");
    assert_eq!((plain.name.len(), plain.host.as_str()), (6, "loki.example"));
    for same in ["url: 'https://loki.example:443/loki/api/v1/push'", "url: 'https://user:geheim@loki.example/loki/api/v1/push', batchwait: 5s"] {
        assert_eq!(one(same).name, plain.name, "{same}");
    }
    for other in [
        "url: 'http://loki.example/loki/api/v1/push'",
        "url: 'https://loki.example:444/loki/api/v1/push'",
        "url: 'https://loki.example/loki/api/v1/push?x=1'",
        "url: 'https://loki.example/loki/api/v1/push', tenant_id: a",
        "url: 'https://loki.example/loki/api/v1/push', external_labels: {a: b}",
    ] {
        assert_ne!(one(other).name, plain.name, "{other}");
    }
    let named = one("url: 'http://u:geheim@l:3100/push', name: '../über', headers: {X-A: geheim}, bearer_token: geheim");
    assert_eq!((named.name.as_str(), named.host.as_str(), named.key().len()), ("../über", "l:3100", 16));
    assert!(named.key().chars().all(|c| c.is_ascii_hexdigit()));
    assert!(!format!("{:?}", named.headers).contains("geheim"));
}

#[test]
fn what_cannot_be_sent_is_refused_with_what_to_write() {
    for (text, word) in [
        ("url: 'loki:3100'", "no http:// or https:// url"),
        ("url: 'file:///x'", "no http:// or https:// url"),
        ("url: 'http://l/p', timeout: 0s", "timeout is 0"),
        ("url: 'http://l/p', headers: {'a b': c}", "header \"a b\""),
        ("url: 'http://l/p', headers: {a: \"c\\n\"}", "header \"a\""),
        ("url: 'http://l/p', tenant_id: \"a\\nb\"", "tenant_id"),
        ("url: 'http://l/p', proxy_url: 'l:1'", "proxy_url"),
        ("url: 'http://l/p', tls_config: {min_version: TLS9}", "TLS version \"TLS9\""),
        ("url: 'http://l/p', tls_config: {max_version: TLS11}", "older than TLS 1.2"),
        ("url: 'http://l/p', http_headers: {'a b': {values: [c]}}", "http_headers"),
        ("url: 'http://l/p', http_headers: {Authorization: {secrets: [c]}}", "set by the edge itself"),
        ("url: 'http://l/p', tls_config: {min_version: TLS13, max_version: TLS12}", "newer than its max_version"),
        ("url: 'http://l/p', tls_config: {cert_file: /x}", "without its key"),
        ("url: 'http://l/p', oauth2: {token_url: nowhere}", "oauth2.token_url"),
        ("url: 'http://l/p', basic_auth: {username: a}, bearer_token: b", "more than one of basic_auth"),
    ] {
        let found = clients(&format!("[{{{text}}}]")).remove(0).unwrap_err();
        assert!(found.text.contains(word) && !found.fix.is_empty(), "{text}: {found:?}");
    }
    for fine in ["tls_config: {server_name: x}", "tls_config: {server_name: x, insecure_skip_verify: true}", "proxy_url: 'http://p:1', no_proxy: a"] {
        one(&format!("url: 'http://l/p', {fine}"));
    }
}
