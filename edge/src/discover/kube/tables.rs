//! All objects that are known of a cluster, and the target groups they make.
//!
//! Parts: [`Tables`]: objects in (`put`, `gone`, lists), groups out (`rebuild`, `groups`), and across a restart (`recall`,
//! `remembered`). Pure. Limits: [`OBJECTS_MAX`] objects, `groups::LABEL_SETS_MAX` label sets, [`GONE_MAX`] gone groups. Promises:
//! a group that did not change is the same pointer as before; a group whose thing is gone is named for [`LINGER`] more and
//! remembered for `live::LEAVING_MAX`. Must not do: relabel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proto_model::{Labels, Timestamp};

use super::endpoints::{self, Around};
use super::labels;
use super::memory::Remembered;
use super::records::{Kind, Meta, NodeRecord, Object};
use crate::discover::groups::{LABEL_SETS_MAX, TargetGroup};
use crate::discover::live::LEAVING_MAX;

/// Most objects of all kinds: the pods of a big cluster.
pub const OBJECTS_MAX: usize = 100_000;
/// A group is named for so long after its thing is gone: longer than any search for files is away.
pub const LINGER: Duration = Duration::from_secs(60);
/// Most groups that are remembered after they are gone.
pub const GONE_MAX: usize = 5_000;

type Key = (Kind, String, String);

#[derive(Debug)]
struct Row {
    object: Object,
    scope: usize,
}

/// What must be made anew.
#[derive(Debug, Default)]
enum Dirty {
    #[default]
    Nothing,
    These(BTreeSet<Key>),
    All,
}

#[derive(Debug, Default)]
struct Listing {
    /// What the list that is under way has named.
    fresh: Option<BTreeSet<Key>>,
    /// Whether a list came to its end.
    whole: bool,
}

/// Objects and groups of one discovery.
#[derive(Debug)]
pub struct Tables {
    role: Kind,
    attach_node: bool,
    rows: BTreeMap<Key, Row>,
    listings: Vec<Listing>,
    dirty: Dirty,
    /// Sources by the object they are made of.
    made: BTreeMap<Key, String>,
    groups: BTreeMap<String, Arc<TargetGroup>>,
    gone: BTreeMap<String, (Arc<TargetGroup>, Timestamp)>,
    label_sets: usize,
    excess: usize,
    changed: bool,
    now: Timestamp,
    /// How many of the gone are still named.
    lingering: usize,
}

fn key(object: &Object) -> Key {
    let meta = object.meta();
    (object.kind(), meta.namespace.clone(), meta.name.clone())
}

impl Tables {
    /// Nothing known yet.
    #[must_use]
    pub fn new(role: Kind, attach_node: bool) -> Self {
        Self {
            role,
            attach_node,
            rows: BTreeMap::new(),
            listings: Vec::new(),
            dirty: Dirty::Nothing,
            made: BTreeMap::new(),
            groups: BTreeMap::new(),
            gone: BTreeMap::new(),
            label_sets: 0,
            excess: 0,
            changed: false,
            now: Timestamp(0),
            lingering: 0,
        }
    }

    /// So many lists are begun anew; what is known stays until they are whole.
    pub fn begin(&mut self, scopes: usize) {
        let whole = self.is_all_whole();
        self.listings = (0..scopes).map(|_| Listing { fresh: None, whole }).collect();
    }

    /// Whether every list came to its end once.
    #[must_use]
    pub fn is_all_whole(&self) -> bool {
        !self.listings.is_empty() && self.listings.iter().all(|listing| listing.whole)
    }

    /// Whether this list came to its end and none is under way.
    #[must_use]
    pub fn is_whole(&self, scope: usize) -> bool {
        self.listings.get(scope).is_some_and(|listing| listing.whole && listing.fresh.is_none())
    }

    /// A list of `scope` begins.
    pub fn list_begins(&mut self, scope: usize) {
        if let Some(listing) = self.listings.get_mut(scope) {
            listing.fresh = Some(BTreeSet::new());
        }
    }

    /// The list of `scope` is whole: what it did not name is gone.
    pub fn list_is_whole(&mut self, scope: usize) {
        let was_whole = self.is_all_whole();
        let Some(listing) = self.listings.get_mut(scope) else { return };
        listing.whole = true;
        if let Some(fresh) = listing.fresh.take() {
            let missing: Vec<Key> = self.rows.iter().filter(|(key, row)| row.scope == scope && !fresh.contains(*key)).map(|(key, _)| key.clone()).collect();
            for key in missing {
                self.remove(&key);
            }
        }
        if !was_whole && self.is_all_whole() {
            self.settle_recalled();
        }
    }

    /// With all lists whole for the first time, what was recalled and not named is gone.
    fn settle_recalled(&mut self) {
        self.dirty = Dirty::All;
        self.make();
        let made: BTreeSet<&String> = self.made.values().collect();
        let stale: Vec<String> = self.groups.keys().filter(|source| !made.contains(source)).cloned().collect();
        for source in stale {
            if let Some(group) = self.groups.remove(&source) {
                self.leave(source, group);
            }
        }
    }

    /// An object is there, or changed.
    pub fn put(&mut self, scope: usize, object: Object) {
        let key = key(&object);
        if let Some(fresh) = self.listings.get_mut(scope).and_then(|listing| listing.fresh.as_mut()) {
            fresh.insert(key.clone());
        }
        if self.rows.get(&key).is_some_and(|row| row.object == object) {
            return;
        }
        if self.rows.len() >= OBJECTS_MAX && !self.rows.contains_key(&key) {
            self.excess += 1;
            return;
        }
        self.touch(&key);
        self.rows.insert(key, Row { object, scope });
    }

    /// An object is gone; what it was at last is known.
    pub fn gone(&mut self, object: &Object) {
        self.remove(&key(object));
    }

    fn remove(&mut self, key: &Key) {
        if !self.rows.contains_key(key) {
            return;
        }
        if key.0 == self.role {
            // It may have come and gone between two rounds: it is named all the same.
            self.make_one(key);
            if let Some((source, group)) = self.made.remove(key).and_then(|source| self.groups.remove_entry(&source)) {
                self.leave(source, group);
            }
            if let Dirty::These(keys) = &mut self.dirty {
                keys.remove(key);
            }
        } else {
            self.dirty = Dirty::All;
        }
        self.rows.remove(key);
    }

    fn leave(&mut self, source: String, group: Arc<TargetGroup>) {
        self.changed = true;
        self.label_sets = self.label_sets.saturating_sub(group.labels.len());
        if self.gone.len() >= GONE_MAX {
            let oldest = self.gone.iter().min_by_key(|(_, (_, since))| *since).map(|(source, _)| source.clone());
            oldest.and_then(|source| self.gone.remove(&source));
        }
        self.gone.insert(source, (group, self.now));
    }

    fn touch(&mut self, key: &Key) {
        if key.0 != self.role {
            self.dirty = Dirty::All;
        }
        match &mut self.dirty {
            Dirty::Nothing => self.dirty = Dirty::These(BTreeSet::from([key.clone()])),
            Dirty::These(keys) => drop(keys.insert(key.clone())),
            Dirty::All => {}
        }
    }

    /// It is `now`: gone groups are named no longer, then forgotten.
    pub fn at(&mut self, now: Timestamp) {
        self.now = now;
        // A clock that was set back must not keep them for ever.
        self.gone.values_mut().for_each(|(_, since)| *since = now.min(*since));
        self.gone.retain(|_, (_, since)| now.since(*since) < LEAVING_MAX);
        let lingering = self.gone.values().filter(|(_, since)| now.since(*since) < LINGER).count();
        self.changed |= lingering < self.lingering;
        self.lingering = lingering;
    }

    /// Makes the groups of what changed. Gives whether any group did.
    pub fn rebuild(&mut self) -> bool {
        self.make();
        self.at(self.now);
        std::mem::take(&mut self.changed)
    }

    fn make(&mut self) {
        let keys: Vec<Key> = match std::mem::take(&mut self.dirty) {
            Dirty::Nothing => return,
            Dirty::These(keys) => keys.into_iter().collect(),
            Dirty::All => self.rows.keys().filter(|key| key.0 == self.role).cloned().collect(),
        };
        for key in keys {
            self.make_one(&key);
        }
    }

    fn make_one(&mut self, key: &Key) {
        let Some(labels) = self.rows.get(key).map(|row| self.label_sets_of(&row.object)) else { return };
        let source = self.rows.get(key).map(|row| source(row.object.kind(), row.object.meta())).unwrap_or_default();
        // A new object of an old name: the old one is gone.
        if let Some(old) = self.made.get(key).filter(|old| **old != source).cloned()
            && let Some(group) = self.groups.remove(&old)
        {
            self.leave(old, group);
        }
        let before = self.groups.get(&source);
        if before.is_some_and(|before| before.labels == labels) {
            self.made.insert(key.clone(), source);
            return;
        }
        let grown = self.label_sets + labels.len() - before.map_or(0, |before| before.labels.len()).min(self.label_sets + labels.len());
        if grown > LABEL_SETS_MAX {
            self.excess += 1;
            return;
        }
        self.label_sets = grown;
        self.changed = true;
        self.gone.remove(&source);
        self.made.insert(key.clone(), source.clone());
        self.groups.insert(source.clone(), Arc::new(TargetGroup { source, labels }));
    }

    fn label_sets_of(&self, object: &Object) -> Vec<Labels> {
        let find = |kind: Kind, namespace: &str, name: &str| self.rows.get(&(kind, namespace.to_owned(), name.to_owned())).map(|row| &row.object);
        let around = Around { find: &find, attach_node: self.attach_node };
        match object {
            Object::Pod(pod) => labels::pod(pod, self.node(&pod.node)),
            Object::Node(node) => labels::node(node),
            Object::Service(service) => labels::service(service),
            Object::Endpoints(record) => endpoints::sets(record, false, &around),
            Object::EndpointSlice(record) => endpoints::sets(record, true, &around),
            Object::Ingress(ingress) => labels::ingress(ingress),
        }
    }

    fn node(&self, name: &str) -> Option<&NodeRecord> {
        let row = self.rows.get(&(Kind::Node, String::new(), name.to_owned())).filter(|_| self.attach_node)?;
        let Object::Node(node) = &row.object else { return None };
        Some(node)
    }

    /// The groups to be told: what is there, and what is gone since a moment.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<String, Arc<TargetGroup>> {
        let lingering = self.gone.iter().filter(|(_, (_, since))| self.now.since(*since) < LINGER);
        let lingering = lingering.map(|(source, (group, _))| (source.clone(), Arc::clone(group)));
        lingering.chain(self.groups.iter().map(|(source, group)| (source.clone(), Arc::clone(group)))).collect()
    }

    /// What is left out because there is too much; empty = nothing.
    #[must_use]
    pub fn excess(&self) -> String {
        if self.excess == 0 {
            return String::new();
        }
        format!("{} objects are left out: more than {OBJECTS_MAX} objects or {LABEL_SETS_MAX} label sets; narrow the namespaces or selectors", self.excess)
    }

    /// Takes up what an earlier run remembered.
    pub fn recall(&mut self, remembered: Vec<Remembered>) {
        let now = self.now;
        for Remembered { group, gone_ns } in remembered {
            let source = group.source.clone();
            match gone_ns.map(|since| Timestamp(since).min(now)) {
                None if self.label_sets + group.labels.len() <= LABEL_SETS_MAX => {
                    self.label_sets += group.labels.len();
                    self.groups.insert(source, group);
                }
                // Named once more: its last lines may not have been read before the restart.
                Some(since) if now.since(since) < LEAVING_MAX && self.gone.len() < GONE_MAX => drop(self.gone.insert(source, (group, now))),
                None | Some(_) => {}
            }
        }
    }

    /// What the next run is to know.
    #[must_use]
    pub fn remembered(&self) -> Vec<Remembered> {
        let there = self.groups.values().map(|group| Remembered { group: Arc::clone(group), gone_ns: None });
        let gone = self.gone.values().map(|(group, since)| Remembered { group: Arc::clone(group), gone_ns: Some(since.nanos()) });
        there.chain(gone).collect()
    }
}

/// The source of an object's group. A pod's holds its UID: a new pod of an old name is another pod.
fn source(kind: Kind, meta: &Meta) -> String {
    let Meta { namespace, name, uid, .. } = meta;
    match kind {
        Kind::Pod => format!("pod/{namespace}/{name}/{uid}"),
        Kind::Node => format!("node/{name}"),
        Kind::Service => format!("svc/{namespace}/{name}"),
        Kind::Endpoints => format!("endpoints/{namespace}/{name}"),
        Kind::EndpointSlice => format!("endpointslice/{namespace}/{name}"),
        Kind::Ingress => format!("ingress/{namespace}/{name}"),
    }
}

#[cfg(test)]
mod tests;
