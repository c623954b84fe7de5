//! Loki push bodies to records and back.
//!
//! Parts: [`json`] and [`protobuf`] (bodies, already freed of gzip and deflate, to [`Pushed`] streams),
//! [`labels`] (the `{a="b"}` text of a protobuf stream), [`encode`] (records to a body, for clients). Source:
//! Loki 3.7's HTTP API documentation. Limits: [`RECORDS_MAX`] records, [`PUSH_RAW_BYTES_MAX`] bytes unpacked,
//! counted while decoding, before memory is spent. Must not do: HTTP, or judge tenants' limits.

mod json;
mod labels;
mod names;
pub(crate) mod protobuf;

use prost::Message as _;
use proto_model::{Labels, Record};

use crate::limits::{PUSH_RAW_BYTES_MAX, RECORDS_MAX};
use crate::logproto;

pub use json::json;
pub use labels::labels;
pub use names::{normalize, normalized};
pub use protobuf::protobuf;

/// One pushed stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Its labels as sent.
    pub labels: Labels,
    /// Its records in order.
    pub records: Vec<Record>,
}

/// A push body that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushFault {
    /// The body is not what it claims to be; the text is for the sender.
    #[error("{0}")]
    Malformed(String),
    /// The body passes a limit.
    #[error("the push holds {found} {what}, more than the {limit} allowed")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// What was found.
        found: u64,
        /// The limit.
        limit: u64,
    },
}

/// Counts records while a body is decoded.
#[derive(Debug, Default)]
pub(crate) struct Count {
    records: usize,
}

impl Count {
    pub(crate) fn record(&mut self) -> Result<(), PushFault> {
        self.records += 1;
        if self.records > RECORDS_MAX {
            return Err(PushFault::TooLarge { what: "entries", found: self.records as u64, limit: RECORDS_MAX as u64 });
        }
        Ok(())
    }
}

/// Records to a protobuf body in snappy.
///
/// # Errors
/// [`PushFault::TooLarge`] beyond what snappy can pack.
pub fn encode(streams: &[Pushed]) -> Result<Vec<u8>, PushFault> {
    let streams = streams.iter().map(|pushed| logproto::Stream { labels: pushed.labels.to_string(), entries: pushed.records.iter().map(entry).collect() });
    let body = logproto::PushRequest { streams: streams.collect() }.encode_to_vec();
    let too_large = |_| PushFault::TooLarge { what: "bytes", found: body.len() as u64, limit: PUSH_RAW_BYTES_MAX as u64 };
    snap::raw::Encoder::new().compress_vec(&body).map_err(too_large)
}

fn entry(record: &Record) -> logproto::Entry {
    let seconds = record.time.nanos().div_euclid(1_000_000_000);
    let nanos = i32::try_from(record.time.nanos().rem_euclid(1_000_000_000)).unwrap_or(0);
    logproto::Entry {
        timestamp: Some(logproto::Time { seconds, nanos }),
        line: String::from_utf8_lossy(&record.line).into_owned(),
        structured_metadata: record.metadata.iter().map(|(name, value)| logproto::LabelPair { name: name.clone(), value: value.clone() }).collect(),
    }
}

#[cfg(test)]
mod tests;
