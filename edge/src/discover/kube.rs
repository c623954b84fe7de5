//! `kubernetes_sd_configs`: pods, nodes, services, endpoints, endpoint slices and ingresses of a cluster as label sets.
//!
//! Parts: [`KubeSettings`], [`run`] (the feed's task); [`client`] (how the server is reached), [`watch`] (changes as a
//! stream), [`records`] (what is kept of an object), [`labels`] and [`endpoints`] (label sets), [`tables`] (all objects, and the
//! groups they make), [`memory`] (across a restart). Promises: without an API server the groups of the last run are there;
//! a thing that is gone is named for [`tables::LINGER`] more, so that one that lived a moment is named at all.
//! Must not do: relabel, write to the cluster.

pub mod client;
pub mod endpoints;
pub mod labels;
pub mod memory;
pub mod records;
pub mod tables;
pub mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use kube::{Api, Client};
use proto_model::Timestamp;
use proto_seam::World;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::feeds::FeedMetrics;
use super::groups::{FeedSender, Groups};
use client::{Access, connect};
use records::Kind;
use tables::Tables;
use watch::{Scope, Seen, watch};

/// Changes are gathered for so long before targets are made of them.
const GATHER: Duration = Duration::from_millis(250);
/// Between two writings of the memory.
const REMEMBER_EVERY: Duration = Duration::from_secs(10);
/// Between two tries to make a client, and how long a client whose watches all fail is kept: its files may have changed (a token that was
/// given anew, a certificate).
const RECONNECT: Duration = Duration::from_secs(15);
const CLIENT_FAILS_MAX: Duration = Duration::from_secs(60);

/// What its failures are counted under.
const METRIC_KIND: &str = "kubernetes";

/// Label and field selector of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// What it selects among.
    pub kind: Kind,
    /// Label selector; empty = none.
    pub label: String,
    /// Field selector; empty = none.
    pub field: String,
}

/// One `kubernetes_sd_configs` entry, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeSettings {
    /// What is discovered.
    pub role: Kind,
    /// Which server.
    pub access: Access,
    /// In which namespaces; none = in all.
    pub namespaces: Vec<String>,
    /// In the edge's own namespace too.
    pub own_namespace: bool,
    /// Which of them.
    pub selectors: Vec<Selector>,
    /// Whether the labels of nodes are wanted.
    pub attach_node: bool,
}

impl KubeSettings {
    /// The kinds that must be watched.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        let of_services = matches!(self.role, Kind::Endpoints | Kind::EndpointSlice);
        let mut kinds = vec![self.role];
        if of_services {
            kinds.extend([Kind::Service, Kind::Pod]);
        }
        if self.attach_node && (of_services || self.role == Kind::Pod) {
            kinds.push(Kind::Node);
        }
        kinds
    }

    /// What is watched, once the own namespace is known.
    #[must_use]
    pub fn scopes(&self, own: &str) -> Vec<Scope> {
        let mut namespaces: Vec<Option<String>> = self.namespaces.iter().cloned().map(Some).collect();
        if self.own_namespace && !self.namespaces.iter().any(|name| name == own) {
            namespaces.push(Some(own.to_owned()));
        }
        if namespaces.is_empty() {
            namespaces.push(None);
        }
        let mut scopes = Vec::new();
        for kind in self.kinds() {
            let selector = self.selectors.iter().find(|selector| selector.kind == kind);
            let (label, field) = selector.map(|selector| (selector.label.clone(), selector.field.clone())).unwrap_or_default();
            // Nodes are in no namespace.
            let within = if kind == Kind::Node { &[None][..] } else { &namespaces };
            scopes.extend(within.iter().map(|namespace| Scope { kind, namespace: namespace.clone(), label: label.clone(), field: field.clone() }));
        }
        scopes
    }

    /// The name of the memory's file: settings that differ remember different things.
    fn memory_name(&self) -> String {
        let hash = blake3::hash(format!("{:?}", (self.role, &self.namespaces, self.own_namespace, &self.selectors, self.attach_node, &self.access)).as_bytes());
        format!("kubernetes-{}", &hash.to_hex()[..16])
    }
}

/// Keeps `sender` up to date until `stop`; remembers in `dir`.
pub async fn run(settings: Arc<KubeSettings>, dir: PathBuf, sender: FeedSender, (world, metrics): (World, FeedMetrics), stop: CancellationToken) {
    let path = dir.join(settings.memory_name());
    let mut feed = Feed::new(Arc::clone(&settings), path, sender, (world, metrics));
    feed.recall().await;
    loop {
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            ended = feed.follow() => ended,
        };
        feed.cannot_connect(ended);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep(RECONNECT) => {}
        }
    }
    feed.remember(true).await;
}

/// One discovery at work.
struct Feed {
    settings: Arc<KubeSettings>,
    path: PathBuf,
    sender: FeedSender,
    world: World,
    metrics: FeedMetrics,
    tables: Tables,
    /// What is watched of each scope.
    kinds: Vec<Kind>,
    /// What each scope failed with last; empty = it works.
    troubles: Vec<String>,
    shown: String,
    unwritten: bool,
    written: Instant,
}

impl Feed {
    fn new(settings: Arc<KubeSettings>, path: PathBuf, sender: FeedSender, (world, metrics): (World, FeedMetrics)) -> Self {
        let tables = Tables::new(settings.role, settings.attach_node);
        Self {
            settings,
            path,
            sender,
            world,
            metrics,
            tables,
            kinds: Vec::new(),
            troubles: Vec::new(),
            shown: String::new(),
            unwritten: false,
            written: Instant::now(),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.world.clock.now_ns())
    }

    /// Takes up what the last run knew.
    async fn recall(&mut self) {
        let (disk, path, shown) = (Arc::clone(&self.world.disk), self.path.clone(), self.path.clone());
        match self.world.workers.run(move || memory::read(disk.as_ref(), &path)).await {
            Ok(None) => {}
            Ok(Some(remembered)) => {
                tracing::info!(groups = remembered.len(), "targets of the last run are used until the API server answers");
                self.tables.at(self.now());
                self.tables.recall(remembered);
                self.publish(true);
            }
            Err(fault) => tracing::warn!(path = %shown.display(), %fault, "what the last run knew of the cluster cannot be used"),
        }
    }

    /// Connects and follows the watches; gives why it ended.
    async fn follow(&mut self) -> String {
        let (client, own) = match connect(&self.settings.access, &self.world).await {
            Ok(connected) => connected,
            Err(why) => return why,
        };
        let scopes = self.settings.scopes(&own);
        self.kinds = scopes.iter().map(|scope| scope.kind).collect();
        self.troubles = vec![String::new(); scopes.len()];
        self.tables.begin(scopes.len());
        let mut watches: SelectAll<BoxStream<'static, (usize, Seen)>> =
            scopes.iter().enumerate().map(|(at, scope)| start(&client, scope, &self.world).map(move |seen| (at, seen)).boxed()).collect();
        let mut publish_at = None;
        let mut failing_since: Option<Instant> = None;
        let mut every = tokio::time::interval(Duration::from_secs(1));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(publish_at.unwrap_or_else(Instant::now)), if publish_at.is_some() => {
                    publish_at = None;
                    self.publish(false);
                }
                Some((at, seen)) = watches.next() => {
                    self.take(at, seen);
                    publish_at = publish_at.or_else(|| Some(Instant::now() + GATHER));
                }
                _ = every.tick() => {
                    self.tables.at(self.now());
                    self.publish(false);
                    self.remember(false).await;
                }
            }
            let all_fail = self.troubles.iter().all(|trouble| !trouble.is_empty());
            failing_since = if all_fail { failing_since.or_else(|| Some(Instant::now())) } else { None };
            if failing_since.is_some_and(|since| since.elapsed() > CLIENT_FAILS_MAX) {
                return self.troubles.first().cloned().unwrap_or_default();
            }
        }
    }

    fn take(&mut self, at: usize, seen: Seen) {
        self.tables.at(self.now());
        match seen {
            Seen::Begin => self.tables.list_begins(at),
            Seen::Put(object) => self.tables.put(at, object),
            Seen::Gone(object) => self.tables.gone(&object),
            Seen::Whole => {
                self.troubles[at].clear();
                self.tables.list_is_whole(at);
            }
            Seen::Trouble(why) => {
                self.metrics.count(METRIC_KIND);
                if self.troubles[at].is_empty() {
                    tracing::warn!(why, "discovery has no word from the API server; what is known stays in use");
                } else {
                    tracing::debug!(why, "discovery still has no word from the API server");
                }
                self.troubles[at] = why;
                return;
            }
        }
        if self.tables.is_whole(at) {
            self.troubles[at].clear();
        }
    }

    /// Tells what is known now, if it is anything new.
    fn publish(&mut self, recalled: bool) {
        let changed = self.tables.rebuild();
        let trouble = self.troubles.iter().find(|trouble| !trouble.is_empty()).cloned().unwrap_or_default();
        if !recalled && !self.is_enough() && !self.sender.borrow().known {
            return self.trouble(trouble);
        }
        if !changed && trouble == self.shown && self.sender.borrow().known {
            return;
        }
        self.unwritten |= changed && !recalled;
        self.shown.clone_from(&trouble);
        let trouble = [trouble, self.tables.excess()].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
        self.sender.send_replace(Arc::new(Groups { known: true, groups: self.tables.groups(), trouble }));
    }

    /// Whether targets can be made: all lists are whole, or those of pods in some namespaces while others are refused. Other roles need their
    /// services' and pods' labels too.
    fn is_enough(&self) -> bool {
        let pods = |at: &usize| self.kinds[*at] == Kind::Pod;
        let (whole, missing): (Vec<usize>, Vec<usize>) = (0..self.kinds.len()).partition(|at| self.tables.is_whole(*at));
        let may_miss = |at: &usize| pods(at) && !self.troubles[*at].is_empty();
        self.tables.is_all_whole() || (self.settings.role == Kind::Pod && missing.iter().all(may_miss) && whole.iter().any(|at| pods(at)))
    }

    /// There is no client, or one whose watches all fail was given up.
    fn cannot_connect(&mut self, why: String) {
        self.metrics.count(METRIC_KIND);
        if why == self.shown {
            tracing::debug!(why, "discovery still cannot reach an API server");
        } else {
            tracing::warn!(why, "discovery cannot reach an API server; what is known stays in use");
        }
        self.trouble(why);
    }

    /// Tells what is wrong; what is known stays.
    fn trouble(&mut self, trouble: String) {
        if trouble != self.shown {
            self.shown.clone_from(&trouble);
            self.sender.send_modify(|groups| *groups = Arc::new(Groups { trouble, ..Groups::clone(groups) }));
        }
    }

    /// Writes what is known for the next run, now and then.
    async fn remember(&mut self, at_once: bool) {
        if !self.unwritten || (!at_once && self.written.elapsed() < REMEMBER_EVERY) {
            return;
        }
        let (disk, path, kept) = (Arc::clone(&self.world.disk), self.path.clone(), self.tables.remembered());
        let shown: &Path = &self.path;
        match self.world.workers.run(move || memory::write(disk.as_ref(), &path, &kept)).await {
            Ok(()) => self.unwritten = false,
            // A dry run.
            Err(fault) if fault.kind() == std::io::ErrorKind::ReadOnlyFilesystem => self.unwritten = false,
            Err(fault) => tracing::warn!(path = %shown.display(), %fault, "what is known of the cluster cannot be written for the next start"),
        }
        self.written = Instant::now();
    }
}

/// Starts the watch of one scope.
fn start(client: &Client, scope: &Scope, world: &World) -> BoxStream<'static, Seen> {
    let entropy = world.entropy.fork("kubernetes");
    macro_rules! api {
        () => {
            match &scope.namespace {
                Some(namespace) => Api::namespaced(client.clone(), namespace),
                None => Api::all(client.clone()),
            }
        };
    }
    match scope.kind {
        Kind::Pod => watch(api!(), scope, entropy, records::pod),
        Kind::Node => watch(Api::all(client.clone()), scope, entropy, records::node),
        Kind::Service => watch(api!(), scope, entropy, records::service),
        Kind::Endpoints => watch(api!(), scope, entropy, records::endpoints),
        Kind::EndpointSlice => watch(api!(), scope, entropy, records::endpoint_slice),
        Kind::Ingress => watch(api!(), scope, entropy, records::ingress),
    }
}

#[cfg(test)]
mod tests;
