//! An object store in memory that answers slowly, wrongly, late or never, from a seed; with the oracle beside it.
//!
//! Parts: [`Bucket`], what all hubs share; `door`, one hub's way to it; [`Rates`] and [`Fate`],
//! what befalls a request; [`Bucket::land`], where writes and deletes take effect; `shelf`, what stands. Every write waits in one queue and
//! takes effect there, whether or not its sender still lives: so a create may stand although its hub died, gave up or was told that
//! it failed, and may even stand where an object was deleted long ago (garbage, counted). Promises: create-if-absent holds and reads see what
//! stands; a listing may show an earlier moment. Must not do: lose or change what stands, but for [`Bucket::roll_back`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStore, PutMode, PutResult, Result};
use proto_seam::Entropy;
use tokio::sync::{Notify, oneshot};

use crate::objects::door::Door;
use crate::objects::shelf::Shelf;
use crate::oracle::Oracle;
use crate::world::{Fired, Trace, locked};

mod door;
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
