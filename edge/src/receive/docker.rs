//! `docker_sd_configs`: the logs of containers, read through Docker's API.
//!
//! ```text
//! events, and every refresh_interval ──► list of containers ──► labels ──► rules ──► a Follow for each that is kept ──► intake
//! ```
//!
//! Parts: [`api`] (what is asked), [`labels`] (label sets of containers; pure), [`lines`] (a log's bytes to lines; pure), [`cursor`] (how
//! far a log was read; pure), [`follow`] (one container), [`sighted`] (what pages show), [`start`] and `Watch` (which containers). A container that ended is read too when
//! its log was begun, or when it was made after the job first looked: one that lives for a moment is not missed as long as the daemon
//! keeps it. Limits: [`CONTAINERS_MAX`] containers at once for each entry; the others wait. Promises: a daemon that is away is asked again
//! without end; each line is delivered once, over restarts of the edge, the daemon and the container. Must not do: change anything at the daemon.

mod api;
mod cursor;
mod follow;
mod labels;
mod lines;
mod sighted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proto_model::{Labels, Timestamp};
use proto_seam::World;
use reqwest::Response;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::listen::ReceiveFault;
use super::post::Post;
use super::pulled::Pull;
use super::start::{Running, Shared};
use crate::discover::live::Discovered;
use crate::settings::pulled::DockerSdSettings;
use api::Api;
pub(crate) use api::Endpoint;
use follow::{End, Follow, Sides, discovered, sides};
use labels::{Container, Network, sets};
pub(crate) use sighted::Found;
use sighted::{Progress, Sighted};

/// The kind of receiver, in counters.
const KIND: &str = "docker";
/// Containers that are followed at once: each has a connection and up to a megabyte of memory.
pub(crate) const CONTAINERS_MAX: usize = 1_000;
/// Two lists are at least so far apart, however many events come.
const LOOKS_APART: Duration = Duration::from_millis(200);
/// After a failure to ask the daemon, doubled up to `refresh_interval` or half a minute.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest event.
const EVENT_BYTES_MAX: usize = 256 * 1024;
/// Cursors of containers that are asked for, one by one, whether they are gone; each time.
const GONE_ASKED_MAX: usize = 100;
/// Begins the path of every cursor; a container's id follows, or `since`.
const PATH_PREFIX: &str = "docker:";

/// What of an entry's settings its labels are made with.
pub(super) struct Asked {
    pub(super) port: u16,
    pub(super) host_networking_host: String,
    pub(super) match_first_network: bool,
}

/// Starts the entries of a job.
pub(super) fn start(shared: &Shared, post: impl Fn() -> Post, entries: &[DockerSdSettings], stop: &CancellationToken) -> Result<Vec<Running>, ReceiveFault> {
    let mut out = Vec::new();
    for settings in entries {
        let (post, http) = (Arc::new(post()), settings.http());
        let job = post.name().to_owned();
        let endpoint = Endpoint::parse(&settings.host.value, &http).map_err(|why| ReceiveFault::Setting { job: job.clone(), why })?;
        let asked = Asked {
            port: settings.port,
            host_networking_host: settings.host_networking_host.clone(),
            match_first_network: settings.match_first_network.unwrap_or(true),
        };
        let watch = Watch {
            api: Arc::new(Api::new(&endpoint, http, &settings.filters, &shared.world)),
            post,
            asked,
            refresh: settings.refresh_interval.0.max(LOOKS_APART),
            suffix: suffix(&job, settings),
            host: settings.host.value.clone(),
            present: shared.docker.clone(),
            world: shared.world.clone(),
            stop: stop.clone(),
            since: None,
            followed: BTreeMap::new(),
            found: Found::new(),
            drained: BTreeSet::new(),
            touched: BTreeSet::new(),
            tasks: JoinSet::new(),
            is_crowded: false,
        };
        out.push(Running { job, kind: KIND, address: None, task: tokio::spawn(watch.run()) });
    }
    Ok(out)
}

/// The end of a cursor's path: whose it is. The same container may be read by two jobs, each for itself.
pub(super) fn suffix(job: &str, settings: &DockerSdSettings) -> String {
    format!("/{job}/{}", settings.host.value)
}

/// One entry: which containers are followed.
struct Watch {
    api: Arc<Api>,
    post: Arc<Post>,
    asked: Asked,
    refresh: Duration,
    /// Of its cursors' paths.
    suffix: String,
    /// The daemon.
    host: String,
    /// Those of all entries there are.
    present: BTreeSet<String>,
    world: World,
    stop: CancellationToken,
    /// When this entry first looked, by the daemon's clock: containers made later are read even if they have ended.
    since: Option<Timestamp>,
    followed: BTreeMap<String, watch::Sender<Sides>>,
    /// What the last look found.
    found: Found,
    /// Do not run, and are read to their end.
    drained: BTreeSet<String>,
    /// Followed, and something happened to them since: their end is looked at once more.
    touched: BTreeSet<String>,
    tasks: JoinSet<(String, End)>,
    is_crowded: bool,
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "Actor", default)]
    actor: Actor,
}

#[derive(Debug, Default, Deserialize)]
struct Actor {
    #[serde(rename = "ID", default)]
    id: String,
}

impl Watch {
    async fn run(mut self) {
        let mut failures: u32 = 0;
        loop {
            let stop = self.stop.clone();
            let why = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                why = self.session(&mut failures) => why,
            };
            failures = failures.saturating_add(1);
            self.post.refused("daemon");
            self.post.intake().board.troubled(self.post.name(), &self.host, &why);
            if failures == 1 {
                tracing::warn!(job = self.post.name(), why, "Docker does not answer; what is followed goes on, and it is asked again");
            } else {
                tracing::debug!(job = self.post.name(), why, failures, "Docker does not answer");
            }
            self.miss_events();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep(PAUSE.saturating_mul(1 << failures.min(8)).min(PAUSE_MAX).min(self.refresh)) => {}
            }
        }
        self.post.connections(0.0 - count(self.followed.len()));
        self.post.intake().board.left(self.post.name(), &self.host);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(failed) = ended {
                tracing::error!(job = self.post.name(), %failed, "following a container ended badly");
            }
        }
    }

    /// Looks whenever something happens, until the daemon does not answer; gives why.
    async fn session(&mut self, failures: &mut u32) -> String {
        match self.watch(failures).await {
            Ok(()) => "the stream of events ended".to_owned(),
            Err(why) => why,
        }
    }

    async fn watch(&mut self, failures: &mut u32) -> Result<(), String> {
        let now = self.api.greet().await?.unwrap_or(Timestamp(self.world.clock.now_ns()));
        self.begin(now).await?;
        // First the events, then the list: nothing happens between the two unseen.
        let mut events = self.api.events().await?;
        let mut pending = Vec::new();
        let mut checked = None;
        loop {
            let looked = Instant::now();
            self.look().await?;
            *failures = 0;
            if checked.is_none_or(|at: Instant| at.elapsed() >= self.refresh) {
                checked = Some(looked);
                self.forget_gone().await?;
            }
            self.wait(&mut events, &mut pending, looked + self.refresh).await?;
            tokio::time::sleep_until(looked + LOOKS_APART).await;
        }
    }

    /// Until there is a reason to look again.
    async fn wait(&mut self, events: &mut Response, pending: &mut Vec<u8>, refresh: Instant) -> Result<(), String> {
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => {
                    // There may be room for one that waited.
                    if self.ended(ended) || self.is_crowded {
                        return Ok(());
                    }
                }
                chunk = events.chunk() => {
                    let chunk = chunk.map_err(|_| "the connection to the daemon broke".to_owned())?;
                    let Some(chunk) = chunk else { return Err("the stream of events ended".to_owned()) };
                    pending.extend_from_slice(&chunk);
                    if self.heard(pending) {
                        return Ok(());
                    }
                }
                () = tokio::time::sleep_until(refresh) => return Ok(()),
            }
        }
    }

    /// Takes whole events out of what came; gives whether there was any.
    fn heard(&mut self, pending: &mut Vec<u8>) -> bool {
        let before = pending.len();
        while let Some(end) = memchr::memchr(b'\n', pending) {
            let event: Vec<u8> = pending.drain(..=end).collect();
            match serde_json::from_slice::<Event>(&event) {
                Ok(Event { actor: Actor { id } }) => {
                    self.drained.remove(&id);
                    if self.followed.contains_key(&id) {
                        self.touched.insert(id);
                    }
                }
                Err(_) => self.miss_events(),
            }
        }
        if pending.len() > EVENT_BYTES_MAX {
            pending.clear();
            self.miss_events();
        }
        pending.len() < before
    }

    /// Something may have happened to any container.
    fn miss_events(&mut self) {
        self.drained.clear();
        self.touched.extend(self.followed.keys().cloned());
    }

    /// Gives whether it must be looked again.
    fn ended(&mut self, ended: Result<(String, End), tokio::task::JoinError>) -> bool {
        match ended {
            Ok((id, end)) => {
                self.followed.remove(&id);
                self.post.connections(-1.0);
                let is_touched = self.touched.remove(&id);
                if let Some(sighted) = self.found.get(&id) {
                    sighted.progress.drained(end == End::Drained);
                }
                if end == End::Drained && !is_touched {
                    self.drained.insert(id);
                }
                is_touched
            }
            Err(failed) => {
                tracing::error!(job = self.post.name(), %failed, "following a container ended badly");
                true
            }
        }
    }

    /// Remembers when this entry first looked.
    async fn begin(&mut self, now: Timestamp) -> Result<(), String> {
        if self.since.is_some() {
            return Ok(());
        }
        let mut pull = Pull::new(Arc::clone(&self.post), format!("{PATH_PREFIX}since{}", self.suffix));
        let known = pull.cursor().and_then(|known| known.try_into().ok()).map(|known| Timestamp(i64::from_le_bytes(known)));
        if known.is_none() {
            pull.hand_in(Vec::new(), now.nanos().to_le_bytes().to_vec(), 1).await.map_err(|fault| fault.to_string())?;
            pull.settle().await.map_err(|fault| fault.to_string())?;
        }
        self.since = Some(known.unwrap_or(now));
        Ok(())
    }

    /// Lists containers; begins to follow those that are new.
    async fn look(&mut self) -> Result<(), String> {
        while let Some(ended) = self.tasks.try_join_next() {
            self.ended(ended);
        }
        let (containers, networks) = self.api.containers().await?;
        let all: BTreeMap<&str, &Container> = containers.iter().map(|container| (container.id.as_str(), container)).collect();
        self.drained.retain(|id| all.contains_key(id.as_str()));
        let mut waiting = 0_usize;
        let mut before = std::mem::take(&mut self.found);
        for container in containers.iter().filter(|container| is_id(&container.id)) {
            // Labels of one that ended are those of its last look: it has no address any more.
            let is_followed = self.followed.contains_key(&container.id);
            let is_running = matches!(container.state.as_str(), "running" | "paused" | "restarting");
            let known = before.remove(&container.id);
            if (is_followed && !is_running) || (!is_followed && !self.is_wanted(container, is_running)) {
                self.found.extend(known.map(|known| (container.id.clone(), Sighted { is_running, ..known })));
                continue;
            }
            let Some((sides, sets)) = self.sides(container, &all, &networks) else { continue };
            let progress = known.map(|known| known.progress).unwrap_or_default();
            let waits = !is_followed && self.followed.len() >= CONTAINERS_MAX;
            let sighted = Sighted { name: container.name().to_owned(), sets, is_running, waits, progress: Arc::clone(&progress) };
            self.found.insert(container.id.clone(), sighted);
            if sides.iter().all(Option::is_none) {
                continue;
            }
            if let Some(known) = self.followed.get(&container.id) {
                known.send_if_modified(|before| {
                    let is_new = *before != sides;
                    *before = sides;
                    is_new
                });
            } else if waits {
                waiting += 1;
            } else {
                self.follow(&container.id, sides, progress);
            }
        }
        self.post.intake().board.found(self.post.name(), &self.host, self.found.clone());
        if waiting > 0 && !self.is_crowded {
            tracing::warn!(
                job = self.post.name(),
                waiting,
                "more than {CONTAINERS_MAX} containers: the rest is read when others end; narrow them with filters"
            );
        }
        self.is_crowded = waiting > 0;
        Ok(())
    }

    fn is_wanted(&self, container: &Container, is_running: bool) -> bool {
        if is_running {
            return true;
        }
        // One that was made and never ran has no log.
        if container.state == "created" || self.drained.contains(&container.id) {
            return false;
        }
        let is_new = self.since.is_some_and(|since| container.created >= since.nanos().div_euclid(1_000_000_000));
        is_new || !self.post.intake().stands.below(&self.path(&container.id)).is_empty() || self.former(&container.id).is_some()
    }

    /// The labels of its streams, by the first label set that the rules keep, and how they were made; by its first set where they keep none.
    fn sides(&self, container: &Container, all: &BTreeMap<&str, &Container>, networks: &[Network]) -> Option<(Sides, Vec<Discovered>)> {
        let found: Vec<Labels> = sets(container, all, networks, &self.asked);
        let kept = found.iter().find(|labels| sides(&self.post, labels).iter().any(Option::is_some));
        let labels = kept.or(found.first())?;
        let sides = sides(&self.post, labels);
        let set = |(labels, kept): (Labels, &Option<Arc<Labels>>)| Discovered {
            discovered: Arc::new(labels),
            kept: kept.as_deref().cloned(),
            why: if kept.is_none() { "dropped" } else { "" },
        };
        let shown = discovered(labels).into_iter().zip(&sides).map(set).collect();
        Some((sides, shown))
    }

    fn follow(&mut self, id: &str, sides: Sides, progress: Arc<Progress>) {
        progress.drained(false);
        let (sender, labels) = watch::channel(sides);
        let follow = Follow {
            api: Arc::clone(&self.api),
            post: Arc::clone(&self.post),
            id: id.to_owned(),
            path: self.path(id),
            former: self.former(id),
            labels,
            progress,
            entropy: self.world.entropy.fork(id),
            stop: self.stop.clone(),
        };
        self.touched.remove(id);
        self.followed.insert(id.to_owned(), sender);
        self.post.connections(1.0);
        self.tasks.spawn(follow.run());
    }

    fn path(&self, id: &str) -> String {
        format!("{PATH_PREFIX}{id}{}", self.suffix)
    }

    /// The path of a cursor from a job or host that is not there any more: it was renamed.
    fn former(&self, id: &str) -> Option<String> {
        let prefix = format!("{PATH_PREFIX}{id}/");
        let known = self.post.intake().stands.below(&prefix);
        if known.contains(&self.path(id)) {
            return None;
        }
        known.into_iter().find(|path| !self.present.contains(&path[prefix.len() - 1..]))
    }

    /// Forgets the cursors of containers that are gone.
    async fn forget_gone(&self) -> Result<(), String> {
        let known = self.post.intake().stands.below(PATH_PREFIX);
        let own = known.iter().filter_map(|path| {
            let id = path[PATH_PREFIX.len()..].strip_suffix(self.suffix.as_str())?;
            (is_id(id) && id != "since" && !self.followed.contains_key(id) && !self.drained.contains(id)).then_some((id, path))
        });
        for (id, path) in own.take(GONE_ASKED_MAX) {
            if self.api.condition(id).await?.is_none() {
                Pull::new(Arc::clone(&self.post), path.clone()).forget().await.map_err(|fault| fault.to_string())?;
            }
        }
        Ok(())
    }
}

/// Whether a container's id may stand in a path.
fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn count(len: usize) -> f64 {
    f64::from(u32::try_from(len).unwrap_or(u32::MAX))
}
