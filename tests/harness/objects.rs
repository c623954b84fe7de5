//! An object store in memory that answers slowly, wrongly, late or never, from a seed; with the oracle beside it.
//!
//! Parts: [`Bucket`], what all hubs share; [`Door`], one hub's way to it, an [`ObjectStore`]; [`Rates`] and [`Fate`],
//! what befalls a request; [`Bucket::land`], where writes and deletes take effect; `shelf`, what stands. Every write waits in one queue and
//! takes effect there, whether or not its sender still lives: so a create may stand although its hub died, gave up or was told that
//! it failed, and may even stand where an object was deleted long ago (garbage, counted). Promises: create-if-absent holds and reads see what
//! stands; a listing may show an earlier moment. Must not do: lose or change what stands, but for [`Bucket::roll_back`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use proto_seam::Entropy;
use tokio::sync::{Notify, oneshot};

use crate::objects::shelf::Shelf;
use crate::oracle::Oracle;
use crate::world::{Fired, Trace, locked};

mod shelf;

/// How often which fault befalls a request, of a million.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// 503, nothing done.
    pub refused: u64,
    /// Answered (and applied) seconds late; now and then beyond the caller's timeout.
    pub slow: u64,
    /// A write that is applied, and whose answer is an error or never comes.
    pub answer_lost: u64,
    /// A write that is answered with an error at once and applied later.
    pub late: u64,
    /// A create that is answered with 412 though nothing stands: another create of the name is under way and fails.
    pub conflict: u64,
    /// A create that is applied and answered with 412, as after a retry within the store.
    pub taken_by_itself: u64,
    /// The hub dies when the create leaves it.
    pub dies_before: u64,
    /// The hub dies when the create stands, before it learns that.
    pub dies_after: u64,
    /// A listing shows an earlier moment, up to [`LIST_LAG_MS_MAX`] ago.
    pub list_lag: u64,
}

/// What befalls one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// As it should be, after a few milliseconds.
    Fine,
    /// See [`Rates::refused`].
    Refused,
    /// See [`Rates::slow`]: it takes so long.
    Slow(Duration),
    /// See [`Rates::answer_lost`]; true: the answer never comes.
    AnswerLost(bool),
    /// See [`Rates::late`]: it is applied after so long.
    Late(Duration),
    /// See [`Rates::conflict`].
    Conflict,
    /// See [`Rates::taken_by_itself`].
    TakenByItself,
    /// See [`Rates::dies_before`].
    DiesBefore,
    /// See [`Rates::dies_after`].
    DiesAfter,
}

impl Fate {
    const fn word(self) -> &'static str {
        match self {
            Self::Fine => "store fine",
            Self::Refused => "store refused",
            Self::Slow(_) => "store slow",
            Self::AnswerLost(_) => "store answer lost",
            Self::Late(_) => "store applied late",
            Self::Conflict => "store conflict",
            Self::TakenByItself => "store 412 after own create",
            Self::DiesBefore => "hub dies before commit",
            Self::DiesAfter => "hub dies between commit and ack",
        }
    }
}

#[derive(Debug)]
enum Write {
    Put(Bytes, PutMode),
    Delete,
}

/// A write that has not taken effect yet.
#[derive(Debug)]
struct Queued {
    host: String,
    path: Path,
    what: Write,
    /// It has left its host: a hold of the host does not stop it.
    on_its_way: bool,
    /// The host ends as it lands.
    kills: bool,
    done: Option<oneshot::Sender<Result<PutResult>>>,
}

#[derive(Debug)]
struct State {
    rates: Rates,
    told: VecDeque<(String, Fate)>,
    queue: BTreeMap<(Duration, u64), Queued>,
    queued: u64,
    dying: Vec<String>,
    shelf: Shelf,
    oracle: Oracle,
    /// As it was at [`Bucket::keep`].
    kept: Option<(Shelf, Oracle)>,
    requests: u64,
}

/// What all hubs share.
#[derive(Debug)]
pub struct Bucket {
    state: Mutex<State>,
    held: Mutex<BTreeSet<String>>,
    /// A host, and the only lane whose objects it can read.
    blind: Mutex<Option<(String, String)>>,
    /// Wakes in the order of waiting, as a `watch` does not.
    released: Notify,
    entropy: Entropy,
    trace: Trace,
    fired: Fired,
}

/// Everybody, in [`Bucket::hold`].
pub const ALL: &str = "*";
/// Longest that a fine request takes.
const FINE_MS_MAX: u64 = 20;
/// How old a listing may be.
pub const LIST_LAG_MS_MAX: u64 = 6_500;

fn refused(text: &str) -> Error {
    Error::Generic { store: "sim", source: text.to_owned().into() }
}

fn exists(path: &Path) -> Error {
    Error::AlreadyExists { path: path.to_string(), source: "412 Precondition Failed".into() }
}

impl Bucket {
    /// An empty one.
    #[must_use]
    pub fn new(entropy: &Entropy, trace: Trace, fired: Fired) -> Arc<Self> {
        let state = State {
            rates: Rates::default(),
            told: VecDeque::new(),
            queue: BTreeMap::new(),
            queued: 0,
            dying: Vec::new(),
            shelf: Shelf::default(),
            oracle: Oracle::default(),
            kept: None,
            requests: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            held: Mutex::default(),
            blind: Mutex::default(),
            released: Notify::new(),
            entropy: entropy.fork("bucket"),
            trace,
            fired,
        })
    }

    /// The way of `host` to it.
    #[must_use]
    pub fn door(self: &Arc<Self>, host: &str) -> Arc<dyn ObjectStore> {
        Arc::new(Door { bucket: Arc::clone(self), host: host.to_owned() })
    }

    /// From now on faults come at `rates`.
    pub fn set_rates(&self, rates: Rates) {
        locked(&self.state).rates = rates;
    }

    /// The next write to a name that contains `part` meets `fate`; in the order told.
    pub fn tell(&self, part: &str, fate: Fate) {
        locked(&self.state).told.push_back((part.to_owned(), fate));
    }

    /// Whether all that was told has happened.
    #[must_use]
    pub fn all_told(&self) -> bool {
        locked(&self.state).told.is_empty()
    }

    /// Nothing of `host` ([`ALL`] = of all) is served or answered until [`Self::release`]; what has left it is applied.
    pub fn hold(&self, host: &str) {
        locked(&self.held).insert(host.to_owned());
    }

    /// Ends a hold.
    pub fn release(&self, host: &str) {
        locked(&self.held).remove(host);
        self.released.notify_waiters();
    }

    /// From now on what `host` reads of any lane but `lane` is refused; `None`: all is read again.
    pub fn blind(&self, host_but_lane: Option<(&str, &str)>) {
        *locked(&self.blind) = host_but_lane.map(|(host, lane)| (host.to_owned(), lane.to_owned()));
    }

    fn is_hidden(&self, host: &str, path: &Path) -> bool {
        let of = path.as_ref().strip_prefix("lanes/");
        locked(&self.blind).as_ref().is_some_and(|(blind, lane)| blind == host && of.is_some_and(|of| !of.starts_with(lane.as_str())))
    }

    /// Writes whose time has come take effect. Call at each step, outside of all hosts.
    pub fn land(&self, now: Duration) {
        let held = locked(&self.held).clone();
        let mut state = locked(&self.state);
        let due: Vec<(Duration, u64)> = state.queue.range(..=(now, u64::MAX)).map(|(key, _)| *key).collect();
        for key in due {
            let stays = |queued: &Queued| held.contains(ALL) || (held.contains(&queued.host) && !queued.on_its_way);
            if state.queue.get(&key).is_none_or(stays) {
                continue;
            }
            let Some(queued) = state.queue.remove(&key) else { continue };
            self.apply(&mut state, queued);
        }
    }

    fn apply(&self, state: &mut State, queued: Queued) {
        let Queued { host, path, what, kills, done, .. } = queued;
        let now = self.trace.now();
        let given_up = done.as_ref().is_none_or(oneshot::Sender::is_closed);
        let result = match what {
            Write::Put(body, mode) => self.apply_put(state, &host, &path, body, &mode, given_up),
            Write::Delete => {
                self.trace.note(&format!("delete {host} {path}"));
                if state.shelf.delete(&path, now) {
                    state.oracle.deleted(path.as_ref());
                }
                Ok(())
            }
        };
        if kills {
            state.dying.push(host);
        }
        if let Some(done) = done {
            drop(done.send(result.map(|()| PutResult { e_tag: None, version: None, extensions: Default::default() })));
        }
    }

    fn apply_put(&self, state: &mut State, host: &str, path: &Path, body: Bytes, mode: &PutMode, given_up: bool) -> Result<()> {
        let is_create = *mode == PutMode::Create;
        let stands = !is_create || !state.shelf.holds(path);
        self.trace.note(&format!("land {host} {path} {} {} bytes", if stands { "stands" } else { "exists" }, body.len()));
        let is_lane = is_create && path.as_ref().contains("/log/");
        match (is_lane, given_up, stands) {
            (true, true, true) => self.fired.add("lane object stands after its writer gave up"),
            (true, true, false) => self.fired.add("lane object too late for its number"),
            (true, false, false) => self.fired.add("lane number taken by another hub"),
            (true, false, true) | (false, _, _) => {}
        }
        if !stands {
            return Err(exists(path));
        }
        state.shelf.put(path, body.clone(), self.trace.now());
        if !is_create {
            state.oracle.written(path.as_ref());
        }
        if is_create && !state.oracle.created(path.as_ref(), &body) {
            self.trace.note(&format!("garbage {host} {path}"));
            self.fired.add(if is_lane { "garbage created in a lane" } else { "garbage created in a manifest log" });
            if !given_up {
                self.fired.add(if is_lane { "garbage in a lane, told to its writer as created" } else { "garbage manifest, told to its writer as created" });
            }
        }
        Ok(())
    }

    /// Hosts that a request has killed since the last call.
    #[must_use]
    pub fn dying(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.state).dying)
    }

    /// Looks at what the oracle knows.
    pub fn oracle<T>(&self, look: impl FnOnce(&Oracle) -> T) -> T {
        look(&locked(&self.state).oracle)
    }

    /// Tells the oracle something.
    pub fn oracle_mut(&self, tell: impl FnOnce(&mut Oracle)) {
        tell(&mut locked(&self.state).oracle);
    }

    /// Writes that have not taken effect yet.
    #[must_use]
    pub fn under_way(&self) -> usize {
        locked(&self.state).queue.len()
    }

    /// Whether a lane object of `host` is under way.
    #[must_use]
    pub fn is_sealing(&self, host: &str) -> bool {
        locked(&self.state).queue.values().any(|queued| queued.host == host && queued.path.as_ref().contains("/log/"))
    }

    /// A host that has a write to a name with `part` under way.
    #[must_use]
    pub fn writer_of(&self, part: &str) -> Option<String> {
        locked(&self.state)
            .queue
            .values()
            .find(|queued| matches!(queued.what, Write::Put(..)) && queued.path.as_ref().contains(part))
            .map(|queued| queued.host.clone())
    }

    /// Names that contain `part`.
    #[must_use]
    pub fn names(&self, part: &str) -> Vec<String> {
        locked(&self.state).shelf.names().filter(|name| name.contains(part)).map(str::to_owned).collect()
    }

    /// What stands under `name`.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Bytes> {
        locked(&self.state).shelf.get(&Path::from(name)).map(|stored| stored.bytes.clone())
    }

    /// Changes one bit of what stands under `name`.
    pub fn flip(&self, name: &str, at: usize) -> bool {
        locked(&self.state).shelf.flip(&Path::from(name), at)
    }

    /// Requests met so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        locked(&self.state).requests
    }

    /// Keeps what stands now as a backup would.
    pub fn keep(&self) {
        let mut state = locked(&self.state);
        state.kept = Some((state.shelf.clone(), state.oracle.clone()));
    }

    /// Puts back what [`Self::keep`] kept, to be used while no hub runs; nothing that is under way lands any more. Gives the oracle of what is lost.
    pub fn roll_back(&self) -> Option<Oracle> {
        let mut state = locked(&self.state);
        let (shelf, oracle) = state.kept.take()?;
        state.queue.clear();
        state.shelf = shelf;
        Some(std::mem::replace(&mut state.oracle, oracle))
    }

    fn draw(&self, path: &Path, writes: bool, creates: bool) -> Fate {
        let mut state = locked(&self.state);
        if writes && let Some(at) = state.told.iter().position(|(part, _)| path.as_ref().contains(part)) {
            return state.told.remove(at).map_or(Fate::Fine, |(_, fate)| fate);
        }
        let rates = state.rates;
        drop(state);
        let mut left = self.entropy.below(1_000_000);
        let long = Duration::from_millis(200 + self.entropy.below(8_000) + if self.entropy.chance(0.1) { 30_000 } else { 0 });
        let later = Duration::from_millis(100 + self.entropy.below(45_000));
        let always = [(rates.refused, Fate::Refused), (rates.slow, Fate::Slow(long))];
        let of_writes = [(rates.answer_lost, Fate::AnswerLost(self.entropy.chance(0.3))), (rates.late, Fate::Late(later))];
        let of_creates = [
            (rates.conflict, Fate::Conflict),
            (rates.taken_by_itself, Fate::TakenByItself),
            (rates.dies_before, Fate::DiesBefore),
            (rates.dies_after, Fate::DiesAfter),
        ];
        let of_writes = of_writes.into_iter().filter(|_| writes);
        for (rate, fate) in always.into_iter().chain(of_writes).chain(of_creates.into_iter().filter(|_| creates)) {
            if left < rate {
                return fate;
            }
            left -= rate;
        }
        Fate::Fine
    }

    fn met(&self, host: &str, request: &str, path: &Path, fate: Fate) {
        locked(&self.state).requests += 1;
        if fate != Fate::Fine {
            self.fired.add(fate.word());
        }
        self.trace.note(&format!("{request} {host} {path} {fate:?}"));
    }

    fn brief(&self) -> Duration {
        Duration::from_millis(1 + self.entropy.below(FINE_MS_MAX))
    }
}

/// One hub's way to a [`Bucket`].
#[derive(Debug)]
struct Door {
    bucket: Arc<Bucket>,
    host: String,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulated store of {}", self.host)
    }
}

async fn let_through(bucket: &Bucket, host: &str) {
    loop {
        let released = bucket.released.notified();
        {
            let held = locked(&bucket.held);
            if !held.contains(host) && !held.contains(ALL) {
                return;
            }
        }
        released.await;
    }
}

/// The way to the store of a read.
async fn read_through(bucket: &Bucket, host: &str, request: &'static str, path: &Path) -> Result<()> {
    let fate = if bucket.is_hidden(host, path) { Fate::Refused } else { bucket.draw(path, false, false) };
    bucket.met(host, request, path, fate);
    let wait = if let Fate::Slow(wait) = fate { wait } else { bucket.brief() };
    tokio::time::sleep(wait).await;
    let_through(bucket, host).await;
    if fate == Fate::Refused { Err(refused("503 SlowDown")) } else { Ok(()) }
}

impl Door {
    /// Puts a write on its way, to take effect after `wait`.
    fn send(&self, path: &Path, what: Write, wait: Duration, kills: bool) -> oneshot::Receiver<Result<PutResult>> {
        let (done, landed) = oneshot::channel();
        let bucket = &self.bucket;
        let due = bucket.trace.now() + wait;
        let on_its_way = bucket.entropy.chance(0.5);
        let mut state = locked(&bucket.state);
        state.queued += 1;
        let id = state.queued;
        state.queue.insert((due, id), Queued { host: self.host.clone(), path: path.clone(), what, on_its_way, kills, done: Some(done) });
        landed
    }

    /// Told once the write has taken effect and its answer is through.
    async fn landed(&self, landed: oneshot::Receiver<Result<PutResult>>) -> Result<PutResult> {
        let result = landed.await.unwrap_or_else(|_| Err(refused("the store is gone")));
        tokio::time::sleep(self.bucket.brief()).await;
        let_through(&self.bucket, &self.host).await;
        result
    }
}

impl Door {
    /// A write or delete, as its fate will have it.
    async fn write(&self, request: &str, location: &Path, what: Write) -> Result<PutResult> {
        let creates = matches!(what, Write::Put(_, PutMode::Create));
        let fate = self.bucket.draw(location, true, creates);
        self.bucket.met(&self.host, request, location, fate);
        let brief = self.bucket.brief();
        match fate {
            Fate::Fine => {
                let sent = self.send(location, what, brief, false);
                self.landed(sent).await
            }
            Fate::Slow(wait) => {
                let sent = self.send(location, what, wait, false);
                self.landed(sent).await
            }
            Fate::Refused => {
                tokio::time::sleep(brief).await;
                Err(refused("503 SlowDown"))
            }
            Fate::AnswerLost(never) => {
                let sent = self.send(location, what, brief, false);
                drop(self.landed(sent).await);
                if never { std::future::pending().await } else { Err(refused("connection reset by peer")) }
            }
            Fate::Late(wait) => {
                drop(self.send(location, what, wait, false));
                tokio::time::sleep(brief).await;
                Err(refused("connection reset by peer"))
            }
            Fate::Conflict => {
                tokio::time::sleep(brief).await;
                Err(exists(location))
            }
            Fate::TakenByItself => {
                let sent = self.send(location, what, brief, false);
                drop(self.landed(sent).await);
                Err(exists(location))
            }
            Fate::DiesBefore => {
                locked(&self.bucket.state).dying.push(self.host.clone());
                std::future::pending().await
            }
            Fate::DiesAfter => {
                drop(self.send(location, what, brief, true));
                std::future::pending().await
            }
        }
    }

    async fn read(&self, request: &'static str, location: &Path) -> Result<()> {
        read_through(&self.bucket, &self.host, request, location).await
    }
}

#[async_trait]
impl ObjectStore for Door {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let body = payload.iter().flatten().copied().collect();
        self.write("put", location, Write::Put(body, options.mode)).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "multipart".to_owned(), implementer: "sim".to_owned() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read("get", location).await?;
        let found = locked(&self.bucket.state).shelf.read(location, &options);
        // What was read may be old when it arrives.
        tokio::time::sleep(self.bucket.brief()).await;
        let_through(&self.bucket, &self.host).await;
        found
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut found = Vec::new();
        for range in ranges {
            found.push(self.get_opts(location, GetOptions::new().with_range(Some(range.clone()))).await?.bytes().await?);
        }
        Ok(found)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (bucket, host) = (Arc::clone(&self.bucket), self.host.clone());
        locations
            .then(move |location| {
                let door = Self { bucket: Arc::clone(&bucket), host: host.clone() };
                async move {
                    let location = location?;
                    door.write("delete", &location, Write::Delete).await.map(|_| location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (door, prefix) = (Self { bucket: Arc::clone(&self.bucket), host: self.host.clone() }, prefix.cloned());
        let listing = async move {
            let prefix = prefix.unwrap_or_default();
            if let Err(fault) = door.read("list", &prefix).await {
                return futures::stream::iter(vec![Err(fault)]);
            }
            let bucket = &door.bucket;
            let lags = bucket.entropy.below(1_000_000) < locked(&bucket.state).rates.list_lag;
            let ago = Duration::from_millis(if lags { 1 + bucket.entropy.below(LIST_LAG_MS_MAX) } else { 0 });
            let as_of = bucket.trace.now().saturating_sub(ago);
            let (listed, is_old) = locked(&bucket.state).shelf.list(&prefix, as_of);
            if is_old {
                bucket.fired.add("store listing was old");
            }
            futures::stream::iter(listed.into_iter().map(Ok).collect::<Vec<_>>())
        };
        futures::stream::once(listing).flatten().boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(Error::NotImplemented { operation: "list with delimiter".to_owned(), implementer: "sim".to_owned() })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copy".to_owned(), implementer: "sim".to_owned() })
    }
}
