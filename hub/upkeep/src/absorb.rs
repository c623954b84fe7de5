//! Absorption: one job takes some objects of a lane, reads each once, commits tenant by tenant (lane rule 12).
//!
//! Parts: [`Setback`]; [`may_name`] (pure); the job; [`Upkeep::absorb_all`]. Promises: what a manifest names was built
//! of exactly the sections between the watermark it moves and the new one; outputs of a job that lost its number are
//! never named. Must not do: decide what is due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use hub_store::{Applied, Change, Commit, Manifest, Origin, PutFault, Section, SegmentRef, StoreFault, StoredSection};
use proto_model::{ClusterId, EdgeId, LaneId, TenantId};

use crate::build::{self, Aside, Output};
use crate::due;
use crate::limits::{ABSORB_ALL_TRIES, ABSORB_ALL_WAIT, DAMAGED_READS, TENANTS_AT_ONCE};
use crate::plan::{Plan, plan};
use crate::rewrite;
use crate::{State, Upkeep, UpkeepFault};

/// Why a job did not end in a commit of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Setback {
    /// Another hub was faster, or may have been: start over from the newest state.
    Lost,
    /// It cannot be done now.
    Fault(UpkeepFault),
}

impl From<UpkeepFault> for Setback {
    fn from(fault: UpkeepFault) -> Self {
        match fault {
            // What the job was built on is old.
            UpkeepFault::Store(StoreFault::Moved { .. }) => Self::Lost,
            other @ (UpkeepFault::Store(_) | UpkeepFault::Segment(_) | UpkeepFault::Merge | UpkeepFault::Outrun { .. } | UpkeepFault::Delete { .. }) => {
                Self::Fault(other)
            }
        }
    }
}

impl Setback {
    /// Of a manifest that is not known to stand: any answer but success loses the number.
    pub(crate) fn of(fault: PutFault) -> Self {
        match fault {
            PutFault::NotWritten(fault @ (StoreFault::Draft { .. } | StoreFault::TooLarge { .. } | StoreFault::Denied { .. })) => Self::Fault(fault.into()),
            PutFault::NotWritten(_) | PutFault::Lost => Self::Lost,
        }
    }
}

/// Whether outputs made `age` ago may be named by the manifest after `base`: no sweep can have doomed and deleted
/// them.
pub(crate) fn may_name(base: &Manifest, outputs: &[SegmentRef], age: Duration, doom_age: Duration) -> bool {
    age <= doom_age / 2 && !outputs.iter().any(|output| base.dooms(output.id))
}

/// One tenant's part of a job.
struct Part {
    tenant: TenantId,
    from: u64,
    to: u64,
    sections: Vec<(u64, Section)>,
    aside: Vec<Aside>,
}

impl Upkeep {
    /// One job on a lane for `tenants`, up to `upto`; whether there was anything to do.
    pub(crate) async fn absorb_lane(&self, state: &mut State, lane: LaneId, tenants: &BTreeSet<TenantId>, upto: u64) -> Result<bool, Setback> {
        let marks = self.marks(lane, tenants).await?;
        let view = self.store().view();
        let portion = state.portions.get(&lane).copied().unwrap_or_default();
        let Some(plan) = view.lanes().find(|sight| sight.lane() == lane).and_then(|sight| plan(sight, &marks, upto, portion)) else { return Ok(false) };
        let outcome = self.absorb_plan(state, lane, &plan).await;
        state.portions.insert(lane, if outcome == Err(Setback::Lost) { portion.lost() } else { portion.done() });
        let word = match &outcome {
            Ok(()) => "done",
            Err(Setback::Lost) => "lost",
            Err(Setback::Fault(_)) => "failed",
        };
        self.count("absorb", word);
        outcome.map(|()| true)
    }

    pub(crate) fn count(&self, job: &'static str, outcome: &'static str) {
        self.metrics.jobs.get_or_create(&crate::metrics::OfJob { job, outcome }).inc();
    }

    /// The newest watermarks of the tenants in a lane.
    async fn marks(&self, lane: LaneId, tenants: &BTreeSet<TenantId>) -> Result<BTreeMap<TenantId, u64>, Setback> {
        let read = futures::stream::iter(tenants.clone()).map(|tenant| async move {
            let manifest = self.keeper.open(&tenant).await?;
            Ok::<_, StoreFault>((tenant, manifest.watermark(lane)))
        });
        let read: Vec<_> = read.buffered(TENANTS_AT_ONCE).collect().await;
        read.into_iter().collect::<Result<_, _>>().map_err(|fault| UpkeepFault::from(fault).into())
    }

    async fn absorb_plan(&self, state: &mut State, lane: LaneId, plan: &Plan) -> Result<(), Setback> {
        let parts = self.read(state, lane, plan).await?;
        let done = futures::stream::iter(parts).map(|part| self.absorb_part(lane, part));
        let done: Vec<Result<(), Setback>> = done.buffer_unordered(TENANTS_AT_ONCE).collect().await;
        // Each tenant stands for itself; a loss weighs less than a fault that somebody must see.
        let mut worst = Ok(());
        for outcome in done {
            match (&worst, outcome) {
                (_, Err(Setback::Fault(fault))) => worst = Err(Setback::Fault(fault)),
                (Ok(()), Err(Setback::Lost)) => worst = Err(Setback::Lost),
                _ => {}
            }
        }
        worst
    }

    /// Reads the objects of a plan, each once, and sorts their sections by tenant.
    async fn read(&self, state: &mut State, lane: LaneId, plan: &Plan) -> Result<Vec<Part>, Setback> {
        let wanted: BTreeSet<TenantId> = plan.from.keys().cloned().collect();
        let one = |object: Commit| {
            let wanted = wanted.clone();
            async move { self.keeper.sections(lane, &object, &wanted).await.map(|found| (object.number, found)) }
        };
        let read: Vec<_> = futures::stream::iter(plan.objects.clone()).map(one).buffered(TENANTS_AT_ONCE).collect().await;
        let mut parts: BTreeMap<TenantId, Part> = plan
            .from
            .iter()
            .map(|(tenant, from)| (tenant.clone(), Part { tenant: tenant.clone(), from: *from, to: plan.to, sections: Vec::new(), aside: Vec::new() }))
            .collect();
        for found in read {
            let (number, sections) = found.map_err(UpkeepFault::from)?;
            for stored in sections {
                take(state, &mut parts, lane, number, stored);
            }
        }
        Ok(parts.into_values().collect())
    }

    async fn absorb_part(&self, lane: LaneId, part: Part) -> Result<(), Setback> {
        let began = self.moment();
        let Part { tenant, from, to, sections, mut aside } = part;
        let known = match self.keeper.known(&tenant) {
            Some(known) => known,
            None => self.keeper.open(&tenant).await.map_err(UpkeepFault::from)?,
        };
        let strikes = rewrite::strikes(&known, lane)?;
        let open = known.open_deletes();
        let built = self.world.workers.run(move || build::build(&sections, &strikes, began.0)).await.map_err(UpkeepFault::from)?;
        let Output { segments: built, aside: unsound, lines, raw_bytes, struck } = built;
        aside.extend(unsound);
        // Before the watermark passes them: a loss is recorded twice rather than never, and told apart by its source.
        self.set_aside(lane, &tenant, &aside).await?;
        let mut segments = Vec::with_capacity(built.len());
        for one in &built {
            segments.push(self.keeper.put_segment(&tenant, one).await.map_err(UpkeepFault::from)?);
        }
        // What others did to the manifest meanwhile is no loss while this lane's watermark is what it was.
        let base = self.keeper.newest(&tenant).await.map_err(UpkeepFault::from)?.ok_or(Setback::Lost)?;
        if base.watermark(lane) != from || base.open_deletes() != open || !may_name(&base, &segments, self.age_since(began), self.settings.doom_age) {
            return Err(Setback::Lost);
        }
        let written = segments.len() as u64;
        let deleted: u64 = struck.values().sum();
        let deletes = Applied { open, lines: struck };
        self.keeper.commit(&base, &Change::Absorb { lane, from, to, segments, deletes }).await.map_err(Setback::of)?;
        self.metrics.deleted_lines.inc_by(deleted);
        self.metrics.absorbed_lines.inc_by(lines);
        self.metrics.absorbed_bytes.inc_by(raw_bytes);
        self.metrics.written_segments.inc_by(written);
        Ok(())
    }

    /// Keeps the bytes apart and records the losses.
    async fn set_aside(&self, lane: LaneId, tenant: &TenantId, aside: &[Aside]) -> Result<(), UpkeepFault> {
        if aside.is_empty() {
            return Ok(());
        }
        for one in aside {
            self.keeper.set_aside(tenant, lane, one.number, one.at, one.bytes.clone()).await?;
        }
        let losses: Vec<_> = aside.iter().map(|one| self.loss_of(lane, tenant, one)).collect();
        self.keeper.record_losses(lane, &losses).await?;
        self.metrics.aside.inc_by(aside.len() as u64);
        tracing::error!(%lane, count = aside.len(), "batches whose tables are not true, or sections that cannot be read, were set aside; GET /admin/v1/losses names them");
        Ok(())
    }

    fn loss_of(&self, lane: LaneId, tenant: &TenantId, aside: &Aside) -> hub_store::Loss {
        let identity = match &aside.origin {
            Some(Origin::Producer { producer, .. }) => self.keeper.identity_of(producer),
            Some(Origin::Push { .. }) => Some("push/push".to_owned()),
            None => None,
        };
        let (cluster, edge) = identity.as_deref().and_then(|identity| identity.split_once('/')).unwrap_or(("unknown", "unknown"));
        let at = aside.at.map(|at| format!("/{at}")).unwrap_or_default();
        hub_store::Loss {
            tenant: tenant.clone(),
            cluster: aside.cluster.clone().or_else(|| ClusterId::new(cluster).ok()).unwrap_or_else(unknown_cluster),
            edge: EdgeId::new(edge).unwrap_or_else(|_| unknown_edge()),
            source: format!("lanes/{lane}/log/{:020}{at}", aside.number),
            reason: aside.reason.to_owned(),
            from_ns: aside.range.0.nanos(),
            to_ns: aside.range.1.nanos(),
            lines: aside.lines,
            bytes: None,
        }
    }

    /// Absorbs all that is committed now, of one tenant or of all, whether it is due or not; then raises the floors and
    /// carries out open deletes.
    ///
    /// # Errors
    /// [`UpkeepFault`]: not all is absorbed; asking again goes on.
    pub async fn absorb_all(&self, tenant: Option<&TenantId>) -> Result<(), UpkeepFault> {
        let mut state = self.state.lock().await;
        self.store().follow_round().await?;
        let heads = self.store().view().heads();
        let mut tries = 0;
        loop {
            let mut left = 0;
            for (lane, head) in &heads {
                match self.drain(&mut state, *lane, tenant, *head).await {
                    Ok(()) => {}
                    Err(Setback::Lost) => left += 1,
                    Err(Setback::Fault(fault)) => return Err(fault),
                }
            }
            if left == 0 {
                break;
            }
            tries += 1;
            if tries >= ABSORB_ALL_TRIES {
                return Err(UpkeepFault::Outrun { waiting: left, tries });
            }
            tokio::time::sleep(ABSORB_ALL_WAIT * tries).await;
            self.store().follow_round().await?;
        }
        for lane in heads.keys() {
            self.keeper.raise_floor(*lane).await?;
        }
        self.rewrite_all(tenant).await
    }

    async fn drain(&self, state: &mut State, lane: LaneId, tenant: Option<&TenantId>, upto: u64) -> Result<(), Setback> {
        loop {
            let waiting = self.waiting(lane, upto);
            let tenants: BTreeSet<TenantId> = waiting.into_keys().filter(|waits| tenant.is_none_or(|wanted| wanted == waits)).collect();
            if tenants.is_empty() || !self.absorb_lane(state, lane, &tenants, upto).await? {
                return Ok(());
            }
        }
    }

    /// What waits in a lane, by the manifests as far as they are known here.
    pub(crate) fn waiting(&self, lane: LaneId, upto: u64) -> BTreeMap<TenantId, due::Amount> {
        let view = self.store().view();
        let known = |tenant: &TenantId| self.keeper.known(tenant).map_or(0, |manifest| manifest.watermark(lane));
        let mut waiting = view.lanes().find(|sight| sight.lane() == lane).map(|sight| due::waiting(sight, upto, known)).unwrap_or_default();
        let erased = self.store().erased();
        waiting.retain(|tenant, _| !erased.contains(tenant));
        waiting
    }
}

/// Sorts in one section. One that cannot be read stops its tenant until it was tried often enough; then it is set
/// aside.
fn take(state: &mut State, parts: &mut BTreeMap<TenantId, Part>, lane: LaneId, number: u64, stored: StoredSection) {
    let StoredSection { tenant, entry, bytes, section } = stored;
    match section {
        Ok(section) => {
            if let Some(part) = parts.get_mut(&tenant) {
                part.sections.push((number, section));
            }
        }
        Err(fault) => {
            let reads = state.damaged.entry((lane, number, tenant.clone())).or_default();
            *reads += 1;
            tracing::error!(%lane, number, %fault, reads = *reads, "a section cannot be absorbed");
            if *reads < DAMAGED_READS {
                parts.remove(&tenant);
            } else if let Some(part) = parts.get_mut(&tenant) {
                let range = (entry.min, entry.max);
                part.aside.push(Aside { number, at: None, origin: None, cluster: None, reason: "DAMAGED_SECTION", bytes, lines: Some(entry.lines), range });
            }
        }
    }
}

fn unknown_cluster() -> ClusterId {
    ClusterId::new("unknown").expect("it keeps the grammar of ids")
}

fn unknown_edge() -> EdgeId {
    EdgeId::new("unknown").expect("it keeps the grammar of ids")
}
