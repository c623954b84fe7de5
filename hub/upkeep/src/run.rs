//! The driver: what is due, one job after the other, until told to stop.
//!
//! Parts: [`Rota`] (when what is looked at next); [`deleting_time`] (pure); [`Upkeep::run`]. Hubs share the work by
//! [`due::is_mine`]; what belongs to another is taken up late, in case that hub has no such role or is away. Must not
//! do: anything that is wrong when two hubs do it at once.

use std::collections::BTreeSet;
use std::time::Duration;

use hub_store::limits::CLOCKS_APART_MAX;
use proto_model::{LaneId, TenantId, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::absorb::Setback;
use crate::due::{is_due, is_mine};
use crate::limits::{MERGES_AT_ONCE, REWRITES_AT_ONCE};
use crate::metrics::OfLane;
use crate::{State, Upkeep, UpkeepFault};

/// Every so many rounds a hub also does what belongs to others.
const OTHERS_EVERY: u32 = 5;
/// Manifests are collected when so many have piled up.
const MANIFESTS_PILE: u64 = 8;

/// When what is looked at next; `None`: now.
#[derive(Debug, Default)]
pub(crate) struct Rota {
    floors: Option<Instant>,
    tidy: Option<Instant>,
    sweep: Option<Instant>,
    rounds: u32,
}

impl Rota {
    /// Whether `at` has come; then it is set to `every` later.
    fn has_come(at: &mut Option<Instant>, now: Instant, every: Duration) -> bool {
        let come = at.is_none_or(|at| at <= now);
        if come {
            *at = Some(now + every);
        }
        come
    }
}

/// By which time ages are judged before something is deleted: the earlier of the hub's and the store's; `None` when
/// they are too far apart to trust either.
pub(crate) fn deleting_time(own: Timestamp, store: Timestamp) -> Option<Timestamp> {
    let apart = own.since(store).max(store.since(own));
    (apart <= CLOCKS_APART_MAX).then(|| own.min(store))
}

impl Upkeep {
    /// Takes the jobs that are due until told to stop. A job that is cut short is lost, as in a crash.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            let every = self.settings.look_every;
            let wait = every - Duration::from_millis(self.world.entropy.below(every.as_millis() as u64 / 4));
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.round() => {}
            }
        }
    }

    /// As [`Self::run`], for a task of its own.
    pub async fn run_shared(self: std::sync::Arc<Self>, stop: CancellationToken) {
        self.run(stop).await;
    }

    /// All that is due now, once.
    pub(crate) async fn round(&self) {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        let alive = self.alive();
        self.look_behind(&mut state);
        self.absorb_due(&mut state, &alive, now).await;
        if Rota::has_come(&mut state.rota.floors, now, self.settings.floors_every) {
            for lane in self.lanes() {
                let raised = self.keeper.raise_floor(lane).await.map(drop).map_err(UpkeepFault::from);
                self.told("floor", raised.map_err(Setback::from));
            }
        }
        if Rota::has_come(&mut state.rota.tidy, now, self.settings.tidy_every) {
            state.rota.rounds = state.rota.rounds.wrapping_add(1);
            self.tidy(&mut state, &alive).await;
        }
        if Rota::has_come(&mut state.rota.sweep, now, self.settings.sweep_every) {
            self.sweep(&state, &alive).await;
        }
    }

    fn lanes(&self) -> Vec<LaneId> {
        self.store().view().lanes().map(hub_store::LaneView::lane).collect()
    }

    /// The hubs that wrote a lane lately.
    fn alive(&self) -> BTreeSet<String> {
        let lately = |idle_s: u64| Duration::from_secs(idle_s) <= self.settings.alive;
        self.store().lanes().into_iter().filter(|lane| lately(lane.idle_s)).map(|lane| lane.writer).collect()
    }

    fn mine(&self, key: &str, alive: &BTreeSet<String>) -> bool {
        is_mine(key, self.store().writer_name(), alive.iter().map(String::as_str))
    }

    fn told(&self, job: &'static str, outcome: Result<(), Setback>) {
        match outcome {
            Ok(()) => {}
            Err(Setback::Lost) => self.count(job, "lost"),
            Err(Setback::Fault(fault)) => {
                self.count(job, "failed");
                tracing::warn!(job, %fault, "a job of upkeep failed; it is tried again");
            }
        }
    }

    async fn absorb_due(&self, state: &mut State, alive: &BTreeSet<String>, now: Instant) {
        for lane in self.lanes() {
            let waiting = self.waiting(lane, u64::MAX);
            state.ages.note(lane, &waiting, now);
            let late = if self.mine(&lane.to_string(), alive) { Duration::ZERO } else { self.settings.others_after };
            let due = waiting.iter().filter(|(tenant, amount)| is_due(amount, state.ages.age(lane, tenant, now), late, &self.settings));
            let due: BTreeSet<TenantId> = due.map(|(tenant, _)| tenant.clone()).collect();
            if due.is_empty() {
                continue;
            }
            match self.absorb_lane(state, lane, &due, u64::MAX).await {
                Ok(_) | Err(Setback::Lost) => {}
                Err(Setback::Fault(fault)) => tracing::warn!(%lane, %fault, "absorption failed; it is tried again"),
            }
        }
    }

    /// Says how far absorption is behind, and raises the alarm once for each lane that is far (lane rule 19).
    fn look_behind(&self, state: &mut State) {
        for behind in self.store().behind() {
            let of = OfLane { lane: behind.lane.to_string() };
            let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            self.metrics.behind_objects.get_or_create(&of).set(gauge(behind.objects));
            self.metrics.behind_bytes.get_or_create(&of).set(gauge(behind.bytes));
            if !behind.is_far() {
                state.far.remove(&behind.lane);
            } else if state.far.insert(behind.lane) {
                tracing::error!(lane = %behind.lane, objects = behind.objects, bytes = behind.bytes, "absorption of a lane is far behind: its senders are slowed; see that a hub with the role upkeep runs and the store answers");
            }
        }
    }

    /// Merges, carries out deletes, and deletes what is absorbed or replaced.
    async fn tidy(&self, state: &mut State, alive: &BTreeSet<String>) {
        let all = state.rota.rounds.is_multiple_of(OTHERS_EVERY);
        let tenants = match self.keeper.tenants().await {
            Ok(tenants) => tenants,
            Err(fault) => return self.told("tidy", Err(UpkeepFault::from(fault).into())),
        };
        for tenant in tenants.iter().filter(|tenant| all || self.mine(tenant.as_str(), alive)) {
            self.again("merge", MERGES_AT_ONCE, || self.merge_once(tenant)).await;
            // What the merge read on shows whether there is anything: idle tenants cost no request more.
            if self.keeper.known(tenant).is_some_and(|manifest| !manifest.deletes.is_empty()) {
                self.again("rewrite", REWRITES_AT_ONCE, || self.rewrite_once(tenant)).await;
            }
            let collected = self.collect_manifests(state, tenant).await;
            self.told("manifests", collected.map_err(Setback::from));
        }
        self.look_at_deletes(&tenants);
        self.erase(state, &tenants).await;
        let lanes: Vec<LaneId> = self.lanes().into_iter().filter(|lane| all || self.mine(&lane.to_string(), alive)).collect();
        let collected = self.collect_lanes(&lanes).await;
        self.told("collect", collected.map_err(Setback::from));
    }

    /// Does a job until there is nothing left to do, so many times at most.
    async fn again<F: Future<Output = Result<bool, Setback>>>(&self, name: &'static str, times: usize, once: impl Fn() -> F) {
        for _ in 0..times {
            match once().await {
                Ok(true) => self.count(name, "done"),
                Ok(false) => return,
                Err(setback) => return self.told(name, Err(setback)),
            }
        }
    }

    /// Takes up tenants that were erased, each once.
    async fn erase(&self, state: &mut State, tenants: &[TenantId]) {
        let new: Vec<TenantId> = self.store().erased().iter().filter(|tenant| tenants.contains(tenant) && !state.erased.contains(tenant)).cloned().collect();
        if new.is_empty() {
            return;
        }
        let now = match self.deleting_now().await {
            Ok(Some(now)) => now,
            Ok(None) => return,
            Err(fault) => return self.told("erase", Err(fault.into())),
        };
        for tenant in new {
            match self.erase_tenant(&tenant, now).await {
                // Looked at once more: only one that is seen to be closed is done with.
                Ok(true) => self.count("erase", "done"),
                Ok(false) => drop(state.erased.insert(tenant)),
                Err(setback) => self.told("erase", Err(setback)),
            }
        }
    }

    /// Counts what deletes are open, by the manifests as far as they are known here.
    fn look_at_deletes(&self, tenants: &[TenantId]) {
        let known: Vec<_> = tenants.iter().filter_map(|tenant| self.keeper.known(tenant)).collect();
        let open = || known.iter().flat_map(|manifest| &manifest.deletes);
        let oldest = open().map(|delete| self.moment().0.since(delete.accepted).as_secs()).max().unwrap_or(0);
        self.metrics.deletes_open.set(i64::try_from(open().count()).unwrap_or(i64::MAX));
        self.metrics.deletes_oldest_s.set(i64::try_from(oldest).unwrap_or(i64::MAX));
    }

    async fn collect_manifests(&self, state: &mut State, tenant: &TenantId) -> Result<(), UpkeepFault> {
        let newest = self.keeper.known(tenant).map_or(0, |manifest| manifest.number);
        let before = state.collected.get(tenant).copied().unwrap_or(0);
        if newest >= before + MANIFESTS_PILE {
            self.keeper.collect_manifests(tenant).await?;
            state.collected.insert(tenant.clone(), newest);
        }
        Ok(())
    }

    /// Deletes lane objects that may go.
    pub(crate) async fn collect_lanes(&self, lanes: &[LaneId]) -> Result<(), UpkeepFault> {
        let view = self.store().view();
        if !view.lanes().any(|sight| sight.floor() > 0 && lanes.contains(&sight.lane())) {
            return Ok(());
        }
        let Some(now) = self.deleting_now().await? else { return Ok(()) };
        for lane in lanes {
            let gone = self.keeper.collect_lane(*lane, self.settings.lane_keep, now).await?;
            self.metrics.collected_objects.inc_by(gone);
        }
        Ok(())
    }

    async fn deleting_now(&self) -> Result<Option<Timestamp>, UpkeepFault> {
        let (own, store) = (self.moment().0, self.keeper.store_time().await?);
        let now = deleting_time(own, store);
        if now.is_none() {
            tracing::error!("the clocks of this hub and of the object store are more than 5 min apart: nothing is deleted; set the clocks");
        }
        Ok(now)
    }

    /// Sweeps the tenants' folders.
    async fn sweep(&self, state: &State, alive: &BTreeSet<String>) {
        let all = state.rota.rounds.is_multiple_of(OTHERS_EVERY);
        let swept = async {
            let tenants = self.keeper.tenants().await?;
            let Some(now) = self.deleting_now().await? else { return Ok(()) };
            for tenant in tenants.iter().filter(|tenant| all || self.mine(tenant.as_str(), alive)) {
                self.told("sweep", self.sweep_tenant(tenant, now).await);
            }
            Ok::<(), UpkeepFault>(())
        };
        let swept = swept.await;
        self.told("sweep", swept.map_err(Setback::from));
    }
}
