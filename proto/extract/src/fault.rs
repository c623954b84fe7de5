//! What can be wrong with a line, a path, an expression, a layout or a template.
//!
//! Parts: one enum per subject, [`ExtractFault`] over all of them with its [`Blame`] and [`Remedy`].
//! Texts that clients of Loki know (`__error_details__`, `error parsing regexp: …`) are kept as they
//! know them. Must not do: carry the line itself; it may hold secrets.

use proto_model::{Blame, Remedy};

/// Any fault of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtractFault {
    /// The line is not the JSON it should be.
    #[error(transparent)]
    Json(#[from] JsonFault),
    /// The line is not logfmt.
    #[error(transparent)]
    Logfmt(#[from] LogfmtFault),
    /// A LogQL JSON path is wrong.
    #[error(transparent)]
    Path(#[from] PathFault),
    /// A JMESPath expression is wrong, or uses what is not supported.
    #[error("expression {expression:?}, column {column}: {reason}")]
    Expression {
        /// The expression.
        expression: String,
        /// Column, from 1, of the first byte that is wrong.
        column: usize,
        /// What is wrong and what is accepted.
        reason: String,
    },
    /// A pattern is wrong.
    #[error(transparent)]
    Pattern(#[from] PatternFault),
    /// A regular expression is wrong.
    #[error(transparent)]
    Dialect(#[from] DialectFault),
    /// A time or its layout is wrong.
    #[error(transparent)]
    Time(#[from] TimeFault),
    /// A template is wrong or failed.
    #[error(transparent)]
    Template(#[from] TemplateFault),
}

impl ExtractFault {
    /// Whose fault it is: whoever wrote the expression or the line.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        Blame::Caller
    }

    /// What to do: expressions are to be fixed; a line that does not fit is passed on unparsed.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Json(_) | Self::Logfmt(_) | Self::Time(TimeFault::Value { .. } | TimeFault::Range(_)) | Self::Template(TemplateFault::Call { .. }) => {
                Remedy::Drop
            }
            Self::Path(_) | Self::Expression { .. } | Self::Pattern(_) | Self::Dialect(_) | Self::Time(_) | Self::Template(_) => Remedy::Fix,
        }
    }
}

/// What is wrong with a JSON line. The texts are those of the parser Loki uses: they appear in `__error_details__`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Not an object, or an object that does not go on as one.
    #[error("Value looks like object, but can't find closing '}}' symbol")]
    Object,
    /// The text ends where an object or array has to go on.
    #[error("Value is array, but can't find closing ']' symbol")]
    Array,
    /// A string without its closing quote.
    #[error("Value is string, but can't find closing '\"' symbol")]
    String,
    /// A value that is neither string, number, boolean, null, object nor array.
    #[error("Unknown value type")]
    Value,
    /// Something else that is not JSON.
    #[error("Malformed JSON error")]
    Malformed,
    /// A key with an escape that JSON does not know.
    #[error("Encountered an invalid escape sequence in a string")]
    Escape,
    /// The line of an `unpack` stage does not begin an object.
    #[error("expecting json object(6), but it is not")]
    NotPacked,
    /// Deeper than [`crate::limits::JSON_DEPTH_MAX`].
    #[error("objects nest deeper than {max} levels")]
    Depth {
        /// The limit.
        max: usize,
    },
}

/// What is wrong with a logfmt line, at which byte (from 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("logfmt syntax error at pos {position} : {kind}")]
pub struct LogfmtFault {
    /// Byte of the line, from 1.
    pub position: usize,
    /// What is wrong there.
    pub kind: LogfmtKind,
}

/// The ways a logfmt pair can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogfmtKind {
    /// A `=` without a key before it, or a second one.
    #[error("unexpected '='")]
    Equals,
    /// A quote outside a quoted value.
    #[error("unexpected '\"'")]
    Quote,
    /// A key that is not UTF-8.
    #[error("invalid key")]
    Key,
    /// A quoted value without its end.
    #[error("unterminated quoted value")]
    Unterminated,
    /// A quoted value with a wrong escape.
    #[error("invalid quoted value")]
    Quoted,
}

/// What is wrong with a path of a `json a="…"` stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// A token where another one has to be.
    #[error("syntax error: unexpected {found}{}", expecting(.expected))]
    Syntax {
        /// The token found.
        found: &'static str,
        /// The tokens possible, joined by ` or `; empty where many are.
        expected: &'static str,
    },
    /// A byte that begins no token.
    #[error("unexpected char {0}")]
    Character(char),
    /// An index with something else than digits.
    #[error("non-integer value: {0}")]
    Index(char),
    /// An index with a point.
    #[error("cannot use float as array index")]
    Float,
    /// An index too large for any array.
    #[error("array index {0} is too large")]
    Large(String),
}

fn expecting(tokens: &str) -> String {
    if tokens.is_empty() { String::new() } else { format!(", expecting {tokens}") }
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// A parser pattern that names nothing.
    #[error("at least one capture is required")]
    NoCapture,
    /// Two captures with nothing between them.
    #[error("found consecutive capture '{0}': invalid expression")]
    Adjacent(String),
    /// One name twice.
    #[error("duplicate capture name ({0}): invalid expression")]
    Duplicate(String),
    /// A named capture in a line filter.
    #[error("named captures are not allowed: found '<{0}>'")]
    Named(String),
    /// No text at all.
    #[error("syntax error: unexpected $end, expecting IDENTIFIER or LITERAL")]
    Empty,
}

/// What is wrong with a regular expression, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialectFault {
    /// Go refuses it.
    #[error("error parsing regexp: {code}: `{part}`")]
    Syntax {
        /// What is wrong.
        code: DialectCode,
        /// The part that is wrong.
        part: String,
    },
    /// Go refuses it for its end.
    #[error("error parsing regexp: trailing backslash at end of expression: ``")]
    Backslash,
    /// The source is longer than [`crate::limits::REGEX_SOURCE_BYTES_MAX`].
    #[error("regular expression has {bytes} bytes, the limit is {max}; use fewer or shorter alternatives")]
    Source {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Groups nest deeper than [`crate::limits::REGEX_NEST_MAX`].
    #[error("regular expression nests deeper than {max} groups")]
    Nest {
        /// The limit.
        max: usize,
    },
    /// It compiles to more than [`crate::limits::REGEX_COMPILED_BYTES_MAX`].
    #[error("regular expression compiles to more than {max} bytes; use smaller repeats or classes")]
    Compiled {
        /// The limit.
        max: usize,
    },
}

/// Go's classes of regular expression errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DialectCode {
    /// A class range that runs backwards or does not exist.
    #[error("invalid character class range")]
    Range,
    /// An escape Go does not know.
    #[error("invalid escape sequence")]
    Escape,
    /// A bad group name.
    #[error("invalid named capture")]
    Name,
    /// A `(?` that Go does not know.
    #[error("invalid or unsupported Perl syntax")]
    Perl,
    /// `a**`.
    #[error("invalid nested repetition operator")]
    NestedRepeat,
    /// Counts too large or the wrong way round.
    #[error("invalid repeat count")]
    Count,
    /// A class without its end.
    #[error("missing closing ]")]
    Bracket,
    /// A group without its end.
    #[error("missing closing )")]
    Paren,
    /// An end without its group.
    #[error("unexpected )")]
    UnexpectedParen,
    /// `*` after nothing.
    #[error("missing argument to repetition operator")]
    MissingArgument,
}

/// What is wrong with a time or its layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeFault {
    /// The layout names no part of a time.
    #[error("time layout {0:?} names no part of a time; write the reference time Mon Jan 2 15:04:05 MST 2006 in the form wanted, or a name such as RFC3339")]
    Layout(String),
    /// The text does not fit the layout.
    #[error("time {value:?} does not fit layout {layout:?} at {rest:?}: {reason}")]
    Value {
        /// The text, cut at 64 characters.
        value: String,
        /// The layout.
        layout: String,
        /// What was left to read, cut likewise.
        rest: String,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The time lies outside the years 1678 to 2261.
    #[error("time {0:?} is outside the years 1678 to 2261")]
    Range(String),
}

/// What is wrong with a template, in the words of Go's `text/template`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// The text is not a template, or uses what is not supported.
    #[error("template: {name}:{line}: {reason}")]
    Syntax {
        /// What the template is for.
        name: &'static str,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The source is too long.
    #[error("template: {name}: the text has {bytes} bytes, the limit is {max}")]
    Size {
        /// What the template is for.
        name: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A part of it cannot be computed for this record.
    #[error("template: {name}:{line}:{column}: executing {name:?} at <{part}>: {reason}")]
    Call {
        /// What the template is for.
        name: &'static str,
        /// Line, from 1.
        line: usize,
        /// Bytes before it in its line.
        column: usize,
        /// The part.
        part: String,
        /// What is wrong.
        reason: String,
    },
}
