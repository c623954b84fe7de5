//! What a template computes with.
//!
//! Parts: [`Value`] and how it is printed. Must not do: convert between kinds; a function that wants another kind refuses.

use std::borrow::Cow;
use std::sync::LazyLock;

use jiff::tz::TimeZone;
use proto_model::Timestamp;

use crate::gotime::Layout;

/// A value of a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'v> {
    Text(Cow<'v, str>),
    Time(Timestamp),
}

/// How Go prints a time by default.
static TIME_LAYOUT: LazyLock<Option<Layout>> = LazyLock::new(|| Layout::parse("2006-01-02 15:04:05.999999999 -0700 MST").ok());

impl<'v> Value<'v> {
    pub(super) fn print(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Time(time) => match &*TIME_LAYOUT {
                Some(layout) => out.push_str(&layout.print(*time, &TimeZone::UTC)),
                None => out.push_str(&time.to_string()),
            },
        }
    }

    /// The text, for a function that wants one; else the refusal, in Go's words.
    pub(super) fn into_text(self) -> Result<Cow<'v, str>, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Time(_) => Err("wrong type for value; expected string; got time.Time".to_owned()),
        }
    }
}
