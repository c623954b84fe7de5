//! One stop signal for a process, and its parts ended in order.
//!
//! Parts: [`Stop`] (begun by SIGTERM or SIGINT, forced by a second one), [`Draining`] (named steps,
//! one after the other, each with a deadline).
//! Promises: a step that is late does not hold the next one back; a forced stop ends the waiting at
//! once; what did not finish is named. Must not do: end the process (`main` does, by the result).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The stop signal; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    begun: CancellationToken,
    forced: CancellationToken,
}

impl Stop {
    /// Not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the stop: no new work, end what is open.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Forces the stop: wait for nothing more.
    pub fn force(&self) {
        self.begun.cancel();
        self.forced.cancel();
    }

    /// Whether it has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Waits until it begins.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Waits until it is forced.
    pub async fn forced(&self) {
        self.forced.cancelled().await;
    }

    /// A token that is cancelled when the stop begins, for parts that take one.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.begun.child_token()
    }

    /// From now on the first SIGTERM or SIGINT begins the stop and the second forces it.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn on_signals(&self) -> io::Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = self.clone();
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            tracing::info!("stop begun by a signal; a second one ends at once");
            stop.begin();
            either(&mut terminate, &mut interrupt).await;
            tracing::warn!("stop forced by a second signal");
            stop.force();
        });
        Ok(())
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The steps of an orderly end.
#[derive(Default)]
pub struct Draining {
    steps: Vec<Step>,
}

struct Step {
    name: &'static str,
    deadline: Duration,
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// How the steps went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    /// Steps that did not finish within their deadline, or were not waited for.
    pub unfinished: Vec<&'static str>,
    /// Whether the stop was forced.
    pub forced: bool,
}

impl Draining {
    /// No steps yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step that runs after those before it, for at most `deadline`.
    #[must_use]
    pub fn then(mut self, name: &'static str, deadline: Duration, work: impl Future<Output = ()> + Send + 'static) -> Self {
        self.steps.push(Step { name, deadline, work: Box::pin(work) });
        self
    }

    /// Runs the steps. A step that is late is dropped, and so cancelled.
    pub async fn run(self, stop: &Stop) -> Drained {
        let mut drained = Drained { unfinished: Vec::new(), forced: false };
        for Step { name, deadline, work } in self.steps {
            let finished = tokio::select! {
                biased;
                () = stop.forced() => false,
                () = work => true,
                () = tokio::time::sleep(deadline) => {
                    tracing::warn!(step = name, deadline_s = deadline.as_secs_f64(), "step of the stop was late");
                    false
                }
            };
            if !finished {
                drained.unfinished.push(name);
            }
        }
        drained.forced = stop.forced.is_cancelled();
        drained
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::{Drained, Draining, Stop};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn steps_run_in_order_and_a_late_one_is_named() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let step = |name: &'static str, length: Duration| {
            let order = order.clone();
            async move {
                tokio::time::sleep(length).await;
                order.lock().unwrap().push(name);
            }
        };
        let begun = tokio::time::Instant::now();
        let draining = Draining::new().then("accept", SECOND, step("accept", SECOND / 2)).then("gather", SECOND, step("gather", SECOND * 60)).then(
            "seal",
            SECOND,
            step("seal", SECOND / 4),
        );
        let drained = draining.run(&Stop::new()).await;
        assert_eq!(drained, Drained { unfinished: vec!["gather"], forced: false });
        assert_eq!(*order.lock().unwrap(), ["accept", "seal"]);
        assert_eq!(begun.elapsed(), SECOND / 2 + SECOND + SECOND / 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_forced_stop_waits_for_nothing() {
        let stop = Stop::new();
        let draining = Draining::new().then("one", SECOND * 60, tokio::time::sleep(SECOND * 30)).then("two", SECOND * 60, std::future::pending());
        let (drained, ()) = tokio::join!(draining.run(&stop), async {
            tokio::time::sleep(SECOND).await;
            stop.force();
        });
        assert_eq!(drained, Drained { unfinished: vec!["one", "two"], forced: true });
        assert!(stop.has_begun());
    }

    #[tokio::test]
    async fn the_first_signal_begins_and_the_second_forces() {
        let stop = Stop::new();
        stop.on_signals().expect("handlers");
        let token = stop.token();
        let kill = || {
            let killed = std::process::Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status().expect("kill");
            assert!(killed.success());
        };
        assert!(!stop.has_begun());
        kill();
        tokio::time::timeout(SECOND * 10, stop.begun()).await.expect("begun");
        assert!(token.is_cancelled() && !stop.forced.is_cancelled());
        kill();
        tokio::time::timeout(SECOND * 10, stop.forced()).await.expect("forced");
    }
}
