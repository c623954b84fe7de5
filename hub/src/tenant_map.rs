//! The one truth for the tenant map in file mode: read whole, checked, published, followed.
//!
//! Parts: [`read`] (the file), [`TenantMap::start`] (publishes at start; an older file than the newest
//! published version, or one that revives an erased tenant, stops the hub), [`TenantMap::watch`] (the file again and again; a bad one keeps the old
//! map and is told once; a lane in use that lacks the map in force is given it, lane rule 9). Promises: what is in
//! force is published; sessions and requests see a new map at their next look. Must not do: judge who may what (`hub_tenant` does).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hub_store::{Store, StoreFault};
use hub_tenant::Replacement;
use hub_tenant::{Limits, Tenants};
use proto_boot::{Mistake, settings};
use proto_seam::World;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long one try may take to write a version into all lanes; the next look tries again.
const SPREAD_MAX: Duration = Duration::from_secs(30);

/// Why a map cannot come into force.
#[derive(Debug, thiserror::Error)]
pub enum MapFault {
    /// The file has mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Mistakes(Vec<Mistake>),
    /// The store refuses or fails.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Reads and checks the file.
///
/// # Errors
/// All mistakes.
pub fn read(world: &World, file: &std::path::Path, limits: &Limits) -> Result<(Tenants, String), Vec<Mistake>> {
    let text = settings::read_text(world.disk.as_ref(), file).map_err(|mistake| vec![mistake])?;
    let tenants = Tenants::parse(&file.to_string_lossy(), &text)?;
    Ok((tenants.over(limits.clone()), text))
}

fn revives(version: u64) -> String {
    format!("version {version} leaves out a tenant that is erased, or gives its name again")
}

/// The map in force.
pub struct TenantMap {
    file: PathBuf,
    limits: Limits,
    store: Arc<Store>,
    world: World,
    force: watch::Sender<Arc<Tenants>>,
}

impl TenantMap {
    /// Publishes the file's map and brings it into force.
    ///
    /// # Errors
    /// [`MapFault`]: mistakes, or a newer or other map of that version is published already.
    pub async fn start(file: PathBuf, limits: Limits, store: Arc<Store>, world: World) -> Result<Self, MapFault> {
        let (tenants, text) = read(&world, &file, &limits).map_err(MapFault::Mistakes)?;
        for (tenant, ignored) in tenants.ignored() {
            tracing::warn!(%tenant, limit = ignored.name, reason = ignored.reason, "a limit has no effect");
        }
        if let Some(published) = store.tenant_maps().newest().await? {
            // One that this program cannot read was checked by whoever published it.
            let before = Tenants::parse("the published map", &String::from_utf8_lossy(&published.body));
            if before.is_ok_and(|before| before.replaced_by(&tenants) == Replacement::Revives) {
                let fix = "keep it with `state: erased`";
                return Err(MapFault::Mistakes(vec![Mistake::new(file.to_string_lossy(), (1, 1), revives(tenants.version()), fix)]));
            }
        }
        store.tenant_maps().publish(tenants.version(), text.into()).await?;
        store.erase(tenants.erased().cloned().collect());
        let (force, _) = watch::channel(Arc::new(tenants));
        Ok(Self { file, limits, store, world, force })
    }

    /// The map in force, to be followed.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Tenants>> {
        self.force.subscribe()
    }

    /// Looks at the file until told to stop.
    pub async fn watch(self, stop: CancellationToken) {
        let mut told = String::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let (world, file, limits) = (self.world.clone(), self.file.clone(), self.limits.clone());
            let found = self.world.workers.run(move || read(&world, &file, &limits)).await;
            let outcome = match found {
                Ok((tenants, text)) => self.consider(tenants, text).await,
                Err(mistakes) => Err(MapFault::Mistakes(mistakes).to_string()),
            };
            match outcome {
                Ok(()) => told.clear(),
                Err(why) if why == told => {}
                Err(why) => {
                    tracing::error!(why, "the tenant map is not taken; the one in force stays");
                    told = why;
                }
            }
            let version = self.force.borrow().version();
            if self.store.lacks_map(version) {
                self.spread(version).await;
            }
        }
    }

    /// Writes the version into every lane: once it stands there, nothing more is stored by an older one.
    async fn spread(&self, version: u64) {
        match tokio::time::timeout(SPREAD_MAX, self.store.spread_map(version)).await {
            Ok(Ok(())) => tracing::info!(version, "the tenant map stands in every lane"),
            Ok(Err(fault)) => tracing::warn!(version, %fault, "the tenant map does not stand in every lane yet"),
            Err(_) => tracing::warn!(version, waited_s = SPREAD_MAX.as_secs(), "the tenant map does not stand in every lane yet"),
        }
    }

    async fn consider(&self, tenants: Tenants, text: String) -> Result<(), String> {
        let replacement = self.force.borrow().replaced_by(&tenants);
        match replacement {
            Replacement::Same => Ok(()),
            Replacement::Older => Err(format!("version {} is older than the one in force: raise it", tenants.version())),
            Replacement::Changed => Err(format!("version {} has other content than the map in force: raise version with each edit", tenants.version())),
            Replacement::Revives => Err(revives(tenants.version())),
            Replacement::Newer => {
                let version = tenants.version();
                self.store.tenant_maps().publish(version, text.into()).await.map_err(|fault| fault.to_string())?;
                self.store.erase(tenants.erased().cloned().collect());
                self.force.send_replace(Arc::new(tenants));
                tracing::info!(version, "a new tenant map is in force");
                self.spread(version).await;
                Ok(())
            }
        }
    }
}
