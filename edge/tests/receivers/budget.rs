//! Budgets of tenants where lines are sent to the edge: who sends for a tenant that used its budget up waits, or is told when to come back, and
//! nobody else does.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};

use super::site::{Site, lines};

const PUSH: &str = "loki_push_api: {server: {http_listen_address: 127.0.0.1, http_listen_port: 0}}, \
                    relabel_configs: [{source_labels: [__tenant_id__], target_label: team}], pipeline_stages: [{tenant: {label: team}}]";

async fn push(site: &Site, tenant: &str, line: &str) -> Response {
    let body = format!(r#"{{"streams":[{{"stream":{{"app":"a"}},"values":[["1700000000000000001","{line}"]]}}]}}"#);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(site.url("/loki/api/v1/push")).header("content-type", "application/json").header("x-scope-orgid", tenant);
    request.body(body).send().await.unwrap()
}

/// The whole seconds a sender is told to wait.
fn told_to_wait(answer: &Response) -> u64 {
    answer.headers()["retry-after"].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_stream_of_a_tenant_that_must_wait_holds_up_nobody() {
    let job = format!("syslog: {{listen_address: '127.0.0.1:0'}}, pipeline_stages: [{{tenant: {{value: loud}}}}]}}, {{job_name: other, {PUSH}");
    let site = Site::with(&job, "limits_config: {tenant_budgets: {loud: {bytes_rate: 200, bytes_burst: 200}}}\n").await;
    let mut loud = TcpStream::connect(site.address("syslog")).await.unwrap();
    let long: String = (0..200).map(|n| format!("<13>1 - h a - - - {n:0100}\n")).collect();
    loud.write_all(long.as_bytes()).await.unwrap();
    // What was there is taken; 20,000 bytes at 200 a second are owed for.
    site.until("tributary_edge_tenant_lines_total", "loud", 200.0).await;
    loud.write_all(b"<13>1 - h a - - - last\n").await.unwrap();
    for n in 0..5 {
        assert_eq!(push(&site, "calm", &format!("calm {n}")).await.status(), StatusCode::NO_CONTENT);
    }
    site.until("promtail_syslog_target_entries_total", "", 201.0).await;
    assert_eq!(site.metric("tributary_edge_tenant_lines_total", "loud"), 200.0, "what comes behind it waits");
    // At the end no budget holds anything back.
    let rows = site.end().await;
    let of = |what: &str| lines(&rows).iter().filter(|line| line.contains(what)).count();
    assert_eq!((of("calm"), of("last"), rows.len()), (5, 1, 206), "all of it, once");
}

#[tokio::test]
async fn a_request_for_a_tenant_that_must_wait_is_answered_429_and_others_are_not() {
    let site = Site::with(PUSH, "limits_config: {tenant_budgets: {loud: {bytes_rate: 1000, bytes_burst: 1000}, '*': {bytes_rate: 1MiB}}}\n").await;
    let long = "x".repeat(3_000);
    assert_eq!(push(&site, "loud", &long).await.status(), StatusCode::NO_CONTENT, "what is there is taken, and owed for");
    let again = push(&site, "loud", "more").await;
    assert_eq!(again.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = told_to_wait(&again);
    assert!((1..=3).contains(&wait), "{wait}");
    assert!(again.text().await.unwrap().contains("budget"));
    assert_eq!(push(&site, "calm", "calm").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(site.metric("tributary_edge_receive_shed_total", "tenant_budget"), 1.0);
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(push(&site, "loud", "more").await.status(), StatusCode::NO_CONTENT, "it was told the truth");
    assert_eq!(lines(&site.end().await), [&long, "calm", "more"]);
}

#[tokio::test]
async fn datagrams_for_a_tenant_that_must_wait_are_counted() {
    let job = "syslog: {listen_address: '127.0.0.1:0', listen_protocol: udp}, pipeline_stages: [{tenant: {value: loud}}]";
    let site = Site::with(job, "limits_config: {tenant_budgets: {loud: {bytes_rate: 1, bytes_burst: 50}}}\n").await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let text = format!("<13>1 - h a - - - {}", "x".repeat(100));
    socket.send_to(text.as_bytes(), site.address("syslog")).await.unwrap();
    site.until("tributary_edge_tenant_waits_total", "loud", 1.0).await;
    for _ in 0..3 {
        socket.send_to(text.as_bytes(), site.address("syslog")).await.unwrap();
    }
    site.until("tributary_edge_receive_shed_total", "tenant_budget", 3.0).await;
    assert_eq!(site.end().await.len(), 1);
}

#[tokio::test]
async fn a_limit_stage_that_waits_holds_up_its_own_job_alone() {
    let stages = "pipeline_stages: [{limit: {rate: 1, burst: 20}}]";
    let job = format!("syslog: {{listen_address: '127.0.0.1:0'}}, {stages}}}, {{job_name: other, {PUSH}");
    let site = Site::start(&job).await;
    let mut limited = TcpStream::connect(site.address("syslog")).await.unwrap();
    limited.write_all("<13>1 - h a - - - x\n".repeat(100).as_bytes()).await.unwrap();
    site.until("tributary_edge_lines_read_total", "", 100.0).await;
    limited.write_all(b"<13>1 - h a - - - last\n").await.unwrap();
    assert_eq!(push(&site, "calm", "calm").await.status(), StatusCode::NO_CONTENT);
    site.until("promtail_syslog_target_entries_total", "", 101.0).await;
    assert_eq!(site.metric("tributary_edge_lines_read_total", ""), 101.0, "100 lines at one a second and a burst of 20: the last waits");
    assert_eq!(site.end().await.len(), 102);
}
