//! From a file's text, variables and flags to settings that can be run.
//!
//! Parts: [`Written`] (what there is to read), [`load`], [`Loaded`], [`Loaded::show`] (the settings as they count,
//! without secrets). Promises: variables are put in before the YAML is read, flags win over the file; all mistakes are told
//! together. Must not do: read other
//! files than databases of stages, or the environment.

use edge_pipeline::{Inspector, Surroundings};
use proto_boot::Mistake;
use proto_boot::expand;
use proto_boot::settings::{Layers, read_all};
use proto_seam::Disk;
use serde_json::Value;

use super::{EdgeSettings, Prepared, Purpose, Remark};

/// What there is to read.
#[derive(Clone, Copy)]
pub struct Written<'a> {
    /// The file's name, for mistakes.
    pub file: &'a str,
    /// Its text.
    pub text: &'a str,
    /// The variables to be put in; `None` = they are left alone.
    pub variables: Option<&'a [(String, String)]>,
    /// Dotted keys and values of flags.
    pub overrides: &'a [(String, String)],
    /// This host, compared with `__host__`.
    pub host: &'a str,
    /// Where databases of stages lie.
    pub disk: &'a dyn Disk,
    /// Who is told what each stage makes of a line.
    pub inspector: Option<&'a Inspector>,
}

/// What was read.
pub struct Loaded {
    /// As written.
    pub settings: EdgeSettings,
    /// As it can be run.
    pub prepared: Prepared,
    /// As it counts: the file with variables and flags in it.
    pub effective: Value,
}

/// Reads and checks.
///
/// # Errors
/// All mistakes, in order of place.
pub fn load(written: &Written<'_>, purpose: Purpose) -> Result<Loaded, Vec<Mistake>> {
    let Written { file, overrides, host, disk, .. } = *written;
    let mut remarks = Vec::new();
    let text = match written.variables {
        Some(variables) => {
            traps(file, written.text, variables, &mut remarks);
            let variable = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            expand::expand(written.text, variable)
                .map_err(|fault| vec![Mistake::new(file, (fault.line() as u64, 1), fault.to_string(), "mend the expression, or write $$ for a dollar")])?
        }
        None => written.text.to_owned(),
    };
    let layers = Layers { file, text: &text, env_prefix: "", env: &[], overrides };
    let (settings, mut mistakes) = read_all::<EdgeSettings>(&layers);
    let prepared = settings.as_ref().map(|settings| {
        let shared = Surroundings { inspector: written.inspector.cloned(), ..settings.surroundings(disk) };
        settings.prepare_in(purpose, file, host, shared)
    });
    match (settings, prepared) {
        (Some(settings), Some(Ok(mut prepared))) if mistakes.is_empty() => {
            prepared.remarks.extend(remarks);
            let effective = read_all::<Value>(&layers).0.unwrap_or_default();
            Ok(Loaded { settings, prepared, effective })
        }
        (_, Some(Err(more))) => {
            mistakes.extend(more);
            mistakes.sort();
            mistakes.dedup();
            Err(mistakes)
        }
        _ => Err(mistakes),
    }
}

/// What looks like a variable and is none, and the other way round.
fn traps(file: &str, text: &str, variables: &[(String, String)], remarks: &mut Vec<Remark>) {
    for (at, line) in text.lines().enumerate().map(|(at, line)| (at as u64 + 1, line)) {
        let place = |column: usize| (at, line[..column].chars().count() as u64 + 1);
        let mut from = 0;
        while let Some(found) = line[from..].find('$').map(|found| from + found) {
            let rest = &line[found + 1..];
            from = found + 1;
            if rest.starts_with('$') {
                from += 1;
            } else if let Some(inner) = rest.strip_prefix('{') {
                let name = &inner[..inner.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-')).unwrap_or(inner.len())];
                let is_set = variables.iter().any(|(known, _)| known == name);
                if name.starts_with(|c: char| c.is_ascii_digit()) {
                    let text = format!("${{{name}}} is taken for a variable under -config.expand-env, not for a group of an expression");
                    remarks.push(Remark::new(file, place(found), text, format!("write $${{{name}}}")));
                } else if !name.is_empty() && !is_set && inner[name.len()..].starts_with('}') {
                    let text = format!("the variable {name} is not set and becomes nothing");
                    remarks.push(Remark::new(file, place(found), text, format!("set it, or write ${{{name}:-default}}")));
                }
            } else if rest.starts_with(|c: char| c.is_ascii_digit()) {
                let text = "a group of an expression under -config.expand-env stays as it is here, but Promtail may take it for a variable";
                remarks.push(Remark::new(file, place(found), text, "write $$ for the dollar, which both read alike"));
            }
        }
    }
}

/// Keys whose values are never shown.
const SECRET: [&str; 15] = [
    "password",
    "credentials",
    "bearer_token",
    "client_secret",
    "token",
    "api_token",
    "connection_string",
    "key",
    "shared_key",
    "headers",
    "http_headers",
    "proxy_connect_header",
    "endpoint_params",
    "secret_access_key",
    "oauth_config",
];

impl Loaded {
    /// The settings as they count, as YAML; secrets are left out.
    #[must_use]
    pub fn show(&self) -> String {
        show(&self.effective)
    }
}

/// A tree as YAML; secrets are left out.
#[must_use]
pub fn show(tree: &Value) -> String {
    let mut out = String::new();
    block(&masked(tree), 0, &mut out);
    out
}

/// The same tree with secrets left out.
#[must_use]
pub fn masked(tree: &Value) -> Value {
    match tree {
        Value::Object(map) => {
            let shown = |key: &str, value: &Value| if SECRET.contains(&key) && !value.is_null() { Value::from("<secret>") } else { masked(value) };
            Value::Object(map.iter().map(|(key, value)| (key.clone(), shown(key, value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(masked).collect()),
        Value::String(written) => Value::from(without_user(written)),
        Value::Null | Value::Bool(_) | Value::Number(_) => tree.clone(),
    }
}

fn block(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                out.push_str(&format!("{indent}{}:", text(key)));
                under(value, depth, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                out.push_str(&format!("{indent}-"));
                under(item, depth, out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&format!("{indent}{}\n", scalar(value))),
    }
}

/// What stands behind a key or a dash.
fn under(value: &Value, depth: usize, out: &mut String) {
    let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    if (value.is_object() || value.is_array()) && !is_empty {
        out.push('\n');
        block(value, depth + 1, out);
    } else {
        out.push_str(&format!(" {}\n", scalar(value)));
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(written) => text(written),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A url without the user and password in it.
fn without_user(written: &str) -> String {
    let Some((scheme, rest)) = written.split_once("://") else { return written.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://<secret>{}", &rest[user.len()..]),
        None => written.to_owned(),
    }
}

/// Plain where YAML takes it for nothing else.
fn text(written: &str) -> String {
    let is_plain = written.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/')
        && written.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&written.to_ascii_lowercase().as_str());
    if is_plain { written.to_owned() } else { Value::from(written).to_string() }
}

#[cfg(test)]
mod tests;
