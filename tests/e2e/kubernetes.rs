//! Real container runtimes: kubelet's and containerd's own log files, labels by the API server, the manifests of deploy/edge.
//!
//! Skipped, and said, where the machine cannot run containers or the cluster's program is not built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tests::ask::Ask;
use tests::cluster::{Cluster, Runtime};
use tests::edge::{Edge, EdgeParts, loopback};
use tests::hub::Hub;
use tests::lines::time_base_ns;
use tests::place;
use tests::skip::skipped;

/// Where the manifests are.
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/edge");
/// What most tests read back in one page: lines are up to 56 KB.
const PAGE: usize = 2_000;

/// One start of one container, one of its streams: the numbers that arrived.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// How often each number did.
    pub(crate) numbers: BTreeMap<u64, u32>,
    /// The number of the last line, once it was seen.
    last: Option<u64>,
    /// Label sets of its lines, without the file's name.
    pub(crate) labels: BTreeSet<String>,
}

impl Heard {
    /// What is not as written; empty = every line once.
    fn flaws(&self) -> String {
        let Some(last) = self.last else { return format!("no last line; {} lines", self.numbers.len()) };
        let missing: Vec<u64> = (0..=last).filter(|number| !self.numbers.contains_key(number)).collect();
        let repeated: Vec<u64> = self.numbers.iter().filter(|(_, times)| **times > 1).map(|(number, _)| *number).collect();
        if missing.is_empty() && repeated.is_empty() {
            return String::new();
        }
        let brief = |numbers: &[u64]| format!("{} ({:?}...)", numbers.len(), &numbers[..numbers.len().min(8)]);
        format!("of {} lines missing {}, repeated {}", last + 1, brief(&missing), brief(&repeated))
    }
}

/// Every line of the writers, by host name, then container, run and stream.
pub(crate) type Hearing = BTreeMap<String, BTreeMap<(String, String, String), Heard>>;

pub(crate) async fn hear(ask: &Ask, selector: &str) -> Hearing {
    let mut hearing = Hearing::new();
    // The lines have the time at which they were written.
    let base = time_base_ns();
    for (stream, rows) in ask.every_line(selector, base, base + 7 * 3_600_000_000_000, PAGE).await {
        let mut labels: BTreeMap<String, String> = serde_json::from_str(&stream).expect("labels are a map of texts");
        let container = labels.get("container").cloned().unwrap_or_default();
        labels.remove("filename");
        let shown = labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
        for row in rows {
            let words: Vec<&str> = row.line.split(' ').collect();
            let (Some([host, run, out, number, filler]), true) = (words.first_chunk::<5>(), words.len() <= 6) else {
                panic!("a line that nobody wrote: {:?} of {stream}", row.line.chars().take(200).collect::<String>())
            };
            assert!(filler.bytes().all(|byte| byte == b'x' || byte == b'y'), "a broken line of {stream}: {}", row.line.len());
            let number: u64 = number.parse().expect("a number");
            let heard = hearing.entry((*host).to_owned()).or_default().entry((container.clone(), (*run).to_owned(), (*out).to_owned())).or_default();
            *heard.numbers.entry(number).or_default() += 1;
            heard.labels.insert(shown.clone());
            if words.get(5) == Some(&"end") {
                heard.last = Some(number);
            }
        }
    }
    hearing
}

pub(crate) fn flaws(hearing: &Hearing) -> Vec<String> {
    let all = hearing.iter().flat_map(|(host, runs)| runs.iter().map(move |(run, heard)| (host, run, heard.flaws())));
    all.filter(|(_, _, flaws)| !flaws.is_empty()).map(|(host, (container, run, out), flaws)| format!("{host} {container} {run} {out}: {flaws}")).collect()
}

/// Lines of `selector` stop growing: nothing more comes. The error says how many are short of `at_least`.
async fn quiet(ask: &Ask, selector: &str, at_least: u64, within: Duration) -> Result<(), String> {
    let until = tokio::time::Instant::now() + within;
    let (mut before, mut same) = (0, 0);
    while same < 12 || before < at_least {
        if tokio::time::Instant::now() >= until {
            return Err(format!("{selector}: {before} of {at_least} lines after {within:?}"));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = ask.count(selector).await;
        same = if now == before { same + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

pub(crate) async fn until_quiet(ask: &Ask, selector: &str, at_least: u64, within: Duration) {
    quiet(ask, selector, at_least, within).await.unwrap_or_else(|why| panic!("{why}"));
}

fn manifest(name: &str) -> String {
    std::fs::read_to_string(Path::new(DEPLOY).join(name)).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

/// The edge as deploy/edge has it: only the image, the hub's address and its certificate are the test's.
fn deploy(cluster: &Cluster, hub: &Hub) {
    cluster.apply(&manifest("rbac.yaml"));
    let identity = hub.identity("alpha", "node1", &[]);
    let files = ["edge.crt", "edge.key", "ca.crt"].map(|name| format!("--from-file={}", identity.join(name).display()));
    let mut arguments = vec!["-n", "tributary", "create", "secret", "generic", "tributary-edge"];
    arguments.extend(files.iter().map(String::as_str));
    cluster.kubectl(&arguments).expect("a secret can be made");
    let url = format!("https://{}:{}\n      server_name: localhost", cluster.machine(), hub.link);
    cluster.apply(&replaced(&manifest("config.yaml"), "https://hub.example.org:9443", &url));
    cluster.apply(&replaced(&manifest("daemonset.yaml"), "image: tributary-edge:latest", "image: localhost/tributary-edge:1"));
    let ready = |text: &str| text.trim() == "1";
    cluster.until(
        "the edge is ready",
        &["-n", "tributary", "get", "daemonset", "tributary-edge", "-o", "jsonpath={.status.numberReady}"],
        Duration::from_secs(90),
        ready,
    );
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the manifest holds {from}");
    text.replace(from, to)
}

/// A pod of the writer; `more` = further keys of its metadata, `containers` = its containers.
fn pod(name: &str, more: &str, restart: &str, containers: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default{more}}}\nspec:\n  restartPolicy: {restart}\n  terminationGracePeriodSeconds: 2\n{containers}\n---\n"
    )
}

fn container(name: &str, arguments: &str, more: &str) -> String {
    format!("  - {{name: {name}, image: \"localhost/pod:1\", args: [write, {arguments}]{more}}}")
}

const SELECTOR: &str = "{namespace=\"default\"}";

fn writers(cluster: &Cluster) {
    let label = |name: &str| format!(", labels: {{app.kubernetes.io/name: {name}, app.kubernetes.io/component: c-{name}}}");
    let mut all = String::new();
    // Long lines on both streams, 200 KB a second: rotated every few seconds. Two ports: two targets, one file.
    let main = container("main", "-count, \"7000\", -rate, \"140\", -long, \"20\", -errors, \"5\"", ", ports: [{containerPort: 80}, {containerPort: 81}]");
    let setup = container("setup", "-count, \"300\"", "");
    all.push_str(&pod("long", &label("long"), "Never", &format!("  initContainers:\n{setup}\n  containers:\n{main}")));
    // One that falls again and again: 0.log, 1.log, 2.log.
    all.push_str(&pod(
        "again",
        &label("again"),
        "OnFailure",
        &format!("  containers:\n{}", container("main", "-count, \"400\", -errors, \"4\", -exit, \"1\"", "")),
    ));
    for at in 0..5 {
        all.push_str(&pod(&format!("gone-{at}"), "", "Never", &format!("  containers:\n{}", container("main", "-count, \"500\", -errors, \"3\"", ""))));
    }
    cluster.apply(&all);
    cluster.apply(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: brief, namespace: default}\nspec:\n  completions: 8\n  parallelism: 4\n  template:\n    metadata: {labels: {app: brief}}\n    spec:\n      restartPolicy: Never\n      containers: [{name: main, image: \"localhost/pod:1\", args: [write, -count, \"500\", -errors, \"3\"]}]\n",
    );
    let fixed = container("main", "-count, \"2000\", -rate, \"60\", -errors, \"2\", -stay", "");
    cluster.static_pod("fixed", &pod("fixed", ", labels: {app: fixed}", "Never", &format!("  containers:\n{fixed}")));
}

fn phase(name: &str) -> [&str; 5] {
    ["get", "pod", name, "-o", "jsonpath={.status.phase}"]
}

/// Pods that end at once are deleted as soon as an agent that looks every second can have seen their file.
async fn delete_the_brief(cluster: &Cluster) {
    for at in 0..5 {
        let name = format!("gone-{at}");
        cluster.until(&format!("{name} has ended"), &phase(&name), Duration::from_secs(60), |text| text == "Succeeded");
    }
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    cluster.kubectl(&["delete", "pod", "gone-0", "gone-1", "gone-2", "gone-3", "gone-4", "--now"]).expect("pods can be deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_cluster_arrives_exactly_once_with_its_labels() {
    let dir = place::folder("kubernetes");
    let cluster = match Cluster::start(dir.path()) {
        Ok(cluster) => cluster,
        Err(why) => return skipped("a_real_cluster_arrives_exactly_once_with_its_labels", &why),
    };
    let hub = Hub::prepare_at(dir.path(), &cluster.machine(), &crate::folder_store(dir.path()), "").started();
    let ask = Ask::new(&hub.url(), &hub.acme);
    let account = ["get", "serviceaccount", "default"];
    cluster.until("the default account is there", &account, Duration::from_secs(60), |_| true);
    cluster.until("the node is ready", &["get", "node", "node1"], Duration::from_secs(90), |text| text.contains(" Ready"));
    deploy(&cluster, &hub);
    writers(&cluster);
    cluster.until("the long writer runs", &phase("long"), Duration::from_secs(60), |text| text == "Running");
    let probe = [
        "debug",
        "long",
        "--image=localhost/pod:1",
        "--image-pull-policy=Never",
        "--container=probe",
        "--profile=general",
        "--",
        "/pod",
        "write",
        "-count",
        "300",
    ];
    cluster.kubectl(&probe).expect("an ephemeral container can be added");
    delete_the_brief(&cluster).await;
    cluster.restart_containerd();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Without an API server the edge falls and comes back: its targets are those it remembers.
    cluster.kill_apiserver();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = ask.count("{pod=\"long\"}").await;
    let fallen = cluster.crash("edge");
    // Once more as soon as it is back: then the kubelet waits for ten seconds, in which the long writer's file is rotated three times.
    cluster.until_runs_anew("edge", &fallen, Duration::from_secs(60));
    let _ = cluster.crash("edge");
    // A pod that comes meanwhile, of which the API server tells only when its log was rotated several times.
    let late = container("main", "-count, \"1500\", -rate, \"150\", -long, \"10\", -errors, \"3\", -stay", "");
    cluster.static_pod("late", &pod("late", ", labels: {app: late}", "Never", &format!("  containers:\n{late}")));
    ask.until_count("{pod=\"long\"}", before + 300, Duration::from_secs(60)).await;
    cluster.start_apiserver();
    cluster.until("the long writer has ended", &phase("long"), Duration::from_secs(180), |text| text == "Succeeded");
    let completed = ["get", "job", "brief", "-o", "jsonpath={.status.succeeded}"];
    cluster.until("the job is done", &completed, Duration::from_secs(60), |text| text == "8");
    let restarts = ["-n", "tributary", "get", "pods", "-o", "jsonpath={.items[0].status.containerStatuses[0].restartCount}"];
    assert_ne!(cluster.kubectl(&restarts).expect("the edge's pod is there"), "0", "the edge fell and came back");
    cluster.kubectl(&["delete", "pod", "again", "--wait=false"]).expect("the falling one is ended");
    let whole = quiet(&ask, SELECTOR, 7_000 + 300 + 300 + 8 * 500 + 5 * 500 + 2_000 + 1_500 + 800, Duration::from_secs(120)).await;
    let hearing = hear(&ask, SELECTOR).await;
    let lost = Ask::new(&hub.admin_url(), &hub.operator).json("/admin/v1/losses", &[("tenant", "acme")]).await;
    assert!(flaws(&hearing).is_empty(), "{:#?}\n{whole:?}\nlosses: {lost}\n{}", flaws(&hearing), edge_words(&cluster));
    labels_hold(&hearing);
    assert_eq!(whole, Ok(()));
    // Files that went away with their pod or dead container while the edge was down are told, though all their lines had been read: nobody can
    // say so. Of those that stay nothing is told, and of none that bytes are gone.
    let stays = |loss: &Value| {
        loss["source"].as_str().is_none_or(|path| ["long", "fixed", "late", "brief"].iter().any(|pod| path.contains(&format!("/default_{pod}"))))
    };
    let beyond: Vec<&Value> =
        lost.as_array().into_iter().flatten().filter(|loss| !loss["bytes"].is_null() || !loss["lines"].is_null() || stays(loss)).collect();
    assert!(beyond.is_empty(), "nothing was lost, and nothing is counted as lost: {beyond:?}");
    eprintln!(
        "kubernetes: {} lines, {} files of gone containers told as losses of unknown size",
        ask.count(SELECTOR).await,
        lost.as_array().map_or(0, Vec::len)
    );
}

/// What the relabel rules of deploy/edge promise, of every kind of pod.
fn labels_hold(hearing: &Hearing) {
    let runs = |host: &str| hearing.get(host).unwrap_or_else(|| panic!("{host} is not among {:?}", hearing.keys()));
    let streams = |host: &str, name: &str| runs(host).keys().filter(|(container, ..)| container == name).count();
    assert_eq!((streams("long", "main"), streams("long", "setup"), streams("long", "probe")), (2, 1, 1), "{:?}", runs("long").keys());
    assert_eq!((streams("fixed-node1", "main"), streams("late-node1", "main")), (2, 2), "the static pods");
    assert!(streams("again", "main") >= 4, "two starts or more, two streams each");
    assert_eq!(hearing.keys().filter(|host| host.starts_with("brief-")).count(), 8);
    for at in 0..5 {
        assert_eq!(streams(&format!("gone-{at}"), "main"), 2, "gone-{at}");
    }
    for (host, runs) in hearing {
        let (app, component) = match host.split('-').next().unwrap_or_default() {
            "long" => ("long", ",component=c-long"),
            "again" => ("again", ",component=c-again"),
            "brief" => ("brief", ""),
            "fixed" => ("fixed", ""),
            "late" => ("late", ""),
            _ => (host.as_str(), ""),
        };
        for ((container, _, out), heard) in runs {
            let expected = format!(
                "app={app},cluster=alpha{component},container={container},job=default/{app},namespace=default,node_name=node1,pod={host},stream=std{out}"
            );
            for labels in &heard.labels {
                let plain: Vec<&str> = labels
                    .split(',')
                    .filter(|pair| !pair.starts_with("__") && !pair.starts_with("detected_level") && !pair.starts_with("service_name"))
                    .collect();
                assert_eq!(plain.join(","), expected);
            }
        }
    }
}

/// The last words of the edge, from its own log file.
fn edge_words(cluster: &Cluster) -> String {
    let mut out = String::new();
    for pod in std::fs::read_dir(cluster.pod_logs()).into_iter().flatten().flatten().filter(|pod| pod.file_name().to_string_lossy().starts_with("tributary_")) {
        for file in std::fs::read_dir(pod.path().join("edge")).into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(file.path()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            out.push_str(&format!("--- {}\n{}\n", file.path().display(), lines[lines.len().saturating_sub(40)..].join("\n")));
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_runtimes_files_arrive_exactly_once() {
    let dir = place::folder("runtime");
    let runtime = match Runtime::start(dir.path()) {
        Ok(runtime) => runtime,
        Err(why) => return skipped("a_real_runtimes_files_arrive_exactly_once", &why),
    };
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let identity = hub.identity("alpha", "one", &[]);
    let stages = "  - cri: {}\n  - regex:\n      source: filename\n      expression: '/default_(?P<pod>[^/_]+)_[^/]+/(?P<container>[^/]+)/0\\.log'\n  - labels: {pod: , container: }\n  - static_labels: {namespace: default}\n";
    let parts = EdgeParts {
        identity: &identity,
        ca_file: &identity.join("ca.crt"),
        hubs: vec![loopback(hub.link)],
        transport: "auto",
        logs: format!("{}/*/*/*.log", runtime.pod_logs().display()),
        stages,
        more: "",
        wal: "",
        wal_dir: None,
        namespace: None,
    };
    let edge = Edge::start(dir.path(), "edge-one", &parts);
    let ask = Ask::new(&hub.url(), &hub.acme);
    // It writes for as long as a busy machine needs for all that follows.
    let (id, log) = runtime.run("long", &["write", "-count", "5000", "-rate", "150", "-long", "20", "-errors", "5"]);
    for at in 0..6 {
        let _ = runtime.run(&format!("brief{at}"), &["write", "-count", "400", "-errors", "3"]);
    }
    for round in 0..4 {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        runtime.rotate(&id, &log, &format!("2026112{round}-101010"));
    }
    until_quiet(&ask, SELECTOR, 5_000 + 6 * 400, Duration::from_secs(120)).await;
    let hearing = hear(&ask, SELECTOR).await;
    assert!(flaws(&hearing).is_empty(), "{:#?}", flaws(&hearing));
    let streams: usize = hearing.values().map(BTreeMap::len).sum();
    assert_eq!(streams, 2 * 7, "{:?}", hearing.values().flat_map(BTreeMap::keys).collect::<Vec<_>>());
    drop(edge);
}
