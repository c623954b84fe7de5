//! Journal files as journald writes them, from the documented format: for files that a real one does not make on demand.

use std::collections::BTreeMap;
use std::path::Path;

const HEADER: usize = 272;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Lz4,
    Zstd,
}

/// A file that grows.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    pub(super) bytes: Vec<u8>,
    compact: bool,
    packing: Packing,
    data: BTreeMap<Vec<u8>, usize>,
    /// The last array: where, items used, room.
    array: Option<(usize, usize, usize)>,
    entries: u64,
    tail: usize,
    /// Where each entry lies.
    pub(super) places: Vec<usize>,
}

impl Journal {
    pub(super) fn new(file_id: u8, seqnum_id: u8) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[..8].copy_from_slice(b"LPKSHHRH");
        bytes[16] = 1;
        bytes[24..40].fill(file_id);
        bytes[72..88].fill(seqnum_id);
        let mut journal = Self { bytes, compact: false, packing: Packing::None, data: BTreeMap::new(), array: None, entries: 0, tail: 0, places: Vec::new() };
        journal.put(88, HEADER as u64);
        journal
    }

    pub(super) fn compact(mut self) -> Self {
        self.compact = true;
        self.flag(16);
        self
    }

    pub(super) fn packed(mut self, packing: Packing) -> Self {
        self.packing = packing;
        self.flag(match packing {
            Packing::None => 0,
            Packing::Lz4 => 2,
            Packing::Zstd => 8,
        });
        self
    }

    pub(super) fn flag(&mut self, flag: u8) {
        self.bytes[12] |= flag;
    }

    pub(super) fn archive(&mut self) {
        self.bytes[16] = 2;
    }

    fn put(&mut self, at: usize, value: u64) {
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn number(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    fn object(&mut self, kind: u8, flags: u8, body: &[u8]) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[kind, flags, 0, 0, 0, 0, 0, 0]);
        self.bytes.extend_from_slice(&(16 + body.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(body);
        self.tail = at;
        at
    }

    fn field(&mut self, payload: &[u8]) -> usize {
        if let Some(at) = self.data.get(payload).copied() {
            self.put(at + 56, self.number(at + 56) + 1);
            return at;
        }
        let mut body = vec![0; if self.compact { 56 } else { 48 }];
        body[40] = 1;
        let flags = match self.packing {
            Packing::Zstd if payload.len() > 512 => {
                body.extend_from_slice(&zstd::encode_all(payload, 1).unwrap());
                4
            }
            Packing::Lz4 if payload.len() > 512 => {
                body.extend_from_slice(&(payload.len() as u64).to_le_bytes());
                body.extend_from_slice(&lz4_flex::block::compress(payload));
                2
            }
            Packing::None | Packing::Lz4 | Packing::Zstd => {
                body.extend_from_slice(payload);
                0
            }
        };
        let at = self.object(1, flags, &body);
        self.data.insert(payload.to_vec(), at);
        at
    }

    /// Writes an entry: number, microseconds since 1970, microseconds since the boot, fields.
    pub(super) fn entry(&mut self, seqnum: u64, realtime: u64, monotonic: u64, fields: &[(&str, &[u8])]) {
        let places: Vec<usize> = fields.iter().map(|(name, value)| self.field(&[name.as_bytes(), b"=", value].concat())).collect();
        let mut body = Vec::new();
        for number in [seqnum, realtime, monotonic] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        body.extend_from_slice(&[0xB0; 16]);
        body.extend_from_slice(&seqnum.wrapping_mul(31).to_le_bytes());
        for place in places {
            if self.compact {
                body.extend_from_slice(&u32::try_from(place).unwrap().to_le_bytes());
            } else {
                body.extend_from_slice(&(place as u64).to_le_bytes());
                body.extend_from_slice(&[7; 8]);
            }
        }
        let at = self.object(3, 0, &body);
        self.places.push(at);
        self.link(at);
        self.entries += 1;
        self.put(136, self.tail as u64);
        self.put(152, self.entries);
        self.put(160, seqnum);
        if self.entries == 1 {
            self.put(168, seqnum);
            self.put(184, realtime);
        }
        self.put(192, realtime);
        self.put(200, monotonic);
    }

    fn link(&mut self, entry: usize) {
        let item = if self.compact { 4 } else { 8 };
        let (array, used, room) = match self.array {
            Some((array, used, room)) if used < room => (array, used, room),
            last => {
                let room = last.map_or(4, |(_, _, room)| room * 2);
                let array = self.object(6, 0, &vec![0; 8 + room * item]);
                match last {
                    Some((before, _, _)) => self.put(before + 16, array as u64),
                    None => self.put(176, array as u64),
                }
                (array, 0, room)
            }
        };
        let at = array + 24 + used * item;
        self.bytes[at..at + item].copy_from_slice(&(entry as u64).to_le_bytes()[..item]);
        self.array = Some((array, used + 1, room));
    }

    /// Writes the file as it is now, in place.
    pub(super) fn save(&self, path: &Path) {
        use std::io::{Seek as _, Write as _};
        let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(false).open(path).unwrap();
        file.seek(std::io::SeekFrom::Start(0)).unwrap();
        file.write_all(&self.bytes).unwrap();
    }
}
