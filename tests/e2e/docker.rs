//! A real Docker daemon of our own: containers that write to both streams, lines of more than 100 KiB, terminals, short lives, and an edge
//! that is killed meanwhile: every line once.
//!
//! Skipped, and said, where Docker is not installed or the machine cannot run containers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::ask::Ask;
use tests::hub::Hub;
use tests::place;
use tests::process::Process;
use tests::skip::skipped;

use crate::kubernetes::{flaws, hear, until_quiet};
use crate::{Wish, edge_with};

const TEST: &str = "containers_of_a_real_docker_arrive_exactly_once";

/// A daemon with its own folders and socket.
struct Daemon {
    process: Process,
    dir: PathBuf,
    client: reqwest::Client,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.stop(Duration::from_secs(20));
        // What it started outlives it where it did not end in peace.
        if let Ok(id) = std::fs::read_to_string(self.dir.join("exec/containerd/containerd.pid")) {
            drop(Command::new("kill").arg(id.trim()).output());
        }
    }
}

impl Daemon {
    /// A daemon that answers; else why there is none.
    async fn start(dir: &Path) -> Result<Self, String> {
        let program = ["/usr/sbin/dockerd", "/usr/bin/dockerd", "/usr/local/bin/dockerd"].map(PathBuf::from).into_iter().find(|path| path.exists());
        let program = program.ok_or("docker is not installed")?;
        let dir = dir.join("docker");
        std::fs::create_dir_all(&dir).map_err(|fault| fault.to_string())?;
        let mut command = Command::new(program);
        for (flag, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(flag).arg(dir.join(name));
        }
        command.arg("--host").arg(format!("unix://{}", dir.join("s").display()));
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs", "--log-level=warn"]);
        let process = Process::start(command, &dir, "dockerd");
        let client = reqwest::Client::builder().unix_socket(dir.join("s")).build().map_err(|fault| fault.to_string())?;
        let mut daemon = Self { process, dir, client };
        for _ in 0..120 {
            if daemon.client.get("http://docker/version").send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(daemon);
            }
            if !daemon.process.alive() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Err(format!("no Docker daemon can be started on this machine: {}", daemon.process.tail().lines().last().unwrap_or_default()))
    }

    async fn post(&self, path: &str, body: Vec<u8>, kind: &str) -> Result<Value, String> {
        let request = self.client.post(format!("http://docker/v1.41{path}")).header("content-type", kind).body(body);
        let answer = request.send().await.map_err(|fault| fault.to_string())?;
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        if !status.is_success() {
            return Err(format!("{path}: {status} {text}"));
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// An image of nothing but the writer.
    async fn import(&self, writer: &Path) -> Result<(), String> {
        let tar = Command::new("tar").arg("-C").arg(writer.parent().unwrap_or(Path::new("/"))).arg("-cf").arg("-").arg("kube-pod").output();
        let tar = tar.map_err(|fault| fault.to_string())?.stdout;
        self.post("/images/create?fromSrc=-&repo=writer&tag=1", tar, "application/x-tar").await.map(drop)
    }

    async fn run(&self, name: &str, has_terminal: bool, arguments: &str) -> Result<String, String> {
        let command: Vec<&str> = ["/kube-pod", "write"].into_iter().chain(arguments.split(' ')).collect();
        let settings = json!({"Image": "writer:1", "Cmd": command, "Tty": has_terminal, "Labels": {"shop.tier": "front"}, "StopTimeout": 1, "HostConfig": {"NetworkMode": "none"}});
        let made = self.post(&format!("/containers/create?name={name}"), settings.to_string().into_bytes(), "application/json").await?;
        let id = made["Id"].as_str().ok_or("a container has an id")?.to_owned();
        self.begin(&id).await?;
        Ok(id)
    }

    async fn begin(&self, id: &str) -> Result<(), String> {
        self.post(&format!("/containers/{id}/start"), Vec::new(), "application/json").await.map(drop)
    }

    async fn until_ended(&self, id: &str) {
        let answer = tokio::time::timeout(Duration::from_secs(60), self.post(&format!("/containers/{id}/wait"), Vec::new(), "application/json")).await;
        answer.expect("a writer ends").expect("a writer can be waited for");
    }
}

#[tokio::test]
async fn containers_of_a_real_docker_arrive_exactly_once() {
    let writer = place::programs().parent().map(|target| target.join("tools/kube-pod")).unwrap_or_default();
    if !writer.exists() {
        return skipped(TEST, "the writer is not built (tests/kubernetes/build small)");
    }
    let dir = place::folder("docker");
    let daemon = match Daemon::start(dir.path()).await {
        Ok(daemon) => daemon,
        Err(why) => return skipped(TEST, &why),
    };
    daemon.import(&writer).await.expect("an image can be imported");
    if let Err(why) = daemon.run("trial", false, "-count 1").await {
        return skipped(TEST, &format!("no container can be run on this machine: {why}"));
    }
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let socket = daemon.dir.join("s");
    let more = format!(
        "- job_name: docker\n  docker_sd_configs: [{{host: 'unix://{}', refresh_interval: 5s}}]\n  relabel_configs:\n  \
         - {{source_labels: [__meta_docker_container_name], regex: '/(.*)', target_label: container}}\n  \
         - {{source_labels: [__meta_docker_container_name], regex: '/trial', action: drop}}\n  \
         - {{source_labels: [__meta_docker_container_log_stream], target_label: stream}}\n  \
         - {{source_labels: [__meta_docker_container_label_shop_tier], target_label: tier}}\n",
        socket.display()
    );
    let mut edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &Wish { more: &more, ..Wish::default() });
    let run = async |name, has_terminal, arguments| daemon.run(name, has_terminal, arguments).await.expect("a container can be run");
    let long = run("long", false, "-count 1200 -rate 240 -long 100 -size 102400 -errors 7").await;
    let terminal = run("terminal", true, "-count 600 -rate 150 -errors 5").await;
    run("brief", false, "-count 40 -errors 3 -exit 3").await;
    let ask = Ask::new(&hub.url(), &hub.acme);
    ask.until_count("{tier=\"front\"}", 200, Duration::from_secs(60)).await;
    edge.kill();
    // One that lives and ends while no edge is there, one that begins to.
    let away = run("away", false, "-count 300 -errors 4").await;
    daemon.until_ended(&away).await;
    let across = run("across", false, "-count 400 -rate 200 -errors 2").await;
    edge.resume();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    edge.kill();
    edge.resume();
    for id in [&long, &terminal, &across] {
        daemon.until_ended(id).await;
    }
    // Again under the same ids.
    daemon.begin(&away).await.expect("a container can be started again");
    daemon.begin(&terminal).await.expect("a container can be started again");
    daemon.until_ended(&terminal).await;
    let all = 1_200 + 2 * 600 + 40 + 2 * 300 + 400;
    until_quiet(&ask, "{tier=\"front\"}", all, Duration::from_secs(90)).await;
    let hearing = hear(&ask, "{tier=\"front\"}").await;
    assert_eq!(flaws(&hearing), Vec::<String>::new());
    let runs: Vec<&(String, String, String)> = hearing.values().flat_map(|runs| runs.keys()).collect();
    assert_eq!(runs.len(), 14, "{runs:?}");
    let heard: usize = hearing.values().flat_map(|runs| runs.values()).map(|heard| heard.numbers.len()).sum();
    assert_eq!(heard as u64, all);
    let labels = |name: &str| -> Vec<String> {
        let own = hearing.values().flatten().filter(|((container, ..), _)| container == name);
        own.flat_map(|(_, heard)| heard.labels.iter().cloned()).collect()
    };
    assert!(labels("away").iter().any(|labels| labels.contains("stream=stderr")) && labels("terminal").iter().all(|labels| labels.contains("stream=stdout")));
}
