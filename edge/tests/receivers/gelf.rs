//! GELF: datagrams as Graylog's libraries and Docker's driver send them, in pieces and packed; bad input.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use tokio::net::UdpSocket;

use super::site::{START, Site, lines};

const JOB: &str = "gelf: {listen_address: '127.0.0.1:0', use_incoming_timestamp: true, labels: {job: gelf}}, relabel_configs: [{action: labelmap, regex: '__gelf_message_(.+)'}]";
const MESSAGE: &str = r#"{"version":"1.1","host":"h1","short_message":"it broke","timestamp":1700000000.123,"level":3,"facility":"web","_user":"u"}"#;

async fn send(site: &Site, datagrams: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in datagrams {
        socket.send_to(datagram, site.address("gelf")).await.unwrap();
    }
}

/// In pieces of `bytes`, the last first.
fn pieces(name: u64, message: &[u8], bytes: usize) -> Vec<Vec<u8>> {
    let count = u8::try_from(message.chunks(bytes).count()).unwrap();
    let each = message.chunks(bytes).zip(0_u8..).map(|(piece, number)| [&[0x1e, 0x0f][..], &name.to_be_bytes(), &[number, count], piece].concat());
    each.collect::<Vec<_>>().into_iter().rev().collect()
}

#[tokio::test]
async fn messages_are_read_whole_in_pieces_and_packed() {
    let site = Site::start(JOB).await;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(MESSAGE.replace("it broke", "gzip").as_bytes()).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(MESSAGE.replace("it broke", "zlib").as_bytes()).unwrap();
    let mut all = vec![[MESSAGE.as_bytes(), b"\0"].concat()];
    all.extend(pieces(7, &gzip.finish().unwrap(), 20));
    all.push(zlib.finish().unwrap());
    all.push(br#"{"short_message":"bare"}"#.to_vec());
    send(&site, &all).await;
    site.until("promtail_gelf_target_entries_total", "", 4.0).await;
    let rows = site.end().await;
    let row = rows.iter().find(|row| row.line == MESSAGE).unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!((row.labels.as_str(), row.time), ("facility=web,host=h1,job=gelf,level=error,version=1.1", START + 123_000_000));
    for packed in ["gzip", "zlib"] {
        assert!(rows.iter().any(|row| row.line == MESSAGE.replace("it broke", packed)), "{packed}: {rows:?}");
    }
    let bare = rows.iter().find(|row| row.line.contains("bare")).unwrap();
    assert_eq!(bare.labels, "job=gelf,level=emergency", "Go's zero, as with Promtail");
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_and_pieces_do_not_pile_up() {
    let site = Site::start(JOB).await;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 30 << 20]).unwrap();
    let mut bad: Vec<Vec<u8>> = vec![
        b"no json".to_vec(),
        b"[1]".to_vec(),
        b"{\"a\":".to_vec(),
        b"\x1f\x8bno gzip".to_vec(),
        b"\x78\x9cno zlib".to_vec(),
        b"\x1e\x0fshort".to_vec(),
        [&[0x1e, 0x0f][..], &[1; 8], &[0, 0], b"x"].concat(),
        [&[0x1e, 0x0f][..], &[1; 8], &[9, 3], b"x"].concat(),
        [&[0x1e, 0x0f][..], &[1; 8], &[0, 200], b"x"].concat(),
    ];
    bad.extend(pieces(9, &bomb.finish().unwrap(), 8_000));
    send(&site, &bad).await;
    site.until("promtail_gelf_target_parsing_errors_total", "", 10.0).await;
    send(&site, &[MESSAGE.into()]).await;
    site.until("promtail_gelf_target_entries_total", "", 1.0).await;
    assert_eq!(lines(&site.end().await), [MESSAGE]);
}
