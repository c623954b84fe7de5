//! How large a query may be, each number with its reason. A query beyond one of these is refused at
//! the place where it goes over, before any work is done for it.
//!
//! Together they bound every walk over a tree: no tree is deeper than
//! [`NESTING_MAX`] + [`TERMS_MAX`] nodes, so recursion over it fits a 2 MiB stack.

/// Longest query text in bytes. Loki takes 128 KiB; the longest that Grafana builds is below 8 KiB.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Deepest nesting of function calls, and of parentheses around a range. People write up to six.
pub const NESTING_MAX: usize = 32;

/// Deepest nesting of parentheses around operands and label tests: they make no tree, and a chain of [`TERMS_MAX`]
/// is printed with one pair for each link, which has to be read again.
pub const PARENTHESES_MAX: usize = TERMS_MAX + NESTING_MAX;

/// Most matchers in one selector.
pub const MATCHERS_MAX: usize = 64;

/// Most label tests and binary operators of a whole query: chains of these lean to one side, and
/// each link is a level of the tree.
pub const TERMS_MAX: usize = 512;

/// Longest source of one regular expression in bytes. Its compiled size is bounded where it is compiled.
pub const REGEX_BYTES_MAX: usize = 4 * 1024;

/// Deepest nesting of groups in a regular expression.
pub const REGEX_NESTING_MAX: usize = 100;

/// Largest repetition in a regular expression, nested ones multiplied: RE2's own limit.
pub const REGEX_REPEAT_MAX: u32 = 1000;
