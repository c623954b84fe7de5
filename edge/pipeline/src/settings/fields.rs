//! The fields of each stage and of a relabelling rule, named as Promtail names them.
//!
//! Every field is optional here: what is required, and what may not stand together, is judged when the
//! program is compiled, so that all mistakes are reported at once. Must not do: hold defaults that differ by
//! stage; those stand where the stage is compiled.

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{OneOrMany, Pairs, StageSettings, Text};

/// A stage that has no fields.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoSettings {}

/// `cri`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CriSettings {
    /// Streams whose partial lines are held at once.
    pub max_partial_lines: Option<Spanned<u64>>,
    /// Longest joined line, as a byte size; used only with `max_partial_line_size_truncate`.
    pub max_partial_line_size: Option<Text>,
    /// Whether joined lines are cut to `max_partial_line_size`.
    pub max_partial_line_size_truncate: bool,
}

/// `json`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JsonSettings {
    /// Name to JMESPath expression; without one, the name itself.
    pub expressions: Pairs,
    /// Extracted value to read instead of the line.
    pub source: Option<Text>,
    /// Whether lines that are no JSON object are dropped.
    pub drop_malformed: bool,
}

/// `logfmt`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogfmtSettings {
    /// Name to logfmt key; without one, the name itself.
    pub mapping: Pairs,
    /// Extracted value to read instead of the line.
    pub source: Option<Text>,
}

/// `regex`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegexSettings {
    /// RE2 with named groups.
    pub expression: Option<Text>,
    /// Extracted value to read instead of the line.
    pub source: Option<Text>,
}

/// `replace`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplaceSettings {
    /// RE2 with groups; each captured group is replaced.
    pub expression: Option<Text>,
    /// Extracted value to change instead of the line.
    pub source: Option<Text>,
    /// Go template that makes the replacement; `.Value` is the captured text.
    pub replace: Option<Text>,
}

/// `timestamp`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimestampSettings {
    /// Extracted value to read.
    pub source: Option<Text>,
    /// Name of a format, or a Go layout.
    pub format: Option<Text>,
    /// Formats tried in turn when `format` does not fit.
    pub fallback_formats: Vec<Text>,
    /// IANA time zone for layouts without one.
    pub location: Option<Text>,
    /// `fudge` or `skip`.
    pub action_on_failure: Option<Text>,
}

/// `output`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputSettings {
    /// Extracted value that becomes the line.
    pub source: Option<Text>,
}

/// `match`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatchSettings {
    /// LogQL stream selector with line filters.
    pub selector: Option<Text>,
    /// Stages for lines that match.
    pub stages: Option<Vec<StageSettings>>,
    /// `keep` or `drop`.
    pub action: Option<Text>,
    /// A name for metrics; kept for compatibility, used by none.
    pub pipeline_name: Option<Text>,
    /// Reason under which dropped lines are counted.
    pub drop_counter_reason: Option<Text>,
}

/// `drop`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropSettings {
    /// Extracted values to judge instead of the line.
    pub source: Option<Spanned<OneOrMany>>,
    /// What joins the values of several sources.
    pub separator: Option<Text>,
    /// RE2 that must match.
    pub expression: Option<Text>,
    /// Text that must be equal.
    pub value: Option<Text>,
    /// Age a line must exceed, as a Go duration.
    pub older_than: Option<Text>,
    /// Length a line must exceed, as a byte size.
    pub longer_than: Option<Text>,
    /// Reason under which dropped lines are counted.
    pub drop_counter_reason: Option<Text>,
}

/// `multiline`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultilineSettings {
    /// RE2 of a block's first line.
    pub firstline: Option<Text>,
    /// Lines of a block; 0 = no limit.
    pub max_lines: Option<Spanned<u64>>,
    /// How long a block waits for its next line, as a Go duration.
    pub max_wait_time: Option<Text>,
}

/// `tenant`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantSettings {
    /// Label whose value is the tenant.
    pub label: Option<Text>,
    /// Extracted value that is the tenant.
    pub source: Option<Text>,
    /// The tenant itself.
    pub value: Option<Text>,
}

/// `template`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemplateSettings {
    /// Extracted value that is written.
    pub source: Option<Text>,
    /// Go template; `.Value` is the value of the source, `.Entry` the line.
    pub template: Option<Text>,
}

/// One metric of `metrics`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricSettings {
    /// `Counter`, `Gauge` or `Histogram`, in any case of letters.
    #[serde(rename = "type")]
    pub kind: Option<Text>,
    /// What the metric means.
    pub description: Option<Text>,
    /// Extracted value to take; without one, that of the metric's name.
    pub source: Option<Text>,
    /// What stands before the metric's name.
    pub prefix: Option<Text>,
    /// How long a series is shown after its last change, as a Go duration.
    pub max_idle_duration: Option<Text>,
    /// What is done.
    pub config: MetricConfig,
}

/// `config` of a metric
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricConfig {
    /// Text the source must have.
    pub value: Option<Text>,
    /// `inc`, `add`; of a gauge also `set`, `dec`, `sub`.
    pub action: Option<Text>,
    /// Of a counter: every line counts.
    pub match_all: bool,
    /// Of a counter of every line: the bytes of the line are added.
    pub count_entry_bytes: bool,
    /// Of a histogram: upper bounds, rising.
    pub buckets: Option<Spanned<Vec<f64>>>,
}

/// `limit`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Lines a second.
    pub rate: Option<Spanned<f64>>,
    /// Lines at once.
    pub burst: Option<Spanned<i64>>,
    /// Whether lines beyond are dropped, rather than waited with.
    pub drop: bool,
    /// Label each of whose values has a limit of its own; needs `drop`.
    pub by_label_name: Option<Text>,
    /// Values of that label that are told apart.
    pub max_distinct_labels: Option<Spanned<u64>>,
}

/// `sampling`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplingSettings {
    /// Share of the lines that pass, 0 to 1.
    pub rate: Option<Spanned<f64>>,
    /// Reason under which dropped lines are counted.
    pub drop_counter_reason: Option<Text>,
}

/// `pack`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PackSettings {
    /// Labels and extracted values to pack.
    pub labels: Vec<Text>,
    /// Whether the time of reading becomes the record's; the default.
    pub ingest_timestamp: Option<bool>,
}

/// `geoip`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeoIpSettings {
    /// Path of the database.
    pub db: Option<Text>,
    /// Extracted value with the address.
    pub source: Option<Text>,
    /// `city`, `asn` or `country`.
    pub db_type: Option<Text>,
}

/// `eventlogmessage`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventLogMessageSettings {
    /// Extracted value with the message; without one, `message`.
    pub source: Option<Text>,
    /// Whether keys that are no label names are left out.
    pub drop_invalid_labels: bool,
    /// Whether values that are there already are replaced.
    pub overwrite_existing: bool,
}

/// A rule of `relabel_configs`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelabelFields {
    /// Labels whose values are joined.
    pub source_labels: Option<Vec<Text>>,
    /// What joins them.
    pub separator: Option<Text>,
    /// Label that is written.
    pub target_label: Option<Text>,
    /// RE2, anchored on both sides.
    pub regex: Option<Text>,
    /// What the hash is taken modulo of.
    pub modulus: Option<Spanned<u64>>,
    /// What is written, with `$1` and `${name}`.
    pub replacement: Option<Text>,
    /// What is done, in any case of letters.
    pub action: Option<Text>,
}
