//! Which files are to be read, with which labels.
//!
//! Parts: [`Job`] (one scrape config, compiled), [`Target`] (a glob with labels, after relabelling),
//! [`files`] (globs to paths); targets that change while the edge runs: [`groups`] (what a discovery found),
//! [`live`] (that, relabelled), [`feeds`] (who finds it). Promises: a path is found once, for the first target that names it;
//! labels starting with `__` never leave here. Must not do: open a file.

pub mod consul;
pub mod dns;
pub mod feeds;
pub mod fetch;
pub mod file_sd;
pub mod files;
pub mod groups;
pub mod http_sd;
pub mod kube;
pub mod live;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use edge_pipeline::{Program, Relabeling};
use proto_model::{Labels, Timestamp};
use proto_seam::Disk;

use crate::settings::Origin;
use crate::tail::reading::Reading;
use feeds::Discovery;
use files::{Listing, Pattern};
use live::{Discovered, JobDiscovered, Live};

/// One scrape config.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Its files that are named in the settings.
    pub targets: Vec<Target>,
    /// Its pipeline.
    pub program: Arc<Program>,
    /// How its files are read.
    pub reading: Reading,
    /// What becomes of labels that are discovered.
    pub relabel: Arc<Relabel>,
    /// What it discovers while it runs.
    pub discoveries: Vec<Discovery>,
    /// The label sets named in the settings, and what became of them.
    pub named: Vec<Discovered>,
    /// Its files that are discovered.
    pub live: Live,
    /// Its one source, as the settings say.
    pub origin: Arc<Origin>,
    /// Since when this edge reads for it, the time that it was away included: what was rotated before is left alone.
    pub since: Timestamp,
}

/// A job's relabelling.
#[derive(Debug, Default)]
pub struct Relabel {
    /// Its rules.
    pub rules: Relabeling,
    /// This host, compared with `__host__`.
    pub host: String,
}

impl Relabel {
    /// What becomes of a label set.
    #[must_use]
    pub fn target(&self, labels: Labels) -> Relabelled {
        relabel_target(labels, &self.rules, &self.host)
    }
}

impl Job {
    /// A job of files that are named in the settings.
    #[must_use]
    pub fn new(name: String, targets: Vec<Target>, program: Arc<Program>) -> Self {
        Self {
            name,
            targets,
            program,
            reading: Reading::default(),
            relabel: Arc::default(),
            discoveries: Vec::new(),
            named: Vec::new(),
            live: Live::default(),
            origin: Arc::new(Origin::Files(Vec::new())),
            since: Timestamp::MAX,
        }
    }

    fn all_targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().chain(self.live.targets())
    }

    /// Globs that it reads now.
    #[must_use]
    pub fn target_count(&self) -> usize {
        self.all_targets().count()
    }

    /// What it discovered, for the page.
    #[must_use]
    pub fn discovered(&self) -> JobDiscovered {
        let mut out = self.live.discovered();
        self.named.iter().for_each(|set| out.push(set));
        out.job.clone_from(&self.name);
        out
    }
}

/// Files by glob, and their labels.
#[derive(Debug, Clone)]
pub struct Target {
    /// Labels of every line, without `filename`.
    pub labels: Labels,
    /// What to read.
    pub pattern: Pattern,
    /// What not to read.
    pub exclude: Option<Pattern>,
}

/// A file that is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Index of its job.
    pub job: usize,
    /// Labels of its lines, `filename` included.
    pub labels: Labels,
    /// Directories it may lie in, links followed.
    pub roots: Vec<PathBuf>,
}

/// What relabelling made of one static target.
#[derive(Debug)]
pub enum Relabelled {
    /// To be read.
    Kept(Box<Target>),
    /// Dropped by a rule.
    Dropped,
    /// Meant for another host.
    Elsewhere,
    /// No `__path__` was left, or it is no glob.
    Unusable(String),
}

impl Relabelled {
    /// Why it is not read, in Promtail's words; empty when it is.
    #[must_use]
    pub const fn why(&self) -> &'static str {
        match self {
            Self::Kept(_) => "",
            Self::Dropped => "dropped",
            Self::Elsewhere => "wrong_host",
            Self::Unusable(_) => "no_path",
        }
    }
}

/// Runs `relabel` on a target's labels and takes the reserved ones out (agents.md 1.3: `__path__`,
/// `__path_exclude__`, `__host__`).
#[must_use]
pub fn relabel_target(mut labels: Labels, relabel: &Relabeling, host: &str) -> Relabelled {
    if !relabel.apply(&mut labels) {
        return Relabelled::Dropped;
    }
    if labels.value("__host__").is_some_and(|wanted| wanted != host) {
        return Relabelled::Elsewhere;
    }
    let Some(path) = labels.value("__path__").map(str::to_owned) else {
        return Relabelled::Unusable("no label __path__ is left after relabelling".to_owned());
    };
    let exclude = labels.value("__path_exclude__").map(str::to_owned);
    labels.retain(|name, _| !name.starts_with("__"));
    let compiled = Pattern::new(&path).and_then(|pattern| Ok((pattern, exclude.as_deref().map(Pattern::new).transpose()?)));
    match compiled {
        Ok((pattern, exclude)) => Relabelled::Kept(Box::new(Target { labels, pattern, exclude })),
        Err(why) => Relabelled::Unusable(why),
    }
}

/// Takes up what the jobs' feeds say at `now`. Gives whether any target changed.
pub fn refresh(jobs: &mut [Job], disk: &dyn Disk, now: Timestamp) -> bool {
    let mut changed = false;
    for job in jobs {
        changed |= job.live.refresh(&job.relabel, disk, now);
    }
    changed
}

/// All files that the jobs name now, by path. Directories that cannot be read are told to `trouble`.
#[must_use]
pub fn discover(jobs: &[Job], disk: &dyn Disk, trouble: &mut dyn FnMut(String)) -> BTreeMap<PathBuf, Found> {
    discover_listed(jobs, &mut Listing::new(disk), trouble)
}

/// The same; `listing` tells afterwards where was looked.
#[must_use]
pub fn discover_listed(jobs: &[Job], listing: &mut Listing<'_>, trouble: &mut dyn FnMut(String)) -> BTreeMap<PathBuf, Found> {
    let mut found = BTreeMap::new();
    for (job, target) in jobs.iter().enumerate().flat_map(|(at, job)| job.all_targets().map(move |target| (at, target))) {
        for path in target.pattern.expand_listed(listing, trouble) {
            if target.exclude.as_ref().is_some_and(|exclude| exclude.matches(&path)) {
                continue;
            }
            found.entry(path.clone()).or_insert_with(|| target.found(path, job));
        }
    }
    found
}

/// Who names a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This target does.
    Target(Found),
    /// None does yet: a discovery has not said anything so far.
    Awaited,
    /// None does now, but a discovery may name it yet, or did.
    Open,
    /// None does.
    Nobody,
}

/// The job and target that `path` belongs to, whether or not the file is there now.
#[must_use]
pub fn owner(jobs: &[Job], path: &std::path::Path) -> Owner {
    let target = jobs
        .iter()
        .enumerate()
        .find_map(|(at, job)| job.all_targets().find(|target| target.pattern.matches(path)).map(|target| target.found(path.to_path_buf(), at)));
    match target {
        Some(found) => Owner::Target(found),
        None if jobs.iter().any(|job| job.live.is_awaited()) => Owner::Awaited,
        None if jobs.iter().any(|job| job.live.may_name_more()) => Owner::Open,
        None => Owner::Nobody,
    }
}

impl Target {
    fn found(&self, path: PathBuf, job: usize) -> Found {
        let mut labels = self.labels.clone();
        labels.set("filename", path.to_string_lossy().into_owned());
        Found { path, job, labels, roots: self.pattern.roots() }
    }
}

#[cfg(test)]
mod tests;
