//! `tributary-edge convert`: another agent's configuration as this edge's YAML, with a table of what became of it.
//!
//! Parts: [`convert`], [`Wish`], [`Converted`]; [`promtail`] (Promtail's YAML), [`river`] and [`alloy`] (Alloy's River),
//! [`tree`] (what is written), [`report`] (the table). Promises: what cannot be kept is a row with its line, never left out
//! in silence; the result was checked as `check-config` checks it, and the table says what that came to. Must not do:
//! read the environment or files.

pub mod alloy;
pub mod promtail;
pub mod report;
pub mod river;
pub mod tree;

use std::collections::BTreeSet;

use proto_boot::Mistake;
use proto_seam::Disk;

use crate::settings::Purpose;
use crate::settings::load::{Written, load};
use report::{Report, Verdict};
use tree::Node;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Promtail's YAML.
    Promtail,
    /// Alloy's River.
    Alloy,
}

impl From {
    /// By the name of the file, or its text: River has blocks with labels, YAML has not.
    #[must_use]
    pub fn guess(name: &str, text: &str) -> Self {
        if [".alloy", ".river"].iter().any(|ending| name.ends_with(ending)) {
            return Self::Alloy;
        }
        if [".yaml", ".yml"].iter().any(|ending| name.ends_with(ending)) {
            return Self::Promtail;
        }
        if river::syntax::parse(text).is_ok_and(|items| !items.is_empty()) { Self::Alloy } else { Self::Promtail }
    }
}

/// What is wished for beside the file.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Send to this hub instead of to the Lokis of the file.
    pub hub: Option<String>,
    /// Where the edge's identity will lie.
    pub identity_dir: String,
    /// Where Alloy keeps its data.
    pub alloy_storage: String,
    /// Where the edge will keep its own.
    pub state_dir: String,
    /// Variables, if they are to be put in before the check.
    pub variables: Option<Vec<(String, String)>>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            hub: None,
            identity_dir: "/etc/tributary/identity".to_owned(),
            alloy_storage: "/var/lib/alloy/data".to_owned(),
            state_dir: "/var/lib/tributary-edge".to_owned(),
            variables: None,
        }
    }
}

impl Wish {
    /// `hub`, if one is wished for.
    fn hub(&self) -> Option<Node> {
        let ca_file = format!("{}/ca.crt", self.identity_dir);
        self.hub.as_ref().map(|url| {
            Node::map([("url", Some(Node::text(url))), ("ca_file", Some(Node::text(ca_file))), ("identity_dir", Some(Node::text(&self.identity_dir)))])
        })
    }
}

/// What a file was converted to.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// The edge's YAML.
    pub yaml: String,
    /// What became of each part.
    pub report: Report,
}

/// Converts `text` of the file `name`.
///
/// # Errors
/// The mistakes of a text that cannot be read at all.
pub fn convert(from: From, name: &str, text: &str, wish: &Wish, disk: &dyn Disk) -> Result<Converted, Vec<Mistake>> {
    let mut names = BTreeSet::new();
    let (yaml, mut report) = match from {
        From::Promtail => promtail::convert(name, text, wish)?,
        From::Alloy => {
            let (tree, report) = alloy::convert(text, wish).map_err(|fault| vec![Mistake::new(name, fault.at.pair(), fault.text, fault.fix)])?;
            tree.variables(&mut names);
            (tree.yaml(), report)
        }
    };
    if !names.is_empty() {
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        report.tell(0, Verdict::Changed, "env", format!("run the edge with -config.expand-env: the file takes {} from the environment", all.join(", ")));
    }
    check(&yaml, &names, wish, disk, &mut report);
    Ok(Converted { yaml, report })
}

/// What a variable that is not set here stands for while the result is checked: a text that can be part of a url.
const UNSET: &str = "http://unset.invalid";

/// Checks the result as it will be loaded, and tells what that came to.
fn check(yaml: &str, names: &BTreeSet<String>, wish: &Wish, disk: &dyn Disk, report: &mut Report) {
    let mut variables = wish.variables.clone().unwrap_or_default();
    for name in names.iter().filter(|name| !variables.iter().any(|(known, _)| known == *name)).cloned().collect::<Vec<_>>() {
        variables.push((name, UNSET.to_owned()));
    }
    let expands = wish.variables.is_some() || !names.is_empty();
    let variables = expands.then_some(variables.as_slice());
    match load(&Written { file: "the result", text: yaml, variables, overrides: &[], host: "", disk, inspector: None }, Purpose::Run) {
        Ok(loaded) => {
            for remark in &loaded.prepared.remarks {
                let verdict = if remark.text().contains("has no effect") { Verdict::Ignored } else { Verdict::Changed };
                report.tell(0, verdict, "check", format!("{}; {}", remark.text(), remark.fix()));
            }
        }
        Err(mistakes) => {
            for mistake in mistakes {
                report.tell(0, Verdict::Refused, "check", format!("the result does not load: {}; {}", mistake.text, mistake.fix));
            }
        }
    }
}

#[cfg(test)]
mod tests;
