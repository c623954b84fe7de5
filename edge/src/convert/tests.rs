#![allow(clippy::disallowed_methods, reason = "fixtures are real files")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_pipeline::Run;
use proptest::prelude::*;
use proto_model::{Labels, Timestamp};
use proto_seam::World;

use super::river::value::{Val, evaluate, variable};
use super::river::{lex, syntax};
use super::*;
use crate::discover::Job;
use crate::settings::load::Loaded;

fn fixtures(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|ending| ending != "rs"));
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files.into_iter().map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())).collect()
}

fn fixture(folder: &str, name: &str) -> String {
    fixtures(folder).into_iter().find(|(own, _)| own == name).unwrap().1
}

fn hub() -> Wish {
    Wish { hub: Some("https://hub:9443".to_owned()), ..Wish::default() }
}

fn converted(from: From, text: &str, wish: &Wish) -> Converted {
    convert(from, "f", text, wish, World::real().disk.as_ref()).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"))
}

fn loaded(text: &str) -> Result<Loaded, Vec<Mistake>> {
    let set = [("LOKI_PASSWORD".to_owned(), "x".to_owned())];
    let variables = text.contains("${LOKI").then_some(set.as_slice());
    load(&Written { file: "f", text, variables, overrides: &[], host: "", disk: World::real().disk.as_ref(), inspector: None }, Purpose::Show)
}

/// Rows with a verdict, as `what: note`.
fn told(result: &Converted, verdict: Verdict) -> Vec<String> {
    result.report.rows.iter().filter(|row| row.verdict == verdict).map(|row| format!("{}: {}", row.what, row.note)).collect()
}

const LINES: [&str; 9] = [
    r#"{"level":"warn","message":"first secret password=geheim","user":{"id":7},"type":"k","ts":"2026-01-02T03:04:05Z","duration":0.5}"#,
    r#"{"level":"info","message":"2026-01-01 second","ts":"2026-01-02T03:04:06Z"}"#,
    "2026-01-02T03:04:05.000000001Z stdout F a CRI line",
    "2026-01-02T03:04:05.000000002Z stderr P a piece ",
    "2026-01-02T03:04:05.000000003Z stderr F and its end",
    r#"{"log":"a line of Docker's\n","stream":"stdout","time":"2026-01-02T03:04:05.000000004Z"}"#,
    "level=debug msg=\"of logfmt\" ts=2026-01-02T03:04:05Z",
    "10.0.0.1 - frank [25/Jan/2000:14:00:01 -0500] \"GET /1986.js HTTP/1.1\" 200 932",
    "\u{1b}[31mred\u{1b}[0m password=x secret",
];

/// What a job makes of lines: labels, times, metadata and lines.
fn made(job: &Job) -> String {
    let labels = job.targets.first().map_or_else(|| Labels::from_pairs([("job", "app")]), |target| target.labels.clone());
    let mut run = Run::new(Arc::clone(&job.program), Arc::new(labels));
    let mut out = String::new();
    for (at, line) in LINES.iter().enumerate() {
        let now = Timestamp(1_700_000_000_000_000_000 + i64::try_from(at).unwrap());
        run.line(line.as_bytes(), now, &mut |made| {
            writeln!(out, "{} {} {:?} {}", made.labels, made.time.nanos(), made.metadata, String::from_utf8_lossy(made.line)).unwrap();
        });
    }
    run.finish(Timestamp(1_700_000_100_000_000_000), &mut |made| {
        writeln!(out, "{} {} {:?} {}", made.labels, made.time.nanos(), made.metadata, String::from_utf8_lossy(made.line)).unwrap();
    });
    out
}

#[test]
fn river_is_read_with_comments_texts_and_references() {
    let text = "a \"l\" { // x\n b = [1, \"t\\n\\u00e9\", `r\\w`, /* y */ c.d.e,\n ] # z\n o = {k = true, \"q r\" = -2,}\n n.m { p = q.r }\n}\n";
    let items = syntax::parse(text).unwrap();
    let syntax::Item::Block(block) = &items[0] else { panic!("{items:?}") };
    assert_eq!((block.id().as_str(), block.items.len()), ("a.l", 3));
    let value = |at: usize| if let syntax::Item::Attribute(attribute) = &block.items[at] { evaluate(&attribute.value).unwrap() } else { panic!() };
    let reference = Val::Reference(["c", "d", "e"].map(str::to_owned).to_vec());
    assert_eq!(value(0), Val::List(vec![Val::Number("1".to_owned()), Val::Text("t\né".to_owned()), Val::Text("r\\w".to_owned()), reference]));
    assert_eq!(value(1), Val::Object(vec![("k".to_owned(), Val::Bool(true)), ("q r".to_owned(), Val::Number("-2".to_owned()))]));
}

#[test]
fn expressions_are_carried_out_as_far_as_they_are_known() {
    let of = |text: &str| {
        let items = syntax::parse(&format!("x = {text}")).unwrap();
        let syntax::Item::Attribute(attribute) = &items[0] else { panic!() };
        evaluate(&attribute.value).map_err(|fault| fault.to_string())
    };
    let text = |text: &str| Ok(Val::Text(text.to_owned()));
    assert_eq!(of("\"a\" + \"b\" + \"c\""), text("abc"));
    assert_eq!(of("(1 + 2) * 3"), Ok(Val::Number("9".to_owned())));
    assert_eq!(of("coalesce(null, \"\", sys.env(\"A\"), \"b\")"), text(&variable("A")));
    assert_eq!(of("string.to_upper(\"a\" + env(\"b\"))"), text(&format!("A{}", variable("b"))));
    assert_eq!(of("string.format(\"%s-%d%%\", \"a\", 3)"), text("a-3%"));
    assert_eq!(of("string.join([\"a\", \"b\"], \",\")"), text("a,b"));
    assert_eq!(of("concat([1], [2])[1]"), Ok(Val::Number("2".to_owned())));
    assert_eq!(of("{a = {b = \"c\"}}.a[\"b\"]"), text("c"));
    for (wrong, expected) in [
        ("encoding.from_json(\"{}\")", "1:5: the function encoding.from_json is not taken over"),
        ("discovery.k.x.targets[0]", "is known only when it runs"),
        ("9223372036854775807 + 1", "too large"),
        ("a", "\"a\" is no value"),
        ("argument.x.value", "is of a module"),
    ] {
        assert!(of(wrong).unwrap_err().contains(expected), "{wrong}: {:?}", of(wrong));
    }
}

#[test]
fn bad_river_is_told_with_line_and_column() {
    for (text, expected) in [
        ("a {\n b = \n}", "2:6: the end of the line where a value should be"),
        ("a {\n b = \"x\n}", "2:6: a text does not end in its line"),
        ("a {\n  b = [1, 2\n", "3:1: the end of the file where \",\" or \"]\" should be"),
        ("a = 1 2", "1:7: 2 where the end of the line should be"),
        ("a \"b\"", "1:6: the end of the file where \"=\" or \"{\" should be"),
        ("/* x", "1:1: a comment does not end"),
        ("a = \"\\q\"", "1:6: \\q is no escape"),
        ("a = 1.2.3", "1:5: \"1.2.3\" is no number"),
        ("a {\n  ~ \n}", "2:3: '~' begins nothing here"),
        ("}", "1:1: \"}\" where the name"),
    ] {
        let fault = syntax::parse(text).unwrap_err().to_string();
        assert!(fault.starts_with(expected), "{text:?}: {fault}");
    }
    let mistakes = convert(From::Alloy, "f.alloy", "a {", &hub(), World::real().disk.as_ref()).unwrap_err();
    assert!(mistakes[0].to_string().starts_with("f.alloy:1:4: error: "), "{mistakes:?}");
}

#[test]
fn nesting_and_size_are_bounded() {
    for (open, close) in [("[", "]"), ("(", ")"), ("{a = ", "}"), ("-", ""), ("f(", ")")] {
        let text = format!("x = {}1{}", open.repeat(60), close.repeat(60));
        assert!(syntax::parse(&text).unwrap_err().text.contains("deeper"), "{open}");
        drop(syntax::parse(&format!("x = {}", open.repeat(100_000))));
    }
    assert!(syntax::parse(&"a {\n".repeat(60)).unwrap_err().text.contains("deeper"));
    assert!(syntax::parse(&format!("x = 1{}", " + 1".repeat(60))).unwrap_err().text.contains("in a row"));
    assert!(syntax::parse(&format!("x = a{}", ".a".repeat(60))).unwrap_err().text.contains("in a row"));
    assert!(lex::tokens(&" ".repeat(river::TEXT_BYTES_MAX + 1)).unwrap_err().text.contains("larger"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-c{}\\[\\]()=.,\"`\\\\\n +*/#-]|loki\\.|source|\"l\"|null|1\\.5|\u{f0000}|\u{f0001})*") {
        drop(convert(From::Alloy, "f", &text, &hub(), World::real().disk.as_ref()));
        drop(convert(From::Promtail, "f", &text, &hub(), World::real().disk.as_ref()));
    }

    #[test]
    fn texts_survive_the_yaml(text in "\\PC*", name in "[a-z]{1,5}") {
        #[derive(serde::Deserialize)]
        struct All { a: String, b: std::collections::BTreeMap<String, Vec<String>> }
        let node = Node::map([("a", Some(Node::text(&text))), ("b", Some(Node::Map(vec![(name.clone(), Node::List(vec![Node::text(&text)]))])))]);
        let read: All = proto_boot::settings::parse("f", &node.yaml()).unwrap();
        prop_assert_eq!((&read.a, &read.b[&name][0]), (&text, &text));
        // With a variable in it all else is escaped for the expansion.
        let node = Node::map([("a", Some(Node::text(format!("{text}{}", variable("V"))))), ("b", Some(Node::Map(Vec::new())))]);
        let expanded = proto_boot::expand::expand(&node.yaml(), |_| Some("v".to_owned())).unwrap();
        let read: All = proto_boot::settings::parse("f", &expanded).unwrap();
        prop_assert_eq!(read.a, format!("{text}v"));
    }
}

#[test]
fn every_alloy_fixture_becomes_a_file_that_loads() {
    for (name, text) in fixtures("alloy") {
        for wish in [hub(), Wish::default()] {
            let result = converted(From::guess(&name, &text), &text, &wish);
            let refused = told(&result, Verdict::Refused);
            assert!(name == "refused.alloy" || refused.is_empty(), "{name}: {refused:#?}\n{}", result.yaml);
            let is_read = loaded(&result.yaml).map(drop).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert!(is_read.is_ok(), "{name}: {is_read:?}\n{}", result.yaml);
        }
    }
}

#[test]
fn what_cannot_be_kept_is_told() {
    let result = converted(From::Alloy, &fixture("alloy", "refused.alloy"), &Wish::default());
    let refused = told(&result, Verdict::Refused).join("\n");
    for expected in [
        "loki.source.file.twice: loki.process.two is left out",
        "stage.luhn: this stage is left out: hide such numbers with stage replace",
        "stage.truncate: ",
        "loki.source.cloudflare.zone: it is not read here",
        "otelcol.receiver.loki.logs: lines cannot be forwarded",
        "endpoint password: it is not known here",
        "loki.source.file.twice: it forwards to loki.write.here only",
    ] {
        assert!(refused.contains(expected), "{expected} is not in\n{refused}");
    }
    assert!(told(&result, Verdict::Ignored).iter().any(|row| row.starts_with("prometheus.scrape.metrics")));
    let Some(Node::List(jobs)) = loaded(&result.yaml).ok().map(|loaded| Node::of(&loaded.effective["scrape_configs"])) else { panic!("{}", result.yaml) };
    assert_eq!(jobs.len(), 2, "both sources are read all the same");
}

#[test]
fn variables_secrets_in_files_and_clients_are_kept() {
    let result = converted(From::Alloy, &fixture("alloy", "files.alloy"), &Wish::default());
    for expected in [
        "password: \"${LOKI_PASSWORD}\"",
        "bearer_token_file: /etc/loki/token",
        "batchsize: \"512KiB\"",
        "max_retries: 0",
        "\\\\\\\\w+",
        "{{ ToUpper .Value }}",
    ] {
        assert!(result.yaml.contains(expected), "{expected} is not in\n{}", result.yaml);
    }
    let env = result.report.rows.iter().find(|row| row.what == "env").unwrap();
    assert!(env.note.contains("-config.expand-env") && env.note.contains("LOKI_PASSWORD"));
}

/// The Promtail file that `files.alloy` is the Alloy form of, and the chart's, against what `alloy convert` makes of it.
#[test]
fn alloys_pipelines_make_of_lines_what_promtails_do() {
    let of_promtail = loaded(&fixture("convert", "files.yaml")).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let of_alloy = loaded(&converted(From::Alloy, &fixture("alloy", "files.alloy"), &hub()).yaml).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let (one, two) = (&of_promtail.prepared.jobs[0], &of_alloy.prepared.jobs[0]);
    let result = made(one);
    assert!(result.lines().count() > 2 && result.contains("level=\"warn\"") && result.contains("****"), "{result}");
    assert_eq!(result, made(two));
    assert_eq!(
        one.targets.iter().map(|target| target.labels.clone()).collect::<Vec<_>>(),
        two.targets.iter().map(|target| target.labels.clone()).collect::<Vec<_>>()
    );

    let chart = loaded(&fixture("promtail", "helm-chart.yaml")).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let alloy = loaded(&converted(From::Alloy, &fixture("alloy", "kubernetes.alloy"), &hub()).yaml).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let (one, two) = (&chart.prepared.jobs[0], &alloy.prepared.jobs[0]);
    assert_eq!(made(one), made(two));
    let pod = || {
        let meta = |name: &str| format!("__meta_kubernetes_{name}");
        let pairs = [
            ("namespace", "n"),
            ("pod_name", "p-5d4f8c7b9-x"),
            ("pod_controller_name", "p-5d4f8c7b9"),
            ("pod_uid", "u-1"),
            ("pod_container_name", "c"),
            ("pod_node_name", "k"),
        ];
        Labels::from_pairs(pairs.map(|(name, value)| (meta(name), value.to_owned())).iter().map(|(name, value)| (name.as_str(), value.as_str())))
    };
    let kept = |job: &Job| {
        let crate::discover::Relabelled::Kept(target) = job.relabel.target(pod()) else { panic!("{} drops the pod", job.name) };
        (target.labels.to_string(), target.pattern.as_str().to_owned())
    };
    assert_eq!(kept(one), kept(two));
    assert_eq!(
        kept(two),
        (
            "{app=\"p\", container=\"c\", job=\"n/p\", namespace=\"n\", node_name=\"k\", pod=\"p-5d4f8c7b9-x\"}".to_owned(),
            "/var/log/pods/*u-1/c/*.log".to_owned()
        )
    );
}

#[test]
fn promtails_files_stay_as_they_are_but_for_what_has_no_effect() {
    for (name, text) in fixtures("promtail") {
        let result = converted(From::guess(&name, &text), &text, &Wish::default());
        let texts = |mistakes: Vec<Mistake>| mistakes.into_iter().map(|mistake| mistake.text).collect::<Vec<_>>();
        match (loaded(&text), loaded(&result.yaml)) {
            (Ok(before), Ok(after)) => {
                let pipelines = |loaded: &Loaded| loaded.prepared.jobs.iter().map(made).collect::<Vec<_>>();
                assert_eq!(pipelines(&before), pipelines(&after), "{name}");
                assert_eq!(before.effective["scrape_configs"].as_array().map(Vec::len), after.effective["scrape_configs"].as_array().map(Vec::len), "{name}");
            }
            (before, after) => {
                assert_eq!(before.map(drop).map_err(texts), after.map(drop).map_err(texts), "{name}");
                assert!(result.report.count(Verdict::Refused) > 0, "{name}");
            }
        }
    }
    let text = "# kept\nserver:\n  http_listen_port: 9080\n  grpc_listen_port: 9095 # gone\n\n  # of the level\n  log_level: warn\ntracing:\n  enabled: true\nclients:\n- url: http://l/loki/api/v1/push\n  stream_lag_labels: a\npositions: {filename: /p.yaml, sync_period: 10s}\nscrape_configs:\n- job_name: a # yes\n  static_configs: [{labels: {__path__: '/a/*.log', x: yes}}]\n";
    let result = converted(From::Promtail, text, &hub());
    let expected = "# kept\nserver:\n  http_listen_port: 9080\n\n  # of the level\n  log_level: warn\npositions: {filename: /p.yaml, sync_period: 10s}\nscrape_configs:\n- job_name: a # yes\n  static_configs: [{labels: {__path__: '/a/*.log', x: yes}}]\nhub:\n  url: \"https://hub:9443\"\n  ca_file: /etc/tributary/identity/ca.crt\n  identity_dir: /etc/tributary/identity\n";
    assert_eq!(result.yaml, expected);
    assert_eq!(told(&result, Verdict::Refused), Vec::<String>::new());
    let ignored = told(&result, Verdict::Ignored).join("\n");
    for expected in ["server.grpc_listen_port: ", "tracing: ", "positions.sync_period: "] {
        assert!(ignored.contains(expected), "{expected} is not in {ignored}");
    }
    assert!(told(&result, Verdict::Changed).iter().any(|row| row.starts_with("clients: the hub takes its place")));
}

#[test]
fn the_tables_hold_a_rule_for_every_word() {
    let rules = promtail::rules();
    assert!(rules.len() > 300);
    assert_eq!(rules["tracing"].here, "ignored");
    assert_eq!(rules["positions.filename"].here, "changed");
}

#[test]
fn whose_file_it_is_is_told_by_name_or_text() {
    assert_eq!(From::guess("config", "loki.write \"a\" { }\n"), From::Alloy);
    assert_eq!(From::guess("config", "scrape_configs:\n- job_name: a\n"), From::Promtail);
    assert_eq!(From::guess("a.river", ""), From::Alloy);
}

#[test]
fn a_relabelling_that_is_named_for_its_rules_needs_no_targets() {
    let text = "discovery.docker \"all\" {\n  host = \"unix:///var/run/docker.sock\"\n}\n\
                discovery.relabel \"names\" {\n  targets = []\n  rule {\n    source_labels = [\"__meta_docker_container_name\"]\n    regex = \"/(.*)\"\n    target_label = \"container\"\n  }\n}\n\
                loki.source.docker \"all\" {\n  host = \"unix:///var/run/docker.sock\"\n  targets = discovery.docker.all.targets\n  relabel_rules = discovery.relabel.names.rules\n  forward_to = [loki.write.one.receiver]\n}\n\
                loki.write \"one\" {\n  endpoint {\n    url = \"http://one:3100/loki/api/v1/push\"\n  }\n}\n";
    let result = converted(From::Alloy, text, &Wish::default());
    assert_eq!(told(&result, Verdict::Refused), Vec::<String>::new(), "{}", result.report.table());
    assert!(result.yaml.contains("target_label: container"), "{}", result.yaml);
}
