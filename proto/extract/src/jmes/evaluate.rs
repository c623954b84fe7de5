//! What a JMESPath expression gives for a value.
//!
//! Parts: [`evaluate`], the language's functions, [`FUNCTIONS`]. An expression that uses a value of the wrong type gives
//! nothing, as does one that would copy more than `COPIES_MAX` values. Numbers are floats, as in Go. Must not do: parse.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::language::{Items, Node};
use super::print;

/// Values that one expression may copy for one line.
const COPIES_MAX: usize = 200_000;

/// The functions there are, with the least and the most arguments.
pub(super) const FUNCTIONS: [(&str, usize, usize); 26] = [
    ("abs", 1, 1),
    ("avg", 1, 1),
    ("ceil", 1, 1),
    ("contains", 2, 2),
    ("ends_with", 2, 2),
    ("floor", 1, 1),
    ("join", 2, 2),
    ("keys", 1, 1),
    ("length", 1, 1),
    ("map", 2, 2),
    ("max", 1, 1),
    ("max_by", 2, 2),
    ("merge", 1, usize::MAX),
    ("min", 1, 1),
    ("min_by", 2, 2),
    ("not_null", 1, usize::MAX),
    ("reverse", 1, 1),
    ("sort", 1, 1),
    ("sort_by", 2, 2),
    ("starts_with", 2, 2),
    ("sum", 1, 1),
    ("to_array", 1, 1),
    ("to_number", 1, 1),
    ("to_string", 1, 1),
    ("type", 1, 1),
    ("values", 1, 1),
];

/// The value; `None` where there is none, be it for a type that does not fit.
pub(super) fn evaluate(node: &Node, value: &Value) -> Option<Value> {
    Evaluation { copies: COPIES_MAX }.node(node, value).ok().filter(|found| !found.is_null())
}

/// A type does not fit, or there is too much to copy.
struct Unfit;

type Found = Result<Value, Unfit>;

struct Evaluation {
    /// How many more values may be copied.
    copies: usize,
}

impl Evaluation {
    fn copy(&mut self, value: &Value) -> Found {
        self.copies = self.copies.checked_sub(size(value)).ok_or(Unfit)?;
        Ok(value.clone())
    }

    fn node(&mut self, node: &Node, value: &Value) -> Found {
        match node {
            Node::Current => self.copy(value),
            Node::Field(name) => value.get(name).map_or(Ok(Value::Null), |found| self.copy(found)),
            Node::Index(index) => {
                let found = value.as_array().and_then(|items| items.get(position(*index, items.len())?));
                found.map_or(Ok(Value::Null), |found| self.copy(found))
            }
            Node::Slice(parts) => match value.as_array() {
                Some(items) => sliced(items.len(), *parts).into_iter().map(|at| self.copy(&items[at])).collect::<Result<_, _>>().map(Value::Array),
                None => Ok(Value::Null),
            },
            Node::Literal(literal) => self.copy(literal),
            Node::Then(left, right) => {
                let left = self.node(left, value)?;
                self.node(right, &left)
            }
            Node::Each(items, left, right) => self.each(items, left, right, value),
            Node::Or(left, right) => {
                let left = self.node(left, value)?;
                if is_true(&left) { Ok(left) } else { self.node(right, value) }
            }
            Node::And(left, right) => {
                let left = self.node(left, value)?;
                if is_true(&left) { self.node(right, value) } else { Ok(left) }
            }
            Node::Not(inner) => self.node(inner, value).map(|inner| Value::Bool(!is_true(&inner))),
            Node::Compare(sign, left, right) => {
                let (left, right) = (self.node(left, value)?, self.node(right, value)?);
                Ok(compared(sign, &left, &right))
            }
            // nothing is taken out of nothing
            Node::List(_) | Node::Map(_) if value.is_null() => Ok(Value::Null),
            Node::List(nodes) => nodes.iter().map(|node| self.node(node, value)).collect::<Result<_, _>>().map(Value::Array),
            Node::Map(pairs) => {
                let pairs: Result<Map<_, _>, _> = pairs.iter().map(|(name, node)| Ok((name.clone(), self.node(node, value)?))).collect();
                pairs.map(Value::Object)
            }
            Node::Call(name, arguments) => self.call(name, arguments, value),
            Node::Reference(_) => Err(Unfit),
        }
    }

    fn each(&mut self, items: &Items, left: &Node, right: &Node, value: &Value) -> Found {
        let over = match (items, self.node(left, value)?) {
            (Items::Values, Value::Object(map)) => map.into_iter().map(|(_, value)| value).collect(),
            (Items::List | Items::Where(_), Value::Array(list)) => list,
            (Items::Flat, Value::Array(list)) => list.into_iter().flat_map(|item| if let Value::Array(inner) = item { inner } else { vec![item] }).collect(),
            _ => return Ok(Value::Null),
        };
        let mut out = Vec::new();
        for item in &over {
            if let Items::Where(condition) = items
                && !is_true(&self.node(condition, item)?)
            {
                continue;
            }
            let found = self.node(right, item)?;
            if !found.is_null() {
                out.push(found);
            }
        }
        Ok(Value::Array(out))
    }

    fn call(&mut self, name: &str, arguments: &[Node], value: &Value) -> Found {
        match (name, arguments) {
            ("map", [Node::Reference(by), list]) => {
                let Value::Array(items) = self.node(list, value)? else { return Err(Unfit) };
                items.iter().map(|item| self.node(by, item)).collect::<Result<_, _>>().map(Value::Array)
            }
            ("sort_by" | "max_by" | "min_by", [list, Node::Reference(by)]) => {
                let Value::Array(items) = self.node(list, value)? else { return Err(Unfit) };
                let mut keyed: Vec<(Value, Value)> = items.into_iter().map(|item| Ok((self.node(by, &item)?, item))).collect::<Result<_, _>>()?;
                sort(&mut keyed, |(key, _)| key)?;
                // of equal ones the first is the least and the greatest
                let chosen = match name {
                    "min_by" => keyed.into_iter().next(),
                    "max_by" => keyed.into_iter().rev().reduce(|best, next| if order(&best.0, &next.0) == Some(Ordering::Equal) { next } else { best }),
                    _ => return Ok(Value::Array(keyed.into_iter().map(|(_, item)| item).collect())),
                };
                Ok(chosen.map_or(Value::Null, |(_, item)| item))
            }
            _ => {
                let given: Vec<Value> = arguments.iter().map(|argument| self.node(argument, value)).collect::<Result<_, _>>()?;
                function(name, given)
            }
        }
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        Value::String(text) => 1 + text.len() / 64,
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index.checked_add(length)? } else { index }).ok()
}

/// The places that a slice of a list of this length takes.
fn sliced(length: usize, [start, stop, step]: [Option<i64>; 3]) -> Vec<usize> {
    let (length, step) = (i64::try_from(length).unwrap_or(i64::MAX), step.unwrap_or(1));
    let bound = |at: Option<i64>, default: i64| match at {
        None => default,
        Some(at) if at < 0 => (at.saturating_add(length)).max(if step < 0 { -1 } else { 0 }),
        Some(at) => at.min(if step < 0 { length - 1 } else { length }),
    };
    let (mut at, stop) = if step < 0 { (bound(start, length - 1), bound(stop, -1)) } else { (bound(start, 0), bound(stop, length)) };
    let mut places = Vec::new();
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        places.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    places
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b))),
        (a, b) => a == b,
    }
}

fn compared(sign: &str, a: &Value, b: &Value) -> Value {
    let numbers = a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b));
    Value::Bool(match (sign, numbers) {
        ("==", _) => same(a, b),
        ("!=", _) => !same(a, b),
        (_, None) => return Value::Null,
        ("<", Some(order)) => order.is_lt(),
        ("<=", Some(order)) => order.is_le(),
        (">", Some(order)) => order.is_gt(),
        (_, Some(order)) => order.is_ge(),
    })
}

/// How two numbers or two texts stand to each other.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Sorts what are all numbers or all texts.
fn sort<T>(items: &mut [T], key: impl Fn(&T) -> &Value) -> Result<(), Unfit> {
    let all = |fits: fn(&Value) -> bool| items.iter().all(|item| fits(key(item)));
    if !all(Value::is_string) && !all(Value::is_number) {
        return Err(Unfit);
    }
    items.sort_by(|a, b| order(key(a), key(b)).unwrap_or(Ordering::Equal));
    Ok(())
}

fn number(value: f64) -> Found {
    Number::from_f64(value).map(Value::Number).ok_or(Unfit)
}

fn numbers(items: &[Value]) -> Result<Vec<f64>, Unfit> {
    items.iter().map(|item| item.as_f64().ok_or(Unfit)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "lines are shorter than 2^53 bytes")]
fn function(name: &str, mut given: Vec<Value>) -> Found {
    let text = |value: &str| Value::String(value.to_owned());
    match (name, given.as_mut_slice()) {
        ("abs", [Value::Number(n)]) => number(n.as_f64().ok_or(Unfit)?.abs()),
        ("ceil", [Value::Number(n)]) => number(n.as_f64().ok_or(Unfit)?.ceil()),
        ("floor", [Value::Number(n)]) => number(n.as_f64().ok_or(Unfit)?.floor()),
        ("avg", [Value::Array(items)]) if items.is_empty() => Ok(Value::Null),
        ("avg", [Value::Array(items)]) => number(numbers(items)?.iter().sum::<f64>() / items.len() as f64),
        ("sum", [Value::Array(items)]) => number(numbers(items)?.iter().fold(0.0, |sum, n| sum + n)),
        ("contains", [Value::String(whole), Value::String(part)]) => Ok(Value::Bool(whole.contains(part.as_str()))),
        ("contains", [Value::String(_), _]) => Ok(Value::Bool(false)),
        ("contains", [Value::Array(items), item]) => Ok(Value::Bool(items.iter().any(|known| same(known, item)))),
        ("starts_with", [Value::String(whole), Value::String(part)]) => Ok(Value::Bool(whole.starts_with(part.as_str()))),
        ("ends_with", [Value::String(whole), Value::String(part)]) => Ok(Value::Bool(whole.ends_with(part.as_str()))),
        ("join", [Value::String(between), Value::Array(items)]) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            texts.map(|texts| Value::String(texts.join(between))).ok_or(Unfit)
        }
        ("keys", [Value::Object(map)]) => Ok(Value::Array(map.keys().map(|key| text(key)).collect())),
        ("values", [Value::Object(map)]) => Ok(Value::Array(std::mem::take(map).into_iter().map(|(_, value)| value).collect())),
        ("length", [Value::String(text)]) => number(text.chars().count() as f64),
        ("length", [Value::Array(items)]) => number(items.len() as f64),
        ("length", [Value::Object(map)]) => number(map.len() as f64),
        ("max" | "min", [Value::Array(items)]) => {
            sort(items, |item| item)?;
            Ok(if name == "max" { items.pop() } else { items.first().cloned() }.unwrap_or(Value::Null))
        }
        ("sort", [Value::Array(items)]) => {
            sort(items, |item| item)?;
            Ok(Value::Array(std::mem::take(items)))
        }
        ("reverse", [Value::Array(items)]) => Ok(Value::Array(items.drain(..).rev().collect())),
        ("reverse", [Value::String(text)]) => Ok(Value::String(text.chars().rev().collect())),
        ("merge", maps) => {
            let mut merged = Map::new();
            for map in maps {
                merged.extend(std::mem::take(map.as_object_mut().ok_or(Unfit)?));
            }
            Ok(Value::Object(merged))
        }
        ("not_null", values) => Ok(values.iter_mut().find(|value| !value.is_null()).map_or(Value::Null, Value::take)),
        ("to_array", [Value::Array(items)]) => Ok(Value::Array(std::mem::take(items))),
        ("to_array", [value]) => Ok(Value::Array(vec![value.take()])),
        ("to_string", [Value::String(text)]) => Ok(Value::String(std::mem::take(text))),
        ("to_string", [value]) => Ok(Value::String(print::tree(value))),
        ("to_number", [Value::Number(n)]) => Ok(Value::Number(n.clone())),
        ("to_number", [Value::String(text)]) => text.parse().map_or(Ok(Value::Null), |n| number(n).or(Ok(Value::Null))),
        ("to_number", [_]) => Ok(Value::Null),
        ("type", [value]) => Ok(text(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        })),
        _ => Err(Unfit),
    }
}
