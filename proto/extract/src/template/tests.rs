//! Tests: what Go's `text/template` with Loki's functions made of the same templates; limits; which fields are asked for.

use proptest::prelude::*;

use super::*;
use crate::limits::{TEMPLATE_NEST_MAX, TEMPLATE_OUTPUT_BYTES_MAX};

/// 2026-11-22T12:00:00.5Z.
const TIME: Timestamp = Timestamp(1_795_348_800_500_000_000);
const LINE: &[u8] = b"the line {\"a\":1}";

struct Pairs<'p>(&'p [(&'p str, &'p str)]);

impl Fields for Pairs<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| Cow::Borrowed(*value))
    }

    fn all(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

fn rendered_by(source: &str, dialect: Dialect) -> Result<String, String> {
    let fields = Pairs(&[("level", "Warn"), ("msg", " ünï ")]);
    let mut out = String::new();
    let template = Template::parse("line", source, dialect).map_err(|fault| fault.to_string())?;
    template.render(&fields, LINE, TIME, &mut out).map_err(|fault| fault.to_string())?;
    Ok(out)
}

fn rendered(source: &str) -> Result<String, String> {
    rendered_by(source, Dialect::LogQl)
}

/// Where Go names what only a Go program has, or where a bound of ours is met first.
const DIFFERENT: [&str; 1] = ["{{call .level}}"];

#[test]
fn go_made_the_same_of_it() {
    let recorded = include_str!("../../../../tests/conformance/templates.jsonl");
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in recorded.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let source = case["template"].as_str().unwrap();
        let expected = match case["text"].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(case["error"].as_str().unwrap().to_owned()),
        };
        count += 1;
        let found = rendered(source);
        if found != expected && !DIFFERENT.contains(&source) {
            wrong.push(format!("{source}\n   go: {expected:?}\n  our: {found:?}"));
        }
    }
    assert!(count > 190, "{count} cases");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_missing_is_empty_or_no_value() {
    assert_eq!(rendered("[{{.x}}]").as_deref(), Ok("[]"));
    assert_eq!(rendered_by("[{{.x}}]", Dialect::Promtail).as_deref(), Ok("[<no value>]"));
    assert_eq!(rendered_by("{{.level | Sha2Hash \"salt\"}}", Dialect::Promtail).map(|text| text.len()), Ok(64));
    assert_eq!(rendered_by("{{Hash \"salt\" .level}}", Dialect::Promtail).map(|text| text.len()), Ok(64));
    assert!(rendered("{{Hash \"salt\" .level}}").unwrap_err().contains("function \"Hash\" not defined"));
    assert!(rendered_by("{{__line__}}", Dialect::Promtail).unwrap_err().contains("not defined"));
}

#[test]
fn nothing_grows_without_bound() {
    let deep = format!("{}.a{}", "(".repeat(TEMPLATE_NEST_MAX + 1), ")".repeat(TEMPLATE_NEST_MAX + 1));
    assert!(rendered(&format!("{{{{{deep}}}}}")).unwrap_err().contains("nest deeper"));
    let ifs = format!("{}{}", "{{if .level}}".repeat(TEMPLATE_NEST_MAX + 1), "{{end}}".repeat(TEMPLATE_NEST_MAX + 1));
    assert!(rendered(&ifs).unwrap_err().contains("nest deeper"));
    assert!(rendered("{{repeat 99999999999 \"x\"}}").unwrap_err().contains("the limit is"));
    assert!(rendered("{{range 999999999}}x{{end}}").unwrap_err().contains("more than"));
    assert!(rendered("{{range 9999}}{{repeat 1000000 \"x\"}}{{end}}").unwrap_err().contains("more than"));
    assert!(rendered("{{alignLeft 999999999 \"x\"}}").unwrap_err().contains("the limit is"));
    assert!(rendered("{{printf \"%999999999d\" 1}}").unwrap().len() <= crate::limits::TEMPLATE_WIDTH_MAX);
    assert!(rendered("{{Replace .level \"\" (repeat 1000000 \"x\") -1}}").unwrap_err().contains("the limit is"));
    assert!(rendered("{{define \"r\"}}{{template \"r\"}}{{end}}{{template \"r\"}}").unwrap_err().contains("maximum template depth"));
    assert!(matches!(Template::parse("line", &"x".repeat(TEMPLATE_SOURCE_BYTES_MAX + 1), Dialect::LogQl), Err(TemplateFault::Size { .. })));
}

#[test]
fn the_fields_that_are_asked_for() {
    let asked = |source: &str| Template::parse("line", source, Dialect::LogQl).unwrap().fields().map(|names| names.join(","));
    assert_eq!(asked("{{.a}} {{if .b}}{{.c | printf \"%s\" .d}}{{else}}{{.e}}{{end}}").as_deref(), Some("a,b,c,d,e"));
    assert_eq!(asked("x{{__line__}}").as_deref(), Some(""));
    assert_eq!(asked("{{range $k, $v := .}}{{end}}"), None);
    assert_eq!(asked("{{index . \"a\"}}"), None);
    assert_eq!(asked("{{$.a}}").as_deref(), Some("a"));
}

proptest! {
    /// No text makes the parser or a rendering panic, or pass its bounds.
    #[test]
    fn any_text_is_taken_or_refused(source in r#"(\{\{-? ?|\}\}| -\}\}|[a-z.$|()":=,0-9 ]|if|range|end|else|with|define|\.level|printf|"%v"|index|fromJson|\$x := ){0,40}"#) {
        if let Ok(text) = rendered(&source) {
            prop_assert!(text.len() <= 3 * TEMPLATE_OUTPUT_BYTES_MAX);
        }
    }
}
