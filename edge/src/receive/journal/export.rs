//! `journalctl -o export` to entries.
//!
//! Pure. [`Export`] takes bytes as they come: `NAME=value` lines, or `NAME`, a length and bytes; an empty line ends an entry. Limits: a field is
//! cut at [`FIELD_BYTES_MAX`], an entry has [`FIELDS_MAX`] fields; what is more is read and left out. Must not do: run a program.

use super::file::Field;
use super::object::{FIELD_BYTES_MAX, FIELDS_MAX, cut};

/// Longest name of a field that is taken.
const NAME_BYTES_MAX: usize = 256;

/// An entry as `journalctl` prints it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exported {
    /// journald's own cursor.
    pub(super) cursor: String,
    /// Microseconds since 1970.
    pub(super) realtime: u64,
    pub(super) fields: Vec<Field>,
}

/// Where in an entry the bytes stand.
#[derive(Debug, Default)]
enum At {
    /// In a line: what of it is kept, and its length.
    #[default]
    Line,
    /// In the length that follows a name.
    Length(Vec<u8>),
    /// In bytes, so many of which are to come, and a newline.
    Bytes(u64),
}

/// Reads what `journalctl` prints.
#[derive(Debug, Default)]
pub(super) struct Export {
    at: At,
    kept: Vec<u8>,
    length: u64,
    name: String,
    entry: Exported,
}

impl Export {
    /// Takes bytes; each entry that is whole goes to `each`.
    pub(super) fn push(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(Exported)) {
        while !bytes.is_empty() {
            match &mut self.at {
                At::Line => {
                    let end = memchr::memchr(b'\n', bytes);
                    let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    self.keep(part, FIELD_BYTES_MAX + NAME_BYTES_MAX);
                    bytes = rest.get(1..).unwrap_or_default();
                    if end.is_some() {
                        self.line(each);
                    }
                }
                At::Length(digits) => {
                    let (part, rest) = bytes.split_at((8 - digits.len()).min(bytes.len()));
                    digits.extend_from_slice(part);
                    bytes = rest;
                    if let Ok(length) = <[u8; 8]>::try_from(digits.as_slice()) {
                        self.at = At::Bytes(u64::from_le_bytes(length));
                    }
                }
                At::Bytes(0) => {
                    // The newline behind them.
                    bytes = &bytes[1..];
                    self.at = At::Line;
                    let name = std::mem::take(&mut self.name);
                    self.field(&name, 0);
                }
                At::Bytes(left) => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= most as u64;
                    let (part, rest) = bytes.split_at(most);
                    bytes = rest;
                    self.keep(part, FIELD_BYTES_MAX);
                }
            }
        }
    }

    fn keep(&mut self, part: &[u8], most: usize) {
        self.length += part.len() as u64;
        let room = most.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn line(&mut self, each: &mut dyn FnMut(Exported)) {
        if self.kept.is_empty() {
            let entry = std::mem::take(&mut self.entry);
            if !entry.cursor.is_empty() {
                each(entry);
            }
            return;
        }
        match memchr::memchr(b'=', &self.kept) {
            Some(at) => {
                let name = String::from_utf8_lossy(&self.kept[..at]).into_owned();
                self.kept.drain(..=at);
                self.field(&name, at as u64 + 1);
            }
            None => {
                self.name = String::from_utf8_lossy(&self.kept).into_owned();
                (self.kept, self.length, self.at) = (Vec::new(), 0, At::Length(Vec::new()));
            }
        }
    }

    /// A field is whole: its value is what is kept, its length that of all but `before`.
    fn field(&mut self, name: &str, before: u64) {
        let mut value = std::mem::take(&mut self.kept);
        let length = std::mem::take(&mut self.length) - before;
        if (value.len() as u64) < length {
            cut(&mut value, Some(length));
        }
        match name {
            "__CURSOR" => self.entry.cursor = String::from_utf8_lossy(&value).into_owned(),
            "__REALTIME_TIMESTAMP" => self.entry.realtime = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).unwrap_or(0),
            own if own.starts_with("__") => {}
            _ if self.entry.fields.len() < FIELDS_MAX => self.entry.fields.push(Field { name: name.to_owned(), value }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
