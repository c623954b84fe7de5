use super::{Export, Exported};

fn read(bytes: &[u8], step: usize) -> Vec<Exported> {
    let (mut export, mut out) = (Export::default(), Vec::new());
    for part in bytes.chunks(step) {
        export.push(part, &mut |entry| out.push(entry));
    }
    out
}

#[test]
fn entries_are_read_however_their_bytes_are_split() {
    let mut text = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1700000000000001\n_BOOT_ID=ab\nMESSAGE=one=1\n\n".to_vec();
    text.extend_from_slice(b"__CURSOR=s=2\n__REALTIME_TIMESTAMP=1700000000000002\nMESSAGE\n");
    text.extend_from_slice(&9u64.to_le_bytes());
    text.extend_from_slice(b"a\nb\n\nMORE\nEMPTY=\n\n\n__CURSOR=s=3\nMESSAGE=half");
    let whole = read(&text, text.len());
    assert_eq!(whole.len(), 2);
    assert_eq!((whole[0].cursor.as_str(), whole[0].realtime), ("s=1", 1_700_000_000_000_001));
    assert_eq!(whole[0].fields[1].value, b"one=1");
    assert_eq!(whole[1].fields[0].value, b"a\nb\n\nMORE");
    assert_eq!((whole[1].fields[1].name.as_str(), whole[1].fields[1].value.as_slice()), ("EMPTY", b"".as_slice()));
    for step in 1..40 {
        assert_eq!(read(&text, step), whole, "in steps of {step}");
    }
}

#[test]
fn a_huge_field_is_cut_with_a_mark_and_the_next_is_whole() {
    let mut text = b"__CURSOR=c\nMESSAGE=".to_vec();
    text.extend(std::iter::repeat_n(b'x', 1 << 20));
    text.extend_from_slice(b"\nBLOB\n");
    text.extend_from_slice(&(1u64 << 20).to_le_bytes());
    text.extend(std::iter::repeat_n(b'y', 1 << 20));
    text.extend_from_slice(b"\nNEXT=1\n\n");
    let entries = read(&text, 4_096);
    let [message, blob, next] = entries[0].fields.as_slice() else { panic!("{} fields", entries[0].fields.len()) };
    for field in [message, blob] {
        assert!(field.value.ends_with("…[cut from 1048576 bytes]".as_bytes()), "{}", field.value.len());
        assert!(field.value.len() < 300_000);
    }
    assert_eq!(next.value, b"1");
}
