//! Where a line stands, what becomes of values, and that buffers do not stay large.

use proto_model::Timestamp;

use super::{Draft, Line, Parts, SlotId};
use crate::label_sets::LabelSets;
use crate::limits::BUFFER_BYTES_MAX;

fn draft<'l>(line: &'l [u8], parts: &'l mut Parts) -> Draft<'l> {
    parts.reset(2);
    Draft { time: Timestamp(0), labels: LabelSets::BASE, line: Line::Given(line), parts }
}

#[test]
fn a_line_is_shortened_wherever_it_stands() {
    let mut parts = Parts::default();
    let mut draft = draft(b"abcd", &mut parts);
    draft.skip(1);
    assert_eq!(draft.text(), b"bcd");
    draft.replace(b"wxyz".to_vec());
    draft.skip(2);
    assert_eq!(draft.text(), b"yz");
}

#[test]
fn values_are_absent_null_or_text() {
    let (one, two) = (SlotId(0), SlotId(1));
    let mut parts = Parts::default();
    let mut draft = draft(b"line", &mut parts);
    draft.parts.slots.set(one, b"text");
    draft.parts.slots.set_null(two);
    assert_eq!((draft.parts.slots.text(one), draft.parts.slots.is_present(one)), (Some(&b"text"[..]), true));
    assert_eq!((draft.parts.slots.text(two), draft.parts.slots.is_present(two)), (None, true));
    assert_eq!(draft.parts.slots.bytes(), 4);
    draft.take_line_from(two);
    assert_eq!(draft.text(), b"line");
    draft.take_line_from(one);
    assert_eq!(draft.text(), b"text");
    assert_eq!(draft.read(Some(two), |text, _| text.to_vec()), None);
    parts.reset(2);
    assert!(!parts.slots.is_present(one) && !parts.slots.is_present(two));
}

#[test]
fn metadata_names_are_unique() {
    let mut parts = Parts::default();
    let mut draft = draft(b"", &mut parts);
    draft.set_metadata("a", "1");
    draft.set_metadata("b", "2");
    draft.set_metadata("a", "3");
    assert_eq!(draft.parts.metadata, [("a".to_owned(), "3".to_owned()), ("b".to_owned(), "2".to_owned())]);
}

#[test]
fn a_large_buffer_is_given_back() {
    let mut parts = Parts::default();
    parts.reset(1);
    for buffer in [&mut parts.own, &mut parts.spare] {
        buffer.resize(2 * BUFFER_BYTES_MAX, b'x');
    }
    parts.slots.set(SlotId(0), &vec![b'x'; 2 * BUFFER_BYTES_MAX]);
    parts.reset(1);
    assert!(parts.own.capacity() <= BUFFER_BYTES_MAX && parts.spare.capacity() <= BUFFER_BYTES_MAX && parts.slots.0[0].text.capacity() <= BUFFER_BYTES_MAX);
}
