//! One line on its way through a program, and the buffers it borrows.
//!
//! Parts: [`Draft`] (time, labels, line), [`Parts`] (what it owns besides: a line that a stage made, extracted
//! values, structured metadata), [`Slots`] (Promtail's `extracted` map, only the names some stage reads).
//! Promises: a line that no stage rewrites is never copied; buffers are kept from line to line.
//! Must not do: know stages.

use proto_model::Timestamp;

use crate::label_sets::SetId;
use crate::limits::BUFFER_BYTES_MAX;

/// A name of the `extracted` map that some stage reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SlotId(pub(crate) usize);

/// One extracted value. Numbers and booleans are held as the text Promtail makes of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Slot {
    presence: Presence,
    text: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Presence {
    #[default]
    Absent,
    /// JSON's null: present, but no text.
    Null,
    Text,
}

/// The extracted values of one line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Slots(Vec<Slot>);

impl Slots {
    /// `count` absent values; buffers are kept.
    pub(crate) fn reset(&mut self, count: usize) {
        self.0.resize_with(count, Slot::default);
        for slot in &mut self.0 {
            slot.presence = Presence::Absent;
            give_back(&mut slot.text);
        }
    }

    /// The text of a value; `None` when absent or null.
    pub(crate) fn text(&self, id: SlotId) -> Option<&[u8]> {
        let slot = self.0.get(id.0)?;
        (slot.presence == Presence::Text).then_some(slot.text.as_slice())
    }

    /// Whether there is a value, be it null.
    pub(crate) fn is_present(&self, id: SlotId) -> bool {
        self.0.get(id.0).is_some_and(|slot| slot.presence != Presence::Absent)
    }

    pub(crate) fn set(&mut self, id: SlotId, text: &[u8]) {
        let slot = &mut self.0[id.0];
        slot.presence = Presence::Text;
        slot.text.clear();
        slot.text.extend_from_slice(text);
    }

    pub(crate) fn set_null(&mut self, id: SlotId) {
        self.0[id.0].presence = Presence::Null;
    }

    pub(crate) fn unset(&mut self, id: SlotId) {
        self.0[id.0].presence = Presence::Absent;
    }

    /// Every present value with its id; `None` is null.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotId, Option<&[u8]>)> {
        let present = self.0.iter().enumerate().filter(|(_, slot)| slot.presence != Presence::Absent);
        present.map(|(n, slot)| (SlotId(n), (slot.presence == Presence::Text).then_some(slot.text.as_slice())))
    }

    /// Bytes of all present texts.
    pub(crate) fn bytes(&self) -> usize {
        self.iter().map(|(_, text)| text.map_or(0, <[u8]>::len)).sum()
    }
}

/// Where a draft's line stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Line<'l> {
    /// In the bytes that came in.
    Given(&'l [u8]),
    /// In [`Parts::own`].
    Own,
}

/// What a draft owns; one set of buffers serves line after line.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// The line, if a stage made it.
    pub(crate) own: Vec<u8>,
    /// A buffer for whoever needs one within a step.
    pub(crate) spare: Vec<u8>,
    pub(crate) slots: Slots,
    pub(crate) metadata: Vec<(String, String)>,
}

impl Parts {
    /// Ready for the next line of a program with `slots` names.
    pub(crate) fn reset(&mut self, slots: usize) {
        give_back(&mut self.own);
        give_back(&mut self.spare);
        self.own.clear();
        self.metadata.clear();
        self.slots.reset(slots);
    }
}

/// Frees a buffer that has grown too large to be kept.
fn give_back(buffer: &mut Vec<u8>) {
    if buffer.capacity() > BUFFER_BYTES_MAX {
        *buffer = Vec::new();
    }
}

/// One line under way.
#[derive(Debug)]
pub(crate) struct Draft<'l> {
    pub(crate) time: Timestamp,
    pub(crate) labels: SetId,
    pub(crate) line: Line<'l>,
    pub(crate) parts: &'l mut Parts,
}

impl Draft<'_> {
    /// The line.
    pub(crate) fn text(&self) -> &[u8] {
        match self.line {
            Line::Given(text) => text,
            Line::Own => &self.parts.own,
        }
    }

    /// The line to read and the values to write.
    pub(crate) fn split(&mut self) -> (&[u8], &mut Slots) {
        let text = match self.line {
            Line::Given(text) => text,
            Line::Own => self.parts.own.as_slice(),
        };
        (text, &mut self.parts.slots)
    }

    /// The line begins `bytes` later.
    pub(crate) fn skip(&mut self, bytes: usize) {
        match &mut self.line {
            Line::Given(text) => *text = &text[bytes..],
            Line::Own => drop(self.parts.own.drain(..bytes)),
        }
    }

    /// `text` becomes the line; returns the buffer that is no longer needed.
    pub(crate) fn replace(&mut self, text: Vec<u8>) -> Vec<u8> {
        self.line = Line::Own;
        std::mem::replace(&mut self.parts.own, text)
    }

    /// The value `id` becomes the line, if it is a text.
    pub(crate) fn take_line_from(&mut self, id: SlotId) {
        let Parts { own, slots, .. } = &mut *self.parts;
        if let Some(text) = slots.text(id) {
            own.clear();
            own.extend_from_slice(text);
            self.line = Line::Own;
        }
    }

    /// Reads `source` (the line when `None`) while values are written: `read` gets both.
    /// `None` when the source is absent or no text.
    pub(crate) fn read<T>(&mut self, source: Option<SlotId>, read: impl FnOnce(&[u8], &mut Slots) -> T) -> Option<T> {
        let Some(source) = source else {
            let (text, slots) = self.split();
            return Some(read(text, slots));
        };
        let Parts { spare, slots, .. } = &mut *self.parts;
        spare.clear();
        spare.extend_from_slice(slots.text(source)?);
        Some(read(spare, slots))
    }

    /// Sets structured metadata; names are unique.
    pub(crate) fn set_metadata(&mut self, name: &str, value: &str) {
        match self.parts.metadata.iter_mut().find(|(n, _)| n == name) {
            Some(pair) => value.clone_into(&mut pair.1),
            None => self.parts.metadata.push((name.to_owned(), value.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests;
