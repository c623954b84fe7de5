//! `check-config` on ten broken settings of each program: file, line, column, remedy, exit code 2.

use std::path::Path;
use std::process::Command;

use tests::hub::Hub;
use tests::place::{self, program};

/// Runs check-config on `text`: exit code, standard output, standard error.
fn check(program_name: &str, dir: &Path, text: &str) -> (i32, String, String) {
    let file = dir.join("checked.yaml");
    std::fs::write(&file, text).unwrap();
    let done = Command::new(program(program_name)).arg("check-config").arg("--config").arg(&file).output().unwrap();
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code().unwrap_or(-1), lossy(&done.stdout), lossy(&done.stderr))
}

/// `broken` = (what is replaced, by what, the line expected, a word of the complaint).
fn all_refused(program_name: &str, dir: &Path, good: &str, broken: &[(&str, &str, &str)]) {
    let file = dir.join("checked.yaml").display().to_string();
    let (code, stdout, stderr) = check(program_name, dir, good);
    assert_eq!((code, stdout.trim()), (0, format!("{file}: ok").as_str()), "{stderr}");
    for (from, to, word) in broken {
        assert!(good.contains(from), "{from:?} is not in the good settings");
        let bad = good.replacen(from, to, 1);
        let (code, stdout, stderr) = check(program_name, dir, &bad);
        assert_eq!((code, stdout.as_str()), (2, ""), "{from:?} -> {to:?}: {stderr}");
        let complaint = stderr.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{from:?} -> {to:?}: {word:?} is not in:\n{stderr}"));
        let rest = complaint.strip_prefix(&format!("{file}:")).unwrap_or_else(|| panic!("no file in {complaint:?}"));
        let mut parts = rest.splitn(3, ':');
        let (line, column, text) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        assert!(line.parse::<u64>().is_ok_and(|n| n > 0) && column.parse::<u64>().is_ok_and(|n| n > 0), "no line and column in {complaint:?}");
        assert!(text.starts_with(" error: ") && text.contains("; fix: "), "no remedy in {complaint:?}");
    }
}

#[test]
fn ten_broken_hub_settings() {
    let dir = place::folder("hubconfig");
    let hub = Hub::prepare(dir.path(), &crate::folder_store(dir.path()), "lane: {linger: 200ms}\n");
    let good = std::fs::read_to_string(hub.config()).unwrap();
    all_refused(
        "tributary-hub",
        dir.path(),
        &good,
        &[
            ("http:", "htpp:", "htpp"),
            ("linger: 200ms", "linger: 200", "length of time"),
            ("linger: 200ms", "linger: 200ms, lingr: 1s", "lingr"),
            ("store: \"file://", "store: \"ftp://", "store"),
            ("trust_domain: test.tributary", "trust_domain: \"Not A Domain\"", "trust"),
            ("hub.crt", "nothing.crt", "nothing.crt"),
            ("tenants.yaml", "no-tenants.yaml", "no-tenants.yaml"),
            ("admin: {listen: \"127.0.0.1:", "admin: {listen: \"nowhere:", "listen"),
            ("lane:", "http: {}\nlane:", "http"),
            ("store:", "shop:", "store"),
        ],
    );
}

#[test]
fn ten_broken_edge_settings() {
    let dir = place::folder("edgeconfig");
    let hub = Hub::prepare(dir.path(), &crate::folder_store(dir.path()), "");
    let identity = hub.identity("alpha", "one", &[]);
    let good = format!(
        "server: {{http_listen_address: 127.0.0.1, http_listen_port: 0}}\nhub:\n  url: https://127.0.0.1:{}\n  ca_file: {}\n  identity_dir: {}\n  transport: auto\nwal:\n  dir: {}/wal\n  max_bytes: 1GiB\nscrape_configs:\n- job_name: files\n  static_configs:\n  - targets: [localhost]\n    labels:\n      __path__: {}/*.log\n  relabel_configs:\n  - source_labels: [job]\n    regex: (.*)\n    target_label: x\n  pipeline_stages:\n  - cri: {{}}\n  - regex:\n      expression: (?P<level>[a-z]+)\n  - labels:\n      level:\n",
        hub.link,
        identity.join("ca.crt").display(),
        identity.display(),
        dir.path().display(),
        dir.path().display()
    );
    all_refused(
        "tributary-edge",
        dir.path(),
        &good,
        &[
            ("scrape_configs:", "scrape_config:", "scrape_config"),
            ("transport: auto", "transport: pigeon", "pigeon"),
            ("https://", "http://", "https"),
            ("max_bytes: 1GiB", "max_bytes: lots", "lots"),
            ("  - cri: {}", "  - crj: {}", "crj"),
            ("(?P<level>[a-z]+)", "(?P<level>[a-z]+", "expression"),
            ("    regex: (.*)", "    regex: (.*", "regex"),
            ("      __path__: /", "      __path__: relative/", "absolute"),
            ("  dir: ", "  dirr: ", "dir"),
            ("  - labels:", "  - labels:\n      level: a\n    regex: {}\n  - labels:", "stage"),
        ],
    );
}

#[test]
fn exit_codes_and_help() {
    for name in ["tributary-hub", "tributary-edge", "tributary-certs"] {
        let run = |argument: &str| Command::new(program(name)).arg(argument).output().unwrap();
        assert!(run("--help").status.success() && run("--version").status.success(), "{name}");
        assert_eq!(run("--no-such-flag").status.code(), Some(2), "{name}");
    }
}
