//! Serves `serde_saphyr::Spanned`: a value together with its line and column.
//!
//! That type asks for a newtype of a certain name and then for a map of a marker, the value and two
//! places. The names are internal to serde-saphyr; the tests of `settings` notice when they change.
//! Limits: a value from a variable or flag has line 0. Must not do: anything else.

use serde::de::value::MapDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};

use super::access::KeyReader;
use super::halt::Halt;
use super::read::{Answer, Reader};
use super::tree::Place;

/// The newtype's name.
pub(crate) const NAME: &str = "__yaml_spanned";
/// The first key, by which the map is told from a user's.
const MARKER: &str = "__serde_saphyr_private_spanned";
const KEYS: [&str; 4] = [MARKER, "value", "referenced", "defined"];

/// A node or key to be read with its place.
pub(crate) struct SpannedReader<'a>(Inner<'a>);

#[derive(Clone, Copy)]
enum Inner<'a> {
    Node(Reader<'a>),
    Key(KeyReader<'a>),
}

impl<'a> SpannedReader<'a> {
    pub(crate) const fn node(reader: Reader<'a>) -> Self {
        Self(Inner::Node(reader))
    }

    pub(crate) const fn key(reader: KeyReader<'a>) -> Self {
        Self(Inner::Key(reader))
    }
}

impl<'de> Deserializer<'de> for SpannedReader<'_> {
    type Error = Halt;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        visitor.visit_map(Parts { inner: self.0, given: 0 })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Parts<'a> {
    inner: Inner<'a>,
    /// How many of [`KEYS`] were given.
    given: usize,
}

impl<'de> MapAccess<'de> for Parts<'_> {
    type Error = Halt;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Answer<Option<K::Value>> {
        let Some(key) = KEYS.get(self.given) else { return Ok(None) };
        self.given += 1;
        seed.deserialize((*key).into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Answer<V::Value> {
        match (self.given, self.inner) {
            (1, _) => seed.deserialize(true.into_deserializer()),
            (2, Inner::Node(reader)) => seed.deserialize(reader),
            (2, Inner::Key(key)) => seed.deserialize(key),
            (_, inner) => {
                let place: &Place = match inner {
                    Inner::Node(reader) => &reader.node.place,
                    Inner::Key(key) => &key.entry.place,
                };
                let parts = [("line", place.line), ("column", place.column)];
                seed.deserialize(MapDeserializer::new(parts.into_iter()))
            }
        }
    }
}
