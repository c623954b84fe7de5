//! Who is who: certificates, the identity in them, and the TLS configurations made of them.
//!
//! Parts, in the order a certificate lives: [`authority`] makes a CA and signs leaves; [`store`]
//! reads them from disk and again when they change; [`identity`] is the only parser of an edge's
//! name; [`trust`] judges the peer at each handshake; [`tls`] holds every rustls configuration;
//! [`describe`] tells people what stands in a certificate. [`fault`] and [`limits`] serve all.
//!
//! Promises: time comes from [`proto_seam::Clock`], files from [`proto_seam::Disk`]; the crypto
//! provider is named in each configuration, so that no process-wide default matters; key bytes
//! appear in no error, log or `Debug` text. Must not do: open sockets, know tenants.

pub mod authority;
pub mod describe;
pub mod fault;
pub mod identity;
pub mod limits;
pub mod pem;
pub mod store;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod trust;

pub use authority::{Authority, Issued, Validity};
pub use describe::Description;
pub use fault::CertsFault;
pub use identity::{EdgeIdentity, TrustDomain};
pub use store::{ClientMaterial, ClientPaths, ClientState, Credential, ServerMaterial, ServerPaths};
pub use trust::Refusal;
