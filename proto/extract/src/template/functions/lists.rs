//! Sprig's lists and dictionaries, which only Promtail's stages have.
//!
//! Source: Sprig's documentation; what they give is recorded in `tests/conformance/promtail_templates.jsonl`. Keys are in
//! order, where Sprig leaves that to chance. Limits: `ITEMS_MAX` items of a list that is made of numbers. Must not do: change
//! a list or dictionary in place; functions that do (`set`, `unset`, `merge`) are not there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Param::{Any, Int, Text};
use super::number::whole;
use super::text::{list, shown};
use super::{Arguments, Entry, Outcome, pure, variadic};
use crate::template::value::Value;

/// Items of a list that one function makes of numbers.
const ITEMS_MAX: usize = 100_000;

pub(super) const TABLE: &[Entry] = &[
    variadic("list", &[], Any, |a| Ok(items(owned(a.values)))),
    variadic("tuple", &[], Any, |a| Ok(items(owned(a.values)))),
    variadic("dict", &[], Any, |a| {
        Ok(map(a.values.chunks(2).map(|pair| (shown(&pair[0]), pair.get(1).map_or_else(|| Value::text(""), |value| value.clone().owned())))))
    }),
    pure("get", &[Any, Text], |a| Ok(dictionary(a, 0)?.get(&*a.text(1)).cloned().unwrap_or_else(|| Value::text("")))),
    pure("hasKey", &[Any, Text], |a| Ok(Value::Bool(dictionary(a, 0)?.contains_key(&*a.text(1))))),
    variadic("keys", &[], Any, |a| {
        let keys: Result<Vec<_>, String> = (0..a.values.len()).map(|at| dictionary(a, at).map(|map| map.keys().cloned().collect::<Vec<_>>())).collect();
        Ok(items(keys?.into_iter().flatten().map(Value::text).collect()))
    }),
    pure("values", &[Any], |a| Ok(items(dictionary(a, 0)?.values().cloned().collect()))),
    variadic("pluck", &[Text], Any, |a| {
        let found: Result<Vec<_>, String> = (1..a.values.len()).map(|at| dictionary(a, at).map(|map| map.get(&*a.text(0)).cloned())).collect();
        Ok(items(found?.into_iter().flatten().collect()))
    }),
    variadic("pick", &[Any], Text, |a| chosen(a, true)),
    variadic("omit", &[Any], Text, |a| chosen(a, false)),
    variadic("dig", &[Any, Any], Any, dug),
    pure("split", &[Text, Text], |a| Ok(numbered(a.text(1).split(&*a.text(0))))),
    pure("splitn", &[Text, Int, Text], |a| Ok(numbered(a.text(2).splitn(usize::try_from(a.int(1)).unwrap_or(usize::MAX), &*a.text(0))))),
    pure("splitList", &[Text, Text], |a| Ok(list(a.text(1).split(&*a.text(0))))),
    pure("join", &[Text, Any], |a| Ok(Value::text(texts(a.any(1)).join(&a.text(0))))),
    pure("toStrings", &[Any], |a| Ok(list(texts(a.any(0)).iter().map(String::as_str)))),
    pure("sortAlpha", &[Any], |a| {
        let mut texts = texts(a.any(0));
        texts.sort();
        Ok(list(texts.iter().map(String::as_str)))
    }),
    pure("append", &[Any, Any], appended),
    pure("mustAppend", &[Any, Any], appended),
    pure("push", &[Any, Any], appended),
    pure("mustPush", &[Any, Any], appended),
    pure("prepend", &[Any, Any], prepended),
    pure("mustPrepend", &[Any, Any], prepended),
    variadic("concat", &[], Any, |a| {
        let all: Result<Vec<_>, String> = (0..a.values.len()).map(|at| elements(a, at)).collect();
        Ok(items(all?.concat()))
    }),
    pure("first", &[Any], |a| Ok(elements(a, 0)?.first().cloned().unwrap_or(Value::Nil))),
    pure("mustFirst", &[Any], |a| Ok(elements(a, 0)?.first().cloned().unwrap_or(Value::Nil))),
    pure("last", &[Any], |a| Ok(elements(a, 0)?.last().cloned().unwrap_or(Value::Nil))),
    pure("mustLast", &[Any], |a| Ok(elements(a, 0)?.last().cloned().unwrap_or(Value::Nil))),
    pure("rest", &[Any], |a| Ok(items(elements(a, 0)?.get(1..).unwrap_or_default().to_vec()))),
    pure("mustRest", &[Any], |a| Ok(items(elements(a, 0)?.get(1..).unwrap_or_default().to_vec()))),
    pure("initial", &[Any], |a| Ok(items(elements(a, 0)?.split_last().map(|(_, others)| others.to_vec()).unwrap_or_default()))),
    pure("mustInitial", &[Any], |a| Ok(items(elements(a, 0)?.split_last().map(|(_, others)| others.to_vec()).unwrap_or_default()))),
    pure("reverse", &[Any], |a| Ok(items(elements(a, 0)?.iter().rev().cloned().collect()))),
    pure("mustReverse", &[Any], |a| Ok(items(elements(a, 0)?.iter().rev().cloned().collect()))),
    pure("uniq", &[Any], unique),
    pure("mustUniq", &[Any], unique),
    variadic("without", &[Any], Any, without),
    variadic("mustWithout", &[Any], Any, without),
    pure("has", &[Any, Any], has),
    pure("mustHas", &[Any, Any], has),
    pure("compact", &[Any], |a| Ok(items(elements(a, 0)?.iter().filter(|item| item.is_true()).cloned().collect()))),
    pure("mustCompact", &[Any], |a| Ok(items(elements(a, 0)?.iter().filter(|item| item.is_true()).cloned().collect()))),
    variadic("slice", &[Any], Any, sliced),
    variadic("mustSlice", &[Any], Any, sliced),
    pure("chunk", &[Int, Any], chunked),
    pure("mustChunk", &[Int, Any], chunked),
    variadic("all", &[], Any, |a| Ok(Value::Bool(a.values.iter().all(Value::is_true)))),
    variadic("any", &[], Any, |a| Ok(Value::Bool(a.values.iter().any(Value::is_true)))),
    pure("deepCopy", &[Any], |a| Ok(a.any(0).clone().owned())),
    pure("mustDeepCopy", &[Any], |a| Ok(a.any(0).clone().owned())),
    pure("deepEqual", &[Any, Any], |a| Ok(Value::Bool(same(a.any(0), a.any(1))))),
    pure("until", &[Int], |a| steps(0, a.int(0), if a.int(0) < 0 { -1 } else { 1 }).map(items)),
    pure("untilStep", &[Int, Int, Int], |a| steps(a.int(0), a.int(1), a.int(2)).map(items)),
    variadic("seq", &[], Int, sequence),
    variadic("biggest", &[Any], Any, |a| Ok(Value::Int64(a.values.iter().map(whole).max().unwrap_or(0)))),
];

fn owned(values: &[Value<'_>]) -> Vec<Value<'static>> {
    values.iter().map(|value| value.clone().owned()).collect()
}

fn items(values: Vec<Value<'static>>) -> Value<'static> {
    Value::List(Arc::new(values))
}

fn map(pairs: impl Iterator<Item = (String, Value<'static>)>) -> Value<'static> {
    Value::Map(Arc::new(pairs.collect()))
}

fn numbered<'t>(parts: impl Iterator<Item = &'t str>) -> Value<'static> {
    map(parts.enumerate().map(|(at, part)| (format!("_{at}"), Value::text(part))))
}

fn dictionary<'a>(a: &'a Arguments<'_, '_>, at: usize) -> Result<&'a BTreeMap<String, Value<'static>>, String> {
    match a.any(at) {
        Value::Map(map) => Ok(map),
        other => Err(format!("wrong type for value; expected map[string]interface {{}}; got {}", other.type_name())),
    }
}

/// The items of a list; none of what is no value.
fn elements(a: &Arguments<'_, '_>, at: usize) -> Result<Vec<Value<'static>>, String> {
    match a.any(at) {
        Value::List(values) => Ok(values.to_vec()),
        Value::Nil => Ok(Vec::new()),
        other => Err(format!("cannot use a value of type {} as a list", other.type_name())),
    }
}

/// The items of a list as texts, without those that are no value; of anything else the one text.
fn texts(value: &Value<'_>) -> Vec<String> {
    match value {
        Value::Nil => Vec::new(),
        Value::List(values) => values.iter().filter(|value| !matches!(value, Value::Nil)).map(shown).collect(),
        other => vec![shown(other)],
    }
}

fn chosen(a: &Arguments<'_, '_>, keep: bool) -> Outcome {
    let named: Vec<_> = (1..a.values.len()).map(|at| a.text(at)).collect();
    let kept = dictionary(a, 0)?.iter().filter(|(name, _)| named.iter().any(|known| known == *name) == keep);
    Ok(map(kept.map(|(name, value)| (name.clone(), value.clone()))))
}

/// `dig "a" "b" default dict`.
fn dug(a: &Arguments<'_, '_>) -> Outcome {
    let Some(((whole, default), keys)) = a.values.split_last().and_then(|(whole, rest)| rest.split_last().map(|(default, keys)| ((whole, default), keys)))
    else {
        return Err("dig needs at least three arguments".to_owned());
    };
    let mut at = whole.clone().owned();
    for key in keys {
        let Value::Map(map) = &at else { return Err(format!("cannot look for {} in a value of type {}", shown(key), at.type_name())) };
        match map.get(&shown(key)).cloned() {
            Some(value) => at = value,
            None => return Ok(default.clone().owned()),
        }
    }
    Ok(at)
}

fn appended(a: &Arguments<'_, '_>) -> Outcome {
    let mut values = elements(a, 0)?;
    values.push(a.any(1).clone().owned());
    Ok(items(values))
}

fn prepended(a: &Arguments<'_, '_>) -> Outcome {
    Ok(items([vec![a.any(1).clone().owned()], elements(a, 0)?].concat()))
}

fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|((n, a), (m, b))| n == m && same(a, b)),
        (Value::Nil, Value::Nil) | (Value::Record, Value::Record) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) | (Value::Int64(a), Value::Int64(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Time(a, _), Value::Time(b, _)) => a == b,
        _ => false,
    }
}

fn unique(a: &Arguments<'_, '_>) -> Outcome {
    let mut kept: Vec<Value<'static>> = Vec::new();
    for item in elements(a, 0)? {
        if kept.len() > ITEMS_MAX.isqrt() {
            return Err(format!("more than {} different items", ITEMS_MAX.isqrt()));
        }
        if !kept.iter().any(|known| same(known, &item)) {
            kept.push(item);
        }
    }
    Ok(items(kept))
}

fn without(a: &Arguments<'_, '_>) -> Outcome {
    Ok(items(elements(a, 0)?.into_iter().filter(|item| !a.values[1..].iter().any(|gone| same(gone, item))).collect()))
}

fn has(a: &Arguments<'_, '_>) -> Outcome {
    Ok(Value::Bool(elements(a, 1)?.iter().any(|item| same(item, a.any(0)))))
}

fn sliced(a: &Arguments<'_, '_>) -> Outcome {
    let Value::List(values) = a.any(0) else { return Err(format!("list should be type of slice or array but {}", a.any(0).type_name())) };
    let end =
        |at: usize, default: usize| a.values.get(at).map_or(Ok(default), |end| usize::try_from(whole(end)).map_err(|_| "slice bounds out of range".to_owned()));
    let (from, to) = (end(1, 0)?, end(2, values.len())?);
    values.get(from..to).map(|part| items(part.to_vec())).ok_or_else(|| "slice bounds out of range".to_owned())
}

fn chunked(a: &Arguments<'_, '_>) -> Outcome {
    let size = usize::try_from(a.int(0)).ok().filter(|size| *size > 0).ok_or("a chunk has at least one item")?;
    Ok(items(elements(a, 1)?.chunks(size).map(|chunk| items(chunk.to_vec())).collect()))
}

/// From `start` towards `stop`, without it.
fn steps(start: i64, stop: i64, step: i64) -> Result<Vec<Value<'static>>, String> {
    let is_towards = if stop < start { step < 0 } else { step > 0 };
    if !is_towards {
        return Ok(Vec::new());
    }
    let count = stop.abs_diff(start).div_ceil(step.unsigned_abs());
    let count = i64::try_from(count).ok().filter(|count| usize::try_from(*count).is_ok_and(|count| count <= ITEMS_MAX));
    let count = count.ok_or_else(|| format!("the list would have more than {ITEMS_MAX} items"))?;
    Ok((0..count).map(|n| Value::Int(start.wrapping_add(n.wrapping_mul(step)))).collect())
}

/// As Sprig's `seq`: to `a`, from `a` to `b`, from `a` by `b` to `c`; the end included.
fn sequence(a: &Arguments<'_, '_>) -> Outcome {
    let (start, step, end) = match a.values.len() {
        1 => (1, None, a.int(0)),
        2 => (a.int(0), None, a.int(1)),
        3 => (a.int(0), Some(a.int(1)), a.int(2)),
        _ => return Ok(Value::text("")),
    };
    let towards = if end < start { -1 } else { 1 };
    if step.is_some_and(|step| end < start && step > 0) {
        return Ok(Value::text(""));
    }
    let numbers = steps(start, end.saturating_add(towards), step.unwrap_or(towards))?;
    Ok(Value::text(numbers.iter().map(shown).collect::<Vec<_>>().join(" ")))
}
