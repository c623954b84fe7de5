//! OTLP: requests as OpenTelemetry's SDKs and collector send them, over HTTP and gRPC; bad input.

use std::io::Write as _;

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::site::{Row, START, Site, pairs};

const JOB: &str = "otlp: {http_listen_address: '127.0.0.1:0', grpc_listen_address: '127.0.0.1:0', labels: {site: edge}}";
const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 128 * 128);
    let length = u8::try_from(content.len() & 127).unwrap();
    let head = if content.len() < 128 { vec![number << 3 | 2, length] } else { vec![number << 3 | 2, length | 128, u8::try_from(content.len() >> 7).unwrap()] };
    [&head, content].concat()
}

fn attribute(name: &str, value: &str) -> Vec<u8> {
    [field(1, name.as_bytes()), field(2, &field(1, value.as_bytes()))].concat()
}

/// `ExportLogsServiceRequest` as the Python SDK's batch processor makes it: one resource, one scope, times as fixed64.
fn request(lines: &[&str]) -> Vec<u8> {
    let names = [("telemetry.sdk.language", "python"), ("service.name", "shop"), ("k8s.pod.name", "p1")];
    let resource: Vec<u8> = names.iter().flat_map(|(name, value)| field(1, &attribute(name, value))).collect();
    let scope = field(1, b"root");
    let records: Vec<u8> = lines.iter().flat_map(|line| field(2, &record(line))).collect();
    let scope_logs = [field(1, &scope), records].concat();
    field(1, &[field(1, &resource), field(2, &scope_logs)].concat())
}

fn record(line: &str) -> Vec<u8> {
    let fixed = |number: u8, ns: i64| [&[number << 3 | 1][..], &ns.to_le_bytes()].concat();
    // Severity 13 is WARN.
    [
        fixed(1, START + 7),
        vec![0x10, 13],
        field(3, b"WARN"),
        field(5, &field(1, line.as_bytes())),
        field(6, &attribute("code.function", "f")),
        fixed(11, START + 8),
    ]
    .concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

async fn post(site: &Site, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String, Vec<u8>) {
    let mut request = reqwest::Client::builder().no_proxy().build().unwrap().post(site.url("/v1/logs")).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), kind, answer.bytes().await.unwrap().to_vec())
}

const SDK: [(&str, &str); 2] = [("content-type", "application/x-protobuf"), ("user-agent", "OTel-OTLP-Exporter-Python/1.38.0")];

fn as_expected(row: &Row, line: &str) {
    assert_eq!((row.line.as_str(), row.labels.as_str(), row.time), (line, "k8s_pod_name=p1,service_name=shop,site=edge", START + 7));
    let all = [
        ("code_function", "f"),
        ("observed_timestamp", "1700000000000000008"),
        ("severity_number", "13"),
        ("severity_text", "WARN"),
        ("telemetry_sdk_language", "python"),
        ("scope_name", "root"),
    ];
    assert_eq!(row.metadata, pairs(&all));
}

#[tokio::test]
async fn an_sdk_over_http_is_answered_when_its_records_are_durable() {
    let site = Site::start(JOB).await;
    assert_eq!(post(&site, &SDK, request(&["plain"])).await, (200, "application/x-protobuf".to_owned(), Vec::new()));
    let packed = [SDK[0], SDK[1], ("content-encoding", "gzip")];
    assert_eq!(post(&site, &packed, gzip(&request(&["packed"]))).await.0, 200);
    assert_eq!(post(&site, &packed, gzip(&request(&["packed"]))).await.0, 200, "a repeat");
    let json = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"js"}}]},
        "scopeLogs":[{"scope":{},"logRecords":[{"timeUnixNano":"1700000000000000001","body":{"stringValue":"from js"},"severityNumber":9}]}]}]}"#;
    assert_eq!(post(&site, &[("content-type", "application/json")], json.into()).await, (200, "application/json".to_owned(), b"{}".to_vec()));
    let (rows, _) = site.crash().await;
    assert_eq!(rows.len(), 3, "{rows:?}");
    as_expected(&rows[0], "plain");
    as_expected(&rows[1], "packed");
    assert_eq!((rows[2].line.as_str(), rows[2].labels.as_str()), ("from js", "service_name=js,site=edge"));
}

#[tokio::test]
async fn attributes_become_labels_by_the_jobs_list() {
    let site = Site::start("otlp: {http_listen_address: '127.0.0.1:0', index_attributes: [telemetry.sdk.language], use_incoming_timestamp: false}").await;
    assert_eq!(post(&site, &SDK, request(&["x"])).await.0, 200);
    let rows = site.end().await;
    assert_eq!(rows[0].labels, "telemetry_sdk_language=python");
    assert_ne!(rows[0].time, START + 7);
}

#[tokio::test]
async fn bad_requests_over_http_are_told_so_in_their_own_form() {
    let site = Site::start("otlp: {http_listen_address: '127.0.0.1:0', max_request_size: 64KB}").await;
    let (status, kind, body) = post(&site, &SDK, vec![0xff; 50]).await;
    assert_eq!((status, kind.as_str(), &body[..2]), (400, "application/x-protobuf", &[0x08, 3][..]), "INVALID_ARGUMENT");
    let (status, kind, body) = post(&site, &[("content-type", "application/json")], b"{".to_vec()).await;
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, kind.as_str(), told["code"].as_u64()), (400, "application/json", Some(3)));
    assert_eq!(post(&site, &[("content-type", "text/plain")], b"x".to_vec()).await.0, 400);
    assert_eq!(post(&site, &[SDK[0], ("content-encoding", "snappy")], b"x".to_vec()).await.0, 400);
    assert_eq!(post(&site, &[SDK[0], ("content-encoding", "gzip")], gzip(&vec![0; 100 << 20])).await.0, 413);
    assert_eq!(site.end().await, []);
}

/// A call over HTTP/2 without TLS: HTTP status, `grpc-status`, `grpc-message`, the message's bytes.
async fn call(site: &Site, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String, String, Vec<u8>) {
    let stream = TcpStream::connect(site.address("grpc")).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("http://localhost{path}")).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let whole = answer.into_body().collect().await.unwrap();
    let trailers = whole.trailers().unwrap().clone();
    let trailer = |name: &str| trailers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    (status, trailer("grpc-status"), trailer("grpc-message"), whole.to_bytes().to_vec())
}

fn framed(packed: u8, message: &[u8]) -> Vec<u8> {
    [&[packed][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

#[tokio::test]
async fn the_collector_over_grpc_is_answered_when_its_records_are_durable() {
    let site = Site::start(JOB).await;
    // The collector packs with gzip unless told otherwise, the SDKs do not.
    let (status, code, _, body) = call(&site, EXPORT, &[("grpc-encoding", "gzip")], framed(1, &gzip(&request(&["packed"])))).await;
    assert_eq!((status, code.as_str(), body), (200, "0", vec![0; 5]));
    assert_eq!(call(&site, EXPORT, &[], framed(0, &request(&["plain"]))).await.1, "0");
    assert_eq!(call(&site, EXPORT, &[("grpc-encoding", "gzip")], framed(0, &request(&["a client may pack some"]))).await.1, "0");
    let (rows, _) = site.crash().await;
    assert_eq!(rows.len(), 3);
    as_expected(&rows[0], "packed");
    as_expected(&rows[1], "plain");
}

#[tokio::test]
async fn bad_calls_are_told_so_by_a_status() {
    let site = Site::start("otlp: {grpc_listen_address: '127.0.0.1:0', max_request_size: 64KB, basic_auth: {username: u, password: p}}").await;
    let user = ("authorization", "Basic dTpw");
    let good = framed(0, &request(&["x"]));
    assert_eq!(call(&site, EXPORT, &[], good.clone()).await.1, "16");
    assert_eq!(call(&site, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", &[user], good.clone()).await.1, "12");
    assert_eq!(call(&site, EXPORT, &[user, ("grpc-encoding", "zstd")], good.clone()).await.1, "12");
    for bad in [Vec::new(), vec![0, 0, 0], framed(0, &[0xff; 9]), [good.clone(), vec![0]].concat(), good[..20].to_vec(), framed(7, b""), framed(1, b"x")] {
        let (status, code, why, body) = call(&site, EXPORT, &[user], bad.clone()).await;
        assert_eq!((status, code.as_str(), body.len()), (200, "3", 0), "{bad:?}: {why}");
        assert!(!why.is_empty());
    }
    let (_, code, why, _) = call(&site, EXPORT, &[user, ("grpc-encoding", "gzip")], framed(1, &gzip(&vec![0; 100 << 20]))).await;
    assert!(code == "3" && why.contains("unpacks"), "{code} {why}");
    assert_eq!(call(&site, EXPORT, &[user], good).await.1, "0");
    assert_eq!(site.end().await.len(), 1);
}
