//! Frames however a stream is cut into pieces.

use proptest::prelude::*;

use super::*;

/// All messages of a stream that comes in these pieces, and how many were cut.
fn messages(pieces: &[&[u8]], bytes_max: usize) -> (Vec<String>, u64) {
    let (mut frames, mut buffer, mut out) = (Frames::new(bytes_max), BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        frames.take(&mut buffer, false, &mut out);
        assert!(buffer.len() <= bytes_max + COUNT_DIGITS_MAX + 2, "{} bytes are held", buffer.len());
    }
    frames.take(&mut buffer, true, &mut out);
    assert!(buffer.is_empty());
    (out.iter().map(|message| String::from_utf8_lossy(message).into_owned()).collect(), frames.take_cut())
}

#[test]
fn counts_and_lines_are_told_apart_at_each_message() {
    let stream = b"5 <1>ab<2>line\n\n\r\n4 <3>c\n<4>ret\r\n17 no count\n0 <no\n12";
    let expected = ["<1>ab", "<2>line", "<3>c", "<4>ret", "17 no count", "0 <no", "12"];
    assert_eq!(messages(&[stream], 100).0, expected);
}

#[test]
fn a_message_beyond_the_limit_is_cut_and_its_rest_passed_over() {
    assert_eq!(messages(&[b"13 <1>3456789xyz6 <2>abc<1>23456789\n<3>x\n"], 6), (vec!["<1>345".into(), "<2>abc".into(), "<1>234".into(), "<3>x".into()], 2));
    assert_eq!(messages(&[b"9999999999 <a", &[b'x'; 1_000], &[b'\n'; 10]], 8), (vec!["<axxxxxx".into()], 1));
}

proptest! {
    #[test]
    fn pieces_make_no_difference(lines in prop::collection::vec("[<>0-9a-z ]{1,30}", 0..8), counted in any::<u8>(), cut in 1_usize..40) {
        let stream: Vec<u8> = lines.iter().enumerate().flat_map(|(at, line)| match counted >> (at % 8) & 1 {
            1 => format!("{} <{line}", line.len() + 1).into_bytes(),
            _ => format!("{line}\n").into_bytes(),
        }).collect();
        let pieces: Vec<&[u8]> = stream.chunks(cut).collect();
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        let whole = messages(&[&stream], 1 << 20);
        prop_assert_eq!(&messages(&single, 1 << 20), &whole);
        prop_assert_eq!(&messages(&pieces, 1 << 20), &whole);
    }

    #[test]
    fn any_bytes_are_taken_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..300), bytes_max in 1_usize..50) {
        let pieces: Vec<&[u8]> = bytes.chunks(7).collect();
        let (found, _) = messages(&pieces, bytes_max);
        prop_assert!(found.iter().all(|message| !message.is_empty()));
    }
}
