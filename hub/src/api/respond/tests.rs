use super::*;

#[test]
fn points_are_seconds_and_go_floats() {
    let shown = |ns: i64, value: f64| {
        let mut out = String::new();
        point(&mut out, Timestamp(ns), value);
        out
    };
    assert_eq!(shown(1_700_000_000_000_000_000, 2.0), "[1700000000,\"2\"]");
    assert_eq!(shown(1_700_000_000_250_000_000, 0.5), "[1700000000.25,\"0.5\"]");
    assert_eq!(shown(0, f64::NAN), "[0,\"NaN\"]");
    assert_eq!(shown(0, f64::INFINITY), "[0,\"+Inf\"]");
}

#[test]
fn strings_read_back() {
    for text in ["", "plain", "a\"b\\c\nd\re\tf", "\u{0}\u{1f}\u{7f}\u{2028}", "ü\u{1f600}"] {
        let mut out = String::new();
        string(&mut out, text);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text, "{out}");
    }
}

#[test]
fn the_form_is_read_from_headers() {
    let mut headers = HeaderMap::new();
    headers.insert("accept-encoding", HeaderValue::from_static("br, gzip;q=0.8"));
    headers.insert("x-loki-response-encoding-flags", HeaderValue::from_static("categorize-labels"));
    let form = Form::of(&headers);
    assert!(form.gzip && form.categorize);
    let form = Form::of(&HeaderMap::new());
    assert!(!form.gzip && !form.categorize);
}
