//! What a command is given: the world, the settings file, settings beside it; and the store they name.

use std::path::PathBuf;
use std::sync::Arc;

use hub::settings::{Checked, HubSettings};
use hub::tenant_map;
use hub_store::Store;
use hub_tenant::Tenants;
use proto_boot::settings;
use proto_seam::World;

use crate::arguments::SettingsFile;
use crate::{failed, refuse};

/// What a command is given.
pub(crate) struct Given {
    pub(crate) world: World,
    pub(crate) file: PathBuf,
    overrides: Vec<(String, String)>,
}

impl Given {
    /// In the real world.
    pub(crate) fn new(file: SettingsFile, overrides: Vec<(String, String)>) -> Self {
        Self { world: World::real(), file: file.config, overrides }
    }

    /// The settings; the exit code after their mistakes were told.
    pub(crate) fn load(&self) -> Result<(HubSettings, Checked), u8> {
        let parsed: HubSettings =
            settings::load(self.world.disk.as_ref(), &self.file, "TRIBUTARY_HUB", &self.overrides).map_err(|mistakes| refuse(&mistakes))?;
        let checked = parsed.check(&self.file.to_string_lossy()).map_err(|mistakes| refuse(&mistakes))?;
        Ok((parsed, checked))
    }

    /// The store and the tenant map; an exit code when they cannot be had.
    pub(crate) async fn store(&self) -> Result<(Arc<Store>, Tenants), u8> {
        let (parsed, checked) = self.load()?;
        let (tenants, _) = tenant_map::read(&self.world, &parsed.tenants.file.value, &checked.limits).map_err(|mistakes| refuse(&mistakes))?;
        let store = hub::open_store(&parsed, &self.world).await.map_err(failed)?;
        Ok((store, tenants))
    }
}
