//! The crate's limits, each with its reason. Must not do: hold anything a tenant may set.

/// Objects inside objects in a JSON line. Deeper than any logger writes; keeps names and work bounded
/// (jsonparser, as Loki uses it, has no bound and re-reads the text once per level).
pub const JSON_DEPTH_MAX: usize = 128;

/// How deep `detected_level` looks for a level key: Loki's default of `log_level_from_json_max_depth`.
pub const LEVEL_JSON_DEPTH_MAX: usize = 2;

/// Bytes of a regular expression's source: longer ones are lists that belong into a label or a file.
pub const REGEX_SOURCE_BYTES_MAX: usize = 4 << 10;

/// Bytes of a compiled regular expression: bounds the memory of one hostile query.
pub const REGEX_COMPILED_BYTES_MAX: usize = 1 << 20;

/// Groups inside groups of a regular expression.
pub const REGEX_NEST_MAX: usize = 100;

/// Largest repeat count, and largest product of nested ones: Go's own limit.
pub const REGEX_REPEAT_MAX: u32 = 1000;

/// Bytes of a template's source.
pub const TEMPLATE_SOURCE_BYTES_MAX: usize = 16 << 10;

/// Parentheses inside parentheses of a template action.
pub const TEMPLATE_NEST_MAX: usize = 50;

/// Bytes that a template may make of one record: the longest line that is kept, twice over.
pub const TEMPLATE_OUTPUT_BYTES_MAX: usize = 2 << 20;

/// Parts of templates that are run for one record: a loop over a long list ends in a fault.
pub const TEMPLATE_STEPS_MAX: usize = 100_000;

/// Templates that call templates.
pub const TEMPLATE_CALLS_MAX: usize = 100;

/// Width and precision of a verb of `printf`.
pub const TEMPLATE_WIDTH_MAX: usize = 10_000;
