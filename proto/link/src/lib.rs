//! Sessions of edges with hubs, over QUIC or gRPC, with the same messages and the same bounds.
//!
//! ```text
//! edge: Targets -> Dial (Auto: QUIC, else gRPC) -> Session | network | Session <- Listen (QuicServer, GrpcServer) :hub
//! ```
//!
//! Parts: [`Session`] with its two bounded queues; [`Dial`] and [`Listen`], and who implements them: [`QuicClient`]
//! and [`QuicServer`], [`GrpcClient`] and [`GrpcServer`], and within one process [`DirectNet`]; [`Auto`], which
//! chooses; [`backoff`], how long to wait between dials, or other tries; [`ServerTls`] and [`ClientTls`], the newest certificates;
//! [`Caps`], how many sessions; [`LinkFault`], why there is none. Format: `docs/formats/wire.md`.
//!
//! Promises: both ends have proven themselves by certificate before a session stands; every queue, wait and size
//! has a bound ([`limits`]); a slow receiver slows its sender; the reason of every refusal can be read on both
//! sides. Sockets, time and chance can be given, so that a simulation runs this very code.
//! Must not do: know what a batch contains, or which tenant a peer is.

mod auto;
pub mod backoff;
mod caps;
mod dial;
mod direct;
mod fault;
mod frame;
mod grpc;
pub mod limits;
mod listen;
mod net;
mod patience;
mod quic;
mod session;
mod tls;

pub use auto::{Auto, TransportChoice};
pub use caps::Caps;
pub use dial::{Dial, Proxy, Target, Targets};
pub use direct::{Delay, DirectClient, DirectNet, DirectServer};
pub use fault::{CloseCode, LinkFault, Side};
pub use frame::FrameFault;
pub use grpc::client::GrpcClient;
pub use grpc::server::{Connections, GrpcServer};
pub use listen::Listen;
pub use net::{Connector, Io, Resolver};
pub use quic::client::QuicClient;
pub use quic::server::QuicServer;
pub use session::{Control, Incoming, NotSent, Outgoing, Peer, Session, Transport};
pub use tls::{ClientTls, ServerTls};
