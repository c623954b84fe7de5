//! River's expressions to values, as far as they are known before anything runs.
//!
//! Pure. Parts: [`Val`], [`evaluate`]; [`variable`] and [`variables_of`] (a place in a text for a variable of the environment).
//! References to components stay what they are. Functions of Alloy's library that only work on texts and lists are carried
//! out; the others are refused by name. Must not do: read the environment or files.

use super::syntax::{Expr, ExprKind};
use super::{At, RiverFault};

/// Begins and ends the name of a variable within a text: characters that no file holds.
const VARIABLE: (char, char) = ('\u{f0000}', '\u{f0001}');

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Val {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// As written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// An object, in its order.
    Object(Vec<(String, Self)>),
    /// `component.name.label.export`
    Reference(Vec<String>),
}

impl Val {
    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// The place of a variable.
#[must_use]
pub fn variable(name: &str) -> String {
    format!("{}{name}{}", VARIABLE.0, VARIABLE.1)
}

/// A text cut at its variables: (is a variable, text).
#[must_use]
pub fn variables_of(text: &str) -> Vec<(bool, &str)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(VARIABLE.0) {
        let (name, after) = after.split_once(VARIABLE.1).unwrap_or((after, ""));
        parts.extend([(false, before), (true, name)]);
        rest = after;
    }
    parts.push((false, rest));
    parts.retain(|(is_variable, part)| *is_variable || !part.is_empty());
    parts
}

/// The value of an expression.
///
/// # Errors
/// What cannot be known or is not taken over, by name.
pub fn evaluate(expr: &Expr) -> Result<Val, RiverFault> {
    let at = expr.at;
    Ok(match &expr.kind {
        ExprKind::Null => Val::Null,
        ExprKind::Bool(value) => Val::Bool(*value),
        ExprKind::Number(number) => Val::Number(number.clone()),
        ExprKind::Text(text) if text.contains([VARIABLE.0, VARIABLE.1]) => {
            return Err(RiverFault::new(at, "a text holds a character for private use", "take U+F0000 and U+F0001 out"));
        }
        ExprKind::Text(text) => Val::Text(text.clone()),
        ExprKind::List(items) => Val::List(items.iter().map(evaluate).collect::<Result<_, _>>()?),
        ExprKind::Object(fields) => Val::Object(fields.iter().map(|(name, value)| Ok((name.clone(), evaluate(value)?))).collect::<Result<_, RiverFault>>()?),
        ExprKind::Name(_) | ExprKind::Field(..) => named(expr)?,
        ExprKind::Index(of, index) => indexed(at, evaluate(of)?, &evaluate(index)?)?,
        ExprKind::Call(function, arguments) => {
            let name = path(function).map(|path| path.join(".")).unwrap_or_default();
            let arguments = arguments.iter().map(evaluate).collect::<Result<Vec<_>, _>>()?;
            call(at, &name, &arguments)?
        }
        ExprKind::Unary(sign, inner) => match (*sign, evaluate(inner)?) {
            ("-", Val::Number(number)) => Val::Number(format!("-{number}")),
            ("!", Val::Bool(value)) => Val::Bool(!value),
            (sign, _) => return Err(RiverFault::new(at, format!("there is no {sign} of this value"), "mend the expression")),
        },
        ExprKind::Binary(sign, left, right) => binary(at, sign, evaluate(left)?, evaluate(right)?)?,
    })
}

fn path(expr: &Expr) -> Option<Vec<String>> {
    if let ExprKind::Name(name) = &expr.kind {
        return Some(vec![name.clone()]);
    }
    let ExprKind::Field(of, name) = &expr.kind else { return None };
    let mut path = path(of)?;
    path.push(name.clone());
    Some(path)
}

fn named(expr: &Expr) -> Result<Val, RiverFault> {
    let at = expr.at;
    if let Some(path) = path(expr) {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        return match words.as_slice() {
            ["constants", "hostname"] => Ok(Val::Text(variable("HOSTNAME"))),
            ["constants", other] => Err(RiverFault::new(at, format!("constants.{other} is not taken over"), "write the value itself")),
            ["argument" | "module" | "import", ..] => {
                Err(RiverFault::new(at, format!("{} is of a module", words.join(".")), "write the module's text in place of it"))
            }
            [single] => Err(RiverFault::new(at, format!("{single:?} is no value"), "texts stand in double quotes")),
            _ => Ok(Val::Reference(path)),
        };
    }
    let ExprKind::Field(of, name) = &expr.kind else { return Err(RiverFault::new(at, "this is no value", "mend the expression")) };
    let fields = if let Val::Object(fields) = evaluate(of)? { fields } else { Vec::new() };
    let found = fields.into_iter().find(|(field, _)| field == name).map(|(_, value)| value);
    found.ok_or_else(|| RiverFault::new(at, format!("there is no field {name:?}"), "mend the expression"))
}

fn indexed(at: At, of: Val, index: &Val) -> Result<Val, RiverFault> {
    let found = match (of, index) {
        (Val::List(items), Val::Number(number)) => number.parse::<usize>().ok().and_then(|number| items.into_iter().nth(number)),
        (Val::Object(fields), Val::Text(name)) => fields.into_iter().find(|(field, _)| field == name).map(|(_, value)| value),
        (Val::Reference(path), _) => {
            return Err(RiverFault::new(at, format!("an element of {} is known only when it runs", path.join(".")), "name the targets, or relabel them"));
        }
        _ => None,
    };
    found.ok_or_else(|| RiverFault::new(at, "there is no such element", "mend the index"))
}

fn binary(at: At, sign: &str, left: Val, right: Val) -> Result<Val, RiverFault> {
    match (sign, left, right) {
        ("+", Val::Text(left), Val::Text(right)) => Ok(Val::Text(left + &right)),
        ("+" | "-" | "*", Val::Number(left), Val::Number(right)) => {
            let (Ok(one), Ok(two)) = (left.parse::<i64>(), right.parse::<i64>()) else {
                return Err(RiverFault::new(at, format!("{left} {sign} {right} is not reckoned here"), "write the result"));
            };
            let result = match sign {
                "+" => one.checked_add(two),
                "-" => one.checked_sub(two),
                _ => one.checked_mul(two),
            };
            result.map(|result| Val::Number(result.to_string())).ok_or_else(|| RiverFault::new(at, "the result is too large", "write a smaller number"))
        }
        (sign, ..) => Err(RiverFault::new(at, format!("the operator {sign} is not taken over here"), "write the result")),
    }
}

/// Most characters that a function may make.
const RESULT_CHARS_MAX: usize = 1024 * 1024;

fn call(at: At, name: &str, arguments: &[Val]) -> Result<Val, RiverFault> {
    let refused = || RiverFault::new(at, format!("the function {name} is not taken over"), "write its result");
    let wrong = || RiverFault::new(at, format!("{name} has other arguments than expected"), "mend the call");
    let result = match (name, arguments) {
        ("sys.env" | "env", [Val::Text(name)]) => Val::Text(variable(name)),
        ("convert.nonsensitive" | "nonsensitive", [value]) => value.clone(),
        ("coalesce", values) => values.iter().find(|value| !matches!(value, Val::Null) && value.text() != Some("")).cloned().unwrap_or(Val::Null),
        ("concat" | "array.concat", lists) => {
            let items = lists.iter().flat_map(|list| if let Val::List(items) = list { items.clone() } else { vec![list.clone()] });
            Val::List(items.collect())
        }
        ("string.to_lower" | "to_lower", [Val::Text(text)]) => Val::Text(mapped(text, str::to_lowercase)),
        ("string.to_upper" | "to_upper", [Val::Text(text)]) => Val::Text(mapped(text, str::to_uppercase)),
        ("string.trim_space" | "trim_space", [Val::Text(text)]) => Val::Text(text.trim().to_owned()),
        ("string.trim_prefix" | "trim_prefix", [Val::Text(text), Val::Text(part)]) => Val::Text(text.strip_prefix(part.as_str()).unwrap_or(text).to_owned()),
        ("string.trim_suffix" | "trim_suffix", [Val::Text(text), Val::Text(part)]) => Val::Text(text.strip_suffix(part.as_str()).unwrap_or(text).to_owned()),
        ("string.replace" | "replace", [Val::Text(text), Val::Text(old), Val::Text(new)]) => {
            let longest = text.len().saturating_mul(new.len().max(1)).saturating_add(new.len());
            if longest > RESULT_CHARS_MAX {
                return Err(wrong());
            }
            Val::Text(text.replace(old.as_str(), new))
        }
        ("string.join" | "join", [Val::List(items), Val::Text(between)]) => {
            let texts: Option<Vec<&str>> = items.iter().map(Val::text).collect();
            Val::Text(texts.ok_or_else(wrong)?.join(between))
        }
        ("string.format" | "format", [Val::Text(layout), values @ ..]) => Val::Text(formatted(layout, values).ok_or_else(wrong)?),
        (
            "sys.env"
            | "env"
            | "convert.nonsensitive"
            | "nonsensitive"
            | "string.to_lower"
            | "string.to_upper"
            | "string.replace"
            | "string.join"
            | "string.format"
            | "string.trim_space"
            | "string.trim_prefix"
            | "string.trim_suffix",
            _,
        ) => return Err(wrong()),
        _ => return Err(refused()),
    };
    if result.text().is_some_and(|text| text.len() > RESULT_CHARS_MAX) { Err(wrong()) } else { Ok(result) }
}

/// Changes what is no variable.
fn mapped(text: &str, change: fn(&str) -> String) -> String {
    variables_of(text).into_iter().map(|(is_variable, part)| if is_variable { variable(part) } else { change(part) }).collect()
}

/// `%s`, `%d`, `%v` and `%%` of Go's formats.
fn formatted(layout: &str, values: &[Val]) -> Option<String> {
    let (mut out, mut values, mut chars) = (String::new(), values.iter(), layout.chars());
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            '%' => out.push('%'),
            's' | 'd' | 'v' => match values.next()? {
                Val::Text(text) | Val::Number(text) => out.push_str(text),
                Val::Bool(value) => out.push_str(&value.to_string()),
                Val::Null | Val::List(_) | Val::Object(_) | Val::Reference(_) => return None,
            },
            _ => return None,
        }
    }
    values.next().is_none().then_some(out)
}
