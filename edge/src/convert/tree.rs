//! What is written: a tree with its order, as YAML.
//!
//! Pure. Parts: [`Node`], [`Node::yaml`]. A text is plain where YAML takes it for nothing else, else in double quotes.
//! Variables in texts ([`variable`]) become `${NAME}`, and every other dollar and backslash is then doubled, as
//! `-config.expand-env` wants it. Must not do: hide secrets: the file is to be run.

use serde_json::Value;

#[cfg(doc)]
use super::river::value::variable;
use super::river::value::variables_of;

/// A value to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// A number as written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A map in its order.
    Map(Vec<(String, Self)>),
}

impl Node {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A map of what is there.
    pub fn map<const N: usize>(pairs: [(&str, Option<Self>); N]) -> Self {
        Self::Map(pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::List(items) => items.is_empty(),
            Self::Map(pairs) => pairs.is_empty(),
            Self::Bool(_) | Self::Number(_) | Self::Text(_) => false,
        }
    }

    /// Of what was read.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.to_string()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Object(map) => Self::Map(map.iter().map(|(name, value)| (name.clone(), Self::of(value))).collect()),
        }
    }

    /// The names of all variables in it.
    pub fn variables(&self, into: &mut std::collections::BTreeSet<String>) {
        match self {
            Self::Text(text) => into.extend(variables_of(text).into_iter().filter(|(is_variable, _)| *is_variable).map(|(_, name)| name.to_owned())),
            Self::List(items) => items.iter().for_each(|item| item.variables(into)),
            Self::Map(pairs) => pairs.iter().for_each(|(_, value)| value.variables(into)),
            Self::Null | Self::Bool(_) | Self::Number(_) => {}
        }
    }

    /// As YAML.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut names = std::collections::BTreeSet::new();
        self.variables(&mut names);
        let mut writer = Writer { out: String::new(), expands: !names.is_empty() };
        writer.block(self, 0);
        writer.out
    }
}

struct Writer {
    out: String,
    /// Variables are put in when it is read: dollars and backslashes are written twice.
    expands: bool,
}

impl Writer {
    fn block(&mut self, node: &Node, depth: usize) {
        let indent = "  ".repeat(depth);
        match node {
            Node::Map(pairs) if !pairs.is_empty() => {
                for (at, (name, value)) in pairs.iter().enumerate() {
                    // The first key of an item stands behind its dash.
                    if at > 0 || !self.out.ends_with("- ") {
                        self.out.push_str(&indent);
                    }
                    let name = self.scalar_text(name);
                    self.out.push_str(&format!("{name}:"));
                    self.under(value, depth);
                }
            }
            Node::List(items) if !items.is_empty() => {
                for item in items {
                    self.out.push_str(&format!("{indent}- "));
                    if matches!(item, Node::Map(pairs) if !pairs.is_empty()) {
                        self.block(item, depth + 1);
                    } else {
                        let written = self.flat(item);
                        self.out.push_str(&format!("{written}\n"));
                    }
                }
            }
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::List(_) | Node::Map(_) => {
                let written = self.flat(node);
                self.out.push_str(&format!("{indent}{written}\n"));
            }
        }
    }

    fn under(&mut self, value: &Node, depth: usize) {
        match value {
            Node::Map(pairs) if !pairs.is_empty() => {
                self.out.push('\n');
                self.block(value, depth + 1);
            }
            Node::List(items) if items.iter().any(|item| matches!(item, Node::Map(_))) => {
                self.out.push('\n');
                self.block(value, depth + 1);
            }
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::List(_) | Node::Map(_) => {
                let written = self.flat(value);
                self.out.push_str(&format!(" {written}\n"));
            }
        }
    }

    /// In one line.
    fn flat(&self, node: &Node) -> String {
        match node {
            Node::Null => "null".to_owned(),
            Node::Bool(value) => value.to_string(),
            Node::Number(number) => number.clone(),
            Node::Text(text) => self.scalar_text(text),
            Node::List(items) => format!("[{}]", items.iter().map(|item| self.flat(item)).collect::<Vec<_>>().join(", ")),
            Node::Map(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}: {}", self.scalar_text(name), self.flat(value))).collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }

    fn scalar_text(&self, text: &str) -> String {
        let written: String = variables_of(text).into_iter().map(|(is_variable, part)| if is_variable { String::new() } else { part.to_owned() }).collect();
        let is_plain = written == text
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
            && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
        if is_plain {
            return text.to_owned();
        }
        let json = |text: &str| Value::from(text).to_string().replace('\u{7f}', "\\u007f");
        if !self.expands {
            return json(text);
        }
        let parts = variables_of(text).into_iter().map(|(is_variable, part)| {
            if is_variable {
                return format!("${{{part}}}");
            }
            let quoted = json(part);
            quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().replace('\\', "\\\\").replace('$', "$$")
        });
        format!("\"{}\"", parts.collect::<String>())
    }
}
