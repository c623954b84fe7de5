//! The YAML of `pipeline_stages` and `relabel_configs`, as Promtail writes it, typed and placed.
//!
//! Parts: [`StageSettings`] (one entry of `pipeline_stages`: a map with one key) and what stands under each
//! key ([`fields`]), [`RelabelSettings`], [`Pairs`] and [`OneOrMany`] (shapes serde has no word for).
//! Promises: an unknown field is an error of the parser at its line; an unknown or unsupported stage is kept
//! with its place, so that `Program::compile` reports it together with all other mistakes.
//! Must not do: judge values; compiling does that.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::fault::Place;

pub mod fields;

pub use fields::{
    CriSettings, DropSettings, EventLogMessageSettings, GeoIpSettings, JsonSettings, LimitSettings, LogfmtSettings, MatchSettings, MetricConfig,
    MetricSettings, MultilineSettings, OutputSettings, PackSettings, RegexSettings, ReplaceSettings, SamplingSettings, TemplateSettings, TenantSettings,
    TimestampSettings,
};

/// A text with its place.
pub type Text = Spanned<String>;

/// Where a placed value stands.
pub(crate) fn place<T>(value: &Spanned<T>) -> Place {
    value.referenced.into()
}

/// One entry of `pipeline_stages`.
#[derive(Debug, Clone)]
pub struct StageSettings {
    /// Where the entry stands.
    pub at: Place,
    /// What it asks for.
    pub stage: StageKind,
}

/// The stages, and the ways an entry can fail to name one.
#[derive(Debug, Clone)]
pub enum StageKind {
    /// `cri`
    Cri(CriSettings),
    /// `docker`
    Docker,
    /// `json`
    Json(JsonSettings),
    /// `logfmt`
    Logfmt(LogfmtSettings),
    /// `regex`
    Regex(RegexSettings),
    /// `replace`
    Replace(ReplaceSettings),
    /// `labels`
    Labels(Pairs),
    /// `static_labels`
    StaticLabels(Pairs),
    /// `labeldrop`
    LabelDrop(Vec<Text>),
    /// `labelallow`
    LabelAllow(Vec<Text>),
    /// `structured_metadata`, also by its old name `non_indexed_labels`
    StructuredMetadata(Pairs),
    /// `timestamp`
    Timestamp(Box<TimestampSettings>),
    /// `output`
    Output(OutputSettings),
    /// `match`
    Match(Box<MatchSettings>),
    /// `drop`
    Drop(Box<DropSettings>),
    /// `multiline`
    Multiline(MultilineSettings),
    /// `tenant`
    Tenant(TenantSettings),
    /// `decolorize`
    Decolorize,
    /// `pipeline`: nested stages
    Pipeline(Vec<StageSettings>),
    /// `template`
    Template(TemplateSettings),
    /// `metrics`
    Metrics(Named<MetricSettings>),
    /// `limit`
    Limit(Box<LimitSettings>),
    /// `sampling`
    Sampling(SamplingSettings),
    /// `pack`
    Pack(PackSettings),
    /// `geoip`
    GeoIp(GeoIpSettings),
    /// `eventlogmessage`
    EventLogMessage(EventLogMessageSettings),
    /// No stage of Promtail's.
    Unknown(String),
    /// More than one key, or none: the keys found.
    NotOneKey(Vec<String>),
    /// Not a map: what was found.
    NotAMap(String),
}

/// Every stage that can be configured, for the remedy of an unknown one.
pub(crate) const STAGES: &str = "cri, docker, json, logfmt, regex, replace, labels, static_labels, labeldrop, labelallow, structured_metadata, \
                                 timestamp, output, match, drop, multiline, tenant, decolorize, pipeline, template, metrics, limit, sampling, pack, geoip, eventlogmessage";

impl<'de> Deserialize<'de> for StageSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entry = Spanned::<StageKind>::deserialize(deserializer)?;
        Ok(Self { at: place(&entry), stage: entry.value })
    }
}

impl<'de> Deserialize<'de> for StageKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = StageKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stage: a map with one key, the stage's name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StageKind, A::Error> {
        let Some(name) = map.next_key::<String>()? else { return Ok(StageKind::NotOneKey(Vec::new())) };
        let stage = stage_of(&name, &mut map)?;
        let mut names = vec![name];
        while let Some(more) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            names.push(more);
        }
        Ok(if names.len() == 1 { stage } else { StageKind::NotOneKey(names) })
    }

    fn visit_str<E>(self, text: &str) -> Result<StageKind, E> {
        Ok(StageKind::NotAMap(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<StageKind, E> {
        Ok(StageKind::NotOneKey(Vec::new()))
    }
}

/// Reads what stands under the key `name`.
fn stage_of<'de, A: MapAccess<'de>>(name: &str, map: &mut A) -> Result<StageKind, A::Error> {
    Ok(match name {
        "cri" => StageKind::Cri(value(map)?),
        "docker" => nothing(map, StageKind::Docker)?,
        "json" => StageKind::Json(value(map)?),
        "logfmt" => StageKind::Logfmt(value(map)?),
        "regex" => StageKind::Regex(value(map)?),
        "replace" => StageKind::Replace(value(map)?),
        "labels" => StageKind::Labels(value(map)?),
        "static_labels" => StageKind::StaticLabels(value(map)?),
        "labeldrop" => StageKind::LabelDrop(value(map)?),
        "labelallow" => StageKind::LabelAllow(value(map)?),
        "structured_metadata" | "non_indexed_labels" => StageKind::StructuredMetadata(value(map)?),
        "timestamp" => StageKind::Timestamp(value(map)?),
        "output" => StageKind::Output(value(map)?),
        "match" => StageKind::Match(value(map)?),
        "drop" => StageKind::Drop(value(map)?),
        "multiline" => StageKind::Multiline(value(map)?),
        "tenant" => StageKind::Tenant(value(map)?),
        "decolorize" => nothing(map, StageKind::Decolorize)?,
        "pipeline" => StageKind::Pipeline(value(map)?),
        "template" => StageKind::Template(value(map)?),
        "metrics" => StageKind::Metrics(value(map)?),
        "limit" => StageKind::Limit(value(map)?),
        "sampling" => StageKind::Sampling(value(map)?),
        "pack" => StageKind::Pack(value(map)?),
        "geoip" => StageKind::GeoIp(value(map)?),
        "eventlogmessage" => StageKind::EventLogMessage(value(map)?),
        other => {
            map.next_value::<IgnoredAny>()?;
            StageKind::Unknown(other.to_owned())
        }
    })
}

/// The value under a key; `null` is the value with nothing set.
fn value<'de, A: MapAccess<'de>, T: DeserializeOwned + Default>(map: &mut A) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

/// A stage without fields: `docker: {}`, `docker:`.
fn nothing<'de, A: MapAccess<'de>>(map: &mut A, stage: StageKind) -> Result<StageKind, A::Error> {
    map.next_value::<Option<fields::NoSettings>>()?;
    Ok(stage)
}

/// One rule of `relabel_configs`; a field that is absent has Prometheus' default.
#[derive(Debug, Clone)]
pub struct RelabelSettings {
    /// Where the rule stands.
    pub at: Place,
    /// Its fields.
    pub rule: fields::RelabelFields,
}

impl<'de> Deserialize<'de> for RelabelSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rule = Spanned::<fields::RelabelFields>::deserialize(deserializer)?;
        Ok(Self { at: place(&rule), rule: rule.value })
    }
}

/// A map of names to texts in the order of the file; a value may be absent (`level:`).
#[derive(Debug, Clone, Default)]
pub struct Pairs(pub Vec<(Text, Option<Text>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of names to texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

/// A map of names to settings in the order of the file.
#[derive(Debug, Clone)]
pub struct Named<T>(pub Vec<(Text, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedVisitor<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for NamedVisitor<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of names to settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut named = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    named.push(entry);
                }
                Ok(Named(named))
            }
        }
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

/// One text or a list of them.
#[derive(Debug, Clone, Default)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor(PhantomData<String>);
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_i64<E>(self, number: i64) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![number.to_string()]))
            }

            fn visit_u64<E>(self, number: u64) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![number.to_string()]))
            }

            fn visit_bool<E>(self, word: bool) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![word.to_string()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany(texts))
            }
        }
        deserializer.deserialize_any(TextsVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests;
