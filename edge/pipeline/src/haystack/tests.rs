//! Whatever a line holds, a group of a match names the line's own bytes.

use proptest::prelude::*;
use proto_extract::dialect;

use super::Haystack;

#[test]
fn a_group_gives_the_bytes_that_were_written() {
    let line = b"a\xff\xfe=\xe2\x82;b";
    let regex = dialect::compile("^a(..)=(.*);(.)$").unwrap();
    let haystack = Haystack::new(line);
    let groups = regex.captures(haystack.as_bytes()).unwrap();
    let bytes = |n: usize| groups.get(n).map(|m| &line[haystack.original(m.start(), m.end())]).unwrap();
    assert_eq!(bytes(1), b"\xff\xfe");
    assert_eq!(bytes(2), b"\xe2\x82");
    assert_eq!(bytes(3), b"b");
}

proptest! {
    #[test]
    fn cutting_at_a_separator_rebuilds_the_line(pieces in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("separator", |b| *b != b'|'), 0..6), 1..6)) {
        let line = pieces.join(&b'|');
        let regex = dialect::compile(r"[^|]*").unwrap();
        let haystack = Haystack::new(&line);
        let found: Vec<Vec<u8>> = regex.find_iter(haystack.as_bytes()).map(|m| line[haystack.original(m.start(), m.end())].to_vec()).collect();
        let whole: Vec<Vec<u8>> = found.into_iter().filter(|piece| !piece.is_empty()).collect();
        let wanted: Vec<Vec<u8>> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        prop_assert_eq!(whole, wanted);
    }
}
