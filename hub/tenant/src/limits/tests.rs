//! The limits: what a patch changes, and that the document tells the same.

use proto_boot::{Bytes, Span, settings};

use super::loki::{Elsewhere, table};
use super::{Limits, LimitsPatch};

fn patch(text: &str) -> LimitsPatch {
    settings::parse("limits", text).unwrap()
}

#[test]
fn a_patch_changes_what_it_names() {
    let text = "max_line_size: 1MiB\nmax_line_size_truncate: true\nquery_timeout: 5m\ndiscover_service_name: [svc, app]\ningestion_rate_mb: 0.5\nmax_query_series: 10\n";
    let limits = Limits::default().with(&patch(text));
    assert_eq!((limits.max_line_size, limits.max_line_size_truncate, limits.query_timeout), (Bytes(1 << 20), true, Span::from_secs(300)));
    assert_eq!(
        (limits.discover_service_name.0, limits.ingestion_rate_mb.bytes(), limits.max_query_series),
        (vec!["svc".to_owned(), "app".to_owned()], 512 << 10, 10)
    );
    assert_eq!(limits.max_entries_limit_per_query, 5000);
    assert!(patch("{}").is_empty() && !patch(text).is_empty());
    let twice = Limits::default().with(&patch(text)).with(&patch("max_query_series: 11"));
    assert_eq!((twice.max_query_series, twice.max_line_size), (11, Bytes(1 << 20)));
}

#[test]
fn names_without_a_meaning_here_are_noted() {
    let patch = patch("max_query_parallelism: 32\nshard_streams: {enabled: true, list: [a]}\nmax_query_series: 5\n");
    let noted: Vec<_> = patch.ignored().iter().map(|ignored| (ignored.name, ignored.line)).collect();
    assert_eq!(noted, [("max_query_parallelism", 1), ("shard_streams", 2)]);
    assert_eq!(Limits::default().with(&patch).max_query_series, 5);
}

#[test]
fn names_that_would_be_disobeyed_are_mistakes() {
    let told: Vec<String> = settings::parse::<LimitsPatch>("f", "retention_stream: []\nblocked_queries: []\nmax_line_siz: 1\n")
        .unwrap_err()
        .iter()
        .map(|m| format!("{}:{} {}", m.line, m.column, m.text))
        .collect();
    assert_eq!(
        told,
        [
            "1:1 limit \"retention_stream\" is not supported: retention by selector does not exist in this version",
            "2:1 limit \"blocked_queries\" is not supported: it does not exist in this version",
            "3:1 unknown key \"max_line_siz\""
        ]
    );
}

#[test]
fn no_name_is_both_obeyed_and_elsewhere() {
    let mut names: Vec<&str> = Limits::NAMES.iter().copied().chain(table().map(|(name, _)| name)).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn the_json_has_lokis_forms() {
    let json = Limits::default().to_json();
    assert_eq!(json["max_query_length"], "30d1h");
    assert_eq!(json["max_entries_limit_per_query"], 5000);
    assert_eq!(json["reject_old_samples_max_age"], "1w");
    assert_eq!(json["ingestion_rate_mb"], 4.0);
    assert_eq!(json["discover_service_name"][1], "app");
    assert_eq!(json.as_object().unwrap().len(), Limits::NAMES.len());
}

/// `docs/limits.md` names every limit with its default, and every other name of Loki with what becomes of it.
#[test]
fn the_document_tells_the_same() {
    let whole = include_str!("../../../../docs/limits.md");
    let (document, _) = whole.split_once("\n## Of an edge\n").expect("the edge's own limits follow");
    let rows: Vec<Vec<&str>> =
        document.lines().filter(|line| line.starts_with("| `")).map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect();
    let cell = |name: &str| rows.iter().find(|row| row[0] == format!("`{name}`")).unwrap_or_else(|| panic!("{name} is not in docs/limits.md"));
    let json = Limits::default().to_json();
    for name in Limits::NAMES {
        let value = &json[*name];
        let default = match value {
            serde_json::Value::String(text) if text.is_empty() => "\"\"".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(list) => list.iter().map(|text| text.as_str().unwrap()).collect::<Vec<_>>().join(", "),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) | serde_json::Value::Object(_) => {
                value.to_string().trim_end_matches(".0").to_owned()
            }
        };
        assert_eq!(cell(name)[1], default, "{name}");
    }
    for (name, elsewhere) in table() {
        let expected = match elsewhere {
            Elsewhere::Ignored(reason) => format!("ignored: {reason}"),
            Elsewhere::Refused(reason, fix) => format!("refused: {reason}; {fix}"),
        };
        assert_eq!(cell(name)[1], expected, "{name}");
    }
    assert_eq!(rows.len(), Limits::NAMES.len() + table().count(), "docs/limits.md has no row too many");
}
