//! One name of a glob, between two slashes: what a directory must be called to be entered.
//!
//! Parts: [`Part`]; [`matcher`], how a glob is compiled here. Promises: a part never refuses a name that the whole glob
//! allows; the common forms (`*`, `*x`, `x*`) are compared without an expression. Must not do: touch a disk.

use std::ffi::OsStr;

use globset::{GlobBuilder, GlobMatcher};

/// What one name must look like.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// This name.
    Literal(String),
    /// Any that begins so.
    Prefix(String),
    /// Any that ends so.
    Suffix(String),
    /// Any at all.
    Any,
    /// What this glob allows.
    Glob(GlobMatcher),
}

/// Compiles a glob in which only `**` crosses directories.
pub(super) fn matcher(glob: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(GlobBuilder::new(glob).literal_separator(true).build()?.compile_matcher())
}

impl Part {
    /// The parts of a glob, up to a `**`; none when the names cannot be told apart (a brace that spans directories).
    pub(super) fn all(names: &[&str]) -> Vec<Self> {
        let is_whole = |name: &&str| name.matches('{').count() == name.matches('}').count();
        if !names.iter().all(is_whole) {
            return Vec::new();
        }
        names.iter().take_while(|name| !name.contains("**")).map(|name| Self::of(name)).collect()
    }

    fn of(name: &str) -> Self {
        let is_plain = |text: &str| !text.contains(['*', '?', '[', ']', '{', '}', '\\']);
        match (name.strip_prefix('*'), name.strip_suffix('*')) {
            _ if is_plain(name) => Self::Literal(name.to_owned()),
            (Some(""), _) => Self::Any,
            (Some(rest), _) if is_plain(rest) => Self::Suffix(rest.to_owned()),
            (_, Some(rest)) if is_plain(rest) => Self::Prefix(rest.to_owned()),
            _ => matcher(name).map_or(Self::Any, Self::Glob),
        }
    }

    /// Whether a name may lead to what the whole glob allows.
    pub(super) fn fits(&self, name: &OsStr) -> bool {
        let bytes = name.as_encoded_bytes();
        match self {
            Self::Literal(text) => bytes == text.as_bytes(),
            Self::Prefix(text) => bytes.starts_with(text.as_bytes()),
            Self::Suffix(text) => bytes.ends_with(text.as_bytes()),
            Self::Any => true,
            Self::Glob(glob) => glob.is_match(name),
        }
    }
}
