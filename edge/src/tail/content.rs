//! What is read of a source: a file's bytes, or what an archive unpacks to.
//!
//! Parts: [`Packing`] (gzip, zlib, bzip2), [`Content`] (offsets count unpacked bytes), [`Got`]. An archive is unpacked as
//! a stream, in order: going on at an offset unpacks what lies before it again, [`SKIP_BYTES`] a call. Promises: memory
//! does not grow with what an archive unpacks to; what cannot be unpacked is an `InvalidData`, an archive that ends too
//! early an `UnexpectedEof`, and both differ from the disk's own faults. Must not do: split lines.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bzip2::read::MultiBzDecoder;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use proto_seam::{DiskFile, FileState};

/// Bytes unpacked in one call on the way to an offset.
pub const SKIP_BYTES: u64 = 4 * 1024 * 1024;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// `.gz`, several members too.
    Gzip,
    /// `.z`
    Zlib,
    /// `.bz2`, several streams too.
    Bzip2,
}

impl Packing {
    /// By the ending of a name; `None` = not packed, or not in a way that can be read here.
    #[must_use]
    pub fn of_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "gz" => Some(Self::Gzip),
            "z" => Some(Self::Zlib),
            "bz2" => Some(Self::Bzip2),
            _ => None,
        }
    }
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// So many bytes; 0 = the end.
    Bytes(usize),
    /// Nothing yet: what lies before the offset is being unpacked.
    Skipping,
}

/// A file's bytes, or what an archive unpacks to.
#[derive(Debug)]
pub struct Content {
    file: Arc<dyn DiskFile>,
    archive: Option<Archive>,
}

#[derive(Debug)]
struct Archive {
    packing: Packing,
    /// `None` before the first read and after a fault.
    decoder: Option<Decoder>,
    /// Unpacked bytes that the decoder has given.
    at: u64,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Packed {
    file: Arc<dyn DiskFile>,
    at: u64,
    /// What went wrong is the disk's fault, not the archive's.
    is_disk: bool,
}

impl Read for Packed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(buf, self.at).inspect_err(|_| self.is_disk = true)?;
        self.at += got as u64;
        Ok(got)
    }
}

enum Decoder {
    Gzip(Box<MultiGzDecoder<Packed>>),
    Zlib(Box<ZlibDecoder<Packed>>),
    Bzip2(Box<MultiBzDecoder<Packed>>),
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder at {} packed bytes", self.packed().at)
    }
}

impl Decoder {
    fn new(packing: Packing, file: &Arc<dyn DiskFile>) -> Self {
        let packed = Packed { file: Arc::clone(file), at: 0, is_disk: false };
        match packing {
            Packing::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(packed))),
            Packing::Zlib => Self::Zlib(Box::new(ZlibDecoder::new(packed))),
            Packing::Bzip2 => Self::Bzip2(Box::new(MultiBzDecoder::new(packed))),
        }
    }

    fn packed(&self) -> &Packed {
        match self {
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Zlib(decoder) => decoder.get_ref(),
            Self::Bzip2(decoder) => decoder.get_ref(),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = match self {
            Self::Gzip(decoder) => decoder.read(buf),
            Self::Zlib(decoder) => decoder.read(buf),
            Self::Bzip2(decoder) => decoder.read(buf),
        };
        got.map_err(|fault| {
            if self.packed().is_disk {
                fault
            } else if fault.kind() == io::ErrorKind::UnexpectedEof {
                io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends in the middle")
            } else {
                io::Error::new(io::ErrorKind::InvalidData, format!("the archive is damaged: {fault}"))
            }
        })
    }
}

impl Content {
    /// Of an open file.
    #[must_use]
    pub fn new(file: Box<dyn DiskFile>, packing: Option<Packing>) -> Self {
        let archive = packing.map(|packing| Archive { packing, decoder: None, at: 0, scratch: Vec::new() });
        Self { file: Arc::from(file), archive }
    }

    /// Whether it is unpacked.
    #[must_use]
    pub const fn is_archive(&self) -> bool {
        self.archive.is_some()
    }

    /// Whether it holds the memory of a decoder.
    #[must_use]
    pub fn is_unpacking(&self) -> bool {
        self.archive.as_ref().is_some_and(|archive| archive.decoder.is_some())
    }

    /// Packed bytes that were unpacked.
    #[must_use]
    pub fn packed_at(&self) -> u64 {
        self.archive.as_ref().and_then(|archive| archive.decoder.as_ref()).map_or(0, |decoder| decoder.packed().at)
    }

    /// Lets go of the decoder: the next read begins from the start of the archive.
    pub fn rest(&mut self) {
        if let Some(archive) = &mut self.archive {
            (archive.decoder, archive.scratch) = (None, Vec::new());
        }
    }

    /// The file's present state: of an archive the packed file's.
    ///
    /// # Errors
    /// What the disk says.
    pub fn state(&self) -> io::Result<FileState> {
        self.file.state()
    }

    /// Reads from the unpacked `offset`.
    ///
    /// # Errors
    /// What the disk says; see the head of this file for an archive's own. `InvalidData` also when it has fewer bytes than `offset`.
    pub fn read_at(&mut self, buf: &mut [u8], offset: u64) -> io::Result<Got> {
        let Some(archive) = &mut self.archive else { return self.file.read_at(buf, offset).map(Got::Bytes) };
        let got = archive.read_at(&self.file, buf, offset);
        if got.is_err() {
            archive.decoder = None;
        }
        got
    }

    /// The first bytes, at most `max`, whatever was read before.
    ///
    /// # Errors
    /// As [`Self::read_at`].
    pub fn first(&self, max: usize) -> io::Result<Vec<u8>> {
        let mut first = vec![0; max];
        let mut len = 0;
        let mut decoder = self.archive.as_ref().map(|archive| Decoder::new(archive.packing, &self.file));
        while len < max {
            let got = match &mut decoder {
                Some(decoder) => decoder.read(&mut first[len..])?,
                None => self.file.read_at(&mut first[len..], len as u64)?,
            };
            if got == 0 {
                break;
            }
            len += got;
        }
        first.truncate(len);
        Ok(first)
    }
}

impl Archive {
    fn read_at(&mut self, file: &Arc<dyn DiskFile>, buf: &mut [u8], offset: u64) -> io::Result<Got> {
        if self.at > offset {
            self.decoder = None;
        }
        if self.decoder.is_none() {
            self.at = 0;
        }
        let decoder = self.decoder.get_or_insert_with(|| Decoder::new(self.packing, file));
        let mut skipped = 0;
        while self.at < offset {
            if skipped >= SKIP_BYTES {
                return Ok(Got::Skipping);
            }
            self.scratch.resize(buf.len().max(1), 0);
            let wanted = usize::try_from(offset - self.at).unwrap_or(usize::MAX).min(self.scratch.len());
            let got = decoder.read(&mut self.scratch[..wanted])? as u64;
            if got == 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the archive holds less than was read of it before"));
            }
            (self.at, skipped) = (self.at + got, skipped + got);
        }
        self.scratch = Vec::new();
        let got = decoder.read(buf)?;
        self.at += got as u64;
        Ok(Got::Bytes(got))
    }
}

#[cfg(test)]
mod tests;
