//! Go templates over the fields of a record: `line_format`, `label_format` and Promtail's template stages.
//!
//! Parts: [`Template`] (parsed once, then [`Template::render`]), [`Fields`] (what it is rendered over), [`Dialect`] (whose
//! functions it has); `lex` (tokens), `parse` and `node` (the tree), `exec` (runs it), `functions`, `format` (`printf`),
//! `value` (what is computed with).
//!
//! The whole language: text, trimming, comments, fields, variables, pipes, `if`, `with`, `range`, `break`, `continue`,
//! `define`, `template`, `block`. Limits: `TEMPLATE_*` of [`crate::limits`]: size and nesting of the source, parts run and
//! bytes made for one record. Faults are in the words of Go's `text/template`, since Loki shows them. Must not do: know where
//! fields come from.

#![expect(clippy::wildcard_enum_match_arm, reason = "a function takes the kinds it names and refuses whatever else there is, as in Go")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use proto_model::Timestamp;

use crate::limits::TEMPLATE_SOURCE_BYTES_MAX;
use crate::text;

pub use crate::fault::TemplateFault;
pub use functions::Dialect;

use self::node::{Node, Operand, OperandKind, Pipe};

mod exec;
mod format;
mod functions;
mod lex;
mod node;
mod parse;
mod value;

/// What a template is rendered over: `.`.
pub trait Fields {
    /// The value of a field; `None` when there is none.
    fn get(&self, name: &str) -> Option<Cow<'_, str>>;
    /// All fields, by name.
    fn all(&self) -> Vec<(String, String)>;
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// What it is for, as faults call it.
    name: &'static str,
    source: String,
    dialect: Dialect,
    nodes: Vec<Node>,
    /// Templates that it defines.
    defined: BTreeMap<String, Vec<Node>>,
}

impl Template {
    /// Reads a template; `name` says in faults what it is for.
    ///
    /// # Errors
    /// When `source` is no template or names an unknown function.
    pub fn parse(name: &'static str, source: &str, dialect: Dialect) -> Result<Self, TemplateFault> {
        if source.len() > TEMPLATE_SOURCE_BYTES_MAX {
            return Err(TemplateFault::Size { name, bytes: source.len(), max: TEMPLATE_SOURCE_BYTES_MAX });
        }
        let parse::Parsed { nodes, defined } = parse::parse(name, source, dialect)?;
        Ok(Self { name, source: source.to_owned(), dialect, nodes, defined })
    }

    /// Appends the template's text for one record to `out`.
    ///
    /// # Errors
    /// When a function refuses a value or a limit is passed; nothing is appended then.
    pub fn render(&self, fields: &dyn Fields, line: &[u8], time: Timestamp, out: &mut String) -> Result<(), TemplateFault> {
        if self.is_plain() {
            self.render_plain(fields, line, out);
            return Ok(());
        }
        let mut run = exec::Run::new(self, fields, line, time);
        run.run()?;
        out.push_str(&text::repaired(&run.out));
        Ok(())
    }

    /// Whether it is text, fields and the line alone: most are, and cannot fail.
    fn is_plain(&self) -> bool {
        self.dialect == Dialect::LogQl && self.nodes.iter().all(|node| matches!(node, Node::Text(_)) || plain(node).is_some())
    }

    fn render_plain(&self, fields: &dyn Fields, line: &[u8], out: &mut String) {
        for node in &self.nodes {
            match (node, plain(node)) {
                (Node::Text(text), _) => out.push_str(text),
                (_, Some(Plain::Field(name))) => out.push_str(fields.get(name).as_deref().unwrap_or_default()),
                (_, Some(Plain::Line)) => out.push_str(&text::repaired(line)),
                (_, None) => {}
            }
        }
    }

    /// The names of all fields the template asks for, each as often as it is written; `None` when it may ask for any.
    #[must_use]
    pub fn fields(&self) -> Option<Vec<&str>> {
        let mut names = Some(Vec::new());
        collect_nodes(&self.nodes, &mut names);
        self.defined.values().for_each(|nodes| collect_nodes(nodes, &mut names));
        names
    }
}

/// What a node prints that is no more than a value of the record.
enum Plain<'n> {
    Field(&'n str),
    Line,
}

fn plain(node: &Node) -> Option<Plain<'_>> {
    let Node::Print(Pipe { set, commands, .. }) = node else { return None };
    let ([], [command]) = (set.as_slice(), commands.as_slice()) else { return None };
    let [operand] = command.operands.as_slice() else { return None };
    match &operand.kind {
        OperandKind::Field(path) => match path.as_slice() {
            [name] => Some(Plain::Field(name)),
            _ => None,
        },
        OperandKind::Function(_, name) if name == "__line__" => Some(Plain::Line),
        _ => None,
    }
}

fn collect_nodes<'t>(nodes: &'t [Node], names: &mut Option<Vec<&'t str>>) {
    for node in nodes {
        match node {
            Node::Text(_) | Node::Break | Node::Continue => {}
            Node::Print(pipe) => collect_pipe(pipe, names),
            Node::If(branch) | Node::With(branch) | Node::Range(branch) => {
                collect_pipe(&branch.pipe, names);
                collect_nodes(&branch.then, names);
                collect_nodes(&branch.otherwise, names);
            }
            Node::Template { pipe, .. } => pipe.iter().for_each(|pipe| collect_pipe(pipe, names)),
        }
    }
}

fn collect_pipe<'t>(pipe: &'t Pipe, names: &mut Option<Vec<&'t str>>) {
    pipe.commands.iter().flat_map(|command| &command.operands).for_each(|operand| collect_operand(operand, names));
}

fn collect_operand<'t>(operand: &'t Operand, names: &mut Option<Vec<&'t str>>) {
    match &operand.kind {
        OperandKind::Field(path) => {
            if let Some(names) = names {
                names.extend(path.first().map(String::as_str));
            }
        }
        // A variable may stand for the record.
        OperandKind::Variable(_, path) => match path.first() {
            Some(name) => {
                if let Some(names) = names {
                    names.push(name);
                }
            }
            None => *names = None,
        },
        OperandKind::Dot => *names = None,
        OperandKind::Nil | OperandKind::Bool(_) | OperandKind::Text(..) | OperandKind::Number(..) | OperandKind::Function(..) => {}
        OperandKind::Pipe(pipe) => collect_pipe(pipe, names),
        OperandKind::Chain(inner, _) => collect_operand(inner, names),
    }
}

#[cfg(test)]
mod tests;
