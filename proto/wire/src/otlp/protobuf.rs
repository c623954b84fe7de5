//! An OTLP body in protobuf, walked by hand down to its records; each of these is unpacked alone.

use bytes::Bytes;
use prost::Message;

use super::{Index, Resource, ScopeRecords, record, scope_pairs};
use crate::limits::{OTLP_MESSAGE_BYTES_MAX, PUSH_RAW_BYTES_MAX};
use crate::otlp_messages::{LogRecord, Resource as ResourceMessage, Scope};
use crate::push::protobuf::{Value, fields, malformed};
use crate::push::{Count, PushFault};

/// Reads an `ExportLogsServiceRequest`.
///
/// # Errors
/// [`PushFault`].
pub fn protobuf(body: &[u8], index: Index<'_>) -> Result<Vec<Resource>, PushFault> {
    if body.len() > PUSH_RAW_BYTES_MAX {
        return Err(PushFault::TooLarge { what: "bytes", found: body.len() as u64, limit: PUSH_RAW_BYTES_MAX as u64 });
    }
    let mut count = Count::default();
    let mut resources = Vec::new();
    fields(body, &mut |number, value| {
        if let (1, Value::Bytes(message)) = (number, value) {
            resources.push(resource(message, index, &mut count)?);
        }
        Ok(())
    })?;
    Ok(resources)
}

fn message<M: Message + Default>(bytes: &[u8]) -> Result<M, PushFault> {
    if bytes.len() > OTLP_MESSAGE_BYTES_MAX {
        return Err(PushFault::TooLarge { what: "bytes in one record or resource", found: bytes.len() as u64, limit: OTLP_MESSAGE_BYTES_MAX as u64 });
    }
    M::decode(Bytes::copy_from_slice(bytes)).map_err(|fault| malformed(&fault.to_string()))
}

fn resource(bytes: &[u8], index: Index<'_>, count: &mut Count) -> Result<Resource, PushFault> {
    let mut resource = Resource::default();
    fields(bytes, &mut |number, value| {
        match (number, value) {
            (1, Value::Bytes(bytes)) => resource.read(&message::<ResourceMessage>(bytes)?.attributes, index),
            (2, Value::Bytes(bytes)) => resource.scopes.push(scope(bytes, count)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(resource)
}

fn scope(bytes: &[u8], count: &mut Count) -> Result<ScopeRecords, PushFault> {
    let mut scope = ScopeRecords::default();
    fields(bytes, &mut |number, value| {
        match (number, value) {
            (1, Value::Bytes(bytes)) => scope.metadata = scope_pairs(&message::<Scope>(bytes)?),
            (2, Value::Bytes(bytes)) => {
                count.record()?;
                scope.records.push(record(&message::<LogRecord>(bytes)?));
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(scope)
}
