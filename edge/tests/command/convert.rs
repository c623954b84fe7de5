//! `convert`: YAML on standard output, the table on standard error, exit codes.

use super::*;

const HUB: [&str; 2] = ["--hub", "https://hub:9443"];

#[test]
fn a_converted_file_can_be_checked_and_exit_codes_tell_what_was_lost() {
    let place = Place::new();
    let alloy = place.write(
        "config.alloy",
        "local.file_match \"a\" {\n  path_targets = [{__path__ = \"/var/log/a.log\", job = \"a\"}]\n}\nloki.source.file \"a\" {\n  targets = local.file_match.a.targets\n  forward_to = [loki.write.w.receiver]\n}\nloki.write \"w\" {\n  endpoint { url = \"http://l/loki/api/v1/push\" }\n}\n",
    );
    let (output, report) = (place.path("edge.yaml"), place.path("report.txt"));
    let arguments = ["convert", &alloy, HUB[0], HUB[1], "--output", &output, "--report", &report];
    let (code, out, err) = ran(&arguments);
    assert!(code == 0 && out.is_empty(), "{code} {out} {err}");
    assert!(err.contains("kept     loki.source.file.a") && err.contains("0 refused"), "{err}");
    assert_eq!(std::fs::read_to_string(&report).unwrap(), err);
    let (code, out, err) = ran(&["check-config", "--config", &output]);
    assert_eq!((code, out.as_str()), (0, format!("{output}: ok\n").as_str()), "{err}");
    assert_eq!(ran(&arguments).0, 3, "nothing is overwritten");
    assert_eq!(ran(&["convert", &alloy, HUB[0], HUB[1], "--strict"]).0, 1, "the hub takes the clients' place");

    let lossy = place.write("lossy.alloy", "loki.source.cloudflare \"z\" {\n  forward_to = []\n}\n");
    let (code, _, err) = ran(&["convert", &lossy]);
    assert!(code == 1 && err.contains("    1  refused  loki.source.cloudflare.z"), "{err}");
    let bad = place.write("bad.alloy", "a {\n  b =\n}\n");
    let (code, out, err) = ran(&["convert", &bad]);
    assert!(code == 2 && out.is_empty() && err.starts_with(&format!("{bad}:2:6: error: ")), "{code} {err}");
    assert_eq!(ran(&["convert", &bad, "--from", "other"]).0, 2);
    assert_eq!(ran(&["convert", "/nowhere.yaml"]).0, 2);
}

#[test]
fn a_promtail_file_keeps_its_text_and_its_variables() {
    let place = Place::new();
    let text = "server:\n  http_listen_port: ${PORT:-9080}\nclients:\n  - url: http://l/loki/api/v1/push\n# files\nscrape_configs:\n  - job_name: a\n    static_configs: [{labels: {job: '${JOB}', __path__: /var/log/a.log}}]\n";
    let file = place.write("promtail.yaml", text);
    let output = edge(&["convert", &file, "-config.expand-env", HUB[0], HUB[1]]).env("JOB", "x").output().unwrap();
    let (code, out, err) = told(&output);
    assert!(
        code == 0 && out.contains("job: '${JOB}'") && out.contains("# files\n") && !out.contains("clients") && out.contains("hub:\n"),
        "{code} {out} {err}"
    );
    assert!(err.contains("    3  changed  clients "), "{err}");
    // What is YAML only with its variables stays as it is.
    let flow = place.write("flow.yaml", &text.replace("server:\n  http_listen_port: ${PORT:-9080}", "server: {http_listen_port: ${PORT:-9080}}"));
    assert_eq!(ran(&["convert", &flow]).0, 2);
    let (code, out, err) = ran(&["convert", &flow, "-config.expand-env"]);
    assert!(out.starts_with("server: {http_listen_port: ${PORT:-9080}}\nclients:"), "{code} {out} {err}");
}
