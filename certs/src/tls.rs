//! Every rustls configuration of the project, so that versions and suites stand in one place.
//!
//! Parts: [`server_quic`], [`server_grpc`] for the hub's link; [`client_quic`], [`client_grpc`] for
//! the edge's; [`server_http`] for the query API; [`server_receiver`] for what sends logs to an edge.
//!
//! Promises: the link speaks TLS 1.3 only, asks for a client certificate within the handshake, and
//! knows neither 0-RTT nor resumption nor tickets, because identity is judged at each handshake.
//! The query API takes TLS 1.2 and 1.3 and no client certificate: people prove themselves by token.
//! Validity is judged by the given [`Clock`]. Must not do: sockets; making a new configuration for
//! new material is the caller's work (see [`crate::store`]).

use std::sync::Arc;

use proto_seam::Clock;
use rustls::client::Resumption;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig};

use crate::fault::CertsFault;
use crate::identity::TrustDomain;
use crate::store::{ClientMaterial, ServerMaterial};
use crate::trust::{ClockTime, EdgeVerifier, hub_verifier, provider};

/// The link's protocol over QUIC.
pub const ALPN_QUIC: &[u8] = b"tributary/1";

/// The link's protocol over TCP, and HTTP/2 in general.
pub const ALPN_H2: &[u8] = b"h2";

/// HTTP/1.1.
pub const ALPN_HTTP1: &[u8] = b"http/1.1";

/// The hub's side of a QUIC link.
///
/// # Errors
/// [`CertsFault::NoRoots`] when `material` trusts no client CA, [`CertsFault::Tls`] when rustls refuses.
pub fn server_quic(material: &ServerMaterial, trust_domain: &TrustDomain, clock: &Clock) -> Result<Arc<ServerConfig>, CertsFault> {
    server_link(material, trust_domain, clock, ALPN_QUIC)
}

/// The hub's side of a gRPC link.
///
/// # Errors
/// As [`server_quic`].
pub fn server_grpc(material: &ServerMaterial, trust_domain: &TrustDomain, clock: &Clock) -> Result<Arc<ServerConfig>, CertsFault> {
    server_link(material, trust_domain, clock, ALPN_H2)
}

/// The edge's side of a QUIC link.
///
/// # Errors
/// [`CertsFault::Tls`] when rustls refuses.
pub fn client_quic(material: &ClientMaterial, clock: &Clock) -> Result<Arc<ClientConfig>, CertsFault> {
    client_link(material, clock, ALPN_QUIC)
}

/// The edge's side of a gRPC link.
///
/// # Errors
/// [`CertsFault::Tls`] when rustls refuses.
pub fn client_grpc(material: &ClientMaterial, clock: &Clock) -> Result<Arc<ClientConfig>, CertsFault> {
    client_link(material, clock, ALPN_H2)
}

/// TLS of the query API: HTTP/2 and HTTP/1.1, without client certificates.
///
/// # Errors
/// [`CertsFault::Tls`] when rustls refuses.
pub fn server_http(material: &ServerMaterial, clock: &Clock) -> Result<Arc<ServerConfig>, CertsFault> {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(ClockTime(clock.clone())))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(CertsFault::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&material.own.certified))));
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()];
    Ok(Arc::new(config))
}

/// TLS of a receiver of logs: clients prove themselves by certificate where `material` names their CAs; `optional` lets in those
/// that show none.
///
/// # Errors
/// [`CertsFault::NoRoots`] when the CAs are none, [`CertsFault::Tls`] when rustls refuses.
pub fn server_receiver(material: &ServerMaterial, clock: &Clock, alpn: &[&[u8]], optional: bool) -> Result<Arc<ServerConfig>, CertsFault> {
    let builder = ServerConfig::builder_with_details(provider(), Arc::new(ClockTime(clock.clone())))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(CertsFault::Tls)?;
    let builder = match &material.client_roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider());
            let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(|_| CertsFault::NoRoots)?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&material.own.certified))));
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn server_link(material: &ServerMaterial, trust_domain: &TrustDomain, clock: &Clock, alpn: &[u8]) -> Result<Arc<ServerConfig>, CertsFault> {
    let roots = material.client_roots.as_ref().ok_or(CertsFault::NoRoots)?;
    let verifier = EdgeVerifier::new(Arc::clone(roots), trust_domain.clone())?;
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(ClockTime(clock.clone())))
        .with_protocol_versions(&[&TLS13])
        .map_err(CertsFault::Tls)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&material.own.certified))));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

fn client_link(material: &ClientMaterial, clock: &Clock, alpn: &[u8]) -> Result<Arc<ClientConfig>, CertsFault> {
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(ClockTime(clock.clone())))
        .with_protocol_versions(&[&TLS13])
        .map_err(CertsFault::Tls)?
        .with_webpki_verifier(hub_verifier(Arc::clone(&material.hub_roots))?)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&material.own.certified))));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
