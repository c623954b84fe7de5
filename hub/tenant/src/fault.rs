//! Why a request is not let in.
//!
//! Promises: what a caller sees ([`AccessFault::status`], [`AccessFault::body`]) is the same for every
//! reason of the same status, so it tells nothing about which tokens or tenants exist; the reason
//! itself is for the hub's own log and counters. Must not do: hold a token or a header's text.

use proto_model::{Blame, Remedy};

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessFault {
    /// No Authorization header.
    #[error("the request has no authorization header; send a token as bearer, or as the password of basic")]
    NoToken,
    /// More than one Authorization header, or one that is no Bearer or Basic credential.
    #[error("the authorization header is malformed; send one token as bearer, or as the password of basic")]
    Malformed,
    /// A token that was never made, or whose secret is another.
    #[error("the token is unknown; make one with: tributary-hub token new")]
    UnknownToken,
    /// A token that was revoked.
    #[error("the token was revoked; make a new one with: tributary-hub token new")]
    Revoked,
    /// A token past its expiry.
    #[error("the token has expired; make a new one with: tributary-hub token new")]
    Expired,
    /// A role that does not allow this kind of request.
    #[error("the token's role does not allow this request; use a token of the right role")]
    Role,
    /// A token none of whose tenants exists any more.
    #[error("no tenant of the token exists; make a token for one that does")]
    NoTenant,
    /// A token of several tenants and a request that does not say which.
    #[error("the token holds several tenants and the request names none; send x-scope-orgid")]
    TenantNeeded,
    /// A push for several tenants.
    #[error("a push names several tenants; send exactly one in x-scope-orgid")]
    OneTenantNeeded,
    /// An `X-Scope-OrgID` that is repeated, too long, or no tenant id.
    #[error("x-scope-orgid is malformed or repeated; send tenant ids joined by |, once")]
    Scope,
    /// An `X-Scope-OrgID` with a tenant that the token does not hold, whether or not it exists.
    #[error("x-scope-orgid names a tenant that the token does not hold; name the token's own, or send none")]
    ForeignTenant,
}

impl AccessFault {
    /// The HTTP status: 401 without a valid token, 403 with one that may not.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NoToken | Self::Malformed | Self::UnknownToken | Self::Revoked | Self::Expired => 401,
            Self::Role | Self::NoTenant | Self::TenantNeeded | Self::OneTenantNeeded | Self::Scope | Self::ForeignTenant => 403,
        }
    }

    /// The whole body of the answer.
    #[must_use]
    pub const fn body(self) -> &'static str {
        if self.status() == 401 { "unauthorized\n" } else { "forbidden\n" }
    }

    /// The label value of counters.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Malformed => "malformed",
            Self::UnknownToken => "unknown_token",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Role => "role",
            Self::NoTenant => "no_tenant",
            Self::TenantNeeded => "tenant_needed",
            Self::OneTenantNeeded => "one_tenant_needed",
            Self::Scope => "scope",
            Self::ForeignTenant => "foreign_tenant",
        }
    }

    /// Always the caller's.
    #[must_use]
    pub const fn blame(self) -> Blame {
        Blame::Caller
    }

    /// Always to be mended first.
    #[must_use]
    pub const fn remedy(self) -> Remedy {
        Remedy::Fix
    }
}
