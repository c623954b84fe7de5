//! Why the demo ends without an answer, and with which exit code.

use std::path::{Path, PathBuf};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoFault {
    /// An argument that cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The folder belongs to someone else.
    #[error("{} {why}; choose another folder with --data", .dir.display())]
    Refused {
        /// The folder.
        dir: PathBuf,
        /// Why it is left alone.
        why: &'static str,
    },
    /// A file cannot be used.
    #[error("cannot {action} {}: {reason}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: std::io::Error,
    },
    /// A program failed.
    #[error("{0}")]
    Program(String),
}

impl DemoFault {
    /// 1 failed at work, 2 usage, 3 refused so as not to overwrite.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Refused { .. } => 3,
            Self::File { .. } | Self::Program(_) => 1,
        }
    }

    /// For `map_err` of file operations.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |reason| Self::File { action, path, reason }
    }
}
