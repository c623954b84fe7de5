//! What a discovery found, before relabelling.
//!
//! Parts: [`TargetGroup`] (the label sets of one thing, such as a pod), [`Groups`] (all of one discovery now),
//! [`Feed`] (where a job reads them), [`publish`] (how a discovery tells it), [`listed`] (groups as Prometheus writes them in files). Limits: [`LABEL_SETS_MAX`] label sets of one discovery. Must not do: find anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto_model::Labels;
use proto_model::labels::is_label_name;
use serde::Deserialize;
use tokio::sync::watch;

/// Most label sets of one discovery: more containers than a big cluster has.
pub const LABEL_SETS_MAX: usize = 50_000;

/// The label sets of one thing that was discovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroup {
    /// Which thing: `pod/namespace/name`, a file's path and entry.
    pub source: String,
    /// Its label sets, before relabelling.
    pub labels: Vec<Labels>,
}

/// All that a discovery found.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// False until something was found out, from the source itself or from what was remembered: before that, what is not
    /// named here may still exist.
    pub known: bool,
    /// By source. A group that did not change is the same pointer as before.
    pub groups: BTreeMap<String, Arc<TargetGroup>>,
    /// What keeps it from being up to date now; empty when nothing does.
    pub trouble: String,
}

/// Where a job reads what a discovery found.
pub type Feed = watch::Receiver<Arc<Groups>>;
/// Where the discovery puts it.
pub type FeedSender = watch::Sender<Arc<Groups>>;

/// A feed that knows nothing yet.
#[must_use]
pub fn feed() -> (FeedSender, Feed) {
    watch::channel(Arc::default())
}

/// Tells a feed all that is known now; groups that did not change stay what they were. Targets beyond [`LABEL_SETS_MAX`] are left out, which
/// is told.
pub fn publish(sender: &FeedSender, found: BTreeMap<String, TargetGroup>, known: bool, trouble: &str) {
    let before = Arc::clone(&sender.borrow());
    let mut out = Groups { known, trouble: trouble.to_owned(), ..Groups::default() };
    let mut sets = 0;
    for (source, group) in found {
        sets += group.labels.len();
        if sets > LABEL_SETS_MAX {
            out.trouble = format!("more than {LABEL_SETS_MAX} targets: the rest is not read; {}", out.trouble).trim_end_matches([';', ' ']).to_owned();
            break;
        }
        let same = before.groups.get(&source).filter(|same| ***same == group).map(Arc::clone);
        out.groups.insert(source, same.unwrap_or_else(|| Arc::new(group)));
    }
    let is_same = before.known == out.known && before.trouble == out.trouble && before.groups.len() == out.groups.len();
    if !is_same || !before.groups.iter().zip(&out.groups).all(|((name, group), (other, same))| name == other && Arc::ptr_eq(group, same)) {
        sender.send_replace(Arc::new(out));
    }
}

/// Label sets of many targets, as files and HTTP answers list them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Absent: one target without an address.
    targets: Option<Vec<String>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The groups of a list; each label set has the pair `meta` too, whose value names the list.
///
/// # Errors
/// A text saying what is no label.
pub fn listed(entries: Vec<Entry>, meta: (&str, &str)) -> Result<Vec<TargetGroup>, String> {
    let mut out = Vec::with_capacity(entries.len());
    for (at, entry) in entries.into_iter().enumerate() {
        if let Some(bad) = entry.labels.keys().find(|name| !is_label_name(name)) {
            return Err(format!("{bad:?} is no label name"));
        }
        let mut common = Labels::from_pairs(entry.labels);
        common.set(meta.0, meta.1);
        let labels = match entry.targets {
            None => vec![common],
            Some(targets) => targets
                .into_iter()
                .map(|address| {
                    let mut labels = common.clone();
                    labels.set("__address__", address);
                    labels
                })
                .collect(),
        };
        out.push(TargetGroup { source: format!("{}:{at}", meta.1), labels });
    }
    Ok(out)
}
