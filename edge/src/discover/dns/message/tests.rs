use proptest::prelude::*;

use super::*;

/// An answer to the question `id`, whose records are given as type and data; each is of the name that was asked for.
pub(in crate::discover::dns) fn answer(id: u16, flags: u16, asked: &[u8], records: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(id.to_be_bytes());
    out.extend(flags.to_be_bytes());
    out.extend([0, 1]);
    out.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
    out.extend([0; 4]);
    out.extend(asked);
    for (kind, data) in records {
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 9]);
        out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        out.extend(data);
    }
    out
}

const ASKED: &[u8] = b"\x04_web\x04_tcp\x01a\x00\x00\x21\x00\x01";

#[test]
fn a_question_is_written_as_servers_read_it() {
    let bytes = question(0x1234, "_web._tcp.a.", Kind::Srv).unwrap();
    let wanted = [b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01", ASKED, b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"].concat();
    assert_eq!(bytes, wanted);
    for bad in ["", "a..b", &"a".repeat(64), &"abcdefgh.".repeat(30)] {
        assert!(question(1, bad, Kind::A).is_err(), "{bad:?}");
    }
}

#[test]
fn answers_are_read_with_names_that_lead_back() {
    let srv = [&[0, 1, 0, 2, 0x1f, 0x90][..], b"\x02h1\xc0\x16"].concat();
    let bytes = answer(7, 0x8180, ASKED, &[(33, srv), (5, b"\x01z\xc0\x16".to_vec())]);
    let read = Answer::parse(&bytes, 7, Kind::Srv).unwrap().unwrap();
    assert_eq!(read, Answer { code: 0, is_cut: false, records: vec![Record::Srv { target: "h1.a.".into(), port: 8080 }] });
    assert_eq!(Answer::parse(&bytes, 8, Kind::Srv).unwrap(), None, "an answer to another question");
    let bytes = answer(7, 0x8180, ASKED, &[(1, vec![10, 0, 0, 1]), (28, vec![0; 16]), (15, b"\x00\x0a\x02mx\x00".to_vec()), (2, b"\x03n.s\x00".to_vec())]);
    let records = |kind| Answer::parse(&bytes, 7, kind).unwrap().unwrap().records;
    assert_eq!(records(Kind::A), [Record::A([10, 0, 0, 1].into())]);
    assert_eq!(records(Kind::Aaaa), [Record::Aaaa([0; 16].into())]);
    assert_eq!(records(Kind::Mx), [Record::Mx("mx.".into())]);
    assert_eq!(records(Kind::Ns), [Record::Ns("n\\.s.".into())]);
    assert_eq!(Answer::parse(&answer(7, 0x8183, ASKED, &[]), 7, Kind::A).unwrap().unwrap().code, 3);
    assert!(Answer::parse(&answer(7, 0x8380, ASKED, &[]), 7, Kind::A).unwrap().unwrap().is_cut);
}

#[test]
fn names_that_lead_forward_or_never_end_are_refused() {
    for data in [b"\xc0\xff".to_vec(), b"\xc0\x29".to_vec(), b"\x80".to_vec(), b"\x05ab".to_vec()] {
        assert!(Answer::parse(&answer(7, 0x8180, ASKED, &[(2, data.clone())]), 7, Kind::Ns).is_err(), "{data:?}");
    }
    assert!(Answer::parse(&answer(7, 0x8180, ASKED, &[(1, vec![10, 0])]), 7, Kind::A).is_err());
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(mut bytes in prop::collection::vec(any::<u8>(), 0..300), kind in prop::sample::select(vec![Kind::A, Kind::Srv, Kind::Mx, Kind::Ns])) {
        if bytes.len() > 12 {
            bytes[..12].copy_from_slice(&[0, 7, 0x81, 0x80, 0, 1, 0, 4, 0, 0, 0, 0]);
        }
        drop(Answer::parse(&bytes, 7, kind));
    }
}
