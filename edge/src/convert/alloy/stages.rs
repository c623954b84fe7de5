//! `loki.process`: its stages, in their order.
//!
//! Parts: `Graph::process`, [`PLAIN`] (stages that differ in nothing but how they are written), those that differ more, and
//! [`REFUSED`] (Alloy's own, each with another way). Must not do: compile.

use super::super::report::Verdict;
use super::super::river::syntax::Block;
use super::super::river::value::Val;
use super::super::tree::Node;
use super::Graph;
use super::fields::Fields;

/// Alloy's name, ours, and the fields, which are called the same.
const PLAIN: [(&str, &str, &[&str]); 17] = [
    ("cri", "cri", &["max_partial_lines", "max_partial_line_size", "max_partial_line_size_truncate"]),
    ("decolorize", "decolorize", &[]),
    ("docker", "docker", &[]),
    ("drop", "drop", &["source", "separator", "expression", "value", "older_than", "longer_than", "drop_counter_reason"]),
    ("eventlogmessage", "eventlogmessage", &["source", "drop_invalid_labels", "overwrite_existing"]),
    ("geoip", "geoip", &["db", "source", "db_type"]),
    ("json", "json", &["expressions", "source", "drop_malformed"]),
    ("limit", "limit", &["rate", "burst", "drop", "by_label_name", "max_distinct_labels"]),
    ("logfmt", "logfmt", &["mapping", "source"]),
    ("multiline", "multiline", &["firstline", "max_lines", "max_wait_time"]),
    ("output", "output", &["source"]),
    ("pack", "pack", &["labels", "ingest_timestamp"]),
    ("replace", "replace", &["expression", "source", "replace"]),
    ("sampling", "sampling", &["rate", "drop_counter_reason"]),
    ("template", "template", &["source", "template"]),
    ("tenant", "tenant", &["label", "source", "value"]),
    ("timestamp", "timestamp", &["source", "format", "fallback_formats", "location", "action_on_failure"]),
];

/// Stages that hold nothing but values: Alloy's name, ours.
const VALUES: [(&str, &str); 5] = [
    ("labels", "labels"),
    ("static_labels", "static_labels"),
    ("structured_metadata", "structured_metadata"),
    ("label_drop", "labeldrop"),
    ("label_keep", "labelallow"),
];

/// Stages that only Alloy has, and what to do instead.
const REFUSED: [(&str, &str); 6] = [
    ("luhn", "hide such numbers with stage replace and an expression for them"),
    ("pattern", "write stage regex with named groups for the same"),
    ("structured_metadata_drop", "take the names out of the stage structured_metadata that makes them"),
    ("truncate", "cut lines with limits_config.max_line_size and max_line_size_truncate, values with stage template and trunc"),
    ("split_json", "let the sender write one object a line"),
    ("windowsevent", "use stage eventlogmessage, or json with the fields that are wanted"),
];

/// Prefix of metrics where none is written.
const METRIC_PREFIX: &str = "loki_process_custom_";

impl Graph<'_> {
    /// The stages of a `loki.process`.
    pub(super) fn process(&mut self, block: &Block) -> Vec<Node> {
        let mut fields = Fields::new(block);
        fields.take(self, "forward_to");
        let stages = self.stages(&mut fields);
        fields.end(self);
        stages
    }

    fn stages(&mut self, fields: &mut Fields<'_>) -> Vec<Node> {
        let blocks = fields.blocks_below("stage.");
        blocks.into_iter().flat_map(|block| self.stage(block)).collect()
    }

    fn stage(&mut self, block: &Block) -> Vec<Node> {
        let kind = block.name.trim_start_matches("stage.");
        let (mut fields, line) = (Fields::new(block), block.at.line);
        let stage = |name: &str, node: Node| vec![Node::map([(name, Some(node))])];
        let made = if let Some((_, ours, names)) = PLAIN.iter().find(|(name, ..)| *name == kind) {
            let mut pairs = Vec::new();
            fields.same(self, names, &mut pairs);
            stage(ours, Node::Map(pairs))
        } else if let Some((_, ours)) = VALUES.iter().find(|(name, _)| *name == kind) {
            match fields.node(self, "values") {
                Some(values) if !values.is_empty() => stage(ours, values),
                _ => {
                    self.tell(line, Verdict::Ignored, &block.name, "it holds no values, and would do nothing");
                    Vec::new()
                }
            }
        } else {
            match kind {
                "regex" => self.regex(&mut fields),
                "match" => {
                    let mut pairs = Vec::new();
                    fields.same(self, &["selector", "pipeline_name", "action", "drop_counter_reason"], &mut pairs);
                    let inner = self.stages(&mut fields);
                    if !inner.is_empty() {
                        pairs.push(("stages".to_owned(), Node::List(inner)));
                    }
                    stage("match", Node::Map(pairs))
                }
                "metrics" => stage("metrics", self.metrics(&mut fields)),
                _ => {
                    let instead = REFUSED.iter().find(|(name, _)| *name == kind).map_or("it is not known here", |(_, instead)| instead);
                    self.tell(line, Verdict::Refused, &block.name, format!("this stage is left out: {instead}"));
                    return Vec::new();
                }
            }
        };
        fields.end(self);
        made
    }

    /// `labels_from_groups` is a stage of its own here.
    fn regex(&mut self, fields: &mut Fields<'_>) -> Vec<Node> {
        let mut pairs = Vec::new();
        fields.same(self, &["expression", "source"], &mut pairs);
        let has_labels = fields.take(self, "labels_from_groups") == Some(Val::Bool(true));
        let groups = pairs.iter().find(|(name, _)| name == "expression").map(|(_, value)| if let Node::Text(text) = value { groups(text) } else { Vec::new() });
        let mut stages = vec![Node::map([("regex", Some(Node::Map(pairs)))])];
        if let Some(groups) = groups.filter(|groups| has_labels && !groups.is_empty()) {
            self.tell(
                fields.line("labels_from_groups"),
                Verdict::Changed,
                "stage.regex labels_from_groups",
                "a stage labels with the names of the groups follows",
            );
            let labels = groups.into_iter().map(|group| (group, Node::text(""))).collect();
            stages.push(Node::map([("labels", Some(Node::Map(labels)))]));
        }
        stages
    }

    fn metrics(&mut self, fields: &mut Fields<'_>) -> Node {
        let mut metrics = Vec::new();
        for block in fields.blocks_below("metric.") {
            let (mut inner, mut pairs, mut config) = (Fields::new(block), Vec::new(), Vec::new());
            let kind = block.name.trim_start_matches("metric.");
            let name = inner.take(self, "name").and_then(|name| name.text().map(str::to_owned)).unwrap_or_default();
            pairs.push(("type".to_owned(), Node::text(kind)));
            inner.same(self, &["description", "source", "prefix", "max_idle_duration"], &mut pairs);
            if pairs.iter().all(|(name, _)| name != "prefix") {
                pairs.push(("prefix".to_owned(), Node::text(METRIC_PREFIX)));
            }
            inner.same(self, &["value", "action", "match_all", "count_entry_bytes", "buckets"], &mut config);
            inner.end(self);
            pairs.push(("config".to_owned(), Node::Map(config)));
            metrics.push((name, Node::Map(pairs)));
        }
        Node::Map(metrics)
    }
}

/// Names of an expression's groups.
fn groups(expression: &str) -> Vec<String> {
    let named = expression.split("(?P<").skip(1).chain(expression.split("(?<").skip(1));
    let names = named.filter_map(|rest| rest.split_once('>')).map(|(name, _)| name.to_owned());
    names.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).collect()
}
