//! Values of a JSON line by the expressions of Promtail's `json` stage.
//!
//! Parts: [`Jmes`] (one expression of JMESPath), [`search_many`] and [`search_each`] (several
//! expressions in one walk over the line), `expression` (the grammar of those that name one
//! place), `language` and `evaluate` (of all others), `print` (values as Promtail gives them on).
//!
//! Promises: the whole line must be one JSON object, as for Promtail, which decodes it; equal keys: the last
//! counts; nothing but what is searched is copied. Limits: [`JSON_DEPTH_MAX`](crate::limits::JSON_DEPTH_MAX) levels.

use crate::json::scan::Token;
use crate::json::strict::Strict;
use crate::limits::JSON_DEPTH_MAX;
use crate::text::Text;

pub use crate::fault::{ExtractFault, JsonFault};

mod evaluate;
mod expression;
mod language;
mod print;

/// Expressions walked together; more of them take another walk.
const TOGETHER: usize = 64;

/// One expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Jmes {
    /// Where it leads, if it names one place.
    steps: Vec<Step>,
    /// What it is, if it is more than that.
    tree: Option<Box<language::Node>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    /// From the end when negative: -1 is the last element.
    Index(i64),
}

impl Jmes {
    /// Reads an expression. One that names a place, as nearly all do, is searched for in the line itself; for others
    /// the line is decoded.
    ///
    /// # Errors
    /// When it is no JMESPath.
    pub fn parse(expression: &str) -> Result<Self, ExtractFault> {
        match expression::parse(expression).filter(|steps| steps.len() <= JSON_DEPTH_MAX) {
            Some(steps) => Ok(Self { steps, tree: None }),
            None => Ok(Self { steps: Vec::new(), tree: Some(Box::new(language::parse(expression)?)) }),
        }
    }

    /// The value in `line`: strings as they are, numbers without exponent (`1` for `1.0`, `1000000` for `1e6`), booleans as words, objects
    /// and arrays as JSON with sorted keys; `None` for null and where there is nothing.
    ///
    /// # Errors
    /// When `line` is not one whole JSON object.
    pub fn search(&self, line: &[u8]) -> Result<Option<String>, ExtractFault> {
        let mut found = None;
        walk(&[self], line, &mut |_, value| found = value)?;
        Ok(found)
    }
}

/// Calls `emit(name, value)` for every expression that finds something in `line`, in the order given.
///
/// # Errors
/// As [`Jmes::search`]; nothing has been emitted then.
pub fn search_many<N: AsRef<str>>(expressions: &[(N, Jmes)], line: &[u8], emit: &mut dyn FnMut(&str, String)) -> Result<(), ExtractFault> {
    search_each(expressions, line, &mut |name, value| {
        if let Some(value) = value {
            emit(name, value);
        }
    })
}

/// As [`search_many`], with `None` for the expressions that find nothing or null: Promtail forgets an earlier value then.
///
/// # Errors
/// As [`Jmes::search`]; nothing has been emitted then.
pub fn search_each<N: AsRef<str>>(expressions: &[(N, Jmes)], line: &[u8], emit: &mut dyn FnMut(&str, Option<String>)) -> Result<(), ExtractFault> {
    for group in expressions.chunks(TOGETHER) {
        let paths: Vec<&Jmes> = group.iter().map(|(_, jmes)| jmes).collect();
        walk(&paths, line, &mut |place, value| emit(group[place].0.as_ref(), value))?;
    }
    Ok(())
}

/// Walks `line` once for at most [`TOGETHER`] expressions.
fn walk(paths: &[&Jmes], line: &[u8], emit: &mut dyn FnMut(usize, Option<String>)) -> Result<(), ExtractFault> {
    let text = Text::new(line);
    let mut reader = Strict::new(line);
    if reader.peek() != Some(b'{') {
        return Err(JsonFault::Malformed.into());
    }
    let all = if paths.len() == TOGETHER { u64::MAX } else { (1 << paths.len()) - 1 };
    let mut search = Search { text, paths, found: vec![None; paths.len()] };
    let plain = (0..paths.len()).filter(|place| paths[*place].tree.is_none()).fold(0, |plain, place| plain | 1 << place);
    search.object(&mut reader, all & plain, 0)?;
    reader.end()?;
    let found = std::mem::take(&mut search.found);
    let decoded = if paths.iter().any(|path| path.tree.is_some()) { Some(print::decoded(&text, &mut Strict::new(line))?) } else { None };
    let value = |place: usize| match (&paths[place].tree, &decoded, found[place]) {
        (Some(tree), Some(whole), _) => Ok(evaluate::evaluate(tree, whole).map(print::text)),
        (_, _, Some(token)) => print::value(&text, &token),
        (_, _, None) => Ok(None),
    };
    if paths.len() == 1 {
        emit(0, value(0)?);
        return Ok(());
    }
    // nothing is emitted of a line of which one value cannot be
    let values = (0..paths.len()).map(value).collect::<Result<Vec<_>, JsonFault>>()?;
    values.into_iter().enumerate().for_each(|(place, value)| emit(place, value));
    Ok(())
}

/// One walk. A set of expressions is a bit mask: bit n is `paths[n]`.
struct Search<'a, 'p> {
    text: Text<'a>,
    paths: &'p [&'p Jmes],
    found: Vec<Option<Token>>,
}

impl Search<'_, '_> {
    /// Reads the value that comes next, to which `wanted` lead with their first `depth` steps.
    fn value(&mut self, reader: &mut Strict<'_>, wanted: u64, depth: usize) -> Result<(), JsonFault> {
        let mut ends = 0;
        for place in bits(wanted) {
            // An equal key before this one is forgotten, with all that was found in it.
            self.found[place] = None;
            ends |= u64::from(self.paths[place].steps.len() == depth) << place;
        }
        if ends == wanted {
            let token = reader.value()?;
            bits(ends).for_each(|place| self.found[place] = Some(token));
            return Ok(());
        }
        if ends != 0 {
            // Some expressions end here, others go on inside.
            let token = reader.clone().value()?;
            bits(ends).for_each(|place| self.found[place] = Some(token));
        }
        match reader.peek() {
            Some(b'{') => self.object(reader, wanted & !ends, depth),
            Some(b'[') => self.array(reader, wanted & !ends, depth),
            _ => reader.value().map(drop),
        }
    }

    fn object(&mut self, reader: &mut Strict<'_>, wanted: u64, depth: usize) -> Result<(), JsonFault> {
        let mut more = reader.enter(b'}')?;
        while more {
            let key = reader.key()?;
            let chosen = if key.escaped || !self.text.is_valid() {
                let text = print::string(&self.text, &key);
                self.choose(wanted, |path| matches!(path.steps.get(depth), Some(Step::Key(name)) if *name == text))
            } else {
                let raw = self.text.bytes().get(key.start..key.end).unwrap_or_default();
                self.choose(wanted, |path| matches!(path.steps.get(depth), Some(Step::Key(name)) if name.as_bytes() == raw))
            };
            self.member(reader, chosen, depth)?;
            more = reader.more(b'}')?;
        }
        Ok(())
    }

    fn array(&mut self, reader: &mut Strict<'_>, wanted: u64, depth: usize) -> Result<(), JsonFault> {
        let from_end = self.choose(wanted, |path| matches!(path.steps.get(depth), Some(Step::Index(index)) if *index < 0));
        // How long the array is tells which element a negative index means; only then is it read twice.
        let length = if from_end == 0 { 0 } else { length(reader.clone())? };
        let mut more = reader.enter(b']')?;
        let mut index = 0;
        while more {
            let chosen = self.choose(wanted, |path| matches!(path.steps.get(depth), Some(Step::Index(at)) if *at == index || *at == index - length && *at < 0));
            self.member(reader, chosen, depth)?;
            more = reader.more(b']')?;
            index += 1;
        }
        Ok(())
    }

    fn member(&mut self, reader: &mut Strict<'_>, chosen: u64, depth: usize) -> Result<(), JsonFault> {
        if chosen == 0 { reader.value().map(drop) } else { self.value(reader, chosen, depth + 1) }
    }

    fn choose(&self, among: u64, fits: impl Fn(&Jmes) -> bool) -> u64 {
        bits(among).filter(|place| fits(self.paths[*place])).fold(0, |chosen, place| chosen | 1 << place)
    }
}

/// Number of elements of the array that comes next.
fn length(mut reader: Strict<'_>) -> Result<i64, JsonFault> {
    let mut count = 0;
    let mut more = reader.enter(b']')?;
    while more {
        reader.value()?;
        count += 1;
        more = reader.more(b']')?;
    }
    Ok(count)
}

fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (place < u64::BITS).then_some(place as usize)
    })
}

#[cfg(test)]
mod tests;
