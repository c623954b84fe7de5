//! How a job's files are read, as its settings say.
//!
//! Must not do: read.

use std::time::Duration;

use super::content::Packing;
use super::text::Text;

/// How the files of one job are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Promtail's `encoding`.
    pub text: Text,
    /// Promtail's `decompression`; `None` = packed files are not read.
    pub archives: Option<Archives>,
}

/// Files that are named packed and are unpacked: each once, from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archives {
    /// From being found to being read: it may not be written yet.
    pub initial_delay: Duration,
    /// How they are packed; `None` = as the ending of each name says.
    pub packing: Option<Packing>,
}
