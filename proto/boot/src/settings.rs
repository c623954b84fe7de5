//! Settings: a YAML file, then environment variables, then flags, into one typed tree.
//!
//! Parts: [`load`] (file, process environment, flags), [`read()`] (the same, pure), [`parse`] (a text
//! alone), [`parse_all`] (a text and whatever of it is no mistake); below them `tree` (YAML with
//! places), `read` (serde over the tree), `environment` and `halt`.
//!
//! Promises: all mistakes are reported together, each with file, line, column and a fix; unknown and
//! duplicate keys are mistakes; a later layer wins key by key (`--a.b` over `PREFIX_A_B` over the
//! file); an alias bomb ends in a mistake. Types may hold `serde_saphyr::Spanned<T>` to learn places.
//! Lists from variables and flags are written `a,b` or `[a, b]`.
//!
//! Must not do: give a partial result when there is a mistake ([`load`], [`read()`], [`parse`]); print
//! values.

use std::path::Path;

use proto_seam::Disk;
use serde::de::DeserializeOwned;
use serde_saphyr::Spanned;

use crate::limits::{ENVIRONMENT_MAX, MISTAKES_MAX, SETTINGS_BYTES_MAX};
use crate::mistake::Mistake;
use crate::nearest::nearest;

mod access;
mod environment;
mod halt;
mod read;
mod spanned;
mod tree;

use environment::{Environment, Trail, Wanted};
use halt::Arrived;
use read::Reader;
use tree::{Entry, Layer, Map, Node, Place, Step, Value};

/// What settings are made of, as texts.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// The file's name, for mistakes.
    pub file: &'a str,
    /// The file's text.
    pub text: &'a str,
    /// `TRIBUTARY_HUB` makes the variable `TRIBUTARY_HUB_A_B` the key `a.b`; empty means no variables.
    pub env_prefix: &'a str,
    /// Environment variables, any; those without the prefix are passed over.
    pub env: &'a [(String, String)],
    /// Dotted keys and values of flags, without dashes.
    pub overrides: &'a [(String, String)],
}

/// Reads `file`, the process environment and the flags.
///
/// # Errors
/// All mistakes, in order of place; a file that cannot be read is one.
pub fn load<T: DeserializeOwned>(disk: &dyn Disk, file: &Path, env_prefix: &str, overrides: &[(String, String)]) -> Result<T, Vec<Mistake>> {
    let text = read_text(disk, file).map_err(|mistake| vec![mistake])?;
    let env = process_environment();
    read(&Layers { file: &file.to_string_lossy(), text: &text, env_prefix, env: &env, overrides })
}

/// Reads a settings file as text.
///
/// # Errors
/// A mistake at 1:1 when it cannot be read, is too large or is not UTF-8.
pub fn read_text(disk: &dyn Disk, file: &Path) -> Result<String, Mistake> {
    let mistake = |text: String, fix: &str| Mistake::new(file.to_string_lossy(), (1, 1), text, fix);
    let bytes = disk
        .read_all(file, SETTINGS_BYTES_MAX)
        .map_err(|fault| mistake(format!("cannot read the file: {fault}"), "give the path of a readable settings file"))?;
    String::from_utf8(bytes).map_err(|_| mistake("the file is not utf-8".to_owned(), "save it as utf-8"))
}

/// The process's environment variables that are UTF-8.
#[must_use]
pub fn process_environment() -> Vec<(String, String)> {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    variables.take(ENVIRONMENT_MAX).collect()
}

/// Reads settings out of texts.
///
/// # Errors
/// All mistakes, in order of place.
pub fn read<T: DeserializeOwned>(layers: &Layers<'_>) -> Result<T, Vec<Mistake>> {
    match read_layers(layers) {
        (Some(settings), mistakes) if mistakes.is_empty() => Ok(settings),
        (_, mistakes) => Err(mistakes),
    }
}

/// Reads one text without variables and flags.
///
/// # Errors
/// All mistakes, in order of place.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Vec<Mistake>> {
    read(&Layers { file, text, env_prefix: "", env: &[], overrides: &[] })
}

/// Reads one text and gives what is left of it without its mistakes, so that a caller can look for
/// mistakes of meaning in the rest and report all together. `None` when too little is left.
#[must_use]
pub fn parse_all<T: DeserializeOwned>(file: &str, text: &str) -> (Option<T>, Vec<Mistake>) {
    read_layers(&Layers { file, text, env_prefix: "", env: &[], overrides: &[] })
}

/// Reads all layers like [`parse_all`]: what is left without the mistakes, and the mistakes.
#[must_use]
pub fn read_all<T: DeserializeOwned>(layers: &Layers<'_>) -> (Option<T>, Vec<Mistake>) {
    read_layers(layers)
}

/// Line and column of a spanned value, as [`Mistake::new`] takes them.
#[must_use]
pub fn place<T>(spanned: &Spanned<T>) -> (u64, u64) {
    (spanned.referenced.line(), spanned.referenced.column())
}

fn read_layers<T: DeserializeOwned>(layers: &Layers<'_>) -> (Option<T>, Vec<Mistake>) {
    if layers.text.len() > SETTINGS_BYTES_MAX {
        return (None, vec![Mistake::new(layers.file, (1, 1), format!("the file is larger than {SETTINGS_BYTES_MAX} bytes"), "split it")]);
    }
    let (root, mut mistakes) = tree::read(layers.file, Layer::File, layers.text);
    let Some(root) = root else { return (None, mistakes) };
    let mut tree = Layered { root, pending: pending(layers), mistakes: Vec::new() };
    if tree.root.is_null() {
        tree.root.value = Value::Map(Map::default());
    }
    for (key, value) in layers.overrides {
        tree.set_flag(key, value);
    }
    let settings = tree.read(layers.env_prefix);
    mistakes.append(&mut tree.mistakes);
    mistakes.sort_by(|a, b| (a.line, a.column, &a.file).cmp(&(b.line, b.column, &b.file)));
    mistakes.dedup();
    mistakes.truncate(MISTAKES_MAX);
    (settings, mistakes)
}

fn pending(layers: &Layers<'_>) -> Vec<(String, String)> {
    if layers.env_prefix.is_empty() {
        return Vec::new();
    }
    let ours = |name: &str| name.strip_prefix(layers.env_prefix).is_some_and(|rest| rest.starts_with('_'));
    layers.env.iter().filter(|(name, _)| ours(name)).cloned().collect()
}

/// The tree while its layers are put together and its mistakes taken out.
struct Layered {
    root: Node,
    pending: Vec<(String, String)>,
    mistakes: Vec<Mistake>,
}

impl Layered {
    /// Reads the tree again and again: each time either variables found their place, or one mistake is told and its node taken out.
    fn read<T: DeserializeOwned>(&mut self, prefix: &str) -> Option<T> {
        loop {
            let pending = std::mem::take(&mut self.pending);
            let environment = Environment::new(prefix, &pending);
            let answer = T::deserialize(Reader { node: &self.root, environment: &environment, trail: Some(&Trail::root()), strict: false });
            let (wanted, names) = environment.into_findings();
            self.pending = pending;
            if !wanted.is_empty() {
                self.place_variables(wanted);
                continue;
            }
            match answer {
                Ok(settings) => {
                    self.tell_unplaced(&names);
                    return Some(settings);
                }
                Err(halt) => {
                    let arrived = halt.arrive(&self.root.place);
                    if !self.take_out(arrived) || self.mistakes.len() >= MISTAKES_MAX {
                        return None;
                    }
                }
            }
        }
    }

    /// Tells one mistake and changes the tree so that reading passes it; `false` when nothing would be left.
    fn take_out(&mut self, arrived: Arrived) -> bool {
        let Arrived { mut mistake, mut path, missing } = arrived;
        if mistake.is_none() {
            // Something that is missing cannot be stood in for: its whole map goes.
            path.truncate(self.steps_to_hole(&path));
        } else if let Some(field) = missing
            && let Some(filled) = self.fill(&path, field)
        {
            if !filled.was_pruned {
                self.mistakes.extend(mistake.take());
            }
            return true;
        }
        self.mistakes.extend(mistake);
        self.prune(&path)
    }

    /// Puts a hole where `field` is missing.
    fn fill(&mut self, path: &[Step], field: &str) -> Option<Filled> {
        let node = self.root.find(path)?;
        if node.is_null() {
            node.value = Value::Map(Map::default());
        }
        let place = node.place.clone();
        let Value::Map(map) = &mut node.value else { return None };
        let hole = Node { place: place.clone(), value: Value::Hole };
        match map.entry(field) {
            Some(null) if null.node.is_null() => null.node = hole,
            Some(_) => return None,
            None => map.entries.push(Entry { key: field.to_owned(), place, node: hole }),
        }
        Some(Filled { was_pruned: map.pruned.iter().any(|key| key == field) })
    }

    /// Length of the part of `path` that leads to the map in which a hole stands.
    fn steps_to_hole(&mut self, path: &[Step]) -> usize {
        let is_hole = |node: Option<&mut Node>| node.is_some_and(|node| matches!(node.value, Value::Hole));
        (1..=path.len()).find(|steps| is_hole(self.root.find(&path[..*steps]))).map_or(0, |steps| steps - 1)
    }

    fn prune(&mut self, path: &[Step]) -> bool {
        let Some((last, parents)) = path.split_last() else { return false };
        match (self.root.find(parents).map(|node| &mut node.value), last) {
            (Some(Value::Map(map)), Step::Key(key)) => map.prune(key),
            (Some(Value::Seq(items)), Step::Index(index)) if *index < items.len() => drop(items.remove(*index)),
            // The node is no part of the tree (an element of a flag's list): its nearest ancestor goes.
            (_, _) => return self.prune(parents),
        }
        true
    }

    fn set_flag(&mut self, key: &str, value: &str) {
        let place = Place { file: format!("--{key}").into(), layer: Layer::Flag, line: 0, column: 0 };
        let node = self.value_node(&place, value);
        let mut at = &mut self.root;
        let mut keys = key.split('.').peekable();
        while let Some(key) = keys.next() {
            if !matches!(at.value, Value::Map(_)) {
                at.value = Value::Map(Map::default());
                at.place = place.clone();
            }
            let Value::Map(map) = &mut at.value else { return };
            let index = map.entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
                map.entries.push(Entry { key: key.to_owned(), place: place.clone(), node: Node::map(place.clone()) });
                map.entries.len() - 1
            });
            if keys.peek().is_none() {
                map.entries[index] = Entry { key: key.to_owned(), place, node };
                return;
            }
            at = &mut map.entries[index].node;
        }
    }

    fn place_variables(&mut self, wanted: Vec<Wanted>) {
        for Wanted { path, key, variable, whole } in wanted {
            let place = Place { file: variable.as_str().into(), layer: Layer::Environment, line: 0, column: 0 };
            let node = if whole {
                let Some(at) = self.pending.iter().position(|(name, _)| *name == variable) else { continue };
                let (_, value) = self.pending.remove(at);
                self.value_node(&place, &value)
            } else {
                Node::map(place.clone())
            };
            let Some(parent) = self.root.find(&path) else { continue };
            if parent.is_null() {
                parent.value = Value::Map(Map::default());
            }
            let Value::Map(map) = &mut parent.value else { continue };
            match map.entry(&key) {
                None => map.entries.push(Entry { key, place, node }),
                Some(entry) if entry.place.layer <= Layer::Environment && (whole || entry.node.is_null()) => *entry = Entry { key, place, node },
                Some(_) => {}
            }
        }
    }

    /// The value of a variable or flag: YAML where it begins like a list or map, else a plain scalar.
    fn value_node(&mut self, place: &Place, value: &str) -> Node {
        if !value.starts_with(['[', '{']) {
            return Node::scalar(place.clone(), value);
        }
        let (node, mut mistakes) = tree::read(&place.file, place.layer, value);
        self.mistakes.append(&mut mistakes);
        node.unwrap_or_else(|| Node { place: place.clone(), value: Value::Hole })
    }

    fn tell_unplaced(&mut self, names: &std::collections::BTreeSet<String>) {
        for (variable, _) in &self.pending {
            if environment::is_service_link(variable) {
                continue;
            }
            let fix = match nearest(variable, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}"),
                None => "unset it, or name it as a key of the settings is named".to_owned(),
            };
            self.mistakes.push(Mistake::new(variable.clone(), (0, 0), "this variable names no setting", fix));
        }
    }
}

/// A required key was stood in for.
struct Filled {
    /// It is missing because it was mistaken, which is told already.
    was_pruned: bool,
}

#[cfg(test)]
mod tests;
