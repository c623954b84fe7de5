use super::*;

#[test]
fn an_answer_is_told_on_one_line() {
    assert_eq!(one_line(b"entry too far behind\r\n\x1b[31m for stream: {a=\"b\"}\n"), "entry too far behind [31m for stream: {a=\"b\"}");
    assert_eq!(one_line(b"\xff\n"), "\u{fffd}");
}
