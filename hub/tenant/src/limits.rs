//! What one tenant may take: Loki's names, Loki's defaults, and what happens to Loki's other names.
//!
//! Parts: [`Limits`] (all values of a tenant), [`LimitsPatch`] (those that a file sets), [`Ignored`].
//! A tenant's limits are the defaults, patched by `limits:` of hub.yaml, patched by the tenant's own.
//! `docs/limits.md` holds the same table; a test compares them.
//! Promises: a name that this version does not obey is a mistake, unless it steers a part of Loki that
//! does not exist here ([`mod@loki`] says which and why); an unknown name is told with the nearest.
//! Must not do: enforce anything; who meets a limit asks here.

use std::fmt;

use proto_boot::{Bytes, Span};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

pub mod loki;

use loki::Elsewhere;

/// Most texts in a limit that is a list.
pub const LIST_MAX: usize = 64;

/// A rate or amount in megabytes (2^20 bytes), above 0.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
pub struct Megabytes(f64);

impl Megabytes {
    /// In bytes, rounded down.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is above 0, and a float too large becomes the largest integer")]
    pub fn bytes(self) -> u64 {
        (self.0 * 1_048_576.0) as u64
    }
}

impl<'de> Deserialize<'de> for Megabytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if number.is_finite() && number > 0.0 {
            Ok(Self(number))
        } else {
            Err(de::Error::custom("the limit is not above 0; write a number of megabytes like 4 or 0.5"))
        }
    }
}

/// A list of at most [`LIST_MAX`] texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Texts(pub Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        if texts.len() <= LIST_MAX { Ok(Self(texts)) } else { Err(de::Error::custom(format!("the list has more than {LIST_MAX} entries; shorten it"))) }
    }
}

/// Label names that name a service, the first present wins.
fn service_labels() -> Texts {
    let names = [
        "service",
        "app",
        "application",
        "app_name",
        "name",
        "app_kubernetes_io_name",
        "container",
        "container_name",
        "k8s_container_name",
        "component",
        "workload",
        "job",
        "k8s_job_name",
    ];
    Texts(names.map(str::to_owned).to_vec())
}

/// Makes [`Limits`], [`LimitsPatch`] and what goes over all of them out of one table.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:expr;)*) => {
        /// The limits of one tenant. Wherever it makes sense, 0 means "no limit".
        #[derive(Debug, Clone, PartialEq, Serialize)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: $kind,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// The limits that a file sets, and the names in it that change nothing here.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct LimitsPatch {
            ignored: Vec<Ignored>,
            $($name: Option<$kind>,)*
        }

        impl Limits {
            /// The names, in the order of `docs/limits.md`.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// These limits, but for what `patch` sets.
            #[must_use]
            pub fn with(&self, patch: &LimitsPatch) -> Self {
                Self { $($name: patch.$name.clone().unwrap_or_else(|| self.$name.clone()),)* }
            }
        }

        impl LimitsPatch {
            /// Whether it sets nothing.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                true $(&& self.$name.is_none())*
            }

            fn set<'de, A: MapAccess<'de>>(&mut self, name: &'static str, map: &mut A) -> Result<(), A::Error> {
                match name {
                    $(stringify!($name) => self.$name = Some(map.next_value()?),)*
                    _ => return Err(de::Error::unknown_field(name, Limits::NAMES)),
                }
                Ok(())
            }
        }
    };
}

limits! {
    /// Push: bytes of lines a second, in megabytes; over it 429.
    ingestion_rate_mb: Megabytes = Megabytes(4.0);
    /// Push: bytes that may come at once above the rate, in megabytes.
    ingestion_burst_size_mb: Megabytes = Megabytes(6.0);
    /// Push: longest line; 0 = no limit.
    max_line_size: Bytes = Bytes(256 << 10);
    /// Push: cut a longer line in place of refusing it.
    max_line_size_truncate: bool = false;
    /// Push: text at the end of a cut line, counted in its length.
    max_line_size_truncate_identifier: String = String::new();
    /// Push: keep lines above `max_line_size` up to this length, and cut longer ones there with a mark; 0 = off. Not one of Loki's.
    max_long_line_size: Bytes = Bytes(0);
    /// Push: bytes of lines a second of one stream; over it 429; 0 = no limit (Loki: 3MB).
    per_stream_rate_limit: Bytes = Bytes(0);
    /// Push: bytes of one stream that may come at once above its rate.
    per_stream_rate_limit_burst: Bytes = Bytes(15 << 20);
    /// Push: streams of an hour, per hub; a line of one more is answered 429; 0 = no limit.
    max_streams_per_user: u64 = 0;
    /// Push: the same, the smaller of the two counts; 0 = no limit (Loki: 5000).
    max_global_streams_per_user: u64 = 0;
    /// Push: longest label name in bytes.
    max_label_name_length: u64 = 1024;
    /// Push: longest label value in bytes.
    max_label_value_length: u64 = 2048;
    /// Push: labels of a stream.
    max_label_names_per_series: u64 = 15;
    /// Push: refuse lines older than `reject_old_samples_max_age`. Never applies to edges: late data is their normal case.
    reject_old_samples: bool = true;
    /// Push: how old a line may be.
    reject_old_samples_max_age: Span = Span::from_secs(7 * 86_400);
    /// Push: how far in the future a line may lie.
    creation_grace_period: Span = Span::from_secs(600);
    /// Push: take structured metadata.
    allow_structured_metadata: bool = true;
    /// Push: bytes of one line's structured metadata.
    max_structured_metadata_size: Bytes = Bytes(64 << 10);
    /// Push: pairs of one line's structured metadata.
    max_structured_metadata_entries_count: u64 = 128;
    /// Push and edges: labels that name the service, the first present wins; empty = no `service_name` is added.
    discover_service_name: Texts = service_labels();
    /// Push: add `detected_level` to lines.
    discover_log_levels: bool = true;
    /// Query: longest range of time; 0 = no limit.
    max_query_length: Span = Span::from_secs(721 * 3_600);
    /// Query: series of a metric query's answer; 0 = no limit.
    max_query_series: u64 = 500;
    /// Query: lines of a log query's answer; 0 = no limit.
    max_entries_limit_per_query: u64 = 5000;
    /// Query: bytes that one query may read; 0 = no limit.
    max_query_bytes_read: Bytes = Bytes(0);
    /// Query: matchers of a selector; 0 = no limit.
    max_streams_matchers_per_query: u64 = 1000;
    /// Query: longest time that one query may take; 0 = no limit.
    query_timeout: Span = Span::from_secs(60);
    /// Query: memory for the entries, samples and points of one query; 0 = no limit. Not one of Loki's.
    max_query_memory: Bytes = Bytes(512 << 20);
    /// Query: live tails at once, per hub; 0 = no limit.
    max_concurrent_tail_requests: u64 = 10;
}

impl Limits {
    /// All limits by name, in the form of Loki's `drilldown-limits` answer: lengths of time as `30d1h`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("numbers, texts and lists of texts are json")
    }
}

impl LimitsPatch {
    /// Loki's limits that were given and change nothing here.
    #[must_use]
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }
}

/// A limit that was given and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its name.
    pub name: &'static str,
    /// Why it cannot matter here.
    pub reason: &'static str,
    /// Where it stands; 0 when the source has no lines.
    pub line: u64,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {} at line {} changes nothing: {}", self.name, self.line, self.reason)
    }
}

impl<'de> Deserialize<'de> for LimitsPatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PatchVisitor)
    }
}

struct PatchVisitor;

impl<'de> Visitor<'de> for PatchVisitor {
    type Value = LimitsPatch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of limits by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LimitsPatch, A::Error> {
        let mut patch = LimitsPatch::default();
        while let Some(key) = map.next_key::<Spanned<Name>>()? {
            match key.value {
                Name::Obeyed(name) => patch.set(name, &mut map)?,
                Name::Ignored(name, reason) => {
                    map.next_value::<de::IgnoredAny>()?;
                    patch.ignored.push(Ignored { name, reason, line: key.referenced.line() });
                }
            }
        }
        Ok(patch)
    }
}

/// A name of a limit that may stand in a file.
enum Name {
    Obeyed(&'static str),
    Ignored(&'static str, &'static str),
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some(name) = Limits::NAMES.iter().find(|name| **name == text) {
            return Ok(Self::Obeyed(name));
        }
        match loki::elsewhere(&text) {
            Some((name, Elsewhere::Ignored(reason))) => Ok(Self::Ignored(name, reason)),
            Some((name, Elsewhere::Refused(reason, fix))) => Err(de::Error::custom(format!("limit {name:?} is not supported: {reason}; {fix}"))),
            None => Err(de::Error::unknown_field(&text, Limits::NAMES)),
        }
    }
}

#[cfg(test)]
mod tests;
