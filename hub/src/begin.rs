//! What a hub reads of its store before it serves.
//!
//! Parts: [`begin_patiently`], once for the program; [`open_store`], for its commands as well. Promises: a store that does not
//! answer is asked again for [`PATIENCE`]: it may be starting too. Any other fault ends the start at once. Must not do: write, but
//! for the proof that the store can be used, and the tenants of its own file where they are newer.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hub_ingest::request::Speaker;
use hub_store::{Store, StoreFault, StoreKeys, StoreSettings, open_objects};
use hub_tenant::IssuedTokens;
use proto_seam::World;
use tokio::time::Instant;

use crate::settings::{Checked, HubSettings};
use crate::tenant_map::TenantMap;
use crate::{HubFault, tokens};

/// How long a store may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(500);

/// What stood in the store when the hub began.
pub(crate) struct Begun {
    pub(crate) store: Arc<Store>,
    pub(crate) map: TenantMap,
    pub(crate) issued: IssuedTokens,
    pub(crate) revoked: BTreeSet<Speaker>,
}

/// Opens the store and reads what the hub needs of it.
///
/// # Errors
/// [`HubFault`]: of the settings or the tenants at once; of a store that does not answer, after a while.
pub(crate) async fn begin_patiently(settings: &HubSettings, checked: &Checked, world: &World) -> Result<Begun, HubFault> {
    let (how, until) = (store_settings(settings, world)?, Instant::now() + PATIENCE);
    loop {
        match begin(how.clone(), settings, checked, world).await {
            Err(HubFault::Store(fault @ StoreFault::Unreachable { .. })) if Instant::now() < until => {
                tracing::warn!(%fault, "the hub waits for its store");
                tokio::time::sleep(PAUSE).await;
            }
            begun => return begun,
        }
    }
}

async fn begin(how: StoreSettings, settings: &HubSettings, checked: &Checked, world: &World) -> Result<Begun, HubFault> {
    let store = Store::open(how, world.clone()).await?;
    let map = TenantMap::start(settings.tenants.file.value.clone(), checked.limits.clone(), Arc::clone(&store), world.clone()).await?;
    let issued = tokens::read(&store).await?;
    let clusters = tokens::clusters(&map.subscribe().borrow());
    let revoked = tokens::revoked(&store, &clusters).await?;
    Ok(Begun { store, map, issued, revoked })
}

/// Opens the store that the settings name.
///
/// # Errors
/// [`StoreFault`]: settings, no access, or a store without conditional create.
pub async fn open_store(settings: &HubSettings, world: &World) -> Result<Arc<Store>, StoreFault> {
    Store::open(store_settings(settings, world)?, world.clone()).await
}

fn store_settings(settings: &HubSettings, world: &World) -> Result<StoreSettings, StoreFault> {
    let (objects, prefix) = open_objects(&settings.store.value, &settings.s3, world)?;
    let keys = match settings.store_key_file.as_ref().filter(|file| !file.as_os_str().is_empty()) {
        None => {
            tracing::warn!("no store_key_file: what is stored carries checksums, no signatures");
            StoreKeys::default()
        }
        Some(file) => read_keys(file, world)?,
    };
    let mut store = StoreSettings::new(objects, prefix);
    store.keys = keys;
    store.cache_bytes = settings.cache.memory.as_usize();
    store.lane_object_max = settings.lane.object_max.value.as_usize();
    store.writer = name_of(settings, world);
    Ok(store)
}

/// What the hub is called where it writes: the name it was given, else the host's and the link's port. A port that is chosen at
/// start tells hubs of one host apart by chance only.
fn name_of(settings: &HubSettings, world: &World) -> String {
    if let Some(name) = &settings.name {
        return name.value.clone();
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match settings.link.listen.value.parse::<SocketAddr>().map_or(0, |address| address.port()) {
        0 => format!("{host}:{:08x}", world.entropy.below(1 << 32)),
        port => format!("{host}:{port}"),
    }
}

fn read_keys(file: &std::path::Path, world: &World) -> Result<StoreKeys, StoreFault> {
    let unreadable = |reason: String| StoreFault::Settings { what: "store_key_file", reason, fix: "give a readable file of lines `<id> <64 hex>`" };
    let bytes = world.disk.read_all(file, 64 * 1024).map_err(|fault| unreadable(fault.to_string()))?;
    StoreKeys::parse(&String::from_utf8(bytes).map_err(|_| unreadable("it is not utf-8".to_owned()))?)
}
