//! A job's changing targets: what its feeds say, relabelled, and what they said lately.
//!
//! Parts: [`Live`] (feeds, targets by group, leaving targets). Only groups that changed are relabelled; equal results
//! collapse to one target. Promises: a target that its feed no longer names is kept while files match it, at most
//! [`LEAVING_MAX`] (a deleted pod's last lines get its labels), one that the rules now drop [`DROPPED_MAX`].
//! Must not do: open files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proto_model::{Labels, Timestamp};
use proto_seam::Disk;

use super::files::Listing;
use super::groups::{Feed, Groups, TargetGroup};
use super::{Relabel, Relabelled, Target};

/// A target whose thing is gone is kept at most so long while files match it: a node drains what a pod left within minutes.
pub const LEAVING_MAX: Duration = Duration::from_secs(3_600);
/// A target that the rules drop now and kept before is read on for so long: what was written before the change is in the file.
pub const DROPPED_MAX: Duration = Duration::from_secs(30);
/// Dropped label sets that are shown, for each job.
pub const DROPPED_SHOWN_MAX: usize = 100;
/// Label sets in use that are shown, for each job: more than a node has containers.
pub const KEPT_SHOWN_MAX: usize = 2_000;

/// A label set that was discovered, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// As it was discovered.
    pub discovered: Arc<Labels>,
    /// As it is used; `None` = it is not.
    pub kept: Option<Labels>,
    /// Why it is not: `dropped` by the rules, `wrong_host`, `no_path`; empty when it is used.
    pub why: &'static str,
}

/// What one job discovered, for the page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobDiscovered {
    /// The job's name.
    pub job: String,
    /// At most [`KEPT_SHOWN_MAX`] of what is used, and [`DROPPED_SHOWN_MAX`] of what is dropped.
    pub sets: Vec<Discovered>,
    /// How many are used in all.
    pub kept: usize,
    /// How many are dropped in all.
    pub dropped: usize,
    /// The same by reason.
    pub reasons: BTreeMap<&'static str, usize>,
    /// What keeps its feeds from being up to date; empty when nothing does.
    pub trouble: String,
}

/// A job's changing targets.
#[derive(Debug, Clone, Default)]
pub struct Live {
    feeds: Vec<Fed>,
    leaving: Vec<Leaving>,
    targets: Vec<Arc<Target>>,
}

#[derive(Debug, Clone)]
struct Fed {
    feed: Feed,
    seen: Option<Arc<Groups>>,
    groups: BTreeMap<String, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    group: Arc<TargetGroup>,
    sets: Vec<Discovered>,
    targets: Vec<Arc<Target>>,
}

#[derive(Debug, Clone)]
struct Leaving {
    target: Arc<Target>,
    until: Timestamp,
}

impl Live {
    /// Reads a further feed.
    pub fn add(&mut self, feed: Feed) {
        self.feeds.push(Fed { feed, seen: None, groups: BTreeMap::new() });
    }

    /// The targets now, no two with one glob.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().map(Arc::as_ref)
    }

    /// Whether a file that no target names may belong to one that is not known yet, or was known before a restart.
    #[must_use]
    pub fn may_name_more(&self) -> bool {
        !self.feeds.is_empty()
    }

    /// Whether a feed has not said anything yet.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.feeds.iter().any(|fed| fed.seen.as_ref().is_none_or(|seen| !seen.known))
    }

    /// Takes up what the feeds say at `now`. Gives whether anything changed.
    pub fn refresh(&mut self, relabel: &Relabel, disk: &dyn Disk, now: Timestamp) -> bool {
        let mut left = Vec::new();
        let mut changed = false;
        for fed in &mut self.feeds {
            changed |= fed.refresh(relabel, now, &mut left);
        }
        let before = self.leaving.len();
        self.leaving.extend(left);
        if !self.leaving.is_empty() {
            let mut listing = Listing::new(disk);
            self.leaving.retain(|leaving| leaving.until > now && !leaving.target.pattern.expand_listed(&mut listing, &mut |_| ()).is_empty());
        }
        changed |= self.leaving.len() != before;
        if changed {
            self.collect();
        }
        changed
    }

    /// The wall clock was set back to `now`: nothing leaves later than it would have.
    pub fn set_back(&mut self, now: Timestamp) {
        self.leaving.iter_mut().for_each(|leaving| leaving.until = leaving.until.min(now.plus(LEAVING_MAX)));
    }

    /// All targets, the first of equal globs; those that leave come last.
    fn collect(&mut self) {
        let mut named = BTreeSet::new();
        let present = self.feeds.iter().flat_map(|fed| fed.groups.values()).flat_map(|known| &known.targets);
        let present: Vec<Arc<Target>> = present.filter(|target| named.insert(target.pattern.as_str().to_owned())).cloned().collect();
        self.leaving.retain(|leaving| named.insert(leaving.target.pattern.as_str().to_owned()));
        self.targets = present.into_iter().chain(self.leaving.iter().map(|leaving| Arc::clone(&leaving.target))).collect();
    }

    /// For the page.
    #[must_use]
    pub fn discovered(&self) -> JobDiscovered {
        let mut out = JobDiscovered::default();
        for set in self.feeds.iter().flat_map(|fed| fed.groups.values()).flat_map(|known| &known.sets) {
            out.push(set);
        }
        let troubles = self.feeds.iter().filter_map(|fed| fed.seen.as_ref()).map(|seen| seen.trouble.as_str()).filter(|trouble| !trouble.is_empty());
        out.trouble = troubles.collect::<Vec<_>>().join("; ");
        out
    }
}

impl JobDiscovered {
    /// Adds one more, within the bound.
    pub fn push(&mut self, set: &Discovered) {
        let is_dropped = set.kept.is_none();
        self.dropped += usize::from(is_dropped);
        self.kept += usize::from(!is_dropped);
        if is_dropped {
            *self.reasons.entry(set.why).or_default() += 1;
        }
        if if is_dropped { self.dropped <= DROPPED_SHOWN_MAX } else { self.kept <= KEPT_SHOWN_MAX } {
            self.sets.push(set.clone());
        }
    }
}

impl Fed {
    fn refresh(&mut self, relabel: &Relabel, now: Timestamp, left: &mut Vec<Leaving>) -> bool {
        let newest = Arc::clone(&self.feed.borrow_and_update());
        if self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &newest)) {
            return false;
        }
        self.groups.retain(|source, known| {
            let stays = newest.groups.contains_key(source);
            if !stays {
                left.extend(known.targets.drain(..).map(|target| Leaving { target, until: now.plus(LEAVING_MAX) }));
            }
            stays
        });
        for (source, group) in &newest.groups {
            let known = self.groups.get_mut(source);
            if known.as_ref().is_some_and(|known| Arc::ptr_eq(&known.group, group) || known.group == *group) {
                continue;
            }
            let before = known.map(|known| std::mem::take(&mut known.targets)).unwrap_or_default();
            let known = Known::new(Arc::clone(group), relabel);
            let is_named = |target: &Arc<Target>| known.targets.iter().any(|other| other.pattern.as_str() == target.pattern.as_str());
            left.extend(before.into_iter().filter(|target| !is_named(target)).map(|target| Leaving { target, until: now.plus(DROPPED_MAX) }));
            self.groups.insert(source.clone(), known);
        }
        self.seen = Some(newest);
        true
    }
}

impl Known {
    fn new(group: Arc<TargetGroup>, relabel: &Relabel) -> Self {
        let mut known = Self { sets: Vec::with_capacity(group.labels.len()), targets: Vec::new(), group };
        for labels in &known.group.labels {
            let discovered = Arc::new(labels.clone());
            let relabelled = relabel.target(labels.clone());
            let why = relabelled.why();
            let kept = match relabelled {
                Relabelled::Kept(target) => {
                    let labels = target.labels.clone();
                    if !known.targets.iter().any(|other| other.pattern.as_str() == target.pattern.as_str()) {
                        known.targets.push(Arc::new(*target));
                    }
                    Some(labels)
                }
                Relabelled::Dropped | Relabelled::Elsewhere | Relabelled::Unusable(_) => None,
            };
            known.sets.push(Discovered { discovered, kept, why });
        }
        known
    }
}

#[cfg(test)]
mod tests;
