//! A small part of Go's template language: what the generator writes.
//!
//! `{{.name}}`, `{{.name | f}}`, `{{f .name}}`, `{{__line__}}`, `{{if .name}}..{{else}}..{{end}}` (not nested), with
//! `f` one of `upper lower ToUpper ToLower trim TrimSpace len`. Must not do: guess; what it does not know it refuses.

use super::{Refusal, Set};

const UNKNOWN: Refusal = Refusal::Unknown("a template beyond the small part");

/// The text that `source` makes.
///
/// # Errors
/// [`Refusal::Unknown`].
pub fn render(source: &str, labels: &Set, line: &str) -> Result<String, Refusal> {
    let mut out = String::new();
    // `None` outside of an `if`, else whether its current arm is taken.
    let mut taken: Option<bool> = None;
    let mut rest = source;
    while let Some((text, after)) = rest.split_once("{{") {
        if taken != Some(false) {
            out.push_str(text);
        }
        let (action, after) = after.split_once("}}").ok_or(UNKNOWN)?;
        rest = after;
        let action = action.trim();
        if let Some(field) = action.strip_prefix("if .") {
            taken = Some(labels.get(field).is_some_and(|value| !value.is_empty()));
        } else if action == "else" {
            taken = taken.map(|arm| !arm);
        } else if action == "end" {
            taken = None;
        } else if taken != Some(false) {
            out.push_str(&value(action, labels, line)?);
        }
    }
    if taken != Some(false) {
        out.push_str(rest);
    }
    Ok(out)
}

fn value(action: &str, labels: &Set, line: &str) -> Result<String, Refusal> {
    let field = |text: &str| text.strip_prefix('.').map(|name| labels.get(name).cloned().unwrap_or_default());
    if action == "__line__" {
        return Ok(line.to_owned());
    }
    if let Some((left, function)) = action.split_once('|') {
        return apply(function.trim(), &field(left.trim()).ok_or(UNKNOWN)?);
    }
    if let Some((function, right)) = action.split_once(' ') {
        return apply(function, &field(right.trim()).ok_or(UNKNOWN)?);
    }
    field(action).ok_or(UNKNOWN)
}

fn apply(function: &str, value: &str) -> Result<String, Refusal> {
    Ok(match function {
        "upper" | "ToUpper" => value.to_uppercase(),
        "lower" | "ToLower" => value.to_lowercase(),
        "trim" | "TrimSpace" => value.trim().to_owned(),
        "len" => value.len().to_string(),
        _ => return Err(UNKNOWN),
    })
}
