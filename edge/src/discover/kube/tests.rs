//! Discovery against a server that speaks the API's list and watch, on loopback.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::client::{Secret, ServerAccess};
use super::*;
use crate::discover::groups::{Feed as GroupFeed, feed};

#[derive(Default)]
struct Stored {
    pods: BTreeMap<String, Value>,
    version: u64,
    streams: bool,
    /// What every request is answered instead.
    refuses: Option<u16>,
    /// The next watch from a version is told that it is too old.
    forgets: bool,
    asked: Vec<BTreeMap<String, String>>,
    tokens: Vec<String>,
}

#[derive(Clone)]
struct Api {
    stored: Arc<Mutex<Stored>>,
    events: broadcast::Sender<Value>,
}

impl Api {
    fn new(streams: bool) -> Self {
        Self { stored: Arc::new(Mutex::new(Stored { streams, version: 10, ..Stored::default() })), events: broadcast::channel(1_000).0 }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Stored) -> T) -> T {
        act(&mut self.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, name: &str, phase: &str) {
        let event = self.with(|stored| {
            stored.version += 1;
            let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "n", "uid": format!("u-{name}"), "resourceVersion": stored.version.to_string()},
                "spec": {"nodeName": "node1", "containers": [{"name": "c"}]}, "status": {"phase": phase}});
            let kind = if stored.pods.insert(name.to_owned(), pod.clone()).is_some() { "MODIFIED" } else { "ADDED" };
            json!({"type": kind, "object": pod})
        });
        drop(self.events.send(event));
    }

    /// With `told` false only the store knows: a watch that missed it.
    fn delete(&self, name: &str, told: bool) {
        let pod = self.with(|stored| {
            stored.version += 1;
            let mut pod = stored.pods.remove(name).unwrap();
            pod["metadata"]["resourceVersion"] = stored.version.to_string().into();
            pod
        });
        if told {
            drop(self.events.send(json!({"type": "DELETED", "object": pod})));
        }
    }

    /// Serves until the end of the test; gives its address.
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/api/v1/pods", get(pods)).route("/api/v1/namespaces/n/pods", get(pods));
        let routes = routes.route("/api/v1/namespaces/closed/pods", get(|| async { status(403, "no") })).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }
}

fn status(code: u16, text: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": text, "reason": "Test", "code": code});
    (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
}

async fn pods(State(api): State<Api>, headers: HeaderMap, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    api.with(|stored| stored.tokens.push(token));
    let events = api.events.subscribe();
    let has = |name: &str| query.get(name).is_some_and(|value| value == "true");
    api.with(|stored| stored.asked.push(query.clone()));
    if let Some(code) = api.with(|stored| stored.refuses) {
        return status(code, "refused");
    }
    if !has("watch") {
        return list(&api, &query);
    }
    let mut first = Vec::new();
    if has("sendInitialEvents") {
        if !api.with(|stored| stored.streams) {
            return status(422, "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled");
        }
        let (pods, version) = api.with(|stored| (stored.pods.values().cloned().collect::<Vec<_>>(), stored.version.to_string()));
        first.extend(pods.into_iter().map(|pod| json!({"type": "ADDED", "object": pod})));
        let annotations = json!({"k8s.io/initial-events-end": "true"});
        first.push(
            json!({"type": "BOOKMARK", "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": version, "annotations": annotations}}}),
        );
    } else if api.with(|stored| std::mem::take(&mut stored.forgets)) {
        first.push(json!({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "message": "too old resource version", "reason": "Expired", "code": 410}}));
    }
    let line = |event: Value| Ok::<_, std::convert::Infallible>(format!("{event}\n"));
    let later = futures::stream::unfold(events, |mut events| async move { events.recv().await.ok().map(|event| (event, events)) });
    Body::from_stream(futures::stream::iter(first).chain(later).map(line)).into_response()
}

fn list(api: &Api, query: &BTreeMap<String, String>) -> Response {
    let limit: usize = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
    let from: usize = query.get("continue").and_then(|at| at.parse().ok()).unwrap_or(0);
    api.with(|stored| {
        let items: Vec<&Value> = stored.pods.values().skip(from).take(limit).collect();
        let more = from + items.len() < stored.pods.len();
        let next = if more { (from + items.len()).to_string() } else { String::new() };
        axum::Json(
            json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": stored.version.to_string(), "continue": next}, "items": items}),
        )
        .into_response()
    })
}

struct Bed {
    dir: tempfile::TempDir,
    metrics: proto_boot::Metrics,
    settings: Arc<KubeSettings>,
}

impl Bed {
    fn new(url: &str) -> Self {
        Self::with(ServerAccess { url: url.to_owned(), ..ServerAccess::default() })
    }

    fn with(access: ServerAccess) -> Self {
        let access = Access::Server(Box::new(access));
        let selectors = vec![Selector { kind: Kind::Pod, label: String::new(), field: "spec.nodeName=node1".to_owned() }];
        let settings = KubeSettings { role: Kind::Pod, access, namespaces: Vec::new(), own_namespace: false, selectors, attach_node: false };
        Self { dir: tempfile::tempdir().unwrap(), metrics: proto_boot::Metrics::new(), settings: Arc::new(settings) }
    }

    fn start(&self) -> (GroupFeed, CancellationToken, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = feed();
        let stop = CancellationToken::new();
        let metrics = FeedMetrics::new(&self.metrics);
        let task = tokio::spawn(run(Arc::clone(&self.settings), self.dir.path().to_path_buf(), sender, (World::real(), metrics), stop.clone()));
        (receiver, stop, task)
    }
}

/// Waits until the feed says what is wanted.
async fn until(feed: &mut GroupFeed, what: &str, is_it: impl Fn(&Groups) -> bool) -> Arc<Groups> {
    let waited = tokio::time::timeout(Duration::from_secs(30), async { feed.wait_for(|groups| is_it(groups)).await.map(|groups| Arc::clone(&groups)) });
    match waited.await {
        Ok(found) => found.unwrap(),
        Err(_) => panic!("{what}: {:?}", feed.borrow()),
    }
}

fn names(groups: &Groups) -> Vec<&str> {
    groups.groups.keys().map(String::as_str).collect()
}

fn phase(groups: &Groups, name: &str) -> Option<String> {
    groups.groups.get(name)?.labels[0].value("__meta_kubernetes_pod_phase").map(str::to_owned)
}

#[tokio::test]
async fn a_streamed_list_and_its_changes_are_followed() {
    let api = Api::new(true);
    api.put("a", "Running");
    let bed = Bed::new(&api.serve().await);
    let (mut feed, stop, task) = bed.start();
    until(&mut feed, "a", |groups| names(groups) == ["pod/n/a/u-a"]).await;
    api.put("b", "Pending");
    until(&mut feed, "b", |groups| groups.groups.len() == 2).await;
    api.put("b", "Running");
    until(&mut feed, "b runs", |groups| phase(groups, "pod/n/b/u-b").as_deref() == Some("Running")).await;
    // Born and gone between two rounds: it is named, with what it was last.
    api.put("c", "Pending");
    api.put("c", "Succeeded");
    api.delete("c", true);
    until(&mut feed, "c", |groups| phase(groups, "pod/n/c/u-c").as_deref() == Some("Succeeded")).await;
    let asked = api.with(|stored| stored.asked.clone());
    assert!(asked.iter().all(|query| query.get("fieldSelector").is_some_and(|field| field == "spec.nodeName=node1")), "{asked:?}");
    assert!(asked.iter().all(|query| query.get("watch").is_some_and(|watch| watch == "true")), "never listed: {asked:?}");
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_server_that_streams_no_lists_is_asked_for_pages() {
    let api = Api::new(false);
    (0..600).for_each(|at| api.put(&format!("p{at:03}"), "Running"));
    let bed = Bed::new(&api.serve().await);
    let (mut feed, stop, task) = bed.start();
    until(&mut feed, "all", |groups| groups.known && groups.groups.len() == 600).await;
    assert_eq!(api.with(|stored| stored.asked.iter().filter(|query| query.contains_key("continue")).count()), 2, "three pages");
    api.put("p000", "Failed");
    until(&mut feed, "a change", |groups| phase(groups, "pod/n/p000/u-p000").as_deref() == Some("Failed")).await;
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_version_that_is_too_old_begins_anew() {
    let api = Api::new(false);
    (0..3).for_each(|at| api.put(&format!("p{at}"), "Running"));
    api.with(|stored| stored.forgets = true);
    let bed = Bed::new(&api.serve().await);
    let (mut feed, stop, task) = bed.start();
    // The first watch is told 410; what was deleted unseen is found out by the list that follows.
    until(&mut feed, "three", |groups| groups.groups.len() == 3).await;
    api.delete("p1", false);
    api.put("p9", "Running");
    let found = until(&mut feed, "anew", |groups| groups.groups.contains_key("pod/n/p9/u-p9")).await;
    assert!(found.groups.contains_key("pod/n/p1/u-p1"), "a gone pod is named for a while");
    let lists = || api.with(|stored| stored.asked.iter().filter(|query| !query.contains_key("watch")).count());
    tokio::time::timeout(Duration::from_secs(20), async {
        while lists() < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    stop.cancel();
    task.await.unwrap();
    let remembered = memory::read(World::real().disk.as_ref(), &bed.dir.path().join(bed.settings.memory_name())).unwrap().unwrap();
    let gone: Vec<&str> = remembered.iter().filter(|one| one.gone_ns.is_some()).map(|one| one.group.source.as_str()).collect();
    assert_eq!(gone, ["pod/n/p1/u-p1"]);
}

#[tokio::test]
async fn what_is_remembered_is_there_while_the_server_is_away() {
    let api = Api::new(true);
    api.put("a", "Running");
    api.put("b", "Running");
    let bed = Bed::new(&api.serve().await);
    let (mut feed, stop, task) = bed.start();
    until(&mut feed, "both", |groups| groups.groups.len() == 2).await;
    stop.cancel();
    task.await.unwrap();
    api.with(|stored| stored.refuses = Some(503));
    let (mut feed, stop, task) = bed.start();
    let found = until(&mut feed, "remembered", |groups| groups.known && !groups.trouble.is_empty()).await;
    assert_eq!(names(&found), ["pod/n/a/u-a", "pod/n/b/u-b"]);
    // Back, and one of them is gone: it stays for a moment, then it is not named any more; the new one is there.
    api.delete("a", false);
    api.put("c", "Running");
    api.with(|stored| stored.refuses = None);
    let found = until(&mut feed, "back", |groups| groups.trouble.is_empty() && groups.groups.contains_key("pod/n/c/u-c")).await;
    assert_eq!(found.groups.len(), 3);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_knows_nothing() {
    let api = Api::new(true);
    api.with(|stored| stored.refuses = Some(403));
    let bed = Bed::new(&api.serve().await);
    let (mut feed, stop, task) = bed.start();
    let found = until(&mut feed, "trouble", |groups| !groups.trouble.is_empty()).await;
    assert!(
        !found.known && found.trouble.starts_with("Pod cannot be watched: 403 ") && found.trouble.ends_with("(deploy/edge/rbac.yaml)"),
        "{}",
        found.trouble
    );
    assert!(bed.metrics.text().contains("tributary_edge_discovery_failures_total{kind=\"kubernetes\"}"), "{}", bed.metrics.text());
    // A damaged memory is no memory.
    World::real().disk.write_all(&bed.dir.path().join(bed.settings.memory_name()), b"TRBDISC\x01 damaged").unwrap();
    stop.cancel();
    task.await.unwrap();
    let (mut feed, stop, task) = bed.start();
    assert!(!until(&mut feed, "trouble", |groups| !groups.trouble.is_empty()).await.known);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_token_file_with_a_line_ending_is_a_token() {
    let api = Api::new(true);
    api.put("a", "Running");
    let dir = tempfile::tempdir().unwrap();
    let (url, file) = (api.serve().await, dir.path().join("token"));
    for written in ["abc", "abc\n", " abc\r\n"] {
        World::real().disk.write_all(&file, written.as_bytes()).unwrap();
        let bed = Bed::with(ServerAccess { url: url.clone(), token: Secret::File(file.clone()), ..ServerAccess::default() });
        let (mut feed, stop, task) = bed.start();
        until(&mut feed, written, |groups| groups.groups.len() == 1).await;
        stop.cancel();
        task.await.unwrap();
        let tokens = api.with(|stored| std::mem::take(&mut stored.tokens));
        assert!(!tokens.is_empty() && tokens.iter().all(|token| token == "Bearer abc"), "{tokens:?}");
    }
    // One that is not there is told, not retried in silence.
    let bed = Bed::with(ServerAccess { url, token: Secret::File(dir.path().join("none")), ..ServerAccess::default() });
    let (mut feed, stop, task) = bed.start();
    assert!(until(&mut feed, "none", |groups| !groups.trouble.is_empty()).await.trouble.contains("none"));
    assert!(bed.metrics.text().contains("{kind=\"kubernetes\"} 1"), "{}", bed.metrics.text());
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_namespace_that_is_refused_does_not_keep_the_others_from_being_read() {
    let api = Api::new(true);
    api.put("a", "Running");
    let mut bed = Bed::new(&api.serve().await);
    bed.settings = Arc::new(KubeSettings { namespaces: vec!["closed".to_owned(), "n".to_owned()], ..KubeSettings::clone(&bed.settings) });
    let (mut feed, stop, task) = bed.start();
    let found = until(&mut feed, "the open one", |groups| groups.known && !groups.trouble.is_empty()).await;
    assert_eq!(names(&found), ["pod/n/a/u-a"]);
    assert!(found.trouble.contains("403"), "{}", found.trouble);
    api.put("b", "Running");
    until(&mut feed, "what comes there", |groups| groups.groups.len() == 2).await;
    stop.cancel();
    task.await.unwrap();
}
