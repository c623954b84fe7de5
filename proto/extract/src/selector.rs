//! Label matchers and line filters, compiled once and asked often.
//!
//! Parts: [`CompiledMatcher`] (`name="…"`, for streams) and [`LineTest`] (`|= != |~ !~`, for lines). Both
//! take the fast way where a regular expression is only text: a plain word, a list of words, `.*` and `.+`.
//!
//! Promises: a matcher's expression is anchored at both ends, a line filter's is not; bytes outside UTF-8
//! do not keep a line from matching. Must not do: combine tests; a list of them is the caller's.

use memchr::memmem;
use proto_model::MatchOp;
use regex::bytes::Regex;

use crate::dialect;
use crate::pattern::LinePattern;

pub use crate::fault::{DialectFault, ExtractFault};

/// One matcher of a stream selector.
#[derive(Debug, Clone)]
pub struct CompiledMatcher {
    /// Label name.
    pub name: String,
    /// How it compares.
    pub op: MatchOp,
    /// The value as written.
    pub value: String,
    test: ValueTest,
}

#[derive(Debug, Clone)]
enum ValueTest {
    /// Equal to one of these.
    Words(Vec<String>),
    /// Anything, the empty value too.
    Anything,
    /// Anything but the empty value.
    NonEmpty,
    Regex(Regex),
}

impl CompiledMatcher {
    /// Compiles one matcher.
    ///
    /// # Errors
    /// When `op` wants a regular expression and `value` is none that Go accepts, or too large a one.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, DialectFault> {
        let value = value.into();
        let test = match op {
            MatchOp::Equal | MatchOp::NotEqual => ValueTest::Words(vec![value.clone()]),
            MatchOp::Regex | MatchOp::NotRegex => ValueTest::of_regex(&value)?,
        };
        Ok(Self { name: name.into(), op, value, test })
    }

    /// Whether a label with this value matches; an absent label has the empty value.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let value = value.unwrap_or_default();
        let equal = match &self.test {
            ValueTest::Words(words) => words.iter().any(|word| word == value),
            ValueTest::Anything => true,
            ValueTest::NonEmpty => !value.is_empty(),
            ValueTest::Regex(regex) => regex.is_match(value.as_bytes()),
        };
        equal == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }

    /// Whether streams without the label match: a selector needs one matcher for which this is false.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches(None)
    }

    /// The only values that match, where they are few and known; lets an index be asked for them.
    #[must_use]
    pub fn words(&self) -> Option<&[String]> {
        let ValueTest::Words(words) = &self.test else { return None };
        matches!(self.op, MatchOp::Equal | MatchOp::Regex).then_some(words)
    }
}

impl ValueTest {
    fn of_regex(source: &str) -> Result<Self, DialectFault> {
        match source {
            // Anchored with `.` matching newlines, these take every value there is.
            ".*" => return Ok(Self::Anything),
            ".+" => return Ok(Self::NonEmpty),
            _ => {}
        }
        let regex = dialect::compile_anchored(source)?;
        if source.split('|').all(is_plain) {
            return Ok(Self::Words(source.split('|').map(str::to_owned).collect()));
        }
        Ok(Self::Regex(regex))
    }
}

/// Whether `source`, as a regular expression, stands for its own text.
fn is_plain(source: &str) -> bool {
    source.chars().all(|c| !matches!(c, '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$'))
}

/// How a line filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LineOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Match,
    /// `!~`
    NotMatch,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

impl LineOp {
    /// As written in a query.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "|=",
            Self::NotContains => "!=",
            Self::Match => "|~",
            Self::NotMatch => "!~",
            Self::Pattern => "|>",
            Self::NotPattern => "!>",
        }
    }

    /// Whether lines that have the text are the ones to keep.
    #[must_use]
    pub const fn keeps(self) -> bool {
        matches!(self, Self::Contains | Self::Match | Self::Pattern)
    }
}

/// One line filter.
#[derive(Debug, Clone)]
pub struct LineTest {
    op: LineOp,
    text: String,
    needle: Needle,
}

#[derive(Debug, Clone)]
enum Needle {
    /// In every line.
    Nothing,
    Text(Box<memmem::Finder<'static>>),
    Regex(Regex),
    Pattern(LinePattern),
}

impl LineTest {
    /// Compiles one filter.
    ///
    /// # Errors
    /// When `text` is no regular expression that Go accepts, or no pattern, where `op` wants one.
    pub fn new(op: LineOp, text: impl Into<String>) -> Result<Self, ExtractFault> {
        let text = text.into();
        let needle = match op {
            LineOp::Contains | LineOp::NotContains => Needle::of_text(&text),
            LineOp::Match | LineOp::NotMatch => {
                let regex = dialect::compile(&text)?;
                match text.as_str() {
                    ".*" => Needle::Nothing,
                    plain if is_plain(plain) => Needle::of_text(plain),
                    _ => Needle::Regex(regex),
                }
            }
            LineOp::Pattern | LineOp::NotPattern => Needle::Pattern(LinePattern::parse(&text)?),
        };
        Ok(Self { op, text, needle })
    }

    /// Whether the line stays.
    #[must_use]
    pub fn passes(&self, line: &[u8]) -> bool {
        let found = match &self.needle {
            Needle::Nothing => true,
            Needle::Text(finder) => finder.find(line).is_some(),
            Needle::Regex(regex) => regex.is_match(&dialect::seen(line)),
            Needle::Pattern(pattern) => pattern.matches(line),
        };
        found == self.op.keeps()
    }

    /// How it compares.
    #[must_use]
    pub const fn op(&self) -> LineOp {
        self.op
    }

    /// The text as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes every passing line contains, where they are known: lets blocks be skipped by a substring index.
    #[must_use]
    pub fn required(&self) -> Option<&[u8]> {
        let Needle::Text(finder) = &self.needle else { return None };
        self.op.keeps().then(|| finder.needle())
    }
}

impl Needle {
    fn of_text(text: &str) -> Self {
        if text.is_empty() { Self::Nothing } else { Self::Text(Box::new(memmem::Finder::new(text.as_bytes()).into_owned())) }
    }
}

#[cfg(test)]
mod tests;
