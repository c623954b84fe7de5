//! Following all lanes together, and views that are fresh (lane rules 7 and 14).
//!
//! Parts: [`Store::follow_round`], [`Store::run`], [`Store::fresh`]. Promises: one round at a time; whoever
//! asks while one is under way that began late enough shares it; a round that is asked for by nobody any
//! more ends. While nobody asks for fresh views, lanes that are idle cost one request a round. Must not do: spawn.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{BoxFuture, FutureExt as _, Shared, WeakShared};
use proto_model::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Store, locked};
use crate::fault::StoreFault;
use crate::head::View;
use crate::lane::{Look, start};
use crate::limits::{ASKED_LATELY, FOLLOW_BACKOFF_MAX, FOLLOW_EVERY, FRESH_RETRY, FRESH_WAIT_MAX, LANES_AT_ONCE, SNAPSHOT_LOOK_EVERY, WHOLE_EVERY};
use crate::object::Moment;

type RoundFuture = BoxFuture<'static, Result<(), StoreFault>>;

/// A round that is under way.
#[derive(Debug)]
pub(super) struct Round {
    started: Moment,
    how: Look,
    future: WeakShared<RoundFuture>,
}

/// As of when something must be fresh, on both clocks.
#[derive(Debug, Clone, Copy)]
struct Need {
    wall: Timestamp,
    /// `None`: longer ago than this clock tells.
    steady: Option<Instant>,
}

impl Need {
    fn met_by(&self, moment: Moment) -> bool {
        moment.wall >= self.wall && self.steady.is_none_or(|steady| moment.steady >= steady)
    }
}

impl Store {
    /// Follows the registry and all lanes to their ends, together with whoever else asks for that now.
    ///
    /// # Errors
    /// The first fault met; lanes without one are followed all the same.
    pub async fn follow_round(self: &Arc<Self>) -> Result<(), StoreFault> {
        self.round_by(Look::Whole).await
    }

    async fn round_by(self: &Arc<Self>, how: Look) -> Result<(), StoreFault> {
        let now = self.shore.objects.moment();
        let need = Need { wall: now.wall, steady: Some(now.steady) };
        loop {
            let (round, fits) = self.round_for(need, how);
            let ended = round.await;
            if fits {
                return ended;
            }
        }
    }

    /// A round that began late enough for `need` (true), or one that must end before such a one can begin.
    fn round_for(self: &Arc<Self>, need: Need, how: Look) -> (Shared<RoundFuture>, bool) {
        let mut current = locked(&self.round);
        if let Some(round) = current.as_ref()
            && let Some(future) = round.future.upgrade()
            && future.peek().is_none()
        {
            return (future, need.met_by(round.started) && (round.how == how || round.how == Look::Whole));
        }
        let started = self.shore.objects.moment();
        let store = Arc::clone(self);
        let future: Shared<RoundFuture> = async move { store.follow_all(started, how).await }.boxed().shared();
        *current = future.downgrade().map(|future| Round { started, how, future });
        (future, true)
    }

    async fn follow_all(&self, started: Moment, how: Look) -> Result<(), StoreFault> {
        let registry = self.follow_registry(started).await;
        let cells = self.cells();
        let followed = futures::stream::iter(cells).map(|cell| async move { cell.follow_by(&self.shore, how).await });
        let faults: Vec<StoreFault> = followed.buffer_unordered(LANES_AT_ONCE).filter_map(|followed| async { followed.err() }).collect().await;
        registry?;
        faults.into_iter().next().map_or(Ok(()), Err)
    }

    pub(super) async fn follow_registry(&self, started: Moment) -> Result<(), StoreFault> {
        let mut log = locked(&self.registry).log.clone();
        let followed = log.follow(&self.shore.objects, &self.shore.keys).await;
        let adopted = self.adopt(log, followed.is_ok().then_some(started));
        followed.and(adopted)
    }

    /// Follows at least once a second and keeps snapshots, until told to stop.
    pub async fn run(self: &Arc<Self>, stop: CancellationToken) {
        let follow = async {
            let mut wait = FOLLOW_EVERY;
            let mut whole = Instant::now();
            while !pause(&stop, self.jittered(wait)).await {
                // A hub that slept through a collection would find nothing new for ever.
                let how = if self.is_asked() || whole.elapsed() >= WHOLE_EVERY { Look::Whole } else { Look::Glance };
                whole = if how == Look::Whole { Instant::now() } else { whole };
                wait = match self.round_by(how).await {
                    Ok(()) => FOLLOW_EVERY,
                    Err(fault) => {
                        tracing::warn!(%fault, "the lanes could not be followed");
                        (wait * 2).min(FOLLOW_BACKOFF_MAX)
                    }
                };
            }
        };
        let snapshots = async {
            while !pause(&stop, SNAPSHOT_LOOK_EVERY).await {
                if let Err(fault) = self.keep_snapshots().await {
                    tracing::warn!(%fault, "a snapshot could not be written");
                }
            }
        };
        tokio::join!(follow, snapshots);
    }

    /// 80 to 100 % of `wait`, so that hubs do not ask in step.
    fn jittered(&self, wait: Duration) -> Duration {
        let fifth = u64::try_from(wait.as_millis() / 5).unwrap_or(0);
        wait - Duration::from_millis(self.shore.objects.entropy().below(fifth + 1))
    }

    /// Writes a snapshot of each lane whose newest is too far behind (rule 11).
    ///
    /// # Errors
    /// The first fault met; nothing depends on a snapshot.
    pub async fn keep_snapshots(&self) -> Result<(), StoreFault> {
        for cell in self.cells() {
            start::keep(&self.shore, &cell).await?;
        }
        Ok(())
    }

    /// A view in which every lane, and the list of lanes, is fresh as of `as_of`; follows if need be.
    ///
    /// # Errors
    /// [`StoreFault::Stale`] when that does not succeed within 5 s.
    pub async fn fresh(self: &Arc<Self>, as_of: Timestamp) -> Result<View, StoreFault> {
        let now = self.shore.objects.moment();
        let need = Need { wall: as_of.min(now.wall), steady: now.steady.checked_sub(now.wall.since(as_of)) };
        *locked(&self.asked) = Some(now.steady);
        let mut reason = "the store has not answered".to_owned();
        let tried = async {
            while !cfg!(planted = "view_of_any_age") && !self.is_fresh(need) {
                let (round, fits) = self.round_for(need, Look::Whole);
                if let Err(fault) = round.await {
                    reason = fault.to_string();
                }
                if fits && !self.is_fresh(need) {
                    tokio::time::sleep(FRESH_RETRY).await;
                }
            }
        };
        match tokio::time::timeout(FRESH_WAIT_MAX, tried).await {
            Ok(()) => Ok(self.view()),
            Err(_) => Err(StoreFault::Stale { waited_ms: u64::try_from(FRESH_WAIT_MAX.as_millis()).unwrap_or(u64::MAX), reason }),
        }
    }

    /// Whether somebody wanted a fresh view lately.
    fn is_asked(&self) -> bool {
        locked(&self.asked).is_some_and(|asked| asked.elapsed() < ASKED_LATELY)
    }

    fn is_fresh(&self, need: Need) -> bool {
        let met = |fresh: Option<Moment>| fresh.is_some_and(|fresh| need.met_by(fresh));
        let registry = locked(&self.registry).fresh;
        met(registry) && self.cells().iter().all(|cell| (cfg!(planted = "unreadable_lane_is_empty") && cell.known().is_none()) || met(cell.fresh()))
    }
}

/// Waits; true when it is time to stop instead.
async fn pause(stop: &CancellationToken, wait: Duration) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => true,
        () = tokio::time::sleep(wait) => false,
    }
}
