//! Who the edge says it is: tokens, files that change, a proxy.

use crate::loki::{Loki, Mood};
use crate::program::{Place, numbered, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_by_client_credentials_is_kept_and_asked_for_anew_when_it_is_not_taken() {
    let (place, loki) = (Place::new(), Loki::start(Mood::Answers(204)).await);
    let secret = place.write("secret", "ge heim\n");
    let oauth2 = format!(
        "oauth2: {{client_id: edge, client_secret_file: {secret}, token_url: '{}', scopes: [a, b], endpoint_params: {{audience: logs}}}}",
        loki.token_url()
    );
    place.settings(&format!("[{{url: '{}', {oauth2}}}]", loki.url()), "", "");
    let edge = place.start();
    for n in 1..=3 {
        place.lines([n]);
        until("it is taken", &place, async || loki.lines().len() as u64 == n).await;
    }
    let tokens = loki.tokens();
    assert_eq!((tokens.len(), tokens[0].1.as_str()), (1, "audience=logs&grant_type=client_credentials&scope=a+b"));
    assert_eq!(tokens[0].0["authorization"], "Basic ZWRnZTpnZStoZWlt", "edge:ge+heim");
    assert!(loki.asked().iter().all(|asked| asked.header("authorization") == "Bearer token-1"));
    loki.judges(|asked| Mood::Answers(if asked.header("authorization") == "Bearer token-1" { 401 } else { 204 }));
    place.lines([4]);
    until("a new token is taken", &place, async || loki.lines() == numbered(1..=4)).await;
    assert_eq!(loki.tokens().len(), 2);
    edge.end();
    assert!(!place.said().contains("token-1") && !place.said().contains("ge heim"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_in_files_are_read_for_every_request() {
    let (place, loki) = (Place::new(), Loki::start(Mood::Answers(204)).await);
    let token = place.write("token", "first\n");
    place.settings(&format!("[{{url: '{}', bearer_token_file: {token}, backoff_config: {{min_period: 50ms, max_period: 100ms}}}}]", loki.url()), "", "");
    let edge = place.start();
    place.lines([1]);
    until("it is taken", &place, async || loki.lines().len() == 1).await;
    std::fs::remove_file(&token).unwrap();
    place.lines([2]);
    until("a file that is gone is told", &place, async || place.said().contains("token: No such file")).await;
    place.write("token", "second");
    until("it is taken too", &place, async || loki.lines() == numbered(1..=2)).await;
    let seen: Vec<String> = loki.asked().iter().map(|asked| asked.header("authorization").to_owned()).collect();
    assert_eq!(seen, ["Bearer first", "Bearer second"]);
    edge.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_asked_unless_the_host_needs_none() {
    let (place, proxy, loki) = (Place::new(), Loki::start(Mood::Answers(204)).await, Loki::start(Mood::Answers(204)).await);
    let clients = format!(
        "[{{url: 'http://loki.invalid/push', proxy_url: 'http://{0}'}}, {{url: '{1}', proxy_url: 'http://{0}', no_proxy: 127.0.0.1}}]",
        proxy.host(),
        loki.url()
    );
    place.settings(&clients, "", "");
    place.lines(1..=2);
    let edge = place.start();
    until("both have it", &place, async || proxy.lines().len() == 2 && loki.lines().len() == 2).await;
    assert_eq!(proxy.asked()[0].header("host"), "loki.invalid");
    edge.end();
}

/// Writes a certificate and its key as `NAME.crt` and `NAME.key`.
fn keep(place: &Place, name: &str, issued: &certs::Issued) -> (String, String) {
    let key = place.write(&format!("{name}.key"), &issued.key_pem);
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    (place.write(&format!("{name}.crt"), &issued.cert_pem), key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_goes_by_the_files_that_are_named_and_takes_new_ones() {
    let clock = proto_seam::World::real().clock;
    let domain = certs::TrustDomain::new("example.org").unwrap();
    let (authority, other) = (certs::Authority::generate(&domain, &clock).unwrap(), certs::Authority::generate(&domain, &clock).unwrap());
    let validity = || certs::Validity::days(&clock, 2).unwrap();
    let (gate, front, loki) = (Place::new(), Place::new(), Loki::start(Mood::Answers(204)).await);
    let ca = gate.write("ca.crt", authority.ca_pem());
    let (cert, key) = keep(&gate, "gate", &authority.issue_hub(&["loki.internal".to_owned()], validity()).unwrap());
    // A Loki behind TLS: an edge that is pushed to, asks for a certificate, and hands on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!(
        "{{http_listen_address: 127.0.0.1, http_listen_port: {port}, http_tls_config: {{cert_file: {cert}, key_file: {key}, client_ca_file: {ca}, client_auth_type: RequireAndVerifyClientCert}}}}"
    );
    gate.write(
        "edge.yaml",
        &format!(
            "server: {{http_listen_address: 127.0.0.1, http_listen_port: 0}}\npositions: {{filename: {}}}\nclients: [{{url: '{}'}}]\n\
             scrape_configs: [{{job_name: push, loki_push_api: {{server: {server}, labels: {{via: gate}}}}}}]\n",
            gate.path("positions.yaml"),
            loki.url()
        ),
    );
    let behind = gate.start();
    let named = |ca: &str, name: &str| {
        let (own, own_key) = (front.path("own.crt"), front.path("own.key"));
        let tls = format!("{{ca_file: {ca}, cert_file: {own}, key_file: {own_key}{name}}}");
        format!("[{{url: 'https://127.0.0.1:{port}/loki/api/v1/push', name: l, tls_config: {tls}, backoff_config: {{min_period: 50ms, max_period: 100ms}}}}]")
    };
    // A certificate of nobody that the gate knows, a name that the gate's certificate does not have, then what is right.
    let cluster = "alpha".parse().unwrap();
    keep(&front, "own", &other.issue_edge(&cluster, &"one".parse().unwrap(), validity()).unwrap());
    front.settings(&named(&ca, ", server_name: loki.internal"), "", "");
    front.lines(1..=2);
    let edge = front.start();
    until("the gate does not know it", &front, async || front.said().contains("a push was not taken")).await;
    let right = authority.issue_edge(&cluster, &"one".parse().unwrap(), validity()).unwrap();
    keep(&front, "own", &right);
    until("new files are taken", &front, async || loki.lines() == numbered(1..=2)).await;
    assert!(loki.asked()[0].streams[0].labels.to_string().contains("via=\"gate\""));
    let refused = front.said().matches("a push was not taken").count();
    front.settings(&named(&ca, ""), "", "");
    assert_eq!(edge.reload().await.0, 200);
    front.lines([3]);
    until("a certificate for another name is refused", &front, async || front.said().matches("a push was not taken").count() > refused).await;
    let strange = front.write("strange.crt", other.ca_pem());
    front.settings(&named(&strange, ", server_name: loki.internal"), "", "");
    assert_eq!(edge.reload().await.0, 200);
    let refused = front.said().matches("a push was not taken").count();
    until("a certificate of another authority is refused", &front, async || front.said().matches("a push was not taken").count() > refused).await;
    front.settings(&named(&ca, "").replace(&format!("ca_file: {ca}"), "insecure_skip_verify: true"), "", "");
    assert_eq!(edge.reload().await.0, 200);
    until("any certificate will do if told so", &front, async || loki.lines() == numbered(1..=3)).await;
    front.settings(&named(&ca, ", server_name: loki.internal").replace(&format!("ca_file: {ca}, "), ""), "", "");
    assert_eq!(edge.reload().await.0, 200);
    front.lines([4]);
    until("without a CA whom the machine trusts counts", &front, async || front.said().contains("this machine trusts nobody")).await;
    front.write("trusted.crt", authority.ca_pem());
    until("as it does now", &front, async || loki.lines() == numbered(1..=4)).await;
    edge.end();
    behind.end();
}
