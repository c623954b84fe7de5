use super::*;

fn taken(line: &str) -> Result<(Vec<String>, Flags), Vec<String>> {
    take(line.split_whitespace().map(str::to_owned)).map_err(|all| all.iter().map(ToString::to_string).collect())
}

#[test]
fn flags_are_read_as_go_reads_them() {
    let (rest, flags) = taken("-config.file=/etc/promtail/a.yml,b.yml --config.expand-env -dry-run=false -inspect --stdin=1 run -x").unwrap();
    assert_eq!(rest, ["run", "-x"]);
    assert_eq!(flags.files, ["/etc/promtail/a.yml", "b.yml"]);
    assert_eq!((flags.expand_env, flags.dry_run, flags.inspect, flags.stdin), (true, false, true, true));
    let (rest, flags) = taken("-config.file c.yml -check-syntax true").unwrap();
    assert_eq!((rest, flags.files, flags.check_syntax), (vec!["true".to_owned()], vec!["c.yml".to_owned()], true), "a boolean takes no next word");
    assert_eq!(taken("-- -dry-run").unwrap().0, ["--", "-dry-run"]);
}

#[test]
fn settings_become_overrides_in_their_order() {
    let (rest, flags) = taken(
        "-server.http-listen-port 9080 --client.url=http://l/x?a=b -max-line-size-truncate -limit.readline-rate-drop=F -client.external-labels=a=b,cluster=x=y",
    )
    .unwrap();
    assert!(rest.is_empty());
    let expected = [
        ("server.http_listen_port", "9080"),
        ("client.url", "http://l/x?a=b"),
        ("limits_config.max_line_size_truncate", "true"),
        ("limits_config.readline_rate_drop", "false"),
        ("client.external_labels", r#"{"a":"b","cluster":"x=y"}"#),
    ];
    assert_eq!(flags.overrides, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn what_is_wrong_is_told() {
    let all = ["-config.file:0:0: error: the flag has no value; fix: write -config.file=FILE"];
    assert_eq!(taken("-config.file").unwrap_err(), all);
    assert_eq!(taken("-log.level").unwrap_err(), ["-log.level:0:0: error: the flag has no value; fix: write -log.level=VALUE"]);
    assert!(taken("-dry-run=maybe").unwrap_err()[0].contains("no boolean"));
    assert!(taken("-client.external-labels=x").unwrap_err()[0].ends_with("fix: write -client.external-labels=NAME=VALUE,NAME=VALUE"));
    let (_, flags) = taken("-server.grpc-tls-cert-path x -server.grpc-collect-max-streams-by-conn").unwrap();
    assert_eq!(flags.remarks.len(), 2);
}

#[test]
fn every_flag_of_a_setting_names_a_key_that_is_there() {
    let sample = |key: &str| match key {
        _ if key.contains("timeout") || key.contains("wait") || key.contains("period") || key.contains("frequency") => "1s",
        "server.log_level" => "warn",
        "server.log_format" => "json",
        "client.external_labels" => "{a: b}",
        _ => "1",
    };
    for (name, meaning) in FLAGS {
        let (key, value) = match meaning {
            Key(key) => (*key, sample(key)),
            Switch(key) => (*key, "true"),
            Mode(_) | Effectless(..) => continue,
        };
        let overrides = [(key.to_owned(), value.to_owned())];
        let layers = proto_boot::settings::Layers { file: "f", text: "", env_prefix: "", env: &[], overrides: &overrides };
        let (_, mistakes) = proto_boot::settings::read_all::<crate::settings::EdgeSettings>(&layers);
        assert!(mistakes.is_empty(), "-{name}: {mistakes:?}");
    }
}

#[test]
fn the_standard_input_is_read_by_either_flag_and_the_last_one_counts() {
    for (line, reads) in [("-stdin", true), ("-target.stdin=true", true), ("-target.stdin -target.stdin=false", false), ("-dry-run", false)] {
        assert_eq!(taken(line).unwrap().1.reads_stdin(), reads, "{line}");
    }
}
