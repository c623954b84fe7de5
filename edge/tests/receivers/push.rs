//! Loki's push: requests as Promtail, Alloy, Fluent Bit and Fluentd send them, repeats, bad input, no room.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use reqwest::{Response, StatusCode};

use super::site::{START, Site, lines, pairs};

const JOB: &str = "loki_push_api: {server: {http_listen_address: 127.0.0.1, http_listen_port: 0}, use_incoming_timestamp: true, labels: {site: edge}}";
const PUSH: &str = "/loki/api/v1/push";

async fn post(site: &Site, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Response {
    let mut request = reqwest::Client::builder().no_proxy().build().unwrap().post(site.url(path)).body(body.into());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

/// A protobuf field of bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 128 {
        out.push(u8::try_from(length & 127).unwrap() | 128);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend(content);
    out
}

/// `1700000000 s, 5 ns`, a line, one pair of metadata.
fn entry(line: &str) -> Vec<u8> {
    let time = [&[0x08, 0x80, 0xe2, 0xcf, 0xaa, 0x06, 0x10, 0x05][..]].concat();
    let pair = [field(1, b"trace_id"), field(2, b"abc")].concat();
    [field(1, &time), field(2, line.as_bytes()), field(3, &pair)].concat()
}

/// The body that Promtail and Alloy send: `logproto.PushRequest` in snappy, with the stream's hash beside its entries.
fn promtail(lines: &[&str]) -> Vec<u8> {
    let mut stream = field(1, br#"{app="shop", filename="/var/log/a.log"}"#);
    lines.iter().for_each(|line| stream.extend(field(2, &entry(line))));
    stream.extend([0x18, 0x2a]);
    snap::raw::Encoder::new().compress_vec(&field(1, &stream)).unwrap()
}

const AGENT: [(&str, &str); 3] = [("content-type", "application/x-protobuf"), ("user-agent", "promtail/3.5.8"), ("x-scope-orgid", "team-a")];
const JSON: [(&str, &str); 2] = [("content-type", "application/json"), ("user-agent", "Fluent-Bit")];

#[tokio::test]
async fn a_push_of_promtail_is_durable_when_it_is_answered() {
    let site = Site::start(JOB).await;
    let answer = post(&site, PUSH, &AGENT, promtail(&["one", "two"])).await;
    assert_eq!((answer.status(), answer.text().await.unwrap()), (StatusCode::NO_CONTENT, String::new()));
    assert_eq!(site.metric("tributary_edge_receive_records_total", "push"), 2.0);
    let (rows, _) = site.crash().await;
    assert_eq!(lines(&rows), ["one", "two"]);
    assert_eq!((rows[0].labels.as_str(), rows[0].time), ("app=shop,filename=/var/log/a.log,site=edge", START + 5));
    assert_eq!(rows[0].metadata, pairs(&[("trace_id", "abc")]));
}

#[tokio::test]
async fn json_of_fluent_bit_and_fluentd_is_taken_packed_or_not() {
    let site = Site::start(JOB).await;
    let body = |line: &str| {
        format!(r#"{{"streams":[{{"stream":{{"job":"fluentbit"}},"values":[["1700000000000000001","{line}",{{"pod.name":"p","pod_name":"q"}}]]}}]}}"#)
    };
    assert_eq!(post(&site, PUSH, &JSON, body("plain")).await.status(), 204);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(body("gzip").as_bytes()).unwrap();
    let packed = [JSON[0], JSON[1], ("content-encoding", "gzip")];
    assert_eq!(post(&site, PUSH, &packed, gzip.finish().unwrap()).await.status(), 204);
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
    deflate.write_all(body("deflate").as_bytes()).unwrap();
    let packed = [JSON[0], JSON[1], ("content-encoding", "deflate")];
    assert_eq!(post(&site, PUSH, &packed, deflate.finish().unwrap()).await.status(), 204);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(body("zlib").as_bytes()).unwrap();
    assert_eq!(post(&site, PUSH, &packed, zlib.finish().unwrap()).await.status(), 204);
    // Fluentd's plugin: charset, two streams, no metadata.
    let two = r#"{"streams":[{"stream":{"a":"1"},"values":[["1700000000000000002","f1"],["1700000000000000003","f2"]]},{"stream":{"a":"2"},"values":[]}]}"#;
    assert_eq!(post(&site, PUSH, &[("content-type", "application/json; charset=utf-8")], two).await.status(), 204);
    let rows = site.end().await;
    assert_eq!(lines(&rows), ["plain", "gzip", "deflate", "zlib", "f1", "f2"]);
    assert_eq!(rows[0].metadata, pairs(&[("pod_name", "p")]), "names as Loki keeps them, the first of equal ones");
}

#[tokio::test]
async fn rules_and_stages_run_and_the_tenant_is_offered() {
    let job = "loki_push_api: {server: {http_listen_address: 127.0.0.1, http_listen_port: 0}}, \
               relabel_configs: [{source_labels: [__tenant_id__], target_label: team}, {source_labels: [app], regex: secret, action: drop}], \
               pipeline_stages: [{regex: {expression: '^(?P<level>[a-z]+) '}}, {labels: {level: }}]";
    let site = Site::start(job).await;
    assert_eq!(post(&site, PUSH, &AGENT, promtail(&["warn it"])).await.status(), 204);
    let secret = r#"{"streams":[{"stream":{"app":"secret"},"values":[["1","x"]]}]}"#;
    assert_eq!(post(&site, PUSH, &JSON, secret).await.status(), 204);
    assert_eq!(site.metric("tributary_edge_receive_dropped_total", "relabel"), 1.0);
    let rows = site.end().await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].labels, "app=shop,filename=/var/log/a.log,level=warn,team=team-a");
    assert!(rows[0].time >= START && rows[0].time != START + 5, "the time of the arrival");
}

#[tokio::test]
async fn raw_lines_are_taken_as_they_are() {
    let site = Site::start(JOB).await;
    assert_eq!(post(&site, "/promtail/api/v1/raw", &[], "one\r\n\ntwo\nlast").await.status(), 204);
    assert_eq!(post(&site, "/promtail/api/v1/raw", &[], "one").await.status(), 204, "equal lines without a time are new ones");
    let ready = reqwest::get(site.url("/ready")).await.unwrap();
    assert_eq!((ready.status(), ready.text().await.unwrap()), (StatusCode::OK, "ready".to_owned()));
    let rows = site.end().await;
    assert_eq!(lines(&rows), ["one", "two", "last", "one"]);
    assert_eq!(rows[0].labels, "site=edge");
}

#[tokio::test]
async fn a_repeat_is_answered_without_a_second_copy() {
    let site = Site::start(JOB).await;
    for _ in 0..3 {
        assert_eq!(post(&site, PUSH, &AGENT, promtail(&["same body"])).await.status(), 204);
    }
    let keyed = [AGENT[0], ("idempotency-key", "k1")];
    assert_eq!(post(&site, PUSH, &keyed, promtail(&["first"])).await.status(), 204);
    assert_eq!(post(&site, PUSH, &keyed, promtail(&["the key counts"])).await.status(), 204);
    // Both at once: one is taken, the other waits for it.
    let [a, b] = [post(&site, PUSH, &AGENT, promtail(&["at once"])), post(&site, PUSH, &AGENT, promtail(&["at once"]))];
    let (a, b) = tokio::join!(a, b);
    assert_eq!((a.status().as_u16(), b.status().as_u16()), (204, 204));
    assert_eq!(site.metric("tributary_edge_receive_repeats_total", ""), 4.0);
    assert_eq!(lines(&site.end().await), ["same body", "first", "at once"]);
}

#[tokio::test]
async fn bad_requests_are_refused_whole_with_a_reason() {
    let site = Site::start(JOB).await;
    let json = |values: &str| format!(r#"{{"streams":[{{"stream":{{"a":"b"}},"values":[["1","good"],{values}]}}]}}"#).into_bytes();
    type Headers<'h> = &'h [(&'h str, &'h str)];
    let cases: Vec<(Headers<'_>, Vec<u8>, u16, &str)> = vec![
        (&AGENT, b"no snappy".to_vec(), 400, "snappy"),
        (&AGENT, Vec::new(), 400, "snappy"),
        (&AGENT, snap::raw::Encoder::new().compress_vec(&[0xff; 40]).unwrap(), 400, "proto"),
        (&AGENT, promtail(&["x"])[..20].to_vec(), 400, "snappy"),
        (&AGENT, vec![0xff, 0xff, 0xff, 0xff, 0x07], 413, "allowed"),
        (&JSON, json(r#"["NaN","x"]"#), 400, "timestamp"),
        (&JSON, json(r#"[1.5,"x"]"#), 400, "string"),
        (&JSON, json(r#"["9223372036854775808","x"]"#), 400, "timestamp"),
        (&JSON, br#"{"streams":[{"stream":{"a-b":"c"},"values":[["1","x"]]}]}"#.to_vec(), 400, "label name"),
        (&JSON, vec![b'['; 100_000], 400, "parse"),
        (&[JSON[0], ("content-encoding", "br")], json("[\"1\",\"x\"]"), 400, "Content-Encoding"),
        (&[JSON[0], ("content-encoding", "gzip")], b"no gzip".to_vec(), 400, "unpacked"),
        (&[JSON[0], ("idempotency-key", "a b")], json("[\"1\",\"x\"]"), 400, "Idempotency-Key"),
        (&JSON, vec![b' '; 17 << 20], 413, "larger"),
    ];
    for (headers, body, status, word) in cases {
        let answer = post(&site, PUSH, headers, body.clone()).await;
        let (found, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert!(found == status && text.contains(word), "{headers:?} {:?}: {found} {text}", &body[..body.len().min(60)]);
    }
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 100 << 20]).unwrap();
    assert_eq!(post(&site, PUSH, &[JSON[0], ("content-encoding", "gzip")], bomb.finish().unwrap()).await.status(), 413);
    assert_eq!(reqwest::get(site.url(PUSH)).await.unwrap().status(), 405);
    assert_eq!(post(&site, "/other", &JSON, "{}").await.status(), 404);
    assert_eq!(post(&site, PUSH, &JSON, "{}").await.status(), 204, "nothing to take is taken");
    assert!(site.metric("tributary_edge_receive_refused_total", "malformed") >= 10.0);
    assert_eq!(lines(&site.end().await), [""; 0], "nothing of a refused request is kept");
}

#[tokio::test]
async fn labels_and_metadata_beyond_the_limits_are_cut_and_the_line_is_kept() {
    let site = Site::start(JOB).await;
    let long = "x".repeat(100_000);
    let many: Vec<String> = (0..300).map(|n| format!(r#""m{n}":"{}""#, "y".repeat(1_000))).collect();
    let body = format!(r#"{{"streams":[{{"stream":{{"a":"{long}"}},"values":[["1","kept",{{{}}}]]}}]}}"#, many[..200].join(","));
    assert_eq!(post(&site, PUSH, &JSON, body).await.status(), 204);
    assert_eq!(site.metric("tributary_edge_receive_cut_total", "push"), 2.0);
    let rows = site.end().await;
    assert_eq!(lines(&rows), ["kept"]);
    assert!(rows[0].labels.len() < 3_000 && rows[0].metadata.iter().map(|(_, value)| value.len()).sum::<usize>() <= 64 * 1024);
}

#[tokio::test]
async fn a_password_is_asked_for_where_there_is_one() {
    let job = "loki_push_api: {server: {http_listen_address: 127.0.0.1, http_listen_port: 0}, basic_auth: {username: u, password: p}}";
    let site = Site::start(job).await;
    let refused = post(&site, PUSH, &AGENT, promtail(&["x"])).await;
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("www-authenticate")), (401, true));
    // `u:wrong`, then `u:p`.
    assert_eq!(post(&site, PUSH, &[AGENT[0], ("authorization", "Basic dTp3cm9uZw==")], promtail(&["x"])).await.status(), 401);
    assert_eq!(post(&site, PUSH, &[AGENT[0], ("authorization", "Basic dTpw")], promtail(&["x"])).await.status(), 204);
    assert_eq!(site.end().await.len(), 1);
}

#[tokio::test]
async fn a_full_wal_takes_nothing_and_says_so_until_there_is_room() {
    let site = Site::start(JOB).await;
    assert_eq!(post(&site, PUSH, &AGENT, promtail(&["before"])).await.status(), 204);
    site.disk.set_full(Some(0));
    let refused = tokio::time::timeout(Duration::from_secs(60), post(&site, PUSH, &AGENT, promtail(&["while full"]))).await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    site.disk.heal();
    site.disk.set_full(None);
    // What was handed in is not lost: the sender's repeat is the same request.
    assert_eq!(post(&site, PUSH, &AGENT, promtail(&["while full"])).await.status(), 204);
    let (rows, _) = site.crash().await;
    assert_eq!(lines(&rows), ["before", "while full"]);
}

#[tokio::test]
async fn a_block_that_a_stage_holds_is_durable_when_its_push_is_answered() {
    let job = format!("{JOB}, pipeline_stages: [{{multiline: {{firstline: '^A', max_wait_time: 60s}}}}]");
    let site = Site::start(&job).await;
    assert_eq!(post(&site, PUSH, &AGENT, promtail(&["A 1", " more"])).await.status(), 204);
    let (rows, disk) = site.crash().await;
    assert_eq!(lines(&rows), [""; 0], "no line of it was sent on");
    let site = Site::on(disk, &job, "").await;
    assert_eq!(post(&site, PUSH, &AGENT, promtail(&[" still", "A 2", "A 3"])).await.status(), 204);
    assert_eq!(lines(&site.end().await), ["A 1\n more\n still", "A 2"]);
}

#[tokio::test]
async fn receivers_are_ended_and_started_again_on_the_same_address() {
    let site = Site::start(JOB).await;
    let address = site.address("http");
    let url = site.url(PUSH);
    site.receivers.end().await;
    assert!(reqwest::Client::new().post(&url).send().await.is_err(), "nobody listens");
    drop(tokio::net::TcpListener::bind(address).await.expect("the address is free"));
}

#[tokio::test]
async fn a_sender_that_closes_its_side_hears_that_it_was_taken() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let site = Site::start(JOB).await;
    let mut stream = tokio::net::TcpStream::connect(site.address("http")).await.unwrap();
    let body = promtail(&["whole"]);
    let head = format!("POST {PUSH} HTTP/1.1\r\nhost: edge\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer:?}");
    // Half a body is none, and not waited for.
    let mut stream = tokio::net::TcpStream::connect(site.address("http")).await.unwrap();
    stream.write_all(&[head.as_bytes(), &body[..body.len() / 2]].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await;
    assert!(ended.is_ok() && !answer.contains("204"), "{answer:?}");
    let (rows, _) = site.crash().await;
    assert_eq!(lines(&rows), ["whole"]);
}
