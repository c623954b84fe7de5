//! An OTLP body in JSON: camel case names, 64-bit numbers as numbers or text, ids in hexadecimal, bytes in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proto_model::Record;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::{Index, Resource, ScopeRecords, record, scope_pairs};
use crate::limits::OTLP_OBJECTS_MAX;
use crate::otlp_messages::any_value::Value;
use crate::otlp_messages::{AnyValue, ArrayValue, KeyValue, KeyValueList, LogRecord, Scope};
use crate::push::PushFault;

/// Reads an `ExportLogsServiceRequest`.
///
/// # Errors
/// [`PushFault`] with the place of the mistake.
pub fn json(body: &[u8], index: Index<'_>) -> Result<Vec<Resource>, PushFault> {
    let objects = memchr::memchr_iter(b'{', body).count();
    if objects > OTLP_OBJECTS_MAX {
        return Err(PushFault::TooLarge { what: "objects", found: objects as u64, limit: OTLP_OBJECTS_MAX as u64 });
    }
    let request: Request = serde_json::from_slice(body).map_err(|fault| PushFault::Malformed(format!("couldn't parse push request: {fault}")))?;
    Ok(request.resource_logs.into_iter().map(|logs| logs.resource(index)).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs {
    #[serde(default)]
    resource: Attributes,
    #[serde(default)]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attributes {
    attributes: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs {
    #[serde(default)]
    scope: ScopeJson,
    #[serde(default, deserialize_with = "records")]
    log_records: Vec<Record>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ScopeJson {
    name: String,
    version: String,
    attributes: Vec<Pair>,
    dropped_attributes_count: Number,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct LogJson {
    time_unix_nano: Number,
    observed_time_unix_nano: Number,
    severity_number: Number,
    severity_text: String,
    body: Option<Any>,
    attributes: Vec<Pair>,
    dropped_attributes_count: Number,
    flags: Number,
    trace_id: String,
    span_id: String,
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    value: Option<Any>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Any {
    string_value: Option<String>,
    bool_value: Option<bool>,
    int_value: Option<Number>,
    double_value: Option<Double>,
    array_value: Option<Values<Self>>,
    kvlist_value: Option<Values<Pair>>,
    bytes_value: Option<String>,
}

#[derive(Deserialize)]
struct Values<T> {
    #[serde(default = "Vec::new")]
    values: Vec<T>,
}

/// A whole number, as such or as text.
#[derive(Default, Clone, Copy)]
struct Number(i128);

/// A number, as such or as text (`NaN`, `Infinity`).
#[derive(Deserialize)]
#[serde(untagged)]
enum Double {
    Number(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Unsigned(u64),
            Signed(i64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Unsigned(number) => Ok(Self(number.into())),
            Form::Signed(number) => Ok(Self(number.into())),
            Form::Text(text) => text.parse().map(Self).map_err(|_| D::Error::custom(format!("{text:?} is not a whole number"))),
        }
    }
}

impl Number {
    fn as_u64(self) -> u64 {
        u64::try_from(self.0.max(0)).unwrap_or(u64::MAX)
    }

    fn as_u32(self) -> u32 {
        u32::try_from(self.0.max(0)).unwrap_or(u32::MAX)
    }
}

/// Records are brought into their short form one by one.
fn records<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Record>, D::Error> {
    struct Each;
    impl<'de> Visitor<'de> for Each {
        type Value = Vec<Record>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array of log records")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut records = Vec::new();
            while let Some(log) = seq.next_element::<LogJson>()? {
                records.push(record(&log.message().map_err(A::Error::custom)?));
            }
            Ok(records)
        }
    }
    deserializer.deserialize_seq(Each)
}

impl LogJson {
    fn message(self) -> Result<LogRecord, String> {
        Ok(LogRecord {
            time_unix_nano: self.time_unix_nano.as_u64(),
            observed_time_unix_nano: self.observed_time_unix_nano.as_u64(),
            severity_number: i32::try_from(self.severity_number.0).unwrap_or(0),
            severity_text: self.severity_text,
            body: self.body.map(AnyValue::try_from).transpose()?,
            attributes: pairs(self.attributes)?,
            dropped_attributes_count: self.dropped_attributes_count.as_u32(),
            flags: self.flags.as_u32(),
            trace_id: hex(&self.trace_id)?,
            span_id: hex(&self.span_id)?,
        })
    }
}

impl ResourceLogs {
    fn resource(self, index: Index<'_>) -> Resource {
        let mut resource = Resource::default();
        // What cannot be read of an attribute has no place to be told in; the records' own are told.
        resource.read(&pairs(self.resource.attributes).unwrap_or_default(), index);
        resource.scopes = self.scope_logs.into_iter().map(ScopeRecords::from).collect();
        resource
    }
}

impl From<ScopeLogs> for ScopeRecords {
    fn from(logs: ScopeLogs) -> Self {
        let ScopeJson { name, version, attributes, dropped_attributes_count } = logs.scope;
        let attributes = pairs(attributes).unwrap_or_default();
        let scope = Scope { name, version, attributes, dropped_attributes_count: dropped_attributes_count.as_u32() };
        Self { metadata: scope_pairs(&scope), records: logs.log_records }
    }
}

fn pairs(pairs: Vec<Pair>) -> Result<Vec<KeyValue>, String> {
    pairs.into_iter().map(|pair| Ok(KeyValue { key: pair.key, value: pair.value.map(AnyValue::try_from).transpose()? })).collect()
}

impl TryFrom<Any> for AnyValue {
    type Error = String;

    fn try_from(any: Any) -> Result<Self, String> {
        let value = if let Some(text) = any.string_value {
            Some(Value::StringValue(text))
        } else if let Some(flag) = any.bool_value {
            Some(Value::BoolValue(flag))
        } else if let Some(number) = any.int_value {
            Some(Value::IntValue(i64::try_from(number.0).map_err(|_| "an intValue does not fit 64 bits".to_owned())?))
        } else if let Some(number) = any.double_value {
            Some(Value::DoubleValue(match number {
                Double::Number(number) => number,
                Double::Text(text) => text.parse().map_err(|_| format!("{text:?} is not a number"))?,
            }))
        } else if let Some(array) = any.array_value {
            Some(Value::ArrayValue(ArrayValue { values: array.values.into_iter().map(Self::try_from).collect::<Result<_, _>>()? }))
        } else if let Some(list) = any.kvlist_value {
            Some(Value::KvlistValue(KeyValueList { values: pairs(list.values)? }))
        } else if let Some(text) = any.bytes_value {
            Some(Value::BytesValue(STANDARD.decode(text).map_err(|fault| format!("a bytesValue is not base64: {fault}"))?.into()))
        } else {
            None
        };
        Ok(Self { value })
    }
}

fn hex(text: &str) -> Result<Bytes, String> {
    let wrong = || format!("{text:?} is not a hexadecimal id");
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(wrong());
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())).collect::<Result<Vec<u8>, _>>().map(Bytes::from)
}
