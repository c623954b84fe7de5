//! One journal file: its entries in order, from any of them on.
//!
//! Parts: [`JournalFile`] (header, arrays of entries, where reading stands), [`Field`], `Window` (bytes of the file read ahead). Entries
//! are found by the arrays that the header leads to; a field that many entries share is unpacked once ([`FIELDS_KEPT_MAX`] of
//! them are kept). Promises: what the header counted when it was read last is read, no more: journald writes an entry before it counts it;
//! a damaged entry costs itself, a damaged array the rest of its file, both counted. Must not do: order entries of several files.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use proto_seam::{DiskFile, FileIdentity};

use super::object::{
    ARRAY_HEAD_BYTES, DATA, Damage, ENTRY_ARRAY, ENTRY_HEAD_BYTES, EntryHead, FIELD_BYTES_MAX, FIELDS_MAX, HEADER_BYTES, Header, OBJECT_HEAD_BYTES, ObjectHead,
    payload, u64_at,
};

/// Bytes read ahead.
const WINDOW_BYTES: usize = 128 * 1024;
/// Bytes read of an object that lies elsewhere: most fields that come again are shorter.
const PEEK_BYTES: usize = 512;
/// Items of an array held in memory.
const ITEMS_MAX: usize = 4_096;
/// Fields that are kept, and their bytes: more than a busy machine's units have values.
const FIELDS_KEPT_MAX: usize = 16_384;
const FIELDS_KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A field of more bytes is not kept: it hardly comes again.
const FIELD_KEPT_BYTES_MAX: usize = 4_096;
/// Arrays of one file: each is about twice as large as the one before.
const ARRAYS_MAX: usize = 4_096;

/// What a file cannot give.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileFault {
    /// The disk says no.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// What lies there is wrong.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// One field of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: Vec<u8>,
}

/// An array of entries: where it lies and which entries it names.
#[derive(Debug, Clone, Copy)]
struct Array {
    offset: u64,
    /// The number of its first entry.
    first: u64,
    items: u64,
    next: u64,
}

/// One file that is open.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: Box<dyn DiskFile>,
    pub(super) path: PathBuf,
    pub(super) identity: FileIdentity,
    pub(super) header: Header,
    /// Its length when the header was read: nothing that counts lies behind it.
    len: u64,
    /// Lies in memory only, until journald moves it.
    pub(super) is_runtime: bool,
    arrays: Vec<Array>,
    /// The entry that is read next.
    at: u64,
    head: Option<(u64, EntryHead)>,
    /// The last entry's number that was read, or that lies before the first to be read.
    pub(super) seqnum: u64,
    /// Items of arrays: the number of the first, and offsets.
    items: (u64, Vec<u64>),
    window: Window,
    kept: BTreeMap<u64, Arc<Field>>,
    kept_bytes: usize,
}

impl JournalFile {
    /// Takes up an open file, before its first entry.
    pub(super) fn new(file: Box<dyn DiskFile>, path: PathBuf, is_runtime: bool) -> Result<Self, FileFault> {
        let identity = file.state()?.identity;
        let (header, len) = read_header(file.as_ref())?;
        Ok(Self {
            file,
            path,
            identity,
            header,
            len,
            is_runtime,
            arrays: Vec::new(),
            at: 0,
            head: None,
            seqnum: 0,
            items: (0, Vec::new()),
            window: Window::default(),
            kept: BTreeMap::new(),
            kept_bytes: 0,
        })
    }

    /// Reads the header anew: what was written meanwhile can be read from now on.
    pub(super) fn refresh(&mut self) -> Result<(), FileFault> {
        (self.header, self.len) = read_header(self.file.as_ref())?;
        self.window.bytes.clear();
        Ok(())
    }

    /// Whether it has no name any more.
    pub(super) fn is_removed(&self) -> bool {
        self.file.state().is_ok_and(|state| state.links == 0)
    }

    /// Its length and last modification: those of a file that is not written any more stay.
    pub(super) fn stamp(&self) -> Option<(u64, i64)> {
        self.file.state().ok().map(|state| (state.len, state.modified_ns))
    }

    /// Entries that the header counted and that were not read.
    pub(super) const fn unread(&self) -> u64 {
        self.header.entries.saturating_sub(self.at)
    }

    /// Skips to the first entry for which `is_before` does not hold; of all those before, it must hold.
    pub(super) fn seek(&mut self, is_before: impl Fn(&EntryHead) -> bool) -> Result<(), FileFault> {
        let (mut low, mut high) = (self.at, self.header.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            // A damaged entry decides nothing: it counts as the one after it.
            let mut probe = middle;
            let head = loop {
                match self.entry_at(probe) {
                    Ok((_, head)) => break Some(head),
                    Err(FileFault::Damaged(_)) if probe + 1 < high && !self.is_cut_off_at(probe) => probe += 1,
                    Err(FileFault::Damaged(_)) => break None,
                    Err(fault) => return Err(fault),
                }
            };
            match head {
                Some(head) if is_before(&head) => {
                    low = probe + 1;
                    self.seqnum = self.seqnum.max(head.seqnum);
                }
                _ => high = middle,
            }
        }
        (self.at, self.head) = (low, None);
        Ok(())
    }

    /// The next entry, without taking it; `None` when all that was counted is read.
    pub(super) fn peek(&mut self) -> Result<Option<EntryHead>, FileFault> {
        if self.unread() == 0 {
            return Ok(None);
        }
        if self.head.is_none() {
            self.head = Some(self.entry_at(self.at)?);
        }
        Ok(self.head.map(|(_, head)| head))
    }

    /// Passes over the next entry.
    pub(super) fn pass(&mut self) {
        if let Some((offset, head)) = self.head.take() {
            self.seqnum = self.seqnum.max(head.seqnum);
            self.window.floor = offset.saturating_add(head.size);
        }
        self.at += 1;
        if self.unread() == 0 {
            self.window = Window { floor: self.window.floor, bytes: Vec::new(), base: 0 };
            self.items.1 = Vec::new();
        }
    }

    /// Gives all that is not read up: its entries, for the count.
    pub(super) fn give_up(&mut self) -> u64 {
        let lost = self.unread();
        (self.at, self.head, self.seqnum) = (self.header.entries, None, self.seqnum.max(self.header.tail_seqnum));
        lost
    }

    /// The fields of the next entry that [`Self::peek`] gave, each handed to `each`.
    pub(super) fn fields(&mut self, mut each: impl FnMut(&Arc<Field>)) -> Result<(), FileFault> {
        let Some((offset, head)) = self.head else { return Ok(()) };
        let item = self.header.entry_item_bytes();
        let count = usize::try_from((head.size - ENTRY_HEAD_BYTES as u64) / item as u64).unwrap_or(usize::MAX);
        if count > FIELDS_MAX {
            return Err(Damage::Broken("an entry has too many fields").into());
        }
        let items = self.window.read(self.file.as_ref(), offset, ENTRY_HEAD_BYTES + count * item, &self.header)?;
        let offsets: Vec<u64> = items[ENTRY_HEAD_BYTES..].chunks_exact(item).map(|item| self.header.offset(item)).collect();
        for offset in offsets.into_iter().filter(|offset| *offset != 0) {
            let field = match self.kept.get(&offset) {
                Some(field) => Arc::clone(field),
                None => self.field(offset)?,
            };
            each(&field);
        }
        Ok(())
    }

    fn field(&mut self, offset: u64) -> Result<Arc<Field>, FileFault> {
        if !self.is_place(offset) {
            return Err(Damage::Broken("a field lies nowhere").into());
        }
        let at = self.header.payload_at();
        let start = self.window.read(self.file.as_ref(), offset, at, &self.header)?;
        let head = ObjectHead::parse(&start);
        if head.kind != DATA || head.size < at as u64 {
            return Err(Damage::Broken("where a field should lie there is none").into());
        }
        // How many entries have it: one that nobody shares is not kept.
        let is_shared = u64_at(&start, 56) > 1;
        let whole = head.size - at as u64;
        // Packed bytes are needed up to where enough of them is unpacked: all of those that are not huge.
        let most = if head.flags == 0 { FIELD_BYTES_MAX } else { 64 * FIELD_BYTES_MAX };
        let wanted = at + usize::try_from(whole).unwrap_or(usize::MAX).min(most);
        let bytes = self.window.read(self.file.as_ref(), offset, wanted, &self.header)?;
        let (name, value) = payload(head.flags, &bytes[at..], whole)?;
        let field = Arc::new(Field { name, value });
        let cost = field.name.len() + field.value.len();
        if is_shared && cost <= FIELD_KEPT_BYTES_MAX {
            if self.kept.len() >= FIELDS_KEPT_MAX || self.kept_bytes + cost > FIELDS_KEPT_BYTES_MAX {
                self.kept.clear();
                self.kept_bytes = 0;
            }
            self.kept_bytes += cost;
            self.kept.insert(offset, Arc::clone(&field));
        }
        Ok(field)
    }

    /// Where entry `number` lies, and how it begins.
    fn entry_at(&mut self, number: u64) -> Result<(u64, EntryHead), FileFault> {
        let offset = self.item(number)?;
        if !self.is_place(offset) {
            return Err(Damage::Broken("an entry lies nowhere").into());
        }
        let bytes = self.window.read(self.file.as_ref(), offset, ENTRY_HEAD_BYTES, &self.header)?;
        Ok((offset, EntryHead::parse(&bytes)?))
    }

    fn item(&mut self, number: u64) -> Result<u64, FileFault> {
        let (first, held) = &self.items;
        if let Some(offset) = number.checked_sub(*first).and_then(|at| held.get(usize::try_from(at).ok()?)).filter(|offset| **offset != 0) {
            return Ok(*offset);
        }
        let array = self.array_of(number)?;
        let size = self.header.array_item_bytes();
        let inside = number - array.first;
        let most = (array.items - inside).min(ITEMS_MAX as u64).min(self.header.entries - number);
        let mut bytes = vec![0; usize::try_from(most).unwrap_or(0) * size];
        read_exact(self.file.as_ref(), &mut bytes, array.offset + ARRAY_HEAD_BYTES as u64 + inside * size as u64)?;
        self.items = (number, bytes.chunks_exact(size).map(|item| self.header.offset(item)).collect());
        self.items.1.first().copied().ok_or_else(|| Damage::Broken("an array ends early").into())
    }

    fn array_of(&mut self, number: u64) -> Result<Array, FileFault> {
        loop {
            let last = self.arrays.last().copied();
            if let Some(known) = self.arrays.iter().rev().find(|array| array.first <= number && number < array.first + array.items) {
                return Ok(*known);
            }
            let (offset, first) = match last {
                None => (self.header.entry_array, 0),
                Some(last) => {
                    // Whether one follows may have been written since.
                    let next = if last.next == 0 { self.read_array(last.offset, last.first)?.next } else { last.next };
                    (next, last.first + last.items)
                }
            };
            if !self.is_place(offset) || self.arrays.len() >= ARRAYS_MAX || last.is_some_and(|last| last.offset >= offset) {
                return Err(Damage::Broken("the chain of its entries is broken").into());
            }
            let array = self.read_array(offset, first)?;
            self.arrays.push(array);
        }
    }

    fn read_array(&self, offset: u64, first: u64) -> Result<Array, FileFault> {
        let mut bytes = [0; ARRAY_HEAD_BYTES];
        read_exact(self.file.as_ref(), &mut bytes, offset)?;
        let head = ObjectHead::parse(&bytes);
        let items = head.size.saturating_sub(ARRAY_HEAD_BYTES as u64) / self.header.array_item_bytes() as u64;
        if head.kind != ENTRY_ARRAY || items == 0 || head.size > self.len.saturating_sub(offset) {
            return Err(Damage::Broken("where an array of entries should lie there is none").into());
        }
        Ok(Array { offset, first, items, next: u64_at(&bytes, OBJECT_HEAD_BYTES) })
    }

    /// Whether nothing of the rest can be read: the chain of its entries is broken at the next one.
    pub(super) fn is_cut_off(&mut self) -> bool {
        self.is_cut_off_at(self.at)
    }

    fn is_cut_off_at(&mut self, number: u64) -> bool {
        matches!(self.array_of(number), Err(FileFault::Damaged(_)))
    }

    /// Whether an object can lie there.
    const fn is_place(&self, offset: u64) -> bool {
        offset != 0 && offset.is_multiple_of(8) && offset < self.len
    }
}

/// The header, and the file's length; no more entries than fit in there, whatever it says.
fn read_header(file: &dyn DiskFile) -> Result<(Header, u64), FileFault> {
    let mut bytes = [0; HEADER_BYTES];
    match read_exact(file, &mut bytes, 0) {
        Err(FileFault::Damaged(_)) => Err(Damage::NoJournal.into()),
        Err(fault) => Err(fault),
        Ok(()) => {
            // After the header: what it counts was there before.
            let (mut header, len) = (Header::parse(&bytes)?, file.state()?.len);
            header.entries = header.entries.min(len / ENTRY_HEAD_BYTES as u64);
            Ok((header, len))
        }
    }
}

fn read_exact(file: &dyn DiskFile, mut bytes: &mut [u8], mut offset: u64) -> Result<(), FileFault> {
    while !bytes.is_empty() {
        match file.read_at(bytes, offset)? {
            0 => return Err(Damage::Broken("it ends early").into()),
            read => {
                bytes = bytes.get_mut(read..).unwrap_or_default();
                offset += read as u64;
            }
        }
    }
    Ok(())
}

/// Bytes read ahead, behind the last entry that was read.
#[derive(Debug, Default)]
struct Window {
    base: u64,
    bytes: Vec<u8>,
    /// Where the last entry ended: what the next one brings lies behind it.
    floor: u64,
}

impl Window {
    /// `wanted` bytes from `offset` on.
    fn read(&mut self, file: &dyn DiskFile, offset: u64, wanted: usize, header: &Header) -> Result<Bytes<'_>, FileFault> {
        let end = offset.checked_add(wanted as u64).ok_or(Damage::Broken("something lies nowhere"))?;
        if offset < self.base || end > self.base + self.bytes.len() as u64 {
            let from = self.floor.max(offset.saturating_sub(WINDOW_BYTES as u64 / 2)).min(offset);
            let is_ahead = offset >= self.floor && end - from <= WINDOW_BYTES as u64;
            if !is_ahead {
                return elsewhere(file, offset, wanted);
            }
            // No further than what the header counted, and the object that was the last one.
            let most = header.tail_object.saturating_add(PEEK_BYTES as u64).max(end).saturating_sub(from);
            self.bytes.resize(usize::try_from(most).unwrap_or(usize::MAX).min(WINDOW_BYTES), 0);
            self.base = from;
            let mut read = 0;
            while read < self.bytes.len() {
                match file.read_at(&mut self.bytes[read..], from + read as u64)? {
                    0 => break,
                    more => read += more,
                }
            }
            self.bytes.truncate(read);
            if end > from + read as u64 {
                return Err(Damage::Broken("it ends early").into());
            }
        }
        let start = usize::try_from(offset - self.base).unwrap_or(usize::MAX);
        Ok(Bytes::Held(&self.bytes[start..start + wanted]))
    }
}

fn elsewhere<'a>(file: &dyn DiskFile, offset: u64, wanted: usize) -> Result<Bytes<'a>, FileFault> {
    let mut bytes = vec![0; wanted];
    read_exact(file, &mut bytes, offset)?;
    Ok(Bytes::Own(bytes))
}

/// Bytes of the window, or of their own.
enum Bytes<'a> {
    Held(&'a [u8]),
    Own(Vec<u8>),
}

impl std::ops::Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Held(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}
