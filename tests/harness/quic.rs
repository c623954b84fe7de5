//! Both ends of the real QUIC link on simulated sockets, with certificates made once for all simulations.
//!
//! Parts: [`Identities`] (a CA, a hub's and edges' certificates, in memory); `EvenSigner`, whose signatures all have
//! one length; [`server`]; [`client`]; [`direct_client`] without sockets. Limits: keys and signatures are not seeded, so packets differ in content from run to
//! run; their lengths do not, so that the schedule does not either (`docs/simulation.md`).
//! Must not do: anything that a hub or an edge would not do with a real socket.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use certs::{Authority, ClientMaterial, ClientState, Issued, ServerMaterial, TrustDomain, Validity};
use futures::FutureExt as _;
use proto_link::{Caps, ClientTls, Dial, DirectNet, LinkFault, Listen, QuicClient, QuicServer, Resolver, ServerTls, Session, Target};
use proto_model::{ClusterId, EdgeId, Timestamp};
use proto_seam::World;
use quinn::TokioRuntime;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use tokio::sync::watch;

use crate::net::{SimSocket, Weather};
use crate::world::START_NS;

/// Where hubs listen.
pub const PORT: u16 = 9_443;
/// The name in every hub's certificate.
pub const HUB_NAME: &str = "hub.sim";
/// The clusters whose edges have certificates.
pub const CLUSTERS: [&str; 3] = ["alpha", "beta", "gamma"];
/// The edges of each cluster.
pub const EDGES: [&str; 3] = ["edge-0", "edge-1", "edge-2"];

/// Certificates that all simulations of this process share.
pub struct Identities {
    /// What they are of.
    pub trust_domain: TrustDomain,
    server: Arc<ServerMaterial>,
    clients: BTreeMap<(&'static str, &'static str), Arc<ClientMaterial>>,
}

impl Identities {
    /// The ones of this process.
    ///
    /// # Panics
    /// When the crypto provider fails.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Identities> = OnceLock::new();
        SHARED.get_or_init(Self::make)
    }

    fn make() -> Self {
        let day = 86_400_000_000_000;
        // Wide enough for every skew of a clock.
        let validity = Validity::new(Timestamp(START_NS - 30 * day), Timestamp(START_NS + 300 * day)).unwrap();
        let trust_domain = TrustDomain::new("sim.test").unwrap();
        let authority = Authority::generate_valid(&trust_domain, validity).unwrap();
        let hub = longest(|| authority.issue_hub(&[HUB_NAME.to_owned()], validity).unwrap());
        let mut server = ServerMaterial::from_pem(&hub.cert_pem, &hub.key_pem, Some(authority.ca_pem())).unwrap();
        server.own.certified = EvenSigner::over(&server.own.certified);
        let mut clients = BTreeMap::new();
        for (cluster, edge) in CLUSTERS.iter().flat_map(|cluster| EDGES.iter().map(move |edge| (*cluster, *edge))) {
            let issued = longest(|| authority.issue_edge(&ClusterId::new(cluster).unwrap(), &EdgeId::new(edge).unwrap(), validity).unwrap());
            let mut material = ClientMaterial::from_pem(&issued.cert_pem, &issued.key_pem, authority.ca_pem()).unwrap();
            material.own.certified = EvenSigner::over(&material.own.certified);
            clients.insert((cluster, edge), Arc::new(material));
        }
        Self { trust_domain, server: Arc::new(server), clients }
    }
}

/// The length of an ECDSA signature varies by up to two bytes, and with it that of a certificate: of many the longest, which is
/// of the same length in every run.
fn longest(issue: impl Fn() -> Issued) -> Issued {
    // Base64 without its filling tells the length to the byte.
    let length = |issued: &Issued| issued.cert_pem.bytes().filter(|byte| *byte != b'=').count();
    (0..64).map(|_| issue()).max_by_key(length).expect("some were issued")
}

/// Signs again until the signature has its most frequent length.
#[derive(Debug)]
struct EvenSigner<S>(S);

/// Of an ECDSA signature with P-256, in DER.
const SIGNATURE_BYTES: usize = 71;

impl EvenSigner<Arc<dyn SigningKey>> {
    fn over(certified: &CertifiedKey) -> Arc<CertifiedKey> {
        Arc::new(CertifiedKey { cert: certified.cert.clone(), key: Arc::new(Self(Arc::clone(&certified.key))), ocsp: certified.ocsp.clone() })
    }
}

impl SigningKey for EvenSigner<Arc<dyn SigningKey>> {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(EvenSigner(self.0.choose_scheme(offered)?)))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl Signer for EvenSigner<Box<dyn Signer>> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        loop {
            let signature = self.0.sign(message)?;
            if signature.len() == SIGNATURE_BYTES {
                return Ok(signature);
            }
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }
}

/// Listens on the present host.
///
/// # Panics
/// When the link refuses what it is given.
pub async fn server(weather: Weather, world: &World) -> Box<dyn Listen> {
    let identities = Identities::shared();
    let (_, material) = watch::channel(Some(Arc::clone(&identities.server)));
    let tls = ServerTls::new(material, identities.trust_domain.clone(), world.clock.clone());
    let socket = SimSocket::bind(PORT, weather, &world.entropy).await.unwrap();
    Box::new(QuicServer::with_socket(socket, Arc::new(TokioRuntime), tls, Caps::new(), &world.entropy).unwrap())
}

/// Dials from the present host as `edge` of `cluster`; hubs are found by their turmoil names.
///
/// # Panics
/// When the link refuses what it is given.
pub async fn client(cluster: &str, edge: &str, weather: Weather, world: &World) -> Arc<dyn Dial> {
    let (_, material) = Identities::shared().clients.iter().find(|((c, e), _)| (*c, *e) == (cluster, edge)).unwrap();
    let (_, state) = watch::channel(ClientState::Ready(Arc::clone(material)));
    let tls = ClientTls::new(state, world.clock.clone());
    let resolver = Resolver::Given(Arc::new(|host, port| {
        let address: IpAddr = turmoil::lookup(host);
        async move { Ok(vec![SocketAddr::new(address, port)]) }.boxed()
    }));
    let socket = SimSocket::bind(0, weather, &world.entropy).await.unwrap();
    Arc::new(QuicClient::with_socket(socket, Arc::new(TokioRuntime), resolver, tls, &world.entropy).unwrap())
}

/// Dials as `edge` of `cluster` over links of `net` named `name>hub`; no sockets, no handshakes.
///
/// # Panics
/// When there is no such edge.
#[must_use]
pub fn direct_client(cluster: &str, edge: &str, name: &str, net: &DirectNet) -> Arc<dyn Dial> {
    let (_, material) = Identities::shared().clients.iter().find(|((c, e), _)| (*c, *e) == (cluster, edge)).unwrap();
    let certificate = material.own.certified.cert.first().map(|der| der.to_vec()).unwrap_or_default();
    Arc::new(Routes { name: name.to_owned(), net: net.clone(), certificate })
}

/// One direct link to each hub.
#[derive(Debug)]
struct Routes {
    name: String,
    net: DirectNet,
    certificate: Vec<u8>,
}

#[async_trait]
impl Dial for Routes {
    async fn dial(&self, target: &Target) -> Result<Session, LinkFault> {
        self.net.client(&format!("{}>{}", self.name, target.host), Some(self.certificate.clone())).dial(target).await
    }
}
