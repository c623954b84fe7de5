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
