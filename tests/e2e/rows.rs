//! Bad queries and bad requests of the catalogue of wrong input: a test for each row, by number.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::ask::{Ask, percent};
use tests::hub::Hub;
use tests::place;

use crate::site::{SECOND, Site, lines};

const RANGE: &str = "/loki/api/v1/query_range";

async fn refused(site: &Site, query: &str) -> (u16, String) {
    let (start, end) = site.times();
    let body = format!("query={}&start={start}&end={end}", percent(query)).into_bytes();
    let answered = site.reader().post(RANGE, "application/x-www-form-urlencoded", body).await.unwrap();
    (answered.status().as_u16(), answered.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn row_76_a_selector_of_everything_is_refused() {
    let site = Site::shared().await;
    for query in ["{}", "{app=~\".*\"}", "{app!=\"x\"}", "{app=\"\"}", "sum(rate({app=~\"(.*)\"}[1m]))"] {
        let (status, text) = refused(&site, query).await;
        assert_eq!(status, 400, "{query}");
        assert!(text.contains("queries require at least one regexp or equality matcher that does not have an empty-compatible value"), "{query}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_77_monstrous_texts_are_refused_at_a_place() {
    let site = Site::shared().await;
    for query in [
        "",
        "{app=\"web",
        "{app=\"web\"",
        "{app=\"web\"} |= \"x",
        "{app=\"web\"} | (",
        &"(".repeat(10_000),
        &format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        &"sum(".repeat(10_000),
        &"-".repeat(60_000),
    ] {
        let (status, text) = refused(&site, query).await;
        let shown: String = query.chars().take(40).collect();
        assert_eq!(status, 400, "{shown}: {text}");
        assert!(text.starts_with("parse error at line 1, col "), "{shown}: {text}");
    }
    let (status, text) = refused(&site, &format!("{{app=\"{}\"}}", "x".repeat(1 << 20))).await;
    assert!(status == 400 || status == 413, "{status} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_78_expressions_that_would_take_long_are_refused() {
    let site = Site::shared().await;
    let alternation = (0..10_000).map(|n| format!("a{n}")).collect::<Vec<_>>().join("|");
    for regex in ["(a{1000}){1000}", "((a{100}){100}){100}", "[[:word:]\\pL]{1000}{1000}", &alternation] {
        for query in [
            format!("{{app=~\"{}\"}}", regex.replace('\\', "\\\\")),
            format!("{{app=\"web\"}} |~ `{regex}`"),
            format!("{{app=\"web\"}} | regexp `(?P<n>{regex})`"),
        ] {
            let from = Instant::now();
            let (status, text) = refused(&site, &query).await;
            let shown: String = query.chars().take(60).collect();
            assert_eq!(status, 400, "{shown}: {text}");
            assert!(from.elapsed() < Duration::from_secs(5), "{shown}: {:?}", from.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_79_ranges_steps_and_limits_beyond_reason_are_refused() {
    let site = Site::shared().await;
    let day = 86_400 * SECOND;
    let (now, ago) = (site.first.to_string(), (site.first - 400 * day).to_string());
    let hundred = (site.first - 36_500 * day).max(0).to_string();
    for (parameters, word) in [
        (&[("start", &*hundred), ("end", &*now), ("step", "1"), ("query", "rate({app=\"web\"}[1m])")][..], "exceeded maximum resolution of 11,000 points"),
        (
            &[("start", &*ago), ("end", &*now), ("step", "0.000000001"), ("query", "rate({app=\"web\"}[1m])")][..],
            "exceeded maximum resolution of 11,000 points",
        ),
        (&[("start", "20"), ("end", "10")][..], "end timestamp must not be before or equal to start time"),
        (&[("step", "-1")][..], "zero or negative query resolution step widths are not accepted"),
        (&[("limit", "-1")][..], "limit must be a positive value"),
        (&[("limit", "0")][..], "limit must be a positive value"),
        (&[("limit", "1000000000")][..], "max entries limit per query exceeded"),
        (&[("start", "99999999999999999999999")][..], "could not parse 'start' parameter"),
    ] {
        let mut all = parameters.to_vec();
        if !all.iter().any(|(name, _)| *name == "query") {
            all.push(("query", "{app=\"web\"}"));
        }
        let (status, text) = site.get(&site.reader(), RANGE, &all).await;
        assert!(status == 400 && text.contains(word), "{parameters:?}: {status} {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_80_a_thousand_queries_at_once_are_answered_or_refused_with_429() {
    let dir = place::folder("rows-80");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    push_many(&hub, 12_000).await;
    let heavy = Ask::new(&hub.url(), &hub.acme);
    let query = "sum by (n) (count_over_time({app=\"many\"} |~ \"a.*b.*c.*d\" | logfmt [5m]))";
    let asks: Vec<_> = (0..1_000)
        .map(|_| {
            let heavy = heavy.clone();
            tokio::spawn(async move { heavy.text("/loki/api/v1/query", &[("query", query)]).await })
        })
        .collect();
    // Asked while the flood is there: answered, and in what time is told, not judged, on real machines.
    let light = Ask::new(&hub.url(), &hub.blue);
    let mut took = Vec::new();
    for _ in 0..50 {
        let began = std::time::Instant::now();
        let (status, text) = light.text("/loki/api/v1/query", &[("query", "sum(count_over_time({app=\"many\"}[5m]))")]).await;
        assert_eq!(status, 200, "another tenant is served in the flood: {text}");
        took.push(began.elapsed());
    }
    took.sort();
    println!("another tenant's queries in the flood: p50 {:?}, longest {:?}", took[25], took[49]);
    let (mut ok, mut busy) = (0, 0);
    for ask in asks {
        match ask.await.unwrap() {
            (200, _) => ok += 1,
            (429, text) => {
                assert!(text.contains("too many outstanding requests"), "{text}");
                busy += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ok + busy, 1_000);
    assert!(ok > 0, "some are answered");
    assert!(busy > 0, "a thousand are more than may wait");
}

async fn push_many(hub: &Hub, count: usize) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let values: Vec<Value> =
        (0..count).map(|n| json!([(now - n as u128 * 1_000_000).to_string(), format!("n={} msg=\"a {n} b {n} c {n} {}\"", n % 50, "x".repeat(200))])).collect();
    let body = json!({"streams": [{"stream": {"app": "many"}, "values": values}]}).to_string().into_bytes();
    let pushed = Ask::new(&hub.url(), &hub.acme_writer).post("/loki/api/v1/push", "application/json", body).await.unwrap();
    assert_eq!(pushed.status().as_u16(), 204, "{}", pushed.text().await.unwrap());
}

/// A figure of the hub's metrics; 0 when it is not there.
async fn figure(hub: &Hub, name: &str) -> f64 {
    let ask = Ask::new(&hub.admin_url(), &hub.operator);
    let (status, text) = ask.text("/metrics", &[]).await;
    assert_eq!(status, 200, "{text}");
    text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_81_a_query_whose_client_hangs_up_ends() {
    let dir = place::folder("rows-81");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    for _ in 0..2 {
        push_many(&hub, 12_000).await;
    }
    let query = percent("sum by (n, msg) (count_over_time({app=\"many\"} |~ \"(a|b|c).*(1|2|3).*(b|c).*x\" | logfmt | regexp \"(?P<z>.*x)\" [1h]))");
    let mut open = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(("127.0.0.1", hub.http)).unwrap();
        write!(stream, "GET /loki/api/v1/query?query={query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", hub.acme).unwrap();
        open.push(stream);
    }
    let until = Instant::now() + Duration::from_secs(20);
    while figure(&hub, "tributary_hub_query_running").await < 1.0 {
        assert!(Instant::now() < until, "no query was ever seen to run");
    }
    drop(open);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(figure(&hub, "tributary_hub_query_running").await < 1.0, "queries go on for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_82_numbers_that_are_none_have_lokis_shape() {
    let site = Site::shared().await;
    for (query, expected) in [
        ("vector(1) / 0", "NaN"),
        ("vector(1) % 0", "NaN"),
        ("vector(0) / vector(0)", "NaN"),
        ("1 / 0", "NaN"),
        ("absent_over_time({app=\"nothing\"}[1m])", "1"),
    ] {
        let at = (site.first + 60 * SECOND).to_string();
        let answer = site.reader().json("/loki/api/v1/query", &[("query", query), ("time", &at)]).await;
        let result = &answer["data"]["result"];
        let value = if answer["data"]["resultType"] == "scalar" { &result[1] } else { &result[0]["value"][1] };
        assert_eq!(value, expected, "{query}: {answer}");
    }
    assert_eq!(site.instant("absent_over_time({app=\"nothing\", x=\"y\"}[1m])").await[0]["metric"], json!({"app": "nothing", "x": "y"}));
    let (status, text) = site.get(&site.reader(), RANGE, &[("query", "sum_over_time({app=\"web\"} | json | unwrap msg [1m])")]).await;
    assert_eq!(status, 400);
    assert!(text.starts_with("pipeline error: 'SampleExtractionErr' for series: '{"), "{text}");
    assert!(site.instant("sum_over_time({app=\"web\"} | json | unwrap msg | __error__=\"\" [1m])").await.is_empty());
    assert!(site.instant("sum_over_time({app=\"web\"} | json | unwrap nothing [1m])").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn row_83_odd_label_values_make_the_round_trip() {
    let site = Site::shared().await;
    let (_, text) = site.get(&site.reader(), "/loki/api/v1/label/quoted/values", &[]).await;
    let value = serde_json::from_str::<Value>(&text).unwrap()["data"][0].as_str().unwrap().to_owned();
    assert_eq!(value, "a\"b\\c\nd.*");
    // As Go quotes it, and as a client escapes it for an expression.
    let quoted = format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let escaped = value.replace('\\', "\\\\").replace('.', "\\.").replace('*', "\\*").replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    for query in [
        format!("{{quoted={quoted}}}"),
        format!("{{quoted=~\"{escaped}\"}}"),
        format!("{{app=\"odd\"}} | quoted={quoted}"),
        "{quoted=~`a\"b\\\\c\nd[.][*]`}".to_owned(),
    ] {
        assert_eq!(lines(&site.range(&query, &[]).await).len(), 3, "{query}");
    }
    let (_, text) = site.get(&site.reader(), "/loki/api/v1/series", &[("match[]", &format!("{{quoted={quoted}}}"))]).await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["data"][0]["quoted"], value, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_84_lines_that_would_run_in_a_page_stay_data() {
    let dir = place::folder("rows-84");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let line = "<script>alert(1)</script> javascript:x \u{1b}]8;;http://x\u{7}y\u{1b}]8;;\u{7} \u{202e}gpj.exe";
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos().to_string();
    let body = json!({"streams": [{"stream": {"app": "<b>"}, "values": [[now, line]]}]}).to_string().into_bytes();
    assert_eq!(Ask::new(&hub.url(), &hub.acme_writer).post("/loki/api/v1/push", "application/json", body).await.unwrap().status().as_u16(), 204);
    let response = Ask::new(&hub.url(), &hub.acme).get(RANGE, &[("query", "{app=\"<b>\"}")]).await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
    assert_eq!(response.headers().get("x-content-type-options").and_then(|value| value.to_str().ok()), Some("nosniff"), "no browser takes it for a page");
    let text = response.text().await.unwrap();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "control characters are escaped");
    assert_eq!(lines(&serde_json::from_str(&text).unwrap())[0].1, line, "and come back as they were");
    let response = Ask::new(&hub.url(), &hub.acme).get(RANGE, &[("query", "{app=<script>alert(1)</script>}")]).await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
}

/// The status line's number of a request written by hand; 0 when the connection ends without one.
fn raw(port: u16, request: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 64];
    let mut read = 0;
    while read < 12 {
        match stream.read(&mut head[read..]) {
            Ok(0) | Err(_) => return 0,
            Ok(more) => read += more,
        }
    }
    String::from_utf8_lossy(&head[9..12]).parse().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_85_odd_paths_and_smuggled_requests_reach_nothing() {
    let site = Site::shared().await;
    let port = site.hub.http;
    for path in [
        "//loki/api/v1/labels",
        "/loki/api/v1/../v1/labels",
        "/loki/api/v1/labels/",
        "/loki%2fapi/v1/labels",
        "/loki/api/v1/labels;x",
        "/loki/api/v1/labels.",
        "/./loki/api/v1/labels",
        "/loki/api/v1/label/a%2f..%2fb/values%00",
    ] {
        for token in ["", &site.hub.acme] {
            let status = raw(port, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"));
            assert!(matches!(status, 400 | 401 | 404), "{path}: {status}");
        }
    }
    let token = &site.hub.acme;
    for request in [
        format!(
            "POST {RANGE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /loki/api/v1/labels HTTP/1.1\r\n\r\n"
        ),
        format!("POST {RANGE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 6\r\nContent-Length: 7\r\n\r\nquery=x"),
        format!("GET {RANGE} HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer {token}\r\n\r\n"),
        format!("GET {RANGE} HTTP/1.1\r\nHost: x\r\nX: a\0b\r\nAuthorization: Bearer {token}\r\n\r\n"),
        "GET  /x HTTP/1.1\r\n\r\n".to_owned(),
    ] {
        let status = raw(port, &request);
        assert!(matches!(status, 0 | 400), "{request:?}: {status}");
    }
}
