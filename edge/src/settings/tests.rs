use edge_wal::WhenFull;
use proto_boot::settings::parse_all;
use proto_wire::Compression;

use super::*;

/// All mistakes of a settings file, as they are printed, without the file's name.
fn mistakes(text: &str) -> Vec<String> {
    let (parsed, mut found) = parse_all::<EdgeSettings>("e.yaml", text);
    if let Some(Err(more)) = parsed.map(|parsed| parsed.prepare("e.yaml", "host1")) {
        found.extend(more);
    }
    found.iter().map(|mistake| mistake.to_string().replacen("e.yaml:", "", 1)).collect()
}

fn prepared(text: &str) -> Prepared {
    let (parsed, found) = parse_all::<EdgeSettings>("e.yaml", text);
    assert!(found.is_empty(), "{found:?}");
    parsed.unwrap().prepare("e.yaml", "host1").unwrap_or_else(|found| panic!("{found:?}"))
}

const REST: &str = "hub: {url: 'https://hub:9443', ca_file: /ca.crt, identity_dir: /id}\nwal: {dir: /wal}\n";

#[test]
fn a_canary_is_off_unless_asked_for() {
    let with = |canary: &str| format!("{REST}{canary}");
    assert_eq!(prepared(&with("")).canary, None);
    assert_eq!(prepared(&with("canary: {every: 0s}\n")).canary, None);
    let asked = prepared(&with("canary: {every: 10s}\n")).canary.unwrap();
    assert_eq!((asked.every, asked.edge.as_str()), (Duration::from_secs(10), "host1"));
    assert_eq!(mistakes(&with("canary: {every: 10ms}\n")), ["3:17: error: canary.every is shorter than 100ms; fix: write 0s for none, or 10s or so"]);
}

#[test]
fn a_promtail_file_with_hub_and_wal_is_taken_whole() {
    let text = r#"
server: {http_listen_address: 127.0.0.1, http_listen_port: 9080, grpc_listen_port: 0, log_level: warn, health_check_target: false}
positions: {filename: /tmp/positions.yaml, sync_period: 10s, ignore_invalid_yaml: true}
target_config: {sync_period: 10s}
scrape_configs:
  - job_name: system
    encoding: utf-8
    static_configs:
      - targets: [localhost]
        labels: {job: varlogs, env: prod, __path__: '/var/log/*.log', __path_exclude__: /var/log/private.log}
      - labels: {job: elsewhere, __host__: host2, __path__: /var/log/elsewhere.log}
    relabel_configs:
      - {source_labels: [env], target_label: environment}
      - {action: labeldrop, regex: env}
    pipeline_stages:
      - cri: {}
      - match: {selector: '{job="varlogs"}', stages: [{regex: {expression: '(?P<level>\w+)'}}, {labels: {level: }}]}
  - job_name: containers
    static_configs: [{labels: {__path__: /var/log/pods/*/*/*.log}}]
hub:
  url: ['https://one:9443', 'https://two:9443']
  ca_file: /ca.crt
  identity_dir: /id
  server_name: hub.example
  transport: grpc
  compression: snappy
  proxy_url: http://proxy:3128
  bandwidth: 1MB
wal: {dir: /wal, max_bytes: 64MB, max_age: 24h, when_full: drop_oldest, grace_bytes: 8MB, grace_age: 30m}
batch: {max_bytes: 512KB, max_wait: 250ms}
"#;
    let done = prepared(text);
    let names: Vec<(&str, usize)> = done.jobs.iter().map(|job| (job.name.as_str(), job.targets.len())).collect();
    assert_eq!(names, [("system", 1), ("containers", 1)], "another host's target is left out");
    let target = &done.jobs[0].targets[0];
    assert_eq!(target.labels.to_string(), r#"{environment="prod", job="varlogs"}"#);
    assert!(target.exclude.is_some() && target.pattern.as_str() == "/var/log/*.log");
    assert_eq!(done.transport, TransportChoice::Grpc);
    assert_eq!((done.gather.bytes_max, done.gather.wait_max, done.gather.compression), (512 * 1024, Duration::from_millis(250), Compression::Snappy));
    assert_eq!((done.wal.max_bytes, done.wal.max_age), (64 << 20, Duration::from_secs(86_400)));
    assert!(matches!(done.wal.when_full, WhenFull::DropOldest));
    assert_eq!((done.wal.grace_bytes, done.wal.grace_age, done.wal.file_bytes), (8 << 20, Duration::from_secs(1_800), 8 << 20));
    assert_eq!(done.targets.current().host, "one");
    assert_eq!(done.remarks.len(), 1, "`positions` has no effect: {:?}", done.remarks);
}

#[test]
fn the_smallest_file_has_the_documented_defaults() {
    let done = prepared(REST);
    assert_eq!((done.wal.max_bytes, done.wal.grace_bytes, done.wal.file_bytes), (10 << 30, 1 << 30, 64 << 20));
    assert!(matches!(done.wal.when_full, WhenFull::Block));
    assert_eq!((done.wal.max_age, done.wal.grace_age), (Duration::ZERO, Duration::from_secs(3_600)));
    assert_eq!((done.gather.bytes_max, done.gather.wait_max, done.gather.compression), (1 << 20, Duration::from_secs(1), Compression::Zstd));
    assert_eq!(done.transport, TransportChoice::Auto);
    assert!(done.jobs.is_empty() && done.remarks.is_empty());
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let scrape = |job: &str| format!("scrape_configs:\n  - {job}\n{REST}");
    let one = |glob: &str| scrape(&format!("{{job_name: a, static_configs: [{{labels: {{__path__: '{glob}'}}}}]}}"));
    // Text, line and column of the first mistake, a word of it.
    let table: Vec<(String, &str, &str)> = vec![
        (format!("{REST}wals: {{}}\n"), "3:1:", "wals"),
        (format!("{REST}server: {{log_levl: warn}}\n"), "3:10:", "log_levl"),
        (format!("{REST}server: {{log_level: loud}}\n"), "3:21:", "loud"),
        (format!("{REST}server: {{http_listen_port: 99999}}\n"), "3:28:", "65535"),
        (format!("{REST}batch: {{max_bytes: 1GB}}\n"), "3:20:", "batch.max_bytes"),
        (format!("{REST}batch: {{max_wait: soon}}\n"), "3:19:", "soon"),
        (format!("{REST}wal: {{dir: /other}}\n"), "3:1:", "wal"),
        (format!("{REST}client: {{url: 'loki/push'}}\n"), "3:15:", "no http:// or https:// url"),
        ("hub: {url: 'https://hub:9443', ca_file: /c, identity_dir: /i}\nwal: {dir: /wal, sink_max_lag: 90%}\n".to_owned(), "2:32:", "sink_max_lag"),
        ("hub: {url: 'https://hub:9443', ca_file: /c, identity_dir: /i}\nwal: {dir: /wal, sink_max_lag: much}\n".to_owned(), "2:32:", "sink_max_lag"),
        ("wal: {dir: /wal}\n".to_owned(), "", "hub"),
        ("hub: {url: 'http://hub:1', ca_file: /c, identity_dir: /i}\nwal: {dir: /wal}\n".to_owned(), "1:12:", "https"),
        ("hub: {url: 'https://hub:9443', ca_file: /c, identity_dir: /i, transport: tcp}\nwal: {dir: /wal}\n".to_owned(), "1:74:", "tcp"),
        ("hub: {url: 'https://hub:9443', ca_file: /c, identity_dir: /i, compression: lz4}\nwal: {dir: /wal}\n".to_owned(), "1:76:", "lz4"),
        ("hub: {url: 'https://hub:9443', ca_file: /c, identity_dir: /i}\nwal: {dir: /wal, max_bytes: 1MB}\n".to_owned(), "2:29:", "wal.max_bytes"),
        ("hub: {url: 'https://hub:9443', ca_file: /c, identity_dir: /i}\nwal: {dir: /wal, when_full: panic}\n".to_owned(), "2:29:", "panic"),
        (scrape("{job_name: a}"), "2:16:", "names no files"),
        (scrape("{static_configs: []}"), "2:5:", "job_name"),
        (scrape("{job_name: a, static_configs: [{labels: {job: x}}]}"), "2:45:", "__path__"),
        (one("/*"), "", "whole disk"),
        (one("var/log"), "", "not absolute"),
        (one("/var/../etc/*"), "", ".."),
        (scrape("{job_name: a, encoding: klingon, static_configs: [{labels: {__path__: /a/b}}]}"), "2:29:", "klingon"),
        (scrape("{job_name: a, decompression: {enabled: true, format: zip}, static_configs: [{labels: {__path__: /a/b}}]}"), "2:", "zip"),
        (scrape("{job_name: a, static_configs: [{labels: {9x: y, __path__: /a/b}}]}"), "2:50:", "9x"),
        (scrape("{job_name: a, static_configs: [{labels: {__path__: /a/b}}], pipeline_stages: [{regex: {expression: '('}}]}"), "2:", "regex"),
        (scrape("{job_name: a, static_configs: [{labels: {__path__: /a/b}}], pipeline_stages: [{sampling: {rate: 1.1}}]}"), "2:", "sampling"),
        (scrape("{job_name: a, static_configs: [{labels: {__path__: /a/b}}], relabel_configs: [{action: explode}]}"), "2:", "explode"),
        (scrape("{job_name: a, kafka: {brokers: ['a:9092'], topics: []}}"), "2:", "needs brokers and topics"),
        (scrape("{job_name: a, kafka: {brokers: ['a:9092:'], topics: [t]}}"), "2:", "is no broker"),
        (scrape("{job_name: a, kafka: {brokers: ['a:9092'], topics: ['^(']}}"), "2:", "correct it"),
        (scrape("{job_name: a, kafka: {brokers: [a], topics: [t], authentication: {type: sasl, sasl_config: {mechanism: GSSAPI, user: u}}}}"), "2:", "GSSAPI"),
        (scrape("{job_name: a, kafka: {brokers: [a], topics: [t], authentication: {type: sasl, sasl_config: {mechanism: PLAIN}}}}"), "2:", "names no user"),
        (
            scrape("{job_name: a, kafka: {brokers: [a], topics: [t], authentication: {type: ssl, tls_config: {insecure_skip_verify: true}}}}"),
            "2:",
            "insecure_skip_verify",
        ),
        (scrape("{job_name: a, heroku_drain: {}}"), "2:33:", "heroku_drain"),
        (
            format!(
                "scrape_configs:\n  - {{job_name: a, static_configs: [{{labels: {{__path__: /a/b}}}}]}}\n  - {{job_name: a, static_configs: [{{labels: {{__path__: /a/c}}}}]}}\n{REST}"
            ),
            "3:16:",
            "twice",
        ),
        ("hub: [\n".to_owned(), "", ""),
        (String::new(), "", "hub"),
    ];
    let mut untold = Vec::new();
    for (text, place, word) in table {
        let found = mistakes(&text);
        assert!(found.iter().all(|mistake| mistake.contains("; fix: ")), "{found:?}");
        if !found.iter().any(|mistake| mistake.starts_with(place) && mistake.contains(word)) {
            untold.push(format!("{place} {word} is not in {found:#?} of {text}"));
        }
    }
    assert!(untold.is_empty(), "{}", untold.join("\n"));
}

#[test]
fn all_mistakes_are_told_together() {
    let text = "hub: {url: 'https://hub:9443', ca_file: /c, identity_dir: /i, transport: tcp, compression: lz4}\nwal: {dir: /wal, when_full: never}\nbatch: {max_bytes: 1B}\n";
    let found = mistakes(text);
    for word in ["tcp", "lz4", "never", "batch.max_bytes"] {
        assert!(found.iter().any(|mistake| mistake.contains(word)), "{word} is not in {found:#?}");
    }
    assert_eq!(found.len(), 4);
}

#[test]
fn the_backlogs_share_leaves_something_to_live_lines() {
    let with = |share: &str| format!("hub: {{url: 'https://hub:9443', ca_file: /ca.crt, identity_dir: /id, backlog_share: {share}}}\nwal: {{dir: /wal}}\n");
    for (share, mille) in [("0", 0), ("0.3", 300), ("0.7", 700), ("0.95", 950), ("0.0004", 0)] {
        assert_eq!(prepared(&with(share)).backlog_mille, mille, "{share}");
    }
    for share in ["-0.1", "0.96", "1", ".nan"] {
        let found = mistakes(&with(share));
        assert!(found.len() == 1 && found[0].contains("backlog_share") && found[0].contains("0 to 0.95"), "{found:?}");
    }
    assert_eq!(prepared(REST).backlog_mille, 700);
}

/// The warnings of a job with these keys, each without the file's name.
fn warnings(job: &str) -> Vec<String> {
    let done = prepared(&format!("{REST}scrape_configs:\n  - {{job_name: a, {job}}}\n"));
    done.remarks.iter().map(|remark| remark.to_string().replacen("e.yaml:", "", 1)).collect()
}

#[test]
fn traps_are_told_and_load() {
    let files = "static_configs: [{labels: {__path__: /var/log/pods/*/*/*.log}}]";
    let plain = "static_configs: [{labels: {__path__: /var/log/a.log}}]";
    let docker = "static_configs: [{labels: {__path__: /var/lib/docker/containers/*/*.log}}]";
    for (job, word) in [
        (format!("{files}, pipeline_stages: [{{docker: }}]"), "a docker stage on pods' logs"),
        (format!("{files}, pipeline_stages: [{{match: {{selector: '{{a=\"b\"}}', stages: [{{docker: }}]}}}}]"), "a docker stage on pods' logs"),
        (format!("{docker}, pipeline_stages: [{{cri: }}]"), "a cri stage on Docker's files"),
        (format!("{plain}, pipeline_stages: [{{labels: {{trace_id: }}}}]"), "\"trace_id\""),
        (format!("{plain}, pipeline_stages: [{{labels: {{when: timestamp}}}}]"), "\"when\""),
        (format!("{plain}, relabel_configs: [{{action: LabelMap, regex: '(.+)'}}]"), "every label"),
        (format!("{plain}, relabel_configs: [{{action: labelmap, regex: '__meta_kubernetes_pod_annotation_(.+)'}}]"), "every annotation"),
        (format!("{plain}, relabel_configs: [{{source_labels: [__meta_kubernetes_pod_uid], target_label: uid}}]"), "\"uid\""),
        (format!("{plain}, journal: {{}}"), "static_configs and journal: only static_configs is read"),
        (format!("{plain}, syslog: {{listen_address: ':1514'}}, gcplog: {{}}"), "static_configs and gcplog"),
    ] {
        let told = warnings(&job);
        assert!(told.iter().any(|told| told.contains(word) && told.contains(": warning: ") && told.contains("; fix: ")), "{word}: {told:?}");
    }
    for job in [
        format!("{files}, pipeline_stages: [{{cri: }}]"),
        format!("{docker}, pipeline_stages: [{{docker: }}]"),
        format!("{plain}, pipeline_stages: [{{labels: {{level: , stream: , status: code}}}}]"),
        format!(
            "{plain}, relabel_configs: [{{action: labelmap, regex: '__meta_kubernetes_pod_label_(.+)'}}, {{source_labels: [__meta_kubernetes_pod_uid, x], target_label: __path__, replacement: '/var/log/a.log'}}]"
        ),
    ] {
        assert_eq!(warnings(&job), [""; 0], "{job}");
    }
}

#[test]
fn without_a_hub_the_wal_lies_beside_the_positions_and_clients_are_checked() {
    let file =
        |more: &str| format!("positions: {{filename: /run/promtail/positions.yaml}}\nclients: [{{url: 'http://l/push'}}, {{url: 'http://l/push'{more}}}]\n");
    let (parsed, found) = parse_all::<EdgeSettings>("e.yaml", &file(", tenant_id: b"));
    assert!(found.is_empty(), "{found:?}");
    let shown = parsed.unwrap().prepare_in(Purpose::Show, "e.yaml", "h", Surroundings::default()).unwrap_or_else(|found| panic!("{found:?}"));
    assert_eq!((shown.wal.dir.to_str().unwrap(), shown.clients.len()), ("/run/promtail/tributary-wal", 2));
    assert_eq!((shown.wal.grace_bytes, shown.sink_lag_max), (0, (10 << 30) / 100 * 25), "the grace is for a hub");
    let run = prepared(&file(", tenant_id: b, name: 'b', batchwait: 5s"));
    assert_eq!(run.clients.iter().map(|target| (target.name.len(), target.host.as_str())).collect::<Vec<_>>(), [(6, "l"), (1, "l")]);
    assert!(run.remarks.iter().any(|remark| remark.to_string().contains("the WAL lies in /run/promtail/tributary-wal")));
    for (lag, bytes) in [("50%", 10_737_418 * 50), ("100MiB", 100 << 20)] {
        assert_eq!(
            prepared(&format!("hub: {{url: 'https://hub:9443', ca_file: /c, identity_dir: /i}}\nwal: {{dir: /w, max_bytes: 1GiB, sink_max_lag: {lag}}}\n"))
                .sink_lag_max,
            bytes
        );
    }
    for (more, word) in [
        ("", "twice"),
        (", basic_auth: {username: a}, bearer_token: b", "more than one of basic_auth"),
        (", basic_auth: {username: a, password: b, password_file: /c}", "both in place and in a file"),
        (", external_labels: {9: a}", "no label name"),
    ] {
        assert!(mistakes(&file(more)).iter().any(|mistake| mistake.contains(word)), "{word}: {:?}", mistakes(&file(more)));
    }
    assert!(mistakes("clients: [{url: 'loki:3100'}]").iter().any(|mistake| mistake.contains("no http:// or https:// url")));
    let debug = format!("{:?}", parse_all::<EdgeSettings>("e", &file(", bearer_token: geheim, headers: {A: geheim}")).0);
    assert!(debug.contains("<secret>") && !debug.contains("geheim"));
}

#[test]
fn limits_are_checked_where_they_count() {
    let limits = |text: &str| format!("{REST}limits_config: {text}\n");
    assert_eq!(prepared(&limits("{readline_rate: 0}")).limits, LimitSettings { drop: true, ..LimitSettings::default() }, "it is off");
    let on =
        prepared(&limits("{readline_rate_enabled: true, readline_rate: 2.5, readline_burst: 7, readline_rate_drop: no, max_line_size: 1KB, max_streams: 3}"))
            .limits;
    assert_eq!(on, LimitSettings { rate: Some((2.5, 7)), drop: false, streams_max: 3, line_bytes_max: 1024, ..LimitSettings::default() });
    for text in [
        "{readline_rate_enabled: true, readline_rate: 0}",
        "{readline_rate_enabled: true, readline_burst: 0}",
        "{readline_rate_enabled: true, readline_rate: -1}",
    ] {
        assert_eq!(mistakes(&limits(text)).len(), 1, "{text}");
    }
}

#[test]
fn a_tenants_budget_is_a_rate_and_a_burst() {
    let prepare = |budgets: &str| {
        let (parsed, mistakes) = parse_all::<EdgeSettings>("e.yaml", &format!("{REST}limits_config: {{tenant_budgets: {budgets}}}\n"));
        assert!(mistakes.is_empty(), "{mistakes:?}");
        parsed.unwrap().prepare("e.yaml", "h")
    };
    let prepared = prepare("{acme: {bytes_rate: 2KiB}, '*': {bytes_rate: 1, bytes_burst: 7, drop: true}}").unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let acme = prepared.limits.budgets["acme"];
    assert_eq!((acme.bytes_rate, acme.bytes_burst, acme.drop), (2048.0, 20_480, false));
    assert_eq!((prepared.limits.budgets["*"].bytes_burst, prepared.limits.budgets["*"].drop), (7, true));
    for (bad, why) in [("{a: {bytes_rate: 0}}", "bytes_rate is 0"), ("{a: {bytes_rate: 1, bytes_burst: 0}}", "bytes_burst is 0")] {
        let mistakes = prepare(bad).err().unwrap_or_default();
        assert!(mistakes.len() == 1 && mistakes[0].to_string().contains(why), "{mistakes:?}");
    }
}

#[test]
fn two_listeners_of_one_address_are_told() {
    let jobs = |server: &str, first: &str, second: &str| {
        format!("{REST}server: {{http_listen_port: 9080{server}}}\nscrape_configs:\n- {{job_name: a, {first}}}\n- {{job_name: b, {second}}}\n")
    };
    let tcp = |address: &str| format!("syslog: {{listen_address: '{address}'}}");
    let udp = |address: &str| format!("syslog: {{listen_address: '{address}', listen_protocol: udp}}");
    let clash = mistakes(&jobs("", &tcp("127.0.0.1:514"), &tcp(":514")));
    assert_eq!(clash, ["6:14: error: job \"b\" listens on 0.0.0.0:514, where job \"a\" listens on 127.0.0.1:514; fix: give each a port of its own"]);
    for (first, second) in [
        (udp(":12201"), "gelf: {}".to_owned()),
        ("otlp: {http_listen_address: ':4317', grpc_listen_address: ':4317'}".to_owned(), tcp(":1")),
        (tcp("[::]:9"), "forward: {listen_address: '10.0.0.1:9'}".to_owned()),
        (tcp(":1"), "loki_push_api: {server: {http_listen_port: 9080}}".to_owned()),
    ] {
        assert_eq!(mistakes(&jobs("", &first, &second)).len(), 1, "{first} {second}");
    }
    for (server, first, second) in [
        ("", tcp("127.0.0.1:514"), udp("127.0.0.1:514")),
        ("", tcp("127.0.0.1:514"), tcp("127.0.0.2:514")),
        ("", tcp("[::1]:514"), tcp(":514")),
        ("", tcp(":0"), tcp(":0")),
        (", disable: true", tcp(":9080"), tcp(":1")),
    ] {
        assert_eq!(mistakes(&jobs(server, &first, &second)), Vec::<String>::new(), "{first} {second}");
    }
}
