//! The tree of a template, and how its parts are written in faults.
//!
//! Parts: [`Node`] (what is done), [`Pipe`], [`Command`], [`Operand`] (what has a value). Promises: a part is written in
//! faults as Go writes it. Must not do: compute.

use std::fmt;

use super::functions::Function;
use super::value::Number;

/// One part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    Print(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
    /// `{{template "name" pipe}}`
    Template {
        name: String,
        pipe: Option<Pipe>,
        at: usize,
    },
}

/// A pipe and what is done by its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// `$x := first | second | …`: each command gets the value before it as its last argument.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipe {
    pub(super) at: usize,
    /// Variables that are set.
    pub(super) set: Vec<String>,
    /// Whether they stood before.
    pub(super) is_assignment: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand and its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    pub(super) operands: Vec<Operand>,
}

/// Something that has a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    pub(super) kind: OperandKind,
    pub(super) at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    /// Its value, and as it is written.
    Text(String, String),
    /// Its value, and as it is written.
    Number(Number, String),
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`
    Variable(String, Vec<String>),
    Function(Function, String),
    /// In parentheses.
    Pipe(Box<Pipe>),
    /// `(pipe).a.b`
    Chain(Box<Operand>, Vec<String>),
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.set.is_empty() {
            write!(f, "{} {} ", self.set.join(", "), if self.is_assignment { "=" } else { ":=" })?;
        }
        for (at, command) in self.commands.iter().enumerate() {
            write!(f, "{}{command}", if at > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, operand) in self.operands.iter().enumerate() {
            write!(f, "{}{operand}", if at > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Bool(value) => write!(f, "{value}"),
            OperandKind::Text(_, written) | OperandKind::Number(_, written) => f.write_str(written),
            OperandKind::Field(path) => write!(f, ".{}", path.join(".")),
            OperandKind::Variable(name, path) => path.iter().try_fold(f.write_str(name)?, |(), part| write!(f, ".{part}")),
            OperandKind::Function(_, name) => f.write_str(name),
            OperandKind::Pipe(pipe) => write!(f, "({pipe})"),
            OperandKind::Chain(operand, path) => path.iter().try_fold(write!(f, "{operand}")?, |(), part| write!(f, ".{part}")),
        }
    }
}
