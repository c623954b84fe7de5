//! What loads and does not do what it seems to: told, never refused.
//!
//! Parts: [`Checker::traps`] of a job: stages that do not fit the files (`docker` on CRI's, `cri` on Docker's), labels
//! whose values have no bounds. Must not do: change anything.

use edge_pipeline::settings::{Pairs, StageKind};
use edge_pipeline::{RelabelSettings, StageSettings};
use proto_boot::settings::place;

use super::super::ScrapeSettings;
use super::Checker;

/// Where container runtimes that speak CRI put their logs.
const CRI_DIRS: [&str; 2] = ["/var/log/pods", "/var/log/containers"];
/// Where Docker does.
const DOCKER_DIRS: [&str; 1] = ["/var/lib/docker/containers"];

/// Names, in lower case and without `_`, `-` and `.`, of values that are new with every line, request or user.
const UNBOUNDED: [&str; 46] = [
    "timestamp",
    "time",
    "ts",
    "date",
    "datetime",
    "eventtime",
    "logtime",
    "epoch",
    "traceid",
    "trace",
    "spanid",
    "span",
    "requestid",
    "reqid",
    "xrequestid",
    "correlationid",
    "transactionid",
    "messageid",
    "eventid",
    "sessionid",
    "session",
    "uuid",
    "guid",
    "userid",
    "useremail",
    "email",
    "customerid",
    "orderid",
    "ip",
    "clientip",
    "remoteip",
    "remoteaddr",
    "remoteaddress",
    "sourceip",
    "srcip",
    "xforwardedfor",
    "url",
    "uri",
    "requesturi",
    "referer",
    "useragent",
    "message",
    "msg",
    "duration",
    "latency",
    "responsetime",
];

/// Discovered values that are new with every restart or entry.
const UNBOUNDED_META: [&str; 10] = [
    "__meta_kubernetes_pod_uid",
    "__meta_kubernetes_pod_ip",
    "__meta_kubernetes_pod_container_id",
    "__meta_docker_container_id",
    "__journal___cursor",
    "__journal___realtime_timestamp",
    "__journal___monotonic_timestamp",
    "__journal__pid",
    "__syslog_message_msg_id",
    "__syslog_message_proc_id",
];

/// Expressions of `labelmap` that take everything.
const EVERYTHING: [&str; 8] = ["(.*)", "(.+)", ".*", ".+", "__meta_(.*)", "__meta_(.+)", "__meta_kubernetes_(.+)", "__meta_kubernetes_pod_(.+)"];

impl Checker<'_> {
    /// The traps of one job.
    pub(super) fn traps(&mut self, scrape: &ScrapeSettings) {
        let paths = paths(scrape);
        self.stages(&scrape.pipeline_stages, &paths);
        for rule in &scrape.relabel_configs {
            self.rule(rule);
        }
    }

    fn stages(&mut self, stages: &[StageSettings], paths: &[String]) {
        for StageSettings { at, stage } in stages {
            let at = (at.line as u64, at.column as u64);
            #[allow(clippy::wildcard_enum_match_arm, reason = "the others hold no trap")]
            match stage {
                StageKind::Docker if below(paths, &CRI_DIRS) => {
                    let text = "a docker stage on pods' logs: with containerd or CRI-O these are no Docker files, and their lines pass as they are";
                    self.remark(at, text, "write cri, unless the runtime is Docker");
                }
                StageKind::Cri(_) if below(paths, &DOCKER_DIRS) => {
                    let text = "a cri stage on Docker's files: their lines are JSON, and pass as they are";
                    self.remark(at, text, "write docker");
                }
                StageKind::Labels(pairs) => self.labels(pairs),
                StageKind::Match(matching) => self.stages(matching.stages.as_deref().unwrap_or_default(), paths),
                StageKind::Pipeline(nested) => self.stages(nested, paths),
                _ => {}
            }
        }
    }

    fn labels(&mut self, pairs: &Pairs) {
        for (name, source) in &pairs.0 {
            let from = source.as_ref().map_or(name.value.as_str(), |source| source.value.as_str());
            if [name.value.as_str(), from].into_iter().any(is_unbounded) {
                let text = format!("the label {:?} looks as if every line has a value of its own: each would be a stream", name.value);
                self.remark(place(name), text, "write structured_metadata instead of labels");
            }
        }
    }

    fn rule(&mut self, settings: &RelabelSettings) {
        let (at, rule) = ((settings.at.line as u64, settings.at.column as u64), &settings.rule);
        let word = |text: &Option<edge_pipeline::settings::Text>| text.as_ref().map(|text| text.value.clone()).unwrap_or_default();
        let (action, regex, target) = (word(&rule.action).to_lowercase(), word(&rule.regex), word(&rule.target_label));
        if action == "labelmap" {
            let annotations = regex.contains("annotation") && regex.contains("(.");
            if annotations || EVERYTHING.contains(&regex.as_str()) {
                let what = if annotations { "every annotation" } else { "every label" };
                self.remark(at, format!("this labelmap makes a label of {what}: many are new with every restart"), "name those that are wanted");
            }
        }
        let is_label = !target.is_empty() && !target.starts_with("__") && (action.is_empty() || action == "replace");
        let unbounded = rule.source_labels.iter().flatten().find(|source| UNBOUNDED_META.contains(&source.value.as_str()));
        if let Some(source) = unbounded.filter(|_| is_label) {
            let text = format!("the label {target:?} is made of {}, which is new with every restart or entry: each value is a stream", source.value);
            self.remark(place(source), text, "leave it out; the labels of the pod or unit tell where a line is from");
        }
    }
}

/// The globs of a job: as labels, and as rules make them.
fn paths(scrape: &ScrapeSettings) -> Vec<String> {
    let named = scrape.statics().iter().filter_map(|written| written.labels.value.0.get("__path__")).map(|path| path.value.clone());
    let is_path = |rule: &&RelabelSettings| rule.rule.target_label.as_ref().is_some_and(|target| target.value == "__path__");
    let made = scrape.relabel_configs.iter().filter(is_path).filter_map(|rule| rule.rule.replacement.as_ref()).map(|text| text.value.clone());
    named.chain(made).collect()
}

fn below(paths: &[String], dirs: &[&str]) -> bool {
    paths.iter().any(|path| dirs.iter().any(|dir| path.starts_with(dir)))
}

fn is_unbounded(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| !matches!(c, '_' | '-' | '.')).collect::<String>().to_lowercase();
    UNBOUNDED.contains(&plain.as_str())
}
