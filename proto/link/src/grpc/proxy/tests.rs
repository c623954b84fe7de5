//! Tests of `proxy`.

use proptest::prelude::*;

use super::*;

#[test]
fn only_a_2xx_of_http_1_connects() {
    assert_eq!(judge(b"HTTP/1.1 200 OK\r\n\r\n"), Ok(()));
    assert_eq!(judge(b"HTTP/1.0 299 \r\n\r\n"), Ok(()));
    assert_eq!(judge(b"HTTP/1.1 200\r\n\r\n"), Ok(()));
    for refused in
        [&b"HTTP/1.1 301 Moved\r\n\r\n"[..], b"HTTP/1.1 407 x\r\n\r\n", b"HTTP/2 200 OK\r\n\r\n", b"200 OK\r\n\r\n", b"\r\n\r\n", b"HTTP/1.1 2OO\r\n\r\n"]
    {
        assert!(judge(refused).is_err(), "{}", String::from_utf8_lossy(refused));
    }
}

#[tokio::test]
async fn an_answer_is_read_to_its_end_and_no_further_and_not_for_ever() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (mut near, mut io) = (near, Io::given(far));
    near.write_all(b"HTTP/1.1 200 OK\r\nx: y\r\n\r\nrest").await.unwrap();
    assert_eq!(read_head(&mut io).await.unwrap(), b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n");
    let mut rest = [0; 4];
    io.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"rest");
    near.write_all(&vec![b'x'; PROXY_ANSWER_BYTES_MAX + 1]).await.unwrap();
    assert!(read_head(&mut io).await.unwrap_err().contains("longer than 8192 bytes"));
}

proptest! {
    #[test]
    fn any_answer_is_judged(head in prop::collection::vec(any::<u8>(), 0..100)) {
        drop(judge(&head));
    }
}
