//! `docker_sd_configs` before a stand-in of Docker's API on a Unix socket: cuts anywhere, restarts of all sides, containers that come and go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use futures::StreamExt as _;
use proto_seam::Entropy;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::site::{START, Site, lines};
use crate::sim_disk::SimDisk;

/// A piece of a log: stream, nanosecond, text with its newline if it has one.
type Piece = (u8, i64, String);

#[derive(Debug, Default, Clone)]
struct Container {
    log: Vec<Piece>,
    is_running: bool,
    has_terminal: bool,
    created: i64,
    label: String,
}

#[derive(Default)]
struct Docker {
    containers: BTreeMap<String, Container>,
    /// What was asked of logs.
    asked: Vec<BTreeMap<String, String>>,
    /// Answers of logs end, broken, after so many bytes.
    breaks: Option<usize>,
}

/// The stand-in; clones share it.
#[derive(Clone)]
struct Fake {
    state: Arc<Mutex<Docker>>,
    changed: watch::Sender<u64>,
    dir: Arc<tempfile::TempDir>,
}

impl Fake {
    fn new() -> Self {
        Self { state: Arc::default(), changed: watch::channel(0).0, dir: Arc::new(tempfile::tempdir().unwrap()) }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// A daemon; it ends when the task is aborted.
    #[allow(clippy::disallowed_methods, reason = "a real socket")]
    fn serve(&self) -> tokio::task::JoinHandle<()> {
        drop(std::fs::remove_file(self.socket()));
        let listener = tokio::net::UnixListener::bind(self.socket()).unwrap();
        let routes = Router::new()
            .route("/version", get(async || Json(json!({"ApiVersion": "1.41", "MinAPIVersion": "1.12"}))))
            .route("/v1.41/containers/json", get(list))
            .route("/v1.41/networks", get(async || Json(json!([{"Id": "n", "Name": "bridge", "Scope": "local"}]))))
            .route("/v1.41/containers/{id}/json", get(inspect))
            .route("/v1.41/containers/{id}/logs", get(log))
            .route("/v1.41/events", get(events))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() })
    }

    fn lock(&self) -> MutexGuard<'_, Docker> {
        self.state.lock().unwrap()
    }

    /// Something happens, and whoever follows sees it.
    fn change(&self, change: impl FnOnce(&mut Docker)) {
        change(&mut self.lock());
        self.changed.send_modify(|count| *count += 1);
    }

    fn run(&self, id: &str, label: &str) {
        let new = Container { is_running: true, created: now(), label: label.to_owned(), ..Container::default() };
        self.change(|docker| drop(docker.containers.insert(id.to_owned(), new)));
    }

    fn write(&self, id: &str, pieces: impl IntoIterator<Item = Piece>) {
        self.change(|docker| docker.containers.get_mut(id).unwrap().log.extend(pieces));
    }

    fn set_running(&self, id: &str, is_running: bool) {
        self.change(|docker| docker.containers.get_mut(id).unwrap().is_running = is_running);
    }

    fn job(&self) -> String {
        format!(
            "docker_sd_configs: [{{host: 'unix://{}', refresh_interval: 1s}}], relabel_configs: [{{source_labels: [__meta_docker_container_label_app], target_label: app}}, \
             {{source_labels: [__meta_docker_container_log_stream], target_label: stream}}, {{source_labels: [app], regex: hidden, action: drop}}]",
            self.socket().display()
        )
    }
}

/// The daemon's clock, seconds: its answers' heads have it.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

async fn list(State(fake): State<Fake>) -> Json<Value> {
    let docker = fake.lock();
    let one = |(id, container): (&String, &Container)| {
        json!({"Id": id, "Names": [format!("/{id}")], "State": if container.is_running { "running" } else { "exited" }, "Created": container.created,
               "Labels": {"app": container.label}, "HostConfig": {"NetworkMode": "default"},
               "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "n", "IPAddress": "10.0.0.2"}}}})
    };
    Json(docker.containers.iter().map(one).collect())
}

async fn inspect(State(fake): State<Fake>, Path(id): Path<String>) -> Response {
    match fake.lock().containers.get(&id) {
        Some(container) => Json(json!({"Id": id, "State": {"Running": container.is_running}, "Config": {"Tty": container.has_terminal}})).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn events(State(fake): State<Fake>) -> Response {
    let changed = fake.changed.subscribe();
    let stream = futures::stream::unfold((changed, fake), |(mut changed, fake)| async move {
        changed.changed().await.ok()?;
        let ids: Vec<String> = fake.lock().containers.keys().cloned().collect();
        let text: String = ids.iter().map(|id| format!("{}\n", json!({"Type": "container", "Action": "start", "Actor": {"ID": id}}))).collect();
        Some((Ok::<_, std::io::Error>(Bytes::from(text)), (changed, fake)))
    });
    Response::new(Body::from_stream(stream))
}

fn encoded((stream, nanos, text): &Piece, has_terminal: bool) -> Vec<u8> {
    let at = jiff::Timestamp::from_nanosecond(i128::from(*nanos)).unwrap();
    let body = format!("{at:.9} {text}");
    if has_terminal {
        return body.into_bytes();
    }
    let mut out = vec![*stream, 0, 0, 0];
    out.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    out.extend(body.as_bytes());
    out
}

async fn log(State(fake): State<Fake>, Path(id): Path<String>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let (seconds, nanos) = query["since"].split_once('.').unwrap_or((&query["since"], "0"));
    let since = seconds.parse::<i64>().unwrap() * 1_000_000_000 + nanos.parse::<i64>().unwrap();
    let is_followed = query["follow"] == "1";
    let mut breaks = {
        let mut docker = fake.lock();
        docker.asked.push(query);
        docker.breaks.take()
    };
    let (sender, receiver) = futures::channel::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let mut changed = fake.changed.subscribe();
    tokio::spawn(async move {
        use futures::SinkExt as _;
        let (mut sender, mut at) = (sender, 0);
        loop {
            changed.borrow_and_update();
            let (new, is_over) = {
                let docker = fake.lock();
                let Some(container) = docker.containers.get(&id) else { return };
                let new: Vec<u8> =
                    container.log[at..].iter().filter(|(_, nanos, _)| *nanos >= since).flat_map(|piece| encoded(piece, container.has_terminal)).collect();
                at = container.log.len();
                (new, !is_followed || !container.is_running)
            };
            // Cut anywhere.
            for chunk in new.chunks(1_013) {
                if let Some(left) = &mut breaks {
                    if *left < chunk.len() {
                        let last = [Ok(Bytes::copy_from_slice(&chunk[..*left])), Err(std::io::Error::other("broken"))];
                        for sent in last {
                            drop(sender.send(sent).await);
                        }
                        return;
                    }
                    *left -= chunk.len();
                }
                if sender.send(Ok(Bytes::copy_from_slice(chunk))).await.is_err() {
                    return;
                }
            }
            if is_over || changed.changed().await.is_err() {
                return;
            }
        }
    });
    Response::new(Body::from_stream(receiver.map(|chunk| chunk)))
}

/// `count` lines of both streams from `first` on; several share a nanosecond, and the streams overtake each other.
fn pieces(first: i64, count: i64) -> Vec<Piece> {
    (first..first + count)
        .map(|n| {
            let (stream, back) = if n % 3 == 0 { (2, 5) } else { (1, 0) };
            (stream, START + n / 4 * 10 - back, format!("line {n}\n"))
        })
        .collect()
}

fn once(rows: &[super::site::Row], count: usize) {
    let mut numbers: Vec<usize> = lines(rows).iter().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
}

const ENTRIES: &str = "promtail_docker_target_entries_total";

#[tokio::test]
async fn each_line_comes_once_through_crashes_of_the_edge_and_breaks_of_the_daemon() {
    let fake = Fake::new();
    let mut daemon = fake.serve();
    fake.run("aa", "shop");
    fake.write("aa", pieces(0, 200));
    fake.change(|docker| docker.breaks = Some(2_500));
    let mut disk = SimDisk::new(&Entropy::seeded(3));
    let mut count = 200;
    for round in 0..4 {
        let site = Site::on(disk, &fake.job(), "").await;
        site.until(ENTRIES, "", 1.0).await;
        fake.write("aa", pieces(count, 150));
        count += 150;
        if round == 1 {
            // The daemon restarts while it is followed.
            daemon.abort();
            assert!(daemon.await.is_err(), "it was aborted");
            tokio::time::sleep(Duration::from_millis(200)).await;
            daemon = fake.serve();
        }
        site.until(ENTRIES, "", 100.0).await;
        (_, disk) = site.crash().await;
        fake.write("aa", pieces(count, 10));
        count += 10;
    }
    let site = Site::on(disk, &fake.job(), "").await;
    site.until(ENTRIES, "", 1.0).await;
    fake.write("aa", pieces(count, 1));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let rows = site.end().await;
    once(&rows, usize::try_from(count + 1).unwrap());
    let errors = rows.iter().filter(|row| row.labels.contains("stream=stderr")).count();
    assert_eq!(errors, usize::try_from(count / 3 + 1).unwrap());
    assert!(rows.iter().all(|row| row.labels.contains("app=shop")), "{:?}", rows[0]);
    let n7 = rows.iter().find(|row| row.line == "line 7").unwrap();
    assert_eq!(n7.time, START + 10);
    // After the first start no one asks for the whole log.
    let asked = &fake.lock().asked;
    assert!(asked.iter().skip(1).any(|query| query["since"] != "0") && asked[0]["since"] == "0");
    daemon.abort();
}

#[tokio::test]
async fn a_container_that_ends_is_drained_and_goes_on_under_its_id() {
    let fake = Fake::new();
    let daemon = fake.serve();
    fake.run("aa", "shop");
    fake.run("bb", "hidden");
    fake.write("bb", [(1, START, "never\n".to_owned())]);
    let long = "x".repeat(16 * 1024);
    fake.write("aa", [(1, START + 1, long.clone()), (2, START + 2, "between\n".to_owned()), (1, START + 1, long.clone()), (1, START + 1, "end\n".to_owned())]);
    fake.write("aa", [(1, START + 3, "no newline".to_owned())]);
    let site = Site::start(&fake.job()).await;
    site.until(ENTRIES, "", 2.0).await;
    assert!((site.metric(ENTRIES, "") - 2.0).abs() < 0.1, "a line is whole only when its writer ends");
    fake.set_running("aa", false);
    site.until(ENTRIES, "", 3.0).await;
    site.until("tributary_edge_receive_connections", "docker", 0.0).await;
    fake.change(|docker| {
        let aa = docker.containers.get_mut("aa").unwrap();
        aa.log.push((1, START + 4, "second run\n".to_owned()));
        aa.is_running = true;
    });
    site.until(ENTRIES, "", 4.0).await;
    // One that lived for a moment, and one that ended long before the job.
    fake.run("cc", "shop");
    fake.write("cc", [(1, START + 5, "short life\n".to_owned())]);
    fake.set_running("cc", false);
    fake.change(|docker| drop(docker.containers.insert("dd".into(), Container { created: 5, log: vec![(1, 5, "old\n".into())], ..Container::default() })));
    site.until(ENTRIES, "", 5.0).await;
    // A terminal's log has no frames.
    fake.run("ee", "shop");
    fake.change(|docker| {
        let ee = docker.containers.get_mut("ee").unwrap();
        (ee.has_terminal, ee.log) = (true, vec![(1, START + 6, "$ ls\r\n".into()), (1, START + 7, "files\r\n".into())]);
    });
    site.until(ENTRIES, "", 7.0).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let rows = site.end().await;
    let mut found = lines(&rows);
    found.sort_unstable();
    let joined = format!("{long}{long}end");
    let mut wanted = vec![joined.as_str(), "between", "no newline", "second run", "short life", "$ ls", "files"];
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    daemon.abort();
}

#[tokio::test]
async fn pages_show_containers_and_what_rules_made_of_them() {
    let fake = Fake::new();
    let daemon = fake.serve();
    fake.run("aa", "shop");
    fake.run("bb", "hidden");
    fake.write("aa", pieces(0, 8));
    let site = Site::start(&fake.job()).await;
    site.until(ENTRIES, "", 8.0).await;
    let until = async |is_so: &dyn Fn() -> bool| {
        for _ in 0..600 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?} {:?}", site.board.containers(), site.board.discovered());
    };
    until(&|| site.board.containers().iter().any(|container| container.lines == 8)).await;
    let jobs = site.board.discovered();
    assert_eq!((jobs.len(), jobs[0].job.as_str(), jobs[0].kept, jobs[0].dropped), (1, "t", 2, 2), "{jobs:?}");
    let rows: Vec<(String, String, Option<String>, &str)> = jobs[0]
        .sets
        .iter()
        .map(|set| {
            let named = |name| set.discovered.value(name).unwrap_or_default().to_owned();
            (named("__meta_docker_container_name"), named("__meta_docker_container_log_stream"), set.kept.as_ref().map(ToString::to_string), set.why)
        })
        .collect();
    let row = |name: &str, stream: &str, kept: Option<&str>, why| (name.to_owned(), stream.to_owned(), kept.map(str::to_owned), why);
    assert_eq!(
        rows,
        [
            row("/aa", "stdout", Some("{app=\"shop\", stream=\"stdout\"}"), ""),
            row("/aa", "stderr", Some("{app=\"shop\", stream=\"stderr\"}"), ""),
            row("/bb", "stdout", None, "dropped"),
            row("/bb", "stderr", None, "dropped"),
        ]
    );
    let only = || {
        let containers = site.board.containers();
        assert_eq!(containers.len(), 1, "one that is dropped is no target: {containers:?}");
        containers[0].clone()
    };
    let read = only();
    assert_eq!((read.job.as_str(), read.id.as_str(), read.name.as_str(), read.state, read.lines), ("t", "aa", "/aa", "reading", 8));
    assert_eq!((read.position.as_str(), read.host), ("2023-11-14T22:13:20.000000010Z", format!("unix://{}", fake.socket().display())));
    // It ends, and is still shown; the daemon goes, which is told; what is removed is not shown any more.
    fake.set_running("aa", false);
    until(&|| only().state == "ended").await;
    daemon.abort();
    assert!(daemon.await.is_err(), "it was aborted");
    until(&|| !site.board.discovered()[0].trouble.is_empty()).await;
    let daemon = fake.serve();
    fake.change(|docker| docker.containers.clear());
    until(&|| site.board.containers().is_empty() && site.board.discovered()[0].trouble.is_empty()).await;
    drop(site.end().await);
    daemon.abort();
}

#[tokio::test]
async fn a_container_that_is_gone_is_forgotten_and_one_that_ended_meanwhile_is_read_on() {
    let fake = Fake::new();
    let daemon = fake.serve();
    fake.run("aa", "shop");
    fake.write("aa", pieces(0, 5));
    fake.run("bb", "shop");
    fake.write("bb", pieces(5, 5));
    let site = Site::start(&fake.job()).await;
    site.until(ENTRIES, "", 10.0).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (_, disk) = site.crash().await;
    // While the edge is away one writes and ends, the other is removed; later another gets its id.
    fake.write("aa", pieces(10, 5));
    fake.set_running("aa", false);
    fake.change(|docker| drop(docker.containers.remove("bb")));
    let site = Site::on(disk, &fake.job(), "").await;
    site.until(ENTRIES, "", 5.0).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    fake.run("bb", "shop");
    fake.write("bb", [(1, START, "line 15\n".to_owned())]);
    site.until(ENTRIES, "", 6.0).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let rows = site.end().await;
    once(&rows, 16);
    daemon.abort();
}
