//! Syslog: what `logger`, rsyslog and syslog-ng write, framed both ways, over TCP, TLS and UDP; bad input.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::site::{START, Site, identities, lines, tls_yaml};

const RULES: &str =
    "relabel_configs: [{action: labelmap, regex: '__syslog_message_(.+)'}, {source_labels: [__syslog_connection_ip_address], target_label: ip}]";

fn job(more: &str) -> String {
    format!("syslog: {{listen_address: '127.0.0.1:0', labels: {{job: syslog}}{more}}}, {RULES}")
}

async fn send(site: &Site, bytes: &[u8]) {
    let mut stream = TcpStream::connect(site.address("syslog")).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn both_framings_and_both_forms_are_read_from_one_stream() {
    let site = Site::start(&job(", label_structured_data: true, use_incoming_timestamp: true")).await;
    let new = r#"<165>1 2023-11-14T22:13:21.000003Z web1 shop 42 ID47 [ex@32473 iut="3" src="a\"b"] it happened"#;
    let old = "<34>Oct 11 22:14:15 mymachine su[77]: 'su root' failed";
    let stream = format!("{} {new}{}\n{new}\r\n\n", new.len(), old);
    // Piece by piece, as a network may bring it.
    let mut connection = TcpStream::connect(site.address("syslog")).await.unwrap();
    connection.set_nodelay(true).unwrap();
    for piece in stream.as_bytes().chunks(17) {
        connection.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    site.until("promtail_syslog_target_entries_total", "", 3.0).await;
    let rows = site.end().await;
    assert_eq!(lines(&rows).iter().filter(|line| **line == "it happened").count(), 2, "{rows:?}");
    let row = rows.iter().find(|row| row.line == "it happened").unwrap();
    assert_eq!(
        row.labels,
        "app_name=shop,facility=local4,hostname=web1,ip=127.0.0.1,job=syslog,msg_id=ID47,proc_id=42,sd_ex_32473_iut=3,sd_ex_32473_src=a\"b,severity=notice"
    );
    assert_eq!(row.time, START + 1_000_003_000);
    let row = rows.iter().find(|row| row.line == "'su root' failed").unwrap();
    assert_eq!(row.labels, "app_name=su,facility=auth,hostname=mymachine,ip=127.0.0.1,job=syslog,proc_id=77,severity=critical");
    assert_eq!(row.time, 1_697_062_455_000_000_000, "2023-10-11 22:14:15 UTC");
}

#[tokio::test]
async fn the_whole_message_may_be_the_line_and_long_ones_are_cut() {
    let site = Site::start(&job(", use_rfc5424_message: true, max_message_length: 60")).await;
    let long = format!("<13>1 2023-11-14T22:13:20Z h a - - - {}", "x".repeat(100));
    send(&site, format!("{} {long}<13>1 - h a - - - next\n{long}\n<13>1 - h a - - - last", long.len()).as_bytes()).await;
    site.until("promtail_syslog_target_entries_total", "", 4.0).await;
    assert_eq!(site.metric("tributary_edge_receive_cut_total", "syslog"), 2.0);
    let cut = &long[..60];
    assert_eq!(lines(&site.end().await), [cut, "<13>1 - h a - - - next", cut, "<13>1 - h a - - - last"]);
}

#[tokio::test]
async fn what_is_no_syslog_is_kept_as_it_is_and_counted() {
    let site = Site::start(&job("")).await;
    send(&site, b"no syslog at all\n<999>1 - - - - - - x\n<13>1 2023-11-14T22:13:20Z h a - - -\n\0\0\n<13>1 - h a - - - caf\xe9\n999999999999 <x\n12 <").await;
    site.until("promtail_syslog_target_parsing_errors_total", "", 4.0).await;
    assert_eq!(site.metric("promtail_syslog_empty_messages_total", ""), 1.0);
    let rows = site.end().await;
    let mut found = lines(&rows);
    found.sort_unstable();
    assert_eq!(found, ["999999999999 <x", "<", "<999>1 - - - - - - x", "caf\u{fffd}", "no syslog at all"].as_slice(), "{rows:?}");
}

#[tokio::test]
async fn datagrams_are_messages() {
    let site = Site::start(&job(", listen_protocol: udp, syslog_format: rfc3164")).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // As Python's SysLogHandler and util-linux' logger write them.
    for message in [&b"<14>hello from python\0"[..], b"<13>Nov 14 22:13:20 host root: from logger", b"\n", b""] {
        socket.send_to(message, site.address("syslog")).await.unwrap();
    }
    site.until("promtail_syslog_target_entries_total", "", 1.0).await;
    site.until("promtail_syslog_empty_messages_total", "", 2.0).await;
    let rows = site.end().await;
    assert_eq!(lines(&rows).len(), 2, "{rows:?}");
    assert!(rows.iter().any(|row| row.line == "from logger" && row.labels.contains("app_name=root") && row.labels.contains("severity=notice")), "{rows:?}");
    assert!(rows.iter().any(|row| row.line.contains("hello from python") && row.labels.contains("severity=informational")), "{rows:?}");
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let site = Site::start(&job(", idle_timeout: 200ms")).await;
    let mut stream = TcpStream::connect(site.address("syslog")).await.unwrap();
    stream.write_all(b"<13>1 - h a - - - without its end").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.expect("it is closed").unwrap();
    assert_eq!(lines(&site.end().await), ["without its end"]);
}

#[tokio::test]
async fn a_sender_waits_while_there_is_no_room_and_nothing_is_lost() {
    let site = Site::start(&job(", max_message_length: 65536")).await;
    site.disk.set_full(Some(0));
    let mut stream = TcpStream::connect(site.address("syslog")).await.unwrap();
    let writer = tokio::spawn(async move {
        for n in 0..2_000 {
            stream.write_all(format!("<13>1 - h a - - - {n} {}\n", "x".repeat(30_000)).as_bytes()).await.unwrap();
        }
        stream.shutdown().await.unwrap();
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!writer.is_finished(), "60 MB do not fit while nothing is taken");
    site.disk.heal();
    site.disk.set_full(None);
    tokio::time::timeout(Duration::from_secs(120), writer).await.unwrap().unwrap();
    site.until("promtail_syslog_target_entries_total", "", 2_000.0).await;
    let rows = site.end().await;
    let numbers: Vec<usize> = rows.iter().map(|row| row.line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn tls_lets_in_whom_its_ca_vouches_for() {
    let (authority, server, client) = identities();
    let site = Site::start(&job(&format!(", tls_config: {}", tls_yaml(&server, "ca")))).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain: Vec<_> = CertificateDer::pem_slice_iter(client.cert_pem.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(client.key_pem.as_bytes()).unwrap();
    let own = |with_certificate: bool| {
        let time = Arc::new(Then);
        let builder = rustls::ClientConfig::builder_with_details(Arc::clone(&provider), time).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots.clone());
        let config = if with_certificate { builder.with_client_auth_cert(chain.clone(), key.clone_key()).unwrap() } else { builder.with_no_client_auth() };
        tokio_rustls::TlsConnector::from(Arc::new(config))
    };
    let name = || ServerName::try_from("localhost").unwrap();
    let message = b"<13>1 - h a - - - over tls\n";
    let mut known = own(true).connect(name(), TcpStream::connect(site.address("syslog")).await.unwrap()).await.unwrap();
    known.write_all(message).await.unwrap();
    known.shutdown().await.unwrap();
    site.until("promtail_syslog_target_entries_total", "", 1.0).await;
    // In TLS 1.3 a client hears of its refusal when it reads.
    if let Ok(mut unknown) = own(false).connect(name(), TcpStream::connect(site.address("syslog")).await.unwrap()).await {
        drop(unknown.write_all(message).await);
        let mut rest = Vec::new();
        unknown.read_to_end(&mut rest).await.unwrap_err();
    }
    send(&site, b"<13>1 - h a - - - without tls\n").await;
    site.until("tributary_edge_receive_refused_total", "handshake", 2.0).await;
    assert_eq!(lines(&site.end().await), ["over tls"]);
}

/// The time of the simulated clock.
#[derive(Debug)]
pub(crate) struct Then;

impl rustls::time_provider::TimeProvider for Then {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(START as u64 / 1_000_000_000 + 60)))
    }
}
