//! Simulated machines: each runs its software on a runtime of its own with paused time, stepped together from a seed.
//!
//! Parts: [`Machines`]: add, [`Machines::step`], crash, start, [`Machines::freeze`] and [`Machines::thaw`]. A frozen
//! machine runs nothing: what others send it waits, and when it thaws its steady clock has gone on, so that all its timers are due at
//! once (as after SIGSTOP; a clock that stood still too is a skew of the wall clock beside it). Promises: the same seed and the
//! same calls give the same order of everything. Must not do: network, disks, store.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use proto_seam::Entropy;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, LocalSet};

/// Why software ended.
pub type Ended = Result<(), String>;
type Software = Box<dyn Fn() -> LocalBoxFuture<'static, Ended>>;

struct Machine {
    software: Software,
    running: Option<Running>,
    frozen: bool,
    /// How far its clock is behind.
    behind: Duration,
}

struct Running {
    // Dropped first: its tasks may need the runtime.
    local: LocalSet,
    main: JoinHandle<Ended>,
    runtime: Runtime,
}

/// All machines of a simulation.
pub struct Machines {
    machines: BTreeMap<String, Machine>,
    order: Vec<String>,
    entropy: Entropy,
    elapsed: Duration,
    tick: Duration,
}

impl std::fmt::Debug for Machines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machines").field("order", &self.order).field("elapsed", &self.elapsed).finish_non_exhaustive()
    }
}

fn run(software: &Software) -> Running {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime without sockets can be made");
    let local = LocalSet::new();
    // Whole milliseconds from here on.
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    let main = {
        let _inside = runtime.enter();
        local.spawn_local(software())
    };
    Running { local, main, runtime }
}

impl Machines {
    /// None yet.
    #[must_use]
    pub fn new(entropy: &Entropy, tick: Duration) -> Self {
        Self { machines: BTreeMap::new(), order: Vec::new(), entropy: entropy.fork("machines"), elapsed: Duration::ZERO, tick }
    }

    /// Starts a machine that runs `software`, again after each crash.
    pub fn host<F: Future<Output = Ended> + 'static>(&mut self, name: &str, software: impl Fn() -> F + 'static) {
        let software: Software = Box::new(move || Box::pin(software()));
        let running = Some(run(&software));
        self.machines.insert(name.to_owned(), Machine { software, running, frozen: false, behind: Duration::ZERO });
        self.order = self.machines.keys().cloned().collect();
    }

    /// Time since the start.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Whether a machine is up, frozen or not.
    #[must_use]
    pub fn is_running(&self, name: &str) -> bool {
        self.machines.get(name).is_some_and(|machine| machine.running.is_some())
    }

    /// Ends a machine's software at once.
    pub fn crash(&mut self, name: &str) {
        if let Some(machine) = self.machines.get_mut(name) {
            machine.running = None;
            (machine.frozen, machine.behind) = (false, Duration::ZERO);
        }
    }

    /// Starts a machine's software, anew if it ran.
    pub fn start(&mut self, name: &str) {
        if let Some(machine) = self.machines.get_mut(name) {
            machine.running = None;
            machine.running = Some(run(&machine.software));
            (machine.frozen, machine.behind) = (false, Duration::ZERO);
        }
    }

    /// Stops a machine wherever it is.
    pub fn freeze(&mut self, name: &str) {
        if let Some(machine) = self.machines.get_mut(name) {
            machine.frozen = true;
        }
    }

    /// Lets it go on; its timers find that time has passed.
    pub fn thaw(&mut self, name: &str) {
        if let Some(machine) = self.machines.get_mut(name) {
            machine.frozen = false;
        }
    }

    /// Lets every machine run for one tick.
    ///
    /// # Errors
    /// When the software of one has ended, which it never does by itself.
    pub fn step(&mut self) -> Ended {
        // Who comes first changes: one exchange of neighbours a step mixes enough.
        let count = self.order.len() as u64;
        if count > 1 {
            let at = usize::try_from(self.entropy.below(count - 1)).unwrap_or(0);
            self.order.swap(at, at + 1);
        }
        for name in &self.order {
            let Some(machine) = self.machines.get_mut(name) else { continue };
            let Some(Running { local, main, runtime }) = &mut machine.running else { continue };
            if machine.frozen {
                machine.behind += self.tick;
                continue;
            }
            let behind = std::mem::take(&mut machine.behind);
            let tick = self.tick;
            runtime.block_on(local.run_until(async move {
                if !behind.is_zero() {
                    tokio::time::advance(behind).await;
                }
                tokio::time::sleep(tick).await;
            }));
            if main.is_finished() {
                let ended = runtime.block_on(main);
                return ended.unwrap_or_else(|failed| Err(format!("{name}: {failed}"))).and_then(|()| Err(format!("{name} ended")));
            }
        }
        self.elapsed += self.tick;
        Ok(())
    }
}
