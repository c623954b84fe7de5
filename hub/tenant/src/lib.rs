//! The security boundary: who may act for which tenant, and how much of it they may take.
//!
//! Parts, in the order of a start and a request: [`tenants`] (the map, read whole or not at all) with
//! [`limits`]; [`identify`] (a certificate's cluster to a [`Grant`]) for edges; [`token`] and
//! [`mod@authenticate`] (a request's headers to [`Access`]) for people; [`grant`] (the proof without
//! which no store opens); [`fault`].
//!
//! Invariants: a [`Grant`] is made nowhere else; there is no default tenant; a header never widens
//! what a token holds; refusals of one status are equal byte for byte.
//! Must not do: the network, the store, files, clocks: everything here is a function of its arguments.

pub mod authenticate;
pub mod fault;
pub mod grant;
pub mod identify;
pub mod limits;
pub mod tenants;
pub mod token;

pub use authenticate::{Access, Credentials, IssuedTokens, Need, authenticate};
pub use fault::AccessFault;
pub use grant::Grant;
pub use limits::{Ignored, Limits, LimitsPatch, Megabytes};
pub use tenants::{Replacement, Tenant, TenantState, Tenants};
pub use token::{Expiry, Presented, Role, Secret, TokenHash, TokenRecord};
