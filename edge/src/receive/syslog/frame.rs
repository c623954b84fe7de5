//! A stream's bytes to messages: octet counting (`12 <34>1 ...`) and lines, told apart at each message.
//!
//! Pure. Promises: at most the longest message and a count are held; what is longer is cut and counted, its rest passed over. A message
//! that begins with a number, a blank and `<` is counted; all else ends with a newline or NUL. Must not do: read messages.

use bytes::{Buf as _, Bytes, BytesMut};

/// Digits of a count: no message is longer than that says.
const COUNT_DIGITS_MAX: usize = 10;

/// Where a stream stands.
#[derive(Debug)]
pub(super) struct Frames {
    bytes_max: usize,
    skip: Skip,
    cut: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    /// The rest of a counted message.
    Bytes(usize),
    /// The rest of a line.
    Line,
}

/// How the next message is framed.
enum Head {
    /// More bytes are needed to know.
    Unknown,
    /// Bytes of the head, bytes of the message.
    Counted(usize, usize),
    Line,
}

impl Frames {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, skip: Skip::Nothing, cut: 0 }
    }

    /// Messages that were cut since the last call.
    pub(super) const fn take_cut(&mut self) -> u64 {
        std::mem::replace(&mut self.cut, 0)
    }

    /// Takes whole messages out of `buffer`; at the end of the stream the last line too, be it without its end.
    pub(super) fn take(&mut self, buffer: &mut BytesMut, is_end: bool, messages: &mut Vec<Bytes>) {
        while !buffer.is_empty() && self.step(buffer, is_end, messages) {}
    }

    /// One message or one thing passed over; false = more bytes are needed.
    fn step(&mut self, buffer: &mut BytesMut, is_end: bool, messages: &mut Vec<Bytes>) -> bool {
        match self.skip {
            Skip::Bytes(left) => {
                let now = left.min(buffer.len());
                buffer.advance(now);
                self.skip = if left > now { Skip::Bytes(left - now) } else { Skip::Nothing };
                return true;
            }
            Skip::Line => {
                let end = line_end(buffer);
                buffer.advance(end.map_or(buffer.len(), |end| end + 1));
                self.skip = if end.is_some() { Skip::Nothing } else { Skip::Line };
                return true;
            }
            Skip::Nothing => {}
        }
        let blank = buffer.iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | b' ' | 0)).count();
        if blank > 0 {
            buffer.advance(blank);
            return true;
        }
        match head(buffer) {
            Head::Unknown if !is_end => false,
            Head::Counted(head, length) => self.counted(buffer, head, length, is_end, messages),
            Head::Line | Head::Unknown => self.line(buffer, is_end, messages),
        }
    }

    fn counted(&mut self, buffer: &mut BytesMut, head: usize, length: usize, is_end: bool, messages: &mut Vec<Bytes>) -> bool {
        let kept = length.min(self.bytes_max);
        let there = buffer.len() - head;
        if there < kept && !is_end {
            return false;
        }
        buffer.advance(head);
        messages.push(buffer.split_to(kept.min(there)).freeze());
        if kept < length {
            self.cut += 1;
            self.skip = Skip::Bytes(length - kept);
        }
        true
    }

    fn line(&mut self, buffer: &mut BytesMut, is_end: bool, messages: &mut Vec<Bytes>) -> bool {
        let end = line_end(&buffer[..buffer.len().min(self.bytes_max + 1)]);
        match end {
            Some(end) => {
                messages.push(without_return(buffer.split_to(end).freeze()));
                buffer.advance(1);
            }
            None if buffer.len() > self.bytes_max => {
                messages.push(buffer.split_to(self.bytes_max).freeze());
                self.cut += 1;
                self.skip = Skip::Line;
            }
            None if is_end => messages.push(without_return(buffer.split().freeze())),
            None => return false,
        }
        true
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', 0, bytes)
}

fn without_return(line: Bytes) -> Bytes {
    if line.ends_with(b"\r") { line.slice(..line.len() - 1) } else { line }
}

fn head(bytes: &[u8]) -> Head {
    let digits = bytes.iter().take(COUNT_DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > COUNT_DIGITS_MAX || bytes[0] == b'0' {
        return Head::Line;
    }
    match (bytes.get(digits), bytes.get(digits + 1)) {
        (None, _) | (Some(b' '), None) => Head::Unknown,
        (Some(b' '), Some(b'<')) => {
            let length = bytes[..digits].iter().fold(0_usize, |sum, digit| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
            Head::Counted(digits + 1, length)
        }
        _ => Head::Line,
    }
}

#[cfg(test)]
mod tests;
