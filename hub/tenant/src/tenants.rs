//! The tenant map: clusters, retention, limits and tokens of each tenant (`tenants.yaml`).
//!
//! Parts: [`Tenants`], read by [`Tenants::parse`]; [`Tenant`], [`TenantState`]; [`Tenants::replaced_by`], the rule for
//! a new version.
//! Promises: read whole or not at all, all mistakes together with line and column; a cluster belongs
//! to one tenant; every token names tenants that exist. The same text reads as the same map. Must not
//! do: read files (the caller brings the text), know tokens made at run time ([`crate::authenticate()`]
//! joins them).
//!
//! ```
//! use hub_tenant::Tenants;
//! let text = "version: 1\ntenants: {acme: {clusters: [alpha]}, blue: {clusters: [alpha]}}";
//! let mistakes = Tenants::parse("tenants.yaml", text).unwrap_err();
//! assert_eq!(mistakes[0].to_string(),
//!     "tenants.yaml:2:56: error: cluster \"alpha\" is in tenant \"acme\" already; fix: keep it in one of the two");
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use proto_boot::settings::{self, place};
use proto_boot::{Mistake, Span};
use proto_model::{ClusterId, TenantId, TokenId};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

use crate::limits::{Ignored, Limits, LimitsPatch};
use crate::token::{Expiry, Role, TokenHash, TokenRecord};

/// The map of one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenants {
    version: u64,
    defaults: Limits,
    tenants: BTreeMap<TenantId, Tenant>,
    clusters: BTreeMap<ClusterId, TenantId>,
    tokens: BTreeMap<TokenId, TokenRecord>,
}

/// One tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// The clusters whose edges write to it.
    pub clusters: BTreeSet<ClusterId>,
    /// Whether it is served, or erased for ever.
    pub state: TenantState,
    /// How long its lines are kept; 0 = for ever.
    pub retention: Span,
    /// Its limits: its own over the hub's defaults.
    pub limits: Limits,
    own: LimitsPatch,
}

/// Whether a tenant is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TenantState {
    /// It is.
    #[default]
    Active,
    /// Its lines are unreadable at once and deleted soon; its name is not given again.
    Erased,
}

/// What a new map is to the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// The same version with the same content: nothing to do.
    Same,
    /// A later version: it takes over.
    Newer,
    /// An earlier version: someone put an old file back. It must not take over.
    Older,
    /// The same version with other content: the version was not raised. It must not take over.
    Changed,
    /// A later version in which an erased tenant is missing or no longer erased. It must not take over: under that name lines are
    /// being deleted.
    Revives,
}

impl Tenants {
    /// Reads a map. `file` is its name, for mistakes.
    ///
    /// # Errors
    /// All mistakes, in order of place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        let (raw, mistakes) = settings::parse_all::<RawTenants>(file, text);
        let mut reading = Reading { file, mistakes, read: Self::empty() };
        if let Some(raw) = raw {
            reading.version(raw.version);
            raw.tenants.0.into_iter().for_each(|(id, tenant)| reading.tenant(id, tenant));
            let mut hashes = BTreeMap::new();
            raw.tokens.into_iter().for_each(|token| reading.token(token, &mut hashes));
        }
        let Reading { mut mistakes, read, .. } = reading;
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        if mistakes.is_empty() { Ok(read) } else { Err(mistakes) }
    }

    fn empty() -> Self {
        Self { version: 0, defaults: Limits::default(), tenants: BTreeMap::new(), clusters: BTreeMap::new(), tokens: BTreeMap::new() }
    }

    /// The same map where tenants have `defaults` in place of Loki's defaults.
    #[must_use]
    pub fn over(mut self, defaults: Limits) -> Self {
        for tenant in self.tenants.values_mut() {
            tenant.limits = defaults.with(&tenant.own);
        }
        self.defaults = defaults;
        self
    }

    /// Its version, raised with each edit; at least 1.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// All tenants, in order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&TenantId, &Tenant)> {
        self.tenants.iter()
    }

    /// One tenant.
    #[must_use]
    pub fn tenant(&self, id: &TenantId) -> Option<&Tenant> {
        self.tenants.get(id)
    }

    /// Whether a tenant exists and is not erased.
    #[must_use]
    pub fn serves(&self, id: &TenantId) -> bool {
        self.tenants.get(id).is_some_and(|tenant| tenant.state == TenantState::Active)
    }

    /// The tenants that are erased.
    pub fn erased(&self) -> impl Iterator<Item = &TenantId> {
        self.tenants.iter().filter(|(_, tenant)| tenant.state == TenantState::Erased).map(|(id, _)| id)
    }

    /// The tenant of a cluster. To act for it, see [`Tenants::identify`].
    #[must_use]
    pub fn tenant_of(&self, cluster: &ClusterId) -> Option<&TenantId> {
        self.clusters.get(cluster)
    }

    /// The token `id` of the file.
    #[must_use]
    pub fn token(&self, id: &TokenId) -> Option<&TokenRecord> {
        self.tokens.get(id)
    }

    /// All tokens of the file, in order of their ids.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &TokenRecord> {
        self.tokens.values()
    }

    /// The limits of a tenant; the defaults for one that does not exist.
    #[must_use]
    pub fn limits(&self, id: &TenantId) -> &Limits {
        self.tenants.get(id).map_or(&self.defaults, |tenant| &tenant.limits)
    }

    /// Limits in the file that change nothing, with their tenant: to be told once, at the start and at each reload.
    pub fn ignored(&self) -> impl Iterator<Item = (&TenantId, &Ignored)> {
        self.tenants.iter().flat_map(|(id, tenant)| tenant.own.ignored().iter().map(move |ignored| (id, ignored)))
    }

    /// What `new` is to this map.
    #[must_use]
    pub fn replaced_by(&self, new: &Self) -> Replacement {
        match new.version.cmp(&self.version) {
            std::cmp::Ordering::Less => Replacement::Older,
            std::cmp::Ordering::Greater if self.erased().any(|id| new.tenants.get(id).is_none_or(|tenant| tenant.state != TenantState::Erased)) => {
                Replacement::Revives
            }
            std::cmp::Ordering::Greater => Replacement::Newer,
            std::cmp::Ordering::Equal if self == new => Replacement::Same,
            std::cmp::Ordering::Equal => Replacement::Changed,
        }
    }
}

/// The file's shape. What only the whole can judge is judged in [`Reading`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTenants {
    version: Option<Spanned<serde_json::Value>>,
    #[serde(default)]
    tenants: Pairs<TenantId, RawTenant>,
    #[serde(default)]
    tokens: Vec<RawToken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTenant {
    #[serde(default)]
    state: TenantState,
    #[serde(default)]
    clusters: Vec<Spanned<ClusterId>>,
    #[serde(default)]
    retention: Span,
    #[serde(default)]
    limits: LimitsPatch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    id: Spanned<TokenId>,
    sha256: Spanned<TokenHash>,
    role: Role,
    #[serde(default)]
    tenants: Vec<Spanned<TenantId>>,
    expires: Option<Expiry>,
}

/// A map as a list, with the places of its keys.
struct Pairs<K, V>(Vec<(Spanned<K>, V)>);

impl<K, V> Default for Pairs<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, K: DeserializeOwned, V: DeserializeOwned> Deserialize<'de> for Pairs<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<K, V>(PhantomData<(K, V)>);

impl<'de, K: DeserializeOwned, V: DeserializeOwned> Visitor<'de> for PairsVisitor<K, V> {
    type Value = Pairs<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tenants by id")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key()? {
            pairs.push((key, map.next_value()?));
        }
        Ok(Pairs(pairs))
    }
}

/// A map while it is put together.
struct Reading<'a> {
    file: &'a str,
    mistakes: Vec<Mistake>,
    read: Tenants,
}

impl Reading<'_> {
    fn tell(&mut self, at: (u64, u64), text: String, fix: &str) {
        self.mistakes.push(Mistake::new(self.file, at, text, fix));
    }

    fn version(&mut self, version: Option<Spanned<serde_json::Value>>) {
        let fix = "write version: 1 and raise it with each edit";
        match version {
            None => self.tell((1, 1), "key \"version\" is missing".to_owned(), fix),
            Some(version) => match version.value.as_u64() {
                Some(number) if number > 0 => self.read.version = number,
                Some(_) | None => self.tell(place(&version), "the version is no whole number above 0".to_owned(), fix),
            },
        }
    }

    fn tenant(&mut self, id: Spanned<TenantId>, raw: RawTenant) {
        let mut clusters = BTreeSet::new();
        if raw.state == TenantState::Erased
            && let Some(cluster) = raw.clusters.first()
        {
            let text = format!("tenant {:?} is erased but cluster {:?} writes to it", id.value.as_str(), cluster.value.as_str());
            self.tell(place(cluster), text, "take the cluster out, or move it to another tenant");
        }
        for cluster in raw.clusters {
            match self.read.clusters.get(&cluster.value) {
                Some(other) if *other == id.value => {
                    self.tell(place(&cluster), format!("cluster {:?} is listed twice", cluster.value.as_str()), "remove one of the two");
                }
                Some(other) => {
                    let text = format!("cluster {:?} is in tenant {:?} already", cluster.value.as_str(), other.as_str());
                    self.tell(place(&cluster), text, "keep it in one of the two");
                }
                None => {
                    self.read.clusters.insert(cluster.value.clone(), id.value.clone());
                    clusters.insert(cluster.value);
                }
            }
        }
        let limits = self.read.defaults.with(&raw.limits);
        self.read.tenants.insert(id.value, Tenant { clusters, state: raw.state, retention: raw.retention, limits, own: raw.limits });
    }

    fn token(&mut self, raw: RawToken, hashes: &mut BTreeMap<TokenHash, TokenId>) {
        let at = place(&raw.id);
        let mut tenants = Vec::new();
        for tenant in raw.tenants {
            if !self.read.tenants.contains_key(&tenant.value) {
                let text = format!("token {:?} names tenant {:?}, which does not exist", raw.id.value.as_str(), tenant.value.as_str());
                self.tell(place(&tenant), text, "add the tenant, or take it out of the token");
            } else if tenants.contains(&tenant.value) {
                self.tell(place(&tenant), format!("tenant {:?} is listed twice", tenant.value.as_str()), "remove one of the two");
            }
            tenants.push(tenant.value);
        }
        if let Some(other) = hashes.insert(raw.sha256.value.clone(), raw.id.value.clone()) {
            // The id is part of what is hashed, so one of the two could never be used.
            self.tell(
                place(&raw.sha256),
                format!("token {:?} has the hash of token {:?}", raw.id.value.as_str(), other.as_str()),
                "give each token the hash of its own text",
            );
        }
        let record = TokenRecord { id: raw.id.value, sha256: raw.sha256.value, role: raw.role, tenants, expires: raw.expires };
        if let Some((text, fix)) = record.mistake() {
            self.tell(at, format!("token {:?}: {text}", record.id.as_str()), fix);
        }
        if self.read.tokens.contains_key(&record.id) {
            self.tell(at, format!("token id {:?} is given twice", record.id.as_str()), "give each token an id of its own");
        }
        self.read.tokens.insert(record.id.clone(), record);
    }
}

#[cfg(test)]
mod tests;
