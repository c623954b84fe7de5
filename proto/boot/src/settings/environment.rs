//! Values from environment variables: `PREFIX_A_B` for the key `a.b`.
//!
//! Parts: [`Trail`], the keys that lead to a node; [`Environment`], which a reading asks at each map
//! and which notes what belongs there; [`Wanted`], such a note.
//! Key names hold underscores too, so a name alone does not say where it belongs: the known keys of
//! the type decide, an exact match before a longer path.
//! Must not do: change the tree; `settings` applies the notes between two readings.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::tree::{Node, Step, Value};

/// The keys from the root to a node, innermost first.
pub(crate) struct Trail<'a> {
    parent: Option<&'a Self>,
    key: &'a str,
}

impl<'a> Trail<'a> {
    pub(crate) const fn root() -> Self {
        Self { parent: None, key: "" }
    }

    pub(crate) const fn below(parent: &'a Self, key: &'a str) -> Self {
        Self { parent: Some(parent), key }
    }

    fn path(&self) -> Vec<Step> {
        match self.parent {
            None => Vec::new(),
            Some(parent) => {
                let mut path = parent.path();
                path.push(Step::Key(self.key.to_owned()));
                path
            }
        }
    }

    fn name(&self, prefix: &str) -> String {
        match self.parent {
            None => prefix.to_owned(),
            Some(parent) => format!("{}_{}", parent.name(prefix), upper(self.key)),
        }
    }
}

/// A value that belongs under `path` by the name `key`.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) path: Vec<Step>,
    pub(crate) key: String,
    /// The variable's name; it brings the value itself (`whole`) or something further down.
    pub(crate) variable: String,
    pub(crate) whole: bool,
}

/// The variables not yet placed, and what one reading found out about them.
pub(crate) struct Environment<'a> {
    prefix: &'a str,
    pending: &'a [(String, String)],
    wanted: RefCell<Vec<Wanted>>,
    names: RefCell<BTreeSet<String>>,
}

impl<'a> Environment<'a> {
    pub(crate) const fn new(prefix: &'a str, pending: &'a [(String, String)]) -> Self {
        Self { prefix, pending, wanted: RefCell::new(Vec::new()), names: RefCell::new(BTreeSet::new()) }
    }

    /// The notes, and the names of all keys seen.
    pub(crate) fn into_findings(self) -> (Vec<Wanted>, BTreeSet<String>) {
        (self.wanted.into_inner(), self.names.into_inner())
    }

    /// Notes which variables belong into the map that is being read. `fields` are its known keys, if the type says them.
    pub(crate) fn visit(&self, trail: Option<&Trail<'_>>, node: &Node, fields: Option<&'static [&'static str]>) {
        let Some(trail) = trail.filter(|_| !self.pending.is_empty()) else { return };
        let here = trail.name(self.prefix);
        for field in fields.unwrap_or_default() {
            self.names.borrow_mut().insert(format!("{here}_{}", upper(field)));
        }
        for (variable, _) in self.pending {
            let Some(rest) = variable.strip_prefix(&here).and_then(|rest| rest.strip_prefix('_')) else { continue };
            let found = match fields {
                None => Some((rest.to_ascii_lowercase(), true)),
                Some(fields) => belongs(rest, fields, node),
            };
            if let Some((key, whole)) = found {
                self.wanted.borrow_mut().push(Wanted { path: trail.path(), key, variable: variable.clone(), whole });
            }
        }
    }
}

/// Which known key `rest` is, or begins with; a key further down is asked for only where nothing stands yet.
fn belongs(rest: &str, fields: &[&str], node: &Node) -> Option<(String, bool)> {
    if let Some(exact) = fields.iter().find(|field| upper(field) == rest) {
        return Some(((*exact).to_owned(), true));
    }
    let beginning = fields.iter().filter(|field| rest.strip_prefix(&upper(field)).is_some_and(|deeper| deeper.starts_with('_')));
    let longest = beginning.max_by_key(|field| field.len())?;
    let stands = match &node.value {
        Value::Map(map) => map.pruned.iter().any(|key| key == longest) || map.entries.iter().any(|entry| entry.key == *longest && !entry.node.is_null()),
        Value::Scalar { .. } | Value::Seq(_) | Value::Hole => false,
    };
    (!stands).then(|| ((*longest).to_owned(), false))
}

/// Whether Kubernetes sets a variable of this name for a service: such names may share our prefix and mean nothing to us.
pub(crate) fn is_service_link(name: &str) -> bool {
    let after_port = name.split_once("_PORT_").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
    name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.ends_with("_PORT") || after_port
}

fn upper(key: &str) -> String {
    key.chars().map(|c| if matches!(c, '-' | '.') { '_' } else { c.to_ascii_uppercase() }).collect()
}
