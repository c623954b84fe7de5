//! Tokens to tree, by Go's grammar of templates.
//!
//! Parts: [`parse`] (all templates of a source), [`Parser`], one method per level: list, action, pipe, command, operand.
//! Faults are in the words of Go's parser, which clients show. Limits: [`TEMPLATE_NEST_MAX`], which bounds the recursion.

use std::collections::BTreeMap;

use proto_model::labels::quoted;

use super::functions::{Dialect, Function};
use super::lex::{Item, Token, lex};
use super::node::{Branch, Command, Node, Operand, OperandKind, Pipe};
use super::value::Number;
use crate::fault::TemplateFault;
use crate::limits::TEMPLATE_NEST_MAX;

/// The main template and those that it defines.
pub(super) struct Parsed {
    pub(super) nodes: Vec<Node>,
    pub(super) defined: BTreeMap<String, Vec<Node>>,
}

pub(super) fn parse(name: &'static str, source: &str, dialect: Dialect) -> Result<Parsed, TemplateFault> {
    let mut parser =
        Parser { name, source, dialect, items: lex(source), next: 0, variables: vec!["$".to_owned()], depth: 0, ranges: 0, defined: BTreeMap::new() };
    let (nodes, end) = parser.list()?;
    match end {
        ListEnd::Eof => Ok(Parsed { nodes, defined: parser.defined }),
        ListEnd::End => Err(parser.fault("unexpected {{end}}")),
        ListEnd::Else => Err(parser.fault("unexpected {{else}}")),
    }
}

struct Parser<'a> {
    name: &'static str,
    source: &'a str,
    dialect: Dialect,
    items: Vec<Item>,
    next: usize,
    /// Names of variables in sight.
    variables: Vec<String>,
    /// Parentheses and branches around this place.
    depth: usize,
    /// Ranges around this place.
    ranges: usize,
    defined: BTreeMap<String, Vec<Node>>,
}

/// What ends a list of nodes.
#[derive(PartialEq)]
enum ListEnd {
    Eof,
    End,
    Else,
}

type Parse<T> = Result<T, TemplateFault>;

impl Parser<'_> {
    fn peek(&self) -> &Item {
        // The last item is an end, and nothing goes on after it.
        &self.items[self.next.min(self.items.len() - 1)]
    }

    fn item(&mut self) -> Parse<Item> {
        let item = self.peek().clone();
        self.next += 1;
        match item.token {
            Token::Bad(reason) => Err(self.fault_at(item.at, &reason)),
            _ => Ok(item),
        }
    }

    fn skip_space(&mut self) {
        while self.peek().token == Token::Space {
            self.next += 1;
        }
    }

    fn solid(&mut self) -> Parse<Item> {
        self.skip_space();
        self.item()
    }

    fn fault_at(&self, at: usize, reason: &str) -> TemplateFault {
        let line = self.source[..at].bytes().filter(|b| *b == b'\n').count() + 1;
        TemplateFault::Syntax { name: self.name, line, reason: reason.to_owned() }
    }

    /// A fault at the token that was read last.
    fn fault(&self, reason: &str) -> TemplateFault {
        let at = self.items.get(self.next.saturating_sub(1)).map_or(self.source.len(), |item| item.at);
        self.fault_at(at, reason)
    }

    fn unexpected(&self, token: &Token, place: &str) -> TemplateFault {
        self.fault(&format!("unexpected {} in {place}", named(token)))
    }

    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        self.depth += 1;
        if self.depth > TEMPLATE_NEST_MAX {
            return Err(self.fault(&format!("parts nest deeper than {TEMPLATE_NEST_MAX} levels")));
        }
        let done = inside(self);
        self.depth -= 1;
        done
    }

    /// Nodes up to `{{end}}`, `{{else`, or the end of the source; after `{{else` the parser stands behind that word.
    fn list(&mut self) -> Parse<(Vec<Node>, ListEnd)> {
        let mut nodes = Vec::new();
        loop {
            let item = self.item()?;
            match item.token {
                Token::Text(text) => nodes.push(Node::Text(text)),
                Token::Eof => return Ok((nodes, ListEnd::Eof)),
                _ => {
                    self.skip_space();
                    let keyword = match &self.peek().token {
                        Token::Name(word) => word.clone(),
                        _ => String::new(),
                    };
                    match keyword.as_str() {
                        "end" => {
                            self.next += 1;
                            self.right_delimiter("end")?;
                            return Ok((nodes, ListEnd::End));
                        }
                        "else" => {
                            self.next += 1;
                            return Ok((nodes, ListEnd::Else));
                        }
                        "define" if self.depth == 0 => self.define()?,
                        word => nodes.extend(self.action(word)?),
                    }
                }
            }
        }
    }

    fn right_delimiter(&mut self, place: &str) -> Parse<()> {
        let item = self.solid()?;
        if item.token == Token::End { Ok(()) } else { Err(self.unexpected(&item.token, place)) }
    }

    fn action(&mut self, word: &str) -> Parse<Option<Node>> {
        let variables = self.variables.len();
        let node = match word {
            "if" | "with" | "range" => {
                self.next += 1;
                let branch = self.deeper(|parser| parser.branch(word))?;
                self.variables.truncate(variables);
                match word {
                    "if" => Node::If(branch),
                    "with" => Node::With(branch),
                    _ => Node::Range(branch),
                }
            }
            "block" => {
                self.next += 1;
                self.deeper(Self::block)?
            }
            "template" => {
                self.next += 1;
                self.template()?
            }
            "break" | "continue" => {
                self.next += 1;
                let item = self.solid()?;
                if item.token != Token::End {
                    return Err(self.unexpected(&item.token, &format!("{{{{{word}}}}}")));
                }
                if self.ranges == 0 {
                    return Err(self.fault(&format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                if word == "break" { Node::Break } else { Node::Continue }
            }
            "define" => return Err(self.unexpected(&Token::Name("define".to_owned()), "command")),
            _ => Node::Print(self.pipe("command", &Token::End)?),
        };
        Ok(Some(node))
    }

    fn branch(&mut self, word: &str) -> Parse<Branch> {
        let pipe = self.pipe(word, &Token::End)?;
        self.ranges += usize::from(word == "range");
        let (then, end) = self.list()?;
        self.ranges -= usize::from(word == "range");
        let otherwise = match end {
            ListEnd::Eof => return Err(self.fault("unexpected EOF")),
            ListEnd::End => Vec::new(),
            ListEnd::Else => self.otherwise(word)?,
        };
        Ok(Branch { pipe, then, otherwise })
    }

    /// What stands after `{{else`.
    fn otherwise(&mut self, word: &str) -> Parse<Vec<Node>> {
        self.skip_space();
        if let Token::Name(next) = &self.peek().token
            && next == word
            && matches!(word, "if" | "with")
        {
            self.next += 1;
            let branch = self.deeper(|parser| parser.branch(word))?;
            return Ok(vec![if word == "if" { Node::If(branch) } else { Node::With(branch) }]);
        }
        self.right_delimiter("else")?;
        let (nodes, end) = self.list()?;
        match end {
            ListEnd::End => Ok(nodes),
            ListEnd::Else => Err(self.fault("expected end; found {{else}}")),
            ListEnd::Eof => Err(self.fault("unexpected EOF")),
        }
    }

    fn quoted_name(&mut self, place: &str) -> Parse<String> {
        let item = self.solid()?;
        match item.token {
            Token::Quoted(name, _) => Ok(name),
            token => Err(self.unexpected(&token, place)),
        }
    }

    fn body(&mut self, name: String) -> Parse<()> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let (nodes, end) = self.list()?;
        self.variables = variables;
        if end != ListEnd::End {
            return Err(self.fault(if end == ListEnd::Eof { "unexpected EOF" } else { "unexpected {{else}}" }));
        }
        if !nodes.is_empty() || !self.defined.contains_key(&name) {
            self.defined.insert(name, nodes);
        }
        Ok(())
    }

    fn define(&mut self) -> Parse<()> {
        self.next += 1;
        let name = self.quoted_name("define clause")?;
        self.right_delimiter("define clause")?;
        self.deeper(|parser| parser.body(name))
    }

    fn block(&mut self) -> Parse<Node> {
        let at = self.peek().at;
        let name = self.quoted_name("block clause")?;
        let pipe = self.pipe("block clause", &Token::End)?;
        self.body(name.clone())?;
        Ok(Node::Template { name, pipe: Some(pipe), at })
    }

    fn template(&mut self) -> Parse<Node> {
        self.skip_space();
        let at = self.peek().at;
        let name = self.quoted_name("template clause")?;
        self.skip_space();
        let pipe = if self.peek().token == Token::End {
            self.next += 1;
            None
        } else {
            Some(self.pipe("template clause", &Token::End)?)
        };
        Ok(Node::Template { name, pipe, at })
    }

    /// Commands joined by `|`, up to `end`.
    fn pipe(&mut self, place: &str, end: &Token) -> Parse<Pipe> {
        self.skip_space();
        let mut pipe = Pipe { at: self.peek().at, set: Vec::new(), is_assignment: false, commands: Vec::new() };
        self.declarations(place, &mut pipe)?;
        loop {
            let item = self.solid()?;
            match &item.token {
                token if token == end => {
                    self.checked(place, &pipe)?;
                    self.variables.extend(pipe.set.iter().filter(|_| !pipe.is_assignment).cloned());
                    return Ok(pipe);
                }
                Token::Dot | Token::Field(_) | Token::Name(_) | Token::Number(_) | Token::Quoted(..) | Token::Variable(_) | Token::Open => {
                    self.next -= 1;
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                token => return Err(self.unexpected(token, place)),
            }
        }
    }

    /// `$x :=`, `$x =`, and `$i, $x :=` of a range.
    fn declarations(&mut self, place: &str, pipe: &mut Pipe) -> Parse<()> {
        loop {
            let start = self.next;
            self.skip_space();
            let Token::Variable(name) = self.peek().token.clone() else {
                self.next = start;
                return Ok(());
            };
            self.next += 1;
            self.skip_space();
            match self.peek().token.clone() {
                token @ (Token::Assign | Token::Declare) => {
                    self.next += 1;
                    pipe.is_assignment = token == Token::Assign;
                    pipe.set.push(name);
                    return Ok(());
                }
                Token::Char(',') => {
                    self.next += 1;
                    pipe.set.push(name);
                    if place != "range" || pipe.set.len() > 1 {
                        return Err(self.fault(&format!("too many declarations in {place}")));
                    }
                    self.skip_space();
                    if !matches!(self.peek().token, Token::Variable(_)) {
                        return Err(self.fault("range can only initialize variables"));
                    }
                }
                _ => {
                    self.next = start;
                    return Ok(());
                }
            }
        }
    }

    fn checked(&self, place: &str, pipe: &Pipe) -> Parse<()> {
        if pipe.commands.is_empty() {
            return Err(self.fault(&format!("missing value for {place}")));
        }
        for (at, command) in pipe.commands.iter().enumerate().skip(1) {
            let constant = |operand: &Operand| {
                matches!(operand.kind, OperandKind::Bool(_) | OperandKind::Dot | OperandKind::Nil | OperandKind::Number(..) | OperandKind::Text(..))
            };
            if command.operands.first().is_some_and(constant) {
                return Err(self.fault(&format!("non executable command in pipeline stage {}", at + 1)));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Parse<Command> {
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            operands.extend(self.operand()?);
            let item = self.item()?;
            match &item.token {
                Token::Space => {}
                Token::End | Token::Close => {
                    self.next -= 1;
                    break;
                }
                Token::Pipe => break,
                token => return Err(self.unexpected(token, "operand")),
            }
        }
        if operands.is_empty() { Err(self.fault("empty command")) } else { Ok(Command { operands }) }
    }

    /// A term and the fields after it; `None` when none begins here.
    fn operand(&mut self) -> Parse<Option<Operand>> {
        let Some(term) = self.term()? else { return Ok(None) };
        let Token::Field(_) = self.peek().token else { return Ok(Some(term)) };
        let at = self.peek().at;
        let mut path = Vec::new();
        while let Token::Field(name) = self.peek().token.clone() {
            self.next += 1;
            path.push(name);
        }
        let kind = match term.kind {
            OperandKind::Field(mut first) => {
                first.append(&mut path);
                OperandKind::Field(first)
            }
            OperandKind::Variable(name, mut first) => {
                first.append(&mut path);
                OperandKind::Variable(name, first)
            }
            OperandKind::Bool(_) | OperandKind::Text(..) | OperandKind::Number(..) | OperandKind::Nil | OperandKind::Dot => {
                return Err(self.fault(&format!("unexpected . after term {}", quoted(&term.to_string()))));
            }
            OperandKind::Function(..) | OperandKind::Pipe(_) | OperandKind::Chain(..) => OperandKind::Chain(Box::new(term), path),
        };
        Ok(Some(Operand { kind, at }))
    }

    fn term(&mut self) -> Parse<Option<Operand>> {
        let Item { token, at } = self.item()?;
        let kind = match token {
            Token::Name(name) => match name.as_str() {
                "true" => OperandKind::Bool(true),
                "false" => OperandKind::Bool(false),
                "nil" => OperandKind::Nil,
                word if KEYWORDS.contains(&word) => return Err(self.unexpected(&Token::Name(name), "operand")),
                word => match Function::named(word, self.dialect) {
                    Some(function) => OperandKind::Function(function, name),
                    None => return Err(self.fault(&format!("function {} not defined", quoted(word)))),
                },
            },
            Token::Dot => OperandKind::Dot,
            Token::Field(name) => OperandKind::Field(vec![name]),
            Token::Variable(name) => {
                if !self.variables.contains(&name) {
                    return Err(self.fault(&format!("undefined variable {}", quoted(&name))));
                }
                OperandKind::Variable(name, Vec::new())
            }
            Token::Quoted(value, written) => OperandKind::Text(value, written),
            Token::Number(written) => match Number::read(&written) {
                Some(number) => OperandKind::Number(number, written),
                None if written.starts_with('\'') => return Err(self.fault(&format!("malformed character constant: {written}"))),
                None => return Err(self.fault(&format!("illegal number syntax: {}", quoted(&written)))),
            },
            Token::Open => OperandKind::Pipe(Box::new(self.deeper(|parser| parser.pipe("parenthesized pipeline", &Token::Close))?)),
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Operand { kind, at }))
    }
}

/// Words with which actions other than printing begin.
const KEYWORDS: [&str; 10] = ["if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"];

/// A token as Go's parser names it.
fn named(token: &Token) -> String {
    let text = match token {
        Token::Eof => return "EOF".to_owned(),
        Token::Name(word) if word == "nil" || KEYWORDS.contains(&word.as_str()) => return format!("<{word}>"),
        Token::Text(text) | Token::Number(text) | Token::Variable(text) | Token::Name(text) | Token::Quoted(_, text) => text.clone(),
        Token::Begin => "{{".to_owned(),
        Token::End => "}}".to_owned(),
        Token::Space => " ".to_owned(),
        Token::Field(name) => format!(".{name}"),
        Token::Dot => return "<.>".to_owned(),
        Token::Pipe => "|".to_owned(),
        Token::Open => "(".to_owned(),
        Token::Close => ")".to_owned(),
        Token::Assign => "=".to_owned(),
        Token::Declare => ":=".to_owned(),
        Token::Char(c) => c.to_string(),
        Token::Bad(reason) => return reason.clone(),
    };
    if text.chars().count() > 10 { format!("{}...", quoted(&text.chars().take(10).collect::<String>())) } else { quoted(&text) }
}
