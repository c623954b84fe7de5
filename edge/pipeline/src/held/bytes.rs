//! The fields of held state: numbers, texts, times, label sets, in and out.
//!
//! Promises: a reader never goes past its end and reserves no more than what is left.
//! Must not do: know which fields an item has.

use std::str;
use std::sync::Arc;

use proto_model::{Labels, Timestamp};

use crate::fault::PipelineFault;

/// Appends fields.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(version: u8) -> Self {
        Self(vec![version])
    }

    /// The bytes, unless nothing was written behind the version.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        (self.0.len() > 1).then_some(self.0)
    }

    pub(crate) fn item(&mut self, kind: u8, stage: usize) {
        self.byte(kind);
        self.count(stage);
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(crate) fn time(&mut self, time: Timestamp) {
        self.0.extend_from_slice(&time.nanos().to_be_bytes());
    }

    pub(crate) fn text(&mut self, text: &[u8]) {
        self.count(text.len());
        self.0.extend_from_slice(text);
    }

    pub(crate) fn pairs(&mut self, pairs: &[(String, String)]) {
        self.count(pairs.len());
        for (name, value) in pairs {
            self.text(name.as_bytes());
            self.text(value.as_bytes());
        }
    }

    /// `labels` as the difference from `base`.
    pub(crate) fn labels(&mut self, base: &Labels, labels: &Labels) {
        let removed: Vec<_> = base.iter().map(|(name, _)| name).filter(|name| labels.value(name).is_none()).collect();
        let changed: Vec<_> = labels.iter().filter(|(name, value)| base.value(name) != Some(value)).collect();
        self.count(removed.len());
        for name in removed {
            self.text(name.as_bytes());
        }
        self.count(changed.len());
        for (name, value) in changed {
            self.text(name.as_bytes());
            self.text(value.as_bytes());
        }
    }
}

/// Takes fields.
pub(crate) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub(crate) const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(crate) const fn damage(&self, reason: &'static str) -> PipelineFault {
        PipelineFault::HeldDamaged { at: self.at, len: self.bytes.len(), reason }
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], PipelineFault> {
        let taken = self.bytes[self.at..].get(..length).ok_or_else(|| self.damage("it ends too early"))?;
        self.at += length;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, PipelineFault> {
        self.take(1).map(|taken| taken[0])
    }

    pub(crate) fn number(&mut self) -> Result<u64, PipelineFault> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.damage("a number is too large"))
    }

    /// A count or length: never more than bytes are left, since each thing counted takes at least one.
    pub(crate) fn count(&mut self) -> Result<usize, PipelineFault> {
        let number = self.number()?;
        usize::try_from(number).map_err(|_| self.damage("a count is too large"))
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, PipelineFault> {
        let mut nanos = [0; 8];
        nanos.copy_from_slice(self.take(8)?);
        Ok(Timestamp(i64::from_be_bytes(nanos)))
    }

    pub(crate) fn text(&mut self) -> Result<&'b [u8], PipelineFault> {
        let length = self.count()?;
        self.take(length)
    }

    fn string(&mut self) -> Result<&'b str, PipelineFault> {
        let text = self.text()?;
        str::from_utf8(text).map_err(|_| self.damage("a name or value is no UTF-8"))
    }

    pub(crate) fn pairs(&mut self) -> Result<Vec<(String, String)>, PipelineFault> {
        let mut pairs = Vec::new();
        for _ in 0..self.count()? {
            pairs.push((self.string()?.to_owned(), self.string()?.to_owned()));
        }
        Ok(pairs)
    }

    /// A label set written as the difference from `base`.
    pub(crate) fn labels(&mut self, base: &Labels) -> Result<Arc<Labels>, PipelineFault> {
        let mut labels = base.clone();
        for _ in 0..self.count()? {
            labels.remove(self.string()?);
        }
        for _ in 0..self.count()? {
            labels.set(self.string()?, self.string()?);
        }
        Ok(Arc::new(labels))
    }
}
