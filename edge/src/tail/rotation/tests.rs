use super::*;

fn known(offset: u64, first: &[u8]) -> Known {
    Known { identity: FileIdentity { device: 1, inode: 2 }, head: Head::of(first), offset }
}

fn seen(inode: u64, len: u64, first: &[u8]) -> Seen<'_> {
    Seen { identity: FileIdentity { device: 1, inode }, len, first }
}

#[test]
fn what_happened_is_told_by_identity_length_and_head() {
    let before = known(10, b"0123456789");
    assert_eq!(judge(&before, &seen(2, 10, b"0123456789")), Change::Same);
    assert_eq!(judge(&before, &seen(2, 20, b"0123456789more")), Change::Same);
    assert_eq!(judge(&before, &seen(2, 4, b"0123")), Change::Truncated);
    assert_eq!(judge(&before, &seen(2, 50, b"another beginning")), Change::Truncated, "regrown past the offset");
    assert_eq!(judge(&before, &seen(3, 50, b"0123456789")), Change::Other);
}

#[test]
fn a_head_taken_of_a_short_file_still_knows_it_grown() {
    let empty = Head::of(b"");
    assert!(empty.begins(b"anything"));
    let short = Head::of(b"ab");
    assert!(short.begins(b"abc") && !short.begins(b"a") && !short.begins(b"xbc"));
    assert_eq!(Head::of(&[7; 5000]), Head::of(&[7; HEAD_BYTES]));
}
