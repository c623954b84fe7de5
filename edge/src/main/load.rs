//! Settings from the disk and the process: the file, its variables, this host's name.

use std::io::Write;
use std::path::{Path, PathBuf};

use edge::flags::Flags;
use edge::settings::Purpose;
use edge::settings::load::{Loaded, Written, load};
use edge_pipeline::Inspector;
use proto_boot::{Mistake, settings};
use proto_seam::Disk;

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
            overrides.push(("target_config.stdin".to_owned(), "true".to_owned()));
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
        let text = settings::read_text(disk, &file).map_err(|mistake| vec![mistake])?;
        let variables = settings::process_environment();
        let host = host(disk, &variables);
        let variables = self.expand_env.then_some(variables.as_slice());
        let loaded =
            load(&Written { file: &name, text: &text, variables, overrides: &self.overrides, host: &host, disk, inspector: self.inspector.as_ref() }, purpose)?;
        Ok((name, loaded))
    }
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
