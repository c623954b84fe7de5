//! Files whose target is not known yet, is gone, or gives them other labels now.
//!
//! Parts: [`Tail::relabel`] (new lines get the labels of now), [`Tail::leave_unnamed`] (a file that no target names any
//! more is closed where it was read to), [`Tail::await_target`] (a position without a target is kept while its file is
//! there). Promises: a file that is named again goes on at its position. Must not do: read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_wal::SourcePosition;
use proto_model::Timestamp;
use proto_seam::FileIdentity;

use super::siblings::Dirs;
use super::source::Source;
use super::{Missed, Tail};
use crate::discover::{Found, Owner, owner};

impl Tail {
    /// Gives sources the labels that their target has now.
    pub(super) fn relabel(&mut self, found: &BTreeMap<PathBuf, Found>) {
        for source in self.sources.values_mut() {
            let Some(now) = found.get(source.path()) else { continue };
            let was_left = source.found.job >= self.jobs_named;
            if was_left || (now.job == source.found.job && now.labels != source.found.labels) {
                source.found.job = now.job;
                source.relabel(now.labels.clone(), &Arc::clone(&self.jobs[now.job].program));
            }
        }
    }

    /// Closes what no target names any more, once it is read to its end; should it be named again, it goes on there.
    pub(super) fn leave_unnamed(&mut self, found: &BTreeMap<PathBuf, Found>, now: Timestamp) {
        let unnamed = |source: &Source| {
            let rests = !source.is_draining() && source.unread() == 0 && source.deadline().is_none();
            let was_left = source.found.job >= self.jobs_named;
            rests && !found.contains_key(source.path()) && (was_left || owner(&self.jobs, source.path()) == Owner::Open)
        };
        let rests: Vec<FileIdentity> = self.sources.values().filter(|source| unnamed(source)).map(Source::identity).collect();
        for identity in rests {
            let Some(source) = self.sources.get(&identity) else { continue };
            // It may have been renamed or deleted since its directory was searched: then it is drained first.
            let is_whole = self.disk.state(source.path()).is_ok_and(|there| there.identity == identity && there.len == source.position().offset);
            if !is_whole {
                continue;
            }
            tracing::info!(path = %source.path().display(), "no target names this file any more; it is closed where it was read to");
            let position = source.position();
            if let Some(mut source) = self.sources.remove(&identity) {
                self.counts.leave(&mut source);
            }
            self.notice.end(identity);
            self.farewell.push(position.clone());
            self.left.insert(identity, now);
            self.known.insert(identity, position);
        }
        self.left.retain(|identity, _| self.known.contains_key(identity));
    }

    /// A position whose file no target names: kept while the file is there.
    pub(super) fn await_target(&mut self, position: SourcePosition, dirs: &mut Dirs<'_>, now: Timestamp) {
        match dirs.place_of(Path::new(&position.path), position.identity) {
            Ok(Some(_)) => return,
            Ok(None) if self.left.contains_key(&position.identity) => {}
            Ok(None) => self.missed.push(Missed { source: position.path.clone(), reason: "vanished", bytes: None, noticed: now }),
            Err(fault) => {
                tracing::warn!(path = position.path, %fault, "a file that was read before cannot be looked for now; it is tried again");
                return;
            }
        }
        if self.known.remove(&position.identity).is_some() {
            self.farewell.push(SourcePosition { gone: true, ..position });
        }
    }
}
