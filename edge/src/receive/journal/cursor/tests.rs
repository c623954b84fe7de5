use super::{Cursor, FilePlace, Place, Run};
use crate::receive::journal::object::Id;

const JOURNALD: &str = "s=0123456789abcdef0123456789abcdef;i=2a;b=fedcba9876543210fedcba9876543210;m=5f5e100;t=61a8;x=beef";

#[test]
fn a_cursor_is_read_as_it_was_written() {
    let mut cursor = Cursor { last: Place::parse(JOURNALD), since: 77, runtime: Some((Id(9), 5)), ..Cursor::default() };
    cursor.runs.insert(Id(1), Run { floor: 10, newest: 12 });
    cursor.files.insert(Id(2), FilePlace { seqnum: 12, counted: 15 });
    assert_eq!(Cursor::parse(&cursor.to_bytes()), Some(cursor.clone()));
    assert_eq!(cursor.journald().as_deref(), Some(JOURNALD), "the way journald writes it");
    let began = Cursor { since: 5, ..Cursor::default() };
    assert_eq!(Cursor::parse(&began.to_bytes()), Some(began));
}

#[test]
fn a_cursor_of_promtail_is_taken_and_nonsense_is_not() {
    let cursor = Cursor::parse(JOURNALD.as_bytes()).unwrap();
    assert!(cursor.is_foreign());
    assert_eq!(cursor.last.unwrap().seqnum, 42);
    for wrong in ["", "\n", "\nq 1 2", "\nz 1", "\nf 0123456789abcdef0123456789abcdef 1"] {
        assert_eq!(Cursor::parse(wrong.as_bytes()), None, "{wrong:?}");
    }
}
