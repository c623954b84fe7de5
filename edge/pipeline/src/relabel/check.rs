//! Which fields a relabelling rule must have, may have and must not have, by its action.
//!
//! The rules are Prometheus' own. Must not do: compile expressions.

use proto_model::labels::is_label_name;

use crate::fault::{Mistake, Place};
use crate::settings::fields::RelabelFields;
use crate::settings::place;

const ACTIONS: [&str; 11] = ["replace", "keep", "drop", "labelmap", "labeldrop", "labelkeep", "hashmod", "keepequal", "dropequal", "lowercase", "uppercase"];

/// Reports what is wrong with the fields of a rule with this action.
pub(super) fn fields(action: &str, at: Place, rule: &RelabelFields, mistakes: &mut Vec<Mistake>) {
    let mut report = |at: Place, text: String, fix: &str| mistakes.push(Mistake::new(at, text, fix));
    if !ACTIONS.contains(&action) {
        let at = rule.action.as_ref().map_or(at, place);
        report(
            at,
            format!("relabel: action {action:?} is unknown"),
            "write one of replace, keep, drop, labelmap, labeldrop, labelkeep, hashmod, keepequal, dropequal, lowercase, uppercase",
        );
        return;
    }
    let target = rule.target_label.as_ref().filter(|text| !text.value.is_empty());
    let is_written = matches!(action, "replace" | "hashmod" | "lowercase" | "uppercase" | "keepequal" | "dropequal");
    match target {
        None if is_written => report(at, format!("relabel: {action} needs a target_label"), "name the label as target_label"),
        Some(text) if is_written && !is_target(&text.value, action == "replace") => {
            report(place(text), format!("relabel: target_label {:?} is no label name", text.value), "use letters, digits and _, and no digit at the beginning");
        }
        None | Some(_) => {}
    }
    if action == "hashmod" && rule.modulus.as_ref().is_none_or(|modulus| modulus.value == 0) {
        report(at, "relabel: hashmod needs a modulus".to_owned(), "give the number of shards as modulus, 1 or more");
    }
    if let Some(text) = rule.replacement.as_ref().filter(|text| action == "labelmap" && !is_target(&text.value, true)) {
        report(place(text), format!("relabel: replacement {:?} makes no label names", text.value), "write letters, digits, _ and groups such as $1");
    }
    if let Some((text, name)) = stray(action, rule) {
        report(text, format!("relabel: {action} takes no {name}"), "remove the field; it would have no effect");
    }
}

/// A label name; with `groups`, one that may hold `$1` or `${name}`.
fn is_target(text: &str, groups: bool) -> bool {
    if !groups || !text.contains('$') {
        return is_label_name(text);
    }
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, tail) = match tail.strip_prefix('{') {
            Some(braced) => match braced.split_once('}') {
                Some(split) => split,
                None => return false,
            },
            None => tail.split_at(tail.find(|c| !is_word(c)).unwrap_or(tail.len())),
        };
        if name.is_empty() || !name.chars().all(is_word) {
            return false;
        }
        // a group can give any part of a name, so it stands for a letter here
        plain.push('x');
        rest = tail;
    }
    plain.push_str(rest);
    is_label_name(&plain)
}

/// A field that says something else than its default where Prometheus wants none.
fn stray(action: &str, rule: &RelabelFields) -> Option<(Place, &'static str)> {
    let differs = |field: &Option<crate::settings::Text>, default: &str| field.as_ref().filter(|text| text.value != default).map(place);
    let replacement = || differs(&rule.replacement, "$1").map(|at| (at, "replacement"));
    let separator = || differs(&rule.separator, ";").map(|at| (at, "separator"));
    let modulus = || rule.modulus.as_ref().filter(|modulus| modulus.value != 0).map(|modulus| (place(modulus), "modulus"));
    let regex = || differs(&rule.regex, "(.*)").map(|at| (at, "regex"));
    match action {
        "lowercase" | "uppercase" => replacement(),
        "keepequal" | "dropequal" => regex().or_else(modulus).or_else(separator).or_else(replacement),
        "labeldrop" | "labelkeep" => {
            let sources = rule.source_labels.as_ref().and_then(|names| names.first()).map(|text| (place(text), "source_labels"));
            let target = differs(&rule.target_label, "").map(|at| (at, "target_label"));
            sources.or(target).or_else(modulus).or_else(separator).or_else(replacement)
        }
        _ => None,
    }
}
