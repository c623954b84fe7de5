//! A tenant's manifest log as this hub sees it: found, followed, written (lane rules 5, 6, 7, 16).
//!
//! Parts: [`ManifestCell`] with [`follow`](ManifestCell::follow), [`open`](ManifestCell::open) (which begins a
//! log), [`put`](ManifestCell::put). Promises: what it knows was followed from an object that was seen to stand
//! afterwards, or was written by this hub onto one that was; a number that may have been written by a sleeper
//! never counts; number 0 counts only under its registered commit id. Must not do: decide what to write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto_model::TenantId;

use super::{Change, Manifest, Stamp, codec};
use crate::fault::{PutFault, StoreFault};
use crate::header::CommitId;
use crate::keys::{Key, number_of};
use crate::lane::Shore;
use crate::limits::{CREATE_ROUNDS, MANIFESTS_AT_ONCE, RESTART_WAIT, RESTARTS_MAX};
use crate::numbered::{End, Lot, create_control, lot, read_control};
use crate::object::{Create, Size};

/// One tenant's log.
#[derive(Debug)]
pub(crate) struct ManifestCell {
    tenant: TenantId,
    now: Mutex<Now>,
    /// Held while the log is read: whoever asks meanwhile shares the next reading.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Now {
    newest: Option<Arc<Manifest>>,
    /// The commit id of number 0.
    registered: Option<CommitId>,
    /// Readings begun, and the last of them that succeeded.
    begun: u64,
    done: u64,
    /// What the newest names was not found: read on before it is used again.
    stale: bool,
    /// For the order of use.
    used: u64,
}

/// Where a reading starts from.
enum Start {
    /// The tenant has no log.
    Never,
    /// Here, if the second look holds.
    From(Arc<Manifest>),
    /// What was listed is no place to start from.
    Again,
}

impl ManifestCell {
    pub(crate) fn new(tenant: TenantId) -> Self {
        Self { tenant, now: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest one known, unless it must be read on from first.
    pub(crate) fn known(&self) -> Option<Arc<Manifest>> {
        let now = self.now();
        now.newest.clone().filter(|_| !now.stale)
    }

    /// What it takes in memory, and when it was last used.
    pub(crate) fn cost(&self) -> (usize, u64) {
        let now = self.now();
        (now.newest.as_ref().map_or(0, |newest| newest.memory_bytes()), now.used)
    }

    pub(crate) fn touch(&self, at: u64) {
        self.now().used = at;
    }

    /// As one who read so far and no further.
    #[cfg(test)]
    pub(crate) fn know(&self, newest: Arc<Manifest>) {
        self.now().newest = Some(newest);
    }

    /// Something that the newest names is not there.
    pub(crate) fn doubt(&self) {
        self.now().stale = true;
    }

    /// Reads to the newest number; `None` when the tenant never had one.
    ///
    /// # Errors
    /// The store's fault, [`StoreFault::Damaged`], or [`StoreFault::ManifestUnreadable`].
    pub(crate) async fn follow(&self, shore: &Shore) -> Result<Option<Arc<Manifest>>, StoreFault> {
        let begun = self.now().begun;
        let _turn = self.turn.lock().await;
        {
            let mut now = self.now();
            // A reading that began after this was asked for has ended meanwhile.
            if now.done > begun && now.newest.is_some() && !now.stale {
                return Ok(now.newest.clone());
            }
            now.begun += 1;
        }
        for attempt in 0..RESTARTS_MAX {
            if attempt > 0 {
                // What was listed may lag behind what stands.
                tokio::time::sleep(RESTART_WAIT * attempt).await;
            }
            let known = self.now().newest.clone();
            let base = match known {
                Some(known) => known,
                None => match self.start(shore).await? {
                    Start::Never => return Ok(None),
                    Start::From(base) => base,
                    Start::Again => continue,
                },
            };
            match self.follow_from(shore, Arc::clone(&base)).await? {
                Some(newest) => return Ok(Some(self.read_to(newest))),
                None => self.lose(&base),
            }
        }
        Err(StoreFault::ManifestUnreadable {
            key: Key::manifests(&self.tenant).to_string(),
            reason: "the number that its state is built on is gone each time it is read".to_owned(),
        })
    }

    fn read_to(&self, newest: Arc<Manifest>) -> Arc<Manifest> {
        let mut now = self.now();
        now.done = now.begun;
        now.stale = false;
        Self::keep(&mut now, newest)
    }

    /// The newer of what is known and what was found.
    fn keep(now: &mut Now, found: Arc<Manifest>) -> Arc<Manifest> {
        match &now.newest {
            Some(known) if known.number >= found.number => Arc::clone(known),
            Some(_) | None => {
                now.newest = Some(Arc::clone(&found));
                found
            }
        }
    }

    fn lose(&self, base: &Manifest) {
        let mut now = self.now();
        if now.newest.as_ref().is_some_and(|known| known.number == base.number && known.commit == base.commit) {
            tracing::warn!("a manifest log moved on while this hub slept: its state is read anew");
            now.newest = None;
        }
    }

    /// A number to follow from, by a listing (rule 16): it counts only if the one before it stands with the
    /// commit id that it names.
    async fn start(&self, shore: &Shore) -> Result<Start, StoreFault> {
        let Some(registered) = self.registered(shore).await? else { return Ok(Start::Never) };
        let names = shore.objects.list(&Key::manifests(&self.tenant)).await?;
        let listed = names.iter().rev().find_map(|name| number_of(name)).unwrap_or(0);
        if listed == 0 {
            return Ok(Start::From(Arc::new(Manifest::genesis(self.tenant.clone(), registered))));
        }
        let Some(newest) = read(shore, &self.tenant, listed).await? else { return Ok(Start::Again) };
        if !self.stands(shore, listed - 1, newest.previous, registered).await? {
            return Ok(Start::Again);
        }
        Ok(Start::From(Arc::new(newest)))
    }

    /// Whether `number` bears `commit`; number 0 under its registered id only.
    async fn stands(&self, shore: &Shore, number: u64, commit: CommitId, registered: CommitId) -> Result<bool, StoreFault> {
        if number == 0 && commit != registered {
            return Ok(false);
        }
        look(shore, &self.tenant, number, commit).await
    }

    async fn registered(&self, shore: &Shore) -> Result<Option<CommitId>, StoreFault> {
        let known = self.now().registered;
        if known.is_some() {
            return Ok(known);
        }
        let key = Key::manifest_registration(&self.tenant);
        let Some(entry) = read_control(&shore.objects, &shore.keys, &key).await? else { return Ok(None) };
        let genesis = codec::registered(&self.tenant, &entry)?;
        self.now().registered = Some(genesis);
        Ok(Some(genesis))
    }

    /// The newest number after `base`; `None` when `base` is gone or another: start anew.
    async fn follow_from(&self, shore: &Shore, mut base: Arc<Manifest>) -> Result<Option<Arc<Manifest>>, StoreFault> {
        let mut count = 1;
        loop {
            let tenant = &self.tenant;
            let Lot { found, end } = lot(base.number + 1, count, |number| async move { read(shore, tenant, number).await }).await;
            // The second look comes before anything is judged: a sleeper's garbage is "start anew".
            if !look(shore, tenant, base.number, base.commit).await? {
                return Ok(None);
            }
            for next in found {
                if next.previous != base.commit {
                    let reason = format!("it names {} as the commit before it, which is {}", next.previous, base.commit);
                    return Err(StoreFault::Damaged { key: Key::manifest(tenant, next.number).to_string(), reason });
                }
                base = Arc::new(next);
            }
            match end {
                End::Absent => return Ok(Some(base)),
                End::Asked => count = MANIFESTS_AT_ONCE,
                End::Fault(fault) => return Err(fault),
            }
        }
    }

    /// As [`Self::follow`], and begins a log where there is none (genesis, then its registration).
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub(crate) async fn open(&self, shore: &Shore) -> Result<Arc<Manifest>, StoreFault> {
        let mut last = None;
        for _ in 0..CREATE_ROUNDS {
            if let Some(newest) = self.follow(shore).await? {
                return Ok(newest);
            }
            match self.begin(shore).await {
                Ok(()) => {}
                Err(fault) if fault.is_transient() => last = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        let key = Key::manifest_registration(&self.tenant).to_string();
        Err(last.unwrap_or(StoreFault::Unreachable { action: "create", key, reason: "it never stood".to_owned() }))
    }

    /// Number 0, if it is absent; then the registration of whatever stands there. Whatever the answers, the
    /// registration that stands is what counts.
    async fn begin(&self, shore: &Shore) -> Result<(), StoreFault> {
        let mut genesis = Manifest::genesis(self.tenant.clone(), CommitId(shore.objects.entropy().next_u128().to_be_bytes()));
        genesis.written = shore.objects.moment().wall;
        let body = codec::encode(&genesis, &shore.keys)?;
        let made = shore.objects.create(&Key::manifest(&self.tenant, 0), vec![body]).await;
        let commit = match made {
            Ok(Create::Created) => genesis.commit,
            Ok(Create::Exists) | Err(_) => match read(shore, &self.tenant, 0).await? {
                Some(stands) => stands.commit,
                None => return made.map(drop),
            },
        };
        let entry = codec::registration(&self.tenant, commit, genesis.written);
        create_control(&shore.objects, &shore.keys, &Key::manifest_registration(&self.tenant), &entry).await.map(drop)
    }

    /// Writes `change` onto `base` as the next number.
    ///
    /// # Errors
    /// [`PutFault::NotWritten`]: it is not known to stand, and what the change names must never be named again.
    /// [`PutFault::Lost`]: `base` was from before a collection; the same.
    pub(crate) async fn put(&self, shore: &Shore, base: &Manifest, change: &Change, writer: &str) -> Result<Arc<Manifest>, PutFault> {
        let stamp =
            Stamp { commit: CommitId(shore.objects.entropy().next_u128().to_be_bytes()), writer: writer.to_owned(), written: shore.objects.moment().wall };
        let next = base.next(change, stamp).map_err(|reason| PutFault::NotWritten(StoreFault::Draft { reason }))?;
        let body = codec::encode(&next, &shore.keys).map_err(PutFault::NotWritten)?;
        let key = Key::manifest(&self.tenant, next.number);
        match shore.objects.create(&key, vec![body]).await.map_err(PutFault::NotWritten)? {
            Create::Created => {}
            Create::Exists => return Err(PutFault::NotWritten(StoreFault::Beaten { key: key.to_string() })),
        }
        if !cfg!(planted = "manifest_rule_6") && !look(shore, &self.tenant, base.number, base.commit).await.map_err(PutFault::NotWritten)? {
            // This number was collected while we slept, and created again into the void.
            self.lose(base);
            return Err(PutFault::Lost);
        }
        let mut now = self.now();
        Ok(Self::keep(&mut now, Arc::new(next)))
    }
}

/// Manifest `number`; `None` when it is absent.
async fn read(shore: &Shore, tenant: &TenantId, number: u64) -> Result<Option<Manifest>, StoreFault> {
    let Some(bytes) = shore.objects.get(&Key::manifest(tenant, number), None, Size::Large).await? else { return Ok(None) };
    let (tenant, keys) = (tenant.clone(), shore.keys.clone());
    shore.objects.world.workers.run(move || codec::decode(&bytes, &tenant, number, &keys)).await.map(Some)
}

/// Whether `number` still bears `commit` (rules 6 and 7). One that cannot be read as what it was is looked at
/// twice before it counts as another.
async fn look(shore: &Shore, tenant: &TenantId, number: u64, commit: CommitId) -> Result<bool, StoreFault> {
    let mut first = true;
    loop {
        match read(shore, tenant, number).await {
            Ok(found) => return Ok(found.is_some_and(|found| found.commit == commit)),
            Err(StoreFault::Damaged { .. } | StoreFault::Version { .. }) if first => first = false,
            Err(StoreFault::Damaged { .. } | StoreFault::Version { .. }) => return Ok(false),
            Err(fault) => return Err(fault),
        }
    }
}
