//! Walks chains of producers through lanes read fresh, and brings their ends into this hub's lane.
//!
//! Parts: [`Mover::run`], one task; many walks go on together, so that a thousand edges that come over from another
//! hub cost a few objects in its lane. What each step means is decided by [`crate::moves`]. Promises: an opening is
//! handed back to the sealer, or answered, once; a lane that cannot be read refuses those alone that need it.
//! Must not do: open anything in the own lane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::join_all;
use hub_store::{Draft, Fold, ProducerState, Store, StoreFault};
use proto_model::{Chain, Epoch, LaneId, ProducerId, Sequence, TrackId};
use proto_seam::World;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::limits::{LOOKS_AT_ONCE, WALKS_AT_ONCE, WALKS_MAX};
use crate::moves::{Asker, Beginning, Once, Other, Step, Target, Walk, merged, others_of};
use crate::request::{CarryOver, Open, Refusal, Reply, Request};

/// The task that walks.
pub struct Mover {
    pub(crate) store: Arc<Store>,
    pub(crate) asked: mpsc::Receiver<Open>,
    pub(crate) back: mpsc::Sender<Request>,
    pub(crate) world: World,
    pub(crate) stop: CancellationToken,
}

/// One opening on its way.
struct Walking {
    open: Open,
    walk: Walk,
    /// The producers of its identity that are to end in the same one; empty unless the edge's WAL is new, or was set back.
    others: Vec<(ProducerId, ProducerState)>,
    /// All producers of its identity, if there are others.
    known: BTreeSet<ProducerId>,
}

/// An opening whose walk is to be begun by what the store knows of its identity.
struct Anew {
    open: Open,
    asker: Asker,
    carry: Option<CarryOver>,
}

/// What was found of an identity.
struct Look {
    /// `None`: a new producer is to be minted.
    walk: Option<Walk>,
    /// As in [`Walking`].
    others: Vec<(ProducerId, ProducerState)>,
    /// The oldest later track of the WAL that is open.
    later: Option<TrackId>,
}

/// Lanes as read in one round.
type Folds = BTreeMap<LaneId, Result<Arc<Fold>, StoreFault>>;

impl Mover {
    /// Walks until told to stop; then what waits is refused as unavailable, what is on its way is let go with its sessions.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        let mut opens = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                found = self.asked.recv_many(&mut opens, WALKS_AT_ONCE) => if found == 0 { break },
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.walk(std::mem::take(&mut opens)) => {}
            }
        }
        self.asked.close();
        while let Ok(open) = self.asked.try_recv() {
            refuse(&open, unavailable("this hub is shutting down"));
        }
    }

    async fn walk(&self, opens: Vec<Open>) {
        let Some(own) = self.store.own_lane() else {
            opens.iter().for_each(|open| refuse(open, unavailable("this hub has no lane yet")));
            return;
        };
        let (mut walking, mut anew) = (Vec::new(), Vec::new());
        for mut open in opens {
            open.walks += 1;
            open.target = None;
            let asker = Asker::of(&open);
            match open.producer {
                _ if open.walks > WALKS_MAX => refuse(&open, unavailable("other hubs were faster each time")),
                Some(producer) => walking.push(Walking { open, walk: Walk::at_producer(asker, producer, None), others: Vec::new(), known: BTreeSet::new() }),
                None => anew.push(Anew { open, asker, carry: None }),
            }
        }
        while !walking.is_empty() || !anew.is_empty() {
            self.begin(std::mem::take(&mut anew), own, &mut walking).await;
            self.round(&mut walking, &mut anew, own).await;
        }
    }

    fn fresh(&self, own: LaneId) -> ProducerId {
        ProducerId { lane: own, unique: self.world.entropy.next_u128() }
    }

    /// Looks up the identities of edges without producer, so that their walks can begin.
    async fn begin(&self, anew: Vec<Anew>, own: LaneId, walking: &mut Vec<Walking>) {
        let looks = anew.into_iter().map(|anew| async move {
            let found = self.look(&anew, own).await;
            (anew, found)
        });
        let mut looks = futures::stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE);
        while let Some((Anew { open, carry, .. }, found)) = looks.next().await {
            match found {
                Ok(Look { walk: Some(walk), others, .. }) => walking.push(Walking { open, walk, known: ids_of(&others), others }),
                Ok(Look { walk: None, later, .. }) => {
                    let target = Target { producer: self.fresh(own), beginning: Beginning::default(), carry, nonce: None, later };
                    self.hand_back(open, target).await;
                }
                Err(fault) => refuse(&open, unavailable(&fault.to_string())),
            }
        }
    }

    async fn look(&self, anew: &Anew, own: LaneId) -> Result<Look, StoreFault> {
        let Anew { asker, carry, .. } = anew;
        let all = self.store.producers_of(&asker.speaker.to_string()).await?;
        // One that brings a carry-over gets a numbering beside the chain of its identity.
        let first = if asker.is_first_track() && carry.is_none() {
            Some(self.store.first_producer(&asker.speaker.cluster, &asker.speaker.edge, own).await?).filter(|_| !cfg!(planted = "sequence_reset_on_wal_loss"))
        } else {
            None
        };
        let ends_others = Walk::ends_others(asker, &all);
        let walk = Walk::begin(asker.clone(), first, &all).map(|walk| walk.carrying(carry.clone()));
        let later = asker.later(&all, &ids_of(&all));
        Ok(Look { walk, others: if ends_others { all } else { Vec::new() }, later })
    }

    /// One step of each walk; those that are not over are left in `walking`, those that begin anew in `anew`.
    async fn round(&self, walking: &mut Vec<Walking>, anew: &mut Vec<Anew>, own: LaneId) {
        let folds = self.write(walking, own).await;
        for mut going in std::mem::take(walking) {
            let fresh = self.fresh(own);
            let step = match folds.get(&going.walk.at().lane) {
                Some(Ok(fold)) => going.walk.steps(fold, own, fresh),
                // A lane that was never registered, or not yet again after the bucket was rolled back.
                Some(Err(StoreFault::NoLane { .. })) => match going.walk.next_step(None, own, fresh) {
                    Step::Unknown => Step::Unknown,
                    Step::Follow | Step::Close(_) | Step::Mint(_) | Step::OpenHere(_) | Step::Ended { .. } | Step::Denied(_) => {
                        Step::Denied(unavailable("the lane of its producer is not registered"))
                    }
                },
                Some(Err(fault)) => Step::Denied(unavailable(&fault.to_string())),
                None => Step::Follow,
            };
            match step {
                Step::Follow | Step::Close(_) => walking.push(going),
                Step::Unknown => {
                    let asker = Asker { producer: None, is_unknown: true, ..going.walk.asker().clone() };
                    anew.push(Anew { open: going.open, asker, carry: None });
                }
                Step::Mint(carry) => anew.push(Anew { asker: going.walk.asker().clone(), open: going.open, carry: Some(carry) }),
                Step::OpenHere(target) => self.arrive(going, *target, own).await,
                Step::Ended { epoch, end, next } => ended(&going.open, epoch, end, next),
                Step::Denied(why) => refuse(&going.open, why),
            }
        }
    }

    /// Reads the lanes in which the walks stand, and writes what they have to say there: one object a lane.
    async fn write(&self, walking: &[Walking], own: LaneId) -> Folds {
        let mut lanes: BTreeMap<LaneId, Vec<Walk>> = BTreeMap::new();
        for going in walking {
            lanes.entry(going.walk.at().lane).or_default().push(going.walk.clone());
        }
        let written = lanes.into_iter().map(|(lane, walks)| async move {
            let judge = |fold: &Fold| {
                let (mut once, mut records) = (Once::default(), Vec::new());
                for walk in &walks {
                    if let Step::Close(more) = walk.clone().steps(fold, own, self.fresh(own))
                        && once.first(&more)
                    {
                        records.extend(more);
                    }
                }
                Ok((!records.is_empty()).then(|| Draft { records, ..Draft::default() }))
            };
            (lane, self.store.amend(lane, judge).await)
        });
        join_all(written).await.into_iter().collect()
    }

    /// The walk is over: ends the others of its identity, if its WAL is new or was set back to before they began, and hands the opening back.
    async fn arrive(&self, mut going: Walking, mut target: Target, own: LaneId) {
        if target.carry.as_ref().is_some_and(|carry| carry.ended) {
            let asker = going.walk.asker();
            match self.store.producers_of(&asker.speaker.to_string()).await {
                Ok(all) => (going.known, going.others) = (ids_of(&all), all.into_iter().filter(|(_, state)| !asker.may_hold(state)).collect()),
                Err(fault) => return refuse(&going.open, unavailable(&fault.to_string())),
            }
        }
        if going.others.is_empty() && !going.open.followed {
            match self.later(&going.walk).await {
                Ok(Ok(later)) => target.later = later,
                Ok(Err(why)) => return refuse(&going.open, why),
                Err(fault) => return refuse(&going.open, unavailable(&fault.to_string())),
            }
        }
        if !going.others.is_empty() {
            if let Some(why) = unconfirmed(&going, &target) {
                return refuse(&going.open, why);
            }
            match self.end_others(&going, &target, own).await {
                Ok(Some(positions)) => target.beginning.positions = positions,
                Ok(None) => return refuse(&going.open, unavailable("the producers of this edge are being moved")),
                Err(fault) => return refuse(&going.open, unavailable(&fault.to_string())),
            }
        }
        self.hand_back(going.open, target).await;
    }

    /// The oldest track after the newest of the asker's WAL that is open: that WAL was set back. One of the name that the edge had before is none that it
    /// could go on with.
    async fn later(&self, walk: &Walk) -> Result<Result<Option<TrackId>, Refusal>, StoreFault> {
        let (asker, identity) = (walk.asker(), walk.asker().speaker.to_string());
        let takes_over = walk.takes_over();
        let all = self.store.producers_where(|state| state.identity == identity || (takes_over && asker.is_neighbour(state))).await?;
        let known = ids_of(&all);
        let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, state)| state.identity == identity);
        if asker.later(&others, &known).is_some() {
            let why =
                "its WAL was put back to before a later track began, and goes by another name since: remove the WAL folder, or retire that track's producer";
            return Ok(Err(Refusal::Diverged(why.to_owned())));
        }
        Ok(Ok(asker.later(&own, &known)))
    }

    /// Closes all other open producers of the identity into the target; the positions of all together. `None`: one of
    /// them went on elsewhere meanwhile.
    async fn end_others(&self, going: &Walking, target: &Target, own: LaneId) -> Result<Option<Vec<proto_wire::edge_hub::Position>>, StoreFault> {
        let end = target.producer;
        let mut lanes: BTreeMap<LaneId, Vec<Other>> = BTreeMap::new();
        for other in apart(going, target) {
            lanes.entry(other.producer.lane).or_default().push(other);
        }
        let mut positions = target.beginning.positions.clone();
        let mut open: Vec<ProducerState> = Vec::new();
        for (lane, others) in lanes {
            let judge = |fold: &Fold| {
                let records: Vec<_> = others.iter().flat_map(|other| other.close(fold.producer(&other.producer), end)).collect();
                Ok((!records.is_empty()).then(|| Draft { records, ..Draft::default() }))
            };
            let fold = self.store.amend(lane, judge).await?;
            for state in others.iter().filter_map(|other| fold.producer(&other.producer)) {
                match state.closed {
                    Some(next) if next == end => open.push(state.clone()),
                    Some(_) => return Ok(None),
                    // Quarantined meanwhile.
                    None => {}
                }
            }
        }
        let stands = self.store.fold_of(own).await?;
        open.extend(stands.producer(&end).cloned());
        positions.extend(open.iter().flat_map(|state| state.positions.values().cloned()));
        // A try that was not finished may have ended some of them.
        let tracks = || open.iter().chain(going.others.iter().map(|(_, state)| state).filter(|state| state.closed.is_none_or(|next| next == end)));
        let oldest = tracks().map(|state| state.track).min().filter(|oldest| tracks().any(|state| state.track > *oldest));
        let begun: BTreeSet<_> = tracks().filter(|state| Some(state.track) == oldest).flat_map(|state| state.positions.keys().cloned()).collect();
        let into_this = |next: ProducerId| next == end || going.walk.passed(&next);
        // Those that the walk passed among them: a track that was drained ended in one that had begun before, without what it knew.
        let ended = going.others.iter().filter(|(id, state)| *id != end && state.closed.is_some_and(into_this)).flat_map(|(_, state)| state.positions.values());
        Ok(Some(merged(&positions, ended, oldest.map(|_| &begun))))
    }

    async fn hand_back(&self, mut open: Open, target: Target) {
        open.target = Some(Box::new(target));
        // A sealer that is gone has been told to stop, and so were the sessions.
        drop(self.back.send(Request::Open(open)).await);
    }
}

fn ids_of(all: &[(ProducerId, ProducerState)]) -> BTreeSet<ProducerId> {
    all.iter().map(|(id, _)| *id).collect()
}

/// What is to end in the target.
fn apart<'g>(going: &'g Walking, target: &Target) -> Vec<Other<'g>> {
    others_of(&going.others, &going.known, |id| *id != target.producer && !going.walk.passed(id))
}

/// Why nothing is to end yet: an opening may have lain in this hub while its process died, and what stands now be of the one after it. A process that asks
/// again once these were known lives, and so is not the older one.
fn unconfirmed(going: &Walking, target: &Target) -> Option<Refusal> {
    let others: BTreeSet<_> = apart(going, target).into_iter().map(|other| other.producer).collect();
    let confirmed = cfg!(planted = "late_opening_ends_others") || others.is_subset(&going.open.confirmed);
    (!confirmed).then_some(Refusal::Unconfirmed { track: going.open.track, others })
}

fn unavailable(text: &str) -> Refusal {
    Refusal::Unavailable(text.to_owned())
}

fn tell(open: &Open, reply: Reply) {
    // A session that does not read its answers is slow or gone; it asks again after it reconnects.
    drop(open.reply.try_send(reply));
}

fn refuse(open: &Open, why: Refusal) {
    tell(open, Reply::Refused { producer: open.producer, sequence: Sequence(0), why });
}

/// The track's end stands already: the edge is told so in the words of a Close.
fn ended(open: &Open, epoch: Epoch, (sequence, chain): (Sequence, Chain), next: ProducerId) {
    let Some(producer) = open.producer else { return };
    tell(open, Reply::Closed { producer, epoch, sequence, chain, next });
}
