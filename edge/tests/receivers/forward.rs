//! Fluent forward: messages as Fluent Bit and Fluentd write them, in every mode; confirmations, the handshake, bad input.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha512};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::site::{START, Site, lines, pairs};

const JOB: &str =
    "forward: {listen_address: '127.0.0.1:0', message_key: log, labels: {job: fluent}}, relabel_configs: [{source_labels: [__forward_tag], target_label: tag}]";

/// MessagePack, as far as it is said here.
fn text(text: &str) -> Vec<u8> {
    [&[0xd9, u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat()
}

fn short(text: &str) -> Vec<u8> {
    [&[0xa0 | u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat()
}

fn array(values: &[Vec<u8>]) -> Vec<u8> {
    [&[0x90 | u8::try_from(values.len()).unwrap()][..], &values.concat()].concat()
}

fn map(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let content: Vec<u8> = pairs.iter().flat_map(|(name, value)| [short(name), value.clone()].concat()).collect();
    [&[0x80 | u8::try_from(pairs.len()).unwrap()][..], &content].concat()
}

fn binary(bytes: &[u8]) -> Vec<u8> {
    [&[0xc5][..], &u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// `EventTime`, as both write it.
fn event_time(ns: u32) -> Vec<u8> {
    [&[0xd7, 0x00][..], &1_700_000_000_u32.to_be_bytes(), &ns.to_be_bytes()].concat()
}

fn seconds() -> Vec<u8> {
    [&[0xce][..], &1_700_000_000_u32.to_be_bytes()].concat()
}

fn record(line: &str) -> Vec<u8> {
    map(&[("log", text(line)), ("stream", short("stdout")), ("kubernetes", map(&[("pod", short("p"))]))])
}

fn chunk(name: &str) -> Vec<u8> {
    map(&[("chunk", short(name)), ("size", vec![1]), ("fluent_signal", vec![0])])
}

/// What the sender hears when a chunk is taken: `{"ack": name}`.
fn ack(name: &str) -> Vec<u8> {
    map(&[("ack", short(name))])
}

async fn heard(stream: &mut TcpStream, expected: &[u8]) {
    let mut found = vec![0; expected.len()];
    tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut found)).await.expect("it is answered").unwrap();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn fluent_bit_is_confirmed_when_its_chunk_is_durable() {
    let site = Site::start(JOB).await;
    let mut stream = TcpStream::connect(site.address("forward")).await.unwrap();
    // Fluent Bit 2 and later: time and metadata in a pair.
    let entry = |ns, line: &str| array(&[array(&[event_time(ns), map(&[])]), record(line)]);
    let message = array(&[short("kube.p"), array(&[entry(1, "one\n"), entry(2, "two")]), chunk("c1")]);
    for piece in message.chunks(11) {
        stream.write_all(piece).await.unwrap();
    }
    heard(&mut stream, &ack("c1")).await;
    let (rows, _) = site.crash().await;
    assert_eq!(lines(&rows), ["one", "two"]);
    assert_eq!((rows[0].labels.as_str(), rows[0].time), ("job=fluent,tag=kube.p", START + 1));
    assert_eq!(rows[0].metadata, pairs(&[("stream", "stdout"), ("kubernetes", r#"{"pod":"p"}"#)]));
}

#[tokio::test]
async fn fluentd_is_taken_in_every_mode() {
    let site = Site::start(JOB).await;
    let mut stream = TcpStream::connect(site.address("forward")).await.unwrap();
    let entries = |line: &str| [array(&[event_time(1), record(&format!("{line} 1"))]), array(&[seconds(), record(&format!("{line} 2"))])].concat();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&entries("compressed")).unwrap();
    let packed_option = map(&[("size", vec![2]), ("chunk", short("c3")), ("compressed", short("gzip"))]);
    let messages = [
        array(&[short("app"), seconds(), record("message")]),
        array(&[short("app"), event_time(9), record("message with option"), chunk("c1")]),
        array(&[short("app"), array(&[array(&[seconds(), record("forward")])])]),
        array(&[short("app"), binary(&entries("packed")), chunk("c2")]),
        array(&[short("app"), binary(&gzip.finish().unwrap()), packed_option]),
        vec![0xc0],
        array(&[short("metrics"), binary(&[0x91, 0x01]), map(&[("chunk", short("c4")), ("fluent_signal", vec![1])])]),
        array(&[short("other"), seconds(), map(&[("n", vec![7]), ("nested", array(&[vec![0xc3], vec![0xff]]))])]),
    ];
    stream.write_all(&messages.concat()).await.unwrap();
    for name in ["c1", "c2", "c3", "c4"] {
        heard(&mut stream, &ack(name)).await;
    }
    stream.shutdown().await.unwrap();
    site.until("tributary_edge_receive_records_total", "forward", 8.0).await;
    assert_eq!(site.metric("tributary_edge_receive_refused_total", "no_logs"), 1.0, "Fluent Bit's metrics are no logs; they are not sent for ever");
    let rows = site.end().await;
    let mut found = lines(&rows);
    found.sort_unstable();
    let expected = ["compressed 1", "compressed 2", "forward", "message", "message with option", "packed 1", "packed 2", r#"{"n":7,"nested":[true,-1]}"#];
    assert_eq!(found, expected);
    assert_eq!(rows.iter().find(|row| row.line == "message with option").unwrap().time, START + 9);
    assert_eq!(rows.iter().find(|row| row.line.starts_with('{')).unwrap().labels, "job=fluent,tag=other");
}

#[tokio::test]
async fn a_shared_key_lets_in_who_knows_it() {
    let site = Site::start("forward: {listen_address: '127.0.0.1:0', shared_key: secret, self_hostname: edge1, message_key: log}").await;
    for (key, is_known) in [("secret", true), ("wrong", false)] {
        let mut stream = TcpStream::connect(site.address("forward")).await.unwrap();
        // ["HELO", {"nonce": 16 bytes, "auth": "", "keepalive": true}]
        let mut hello = [0; 53];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!((hello[0], &hello[3..7], &hello[10..15], hello[52]), (0x92, &b"HELO"[..], &b"nonce"[..], 0xc3));
        let nonce = &hello[17..33];
        let digest = |host: &str| -> String {
            let sum = Sha512::new().chain_update("salt").chain_update(host).chain_update(nonce).chain_update(key).finalize();
            sum.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let ping = array(&[short("PING"), short("client"), short("salt"), text(&digest("client")), short(""), short("")]);
        stream.write_all(&ping).await.unwrap();
        if is_known {
            heard(&mut stream, &array(&[text("PONG"), vec![0xc3], text(""), text("edge1"), text(&digest("edge1"))])).await;
            stream.write_all(&array(&[short("t"), seconds(), record("let in"), chunk("c")])).await.unwrap();
            heard(&mut stream, &ack("c")).await;
        } else {
            let mut rest = Vec::new();
            stream.write_all(&array(&[short("t"), seconds(), record("not let in"), chunk("c")])).await.unwrap();
            drop(stream.read_to_end(&mut rest).await);
            assert!(rest.windows(8).any(|words| words == b"mismatch") || rest.is_empty(), "{rest:?}");
        }
    }
    site.until("tributary_edge_receive_refused_total", "unauthorized", 1.0).await;
    assert_eq!(lines(&site.end().await), ["let in"]);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_ends_its_connection_and_no_other() {
    let site = Site::start("forward: {listen_address: '127.0.0.1:0', message_key: log, max_message_size: 100KB}").await;
    let mut good = TcpStream::connect(site.address("forward")).await.unwrap();
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![0; 10 << 20]).unwrap();
    let compressed = |how: &str| map(&[("compressed", short(how))]);
    let bad = [
        vec![0xc1],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        array(&[short("t")]),
        array(&[short("t"), seconds()]),
        array(&[vec![7], seconds(), record("x")]),
        array(&[short("t"), short("no time"), record("x")]),
        array(&[short("t"), array(&[vec![7]])]),
        array(&[short("t"), binary(&[0x92, 0x01])]),
        array(&[short("t"), binary(&[1, 2]), compressed("zstd")]),
        array(&[short("t"), binary(b"no gzip"), compressed("gzip")]),
        array(&[short("t"), binary(&bomb.finish().unwrap()[..]), compressed("gzip")]),
        array(&[short("t"), seconds(), [vec![0x91; 60], vec![1]].concat()]),
        // Lengths that lie: an array of 2^32 values, text of 2^32 bytes.
        vec![0xdd, 0xff, 0xff, 0xff, 0xff],
        [&[0x92][..], &short("t"), &[0xdb, 0xff, 0xff, 0xff, 0xff]].concat(),
    ];
    let count = bad.len();
    for message in bad {
        let mut stream = TcpStream::connect(site.address("forward")).await.unwrap();
        stream.write_all(&message).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok() && rest.is_empty(), "{message:?} {rest:?}");
    }
    assert_eq!(site.metric("tributary_edge_receive_refused_total", "forward"), count as f64);
    good.write_all(&array(&[short("t"), seconds(), record("good"), chunk("c")])).await.unwrap();
    heard(&mut good, &ack("c")).await;
    assert_eq!(lines(&site.end().await), ["good"]);
}

#[tokio::test]
async fn a_chunk_that_is_not_durable_is_not_confirmed() {
    let site = Site::start(JOB).await;
    site.disk.set_full(Some(0));
    let mut stream = TcpStream::connect(site.address("forward")).await.unwrap();
    stream.write_all(&array(&[short("t"), seconds(), record("later"), chunk("c")])).await.unwrap();
    let mut byte = [0];
    tokio::time::timeout(Duration::from_secs(2), stream.read(&mut byte)).await.expect_err("no word while the disk is full");
    site.disk.heal();
    site.disk.set_full(None);
    heard(&mut stream, &ack("c")).await;
    let (rows, _) = site.crash().await;
    assert_eq!(lines(&rows), ["later"]);
}
