//! Filters: nothing that is there is passed over; most of what is not there is.

use proptest::prelude::*;

use super::*;

fn filters(blocks: &[(&[u8], &[u8])]) -> (GramFilters, Bytes, RegionEntry) {
    let mut draft = GramDraft::default();
    blocks.iter().for_each(|(text, metadata)| draft.block(text, metadata));
    let mut out = b"before".to_vec();
    let entry = draft.write(&mut out).unwrap();
    let bytes = Bytes::from(out).slice(6..);
    (GramFilters::read(&bytes, &entry, blocks.len()).unwrap(), bytes, entry)
}

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36";

/// Lines of an access log with random ids, about `bytes` of them.
fn lines(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut state = seed | 1;
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(format!("GET /api/v1/orders/{} HTTP/1.1 200 {AGENT} trace={state:016x}\n", state % 10_000).as_bytes());
    }
    out
}

#[test]
fn a_block_without_the_text_is_passed_over_and_one_with_it_never() {
    let (first, second) = (lines(1, 1 << 20), lines(2, 1 << 20));
    let (filters, bytes, _) = filters(&[(&first, b""), (&second, b"")]);
    assert!(bytes.len() <= (first.len() + second.len()) / FILTER_SHARE + 2 * ENTRY_BYTES + HEAD_BYTES, "{} bytes", bytes.len());
    let mut passed_over = 0;
    for (text, own, other) in [(&first, 0, 1), (&second, 1, 0)] {
        for line in text.split(|byte| *byte == b'\n').step_by(50).take(100) {
            let id = Needle::new(&line[line.len() - 16..]);
            assert!(filters.may_hold(own, &id));
            passed_over += usize::from(!filters.may_hold(other, &id));
        }
    }
    assert!(passed_over > 150, "{passed_over} of 200 ids");
    assert!(!filters.may_hold(0, &Needle::new(b"panic: runtime error")));
    assert!(!filters.may_hold(0, &Needle::new(b"{")), "no line holds this byte");
    assert!(filters.may_hold(0, &Needle::new(b"")) && filters.may_hold(0, &Needle::new(b"/api")));
    assert!(filters.may_hold(7, &Needle::new(b"panic: runtime error")), "nothing is known of another block");
}

#[test]
fn metadata_is_found_too_and_a_short_block_has_its_bytes() {
    let text = lines(3, 1 << 20);
    let (filters, ..) = filters(&[(&text, b"\x01\x08trace_id\x10QWXYZQWXYZQWXYZQ"), (b"short {\n", b"")]);
    assert!(filters.may_hold(0, &Needle::new(b"QWXYZQWXYZ")));
    assert!(!filters.may_hold(0, &Needle::new(b"ZYXWQZYXWQ")));
    assert!(filters.may_hold(1, &Needle::new(b"trohs")) && !filters.may_hold(1, &Needle::new(b"}")));
}

#[test]
fn a_map_of_few_pieces_is_halved_and_says_the_same() {
    let text = b"the same line again and again\n".repeat(40_000);
    let (filters, bytes, _) = filters(&[(&text, b"")]);
    assert!(bytes.len() < 1_024, "{} bytes", bytes.len());
    for at in 0..text.len().min(60) {
        assert!(filters.may_hold(0, &Needle::new(&text[at..at + 12])));
    }
    assert!(!filters.may_hold(0, &Needle::new(b"gain the same")));
}

#[test]
fn damaged_filters_are_refused() {
    let text = lines(4, 1 << 18);
    let (_, bytes, entry) = filters(&[(&text, b"")]);
    let sealed = |bytes: &[u8]| RegionEntry { length: u32::try_from(bytes.len()).unwrap(), checksum: checksum(bytes), ..entry };
    assert!(matches!(GramFilters::read(&bytes, &entry, 2), Err(SegmentFault::Malformed { .. })));
    assert!(matches!(GramFilters::read(&bytes.slice(1..), &entry, 1), Err(SegmentFault::Short { .. })));
    for at in 0..60 {
        let mut broken = bytes.to_vec();
        broken[at] ^= 0x40;
        assert!(matches!(GramFilters::read(&Bytes::from(broken.clone()), &entry, 1), Err(SegmentFault::Checksum { .. })));
        // With a true checksum it is read or refused, and asked without a panic.
        let entry = sealed(&broken);
        if let Ok(filters) = GramFilters::read(&Bytes::from(broken), &entry, 1) {
            assert!(filters.may_hold(0, &Needle::new(b"")) || at < HEAD_BYTES + ENTRY_BYTES);
        }
    }
    for length in 0..60 {
        let cut = bytes.slice(..length);
        let entry = sealed(&cut);
        assert!(GramFilters::read(&cut, &entry, 1).is_err());
    }
}

proptest! {
    #[test]
    fn what_is_there_is_never_passed_over(text in prop::collection::vec(any::<u8>(), 6_000..60_000), at in any::<prop::sample::Index>(), length in 0_usize..40) {
        let (filters, ..) = filters(&[(&text, b"")]);
        let begin = at.index(text.len());
        let needle = &text[begin..(begin + length).min(text.len())];
        prop_assert!(filters.may_hold(0, &Needle::new(needle)));
    }

    #[test]
    fn halving_keeps_every_bit(bits in prop::collection::vec(0_u32..=u32::MAX, 1..50)) {
        let mut map = vec![0_u64; 128];
        for bit in &bits {
            let at = place(*bit, 128 * 64);
            map[at / 64] |= 1 << (at % 64);
        }
        halve(&mut map);
        for bit in &bits {
            let at = place(*bit, 64 * 64);
            prop_assert_eq!(map[at / 64] >> (at % 64) & 1, 1);
        }
        prop_assert!(map.iter().map(|word| word.count_ones() as usize).sum::<usize>() <= bits.len());
    }
}
