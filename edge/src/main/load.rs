//! Settings from the disk and the process: the file, its variables, this host's name.

use std::io::Write;
use std::path::{Path, PathBuf};

use edge::flags::{Flags, STDIN};
use edge::settings::Purpose;
use edge::settings::load::{Loaded, Written, load};
use edge_pipeline::Inspector;
use proto_boot::{Mistake, settings};
use proto_seam::{Disk, World};

/// Where settings come from; read anew by a reload.
pub(crate) struct From {
    files: Vec<PathBuf>,
    expand_env: bool,
    overrides: Vec<(String, String)>,
    inspector: Option<Inspector>,
}

impl From {
    pub(crate) fn new(flags: &Flags) -> Self {
        let mut overrides = flags.overrides.clone();
        if flags.stdin {
            overrides.push((STDIN.to_owned(), "true".to_owned()));
        }
        if flags.files.is_empty() && !overrides.iter().any(|(key, _)| key.starts_with("server.")) {
            // Who feeds lines in by hand does not mean to serve pages on port 80.
            overrides.push(("server.disable".to_owned(), "true".to_owned()));
        }
        Self { files: flags.files.iter().map(PathBuf::from).collect(), expand_env: flags.expand_env, overrides, inspector: flags.inspect.then(inspector) }
    }

    /// The first of the files that is there.
    fn file(&self, disk: &dyn Disk) -> PathBuf {
        let there = self.files.iter().find(|file| disk.state(file).is_ok());
        there.or(self.files.first()).cloned().unwrap_or_default()
    }

    /// Reads, expands and checks. Gives the file's name too.
    ///
    /// # Errors
    /// All mistakes.
    pub(crate) fn load(&self, disk: &dyn Disk, purpose: Purpose) -> Result<(String, Loaded), Vec<Mistake>> {
        let file = self.file(disk);
        let name = file.to_string_lossy().into_owned();
        let text = if self.files.is_empty() { String::new() } else { settings::read_text(disk, &file).map_err(|mistake| vec![mistake])? };
        let variables = settings::process_environment();
        let host = host(disk, &variables);
        let variables = self.expand_env.then_some(variables.as_slice());
        let loaded =
            load(&Written { file: &name, text: &text, variables, overrides: &self.overrides, host: &host, disk, inspector: self.inspector.as_ref() }, purpose)?;
        Ok((name, loaded))
    }
}

/// Where lines of the standard input are kept until they are sent, if nobody says where: a folder for this run alone, since a WAL is
/// sent whole to clients that it does not know, and that of an edge that runs with the same file is taken.
pub(crate) fn passing_wal(loaded: &Loaded, world: &World) -> Option<PathBuf> {
    if !loaded.settings.target_config.stdin || loaded.settings.wal.dir.is_some() || loaded.settings.hub.is_some() {
        return None;
    }
    let variables = settings::process_environment();
    let told = |name: &str| variables.iter().find(|(known, value)| known == name && Path::new(value).is_absolute()).map(|(_, value)| PathBuf::from(value));
    let state = told("XDG_STATE_HOME").or_else(|| told("HOME").map(|home| home.join(".local/state")));
    let name = format!("{}-{}", std::process::id(), world.clock.now_ns());
    Some(state.unwrap_or_else(|| PathBuf::from("/var/lib")).join("tributary-edge/stdin").join(name))
}

/// Stages tell on standard error what they change.
fn inspector() -> Inspector {
    Inspector::new(|text| drop(std::io::stderr().write_all(text.as_bytes())))
}

/// This host's name: `HOSTNAME`, as in a pod, or the kernel's.
pub(crate) fn host(disk: &dyn Disk, variables: &[(String, String)]) -> String {
    let told = variables.iter().find(|(name, _)| name == "HOSTNAME").map(|(_, value)| value.clone());
    told.or_else(|| kernels_name(disk)).unwrap_or_default()
}

fn kernels_name(disk: &dyn Disk) -> Option<String> {
    let bytes = disk.read_all(Path::new("/proc/sys/kernel/hostname"), 256).ok()?;
    String::from_utf8(bytes).ok().map(|name| name.trim().to_owned())
}
