//! Walks the lists, maps and choices of a settings tree for serde.
//!
//! Parts: [`Items`], [`Keys`] with [`KeyReader`], [`Choice`].
//! Promises: an error that passes through gains the step it passed, so that its node can be found
//! again. Must not do: read scalars ([`mod@super::read`] does).

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::environment::{Environment, Trail};
use super::halt::Halt;
use super::read::{Answer, Reader};
use super::spanned::{self, SpannedReader};
use super::tree::{Entry, Node, Place, Step};

/// The elements of a list.
pub(crate) struct Items<'a> {
    pub(crate) items: std::slice::Iter<'a, Node>,
    pub(crate) index: usize,
    pub(crate) environment: &'a Environment<'a>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Halt;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Answer<Option<T::Value>> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        let reader = Reader { node, environment: self.environment, trail: None, strict: false };
        seed.deserialize(reader).map(Some).map_err(|halt| halt.of(node).through(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The keys and values of a map; `fields` are the known keys where a type says them.
pub(crate) struct Keys<'a> {
    pub(crate) entries: std::slice::Iter<'a, Entry>,
    pub(crate) current: Option<&'a Entry>,
    pub(crate) fields: Option<&'static [&'static str]>,
    pub(crate) environment: &'a Environment<'a>,
    pub(crate) trail: Option<&'a Trail<'a>>,
}

impl<'de> MapAccess<'de> for Keys<'_> {
    type Error = Halt;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Answer<Option<K::Value>> {
        for entry in self.entries.by_ref() {
            // `key:` with nothing after it leaves a known key at its default, as it does in Go.
            if entry.node.is_null() && self.fields.is_some_and(|fields| fields.contains(&entry.key.as_str())) {
                continue;
            }
            self.current = Some(entry);
            let key = KeyReader { entry };
            return seed.deserialize(key).map(Some).map_err(|halt| halt.at(&entry.place).through(Step::Key(entry.key.clone())));
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Answer<V::Value> {
        let Some(entry) = self.current.take() else { return Err(Halt::new("a value was asked for before its key", "report this file")) };
        let trail = self.trail.map(|parent| Trail::below(parent, &entry.key));
        let reader = Reader { node: &entry.node, environment: self.environment, trail: trail.as_ref(), strict: self.fields.is_some() };
        seed.deserialize(reader).map_err(|halt| {
            let halt = if halt.is_ignored() { Halt::unknown_key(&entry.key, self.fields.unwrap_or_default()).at(&entry.place) } else { halt };
            halt.of(&entry.node).through(Step::Key(entry.key.clone()))
        })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A key: text, with a place for those who ask for it.
#[derive(Clone, Copy)]
pub(crate) struct KeyReader<'a> {
    pub(crate) entry: &'a Entry,
}

impl<'de> Deserializer<'de> for KeyReader<'_> {
    type Error = Halt;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        visitor.visit_str(&self.entry.key)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Answer<V::Value> {
        if name == spanned::NAME { visitor.visit_newtype_struct(SpannedReader::key(self)) } else { visitor.visit_newtype_struct(self) }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, name: &'static str, variants: &'static [&'static str], visitor: V) -> Answer<V::Value> {
        let text: StrDeserializer<'_, Halt> = self.entry.key.as_str().into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// One of several variants: its name, alone or as the only key of a map.
pub(crate) struct Choice<'a> {
    pub(crate) name: &'a str,
    pub(crate) place: &'a Place,
    pub(crate) content: Option<&'a Node>,
    pub(crate) reader: Reader<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = Halt;
    type Variant = Content<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Answer<(V::Value, Content<'a>)> {
        let name: StrDeserializer<'_, Halt> = self.name.into_deserializer();
        let variant = seed.deserialize(name).map_err(|halt| halt.at(self.place))?;
        Ok((variant, Content { name: self.name, content: self.content, reader: self.reader }))
    }
}

/// What stands under a variant's name.
pub(crate) struct Content<'a> {
    name: &'a str,
    content: Option<&'a Node>,
    reader: Reader<'a>,
}

impl Content<'_> {
    fn read<T>(&self, read: impl FnOnce(Reader<'_>) -> Answer<T>) -> Answer<T> {
        match self.content {
            None => {
                // `- docker` stands for `- docker: {}`.
                let node = Node::map(self.reader.node.place.clone());
                read(Reader { node: &node, environment: self.reader.environment, trail: None, strict: false })
            }
            Some(node) => {
                let trail = self.reader.trail.map(|parent| Trail::below(parent, self.name));
                read(Reader { node, environment: self.reader.environment, trail: trail.as_ref(), strict: false })
                    .map_err(|halt| halt.of(node).through(Step::Key(self.name.to_owned())))
            }
        }
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Halt;

    fn unit_variant(self) -> Answer<()> {
        self.read(|reader| reader.deserialize_unit(Nothing))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Answer<T::Value> {
        self.read(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Answer<V::Value> {
        self.read(|reader| reader.list(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Answer<V::Value> {
        self.read(|reader| reader.keys(visitor, Some(fields)))
    }
}

struct Nothing;

impl Visitor<'_> for Nothing {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nothing after the name")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
