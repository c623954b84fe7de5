//! Frames of a QUIC session, and the check that every received message passes before it is decoded.
//!
//! ```text
//! | u32 big endian: length, 1 to 4 MiB | length bytes: one protobuf Message | next frame ...
//! ```
//!
//! Parts: [`encode`]; [`Decoder`], chunks in, frames out; [`decode_message`], for both transports.
//! Promises: the length is judged before anything is set aside for it, set aside is at most
//! twice what came, or `FRAME_AHEAD_BYTES` where that is more, and never more than the frame; a message has
//! at most `MESSAGE_FIELDS_MAX` fields. Pure. Must not do: look into a batch's body.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use proto_wire::edge_hub::Message;
use proto_wire::limits::FRAME_BYTES_MAX;
use proto_wire::varint;

use crate::limits::{FRAME_AHEAD_BYTES, MESSAGE_FIELDS_MAX};

/// Bytes of the length before each frame.
pub(crate) const HEADER_BYTES: usize = 4;

/// The newest kind of message that this program knows (`Close`); later kinds are passed over by the decoder without cost.
const KIND_MAX: u64 = 14;

/// What is wrong with received bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// The length is 0 or above the limit.
    #[error("a frame states {0} bytes, 1 to {limit} are allowed", limit = FRAME_BYTES_MAX)]
    Length(u64),
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    Cut,
    /// More fields than a message may have.
    #[error("a message has more than {limit} fields", limit = MESSAGE_FIELDS_MAX)]
    Fields,
    /// No protobuf, or not of this schema.
    #[error("a frame holds no message: {0}")]
    Malformed(String),
    /// gRPC's own framing is broken.
    #[error("not grpc: {0}")]
    Grpc(String),
}

/// One message as a frame, its header included. The caller has checked that it fits.
#[must_use]
pub(crate) fn encode(message: &Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(HEADER_BYTES + length);
    frame.put_u32(u32::try_from(length).expect("a queued message fits a frame"));
    message.encode_raw(&mut frame);
    frame.freeze()
}

/// Puts frames together from chunks.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    /// Bytes of the body still to come; `None` while the header is not whole.
    wanted: Option<usize>,
    body: Vec<u8>,
}

impl Decoder {
    /// Takes what it needs off the front of `chunk`; a frame's body when it is whole, `None` when `chunk` is used up.
    ///
    /// # Errors
    /// [`FrameFault::Length`]; the decoder is of no more use then.
    pub(crate) fn take(&mut self, chunk: &mut Bytes) -> Result<Option<Bytes>, FrameFault> {
        let wanted = match self.wanted {
            Some(wanted) => wanted,
            None => match self.take_header(chunk)? {
                Some(wanted) => wanted,
                None => return Ok(None),
            },
        };
        let taken = chunk.split_to(wanted.min(chunk.len()));
        if taken.len() == wanted && self.body.is_empty() {
            self.reset();
            return Ok(Some(taken));
        }
        self.append(&taken, wanted);
        if taken.len() < wanted {
            self.wanted = Some(wanted - taken.len());
            return Ok(None);
        }
        let body = Bytes::from(std::mem::take(&mut self.body));
        self.reset();
        Ok(Some(body))
    }

    /// Whether a frame has begun and is not whole.
    #[must_use]
    pub(crate) const fn within_frame(&self) -> bool {
        self.header_filled > 0
    }

    fn take_header(&mut self, chunk: &mut Bytes) -> Result<Option<usize>, FrameFault> {
        let part = chunk.split_to((HEADER_BYTES - self.header_filled).min(chunk.len()));
        self.header[self.header_filled..self.header_filled + part.len()].copy_from_slice(&part);
        self.header_filled += part.len();
        if self.header_filled < HEADER_BYTES {
            return Ok(None);
        }
        let stated = u32::from_be_bytes(self.header);
        match usize::try_from(stated) {
            Ok(length) if (1..=FRAME_BYTES_MAX).contains(&length) => {
                self.wanted = Some(length);
                Ok(Some(length))
            }
            Ok(_) | Err(_) => Err(FrameFault::Length(u64::from(stated))),
        }
    }

    fn append(&mut self, taken: &[u8], wanted: usize) {
        let needed = self.body.len() + taken.len();
        if needed > self.body.capacity() {
            // Doubling keeps the copying linear; exact, so that a whole frame never holds more than its length.
            let room = needed.max(FRAME_AHEAD_BYTES).max(2 * self.body.capacity()).min(self.body.len() + wanted);
            self.body.reserve_exact(room - self.body.len());
        }
        self.body.extend_from_slice(taken);
    }

    fn reset(&mut self) {
        self.header_filled = 0;
        self.wanted = None;
    }
}

/// A frame's body as a message. A kind that this program does not know gives a message without kind.
///
/// # Errors
/// [`FrameFault::Fields`], [`FrameFault::Malformed`].
pub(crate) fn decode_message(body: Bytes) -> Result<Message, FrameFault> {
    check_fields(&body)?;
    Message::decode(body).map_err(|fault| FrameFault::Malformed(fault.to_string()))
}

/// Counts fields of the message and of its kind, before memory is spent on them.
fn check_fields(mut bytes: &[u8]) -> Result<(), FrameFault> {
    let mut left = MESSAGE_FIELDS_MAX;
    while !bytes.is_empty() {
        let (number, content) = take_field(&mut bytes)?;
        left = left.checked_sub(1).ok_or(FrameFault::Fields)?;
        if !(1..=KIND_MAX).contains(&number) {
            continue;
        }
        let mut inner = content;
        while !inner.is_empty() {
            take_field(&mut inner)?;
            left = left.checked_sub(1).ok_or(FrameFault::Fields)?;
        }
    }
    Ok(())
}

/// One field off the front: its number, and its content where it has a length.
fn take_field<'a>(bytes: &mut &'a [u8]) -> Result<(u64, &'a [u8]), FrameFault> {
    let malformed = |why: &str| FrameFault::Malformed(why.to_owned());
    let key = varint::take(bytes).ok_or_else(|| malformed("a field key is cut short"))?;
    let length = match key & 7 {
        0 => {
            varint::take(bytes).ok_or_else(|| malformed("a number is cut short"))?;
            return Ok((key >> 3, &[]));
        }
        1 => 8,
        2 => varint::take(bytes).ok_or_else(|| malformed("a length is cut short"))?,
        5 => 4,
        _ => return Err(malformed("a field has an unknown wire type")),
    };
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len()).ok_or_else(|| malformed("a field is longer than its frame"))?;
    let (content, rest) = bytes.split_at(length);
    *bytes = rest;
    Ok((key >> 3, if key & 7 == 2 { content } else { &[] }))
}

#[cfg(test)]
mod tests;
