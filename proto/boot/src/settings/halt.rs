//! Why reading a tree into a type stopped: one mistake, and the path to the node that is to blame.
//!
//! [`Halt`] is serde's error type here. The path grows from the inside out while the error travels
//! up, so that the caller can take the node out of the tree and read on.
//! Must not do: print values of settings (they may be secrets); kinds only.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::tree::{Node, Place, Step, Value, shortened};
use crate::limits::KNOWN_KEYS_SHOWN_MAX;
use crate::mistake::Mistake;
use crate::nearest::nearest;

/// An error on the way up. Boxed inside: it is rare and serde passes it by value.
#[derive(Debug)]
pub(crate) struct Halt(Box<Inner>);

#[derive(Debug)]
struct Inner {
    text: String,
    fix: String,
    place: Option<Place>,
    /// Innermost step first.
    path: Vec<Step>,
    missing: Option<&'static str>,
    in_hole: bool,
    ignored: bool,
}

/// A halt that has arrived at the root.
pub(crate) struct Arrived {
    /// What to tell, unless it follows from something told before.
    pub(crate) mistake: Option<Mistake>,
    /// From the root to the node to blame.
    pub(crate) path: Vec<Step>,
    /// The key that the map at the end of `path` lacks.
    pub(crate) missing: Option<&'static str>,
}

impl Halt {
    pub(crate) fn new(text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self(Box::new(Inner { text: text.into(), fix: fix.into(), place: None, path: Vec::new(), missing: None, in_hole: false, ignored: false }))
    }

    pub(crate) fn unknown_key(key: &str, known: &[&'static str]) -> Self {
        Self::new(format!("unknown key {:?}", shortened(key)), known_fix("key", key, known))
    }

    /// A type would read past a value: the key in front of it is unknown.
    pub(crate) fn ignored() -> Self {
        let mut halt = Self::new("this value has no meaning here", "remove it");
        halt.0.ignored = true;
        halt
    }

    pub(crate) const fn is_ignored(&self) -> bool {
        self.0.ignored
    }

    /// Sets the place unless an inner node has set it.
    pub(crate) fn at(mut self, place: &Place) -> Self {
        self.0.place.get_or_insert_with(|| place.clone());
        self
    }

    pub(crate) fn through(mut self, step: Step) -> Self {
        self.0.path.push(step);
        self
    }

    /// It arose in this node: from a hole it follows from a missing key, which is told already.
    pub(crate) fn of(mut self, node: &Node) -> Self {
        self.0.in_hole |= matches!(node.value, Value::Hole);
        self.at(&node.place)
    }

    pub(crate) fn arrive(self, root: &Place) -> Arrived {
        let mut inner = *self.0;
        inner.path.reverse();
        let place = inner.place.unwrap_or_else(|| root.clone());
        let mistake = (!inner.in_hole).then(|| place.mistake(inner.text, inner.fix));
        Arrived { mistake, path: inner.path, missing: inner.missing }
    }
}

/// `did you mean "x"`, or the known words.
fn known_fix(what: &str, word: &str, known: &[&'static str]) -> String {
    if let Some(near) = nearest(word, known.iter().copied()) {
        return format!("did you mean {near:?}");
    }
    match known {
        [] => format!("remove it: no {what} is allowed here"),
        [only] => format!("the only {what} here is {only}"),
        _ if known.len() > KNOWN_KEYS_SHOWN_MAX => format!("known here are {}, ...", known[..KNOWN_KEYS_SHOWN_MAX].join(", ")),
        _ => format!("known here are {}", known.join(", ")),
    }
}

/// What a reader wanted, in a user's words.
fn wanted(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    if text.starts_with("struct ") || text == "a map" {
        return "a map of keys".to_owned();
    }
    if text.starts_with("tuple struct ") || text.starts_with("a tuple") || text == "a sequence" {
        return "a list".to_owned();
    }
    match text.as_str() {
        "a string" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "f64" | "f32" => "a number".to_owned(),
        "u8" => whole(u8::MIN, u8::MAX),
        "u16" => whole(u16::MIN, u16::MAX),
        "u32" => whole(u32::MIN, u32::MAX),
        "u64" | "usize" => whole(u64::MIN, u64::MAX),
        "i8" => whole(i8::MIN, i8::MAX),
        "i16" => whole(i16::MIN, i16::MAX),
        "i32" => whole(i32::MIN, i32::MAX),
        "i64" | "isize" => whole(i64::MIN, i64::MAX),
        _ => text,
    }
}

fn whole(least: impl fmt::Display, most: impl fmt::Display) -> String {
    format!("a whole number from {least} to {most}")
}

/// What was found, without its value.
fn found(unexpected: &Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number with a point",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map | Unexpected::NewtypeStruct => "a map of keys",
        Unexpected::Enum | Unexpected::UnitVariant | Unexpected::NewtypeVariant | Unexpected::TupleVariant | Unexpected::StructVariant => "a choice",
        Unexpected::Other(_) => "something else",
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; fix: {}", self.0.text, self.0.fix)
    }
}

impl std::error::Error for Halt {}

impl de::Error for Halt {
    /// Texts of this project end in their remedy after the last `; `.
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        match message.rsplit_once("; ") {
            Some((text, fix)) => Self::new(text, fix),
            None => Self::new(message, "correct the value"),
        }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let wanted = wanted(expected);
        Self::new(format!("expected {wanted}, found {}", found(&unexpected)), format!("write {wanted}"))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let wanted = wanted(expected);
        Self::new(format!("expected {wanted}, found {length} values"), format!("write {wanted}"))
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!("unknown value {:?}", shortened(variant)), known_fix("value", variant, known))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::unknown_key(field, known)
    }

    fn missing_field(field: &'static str) -> Self {
        let mut halt = Self::new(format!("key {field:?} is missing"), format!("add {field}: with its value"));
        halt.0.missing = Some(field);
        halt
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("key {field:?} is given twice, once under another name"), "keep one of the two")
    }
}
