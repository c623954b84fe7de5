//! Relabelling: rules that rewrite a source's labels or decide that it is not wanted, as Prometheus defines them.
//!
//! Parts: [`Relabeling`] (compiled rules), its eleven actions, `expand` (Go's `$1` and `${name}`), `md5` for
//! `hashmod`. Promises: expressions are RE2, anchored on both sides; an empty result removes the label.
//! Must not do: drop labels that begin with `__`; whoever has relabelled does that at the end.

use proto_extract::dialect;
use proto_model::Labels;
use proto_model::labels::is_label_name;
use regex::bytes::{Captures, Regex};

use crate::fault::{Mistake, Place};
use crate::settings::{RelabelSettings, place};

use self::template::Template;

mod check;
mod md5;
mod template;

/// Compiled `relabel_configs`.
#[derive(Debug, Clone, Default)]
pub struct Relabeling(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    sources: Vec<String>,
    separator: String,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Replace { regex: Regex, target: Template, replacement: Template },
    Keep(Regex),
    Drop(Regex),
    KeepEqual(String),
    DropEqual(String),
    HashMod { target: String, modulus: u64 },
    LabelMap { regex: Regex, replacement: Template },
    LabelDrop(Regex),
    LabelKeep(Regex),
    Lowercase(String),
    Uppercase(String),
}

impl Relabeling {
    /// Compiles rules; none make one that keeps everything as it is.
    ///
    /// # Errors
    /// All mistakes of all rules, in the order of the file.
    pub fn compile(rules: &[RelabelSettings]) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let rules: Vec<_> = rules.iter().filter_map(|rule| Rule::compile(rule, &mut mistakes)).collect();
        if mistakes.is_empty() { Ok(Self(rules)) } else { Err(mistakes) }
    }

    /// Applies the rules in order. False: the source is not wanted, and `labels` mean nothing any more.
    #[must_use]
    pub fn apply(&self, labels: &mut Labels) -> bool {
        self.0.iter().all(|rule| rule.apply(labels))
    }

    /// Whether any rule looks at the label `name`: one that none looks at and that begins with `__` need not be made.
    #[must_use]
    pub fn reads(&self, name: &str) -> bool {
        self.0.iter().any(|rule| {
            rule.sources.iter().any(|source| source == name)
                || match &rule.action {
                    Action::KeepEqual(target) | Action::DropEqual(target) => target == name,
                    Action::LabelMap { regex, .. } => regex.is_match(name.as_bytes()),
                    Action::Replace { .. }
                    | Action::Keep(_)
                    | Action::Drop(_)
                    | Action::HashMod { .. }
                    | Action::LabelDrop(_)
                    | Action::LabelKeep(_)
                    | Action::Lowercase(_)
                    | Action::Uppercase(_) => false,
                }
        })
    }
}

impl Rule {
    fn compile(settings: &RelabelSettings, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let (at, rule) = (settings.at, &settings.rule);
        let name = rule.action.as_ref().map_or_else(|| "replace".to_owned(), |text| text.value.to_lowercase());
        let before = mistakes.len();
        check::fields(&name, at, rule, mistakes);
        let regex = match &rule.regex {
            None => dialect::compile_anchored("(.*)").map_err(|fault| (at, fault)),
            Some(text) => dialect::compile_anchored(&text.value).map_err(|fault| (place(text), fault)),
        };
        let regex = regex.map_err(|(at, fault)| mistakes.push(regex_mistake(at, &fault))).ok()?;
        if mistakes.len() > before {
            return None;
        }
        let target = rule.target_label.as_ref().map(|text| text.value.clone()).unwrap_or_default();
        let replacement = Template::parse(rule.replacement.as_ref().map_or("$1", |text| &text.value));
        let action = match name.as_str() {
            "replace" => Action::Replace { regex, target: Template::parse(&target), replacement },
            "keep" => Action::Keep(regex),
            "drop" => Action::Drop(regex),
            "keepequal" => Action::KeepEqual(target),
            "dropequal" => Action::DropEqual(target),
            "hashmod" => Action::HashMod { target, modulus: rule.modulus.as_ref().map_or(1, |n| n.value) },
            "labelmap" => Action::LabelMap { regex, replacement },
            "labeldrop" => Action::LabelDrop(regex),
            "labelkeep" => Action::LabelKeep(regex),
            "lowercase" => Action::Lowercase(target),
            "uppercase" => Action::Uppercase(target),
            _ => return None,
        };
        let sources = rule.source_labels.iter().flatten().map(|text| text.value.clone()).collect();
        let separator = rule.separator.as_ref().map_or_else(|| ";".to_owned(), |text| text.value.clone());
        Some(Self { sources, separator, action })
    }

    /// False: the source is not wanted.
    fn apply(&self, labels: &mut Labels) -> bool {
        let values: Vec<&str> = self.sources.iter().map(|name| labels.value(name).unwrap_or_default()).collect();
        let value = values.join(&self.separator);
        match &self.action {
            Action::Keep(regex) => return regex.is_match(value.as_bytes()),
            Action::Drop(regex) => return !regex.is_match(value.as_bytes()),
            Action::KeepEqual(target) => return labels.value(target).unwrap_or_default() == value,
            Action::DropEqual(target) => return labels.value(target).unwrap_or_default() != value,
            Action::Replace { regex, target, replacement } => replace(labels, &value, regex, target, replacement),
            Action::HashMod { target, modulus } => labels.set(target.as_str(), (md5::last_eight(value.as_bytes()) % modulus).to_string()),
            Action::LabelMap { regex, replacement } => label_map(labels, regex, replacement),
            Action::LabelDrop(regex) => labels.retain(|name, _| !regex.is_match(name.as_bytes())),
            Action::LabelKeep(regex) => labels.retain(|name, _| regex.is_match(name.as_bytes())),
            Action::Lowercase(target) => labels.set(target.as_str(), value.to_lowercase()),
            Action::Uppercase(target) => labels.set(target.as_str(), value.to_uppercase()),
        }
        true
    }
}

fn regex_mistake(at: Place, fault: &dialect::DialectFault) -> Mistake {
    Mistake::new(at, format!("relabel: {fault}"), "correct the expression (RE2 syntax); single quotes keep YAML away from its backslashes")
}

fn replace(labels: &mut Labels, value: &str, regex: &Regex, target: &Template, replacement: &Template) {
    let Some(groups) = regex.captures(value.as_bytes()) else { return };
    let target = target.expand(&groups);
    if is_label_name(&target) {
        labels.set(target, replacement.expand(&groups));
    }
}

fn label_map(labels: &mut Labels, regex: &Regex, replacement: &Template) {
    let mapped = |(name, value): (&str, &str)| -> Option<(String, String)> {
        let groups: Captures<'_> = regex.captures(name.as_bytes())?;
        Some((replacement.expand(&groups), value.to_owned()))
    };
    let mapped: Vec<_> = labels.iter().filter_map(mapped).collect();
    for (name, value) in mapped.into_iter().filter(|(name, _)| is_label_name(name)) {
        labels.set(name, value);
    }
}

#[cfg(test)]
mod tests;
