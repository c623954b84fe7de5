//! Promtail's YAML as this edge's: the same text, without what has no effect here.
//!
//! Parts: [`convert`]; [`Rule`] (a row of `docs/promtail.md`, which says of every key what becomes of it and which a test
//! holds true), `Shape` (the file as keys with places), `without` (a key taken out of the text). Promises: everything
//! else, comments and variables included, stays as it is written; a key is taken out only if the file then reads as before
//! without it, otherwise it stays and has no effect. Must not do: load the settings.

use std::collections::BTreeMap;
use std::fmt;

use proto_boot::Mistake;
use proto_boot::settings::{Layers, read_all};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::Wish;
use super::report::{Report, Verdict};
use super::tree::Node;

/// What becomes of every key.
const TABLES: &str = include_str!("../../../docs/promtail.md");

/// A row of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `kept`, `changed`, `ignored`, `later`, `refused`.
    pub here: String,
    /// Why, or how.
    pub note: String,
}

/// The rows of the tables by their items.
#[must_use]
pub fn rules() -> BTreeMap<String, Rule> {
    let mut out = BTreeMap::new();
    for line in TABLES.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<String> = line.replace("\\|", "\u{1}").split('|').map(|cell| cell.replace('\u{1}', "|").trim().to_owned()).collect();
        if let [_, item, _, here, note, _] = cells.as_slice() {
            out.insert(item.trim_matches('`').to_owned(), Rule { here: here.clone(), note: note.clone() });
        }
    }
    out
}

/// A file as keys with places.
#[derive(Debug)]
enum Shape {
    Leaf(String),
    List(Vec<Self>),
    Map(Vec<(Spanned<String>, Self)>),
}

impl Shape {
    fn field(&self, name: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(key, _)| key.value == name).map(|(_, value)| value)
    }

    fn text(&self) -> &str {
        if let Self::Leaf(text) = self { text } else { "" }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor;
        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
                Ok(Shape::Leaf(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
                Ok(Shape::Leaf(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
                Ok(Shape::Leaf(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
                Ok(Shape::Leaf(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Shape, E> {
                Ok(Shape::Leaf(value.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Shape, E> {
                Ok(Shape::Leaf(String::new()))
            }

            fn visit_none<E>(self) -> Result<Shape, E> {
                Ok(Shape::Leaf(String::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Shape::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Shape::Map(pairs))
            }
        }
        deserializer.deserialize_any(ShapeVisitor)
    }
}

/// A key that is to be taken out.
struct Surplus {
    line: usize,
    column: usize,
    /// Keys and numbers of items, from the root.
    path: Vec<String>,
}

/// The file without what has no effect, and what became of each part.
///
/// # Errors
/// What is no YAML.
pub fn convert(name: &str, text: &str, wish: &Wish) -> Result<(String, Report), Vec<Mistake>> {
    let (shape, is_yaml) = shape_of(name, text, wish)?;
    let mut report = Report::default();
    if !is_yaml {
        report.tell(0, Verdict::Kept, "the text", "it is YAML only with its variables put in, so that nothing is taken out of it");
    }
    let mut walk = Walk { rules: rules(), report, surplus: Vec::new(), hub: wish.hub.is_some() };
    walk.map(&shape, "", &mut Vec::new());
    walk.defaults(&shape);
    let Walk { mut report, mut surplus, .. } = walk;
    let mut out = text.to_owned();
    // From the end, so that lines before stay where they are.
    surplus.sort_by_key(|surplus| std::cmp::Reverse(surplus.line));
    for key in surplus {
        match without(name, &out, &key) {
            Some(shorter) => out = shorter,
            None if key.path.len() == 1 && ["clients", "client"].contains(&key.path.concat().as_str()) => {
                report.tell(key.line as u64, Verdict::Refused, key.path.concat(), "it could not be taken out of the text: take it out by hand");
            }
            None => {}
        }
    }
    if let Some(hub) = wish.hub() {
        if shape.field("hub").is_some() {
            report.tell(0, Verdict::Kept, "hub", "the file names a hub already: it stays");
        } else {
            let separator = if out.ends_with('\n') || out.is_empty() { "" } else { "\n" };
            out = format!("{out}{separator}{}", Node::map([("hub", Some(hub))]).yaml());
        }
    }
    Ok((out, report))
}

/// The file's keys, with its variables put in where it is no YAML without; and whether it is.
fn shape_of(name: &str, text: &str, wish: &Wish) -> Result<(Shape, bool), Vec<Mistake>> {
    let read = |text: &str| match read_all::<Shape>(&layers(name, text)) {
        (Some(shape), mistakes) if mistakes.is_empty() => Ok(shape),
        (_, mistakes) => Err(mistakes),
    };
    let mistakes = match read(text) {
        Ok(shape) => return Ok((shape, true)),
        Err(mistakes) => mistakes,
    };
    let Some(variables) = &wish.variables else { return Err(mistakes) };
    let variable = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let expanded = proto_boot::expand::expand(text, variable)
        .map_err(|fault| vec![Mistake::new(name, (fault.line() as u64, 1), fault.to_string(), "mend the expression")])?;
    Ok((read(&expanded)?, false))
}

fn layers<'a>(name: &'a str, text: &'a str) -> Layers<'a> {
    Layers { file: name, text, env_prefix: "", env: &[], overrides: &[] }
}

struct Walk {
    rules: BTreeMap<String, Rule>,
    report: Report,
    surplus: Vec<Surplus>,
    /// Lines go to a hub: the clients are taken out.
    hub: bool,
}

impl Walk {
    fn map(&mut self, shape: &Shape, item: &str, path: &mut Vec<String>) {
        match shape {
            Shape::Leaf(_) => {}
            Shape::List(items) => {
                for (at, inner) in items.iter().enumerate() {
                    path.push(at.to_string());
                    self.map(inner, &format!("{item}[]"), path);
                    path.pop();
                }
            }
            Shape::Map(pairs) => {
                for (key, value) in pairs {
                    path.push(key.value.clone());
                    self.key(key, value, item, path);
                    path.pop();
                }
            }
        }
    }

    fn key(&mut self, key: &Spanned<String>, value: &Shape, item: &str, path: &mut Vec<String>) {
        let name = key.value.as_str();
        let item = if item.is_empty() { name.to_owned() } else { format!("{item}.{name}") };
        let place = (key.referenced.line(), key.referenced.column());
        if item.ends_with("pipeline_stages[].match.stages") || item.ends_with("pipeline_stages") || item.ends_with("pipeline_stages[].pipeline") {
            self.stages(value);
            return;
        }
        if item == "scrape_configs[].relabel_configs" {
            self.rules_of(value);
            return;
        }
        let is_client = matches!(item.as_str(), "clients" | "client");
        if is_client && self.hub {
            self.report.tell(place.0, Verdict::Changed, &item, "the hub takes its place; tenants are known there by the edge's cluster, not by a header");
            self.take_out(place, path);
            return;
        }
        let row = self.rules.get(&item).or_else(|| self.rules.get(item.trim_end_matches("[]"))).cloned();
        let depth = path.len();
        match row.as_ref().map(|row| row.here.as_str()) {
            Some("ignored") => {
                self.report.tell(place.0, Verdict::Ignored, &item, row.map(|row| row.note).unwrap_or_default());
                self.take_out(place, path);
                return;
            }
            Some("changed") => self.report.tell(place.0, Verdict::Changed, &item, row.map(|row| row.note).unwrap_or_default()),
            Some("refused") => {
                self.report.tell(place.0, Verdict::Refused, &item, row.map(|row| row.note).unwrap_or_default());
                return;
            }
            // What is not there yet is told by the check.
            Some("kept" | "later") if depth == 1 && name != "scrape_configs" => self.report.tell(place.0, Verdict::Kept, &item, ""),
            _ => {}
        }
        if item == "scrape_configs" {
            self.jobs(value, place.0);
        }
        self.map(value, &item, path);
    }

    fn jobs(&mut self, jobs: &Shape, line: u64) {
        let Shape::List(jobs) = jobs else { return };
        for job in jobs {
            let name = job.field("job_name").map(Shape::text).unwrap_or_default();
            let at = if let Shape::Map(pairs) = job { pairs.first().map_or(line, |(key, _)| key.referenced.line()) } else { line };
            self.report.tell(at, Verdict::Kept, format!("job {name}"), "with its rules and stages, but for what is told below");
        }
    }

    /// Stages are rows of their own, by their names.
    fn stages(&mut self, stages: &Shape) {
        let Shape::List(stages) = stages else { return };
        for stage in stages {
            let Shape::Map(pairs) = stage else { continue };
            for (key, value) in pairs {
                self.named(&format!("stage {}", key.value), key.referenced.line());
                match key.value.as_str() {
                    "match" => value.field("stages").into_iter().for_each(|stages| self.stages(stages)),
                    "pipeline" => self.stages(value),
                    _ => {}
                }
            }
        }
    }

    fn rules_of(&mut self, rules: &Shape) {
        let Shape::List(rules) = rules else { return };
        for rule in rules {
            let Shape::Map(pairs) = rule else { continue };
            for (key, value) in pairs.iter().filter(|(key, _)| key.value == "action") {
                self.named(&format!("action {}", value.text().to_lowercase()), key.referenced.line());
            }
        }
    }

    fn named(&mut self, item: &str, line: u64) {
        let Some(row) = self.rules.get(item).cloned() else { return };
        match row.here.as_str() {
            "changed" => self.report.tell(line, Verdict::Changed, item, row.note),
            "refused" => self.report.tell(line, Verdict::Refused, item, row.note),
            _ => {}
        }
    }

    fn take_out(&mut self, (line, column): (u64, u64), path: &[String]) {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        self.surplus.push(Surplus { line: number(line), column: number(column), path: path.to_vec() });
    }

    /// What differs where nothing is written.
    fn defaults(&mut self, shape: &Shape) {
        if shape.field("target_config").and_then(|block| block.field("sync_period")).is_none() {
            self.report.tell(0, Verdict::Changed, "target_config.sync_period", "absent: files are searched for each second, not each 10 s");
        }
        let Some(Shape::List(clients)) = shape.field("clients").filter(|_| !self.hub) else { return };
        if clients.iter().any(|client| client.field("backoff_config").and_then(|block| block.field("max_retries")).is_none()) {
            self.report.tell(0, Verdict::Changed, "clients[].backoff_config.max_retries", "absent: a batch is tried for ever, not 10 times");
        }
    }
}

/// The text without a key that stands alone on its line, and what belongs to it; `None` if it cannot be taken out.
fn without(name: &str, text: &str, key: &Surplus) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let first = key.line.checked_sub(1)?;
    let own = lines.get(first)?;
    let indent = key.column.checked_sub(1)?;
    if own.chars().take(indent).any(|c| c != ' ') {
        return None;
    }
    let belongs = |line: &&str| {
        let inner = line.trim();
        let deep = line.chars().take_while(|c| *c == ' ').count();
        inner.is_empty() || deep > indent || (deep == indent && (inner == "-" || inner.starts_with("- ")))
    };
    let mut end = first + 1 + lines.get(first + 1..)?.iter().take_while(|line| belongs(line)).count();
    // Empty lines and comments after it are not its own.
    while end > first + 1 && lines.get(end - 1).is_some_and(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        end -= 1;
    }
    let shorter: String = lines.iter().enumerate().filter(|(at, _)| !(first..end).contains(at)).map(|(_, line)| *line).collect();
    let read = |text: &str| {
        let (value, mistakes) = read_all::<Value>(&layers(name, text));
        value.filter(|_| mistakes.is_empty())
    };
    let (mut before, after) = (read(text)?, read(&shorter)?);
    remove(&mut before, &key.path)?;
    (before == after).then_some(shorter)
}

/// Takes a key out of a tree. A block that would be left empty is not touched: it would be no block any more.
fn remove(value: &mut Value, path: &[String]) -> Option<()> {
    let (last, parents) = path.split_last()?;
    let mut here = value;
    for step in parents {
        here = if here.is_array() { here.get_mut(step.parse::<usize>().ok()?)? } else { here.get_mut(step)? };
    }
    let map = here.as_object_mut()?;
    if map.len() < 2 && !parents.is_empty() {
        return None;
    }
    map.remove(last).map(drop)
}
