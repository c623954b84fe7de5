//! How far pulled sources were read: what the WAL knows, told to whoever reads them.
//!
//! Parts: [`Cursors`]. Filled with what the WAL recovered at the start, and kept up to date by the pullers: a cursor is put in only
//! after it is durable. A puller that ends and one that begins in its place (a reload) therefore meet at the same record.
//! Must not do: know what a cursor's bytes mean.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edge_wal::SourcePosition;

use super::streams::is_stream;

/// Durable cursors by path (`journal:<job>`, `docker:<container id>/...`); clones share them.
#[derive(Debug, Clone, Default)]
pub struct Cursors(Arc<Mutex<BTreeMap<String, SourcePosition>>>);

impl Cursors {
    /// Takes up what a WAL knew at the start; positions of files are passed over.
    pub fn recover(&self, positions: impl IntoIterator<Item = SourcePosition>) {
        let known = positions.into_iter().filter(|position| is_stream(position) && !position.gone);
        self.lock().extend(known.map(|position| (position.path.clone(), position)));
    }

    /// The cursor of a source.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<SourcePosition> {
        self.lock().get(path).cloned()
    }

    /// All whose path begins with `prefix`.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Vec<SourcePosition> {
        self.lock().range(prefix.to_owned()..).take_while(|(path, _)| path.starts_with(prefix)).map(|(_, position)| position.clone()).collect()
    }

    /// These are durable now; one that is `gone` is forgotten.
    pub fn durable(&self, positions: Vec<SourcePosition>) {
        let mut known = self.lock();
        for position in positions {
            if position.gone {
                known.remove(&position.path);
            } else {
                known.insert(position.path.clone(), position);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SourcePosition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
