//! The characters of a file: which bytes end a line, and what a line is in UTF-8.
//!
//! Pure. Parts: [`Text`]; [`Text::named`] takes IANA's names, as Promtail's `encoding`. A line is decoded by itself. Without
//! an encoding bytes stay what they are. Promises: bytes that no character can be made of become U+FFFD, never an error.
//! Must not do: guess an encoding (only UTF-16's byte order, by the file's first two bytes).

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// An encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Text {
    /// Bytes as they are.
    #[default]
    AsIs,
    /// ISO 8859-1: each byte is the character of its number.
    Latin1,
    /// UTF-16, whose byte order the file tells; big-endian when it does not.
    Utf16,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// One in which a newline is one byte.
    Other(&'static Encoding),
}

impl Text {
    /// By name, whatever its case.
    ///
    /// # Errors
    /// The name is not known here.
    pub fn named(name: &str) -> Result<Self, String> {
        let plain = name.trim().to_ascii_lowercase();
        match plain.as_str() {
            "" | "utf-8" | "utf8" | "us-ascii" | "ascii" | "ansi_x3.4-1968" => return Ok(Self::AsIs),
            "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "iso_8859-1:1987" | "latin1" | "l1" | "ibm819" | "cp819" => return Ok(Self::Latin1),
            "utf-16" | "utf16" => return Ok(Self::Utf16),
            "utf-16le" => return Ok(Self::Utf16Le),
            "utf-16be" => return Ok(Self::Utf16Be),
            _ => {}
        }
        // IANA's names that differ from those of the web.
        let label = match plain.as_str() {
            "macintosh" | "mac" => "macintosh",
            "cp936" | "ms936" | "windows-936" => "gbk",
            "windows-31j" | "cswindows31j" | "ms_kanji" => "shift_jis",
            other => other,
        };
        match Encoding::for_label_no_replacement(label.as_bytes()) {
            Some(found) if found == UTF_8 => Ok(Self::AsIs),
            Some(found) if found == UTF_16LE => Ok(Self::Utf16Le),
            Some(found) if found == UTF_16BE => Ok(Self::Utf16Be),
            Some(found) => Ok(Self::Other(found)),
            None => Err(format!("the encoding {name:?} is not known")),
        }
    }

    /// The same for a file that begins with `first`.
    #[must_use]
    pub fn of_file(self, first: &[u8]) -> Self {
        match (self, first) {
            (Self::Utf16, [0xFF, 0xFE, ..]) => Self::Utf16Le,
            (Self::Utf16, [_, _, ..]) => Self::Utf16Be,
            _ => self,
        }
    }

    /// Whether a character takes two bytes or more, a newline too.
    #[must_use]
    pub const fn is_wide(self) -> bool {
        matches!(self, Self::Utf16 | Self::Utf16Le | Self::Utf16Be)
    }

    /// The two bytes of a newline in a wide text.
    #[must_use]
    pub const fn wide_newline(self) -> [u8; 2] {
        if matches!(self, Self::Utf16Le) { [b'\n', 0] } else { [0, b'\n'] }
    }

    /// The bytes of one line as UTF-8, a byte order mark left out.
    #[must_use]
    pub fn decode(self, line: &[u8]) -> Cow<'_, [u8]> {
        let decoded = match self {
            Self::AsIs => return Cow::Borrowed(line),
            Self::Latin1 => encoding_rs::mem::decode_latin1(line),
            Self::Utf16 | Self::Utf16Be => UTF_16BE.decode_with_bom_removal(line).0,
            Self::Utf16Le => UTF_16LE.decode_with_bom_removal(line).0,
            Self::Other(encoding) => encoding.decode_without_bom_handling(line).0,
        };
        match decoded {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
