//! Labels as a settings file writes them, and addresses to listen at.
//!
//! Parts: [`LabelsYaml`] (names and values with their places), [`ListenAddress`] (`HOST:PORT` as Go takes it).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use proto_model::Labels;
use serde::{Deserialize, Deserializer};

use super::Placed;

/// A map of labels.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct LabelsYaml(pub BTreeMap<String, Placed<String>>);

impl LabelsYaml {
    /// As labels.
    #[must_use]
    pub fn labels(&self) -> Labels {
        Labels::from_pairs(self.0.iter().map(|(name, value)| (name.as_str(), value.value.as_str())))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where to listen: `HOST:PORT`, `[V6]:PORT`, or `:PORT` for every address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// A name or address; empty = every address.
    pub host: String,
    /// The port; 0 = any.
    pub port: u16,
}

impl ListenAddress {
    /// What a socket is bound to: every address is `0.0.0.0`.
    #[must_use]
    pub fn bind(&self) -> (String, u16) {
        (if self.host.is_empty() { "0.0.0.0".to_owned() } else { self.host.clone() }, self.port)
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address: write HOST:PORT or :PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']')).ok_or_else(wrong)?;
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| wrong())? })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = self.bind();
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
