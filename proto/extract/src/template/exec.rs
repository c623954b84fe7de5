//! Runs a tree over a record.
//!
//! Parts: [`Run`] (one rendering: variables, steps, output), a method per kind of node and operand; arguments are checked
//! as Go checks them, with its words. Limits: [`TEMPLATE_STEPS_MAX`] parts, [`TEMPLATE_OUTPUT_BYTES_MAX`] bytes,
//! [`TEMPLATE_CALLS_MAX`] calls of templates inside each other. Must not do: parse.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use proto_model::Timestamp;

use super::functions::{self, Arguments, Dialect, Entry, Param};
use super::node::{Branch, Command, Node, Operand, OperandKind, Pipe};
use super::value::{Value, print_map};
use super::{Fields, Template};
use crate::fault::TemplateFault;
use crate::limits::{TEMPLATE_CALLS_MAX, TEMPLATE_OUTPUT_BYTES_MAX, TEMPLATE_STEPS_MAX};
use crate::text::repaired;

/// One rendering.
pub(super) struct Run<'r> {
    template: &'r Template,
    fields: &'r dyn Fields,
    line: &'r [u8],
    time: Timestamp,
    variables: Vec<(String, Value<'r>)>,
    steps: usize,
    calls: usize,
    pub(super) out: Vec<u8>,
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

type Ran<T> = Result<T, TemplateFault>;

impl<'r> Run<'r> {
    pub(super) fn new(template: &'r Template, fields: &'r dyn Fields, line: &'r [u8], time: Timestamp) -> Self {
        Self { template, fields, line, time, variables: vec![("$".to_owned(), Value::Record)], steps: 0, calls: 0, out: Vec::new() }
    }

    pub(super) fn run(&mut self) -> Ran<()> {
        self.nodes(&self.template.nodes, &Value::Record).map(drop)
    }

    fn fault(&self, at: usize, part: &str, reason: impl Into<String>) -> TemplateFault {
        let before = &self.template.source[..at.min(self.template.source.len())];
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        TemplateFault::Call { name: self.template.name, line, column, part: part.to_owned(), reason: reason.into() }
    }

    fn nodes(&mut self, nodes: &'r [Node], dot: &Value<'r>) -> Ran<Flow> {
        for node in nodes {
            self.steps += 1;
            if self.steps > TEMPLATE_STEPS_MAX || self.out.len() > TEMPLATE_OUTPUT_BYTES_MAX {
                return Err(self.fault(
                    0,
                    self.template.name,
                    format!("more than {TEMPLATE_STEPS_MAX} parts or {TEMPLATE_OUTPUT_BYTES_MAX} bytes for one record"),
                ));
            }
            let variables = self.variables.len();
            let flow = match node {
                Node::Text(text) => {
                    self.out.extend_from_slice(text.as_bytes());
                    Flow::On
                }
                Node::Print(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.set.is_empty() {
                        self.print(&value);
                    }
                    continue;
                }
                Node::If(branch) | Node::With(branch) => {
                    let value = self.pipe(&branch.pipe, dot)?;
                    let inner = if matches!(node, Node::With(_)) { &value } else { dot };
                    if value.is_true() { self.nodes(&branch.then, inner)? } else { self.nodes(&branch.otherwise, dot)? }
                }
                Node::Range(branch) => self.range(branch, dot)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
                Node::Template { name, pipe, at } => {
                    self.call_template(name, pipe.as_ref(), *at, dot)?;
                    Flow::On
                }
            };
            self.variables.truncate(variables);
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn print(&mut self, value: &Value<'_>) {
        match value {
            Value::Nil => self.out.extend_from_slice(b"<no value>"),
            Value::Record => {
                let all: Vec<(String, Value<'_>)> = self.fields.all().into_iter().map(|(name, value)| (name, Value::text(value))).collect();
                print_map(all.iter().map(|(name, value)| (name.as_str(), value)), &mut self.out);
            }
            value => value.print(&mut self.out),
        }
    }

    fn range(&mut self, branch: &'r Branch, dot: &Value<'r>) -> Ran<Flow> {
        let over = self.pipe(&branch.pipe, dot)?;
        let names = &branch.pipe.set;
        // The pipe set its last variable to the whole; each turn sets them anew.
        let base = self.variables.len();
        let pairs: Box<dyn Iterator<Item = (Value<'r>, Value<'r>)>> = match over {
            Value::List(values) => Box::new((0..values.len()).map(move |at| (Value::Int(i64::try_from(at).unwrap_or(i64::MAX)), values[at].clone()))),
            Value::Map(values) => Box::new(values.iter().map(|(name, value)| (Value::text(name.as_str()), value.clone())).collect::<Vec<_>>().into_iter()),
            Value::Record => Box::new(self.fields.all().into_iter().map(|(name, value)| (Value::text(name), Value::text(value)))),
            Value::Int(count) | Value::Int64(count) => Box::new((0..count).map(|at| (Value::Int(at), Value::Int(at)))),
            Value::Nil => Box::new(std::iter::empty()),
            other => {
                let shown = self.shown(&other);
                return Err(self.fault(branch.pipe.at, &branch.pipe.to_string(), format!("range can't iterate over {shown}")));
            }
        };
        let mut any = false;
        for (key, value) in pairs {
            any = true;
            match names.as_slice() {
                [one] => self.set(one, value.clone(), branch.pipe.is_assignment),
                [first, second] => {
                    self.set(first, key, branch.pipe.is_assignment);
                    self.set(second, value.clone(), branch.pipe.is_assignment);
                }
                _ => {}
            }
            let flow = self.nodes(&branch.then, &value)?;
            self.variables.truncate(base);
            if flow == Flow::Break {
                return Ok(Flow::On);
            }
        }
        if any { Ok(Flow::On) } else { self.nodes(&branch.otherwise, dot) }
    }

    fn shown(&self, value: &Value<'_>) -> String {
        let mut text = Vec::new();
        value.print(&mut text);
        repaired(&text).into_owned()
    }

    fn set(&mut self, name: &str, value: Value<'r>, assign: bool) {
        if assign && let Some((_, old)) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            *old = value;
            return;
        }
        self.variables.push((name.to_owned(), value));
    }

    fn call_template(&mut self, name: &str, pipe: Option<&'r Pipe>, at: usize, dot: &Value<'r>) -> Ran<()> {
        let part = || format!("{{{{template {}{}}}}}", proto_model::labels::quoted(name), pipe.map(|pipe| format!(" {pipe}")).unwrap_or_default());
        let Some(nodes) = self.template.defined.get(name) else {
            return Err(self.fault(at, &part(), format!("template {} not defined", proto_model::labels::quoted(name))));
        };
        if self.calls >= TEMPLATE_CALLS_MAX {
            return Err(self.fault(at, &part(), format!("exceeded maximum template depth ({TEMPLATE_CALLS_MAX})")));
        }
        let inner = pipe.map_or(Ok(Value::Nil), |pipe| self.pipe(pipe, dot))?;
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), inner.clone())]);
        self.calls += 1;
        let ran = self.nodes(nodes, &inner);
        self.calls -= 1;
        self.variables = outer;
        ran.map(drop)
    }

    fn pipe(&mut self, pipe: &'r Pipe, dot: &Value<'r>) -> Ran<Value<'r>> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        // A range sets its variables itself.
        if let [one] = pipe.set.as_slice() {
            self.set(one, value.clone(), pipe.is_assignment);
        }
        Ok(value)
    }

    fn command(&mut self, command: &'r Command, dot: &Value<'r>, piped: Option<Value<'r>>) -> Ran<Value<'r>> {
        let Some((first, arguments)) = command.operands.split_first() else { return Ok(Value::Nil) };
        if let OperandKind::Function(function, name) = &first.kind {
            return self.call(function.0, (first, name, command), (arguments, piped), dot);
        }
        if !arguments.is_empty() || piped.is_some() {
            return Err(match &first.kind {
                // A field is a value of the record, and values take no arguments.
                OperandKind::Field(path) if path.len() == 1 => {
                    let name = path.first().map_or("", String::as_str);
                    self.fault(first.at, &first.to_string(), format!("{name} is not a method but has arguments"))
                }
                _ => self.fault(first.at, &first.to_string(), format!("can't give argument to non-function {first}")),
            });
        }
        if matches!(first.kind, OperandKind::Nil) {
            return Err(self.fault(first.at, &first.to_string(), "nil is not a command"));
        }
        self.operand(first, dot)
    }

    fn operand(&mut self, operand: &'r Operand, dot: &Value<'r>) -> Ran<Value<'r>> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Bool(value) => Ok(Value::Bool(*value)),
            OperandKind::Text(value, _) => Ok(Value::Text(Cow::Borrowed(value.as_bytes()))),
            OperandKind::Number(number, written) => {
                number.value().ok_or_else(|| self.fault(operand.at, &operand.to_string(), format!("{written} overflows int")))
            }
            OperandKind::Field(path) => self.path(dot.clone(), path, operand),
            OperandKind::Variable(name, path) => {
                let value = self.variables.iter().rev().find(|(known, _)| known == name).map_or(Value::Nil, |(_, value)| value.clone());
                self.path(value, path, operand)
            }
            OperandKind::Function(function, name) => {
                let command = Command { operands: vec![operand.clone()] };
                self.call_alone(function.0, operand, name, &command)
            }
            OperandKind::Pipe(pipe) => self.pipe(pipe, dot),
            OperandKind::Chain(inner, path) => {
                let value = self.operand(inner, dot)?;
                self.path(value, path, operand)
            }
        }
    }

    /// A function as an argument: called without any.
    fn call_alone(&mut self, entry: &'static Entry, operand: &Operand, name: &str, command: &Command) -> Ran<Value<'r>> {
        if !entry.params.is_empty() {
            return Err(self.wrong_count(entry, operand, name, 0, 0));
        }
        self.applied(entry, operand, name, command, &[])
    }

    fn path(&mut self, mut value: Value<'r>, path: &[String], operand: &Operand) -> Ran<Value<'r>> {
        // What is in a map of JSON is of any type to Go.
        // Of what is not there nothing is there either; of a null it is a fault to ask.
        let mut missing = false;
        let mut anything = matches!(operand.kind, OperandKind::Chain(..)) && !matches!(value, Value::Text(_));
        for name in path {
            let of_record = matches!(value, Value::Record);
            if missing {
                continue;
            }
            missing = match &value {
                Value::Record => self.template.dialect == Dialect::Promtail && self.fields.get(name).is_none(),
                Value::Map(values) => !values.contains_key(name),
                _ => false,
            };
            value = match &value {
                Value::Record => match self.fields.get(name) {
                    Some(text) => Value::Text(match text {
                        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                    }),
                    None if self.template.dialect == Dialect::LogQl => Value::text(""),
                    None => Value::Nil,
                },
                Value::Map(values) => values.get(name).cloned().unwrap_or(Value::Nil),
                Value::Nil => {
                    return Err(self.fault(operand.at, &operand.to_string(), format!("nil pointer evaluating interface {{}}.{name}")));
                }
                other => {
                    let reason = format!("can't evaluate field {name} in type {}", if anything { "interface {}" } else { other.type_name() });
                    let seen = visited_last(operand);
                    return Err(self.fault(seen.at, &seen.to_string(), reason));
                }
            };
            anything = !of_record;
        }
        Ok(value)
    }

    fn wrong_count(&self, entry: &Entry, first: &Operand, name: &str, got: usize, written: usize) -> TemplateFault {
        let reason = match entry.more {
            Some(_) => format!("wrong number of args for {name}: want at least {} got {written}", entry.params.len()),
            None => format!("wrong number of args for {name}: want {} got {got}", entry.params.len()),
        };
        self.fault(first.at, &first.to_string(), reason)
    }

    fn call(
        &mut self,
        entry: &'static Entry,
        (first, name, command): (&'r Operand, &str, &'r Command),
        (arguments, piped): (&'r [Operand], Option<Value<'r>>),
        dot: &Value<'r>,
    ) -> Ran<Value<'r>> {
        let got = arguments.len() + usize::from(piped.is_some());
        if got < entry.params.len() || (entry.more.is_none() && got > entry.params.len()) {
            return Err(self.wrong_count(entry, first, name, got, arguments.len()));
        }
        if let functions::Run::And | functions::Run::Or = entry.run {
            return self.short_circuit(matches!(entry.run, functions::Run::Or), arguments, piped, dot);
        }
        let mut values = Vec::with_capacity(got);
        for (at, argument) in arguments.iter().enumerate() {
            let param = entry.params.get(at).copied().or(entry.more).unwrap_or(Param::Any);
            values.push(self.argument(argument, param, dot)?);
        }
        if let Some(piped) = piped {
            let param = entry.params.get(values.len()).copied().or(entry.more).unwrap_or(Param::Any);
            values.push(self.fitting(piped, param, first.at, &command.to_string())?);
        }
        self.applied(entry, first, name, command, &values)
    }

    fn short_circuit(&mut self, stop_at: bool, arguments: &'r [Operand], piped: Option<Value<'r>>, dot: &Value<'r>) -> Ran<Value<'r>> {
        let mut last = Value::Nil;
        for argument in arguments {
            last = self.argument(argument, Param::Any, dot)?;
            if last.is_true() == stop_at {
                return Ok(last);
            }
        }
        Ok(piped.unwrap_or(last))
    }

    fn applied(&self, entry: &Entry, first: &Operand, name: &str, command: &Command, values: &[Value<'r>]) -> Ran<Value<'r>> {
        let failed = |reason: String| self.fault(first.at, &command.to_string(), format!("error calling {name}: {reason}"));
        match entry.run {
            functions::Run::Line => Ok(Value::Text(Cow::Borrowed(self.line))),
            functions::Run::Timestamp => Ok(Value::Time(self.time, TimeZone::UTC)),
            functions::Run::And | functions::Run::Or => Ok(Value::Nil),
            functions::Run::Pure(run) => {
                // The record as a whole is a map of texts to every function.
                let record = |value: &Value<'r>| matches!(value, Value::Record);
                if !values.iter().any(record) {
                    return run(&Arguments { values, now: self.time }).map_err(failed);
                }
                let map: std::collections::BTreeMap<_, _> = self.fields.all().into_iter().map(|(name, value)| (name, Value::text(value))).collect();
                let map = Value::Map(std::sync::Arc::new(map));
                let values: Vec<Value<'_>> = values.iter().map(|value| if record(value) { map.clone() } else { value.clone() }).collect();
                let found = run(&Arguments { values: &values, now: self.time }).map_err(failed)?;
                let missing = matches!(found, Value::Nil) && name == "index" && self.template.dialect == Dialect::LogQl;
                Ok(if missing { Value::text("") } else { found })
            }
        }
    }

    /// An argument as written, of the kind that the function wants.
    fn argument(&mut self, operand: &'r Operand, param: Param, dot: &Value<'r>) -> Ran<Value<'r>> {
        let expected = |what: &str| self.fault(operand.at, &operand.to_string(), format!("expected {what}; found {operand}"));
        match (&operand.kind, param) {
            (OperandKind::Number(number, _), Param::Int) => number.int.map(Value::Int).ok_or_else(|| expected("integer")),
            (OperandKind::Number(number, _), Param::Float) => number.float.map(Value::Float).ok_or_else(|| expected("float")),
            (OperandKind::Text(..) | OperandKind::Bool(_), Param::Int) => Err(expected("integer")),
            (OperandKind::Text(..) | OperandKind::Bool(_), Param::Float) => Err(expected("float")),
            (OperandKind::Number(..) | OperandKind::Bool(_), Param::Text) => Err(expected("string")),
            (OperandKind::Number(..) | OperandKind::Bool(_) | OperandKind::Text(..), Param::Time) => {
                Err(self.fault(operand.at, &operand.to_string(), format!("can't handle {operand} for arg of type time.Time")))
            }
            (OperandKind::Nil, Param::Any) => Ok(Value::Nil),
            (OperandKind::Nil, param) => Err(self.fault(operand.at, "nil", format!("cannot assign nil to {}", functions::kind_name(param)))),
            _ => {
                let value = self.operand(operand, dot)?;
                let seen = visited_last(operand);
                self.fitting(value, param, seen.at, &seen.to_string())
            }
        }
    }

    /// A value where a function wants `param`.
    fn fitting(&self, value: Value<'r>, param: Param, at: usize, part: &str) -> Ran<Value<'r>> {
        let fits = match param {
            Param::Any => true,
            Param::Text => matches!(value, Value::Text(_)),
            Param::Int => matches!(value, Value::Int(_)),
            Param::Float => matches!(value, Value::Float(_)),
            Param::Time => matches!(value, Value::Time(..)),
        };
        match value {
            value if fits => Ok(value),
            Value::Nil => Err(self.fault(at, part, format!("invalid value; expected {}", functions::kind_name(param)))),
            other => Err(self.fault(at, part, format!("wrong type for value; expected {}; got {}", functions::kind_name(param), other.type_name()))),
        }
    }
}

/// The part that Go looked at last when `operand` has its value: it stands in faults about that value.
fn visited_last(operand: &Operand) -> &Operand {
    match &operand.kind {
        OperandKind::Chain(inner, _) => visited_last(inner),
        OperandKind::Pipe(pipe) => {
            let command = pipe.commands.last().map(|command| command.operands.as_slice());
            match command {
                Some([function, .., last]) if matches!(function.kind, OperandKind::Function(..)) => visited_last(last),
                Some([first, ..]) => visited_last(first),
                _ => operand,
            }
        }
        _ => operand,
    }
}
