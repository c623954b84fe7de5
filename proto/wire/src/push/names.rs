//! Names of structured metadata as Loki keeps them: letters, digits and `_`.

use std::borrow::Cow;

/// Every other character becomes `_`; a name that begins with a digit gets `key_` in front, one that begins with a
/// single `_` gets `key`.
#[must_use]
pub fn normalized(name: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = if name.chars().all(fits) { Cow::Borrowed(name) } else { Cow::Owned(name.chars().map(|c| if fits(c) { c } else { '_' }).collect()) };
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Cow::Owned(format!("key_{name}"));
    }
    if name.starts_with('_') && !name.starts_with("__") { Cow::Owned(format!("key{name}")) } else { name }
}

/// Gives metadata the names Loki keeps it under; of equal ones the first stays.
pub fn normalize(metadata: &mut Vec<(String, String)>) {
    for (name, _) in metadata.iter_mut() {
        if let Cow::Owned(changed) = normalized(name) {
            *name = changed;
        }
    }
    let mut at = 0;
    while at < metadata.len() {
        let (before, rest) = metadata.split_at(at);
        if before.iter().any(|(name, _)| *name == rest[0].0) {
            metadata.remove(at);
        } else {
            at += 1;
        }
    }
}
