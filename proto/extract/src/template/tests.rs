//! Tests: text, fields, trimming, pipes; what is refused and in which words; letters change case as in Go.

use proptest::prelude::*;

use super::*;

/// 2026-11-22T12:00:00.5Z.
const TIME: Timestamp = Timestamp(1_795_348_800_500_000_000);

fn rendered(source: &str) -> Result<String, TemplateFault> {
    let mut out = String::new();
    let mut field = |name: &str| match name {
        "level" => Some(Cow::Borrowed("Warn")),
        "msg" => Some(Cow::Owned(" ünï ".to_owned())),
        _ => None,
    };
    Template::parse(source)?.render(&mut field, b"the line \xff", TIME, &mut out)?;
    Ok(out)
}

#[test]
fn renders() {
    for (source, text) in [
        ("", ""),
        ("static } { }}", "static } { }}"),
        ("{{.level}}", "Warn"),
        ("{{ .level }} {{.missing}}|{{.msg}}|", "Warn | ünï |"),
        ("a  {{- .level -}} \n b", "aWarnb"),
        ("a {{-  .level  -}} b", "aWarnb"),
        ("{{__line__}}", "the line \u{fffd}"),
        ("{{ __timestamp__ }}", "2026-11-22 12:00:00.5 +0000 UTC"),
        (r#"{{"a\n\"\u00e9\x41\101"}}{{`r\n`}}"#, "a\n\"éAAr\\n"),
        ("{{.level | ToUpper}}{{ToLower .level}}", "WARNwarn"),
        ("{{ .msg|TrimSpace | ToUpper }}", "ÜNÏ"),
        ("{{ToUpper (TrimSpace .msg)}}", "ÜNÏ"),
        ("{{ (.msg | TrimSpace) | ToUpper }}", "ÜNÏ"),
        ("{{ __line__ | ToUpper }}", "THE LINE \u{fffd}"),
        ("{{/* a comment }} */}}x {{- /* another */ -}} y", "xy"),
        ("{{\n.level\n}}", "Warn"),
        ("{{`{{`}}.level{{`}}`}}", "{{.level}}"),
        ("{{\"\"}}-{{ToUpper \"x\"}}", "-X"),
        ("{{.ünï}}{{.a1_b}}", ""),
    ] {
        assert_eq!(rendered(source).as_deref(), Ok(text), "{source}");
    }
}

#[test]
fn refuses_in_gos_words() {
    for (source, fault) in [
        ("{{nosuchfn .x}}", r#"template: line:1: function "nosuchfn" not defined"#),
        ("a\nb{{", "template: line:2: unclosed action"),
        ("{{.a", "template: line:1: unclosed action"),
        ("{{}}", "template: line:1: missing value for command"),
        ("{{.a | }}", "template: line:1: missing value for command"),
        ("{{ | ToUpper}}", "template: line:1: missing value for command"),
        ("{{if .a}}x{{end}}", "template: line:1: the action if is not supported"),
        ("{{end}}", "template: line:1: the action end is not supported"),
        ("{{range .a}}", "template: line:1: the action range is not supported"),
        ("{{$x := .a}}", "template: line:1: variables are not supported"),
        ("{{.}}", "template: line:1: the whole record . is not supported; name one field of it, as in .name"),
        ("{{1}}", "template: line:1: numbers are not supported"),
        ("{{.5}}", "template: line:1: numbers are not supported"),
        ("{{true}}", "template: line:1: the constant true is not supported"),
        ("{{'a'}}", "template: line:1: character constants are not supported"),
        ("{{.a .b}}", "template: line:1: can't give argument to non-function"),
        ("{{.a | .b}}", "template: line:1: non executable command in pipeline stage 2"),
        ("{{ToUpper}}", "template: line:1: wrong number of args for ToUpper: want 1 got 0"),
        ("{{.a | ToUpper .b}}", "template: line:1: wrong number of args for ToUpper: want 1 got 2"),
        ("{{ToUpper ToLower}}", "template: line:1: wrong number of args for ToLower: want 1 got 0"),
        ("{{.a | __line__}}", "template: line:1: wrong number of args for __line__: want 0 got 1"),
        ("{{(.a}}", "template: line:1: unclosed left paren"),
        ("{{.a)}}", "template: line:1: unexpected right paren"),
        ("{{\"a}}", "template: line:1: unterminated quoted string"),
        ("{{`a}}", "template: line:1: unterminated raw quoted string"),
        (r#"{{"\q"}}"#, "template: line:1: invalid syntax in quoted string"),
        ("{{/* a", "template: line:1: unclosed comment"),
        ("{{/* a */ x}}", "template: line:1: comment ends before closing delimiter"),
        ("{{.a\"b\"}}", "template: line:1: operands have to be separated by a space"),
        ("{{.a # .b}}", "template: line:1: unexpected '#' in command"),
    ] {
        assert_eq!(Template::parse(source).unwrap_err().to_string(), fault, "{source}");
    }
    assert!(matches!(Template::parse(&"x".repeat(TEMPLATE_SOURCE_BYTES_MAX + 1)), Err(TemplateFault::Size { .. })));
    let nested = |depth: usize| format!("{{{{{}.a{}}}}}", "(".repeat(depth), ")".repeat(depth));
    assert!(Template::parse(&nested(50)).is_ok() && Template::parse(&nested(51)).is_err());
    assert!(Template::parse(&nested(5000)).is_err());
}

#[test]
fn what_fails_while_rendering_says_where() {
    assert_eq!(
        rendered("a\n{{ .msg.sub }}").unwrap_err().to_string(),
        "template: line:2:7: executing \"line\" at <.msg.sub>: can't evaluate field sub in type string"
    );
    let fault = Template::named("label", "{{__timestamp__ | ToUpper}}").unwrap().render(&mut |_| None, b"", TIME, &mut String::new()).unwrap_err();
    assert_eq!(fault.to_string(), "template: label:1:18: executing \"label\" at <ToUpper>: wrong type for value; expected string; got time.Time");
}

#[test]
fn fields_are_known_beforehand() {
    let template = Template::parse("{{.a}} {{ToUpper (.b | ToLower)}} {{.c.d | TrimSpace}} {{__line__}}").unwrap();
    assert_eq!(template.fields().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn letters_change_case_one_by_one() {
    let changed = |function: &str, text: &str| {
        let mut out = String::new();
        Template::parse(&format!("{{{{{function} .t}}}}")).unwrap().render(&mut |_| Some(Cow::Owned(text.to_owned())), b"", TIME, &mut out).unwrap();
        out
    };
    assert_eq!(changed("ToUpper", "straße ŉ ﬁ ᾳ ᾀ ς"), "STRAßE ŉ ﬁ ᾼ ᾈ Σ");
    assert_eq!(changed("ToLower", "İSTANBUL ΣΑΣ ᾈ ẞ K"), "istanbul σασ ᾀ ß k");
}

proptest! {
    #[test]
    fn text_without_actions_is_kept(text in "[^{]{0,40}") {
        prop_assert_eq!(rendered(&text), Ok(text));
    }

    #[test]
    fn constants_are_what_they_say(text in "\\PC{0,12}") {
        // Rust's and Go's escapes of text differ only where these have none.
        let source = format!("{{{{{}}}}}", serde_json::to_string(&text).unwrap());
        prop_assert_eq!(rendered(&source), Ok(text));
    }

    #[test]
    fn nothing_panics(source in "(\\{\\{|\\}\\}|-| |\\.a|\"|`|\\(|\\)|\\||ToUpper|/\\*|\\*/|x|\\$|1|é){0,16}") {
        drop(rendered(&source));
    }
}
