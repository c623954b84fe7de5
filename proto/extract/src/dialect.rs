//! Go's regular expressions (RE2 syntax) on the `regex` crate: accepted and refused as Go does it, with the same meaning.
//!
//! Parts: [`translate`] (text to text), [`compile`] and [`compile_anchored`] over it, [`seen`]. The two
//! dialects differ in silence: `\d`, `\w`, `\s`, `\b` are ASCII in Go and Unicode in `regex`; `&&`, `--`, `~~`
//! and `[` mean something inside a class in `regex`; `{` may stand for itself in Go; `\Q…\E`, octal
//! escapes and `\<` exist on one side only. So the source is parsed by Go's rules and written anew.
//!
//! Limits: [`REGEX_SOURCE_BYTES_MAX`], [`REGEX_NEST_MAX`], [`REGEX_REPEAT_MAX`](crate::limits::REGEX_REPEAT_MAX),
//! [`REGEX_COMPILED_BYTES_MAX`]. Promises: never backtracks, never recurses. Differences left: group names
//! that begin with a digit get a `_` before it; of equal group names only the first keeps it; `\B` alone also
//! holds inside a character of several bytes.

use std::borrow::Cow;

use regex::bytes::{Regex, RegexBuilder};

use crate::limits::{REGEX_COMPILED_BYTES_MAX, REGEX_NEST_MAX, REGEX_SOURCE_BYTES_MAX};
use crate::text;

pub use crate::fault::{DialectCode, DialectFault};

use self::parser::Parser;

mod class;
mod parser;

/// The same expression in the syntax of the `regex` crate.
///
/// # Errors
/// What Go's `regexp.Compile` refuses, in its words; sources and nesting over the limits.
pub fn translate(re2: &str) -> Result<String, DialectFault> {
    translated(re2, false)
}

fn translated(re2: &str, dot_all: bool) -> Result<String, DialectFault> {
    if re2.len() > REGEX_SOURCE_BYTES_MAX {
        return Err(DialectFault::Source { bytes: re2.len(), max: REGEX_SOURCE_BYTES_MAX });
    }
    Parser::new(re2, dot_all).run()
}

/// Compiles `re2`. It matches text; a haystack that may hold bytes outside UTF-8 goes through [`seen`] first.
///
/// # Errors
/// As [`translate`], and when the compiled form exceeds its limit.
pub fn compile(re2: &str) -> Result<Regex, DialectFault> {
    build(&translated(re2, false)?)
}

/// Compiles `re2` as Prometheus' matchers use it: anchored at both ends, `.` matching newlines too.
///
/// # Errors
/// As [`compile`].
pub fn compile_anchored(re2: &str) -> Result<Regex, DialectFault> {
    build(&format!("^(?:{})$", translated(re2, true)?))
}

/// The haystack as Go's regular expressions see it: every byte outside UTF-8 is the character U+FFFD, so that
/// `.` matches it. Borrows unless there is such a byte.
#[must_use]
pub fn seen(haystack: &[u8]) -> Cow<'_, [u8]> {
    match text::repaired(haystack) {
        Cow::Borrowed(_) => Cow::Borrowed(haystack),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn build(source: &str) -> Result<Regex, DialectFault> {
    // A group can hold a concatenation, which holds a repeat, which holds the next group: three levels each.
    let nest = u32::try_from(REGEX_NEST_MAX * 4).unwrap_or(u32::MAX);
    RegexBuilder::new(source).size_limit(REGEX_COMPILED_BYTES_MAX).nest_limit(nest).build().map_err(|fault| match fault {
        // The parser wrote the source, so what is left to refuse is its size.
        regex::Error::CompiledTooBig(_) => DialectFault::Compiled { max: REGEX_COMPILED_BYTES_MAX },
        // More kinds may come; none of them would be a size.
        regex::Error::Syntax(_) | _ => DialectFault::Syntax { code: DialectCode::Perl, part: source.to_owned() },
    })
}

#[cfg(test)]
mod tests;
