//! The program itself: Promtail's command line, dry run, standard input, reload of a running edge.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests")]

#[path = "command/convert.rs"]
mod convert;
#[path = "command/import.rs"]
mod import;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const HUB: &str = "hub: {url: 'https://127.0.0.1:1', ca_file: /nowhere/ca.crt, identity_dir: /nowhere}\n";

fn edge(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary-edge"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("HOSTNAME", "h1");
    command
}

fn ran(arguments: &[&str]) -> (i32, String, String) {
    told(&edge(arguments).output().unwrap())
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A folder with a settings file and a log.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: TempDir::with_prefix("tributary-command").unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.dir.path().join(name), text).unwrap();
        self.path(name)
    }

    /// Settings that read `a.log` under these labels, with more keys.
    fn settings(&self, labels: &str, stages: &str, more: &str) -> String {
        let jobs = format!(
            "scrape_configs:\n  - job_name: a\n    static_configs: [{{labels: {{{labels}, __path__: {}}}}}]\n    pipeline_stages: [{stages}]\n",
            self.path("a.log")
        );
        self.write("edge.yaml", &format!("{more}wal: {{dir: {}}}\n{jobs}", self.path("wal")))
    }
}

#[test]
fn check_syntax_builds_everything_and_its_exit_codes_are_promtails() {
    let place = Place::new();
    let file = place.settings("job: a", "{labels: {trace_id: }}", HUB);
    let flag = format!("-config.file=/nowhere.yml,{file}");
    for arguments in [vec!["check-config", "--config", &file], vec!["-check-syntax", &flag], vec!["--check-syntax=true", &flag]] {
        let (code, out, err) = ran(&arguments);
        assert_eq!((code, out.as_str()), (0, format!("{file}: ok\n").as_str()), "{err}");
        assert!(err.contains(": warning: the label \"trace_id\""), "{err}");
    }
    let bad = place.settings("job: a", "{regex: {expression: '('}}", HUB);
    let (code, out, err) = ran(&["-check-syntax", "-config.file", &bad]);
    assert!(code == 2 && out.is_empty() && err.starts_with(&format!("{bad}:")) && err.contains(": error: "), "{code} {out} {err}");
    assert_eq!(ran(&["-config.file=/nowhere.yml"]).0, 2);
    assert_eq!(ran(&[]).0, 2);
    let (code, _, err) = ran(&["-config.file", &file, "-no-such-flag"]);
    assert_eq!((code, err.as_str()), (2, "tributary-edge: the flag -no-such-flag is not known; --help names all of them\n"));
    assert_eq!(ran(&["-stdin"]).0, 2, "nothing says where to send");
    assert_eq!(ran(&["-config.file", &file, "-dry-run=maybe"]).0, 2);
    let (code, out, _) = ran(&["-version"]);
    assert!(code == 0 && out.starts_with("tributary-edge "), "{out}");
    let (code, out, _) = ran(&["-help"]);
    assert!(code == 0 && out.contains("-client.external-labels"), "{out}");
}

#[test]
fn flags_and_variables_count_and_what_counts_is_shown_without_secrets() {
    let place = Place::new();
    let file = place.settings("job: '${JOB}'", "", "clients: [{url: 'http://127.0.0.1:1/push', basic_auth: {username: u, password: geheim}}]\n");
    place.write("a.log", "one\n");
    let arguments = [
        "-config.file",
        &file,
        "-config.expand-env",
        "-dry-run",
        "-stdin",
        "-print-config-stderr",
        "-log-config-reverse-order",
        "-log.level=info",
        "-client.external-labels=site=x",
    ];
    let output = edge(&arguments).env("JOB", "varied").output().unwrap();
    let (code, out, err) = told(&output);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    for shown in ["job: varied", "log_level: info", "site: x", "stdin: true", "password: \"<secret>\"", "username: u"] {
        assert!(err.contains(shown), "{shown} is not in {err}");
    }
    assert!(!err.contains("geheim"), "{err}");
}

#[test]
fn the_standard_input_is_shown_as_the_first_job_would_send_it() {
    let place = Place::new();
    let file =
        place.settings("job: app, env: test", "{regex: {expression: '^(?P<level>\\w+)'}}, {labels: {level: }}", "client: {external_labels: {site: one}}\n");
    let mut child = edge(&["-config.file", &file, "-stdin", "-dry-run", "-inspect"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"warn first\r\ninfo second\nlast without newline").unwrap();
    let (code, out, err) = told(&child.wait_with_output().unwrap());
    let lines: Vec<&str> = out.lines().collect();
    assert!(code == 0 && lines.len() == 3, "{out} {err}");
    assert!(lines[0].ends_with("\t{env=\"test\", job=\"app\", level=\"warn\", site=\"one\"}\twarn first"), "{out}");
    assert!(lines[2].ends_with("\tlast without newline") && lines[2].contains("+0000\t"), "{out}");
    assert!(err.contains("[inspect: regex stage]:\nextracted[\"level\"]:\n\t+: warn\n") && err.contains("[inspect: labels stage]:"), "{err}");
    // Without jobs there are default labels.
    let bare = place.write("bare.yaml", "positions: {filename: /tmp/p.yaml}\n");
    let mut child = edge(&["-config.file", &bare, "-stdin", "-dry-run"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"x\n").unwrap();
    let (_, out, _) = told(&child.wait_with_output().unwrap());
    assert!(out.ends_with("\t{hostname=\"h1\", job=\"stdin\"}\tx\n"), "{out}");
}

/// A child that is ended with the test.
struct Running(Child, BufReader<std::process::ChildStdout>);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self(child, out)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Where its pages are.
    fn address(&mut self) -> String {
        let event: serde_json::Value = serde_json::from_str(&self.line()).unwrap();
        event["http"].as_str().unwrap().to_owned()
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().unwrap().success());
    }

    fn end(mut self) -> i32 {
        self.signal("TERM");
        self.0.wait().unwrap().code().unwrap_or(-1)
    }
}

/// One request by hand; the status and the body.
fn ask(address: &str, method: &str, path: &str) -> (u16, String) {
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(connection, "{method} {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_dry_run_shows_files_as_they_grow_and_writes_nothing() {
    let place = Place::new();
    let file = place.settings("job: a", "", "target_config: {sync_period: 200ms}\n");
    place.write("a.log", "one\ntwo\n");
    let mut running = Running::start(edge(&["-config.file", &file, "-dry-run"]));
    assert!(running.line().ends_with("}\tone") && running.line().ends_with("}\ttwo"));
    std::fs::OpenOptions::new().append(true).open(place.path("a.log")).unwrap().write_all(b"three\n").unwrap();
    assert!(running.line().ends_with("\tthree"));
    assert_eq!(running.end(), 0);
    assert!(!Path::new(&place.path("wal")).exists(), "no WAL is made");
}

#[test]
fn a_running_edge_takes_new_settings_and_keeps_the_old_ones_from_a_bad_file() {
    let place = Place::new();
    let more = format!("{HUB}server: {{http_listen_address: 127.0.0.1, http_listen_port: 0, enable_runtime_reload: true}}\n");
    let file = place.settings("env: first", "", &more);
    place.write("a.log", "one\n");
    let mut running = Running::start(edge(&["-config.file", &file]));
    let address = running.address();
    let labels = || ask(&address, "GET", "/targets").1;
    until("the file is read", || labels().contains("env=\"first\""));
    let (status, text) = ask(&address, "POST", "/reload");
    assert!(status == 200 && text.contains("have not changed"), "{status} {text}");

    place.settings("env: second", "", &more.replace("http_listen_port: 0", "http_listen_port: 1"));
    let (status, text) = ask(&address, "GET", "/reload");
    assert!(status == 200 && text.contains("reloaded") && text.contains("server will count at the next start"), "{status} {text}");
    until("the labels are new", || labels().contains("env=\"second\""));
    let config = ask(&address, "GET", "/config").1;
    assert!(config.contains("env: second") && config.contains("http_listen_port: 0"), "what counts at the next start does not count yet: {config}");

    place.settings("env: third", "{regex: {expression: '('}}", &more);
    let (status, text) = ask(&address, "POST", "/reload");
    assert!(status == 500 && text.starts_with("failed to reload config: ") && text.contains("the settings in force stay"), "{status} {text}");
    assert!(labels().contains("env=\"second\""));

    place.settings("env: fourth", "", &more);
    running.signal("HUP");
    until("a signal reloads too", || labels().contains("env=\"fourth\""));
    let metrics = ask(&address, "GET", "/metrics").1;
    for count in ["promtail_config_reload_success_total 3", "promtail_config_reload_fail_total 1"] {
        assert!(metrics.contains(count), "{count} is not in {metrics}");
    }
    assert_eq!(ask(&address, "PUT", "/reload").0, 405);
    assert_eq!(running.end(), 0);
}

#[test]
fn the_standard_input_goes_into_the_wal_and_waits_for_the_hub() {
    let place = Place::new();
    let more = format!("{HUB}server: {{disable: true}}\n");
    let file = place.settings("job: app", "{drop: {expression: '^no'}}", &more);
    let mut running = Running::start({
        let mut command = edge(&["-config.file", &file, "-stdin"]);
        command.stdin(Stdio::piped());
        command
    });
    assert_eq!(running.line(), r#"{"event":"listening","http":""}"#);
    running.0.stdin.take().unwrap().write_all(b"yes 1\nno\nyes 2\n").unwrap();
    let lines = || {
        let (_, out, _) = ran(&["wal", "inspect", &place.path("wal"), "--json"]);
        let summary: serde_json::Value = serde_json::from_str(out.lines().last().unwrap_or("{}")).unwrap_or_default();
        summary["lines"].as_u64()
    };
    until("both lines are durable", || lines() == Some(2));
    assert!(running.0.try_wait().unwrap().is_none(), "it waits for the hub's word");
    assert_eq!(running.end(), 0);
    assert_eq!(lines(), Some(2));
}

#[test]
fn the_state_is_shown_in_a_terminal_as_wide_as_it_is() {
    let place = Place::new();
    let more = format!("{HUB}server: {{http_listen_address: 127.0.0.1, http_listen_port: 0, register_instrumentation: false}}\n");
    let file = place.settings("job: app", "", &more);
    place.write("a.log", "one\ntwo\n");
    let mut running = Running::start(edge(&["run", "--config", &file]));
    let address = running.address();
    let url = format!("http://{address}");
    let shown = |columns: &str, more: &[&str]| {
        let output = edge(&[&["status", "--url", &url], more].concat()).env("COLUMNS", columns).output().unwrap();
        told(&output)
    };
    until("both lines are read", || shown("100", &[]).1.contains("2 read, 0 acknowledged"));
    let (code, wide, err) = shown("100", &[]);
    assert!(code == 0 && err.is_empty(), "{code} {err}");
    assert!(wide.contains("no session: ") && wide.contains("job  files  behind  waited  lines  read\na        1     0 B       -      2   8 B\n"), "{wide}");
    assert!(!wide.contains('\u{1b}'), "this is no terminal: {wide:?}");
    let (_, narrow, _) = shown("30", &[]);
    assert!(narrow.lines().all(|line| line.chars().count() <= 30) && narrow.contains("job a\n  files 1, behind 0 B,"), "{narrow}");
    let (_, json, _) = shown("30", &["--json"]);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json.lines().count(), &report["lines_read"], &report["jobs"][0]["bytes"], &report["session"]), (1, &2.into(), &8.into(), &"none".into()));

    let mut watching = Running::start(edge(&["status", "--url", &url, "--json", "--watch", "1"]));
    for _ in 0..2 {
        let report: serde_json::Value = serde_json::from_str(&watching.line()).unwrap();
        assert_eq!(report["lines_read"], 2);
    }
    drop(watching);
    assert_eq!(shown("80", &["--watch", "0"]).0, 2, "it would ask without end");
    assert_eq!((ask(&address, "GET", "/metrics").0, ask(&address, "GET", "/debug/pprof/").0), (404, 404));
    let (status, body) = ask(&address, "GET", "/");
    assert!(status == 200 && body.contains("2 read, 0 acknowledged"), "{status} {body}");
    assert_eq!(running.end(), 0);
    let (code, out, err) = shown("80", &[]);
    assert!(code == 1 && out.is_empty() && err.contains("no edge answers at"), "{code} {out} {err}");
}

#[test]
fn what_is_none_is_told_as_such() {
    let place = Place::new();
    let (code, out, err) = ran(&["wal", "inspect", &place.path("")]);
    assert!(code == 1 && out.is_empty() && err.contains("no file of a WAL is in "), "{code} {out} {err}");
    let (code, out, err) = ran(&["status", "--url", "nonsense"]);
    assert!(code == 1 && out.is_empty() && err.contains("nonsense is no url: write --url http://"), "{code} {out} {err}");
}

#[test]
fn reload_by_page_must_be_allowed() {
    let place = Place::new();
    let more = format!("{HUB}server: {{http_listen_address: 127.0.0.1, http_listen_port: 0, http_path_prefix: /agent/}}\n");
    let file = place.settings("env: first", "", &more);
    let mut running = Running::start(edge(&["run", "--config", &file]));
    let address = running.address();
    assert_eq!(ask(&address, "POST", "/reload").0, 404);
    until("it is ready", || ask(&address, "GET", "/agent/ready").0 == 200 && ask(&address, "GET", "/ready").0 == 200);
    assert!(ask(&address, "GET", "/agent/targets?format=html").1.contains("href=\"service-discovery\""), "links hold below the prefix");
    assert_eq!(running.end(), 0);
}
