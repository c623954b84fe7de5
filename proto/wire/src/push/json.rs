//! A JSON push body: `{"streams":[{"stream":{...},"values":[["<ns>","line",{metadata}]]}]}`.
//!
//! Read with serde in one pass, entries straight into records; serde_json bounds nesting at 128. Unknown
//! keys are passed over, as Loki does.

use std::cell::RefCell;
use std::fmt;

use proto_model::labels::LABELS_MAX;
use proto_model::{Labels, Record, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Count, PushFault, Pushed};

/// Reads a JSON push body.
///
/// # Errors
/// [`PushFault`] with the place of the mistake.
pub fn json(body: &[u8]) -> Result<Vec<Pushed>, PushFault> {
    let count = RefCell::new(Count::default());
    let mut over = None;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let streams = Request { count: &count, over: RefCell::new(&mut over) }.deserialize(&mut reader).and_then(|streams| reader.end().map(|()| streams));
    match (streams, over) {
        (_, Some(fault)) => Err(fault),
        (Ok(streams), None) => Ok(streams),
        (Err(fault), None) => Err(PushFault::Malformed(format!("couldn't parse push request: {fault}"))),
    }
}

struct Request<'c> {
    count: &'c RefCell<Count>,
    over: RefCell<&'c mut Option<PushFault>>,
}

impl<'de> DeserializeSeed<'de> for Request<'_> {
    type Value = Vec<Pushed>;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = Vec<Pushed>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"streams\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut streams = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "streams" {
                map.next_value_seed(Each { streams: &mut streams, request: &self })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(streams)
    }
}

struct Each<'r, 'c> {
    streams: &'r mut Vec<Pushed>,
    request: &'r Request<'c>,
}

impl<'de> DeserializeSeed<'de> for Each<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Each<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of streams")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(stream) = seq.next_element_seed(OneStream { request: self.request })? {
            self.streams.push(stream);
        }
        Ok(())
    }
}

struct OneStream<'r, 'c> {
    request: &'r Request<'c>,
}

impl<'de> DeserializeSeed<'de> for OneStream<'_, '_> {
    type Value = Pushed;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Pushed, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneStream<'_, '_> {
    type Value = Pushed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"stream\" and \"values\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pushed, A::Error> {
        let mut pushed = Pushed { labels: Labels::empty(), records: Vec::new() };
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "stream" => pushed.labels = Labels::from_pairs(map.next_value::<Pairs>()?.0),
                "values" => map.next_value_seed(Values { records: &mut pushed.records, request: self.request })?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(pushed)
    }
}

/// A flat object of strings, at most [`LABELS_MAX`].
struct Pairs(Vec<(String, String)>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<String, String>()? {
                    if pairs.len() >= LABELS_MAX {
                        return Err(A::Error::custom(format!("more than {LABELS_MAX} labels")));
                    }
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        reader.deserialize_map(Read)
    }
}

struct Values<'r, 'c> {
    records: &'r mut Vec<Record>,
    request: &'r Request<'c>,
}

impl<'de> DeserializeSeed<'de> for Values<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Values<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(Entry(record)) = seq.next_element::<Entry>()? {
            if let Err(fault) = self.request.count.borrow_mut().record() {
                **self.request.over.borrow_mut() = Some(fault);
                return Err(A::Error::custom("too many entries"));
            }
            self.records.push(record);
        }
        Ok(())
    }
}

struct Entry(Record);

impl<'de> serde::Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[\"<unix epoch in nanoseconds>\", \"<line>\"]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entry, A::Error> {
                let stamp = seq.next_element::<String>()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let ns = stamp.parse::<i64>().map_err(|_| A::Error::custom(format!("the timestamp {stamp:?} is not a number of nanoseconds in a string")))?;
                let line = seq.next_element::<String>()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                let metadata = seq.next_element::<Pairs>()?.map(|pairs| pairs.0).unwrap_or_default();
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Entry(Record { time: Timestamp(ns), line: line.into(), metadata }))
            }
        }
        reader.deserialize_seq(Read)
    }
}
