//! Go templates over the fields of a record: `line_format`, `label_format` and template stages.
//!
//! Parts: [`Template`] (parsed once, then [`Template::render`]), the tree below it, `parse` (text to tree), `lex` (the
//! tokens of an action), `functions` (what a pipe can call), `value` (what is computed with).
//!
//! Supported: text, `{{.name}}`, string constants, calls with arguments, pipes and parentheses, comments, trimming by `{{-` and
//! `-}}`; the functions of `functions`. Everything else of the language is refused when the template is parsed, by name.
//! Limits: [`TEMPLATE_SOURCE_BYTES_MAX`], [`TEMPLATE_NEST_MAX`](crate::limits::TEMPLATE_NEST_MAX). Promises: rendering has no loops, so it is linear in
//! the tree and the values. Must not do: know where fields come from.

use std::borrow::Cow;

use proto_model::Timestamp;

use crate::limits::TEMPLATE_SOURCE_BYTES_MAX;
use crate::text;

pub use crate::fault::TemplateFault;

use self::functions::Function;
use self::value::Value;

mod functions;
mod lex;
mod parse;
mod value;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// What it is for, as faults call it.
    name: &'static str,
    nodes: Vec<Node>,
}

/// One part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Text(String),
    Print(Pipe),
}

/// `first | second | …`: each call gets the value before it as its last argument.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pipe {
    first: Operand,
    calls: Vec<Call>,
}

/// A function with the arguments written after it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    function: Function,
    arguments: Vec<Operand>,
    place: Place,
}

/// Something that has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    /// `.name`; more names than one ask for a part of a text, which has none.
    Field(Vec<String>, Place),
    Constant(String),
    Call(Box<Call>),
    /// In parentheses.
    Pipe(Box<Pipe>),
}

/// Where a part stands in the source, for faults.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
    part: String,
}

impl Template {
    /// Reads a line's template.
    ///
    /// # Errors
    /// When `source` is no template, names an unknown function, or uses a part of the language that is not supported.
    pub fn parse(source: &str) -> Result<Self, TemplateFault> {
        Self::named("line", source)
    }

    /// Reads a template; `name` says in faults what it is for.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn named(name: &'static str, source: &str) -> Result<Self, TemplateFault> {
        if source.len() > TEMPLATE_SOURCE_BYTES_MAX {
            return Err(TemplateFault::Size { name, bytes: source.len(), max: TEMPLATE_SOURCE_BYTES_MAX });
        }
        Ok(Self { name, nodes: parse::parse(name, source)? })
    }

    /// Appends the template's text for one record to `out`. `field` gives the value of a name, `None` being the empty text.
    ///
    /// # Errors
    /// When a function refuses a value; what was rendered before it stands in `out` then.
    pub fn render<'a>(
        &self,
        field: &mut dyn FnMut(&str) -> Option<Cow<'a, str>>,
        line: &'a [u8],
        time: Timestamp,
        out: &mut String,
    ) -> Result<(), TemplateFault> {
        let mut record = Record { name: self.name, field, line, time };
        for node in &self.nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Print(pipe) => record.pipe(pipe)?.print(out),
            }
        }
        Ok(())
    }

    /// The names of all fields the template asks for, each as often as it is written.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let mut names = Vec::new();
        for node in &self.nodes {
            if let Node::Print(pipe) = node {
                collect(pipe, &mut names);
            }
        }
        names.into_iter()
    }
}

fn collect<'t>(pipe: &'t Pipe, names: &mut Vec<&'t str>) {
    collect_operand(&pipe.first, names);
    pipe.calls.iter().flat_map(|call| &call.arguments).for_each(|argument| collect_operand(argument, names));
}

fn collect_operand<'t>(operand: &'t Operand, names: &mut Vec<&'t str>) {
    match operand {
        Operand::Field(path, _) => names.extend(path.first().map(String::as_str)),
        Operand::Constant(_) => {}
        Operand::Call(call) => call.arguments.iter().for_each(|argument| collect_operand(argument, names)),
        Operand::Pipe(pipe) => collect(pipe, names),
    }
}

/// What a template is rendered over.
struct Record<'f, 'a> {
    name: &'static str,
    field: &'f mut dyn FnMut(&str) -> Option<Cow<'a, str>>,
    line: &'a [u8],
    time: Timestamp,
}

impl<'a> Record<'_, 'a> {
    fn pipe<'v>(&mut self, pipe: &'v Pipe) -> Result<Value<'v>, TemplateFault>
    where
        'a: 'v,
    {
        let mut value = self.operand(&pipe.first)?;
        for call in &pipe.calls {
            value = self.call(call, Some(value))?;
        }
        Ok(value)
    }

    fn operand<'v>(&mut self, operand: &'v Operand) -> Result<Value<'v>, TemplateFault>
    where
        'a: 'v,
    {
        match operand {
            Operand::Field(path, place) => match path.as_slice() {
                [name] => Ok(Value::Text((self.field)(name).unwrap_or_default())),
                [_, part, ..] => Err(self.fault(place, format!("can't evaluate field {part} in type string"))),
                [] => Ok(Value::Text(Cow::Borrowed(""))),
            },
            Operand::Constant(text) => Ok(Value::Text(Cow::Borrowed(text))),
            Operand::Call(call) => self.call(call, None),
            Operand::Pipe(pipe) => self.pipe(pipe),
        }
    }

    fn call<'v>(&mut self, call: &'v Call, piped: Option<Value<'v>>) -> Result<Value<'v>, TemplateFault>
    where
        'a: 'v,
    {
        match call.function {
            Function::Line => return Ok(Value::Text(text::repaired(self.line))),
            Function::Timestamp => return Ok(Value::Time(self.time)),
            Function::ToLower | Function::ToUpper | Function::TrimSpace => {}
        }
        let mut arguments = Vec::with_capacity(call.arguments.len() + 1);
        for argument in &call.arguments {
            arguments.push(self.operand(argument)?);
        }
        arguments.extend(piped);
        call.function.apply(arguments).map_err(|reason| self.fault(&call.place, reason))
    }

    fn fault(&self, place: &Place, reason: String) -> TemplateFault {
        TemplateFault::Call { name: self.name, line: place.line, column: place.column, part: place.part.clone(), reason }
    }
}

#[cfg(test)]
mod tests;
