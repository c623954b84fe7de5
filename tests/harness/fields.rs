//! Protobuf messages field by field, for an oracle that shares no code with what it judges.
//!
//! Parts: [`Fields`], an iterator over (field number, [`Value`]); [`Message`], the same gathered. Must not do: know a schema.

use std::collections::BTreeMap;

/// A message's fields: the last number of each, all byte strings of each.
#[derive(Debug, Default)]
pub(crate) struct Message<'b> {
    numbers: BTreeMap<u32, u64>,
    strings: BTreeMap<u32, Vec<&'b [u8]>>,
}

impl<'b> Message<'b> {
    pub(crate) fn read(bytes: &'b [u8]) -> Result<Self, String> {
        let mut message = Self::default();
        for field in Fields(bytes) {
            match field? {
                (field, Value::Number(number)) => drop(message.numbers.insert(field, number)),
                (field, Value::Bytes(bytes)) => message.strings.entry(field).or_default().push(bytes),
            }
        }
        Ok(message)
    }

    /// 0 when absent.
    pub(crate) fn number(&self, field: u32) -> u64 {
        self.numbers.get(&field).copied().unwrap_or(0)
    }

    /// Whether a number is there.
    pub(crate) fn has(&self, field: u32) -> bool {
        self.numbers.contains_key(&field)
    }

    /// Empty when absent.
    pub(crate) fn bytes(&self, field: u32) -> &'b [u8] {
        self.all(field).last().copied().unwrap_or_default()
    }

    pub(crate) fn text(&self, field: u32) -> String {
        String::from_utf8_lossy(self.bytes(field)).into_owned()
    }

    pub(crate) fn all(&self, field: u32) -> &[&'b [u8]] {
        self.strings.get(&field).map_or(&[], Vec::as_slice)
    }
}

/// The fields of a protobuf message, as they lie.
pub(crate) struct Fields<'b>(pub(crate) &'b [u8]);

pub(crate) enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

impl<'b> Fields<'b> {
    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or("a number ends early")?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number is too long".to_owned())
    }

    fn take(&mut self, len: u64) -> Result<&'b [u8], String> {
        let len = usize::try_from(len).map_err(|_| "a field is too long")?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or("a field ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'b>), String> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Number(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| "short")?)),
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            other => return Err(format!("wire type {other}")),
        };
        Ok((u32::try_from(tag >> 3).unwrap_or(u32::MAX), value))
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u32, Value<'b>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}
