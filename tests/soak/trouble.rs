//! Which fault comes when: drawn from a seed, carried out, undone when its time is over.
//!
//! The last hub and the last edge are frozen like others but never killed: their memory is what tells whether it
//! stays flat. MinIO is killed only while all hubs live, and a hub that cannot start is tried again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tests::edge::loopback;
use tests::gate::Rates;

use crate::site::{FILES, Site};

/// One fault in so many ticks.
const RARITY: u64 = 5;
/// A file is rotated so long after its edge came back, so that each file is seen under its name.
const SETTLED: Duration = Duration::from_secs(8);

/// A program's state.
#[derive(Clone, Copy)]
enum State {
    Up(Instant),
    Killed(Instant),
    Frozen(Instant),
}

/// The faults of a soak.
pub(crate) struct Trouble {
    dice: u64,
    hubs: Vec<State>,
    edges: Vec<State>,
    rotated: Vec<Instant>,
    rotations: u64,
    minio: Option<Instant>,
    gate: Option<Instant>,
    counts: BTreeMap<&'static str, u64>,
}

impl Trouble {
    pub(crate) fn new(seed: u64) -> Self {
        Self { dice: seed, hubs: Vec::new(), edges: Vec::new(), rotated: Vec::new(), rotations: 0, minio: None, gate: None, counts: BTreeMap::new() }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.roll(count as u64)).expect("an index")
    }

    fn until(&mut self, least_ms: u64, most_ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(least_ms + self.roll(most_ms - least_ms + 1))
    }

    fn count(&mut self, kind: &'static str) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// How many of what so far.
    pub(crate) fn told(&self) -> String {
        let each: Vec<String> = self.counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        format!("faults {} ({})", self.counts.values().sum::<u64>(), each.join(", "))
    }

    /// Ends what is over, and perhaps begins something.
    pub(crate) fn tick(&mut self, site: &mut Site, more: bool) {
        if self.hubs.is_empty() {
            self.hubs = vec![State::Up(Instant::now()); site.hubs.len()];
            self.edges = vec![State::Up(Instant::now()); site.edges.len()];
            self.rotated = vec![Instant::now(); site.edges.len() * FILES];
        }
        self.undo(site, Instant::now());
        if !more {
            return;
        }
        // Rotation is daily bread, not a fault: more often.
        if self.roll(3) == 0 {
            self.rotate(site);
        }
        if self.roll(RARITY) == 0 {
            self.begin(site);
        }
    }

    /// Ends everything.
    pub(crate) fn calm(&mut self, site: &mut Site) {
        for _ in 0..60 {
            self.undo(site, Instant::now() + Duration::from_secs(3_600));
            if site.hubs.iter().all(|hub| hub.runs()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn undo(&mut self, site: &mut Site, now: Instant) {
        if self.minio.is_some_and(|until| until <= now) {
            self.minio = None;
            site.minio.as_mut().expect("it was killed").resume();
        }
        if self.gate.is_some_and(|until| until <= now) {
            self.gate = None;
            site.gate.as_ref().expect("it was set").set(Rates::default());
        }
        for (n, state) in self.hubs.iter_mut().enumerate() {
            match *state {
                State::Killed(until) if until <= now && self.minio.is_none() => match site.hubs[n].try_resume() {
                    Ok(()) => *state = State::Up(Instant::now()),
                    Err(why) => println!("hub {n} is tried again: {}", why.lines().last().unwrap_or_default()),
                },
                State::Frozen(until) if until <= now => {
                    site.hubs[n].process().signal("CONT");
                    *state = State::Up(Instant::now());
                }
                State::Up(_) | State::Killed(_) | State::Frozen(_) => {}
            }
        }
        for (n, state) in self.edges.iter_mut().enumerate() {
            match *state {
                State::Killed(until) if until <= now => {
                    site.edges[n].resume();
                    *state = State::Up(Instant::now());
                }
                State::Frozen(until) if until <= now => {
                    site.edges[n].process().signal("CONT");
                    *state = State::Up(Instant::now());
                }
                State::Up(_) | State::Killed(_) | State::Frozen(_) => {}
            }
        }
    }

    fn rotate(&mut self, site: &Site) {
        let n = self.pick(self.rotated.len());
        let settled = matches!(self.edges[n / FILES], State::Up(since) if since.elapsed() > SETTLED);
        if settled && self.rotated[n].elapsed() > SETTLED {
            self.rotations += 1;
            let to = site.log(n / FILES, n % FILES).with_extension(format!("log.{}", self.rotations));
            site.writers.lock().expect("no writer panics")[n].rotate(&to);
            self.rotated[n] = Instant::now();
            self.count("rotations");
        }
    }

    fn begin(&mut self, site: &mut Site) {
        match self.roll(12) {
            0..=2 => self.hub(site, true),
            3 => self.hub(site, false),
            4..=6 => self.edge(site, true),
            7 => self.edge(site, false),
            8 => {
                let living = site.hubs.iter().all(|hub| hub.runs());
                if let (Some(minio), true, None) = (&mut site.minio, living, self.minio) {
                    minio.kill();
                    self.minio = Some(self.until(100, 8_000));
                    self.count("store kills");
                }
            }
            _ => {
                if let (Some(gate), None) = (&site.gate, self.gate) {
                    gate.set(Rates::all(5 + self.roll(60)));
                    self.gate = Some(self.until(5_000, 25_000));
                    self.count("store gates");
                }
            }
        }
    }

    fn hub(&mut self, site: &mut Site, kill: bool) {
        let n = self.pick(self.hubs.len());
        let spared = n + 1 == self.hubs.len() && n > 0;
        if !matches!(self.hubs[n], State::Up(_)) || (kill && spared) {
            return;
        }
        self.hubs[n] = if kill {
            site.hubs[n].kill();
            self.count("hub kills");
            State::Killed(self.until(0, 10_000))
        } else {
            site.hubs[n].process().signal("STOP");
            self.count("hub freezes");
            State::Frozen(self.until(500, 40_000))
        };
    }

    fn edge(&mut self, site: &mut Site, kill: bool) {
        let n = self.pick(self.edges.len());
        let spared = n + 1 == self.edges.len() && n > 0;
        if !matches!(self.edges[n], State::Up(_)) || (kill && spared) {
            return;
        }
        self.edges[n] = if kill {
            site.edges[n].kill();
            self.count("edge kills");
            if self.roll(2) == 0 {
                let mut urls: Vec<String> = site.hubs.iter().map(|hub| loopback(hub.link)).collect();
                let turn = self.pick(urls.len());
                urls.rotate_left(turn);
                site.edges[n].retarget(&urls);
                self.count("edge moves");
            }
            State::Killed(self.until(0, 10_000))
        } else {
            site.edges[n].process().signal("STOP");
            self.count("edge freezes");
            State::Frozen(self.until(500, 20_000))
        };
    }
}
