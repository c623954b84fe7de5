//! Names from the hosts file and from DNS' answers; damaged ones.

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_hosts_file_is_read() {
    let text = "127.0.0.1 localhost loop # comment\n::1\tlocalhost6\n#10.0.0.1 not\n10.0.0.1 a\n10.0.0.1 b\nnonsense\n";
    assert_eq!(in_hosts(text, ip("127.0.0.1")), ["localhost", "loop"]);
    assert_eq!(in_hosts(text, ip("::1")), ["localhost6"]);
    assert_eq!(in_hosts(text, ip("10.0.0.1")), ["a", "b"]);
    assert_eq!(in_hosts(text, ip("10.0.0.2")), [""; 0]);
    assert_eq!(resolver("search x\nnameserver  10.0.0.53\nnameserver 10.0.0.54\n"), Some("10.0.0.53:53".parse().unwrap()));
}

#[test]
fn a_question_and_its_answer() {
    let asked = question(0x1234, ip("10.1.2.3"));
    assert_eq!(&asked[12..], b"\x013\x012\x011\x0210\x07in-addr\x04arpa\x00\x00\x0c\x00\x01");
    assert!(question(1, ip("::1")).ends_with(b"\x03ip6\x04arpa\x00\x00\x0c\x00\x01"));
    let mut told = asked.clone();
    (told[2], told[7]) = (0x81, 1);
    // The name is that of the question; the name it points to ends like it, too.
    told.extend(b"\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x3c\x00\x08\x03web\x01x\xc0\x1d");
    let suffix = usize::from(told[0x1d]);
    assert_eq!((suffix, &told[0x1e..0x22]), (4, &b"arpa"[..]));
    assert_eq!(answer(0x1234, &told), Some(vec!["web.x.arpa.".to_owned()]));
    assert_eq!(answer(0x1235, &told), None, "another's answer");
    told[3] = 3;
    assert_eq!(answer(0x1234, &told), None, "there is no such name");
}

proptest! {
    #[test]
    fn any_answer_ends(mut bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        drop(answer(1, &bytes));
        if bytes.len() > 12 {
            bytes[..12].copy_from_slice(&[0, 1, 0x81, 0, 0, 1, 0, 9, 0, 0, 0, 0]);
            drop(answer(1, &bytes));
        }
    }

    #[test]
    fn a_name_that_points_at_itself_ends(at in 0_u8..40) {
        let mut bytes = vec![0, 1, 0x81, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        bytes.extend([0xc0, at].repeat(20));
        drop(answer(1, &bytes));
    }
}
