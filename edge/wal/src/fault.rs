//! What can go wrong with the WAL, who is to blame and what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto_model::{Blame, Remedy, TrackId, WalId};

/// A fault of the WAL or of its directory.
#[derive(Debug, thiserror::Error)]
pub enum WalFault {
    /// Another process writes this WAL.
    #[error("{} is locked by another process: give each edge a wal.dir of its own, or stop the other one", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file made by a newer program; nothing was touched.
    #[error("{} has WAL format version {found}, this program knows {known}: start the newer program, or let it drain the WAL first", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// The newest version known here.
        known: u16,
    },
    /// Files of two WALs in one directory; nothing was touched.
    #[error("{} belongs to WAL {found}, the rest of the directory to WAL {expected}: move it to a directory of its own and run an edge there until it is drained", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The id of the other files.
        expected: WalId,
        /// Its own id.
        found: WalId,
    },
    /// A file with a WAL's name that is none; nothing was touched.
    #[error("{} has the name of a WAL file but is none: move it out of wal.dir", path.display())]
    NotWal {
        /// The file.
        path: PathBuf,
    },
    /// The file is authenticated with a key that this program was not given; nothing was touched.
    #[error("{} is authenticated with key {key}, which this program does not have", path.display())]
    Keyed {
        /// The file.
        path: PathBuf,
        /// The key's id.
        key: u32,
    },
    /// The directory cannot be made or written.
    #[error("wal.dir {} cannot be used: {reason}: make it, give it to the user of the edge, or set another", path.display())]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// The operating system's word.
        reason: io::Error,
    },
    /// The filesystem has no space left; what is in the WAL can still be read and shipped.
    #[error("the disk of {} is full: make room, appending goes on by itself then", path.display())]
    DiskFull {
        /// The WAL's directory.
        path: PathBuf,
    },
    /// `wal.max_bytes` is reached.
    #[error("the WAL holds {bytes} of its {max} bytes: it waits for the hub, or raise wal.max_bytes")]
    Full {
        /// Bytes in use.
        bytes: u64,
        /// The setting.
        max: u64,
    },
    /// The disk failed otherwise.
    #[error("{what} {} failed: {reason}: check the disk", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The operating system's word.
        reason: io::Error,
    },
    /// The caller's record passes a limit of the format.
    #[error("{what} is {found}, more than the {limit} a WAL record takes")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// What was found.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// No such track, or it is closed.
    #[error("track {} of the WAL is not open", track.0)]
    NoTrack {
        /// The track asked for.
        track: TrackId,
    },
}

impl WalFault {
    /// The edge's side, always: its disk, its settings or its code.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        Blame::Edge
    }

    /// What the caller should do.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Locked { .. } | Self::Newer { .. } | Self::Foreign { .. } | Self::NotWal { .. } | Self::Keyed { .. } => Remedy::Stop,
            Self::Unwritable { .. } | Self::TooLarge { .. } | Self::NoTrack { .. } => Remedy::Fix,
            Self::DiskFull { .. } | Self::Full { .. } | Self::Io { .. } => Remedy::RetryAfter(Duration::from_secs(1)),
        }
    }

    /// Whether the WAL was refused so as not to overwrite it, or is locked (exit code 3 of the programs).
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self.remedy(), Remedy::Stop)
    }

    /// An I/O error on `path`, told apart by whether the disk is merely full.
    pub(crate) fn io(what: &'static str, path: &Path, reason: io::Error) -> Self {
        if is_full(&reason) { Self::DiskFull { path: path.to_path_buf() } } else { Self::Io { what, path: path.to_path_buf(), reason } }
    }
}

/// Whether the disk (or the user's share of it) is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
