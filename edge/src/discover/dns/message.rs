//! DNS messages: a question to bytes, bytes to an answer (RFC 1035, 2782, 3596, 6891).
//!
//! Pure. Parts: [`Kind`], [`question`], [`Answer::parse`], [`Record`]. Promises: bytes of any kind end in an error text; a name's pointers
//! only lead backwards. Limits: names of 255 bytes. Must not do: I/O.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of an answer over UDP that are taken.
pub(super) const DATAGRAM_BYTES: u16 = 4_096;
const HEADER_BYTES: usize = 12;
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Name servers.
    Ns,
    /// Hosts and ports of a service.
    Srv,
}

impl Kind {
    /// By the word of the settings, in any case.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "A" => Self::A,
            "AAAA" => Self::Aaaa,
            "MX" => Self::Mx,
            "NS" => Self::Ns,
            "SRV" => Self::Srv,
            _ => return None,
        })
    }

    const fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Ns => 2,
            Self::Mx => 15,
            Self::Aaaa => 28,
            Self::Srv => 33,
        }
    }
}

/// One record of an answer. Names end in a dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Mx(String),
    Ns(String),
    Srv { target: String, port: u16 },
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// 0 = no error, 3 = no such name.
    pub(super) code: u8,
    /// Cut to fit the datagram: to be asked for over TCP.
    pub(super) is_cut: bool,
    /// Of the kind that was asked for.
    pub(super) records: Vec<Record>,
}

/// A question for `name`, which ends in a dot or not.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(64);
    out.extend(id.to_be_bytes());
    // Recursion is wanted; one question, one additional record.
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    let name = name.strip_suffix('.').unwrap_or(name);
    for label in name.split('.') {
        let len = u8::try_from(label.len()).ok().filter(|len| (1..=LABEL_BYTES_MAX).contains(&usize::from(*len)));
        out.push(len.ok_or_else(|| format!("{name:?} is no name: its parts have 1 to {LABEL_BYTES_MAX} letters"))?);
        out.extend(label.as_bytes());
    }
    out.push(0);
    if out.len() - HEADER_BYTES > NAME_BYTES_MAX {
        return Err(format!("{name:?} is no name: it is too long"));
    }
    out.extend(kind.number().to_be_bytes());
    out.extend([0, 1]);
    // EDNS: how large an answer may be.
    out.extend([0, 0, 41]);
    out.extend(DATAGRAM_BYTES.to_be_bytes());
    out.extend([0; 6]);
    Ok(out)
}

struct Reader<'m> {
    all: &'m [u8],
    at: usize,
}

const SHORT: &str = "the answer is shorter than it says";

impl<'m> Reader<'m> {
    fn bytes(&mut self, len: usize) -> Result<&'m [u8], String> {
        let found = self.all.get(self.at..self.at.saturating_add(len)).ok_or(SHORT)?;
        self.at += len;
        Ok(found)
    }

    fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from_be_bytes(self.bytes(2)?.try_into().map_err(|_| SHORT)?))
    }

    /// A name with a dot at its end.
    fn name(&mut self) -> Result<String, String> {
        let (mut out, mut at, mut end) = (String::new(), self.at, None);
        let mut bytes = 0;
        loop {
            let len = *self.all.get(at).ok_or(SHORT)?;
            match len {
                0 => break,
                1..=63 => {
                    let label = self.all.get(at + 1..at + 1 + usize::from(len)).ok_or(SHORT)?;
                    bytes += label.len() + 1;
                    if bytes > NAME_BYTES_MAX {
                        return Err("a name of the answer is too long".to_owned());
                    }
                    written(label, &mut out);
                    at += 1 + usize::from(len);
                }
                192.. => {
                    let low = *self.all.get(at + 1).ok_or(SHORT)?;
                    end.get_or_insert(at + 2);
                    let to = usize::from(u16::from_be_bytes([len & 0x3f, low]));
                    if to >= at {
                        return Err("a name of the answer leads forward".to_owned());
                    }
                    at = to;
                }
                64..192 => return Err("a name of the answer is of an unknown form".to_owned()),
            }
        }
        self.at = end.unwrap_or(at + 1);
        Ok(if out.is_empty() { ".".to_owned() } else { out })
    }
}

/// A part of a name as zone files write it.
fn written(label: &[u8], out: &mut String) {
    for byte in label {
        match byte {
            b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' | b' ' => out.extend(['\\', char::from(*byte)]),
            33..=126 => out.push(char::from(*byte)),
            0..=31 | 127.. => out.push_str(&format!("\\{byte:03}")),
        }
    }
    out.push('.');
}

impl Answer {
    /// An answer to the question `id` for `kind`; `None` = it is to another question.
    pub(super) fn parse(message: &[u8], id: u16, kind: Kind) -> Result<Option<Self>, String> {
        let mut reader = Reader { all: message, at: 0 };
        let (own, flags) = (reader.u16()?, reader.u16()?);
        if own != id || flags & 0x8000 == 0 {
            return Ok(None);
        }
        let (questions, answers) = (reader.u16()?, reader.u16()?);
        reader.bytes(4)?;
        let mut out = Self { code: (flags & 0xf) as u8, is_cut: flags & 0x0200 != 0, records: Vec::new() };
        for _ in 0..questions {
            reader.name()?;
            reader.bytes(4)?;
        }
        if out.is_cut {
            return Ok(Some(out));
        }
        for _ in 0..answers {
            reader.name()?;
            let (of, class) = (reader.u16()?, reader.u16()?);
            reader.bytes(4)?;
            let len = usize::from(reader.u16()?);
            let end = reader.at + len;
            reader.bytes(len)?;
            // The name that an alias leads to comes with its own records.
            if of == kind.number() && class == 1 {
                let mut within = Reader { all: &message[..end], at: end - len };
                out.records.push(record(&mut within, kind)?);
            }
        }
        Ok(Some(out))
    }
}

fn record(reader: &mut Reader<'_>, kind: Kind) -> Result<Record, String> {
    Ok(match kind {
        Kind::A => Record::A(<[u8; 4]>::try_from(reader.bytes(4)?).map_err(|_| SHORT)?.into()),
        Kind::Aaaa => Record::Aaaa(<[u8; 16]>::try_from(reader.bytes(16)?).map_err(|_| SHORT)?.into()),
        Kind::Ns => Record::Ns(reader.name()?),
        Kind::Mx => {
            reader.u16()?;
            Record::Mx(reader.name()?)
        }
        Kind::Srv => {
            reader.bytes(4)?;
            let port = reader.u16()?;
            Record::Srv { target: reader.name()?, port }
        }
    })
}

#[cfg(test)]
pub(super) mod tests;
