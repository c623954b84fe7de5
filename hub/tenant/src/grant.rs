//! The proof that a session or a request may act for one tenant.
//!
//! [`Grant`] can be made in this crate only, by [`crate::Tenants::identify`] (a certificate's cluster)
//! and [`crate::authenticate()`] (a request's token). Whoever asks for one without either does not
//! compile. A test of another crate makes one by the same door:
//!
//! ```
//! let tenants = hub_tenant::Tenants::parse("tenants.yaml", "version: 1\ntenants: {acme: {clusters: [alpha]}}").unwrap();
//! let grant = tenants.identify(&proto_model::ClusterId::new("alpha").unwrap()).unwrap();
//! assert_eq!(grant.tenant().as_str(), "acme");
//! ```
//!
//! Must not do: be deserialized, defaulted or made from text.

use std::fmt;

use proto_model::TenantId;

/// May act for exactly one tenant. Holding it is the permission; it carries no expiry of its own, so
/// a session asks again when the tenant map changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    tenant: TenantId,
}

impl Grant {
    pub(crate) const fn new(tenant: TenantId) -> Self {
        Self { tenant }
    }

    /// The tenant it is for.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tenant.fmt(f)
    }
}
