use proptest::prelude::*;

use super::*;

const T1: &str = "2026-11-23T03:44:29.509209397Z";
const T2: &str = "2026-11-23T03:44:29.509484490Z";

fn at(stamp: &str) -> Option<Timestamp> {
    time_of(stamp.as_bytes())
}

fn frame_of(kind: u8, stamp: &str, text: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 0, 0, 0];
    out.extend(u32::try_from(stamp.len() + 1 + text.len()).unwrap().to_be_bytes());
    out.extend(stamp.as_bytes());
    out.push(b' ');
    out.extend(text);
    out
}

fn read(lines: &mut Lines, bytes: &[u8]) -> Vec<Line> {
    let mut out = Vec::new();
    lines.take(bytes, &mut out).unwrap();
    out
}

fn all(has_terminal: bool, bytes: &[u8]) -> Vec<Line> {
    let mut lines = Lines::new(has_terminal, None);
    let mut out = read(&mut lines, bytes);
    lines.finish(&mut out);
    out
}

fn texts(lines: &[Line]) -> Vec<(Stream, Option<Timestamp>, String)> {
    lines.iter().map(|line| (line.stream, line.time, String::from_utf8_lossy(&line.bytes).into_owned())).collect()
}

fn long(letter: u8, len: usize) -> Vec<u8> {
    vec![letter; len]
}

/// A log as dockerd 20.10 sends it: both streams, a line in three pieces, one that fills its piece, one without an end.
fn log() -> Vec<u8> {
    let mut out = frame_of(1, T1, b"start\n");
    out.extend(frame_of(2, T2, b"err\n"));
    out.extend(frame_of(1, T2, &long(b'a', PIECE_BYTES)));
    out.extend(frame_of(2, T2, b"between\r\n"));
    out.extend(frame_of(1, T2, &long(b'a', PIECE_BYTES)));
    out.extend(frame_of(1, T2, b"end\n"));
    out.extend(frame_of(1, T2, &long(b'b', PIECE_BYTES)));
    out.extend(frame_of(1, T2, b"\n"));
    out.extend(frame_of(1, T1, b"\n"));
    out.extend(frame_of(1, T1, b"no newline"));
    out
}

fn expected() -> Vec<(Stream, Option<Timestamp>, String)> {
    let long = |letter: &str, len| letter.repeat(len);
    vec![
        (Stream::Out, at(T1), "start".into()),
        (Stream::Err, at(T2), "err".into()),
        (Stream::Err, at(T2), "between".into()),
        (Stream::Out, at(T2), long("a", 2 * PIECE_BYTES) + "end"),
        (Stream::Out, at(T2), long("b", PIECE_BYTES)),
        (Stream::Out, at(T1), String::new()),
        (Stream::Out, at(T1), "no newline".into()),
    ]
}

#[test]
fn frames_of_both_streams_become_lines_with_their_times() {
    assert_eq!(texts(&all(false, &log())), expected());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn however_the_bytes_are_cut_the_lines_are_the_same(cuts in prop::collection::vec(1_usize..9_000, 1..60)) {
        let log = log();
        let mut lines = Lines::new(false, None);
        let (mut out, mut rest) = (Vec::new(), log.as_slice());
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*cut));
            lines.take(now, &mut out).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        lines.finish(&mut out);
        prop_assert_eq!(texts(&out), expected());
    }

    #[test]
    fn no_bytes_whatever_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..4_000), has_terminal: bool) {
        let mut lines = Lines::new(has_terminal, None);
        let mut out = Vec::new();
        if lines.take(&bytes, &mut out).is_ok() {
            lines.finish(&mut out);
        }
        let kept: usize = out.iter().map(|line| line.bytes.len()).sum();
        prop_assert!(kept <= bytes.len());
    }
}

#[test]
fn a_line_is_in_no_hands_before_its_end() {
    let mut lines = Lines::new(false, None);
    assert_eq!(read(&mut lines, &frame_of(1, T1, &long(b'a', PIECE_BYTES))), []);
    let whole = read(&mut lines, &frame_of(1, T1, b"!\n"));
    assert_eq!(whole[0].bytes.len(), PIECE_BYTES + 1);
    assert_eq!(whole[0].open_bytes, 0);
}

#[test]
fn a_line_without_an_end_ends_where_another_time_begins() {
    let mut bytes = frame_of(1, T1, b"died here");
    bytes.extend(frame_of(1, T2, b"began again\n"));
    assert_eq!(texts(&all(false, &bytes)), [(Stream::Out, at(T1), "died here".into()), (Stream::Out, at(T2), "began again".into())]);
}

#[test]
fn a_line_beyond_the_limit_is_cut_and_says_so() {
    let mut bytes = Vec::new();
    for _ in 0..17 {
        bytes.extend(frame_of(2, T1, "ä".repeat(PIECE_BYTES / 2).as_bytes()));
    }
    bytes.extend(frame_of(2, T1, b"end\n"));
    bytes.extend(frame_of(2, T2, b"next\n"));
    let lines = all(false, &bytes);
    assert_eq!(lines.len(), 2);
    assert!(lines[0].is_cut && lines[0].bytes.len() <= LINE_BYTES_MAX);
    let text = String::from_utf8(lines[0].bytes.clone()).unwrap();
    assert!(text.ends_with(&format!("ä…[cut from {} bytes]", 17 * PIECE_BYTES + 3)), "{}", &text[text.len() - 60..]);
    assert_eq!(lines[1].bytes, b"next");
    let exact = all(false, &frame_of(1, T1, &[long(b'a', LINE_BYTES_MAX), b"\n".to_vec()].concat()));
    assert!(!exact[0].is_cut && exact[0].bytes.len() == LINE_BYTES_MAX);
}

#[test]
fn a_terminals_lines_and_pieces_are_told_apart_by_their_times() {
    let mut bytes = format!("{T1} start\r\n{T2} ").into_bytes();
    bytes.extend(long(b'a', PIECE_BYTES));
    bytes.extend(format!("{T2} ").as_bytes());
    bytes.extend(long(b'a', PIECE_BYTES));
    bytes.extend(format!("{T2} end\r\n{T2} ").as_bytes());
    bytes.extend(long(b'b', PIECE_BYTES));
    bytes.extend(format!("{T2} \r\n{T2} 2026-11-23T03:44:29.509209397Z its own time\r\n{T1} $ ").as_bytes());
    let long = |letter: &str, len| letter.repeat(len);
    let wanted = [
        (Stream::Out, at(T1), "start".to_owned()),
        (Stream::Out, at(T2), long("a", 2 * PIECE_BYTES) + "end"),
        (Stream::Out, at(T2), long("b", PIECE_BYTES)),
        (Stream::Out, at(T2), "2026-11-23T03:44:29.509209397Z its own time".to_owned()),
        (Stream::Out, at(T1), "$ ".to_owned()),
    ];
    assert_eq!(texts(&all(true, &bytes)), wanted);
    for cut in [1, 7, 16_000] {
        let mut lines = Lines::new(true, None);
        let mut out = Vec::new();
        bytes.chunks(cut).for_each(|chunk| lines.take(chunk, &mut out).unwrap());
        lines.finish(&mut out);
        assert_eq!(texts(&out), wanted, "cut at {cut}");
    }
}

#[test]
fn a_terminals_open_line_is_told_from_what_a_later_run_wrote() {
    let first = all(true, format!("{T1} a\r\n{T1} $ ").as_bytes());
    assert_eq!((first[1].open_bytes, first[1].bytes.as_slice()), (2, &b"$ "[..]));
    // The container ran again: the log goes on in the same line.
    let boundary = Boundary { time: at(T1).unwrap(), nth: 2, bytes: 2 };
    let mut lines = Lines::new(true, Some(boundary));
    let out = read(&mut lines, format!("{T1} a\r\n{T1} $ {T2} b\r\n").as_bytes());
    assert_eq!(texts(&out).into_iter().map(|(_, _, text)| text).collect::<Vec<_>>(), ["a", "$ ", "b"]);
}

#[test]
fn what_is_no_log_is_refused_and_what_docker_says_is_told() {
    let mut out = Vec::new();
    assert_eq!(Lines::new(false, None).take(b"HTTP/1.1 400 Bad Request", &mut out), Err(Garbled::Frame));
    assert_eq!(Lines::new(false, None).take(&[1, 0, 0, 0, 0xff, 0, 0, 0], &mut out), Err(Garbled::Frame));
    let mut trouble = vec![3, 0, 0, 0, 0, 0, 0, 9];
    trouble.extend(b"disk gone");
    assert_eq!(Lines::new(false, None).take(&trouble, &mut out), Err(Garbled::Told("disk gone".into())));
    assert_eq!(out, []);
    // A line without a time is kept: it is taken as it comes.
    let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 8];
    bytes.extend(b"no time\n");
    assert_eq!(texts(&all(false, &bytes)), [(Stream::Out, None, "no time".into())]);
    // Podman writes an offset.
    assert_eq!(at("2026-11-23T04:44:29.509209397+01:00"), at(T1));
}
