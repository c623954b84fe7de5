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

async fn json_of(response: Response) -> serde_json::Value {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn every_kind_of_answer_bears_warnings_before_its_data() {
    let form = Form { categorize: true, gzip: false };
    let warnings = vec!["lane 1 cannot be read".to_owned(), "lines missing: 3 lines".to_owned()];
    let stats = Stats { sections: 2, blocks: 5, chunks_skipped: 9, ..Stats::default() };
    let vector = |value| VectorAnswer { value, stats, warnings: warnings.clone() };
    let answers = [
        ("streams", logs(LogAnswer { streams: Vec::new(), stats, warnings: warnings.clone(), cursor: None }, &form)),
        ("streams", logs(LogAnswer { streams: Vec::new(), stats, warnings: warnings.clone(), cursor: None }, &Form { categorize: false, gzip: false })),
        ("matrix", matrix(&MatrixAnswer { series: Vec::new(), stats, warnings: warnings.clone() }, &form)),
        ("scalar", instant(&vector(InstantValue::Scalar(Timestamp(0), 1.0)), &form)),
        ("vector", instant(&vector(InstantValue::Vector(Vec::new())), &form)),
    ];
    for (kind, response) in answers {
        let json = json_of(response).await;
        assert_eq!(json["data"]["resultType"], kind);
        assert_eq!(json["warnings"], serde_json::json!(warnings), "{kind}");
        assert_eq!(json["data"]["stats"]["querier"]["store"], serde_json::json!({"totalChunksRef": 16, "totalChunksDownloaded": 7}), "{kind}");
    }
    let silent = json_of(matrix(&MatrixAnswer::default(), &form)).await;
    assert!(silent.get("warnings").is_none(), "{silent}");
}
