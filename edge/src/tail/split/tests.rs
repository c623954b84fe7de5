use proptest::prelude::*;

use super::*;

fn lines_of(chunks: &[&[u8]]) -> (Vec<(Vec<u8>, u64)>, u64) {
    let mut splitter = Splitter::default();
    let mut out = Vec::new();
    for chunk in chunks {
        let taken = splitter.feed(chunk, &mut |line| {
            out.push((line.bytes.to_vec(), line.consumed));
            true
        });
        assert_eq!(taken, chunk.len());
    }
    (out, splitter.unfinished())
}

proptest! {
    #[test]
    fn lines_do_not_depend_on_how_bytes_arrive(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200), cuts in prop::collection::vec(0_usize..200, 0..8)) {
        let (whole, rest) = lines_of(&[&bytes]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            chunks.push(&bytes[from..cut]);
            from = cut;
        }
        let (pieces, rest_of_pieces) = lines_of(&chunks);
        prop_assert_eq!(&pieces, &whole);
        prop_assert_eq!(rest, rest_of_pieces);
        prop_assert_eq!(whole.iter().map(|(_, consumed)| consumed).sum::<u64>() + rest, bytes.len() as u64);
    }
}

#[test]
fn a_line_of_many_mebibytes_is_cut_and_costs_one() {
    let mut splitter = Splitter::default();
    let chunk = vec![b'x'; 256 * 1024];
    for _ in 0..400 {
        splitter.feed(&chunk, &mut |_| panic!("no newline yet"));
        assert!(splitter.pending.capacity() <= 2 * LINE_BYTES_MAX);
    }
    let mut seen = Vec::new();
    splitter.feed(b"\nnext\n", &mut |line| {
        seen.push((line.bytes.len(), line.consumed, line.cut_from));
        true
    });
    let total = 400 * 256 * 1024_u64;
    let (length, consumed, cut) = seen[0];
    assert!(length <= LINE_BYTES_MAX && length > LINE_BYTES_MAX - 64);
    assert_eq!((consumed, cut), (total + 1, Some(total)));
    assert_eq!(seen[1], (4, 5, None));
}

#[test]
fn stopping_leaves_the_rest_untaken() {
    let mut splitter = Splitter::default();
    assert_eq!(splitter.feed(b"a\nb\nc", &mut |_| false), 2);
    assert_eq!(splitter.unfinished(), 0);
}

#[test]
fn an_unfinished_last_line_comes_at_the_end() {
    let mut splitter = Splitter::default();
    splitter.feed(b"tail", &mut |_| true);
    let mut seen = Vec::new();
    splitter.finish(&mut |line| {
        seen.push((line.bytes.to_vec(), line.consumed));
        true
    });
    assert_eq!(seen, [(b"tail".to_vec(), 4)]);
}

/// `text` in UTF-16, with a byte order mark.
fn wide(text: &str, little: bool) -> Vec<u8> {
    let unit = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(unit).collect()
}

fn wide_lines(bytes: &[u8], little: bool, step: usize) -> (Vec<(String, u64)>, u64) {
    let text = Text::Utf16.of_file(bytes);
    assert_eq!(text, if little { Text::Utf16Le } else { Text::Utf16Be });
    let mut splitter = Splitter::new(text);
    let mut out = Vec::new();
    for chunk in bytes.chunks(step) {
        splitter.feed(chunk, &mut |line| {
            out.push((String::from_utf8(line.bytes.to_vec()).unwrap(), line.consumed));
            true
        });
    }
    (out, splitter.unfinished())
}

#[test]
fn wide_lines_end_where_their_newline_does() {
    // U+0A0A, U+0A00 and U+000A: only the last is a newline, at whatever bytes the others lie.
    let text = "one\r\n\u{0A0A}\u{0A00}x\u{100A}\n\nĀ\nunfinished";
    for little in [true, false] {
        let bytes = wide(text, little);
        for step in 1..20 {
            let (lines, rest) = wide_lines(&bytes, little, step);
            let texts: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
            assert_eq!(texts, ["one", "\u{0A0A}\u{0A00}x\u{100A}", "", "Ā"], "{little} {step}");
            assert_eq!(rest, 20);
            assert_eq!(lines.iter().map(|(_, consumed)| consumed).sum::<u64>() + rest, bytes.len() as u64);
        }
    }
}

#[test]
fn a_long_wide_line_is_cut_and_the_next_is_whole() {
    let bytes = wide(&format!("{}\nnext\n", "é".repeat(700_000)), true);
    let (lines, rest) = wide_lines(&bytes, true, 100_001);
    assert_eq!(rest, 0);
    assert!(lines[0].0.len() <= LINE_BYTES_MAX && lines[0].0.ends_with("é…[cut from 1400002 bytes]"), "{}", lines[0].0.len());
    assert_eq!(lines[0].1, 1_400_004);
    assert_eq!(lines[1].0, "next");
}
