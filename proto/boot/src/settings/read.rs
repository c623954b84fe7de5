//! Reads a settings tree into a type: serde's deserializer over [`Node`].
//!
//! Parts: [`Reader`], one node about to be read; [`access`](super::access) walks lists, maps and choices,
//! [`spanned`] serves `serde_saphyr::Spanned` with the node's line and column.
//! Promises: a scalar is read by what the type wants (`version: 1.10` into text stays `1.10`); unknown
//! keys are refused even where a type would ignore them; a key without a value counts as absent.
//! Must not do: change the tree (`settings` does, between two readings).

use serde::de::{self, Deserializer, Unexpected, Visitor};

use super::access::{Choice, Items, Keys};
use super::environment::{Environment, Trail};
use super::halt::Halt;
use super::spanned::{self, SpannedReader};
use super::tree::{Entry, Layer, Node, Value};

/// One node, about to be read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) node: &'a Node,
    pub(crate) environment: &'a Environment<'a>,
    /// The keys that lead here; `None` below a list, where variables cannot reach.
    pub(crate) trail: Option<&'a Trail<'a>>,
    /// Whether the type that holds this value says all its keys: then a value it would pass over has an unknown key.
    pub(crate) strict: bool,
}

pub(crate) type Answer<T> = Result<T, Halt>;

impl<'a> Reader<'a> {
    fn located<T>(&self, answer: Answer<T>) -> Answer<T> {
        answer.map_err(|halt| halt.of(self.node))
    }

    /// The text of an unquoted scalar.
    fn plain(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, plain: true } => Some(text),
            Value::Scalar { .. } | Value::Seq(_) | Value::Map(_) | Value::Hole => None,
        }
    }

    fn unexpected(&self) -> Unexpected<'a> {
        match &self.node.value {
            Value::Scalar { .. } if self.node.is_null() => Unexpected::Unit,
            Value::Scalar { text, plain } => match integer(text).filter(|_| *plain) {
                Some(_) => Unexpected::Unsigned(0),
                None => Unexpected::Str(text),
            },
            Value::Seq(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
            Value::Hole => Unexpected::Unit,
        }
    }

    fn wrong<'de, T, V: Visitor<'de>>(&self, visitor: &V) -> Answer<T> {
        Err(de::Error::invalid_type(self.unexpected(), visitor))
    }

    /// Reads a number or boolean: from a plain scalar by `parse`, from a hole as `empty`.
    fn parsed<'de, T, V: Visitor<'de>>(
        &self,
        visitor: V,
        empty: T,
        parse: impl Fn(&str) -> Option<T>,
        visit: impl Fn(V, T) -> Answer<V::Value>,
    ) -> Answer<V::Value> {
        let value = match &self.node.value {
            Value::Hole => Some(empty),
            Value::Scalar { .. } | Value::Seq(_) | Value::Map(_) => self.plain().and_then(parse),
        };
        let answer = match value {
            Some(value) => visit(visitor, value),
            None => self.wrong(&visitor),
        };
        self.located(answer)
    }

    pub(crate) fn list<'de, V: Visitor<'de>>(&self, visitor: V) -> Answer<V::Value> {
        let answer = match &self.node.value {
            Value::Seq(items) => visitor.visit_seq(Items { items: items.iter(), index: 0, environment: self.environment }),
            Value::Hole => visitor.visit_seq(Items { items: [].iter(), index: 0, environment: self.environment }),
            Value::Scalar { .. } if self.node.is_null() => visitor.visit_seq(Items { items: [].iter(), index: 0, environment: self.environment }),
            // A variable or flag has no lines for a list: `a,b` stands for `[a, b]`.
            Value::Scalar { text, .. } if self.node.place.layer != Layer::File => {
                let items: Vec<Node> = text.split(',').map(|item| Node::scalar(self.node.place.clone(), item.trim())).collect();
                visitor.visit_seq(Items { items: items.iter(), index: 0, environment: self.environment })
            }
            Value::Scalar { .. } | Value::Map(_) => self.wrong(&visitor),
        };
        self.located(answer)
    }

    pub(crate) fn keys<'de, V: Visitor<'de>>(&self, visitor: V, fields: Option<&'static [&'static str]>) -> Answer<V::Value> {
        self.environment.visit(self.trail, self.node, fields);
        let entries: &[Entry] = match &self.node.value {
            Value::Map(map) => &map.entries,
            Value::Hole => &[],
            Value::Scalar { .. } if self.node.is_null() => &[],
            Value::Scalar { .. } | Value::Seq(_) => return self.located(self.wrong(&visitor)),
        };
        self.located(visitor.visit_map(Keys { entries: entries.iter(), current: None, fields, environment: self.environment, trail: self.trail }))
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
            self.parsed(visitor, 0, |text| integer(text).and_then(|wide| <$type>::try_from(wide).ok()), V::$visit)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Halt;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        match &self.node.value {
            Value::Seq(_) => self.list(visitor),
            Value::Map(_) => self.keys(visitor, None),
            Value::Hole => self.located(visitor.visit_unit()),
            Value::Scalar { text, plain: false } => self.located(visitor.visit_str(text)),
            Value::Scalar { text, plain: true } => self.located(any_plain(self.node, text, visitor)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.parsed(visitor, false, boolean, V::visit_bool)
    }

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.parsed(visitor, 0.0, float, V::visit_f64)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        let answer = match &self.node.value {
            Value::Hole => visitor.visit_str(""),
            Value::Scalar { .. } if self.node.is_null() => visitor.visit_str(""),
            Value::Scalar { text, .. } => visitor.visit_str(text),
            Value::Seq(_) | Value::Map(_) => self.wrong(&visitor),
        };
        self.located(answer)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        if matches!(self.node.value, Value::Hole) || self.node.is_null() { self.located(visitor.visit_none()) } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        let empty = match &self.node.value {
            Value::Map(map) => map.entries.is_empty(),
            Value::Hole => true,
            Value::Scalar { .. } | Value::Seq(_) => self.node.is_null(),
        };
        let answer = if empty { visitor.visit_unit() } else { self.wrong(&visitor) };
        self.located(answer)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Answer<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Answer<V::Value> {
        if name == spanned::NAME { visitor.visit_newtype_struct(SpannedReader::node(self)) } else { self.located(visitor.visit_newtype_struct(self)) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Answer<V::Value> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _name: &'static str, _len: usize, visitor: V) -> Answer<V::Value> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.keys(visitor, None)
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _name: &'static str, fields: &'static [&'static str], visitor: V) -> Answer<V::Value> {
        self.keys(visitor, Some(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _name: &'static str, variants: &'static [&'static str], visitor: V) -> Answer<V::Value> {
        let choice = match &self.node.value {
            Value::Scalar { text, .. } if !self.node.is_null() => Choice { name: text, place: &self.node.place, content: None, reader: self },
            Value::Map(map) => match &map.entries[..] {
                [only] => Choice { name: &only.key, place: &only.place, content: Some(&only.node), reader: self },
                entries => {
                    let halt = Halt::new(format!("expected exactly one key, found {}", entries.len()), format!("keep one of {}", variants.join(", ")));
                    return self.located(Err(halt));
                }
            },
            Value::Scalar { .. } | Value::Seq(_) | Value::Hole => {
                let halt = Halt::new(
                    format!("expected a choice, found {}", if self.node.is_null() { "nothing" } else { "a list" }),
                    format!("write one of {}", variants.join(", ")),
                );
                return self.located(Err(halt));
            }
        };
        self.located(visitor.visit_enum(choice))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.located(if self.strict { Err(Halt::ignored()) } else { visitor.visit_unit() })
    }
}

/// A plain scalar where the type has no wish: by YAML 1.2's core schema, but a number with leading zeros stays text.
fn any_plain<'de, V: Visitor<'de>>(node: &Node, text: &str, visitor: V) -> Answer<V::Value> {
    if node.is_null() {
        return visitor.visit_unit();
    }
    match text {
        "true" | "True" | "TRUE" => return visitor.visit_bool(true),
        "false" | "False" | "FALSE" => return visitor.visit_bool(false),
        _ => {}
    }
    let digits = text.trim_start_matches(['-', '+']);
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    if let Some(wide) = integer(text).filter(|_| !leading_zero) {
        if let Ok(number) = u64::try_from(wide) {
            return visitor.visit_u64(number);
        }
        if let Ok(number) = i64::try_from(wide) {
            return visitor.visit_i64(number);
        }
    }
    match float(text).filter(|_| !leading_zero) {
        Some(number) => visitor.visit_f64(number),
        None => visitor.visit_str(text),
    }
}

/// YAML 1.1's booleans too: files written for Promtail hold `yes` and `on`.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let parse = |digits: &str, radix| if digits.starts_with(['-', '+']) { None } else { i128::from_str_radix(digits, radix).ok() };
    let value = match digits.get(..2) {
        Some("0x") => parse(&digits[2..], 16),
        Some("0o") => parse(&digits[2..], 8),
        Some(_) | None => parse(digits, 10),
    }?;
    value.checked_mul(sign)
}

fn float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | "+.inf" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" => Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" => Some(f64::NAN),
        _ if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) => text.parse().ok(),
        _ => None,
    }
}
