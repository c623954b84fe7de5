//! `tributary-certs` as a process: files, answers, exit codes.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use proto_seam::disk::real::RealDisk;
use proto_seam::{Disk, OpenHow};

use certs::{EdgeIdentity, TrustDomain};

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn with_ca() -> Self {
        let bench = Self::new();
        bench.expect(0, &["init", "ca", "--trust-domain", "td.example"]);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tributary-certs")).args(arguments).current_dir(self.dir.path()).output().unwrap()
    }

    /// Runs, checks the exit code, and that stdout is empty when it failed; gives stdout or stderr.
    fn expect(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
        if code == 0 {
            return out;
        }
        assert!(out.is_empty() && !err.is_empty(), "{arguments:?}: {out:?} {err:?}");
        err
    }

    fn show(&self, file: &str) -> serde_json::Value {
        let out = self.expect(0, &["show", file, "--json"]);
        assert_eq!(out.lines().count(), 1);
        serde_json::from_str(&out).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        RealDisk::new().state(&self.path(name)).unwrap().mode
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        RealDisk::new().read_all(&self.path(name), 1 << 20).unwrap()
    }

    fn life_days(&self, file: &str) -> f64 {
        let shown = self.show(file);
        let at = |key: &str| shown[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
        #[expect(clippy::cast_precision_loss, reason = "days are small")]
        let days = (at("not_after") - at("not_before")) as f64 / 86_400.0;
        days
    }
}

const EDGE: [&str; 9] = ["issue", "edge", "--ca", "ca", "--out", "e", "--cluster", "alpha", "--edge"];

#[test]
fn makes_a_ca_once() {
    let bench = Bench::with_ca();
    assert_eq!((bench.mode("ca"), bench.mode("ca/ca.key")), (0o700, 0o600));
    let (cert, key) = (bench.bytes("ca/ca.crt"), bench.bytes("ca/ca.key"));
    let refused = bench.expect(3, &["init", "ca", "--trust-domain", "other.example"]);
    assert!(refused.contains("is not overwritten"), "{refused}");
    assert_eq!((bench.bytes("ca/ca.crt"), bench.bytes("ca/ca.key")), (cert, key));
    let shown = bench.show("ca/ca.crt");
    assert_eq!((&shown["is_ca"], shown["subject_uri"].as_str()), (&serde_json::Value::Bool(true), Some("spiffe://td.example")));
    assert!((bench.life_days("ca/ca.crt") - 3650.0).abs() < 0.01);
    bench.expect(0, &["init", "short", "--trust-domain", "td.example", "--days", "1"]);
    assert!((bench.life_days("short/ca.crt") - 1.0).abs() < 0.01);
}

#[test]
fn a_key_alone_is_enough_to_refuse() {
    let bench = Bench::new();
    RealDisk::new().make_dirs(&bench.path("ca")).unwrap();
    RealDisk::new().open(&bench.path("ca/ca.key"), OpenHow::CreateNew).unwrap();
    bench.expect(3, &["init", "ca", "--trust-domain", "td.example"]);
    assert!(bench.bytes("ca/ca.key").is_empty());
}

#[test]
fn closes_a_directory_that_was_open() {
    let bench = Bench::new();
    RealDisk::new().make_dirs(&bench.path("ca")).unwrap();
    rustix::fs::chmod(bench.path("ca"), rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
    bench.expect(0, &["init", "ca", "--trust-domain", "td.example"]);
    assert_eq!(bench.mode("ca"), 0o700);
}

#[test]
fn issues_edges_that_the_hub_can_read() {
    let bench = Bench::with_ca();
    bench.expect(0, &[&EDGE[..], &["n1"]].concat());
    let der = certs::pem::certificates(Path::new("e"), &bench.bytes("e/edge.crt")).unwrap();
    let identity = EdgeIdentity::from_certificate(&der[0], &TrustDomain::new("td.example").unwrap()).unwrap();
    assert_eq!(identity.identity_key(), "alpha/n1");
    assert_eq!((bench.mode("e/edge.key"), bench.bytes("e/ca.crt")), (0o600, bench.bytes("ca/ca.crt")));
    let shown = bench.show("e/edge.crt");
    let keys: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["subject_uri", "issuer", "serial", "not_before", "not_after", "is_ca", "names", "sha256"]);
    assert_eq!(shown["subject_uri"], "spiffe://td.example/cluster/alpha/edge/n1");
    assert!((bench.life_days("e/edge.crt") - 30.0).abs() < 0.01);
    // Again into the same place: a renewal.
    let before = bench.bytes("e/edge.crt");
    bench.expect(0, &[&EDGE[..], &["n1", "--days", "7"]].concat());
    assert_ne!(bench.bytes("e/edge.crt"), before);
    assert!((bench.life_days("e/edge.crt") - 7.0).abs() < 0.01);
}

#[test]
fn issues_hubs_for_names_and_addresses() {
    let bench = Bench::with_ca();
    bench.expect(0, &["issue", "hub", "--ca", "ca", "--out", "h", "--name", "hub.example", "127.0.0.1", "--name", "::1"]);
    assert_eq!(bench.show("h/hub.crt")["names"], serde_json::json!(["hub.example", "127.0.0.1", "::1"]));
    assert_eq!(bench.show("h/hub.crt")["subject_uri"], serde_json::Value::Null);
    assert_eq!((bench.mode("h/hub.key"), bench.bytes("h/ca.crt")), (0o600, bench.bytes("ca/ca.crt")));
    assert!((bench.life_days("h/hub.crt") - 90.0).abs() < 0.01);
}

#[test]
fn obeys_given_dates() {
    let bench = Bench::with_ca();
    let dates = ["n1", "--not-before", "2020-01-01T00:00:00Z", "--not-after", "2020-02-01T01:00:00+01:00"];
    bench.expect(0, &[&EDGE[..], &dates].concat());
    let shown = bench.show("e/edge.crt");
    assert_eq!((shown["not_before"].as_str(), shown["not_after"].as_str()), (Some("2020-01-01T00:00:00Z"), Some("2020-02-01T00:00:00Z")));
    bench.expect(0, &[&EDGE[..], &["n1", "--not-after", "2020-02-01T00:00:00Z"]].concat());
    assert_eq!(bench.show("e/edge.crt")["not_after"], "2020-02-01T00:00:00Z");
    // Days are cut to the CA's life, a date beyond it is refused.
    bench.expect(0, &["init", "short", "--trust-domain", "td.example", "--days", "3"]);
    let short = ["issue", "edge", "--ca", "short", "--out", "s", "--cluster", "alpha", "--edge", "n1"];
    bench.expect(0, &short);
    assert_eq!(bench.show("s/edge.crt")["not_after"], bench.show("short/ca.crt")["not_after"]);
    let refused = bench.expect(2, &[&short[..], &["--not-after", "2100-01-01T00:00:00Z"]].concat());
    assert!(refused.contains("after its ca"), "{refused}");
}

#[test]
fn mistakes_in_usage_end_with_two() {
    let bench = Bench::with_ca();
    let edge = |more: &[&'static str]| [&EDGE[..], more].concat();
    let table: Vec<(Vec<&str>, &str)> = vec![
        (vec![], "Usage"),
        (vec!["issue"], "Usage"),
        (vec!["init", "x"], "--trust-domain"),
        (vec!["init", "x", "--trust-domain", "Td"], "trust domain \"Td\" is not allowed"),
        (vec!["init", "x", "--trust-domain", "td", "--days", "0"], "--days"),
        (vec!["issue", "hub", "--ca", "ca", "--out", "h"], "--name"),
        (vec!["issue", "hub", "--ca", "ca", "--out", "h", "--name", "a b"], "neither a dns name nor an ip address"),
        (vec!["issue", "edge", "--ca", "ca", "--out", "e", "--cluster", "Alpha", "--edge", "n"], "cluster id \"Alpha\""),
        (edge(&["../n"]), "edge id \"../n\""),
        (edge(&["%2e"]), "edge id \"%2e\""),
        (edge(&[""]), "it is empty"),
        (edge(&["n", "--not-after", "tomorrow"]), "RFC 3339"),
        (edge(&["n", "--not-before", "2030-01-01T00:00:00Z", "--not-after", "2029-01-01T00:00:00Z"]), "is not before its end"),
        (edge(&["n", "--days", "99999"]), "--days"),
        (vec!["show"], "FILE"),
        (vec!["revoke"], "unrecognized"),
    ];
    for (arguments, reason) in table {
        let text = bench.expect(2, &arguments);
        assert!(text.contains(reason), "{arguments:?}: {text:?} lacks {reason:?}");
    }
    for never in ["x", "h", "e"] {
        assert!(RealDisk::new().state(&bench.path(never)).is_err(), "{never} was made");
    }
}

#[test]
fn failures_at_work_end_with_one_and_name_the_file() {
    let bench = Bench::with_ca();
    RealDisk::new().write_all(&bench.path("garbage"), b"nonsense").unwrap();
    for (arguments, reason) in [
        (vec!["show", "absent"], "cannot read absent"),
        (vec!["show", "garbage"], "garbage holds no usable PEM certificate"),
        (vec!["show", "ca/ca.key"], "no BEGIN CERTIFICATE"),
        (vec!["issue", "hub", "--ca", "absent", "--out", "h", "--name", "a"], "cannot read absent/ca.crt"),
        (vec!["issue", "hub", "--ca", "ca", "--out", "garbage", "--name", "a"], "garbage"),
    ] {
        let text = bench.expect(1, &arguments);
        assert!(text.contains(reason), "{arguments:?}: {text:?} lacks {reason:?}");
    }
}

#[test]
fn a_ca_key_open_to_others_is_not_used() {
    let bench = Bench::with_ca();
    rustix::fs::chmod(bench.path("ca/ca.key"), rustix::fs::Mode::from_raw_mode(0o644)).unwrap();
    let text = bench.expect(2, &[&EDGE[..], &["n"]].concat());
    assert!(text.contains("chmod 600"), "{text}");
}

#[test]
fn a_leaf_is_not_written_over_another_ca() {
    let bench = Bench::with_ca();
    bench.expect(0, &["init", "other", "--trust-domain", "td.example"]);
    let before = bench.bytes("other/ca.crt");
    bench.expect(3, &["issue", "hub", "--ca", "ca", "--out", "other", "--name", "a"]);
    assert_eq!(bench.bytes("other/ca.crt"), before);
}

#[test]
fn shows_every_certificate_of_a_bundle() {
    let bench = Bench::with_ca();
    bench.expect(0, &[&EDGE[..], &["n1"]].concat());
    RealDisk::new().write_all(&bench.path("bundle"), &[bench.bytes("e/edge.crt"), bench.bytes("ca/ca.crt")].concat()).unwrap();
    let out = bench.expect(0, &["show", "--json", "bundle"]);
    let shown: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((shown.len(), &shown[0]["is_ca"], &shown[1]["is_ca"]), (2, &false.into(), &true.into()));
    let text = bench.expect(0, &["show", "bundle"]);
    assert!(text.contains("subject uri  spiffe://td.example/cluster/alpha/edge/n1") && text.contains("ca           yes"), "{text}");
}

#[test]
fn answers_help_and_version() {
    let bench = Bench::new();
    assert!(bench.expect(0, &["--help"]).contains("issue"));
    assert!(bench.expect(0, &["issue", "edge", "--help"]).contains("30 for an edge"));
    assert!(bench.expect(0, &["--version"]).starts_with("tributary-certs "));
}
