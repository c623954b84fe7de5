//! Joining: per stream, capped, with the true length in the mark.

use std::sync::Arc;

use proto_model::{Labels, Timestamp};

use super::{Partials, Piece};
use crate::limits::PARTIAL_WAIT_MAX;

fn add(partials: &mut Partials, stream: &str, text: &str, room: usize, now: i64) -> usize {
    let labels = Arc::new(Labels::empty());
    let piece = Piece { stream: stream.as_bytes(), text: text.as_bytes(), time: Timestamp(now), labels: &labels };
    partials.add(&piece, Timestamp(now), room)
}

#[test]
fn streams_do_not_mix() {
    let mut partials = Partials::default();
    add(&mut partials, "stdout", "a", 9, 0);
    add(&mut partials, "stderr", "x", 9, 0);
    add(&mut partials, "stdout", "b", 9, 0);
    let out = partials.complete(b"stdout", b"c", 100).unwrap();
    assert_eq!((out.text.as_slice(), out.freed, out.is_cut), (&b"abc"[..], 2, false));
    assert!(partials.complete(b"stdout", b"d", 100).is_none());
    assert_eq!(partials.complete(b"stderr", b"y", 100).unwrap().text, b"xy");
}

#[test]
fn what_does_not_fit_is_left_out_and_counted() {
    let mut partials = Partials::default();
    assert_eq!(add(&mut partials, "stdout", "abcd", 3, 0), 3);
    assert_eq!(add(&mut partials, "stdout", "efgh", 100, 0), 0, "once a byte is missing none is added behind it");
    let out = partials.complete(b"stdout", b"ij", 100).unwrap();
    assert!(out.is_cut);
    assert_eq!(String::from_utf8(out.text).unwrap(), "abc\u{2026}[cut from 10 bytes]");
}

#[test]
fn the_last_piece_is_capped_too() {
    let mut partials = Partials::default();
    add(&mut partials, "stdout", "abcd", 100, 0);
    let out = partials.complete(b"stdout", b"efgh", 6).unwrap();
    assert_eq!(String::from_utf8(out.text).unwrap(), "abcdef\u{2026}[cut from 8 bytes]");
}

#[test]
fn a_line_waits_from_its_first_piece() {
    let mut partials = Partials::default();
    let wait = i64::try_from(PARTIAL_WAIT_MAX.as_nanos()).unwrap();
    add(&mut partials, "stdout", "a", 9, 5);
    add(&mut partials, "stdout", "b", 9, wait);
    assert!(partials.expired(Timestamp(wait + 4)).is_none());
    assert_eq!(partials.expired(Timestamp(wait + 5)).unwrap().text, b"ab");
    assert!(partials.expired(Timestamp(wait + 5)).is_none());
}
