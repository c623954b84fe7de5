//! Receivers under those who mean no good, or send too much: floods of datagrams, connections that say nothing, bodies that unpack to
//! gigabytes, words that are none; and a sender that is well behaved among them.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::json;
use tests::place;

use crate::senders::Gateway;

const WITHIN: Duration = Duration::from_secs(60);
const PUSH: &str = "  loki_push_api: {server: {http_listen_address: 127.0.0.1, http_listen_port: PORT}}";

#[tokio::test]
async fn a_flood_of_datagrams_is_taken_or_counted_to_the_last() {
    const EACH: usize = 40_000;
    let gelf = place::port();
    let job = format!(
        "  syslog: {{listen_address: '127.0.0.1:PORT', listen_protocol: udp, labels: {{job: flood}}}}\n- job_name: gelf\n  gelf: {{listen_address: '127.0.0.1:{gelf}', labels: {{job: flood}}}}"
    );
    let (mut gateway, syslog) = Gateway::start(&job);
    // It does not read for a while: the system's buffers fill.
    gateway.edge.process().signal("STOP");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket can be made");
    let text = "x".repeat(600);
    for number in 0..EACH {
        let syslog_message = format!("<13>1 - - - - - - {number} {text}");
        let gelf_message = format!("{{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"{number} {text}\"}}");
        for (port, message) in [(syslog, syslog_message), (gelf, gelf_message)] {
            socket.send_to(message.as_bytes(), ("127.0.0.1", port)).expect("a datagram can be sent");
        }
    }
    gateway.edge.process().signal("CONT");
    let until = tokio::time::Instant::now() + WITHIN;
    for kind in ["syslog", "gelf"] {
        loop {
            let count = async |name: &str, label: &str| gateway.edge.metric(name, label).await.unwrap_or(0.0);
            let label = format!("receiver=\"{kind}\"");
            let taken = count("tributary_edge_receive_records_total", &label).await;
            let shed = count("tributary_edge_receive_shed_total", &label).await;
            let unseen = count("tributary_edge_receive_shed_total", &format!("{label},reason=\"socket_full\"")).await;
            if taken + shed == EACH as f64 && taken > 0.0 && unseen > 0.0 {
                break;
            }
            assert!(taken + shed <= EACH as f64 && tokio::time::Instant::now() < until, "{kind}: {taken} taken and {shed} shed ({unseen} unseen) of {EACH}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
    let taken = gateway.edge.metric("tributary_edge_receive_records_total", "").await.unwrap_or(0.0);
    gateway.ask().until_count("{job=\"flood\"}", taken as u64, WITHIN).await;
}

/// Sends and reads what is answered within a moment; the connection stays.
fn say(port: u16, words: &[u8]) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a receiver listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    // It may be closed before all of it is sent.
    let _ = stream.write_all(words);
    let mut answer = vec![0; 512];
    let read = stream.read(&mut answer).unwrap_or(0);
    answer.truncate(read);
    (stream, answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_or_nonsense_keeps_no_sender_out() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("as many files as allowed");
    let (forward, otlp) = (place::port(), place::port());
    let job = format!(
        "{PUSH}\n- job_name: forward\n  forward: {{listen_address: '127.0.0.1:{forward}'}}\n- job_name: otlp\n  otlp: {{http_listen_address: '127.0.0.1:{otlp}'}}"
    );
    let (mut gateway, port) = Gateway::start(&job);
    let client = reqwest::Client::builder().no_proxy().timeout(WITHIN).build().expect("a client can be made");
    // Bodies of 256 MiB in some kilobytes.
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..256 {
        packer.write_all(&vec![0; 1024 * 1024]).expect("memory");
    }
    let bomb = packer.finish().expect("memory");
    for url in [format!("http://127.0.0.1:{port}/loki/api/v1/push"), format!("http://127.0.0.1:{otlp}/v1/logs")] {
        for kind in ["application/json", "application/x-protobuf"] {
            let request = client.post(&url).header("content-type", kind).header("content-encoding", "gzip").body(bomb.clone());
            let status = request.send().await.expect("an answer").status().as_u16();
            assert_eq!(status, 413, "{url} {kind}");
        }
    }
    let length = u32::try_from(bomb.len()).expect("small").to_be_bytes();
    let packed = [b"\x93\xa1t\xc6".as_slice(), &length, &bomb, b"\x81\xaacompressed\xa4gzip"].concat();
    for words in [packed.as_slice(), b"\xdd\xff\xff\xff\xff", b"\x93\xa1t\xdb\xff\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"] {
        assert_eq!(say(forward, words).1, b"", "closed without a word");
    }
    // More connections than are let in, each with half a request.
    let half = b"POST /loki/api/v1/push HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n";
    let crowd: Vec<TcpStream> = (0..1_100)
        .map_while(|_| {
            let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(5)).ok()?;
            stream.write_all(half).ok()?;
            Some(stream)
        })
        .collect();
    assert!(crowd.len() > 1_000, "{} connections", crowd.len());
    let body = json!({"streams": [{"stream": {"job": "good"}, "values": [["1", "line"]]}]}).to_string();
    let url = format!("http://127.0.0.1:{port}/loki/api/v1/push");
    let until = tokio::time::Instant::now() + WITHIN;
    while client.post(&url).header("content-type", "application/json").body(body.clone()).send().await.map_or(0, |answer| answer.status().as_u16()) != 204 {
        assert!(tokio::time::Instant::now() < until, "a good sender is kept out");
    }
    drop(crowd);
    gateway.ask().until_count("{job=\"good\"}", 1, WITHIN).await;
    let rss = gateway.edge.process().rss_bytes();
    println!("resident after all that: {} MiB", rss >> 20);
    assert!(rss < 512 << 20, "{rss} bytes are resident");
}
