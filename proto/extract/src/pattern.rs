//! Patterns of literal text and captures: LogQL's `| pattern` stage and its `|>` line filter.
//!
//! Parts: [`PatternParser`] (`<ip> - <_> [<time>]`, captures named or left out by `<_>`), [`LinePattern`] (only
//! `<_>`). Promises: no backtracking: each literal is searched once, from where the one before ended.
//! Must not do: decide about clashing names; the caller does.

use memchr::memmem;

pub use crate::fault::PatternFault;

/// One part of a pattern.
#[derive(Debug, Clone)]
enum Node {
    Literal(Box<memmem::Finder<'static>>),
    /// `None` for `<_>`.
    Capture(Option<String>),
}

/// The pattern of a `| pattern` stage.
#[derive(Debug, Clone)]
pub struct PatternParser(Vec<Node>);

impl PatternParser {
    /// Reads a pattern. `<name>` is a capture when the name is one of a label, else it is literal text.
    ///
    /// # Errors
    /// When no capture has a name, two have the same, or two stand side by side.
    pub fn parse(source: &str) -> Result<Self, PatternFault> {
        let nodes = nodes(source);
        if nodes.is_empty() {
            return Err(PatternFault::Empty);
        }
        let mut names = nodes.iter().filter_map(name).collect::<Vec<_>>();
        if names.is_empty() {
            return Err(PatternFault::NoCapture);
        }
        refuse_adjacent(&nodes)?;
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(PatternFault::Duplicate(pair[0].to_owned())),
            None => Ok(Self(nodes)),
        }
    }

    /// Names of the captures, in order of the pattern.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(name)
    }

    /// Calls `emit(name, text)` for every named capture that the line has. A line that does not begin with the
    /// pattern's first text has none; where a later text is missing, the capture before it takes the rest of the
    /// line and those after it are not emitted.
    pub fn extract(&self, line: &[u8], emit: &mut dyn FnMut(&str, &[u8])) {
        if line.is_empty() {
            return;
        }
        let (mut rest, mut nodes) = (line, self.0.as_slice());
        if let Some((Node::Literal(text), after)) = nodes.split_first() {
            let Some(begun) = rest.strip_prefix(text.needle()) else { return };
            (rest, nodes) = (begun, after);
        }
        // Captures and literals take turns from here on.
        for pair in nodes.chunks(2) {
            let [Node::Capture(name), literal @ ..] = pair else { return };
            let found = match literal {
                [Node::Literal(text)] => text.find(rest).map(|at| (at, at + text.needle().len())),
                _ => None,
            };
            let (end, next) = found.unwrap_or((rest.len(), rest.len()));
            if let Some(name) = name {
                emit(name, &rest[..end]);
            }
            if found.is_none() {
                return;
            }
            rest = &rest[next..];
        }
    }
}

/// The pattern of a `|>` or `!>` filter.
#[derive(Debug, Clone)]
pub struct LinePattern(Vec<Node>);

impl LinePattern {
    /// Reads a pattern whose captures are all `<_>`. The empty pattern is the one of empty lines.
    ///
    /// # Errors
    /// When a capture has a name, or two stand side by side.
    pub fn parse(source: &str) -> Result<Self, PatternFault> {
        let nodes = nodes(source);
        refuse_adjacent(&nodes)?;
        match nodes.iter().find_map(name) {
            Some(name) => Err(PatternFault::Named(name.to_owned())),
            None => Ok(Self(nodes)),
        }
    }

    /// Whether the line has the literal texts in order with something in between, ends with the last one if the
    /// pattern does, and goes on after it if the pattern does. The first text may stand anywhere, as in Loki.
    #[must_use]
    pub fn matches(&self, line: &[u8]) -> bool {
        let Some(last) = self.0.last() else { return line.is_empty() };
        if line.is_empty() {
            return false;
        }
        let mut at = 0;
        for (place, node) in self.0.iter().enumerate() {
            let Node::Literal(text) = node else { continue };
            match text.find(&line[at..]) {
                // Something has to stand where a capture is.
                None => return false,
                Some(0) if place != 0 => return false,
                Some(before) => at += before + text.needle().len(),
            }
        }
        matches!(last, Node::Capture(_)) == (at != line.len())
    }
}

fn name(node: &Node) -> Option<&str> {
    match node {
        Node::Capture(Some(name)) => Some(name),
        Node::Capture(None) | Node::Literal(_) => None,
    }
}

fn refuse_adjacent(nodes: &[Node]) -> Result<(), PatternFault> {
    for pair in nodes.windows(2) {
        if let [Node::Capture(one), Node::Capture(two)] = pair {
            let written = |name: &Option<String>| format!("<{}>", name.as_deref().unwrap_or("_"));
            return Err(PatternFault::Adjacent(written(one) + &written(two)));
        }
    }
    Ok(())
}

/// The parts of `source`; literals never stand side by side.
fn nodes(source: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut literal = 0;
    let mut at = 0;
    while let Some(open) = memchr::memchr(b'<', &source.as_bytes()[at..]).map(|found| at + found) {
        at = open + 1;
        let Some(name) = capture_name(&source[at..]) else { continue };
        push_literal(&mut nodes, &source[literal..open]);
        nodes.push(Node::Capture((name != "_").then(|| name.to_owned())));
        at += name.len() + 1;
        literal = at;
    }
    push_literal(&mut nodes, &source[literal..]);
    nodes
}

fn push_literal(nodes: &mut Vec<Node>, text: &str) {
    if !text.is_empty() {
        nodes.push(Node::Literal(Box::new(memmem::Finder::new(text.as_bytes()).into_owned())));
    }
}

/// The name before `>` at the start of `text`, if it is one a label can have.
fn capture_name(text: &str) -> Option<&str> {
    let end = text.bytes().position(|b| !b.is_ascii_alphanumeric() && b != b'_')?;
    let name = &text[..end];
    (text.as_bytes()[end] == b'>' && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
}

#[cfg(test)]
mod tests;
