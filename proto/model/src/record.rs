//! One log line. Must not do: own a stream's labels; a record belongs to a stream, it does not name it.

use crate::time::Timestamp;

/// A line with its time and structured metadata. The line is bytes: what a program wrote is kept
/// byte for byte, valid UTF-8 or not; only JSON answers replace what is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// When it was written, by the source's word, else when it was read.
    pub time: Timestamp,
    /// The line without its newline.
    pub line: bytes::Bytes,
    /// Structured metadata (`detected_level` included), in order of arrival, names unique.
    pub metadata: Vec<(String, String)>,
}
