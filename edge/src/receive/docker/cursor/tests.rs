use proptest::prelude::*;

use super::*;

fn line(stream: Stream, nanos: i64) -> Line {
    Line { stream, time: Some(Timestamp(nanos)), bytes: Vec::new(), is_cut: false, open_bytes: 0 }
}

/// The lines that are new when `log` is read again from the cursor after its first `taken` lines.
fn again(log: &[Line], taken: usize) -> Vec<usize> {
    let mut cursor = Cursor::default();
    log[..taken].iter().for_each(|line| cursor.advance(line));
    let cursor = Cursor::parse(&cursor.to_bytes()).unwrap();
    let (since, mut resume) = (cursor.since(), Resume::new(&cursor));
    let answered = log.iter().enumerate().filter(|(_, line)| since.is_none_or(|since| line.time.unwrap() >= since));
    answered.filter(|(_, line)| !resume.is_taken(line)).map(|(at, _)| at).collect()
}

proptest! {
    #[test]
    fn wherever_it_was_stopped_each_line_is_taken_once(steps in prop::collection::vec((any::<bool>(), 0_i64..3, 0_i64..5), 1..60), cut: prop::sample::Index) {
        // Times of a stream never go back; those of the other may be earlier or later.
        let mut now = [1_000_000_000_000_i64, 1_000_000_000_003];
        let log: Vec<Line> = steps.iter().map(|(is_err, step, scale)| {
            let stream = if *is_err { Stream::Err } else { Stream::Out };
            now[stream.index()] += step * 10_i64.pow(u32::try_from(*scale).unwrap());
            line(stream, now[stream.index()])
        }).collect();
        let taken = cut.index(log.len() + 1);
        prop_assert_eq!(again(&log, taken), (taken..log.len()).collect::<Vec<_>>());
    }
}

#[test]
fn a_quiet_stream_does_not_bring_the_whole_log_again() {
    let second = 1_000_000_000;
    let mut cursor = Cursor::default();
    assert_eq!(cursor.since(), None);
    cursor.advance(&line(Stream::Err, 5 * second));
    cursor.advance(&line(Stream::Out, 5_000 * second));
    assert_eq!(cursor.since(), Some(Timestamp(4_990 * second)));
    cursor.advance(&line(Stream::Err, 4_995 * second));
    assert_eq!(cursor.since(), Some(Timestamp(4_995 * second)));
}

#[test]
fn a_clock_that_was_set_back_loses_nothing_while_reading() {
    let mut cursor = Cursor::default();
    cursor.advance(&line(Stream::Out, 100));
    let mut resume = Resume::new(&cursor);
    assert!(resume.is_taken(&line(Stream::Out, 100)));
    assert!(!resume.is_taken(&line(Stream::Out, 101)));
    assert!(!resume.is_taken(&line(Stream::Out, 50)));
}

#[test]
fn a_terminals_open_line_is_kept_with_its_length() {
    let mut cursor = Cursor::default();
    cursor.advance(&line(Stream::Out, 100));
    assert_eq!(cursor.boundary(), None);
    cursor.advance(&Line { open_bytes: 7, ..line(Stream::Out, 100) });
    let cursor = Cursor::parse(&cursor.to_bytes()).unwrap();
    assert_eq!(cursor.boundary(), Some(Boundary { time: Timestamp(100), nth: 2, bytes: 7 }));
}

#[test]
fn bytes_of_another_form_are_no_cursor() {
    let bytes = Cursor::default().to_bytes();
    assert_eq!(Cursor::parse(&bytes), Some(Cursor::default()));
    for bad in [&[][..], &bytes[..bytes.len() - 1], &[2; 41]] {
        assert_eq!(Cursor::parse(bad), None);
    }
}
