//! A container's log as Docker's API sends it, to lines.
//!
//! Pure. Parts: [`Lines`] (bytes in any cut to [`Line`]s), `Side` (the unfinished line of one stream). A container without a terminal
//! sends frames: 8 bytes (stream, three zeros, length) and then `<timestamp> <text>`; one with a terminal sends `<timestamp> <text>` alone.
//! Docker keeps a line longer than [`PIECE_BYTES`] in pieces that repeat its timestamp and have no newline but the last: they are joined, up
//! to [`LINE_BYTES_MAX`]; what is longer is cut and says so. A line whose writer ended without a newline ends where another timestamp
//! begins. Promises: memory for one line of each stream; bytes that are no frames end in [`Garbled`]. Must not do: I/O.

use proto_model::Timestamp;

/// What Docker's drivers read at once: a longer line comes in pieces of this size.
pub(super) const PIECE_BYTES: usize = 16 * 1024;
/// Longest line, as Promtail joins them.
pub(super) const LINE_BYTES_MAX: usize = 256 * 1024;
/// Of which the mark of a cut line may take so much.
const MARK_BYTES: usize = 64;
/// Longest timestamp: nanoseconds and an offset from UTC.
const STAMP_BYTES_MAX: usize = 40;
/// Longest frame: no driver hands out a message nearly as long.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
const HEADER_BYTES: usize = 8;

/// Which of a container's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stream {
    /// `stdout`, and all of a terminal.
    Out,
    /// `stderr`
    Err,
}

impl Stream {
    pub(super) const BOTH: [Self; 2] = [Self::Out, Self::Err];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Out => 0,
            Self::Err => 1,
        }
    }
}

/// A whole line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) stream: Stream,
    /// When it was written; `None` = Docker sent none.
    pub(super) time: Option<Timestamp>,
    /// Without the line ending; a cut line ends in `…[cut from N bytes]`.
    pub(super) bytes: Vec<u8>,
    pub(super) is_cut: bool,
    /// Its bytes in the log, when no newline ended it; 0 = one did.
    pub(super) open_bytes: u64,
}

/// The bytes are not what Docker sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Garbled {
    /// No frame begins so.
    #[error("its log is no stream of frames; is it Docker that answers")]
    Frame,
    /// Docker says what went wrong.
    #[error("docker says: {0}")]
    Told(String),
}

/// Where a terminal's line ended without a newline: what follows it is another line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Boundary {
    pub(super) time: Timestamp,
    /// Which of the lines of this very nanosecond, from 1.
    pub(super) nth: u32,
    /// Its bytes.
    pub(super) bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lines {
    form: Form,
    sides: [Side; 2],
    boundary: Option<Boundary>,
}

#[derive(Debug)]
enum Form {
    Terminal,
    Header {
        bytes: [u8; HEADER_BYTES],
        len: usize,
    },
    Payload {
        stream: Stream,
        left: usize,
    },
    /// Docker's own words on what went wrong.
    Trouble {
        left: usize,
        text: Vec<u8>,
    },
}

#[derive(Debug, Default)]
struct Side {
    state: State,
    /// The timestamp that is being read.
    stamp: Vec<u8>,
    line: Option<Pending>,
    /// Bytes of the present piece.
    piece: usize,
    /// The line before: its time, and which line of that nanosecond it was.
    before: (Option<Timestamp>, u32),
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Stamp,
    Text,
}

/// An unfinished line.
#[derive(Debug)]
struct Pending {
    stamp: Vec<u8>,
    time: Option<Timestamp>,
    /// Which line of this nanosecond.
    nth: u32,
    bytes: Vec<u8>,
    length: u64,
    last: u8,
}

impl Lines {
    /// Of a container with or without a terminal.
    pub(super) fn new(has_terminal: bool, boundary: Option<Boundary>) -> Self {
        let form = if has_terminal { Form::Terminal } else { Form::Header { bytes: [0; HEADER_BYTES], len: 0 } };
        Self { form, sides: [Side::default(), Side::default()], boundary: boundary.filter(|_| has_terminal) }
    }

    /// Takes bytes; lines that are whole go to `out`.
    ///
    /// # Errors
    /// [`Garbled`]; what comes after has no meaning.
    pub(super) fn take(&mut self, mut bytes: &[u8], out: &mut Vec<Line>) -> Result<(), Garbled> {
        while !bytes.is_empty() {
            match &mut self.form {
                Form::Terminal => {
                    self.sides[0].terminal(bytes, self.boundary, out);
                    return Ok(());
                }
                Form::Header { bytes: header, len } => {
                    let taken = bytes.len().min(HEADER_BYTES - *len);
                    header[*len..*len + taken].copy_from_slice(&bytes[..taken]);
                    (*len, bytes) = (*len + taken, &bytes[taken..]);
                    if *len == HEADER_BYTES {
                        self.form = frame(*header)?;
                        self.end_of_frame(out)?;
                    }
                }
                Form::Payload { stream, left } => {
                    let (now, later) = bytes.split_at(bytes.len().min(*left));
                    self.sides[stream.index()].framed(now, *stream, out);
                    (*left, bytes) = (*left - now.len(), later);
                    self.end_of_frame(out)?;
                }
                Form::Trouble { left, text } => {
                    let (now, later) = bytes.split_at(bytes.len().min(*left));
                    text.extend_from_slice(&now[..now.len().min(1_024_usize.saturating_sub(text.len()))]);
                    (*left, bytes) = (*left - now.len(), later);
                    self.end_of_frame(out)?;
                }
            }
        }
        Ok(())
    }

    fn end_of_frame(&mut self, out: &mut Vec<Line>) -> Result<(), Garbled> {
        match &self.form {
            Form::Payload { stream, left: 0 } => self.sides[stream.index()].end_of_frame(*stream, out),
            Form::Trouble { left: 0, text } => return Err(Garbled::Told(String::from_utf8_lossy(text).trim().to_owned())),
            Form::Terminal | Form::Header { .. } | Form::Payload { .. } | Form::Trouble { .. } => return Ok(()),
        }
        self.form = Form::Header { bytes: [0; HEADER_BYTES], len: 0 };
        Ok(())
    }

    /// The log ends here: lines without a newline are whole.
    pub(super) fn finish(&mut self, out: &mut Vec<Line>) {
        for stream in Stream::BOTH {
            let side = &mut self.sides[stream.index()];
            side.give_up_stamp();
            side.end(stream, true, out);
        }
    }
}

fn frame(header: [u8; HEADER_BYTES]) -> Result<Form, Garbled> {
    let [kind, 0, 0, 0, a, b, c, d] = header else { return Err(Garbled::Frame) };
    let left = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    match kind {
        _ if left > FRAME_BYTES_MAX => Err(Garbled::Frame),
        // What is written to the standard input comes back on `stdout`.
        0 | 1 => Ok(Form::Payload { stream: Stream::Out, left }),
        2 => Ok(Form::Payload { stream: Stream::Err, left }),
        3 => Ok(Form::Trouble { left, text: Vec::new() }),
        _ => Err(Garbled::Frame),
    }
}

impl Side {
    fn framed(&mut self, mut bytes: &[u8], stream: Stream, out: &mut Vec<Line>) {
        if self.state == State::Stamp {
            bytes = self.read_stamp(bytes, stream, out);
        }
        self.text(bytes);
    }

    fn end_of_frame(&mut self, stream: Stream, out: &mut Vec<Line>) {
        self.give_up_stamp();
        self.state = State::Stamp;
        if self.line.as_ref().is_some_and(|line| line.last == b'\n') {
            self.end(stream, false, out);
        }
    }

    fn terminal(&mut self, mut bytes: &[u8], boundary: Option<Boundary>, out: &mut Vec<Line>) {
        while !bytes.is_empty() {
            if self.state == State::Stamp {
                bytes = self.read_stamp(bytes, Stream::Out, out);
                continue;
            }
            let mut most = PIECE_BYTES - self.piece;
            let mut is_boundary = false;
            if let (Some(at), Some(line)) = (boundary, &self.line) {
                let left = usize::try_from(at.bytes.saturating_sub(line.length)).unwrap_or(usize::MAX);
                if line.time == Some(at.time) && line.nth == at.nth && (1..=most).contains(&left) {
                    (most, is_boundary) = (left, left <= bytes.len());
                }
            }
            let window = &bytes[..bytes.len().min(most)];
            let newline = memchr::memchr(b'\n', window);
            let taken = newline.map_or(window.len(), |at| at + 1);
            self.text(&window[..taken]);
            bytes = &bytes[taken..];
            if newline.is_some() || is_boundary {
                self.end(Stream::Out, newline.is_none(), out);
                self.state = State::Stamp;
            } else if self.piece == PIECE_BYTES {
                self.state = State::Stamp;
            }
        }
    }

    /// Reads a timestamp and the blank after it; gives the bytes that follow.
    fn read_stamp<'b>(&mut self, bytes: &'b [u8], stream: Stream, out: &mut Vec<Line>) -> &'b [u8] {
        let room = STAMP_BYTES_MAX - self.stamp.len();
        let end = bytes.iter().take(room).position(|byte| matches!(byte, b' ' | b'\n'));
        let Some(end) = end else {
            let taken = bytes.len().min(room);
            self.stamp.extend_from_slice(&bytes[..taken]);
            if self.stamp.len() == STAMP_BYTES_MAX {
                self.give_up_stamp();
            }
            return &bytes[taken..];
        };
        self.stamp.extend_from_slice(&bytes[..end]);
        let time = (bytes[end] == b' ').then(|| time_of(&self.stamp)).flatten();
        let Some(time) = time else {
            self.give_up_stamp();
            return &bytes[end..];
        };
        let stamp = std::mem::take(&mut self.stamp);
        let is_next_piece = self.line.as_ref().is_some_and(|line| line.stamp == stamp || self.piece == PIECE_BYTES);
        if !is_next_piece {
            self.end(stream, true, out);
            let nth = if self.before.0 == Some(time) { self.before.1 + 1 } else { 1 };
            self.line = Some(Pending { stamp, time: Some(time), nth, bytes: Vec::new(), length: 0, last: 0 });
        }
        (self.state, self.piece) = (State::Text, 0);
        &bytes[end + 1..]
    }

    /// What was read as a timestamp is none.
    fn give_up_stamp(&mut self) {
        let stamp = std::mem::take(&mut self.stamp);
        self.state = State::Text;
        if self.piece == PIECE_BYTES {
            self.piece = 0;
        }
        if !stamp.is_empty() {
            self.text(&stamp);
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        let line = self.line.get_or_insert_with(|| Pending { stamp: Vec::new(), time: None, nth: 1, bytes: Vec::new(), length: 0, last: 0 });
        let room = (LINE_BYTES_MAX + 2).saturating_sub(line.bytes.len());
        line.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        line.length += bytes.len() as u64;
        line.last = *last;
        self.piece += bytes.len();
    }

    /// Hands the unfinished line out, if there is one.
    fn end(&mut self, stream: Stream, is_open: bool, out: &mut Vec<Line>) {
        let Some(Pending { time, nth, mut bytes, length, .. }) = self.line.take() else { return };
        (self.before, self.piece) = ((time, nth), 0);
        let ending = if is_open { &b""[..] } else { b"\n" };
        let is_cut = length > LINE_BYTES_MAX as u64 + ending.len() as u64;
        if is_cut {
            bytes.truncate(whole_chars(&bytes, LINE_BYTES_MAX - MARK_BYTES));
            bytes.extend_from_slice(format!("…[cut from {} bytes]", length - ending.len() as u64).as_bytes());
        } else {
            let whole = bytes.strip_suffix(ending).unwrap_or(&bytes);
            let whole = whole.strip_suffix(b"\r").unwrap_or(whole).len();
            bytes.truncate(whole);
        }
        out.push(Line { stream, time, bytes, is_cut, open_bytes: if is_open { length } else { 0 } });
    }
}

/// At most `most`, and not within a character.
fn whole_chars(bytes: &[u8], most: usize) -> usize {
    let is_within = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    (most.saturating_sub(3)..=most).rev().find(|at| !is_within(*at)).unwrap_or(most)
}

fn time_of(stamp: &[u8]) -> Option<Timestamp> {
    let at: jiff::Timestamp = std::str::from_utf8(stamp).ok()?.parse().ok()?;
    i64::try_from(at.as_nanosecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests;
