//! A settings file as a tree that knows where each node stands.
//!
//! Parts: [`Node`], [`Value`], [`Place`]; [`read`], which builds the tree from YAML's events;
//! [`Step`]s, by which a node is found again.
//! Promises: duplicate keys, several documents, foreign tags and keys that are no text are mistakes,
//! each with its place; aliases and merge keys (`<<`) are expanded within
//! [`SETTINGS_NODES_MAX`], so a small file cannot grow large in memory.
//! Must not do: give scalars a type; whoever reads a scalar says what it wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Tag};

use crate::limits::{QUOTED_CHARS_MAX, SETTINGS_DEPTH_MAX, SETTINGS_NODES_MAX};
use crate::mistake::Mistake;

/// Which layer a value came from; a later one is never replaced by an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    File,
    Environment,
    Flag,
}

/// Where a node stands: a line and column of a file, or 0:0 of a variable or flag by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) layer: Layer,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Place {
    pub(crate) fn mistake(&self, text: impl Into<String>, fix: impl Into<String>) -> Mistake {
        Mistake::new(self.file.to_string(), (self.line.into(), self.column.into()), text, fix)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Text as written; `plain` when it stood without quotes and so may be a number, a boolean or null.
    Scalar {
        text: String,
        plain: bool,
    },
    Seq(Vec<Node>),
    Map(Map),
    /// Stands for a required key that is missing, so that reading can go on; reads as the empty value of any type.
    Hole,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    pub(crate) entries: Vec<Entry>,
    /// Keys taken out because they were mistaken; that they are missing now is no second mistake.
    pub(crate) pruned: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

/// One step from a node to its child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl Map {
    pub(crate) fn entry(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }

    /// Takes a mistaken entry out.
    pub(crate) fn prune(&mut self, key: &str) {
        self.entries.retain(|entry| entry.key != key);
        self.pruned.push(key.to_owned());
    }
}

impl Node {
    pub(crate) fn scalar(place: Place, text: &str) -> Self {
        Self { place, value: Value::Scalar { text: text.to_owned(), plain: true } }
    }

    pub(crate) fn map(place: Place) -> Self {
        Self { place, value: Value::Map(Map::default()) }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The node at the end of `path`.
    pub(crate) fn find(&mut self, path: &[Step]) -> Option<&mut Self> {
        let mut node = self;
        for step in path {
            node = match (step, &mut node.value) {
                (Step::Key(key), Value::Map(map)) => &mut map.entry(key)?.node,
                (Step::Index(index), Value::Seq(items)) => items.get_mut(*index)?,
                (_, Value::Scalar { .. } | Value::Seq(_) | Value::Map(_) | Value::Hole) => return None,
            };
        }
        Some(node)
    }

    fn count(&self) -> usize {
        match &self.value {
            Value::Scalar { .. } | Value::Hole => 1,
            Value::Seq(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Value::Map(map) => 1 + map.entries.iter().map(|entry| 1 + entry.node.count()).sum::<usize>(),
        }
    }
}

/// Reads the one document of `text`. The tree holds everything that is no mistake; without a tree the text is no YAML at all.
pub(crate) fn read(file: &str, layer: Layer, text: &str) -> (Option<Node>, Vec<Mistake>) {
    let mut building = Building { file: file.into(), layer, anchors: BTreeMap::new(), nodes: 0, mistakes: Vec::new() };
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: SETTINGS_DEPTH_MAX,
        block_nesting_limit: SETTINGS_DEPTH_MAX
    };
    let mut events = Parser::new_from_str_with_options(text, options);
    match building.document(&mut events) {
        Ok(root) => (Some(root), building.mistakes),
        Err(fatal) => {
            building.mistakes.push(fatal);
            (None, building.mistakes)
        }
    }
}

type Events<'a> = Parser<'a, granit_parser::StrInput<'a>>;

struct Building {
    file: Arc<str>,
    layer: Layer,
    /// Finished nodes by anchor, with how many nodes each is.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    mistakes: Vec<Mistake>,
}

/// A mapping or sequence that has begun and not yet ended.
struct Open {
    place: Place,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    Seq(Vec<Node>),
    Map { map: Map, lines: BTreeMap<String, u32>, merged: Vec<Node>, key: Option<Key> },
}

impl OpenKind {
    fn new_map() -> Self {
        Self::Map { map: Map::default(), lines: BTreeMap::new(), merged: Vec::new(), key: None }
    }
}

/// A key that waits for its value.
enum Key {
    Plain(String, Place),
    Merge,
    /// Mistaken: its value is read and dropped.
    Dropped,
}

impl Building {
    fn document(&mut self, events: &mut Events<'_>) -> Result<Node, Mistake> {
        let mut root = None;
        let mut open: Vec<Open> = Vec::new();
        while let Some(next) = events.next_event() {
            let (event, span) = next.map_err(|fault| self.syntax(&fault))?;
            let place = self.place(span.start);
            let finished = match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(place.mistake("a second document begins here", "keep one document: remove the line --- and what follows it"));
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.count(&place, 1)?;
                    let plain = self.plain(&place, style, tag.as_deref());
                    self.finish(anchor, Node { place, value: Value::Scalar { text: text.into_owned(), plain } })?
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.begin(&mut open, place, anchor, tag.as_deref(), OpenKind::Seq(Vec::new()))?;
                    continue;
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.begin(&mut open, place, anchor, tag.as_deref(), OpenKind::new_map())?;
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                    Some(ended) => self.end(ended)?,
                    None => continue,
                },
                Event::Alias(anchor) => self.alias(anchor, &place)?,
                // These carry no value, and an event that a later version of the parser adds would carry none either.
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd | Event::Anchor(..) | Event::UnresolvedAlias(_) | Event::Comment(..) | _ => {
                    continue;
                }
            };
            match open.last_mut() {
                Some(parent) => self.place_in(parent, finished),
                None => root = Some(finished),
            }
        }
        Ok(root.unwrap_or_else(|| Node::map(self.place(granit_parser::Marker::new(0, 1, 0)))))
    }

    fn begin(&mut self, open: &mut Vec<Open>, place: Place, anchor: usize, tag: Option<&Tag>, kind: OpenKind) -> Result<(), Mistake> {
        self.count(&place, 1)?;
        if open.len() >= SETTINGS_DEPTH_MAX {
            return Err(place.mistake(format!("the nesting is deeper than {SETTINGS_DEPTH_MAX}"), "make the file flatter"));
        }
        self.check_tag(&place, tag);
        open.push(Open { place, anchor, kind });
        Ok(())
    }

    fn end(&mut self, ended: Open) -> Result<Node, Mistake> {
        let value = match ended.kind {
            OpenKind::Seq(items) => Value::Seq(items),
            OpenKind::Map { map, lines, merged, key: _ } => Value::Map(self.merge(map, lines, merged)),
        };
        self.finish(ended.anchor, Node { place: ended.place, value })
    }

    /// Keeps a copy of an anchored node; the copy counts too, or anchors within anchors would grow without bound.
    fn finish(&mut self, anchor: usize, node: Node) -> Result<Node, Mistake> {
        if anchor != 0 {
            let size = node.count();
            self.count(&node.place, size)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, place: &Place) -> Result<Node, Mistake> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err(place.mistake("the alias stands inside of what it refers to", "write the value out"));
        };
        let (node, size) = (node.clone(), *size);
        self.count(place, size)?;
        Ok(node)
    }

    fn count(&mut self, place: &Place, nodes: usize) -> Result<(), Mistake> {
        self.nodes += nodes;
        if self.nodes > SETTINGS_NODES_MAX {
            return Err(place.mistake(format!("the file expands to more than {SETTINGS_NODES_MAX} values"), "use fewer aliases or a smaller file"));
        }
        Ok(())
    }

    /// Puts a finished node into the mapping or sequence that is open.
    fn place_in(&mut self, parent: &mut Open, node: Node) {
        match &mut parent.kind {
            OpenKind::Seq(items) => items.push(node),
            OpenKind::Map { map, lines, merged, key } => match key.take() {
                None => *key = Some(self.key(lines, node)),
                Some(Key::Dropped) => {}
                Some(Key::Merge) => merged.push(node),
                Some(Key::Plain(name, place)) => map.entries.push(Entry { key: name, place, node }),
            },
        }
    }

    fn key(&mut self, lines: &mut BTreeMap<String, u32>, node: Node) -> Key {
        let Value::Scalar { text, plain } = node.value else {
            self.mistakes.push(node.place.mistake("a key is no text", "write a plain name before the colon"));
            return Key::Dropped;
        };
        if plain && text == "<<" {
            return Key::Merge;
        }
        if let Some(first) = lines.get(&text) {
            let text = format!("duplicate key {:?}, first given at line {first}", shortened(&text));
            self.mistakes.push(node.place.mistake(text, "keep one of the two"));
            return Key::Dropped;
        }
        lines.insert(text.clone(), node.place.line);
        Key::Plain(text, node.place)
    }

    /// Adds what `<<` brings; the mapping's own keys win, then the earlier of several.
    fn merge(&mut self, mut map: Map, mut lines: BTreeMap<String, u32>, merged: Vec<Node>) -> Map {
        for node in merged {
            let sources = match node.value {
                Value::Seq(items) => items,
                Value::Map(_) | Value::Scalar { .. } | Value::Hole => vec![node],
            };
            for source in sources {
                let Value::Map(other) = source.value else {
                    self.mistakes.push(source.place.mistake("what << merges is no map of keys", "give it an alias of a map, as in <<: *defaults"));
                    continue;
                };
                for entry in other.entries {
                    if !lines.contains_key(&entry.key) {
                        lines.insert(entry.key.clone(), entry.place.line);
                        map.entries.push(entry);
                    }
                }
            }
        }
        map
    }

    fn plain(&mut self, place: &Place, style: ScalarStyle, tag: Option<&Tag>) -> bool {
        self.check_tag(place, tag);
        style == ScalarStyle::Plain && !tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"))
    }

    fn check_tag(&mut self, place: &Place, tag: Option<&Tag>) {
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema()
        {
            self.mistakes.push(place.mistake(format!("tag {:?} has no meaning here", shortened(&tag.original())), "remove the tag"));
        }
    }

    fn place(&self, at: granit_parser::Marker) -> Place {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        match self.layer {
            Layer::File => Place { file: self.file.clone(), layer: self.layer, line: number(at.line()), column: number(at.col() + 1) },
            Layer::Environment | Layer::Flag => Place { file: self.file.clone(), layer: self.layer, line: 0, column: 0 },
        }
    }

    fn syntax(&self, fault: &granit_parser::ScanError) -> Mistake {
        let text = fault.info().to_string();
        self.place(*fault.marker()).mistake(format!("not valid yaml: {}", text.trim_end_matches('.')), "mend the yaml here or just above")
    }
}

/// Untrusted text, cut for a mistake.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}
