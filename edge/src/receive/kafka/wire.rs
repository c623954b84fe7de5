//! Kafka's numbers and texts: those of the message versions before compact encodings.
//!
//! Parts: [`Out`] (writes a request), [`In`] (reads an answer). Pure. Limits: counts are bounded by the bytes that are there. Promises: any bytes
//! end in a value or [`Short`]. Must not do: know a message.

use bytes::Bytes;

/// An answer ends early, or says something that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an answer of the broker cannot be read")]
pub(super) struct Short;

/// A request being written.
#[derive(Debug, Default)]
pub(super) struct Out(pub(super) Vec<u8>);

impl Out {
    pub(super) fn i8(mut self, value: i8) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn i16(mut self, value: i16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn i32(mut self, value: i32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn i64(mut self, value: i64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A text; one longer than Kafka's texts may be is cut.
    pub(super) fn text(mut self, text: &str) -> Self {
        let bytes = &text.as_bytes()[..text.len().min(i16::MAX as usize)];
        self = self.i16(i16::try_from(bytes.len()).unwrap_or(i16::MAX));
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.0.extend_from_slice(bytes);
        self
    }

    /// Several, their count first.
    pub(super) fn each<T>(self, all: impl ExactSizeIterator<Item = T>, write: impl FnMut(Self, T) -> Self) -> Self {
        let out = self.i32(i32::try_from(all.len()).unwrap_or(i32::MAX));
        all.fold(out, write)
    }
}

/// An answer being read.
#[derive(Debug, Clone)]
pub(super) struct In(pub(super) Bytes);

impl In {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let part = self.part(N)?;
        part.as_ref().try_into().map_err(|_| Short)
    }

    pub(super) fn part(&mut self, length: usize) -> Result<Bytes, Short> {
        if self.0.len() < length { Err(Short) } else { Ok(self.0.split_to(length)) }
    }

    pub(super) fn i8(&mut self) -> Result<i8, Short> {
        self.take().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Short> {
        self.take().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Short> {
        self.take().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Short> {
        self.take().map(i64::from_be_bytes)
    }

    /// A text; null is empty.
    pub(super) fn text(&mut self) -> Result<String, Short> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        String::from_utf8(self.part(length)?.to_vec()).map_err(|_| Short)
    }

    /// Bytes; null is empty.
    pub(super) fn bytes(&mut self) -> Result<Bytes, Short> {
        let length = usize::try_from(self.i32()?).unwrap_or(0);
        self.part(length)
    }

    /// Several, their count first.
    pub(super) fn each<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, Short>) -> Result<Vec<T>, Short> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        if count > self.0.len() {
            return Err(Short);
        }
        (0..count).map(|_| read(self)).collect()
    }

    /// A number of few bytes, the sign last.
    pub(super) fn varint(&mut self) -> Result<i64, Short> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.take::<1>()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
            }
        }
        Err(Short)
    }

    /// Bytes with a varint before them; `None` is null.
    pub(super) fn varbytes(&mut self) -> Result<Option<Bytes>, Short> {
        match usize::try_from(self.varint()?) {
            Ok(length) => self.part(length).map(Some),
            Err(_) => Ok(None),
        }
    }
}
