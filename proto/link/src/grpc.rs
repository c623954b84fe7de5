//! Sessions over gRPC: `tributary.v1.Link/Session` on HTTP/2 over TLS 1.3, one session a connection.
//!
//! Parts: [`GrpcClient`](client::GrpcClient), [`GrpcServer`](server::GrpcServer); `proxy`, the way through an HTTP
//! proxy; `pump`, which moves messages between the call and the queues; `status`, close codes as gRPC's; `stream`,
//! the TLS stream that remembers why it failed. Here: the codec, which both ends share.
//!
//! tonic speaks gRPC; the connections below it are made here, one by one, so that each has its certificate, its
//! limits and its end. Limits: windows of 8 MiB, frames as on QUIC, no compression (batches are compressed).
//! Must not do: judge certificates.

pub(crate) mod client;
mod proxy;
mod pump;
pub(crate) mod server;
mod status;
mod stream;

use bytes::Buf as _;
use prost::Message as _;
use proto_wire::edge_hub::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::frame;
use crate::session::Parcel;

/// The one method.
const PATH: &str = "/tributary.v1.Link/Session";

/// Messages as gRPC carries them; received ones pass the same check as on QUIC.
#[derive(Debug, Clone, Copy, Default)]
struct MessageCodec;

impl Codec for MessageCodec {
    type Encode = Parcel;
    type Decode = Message;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for MessageCodec {
    type Item = Parcel;
    type Error = Status;

    fn encode(&mut self, parcel: Parcel, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        parcel.message.encode(out).map_err(|fault| Status::internal(fault.to_string()))
    }
}

impl Decoder for MessageCodec {
    type Item = Message;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Message>, Status> {
        let body = bytes.copy_to_bytes(bytes.remaining());
        frame::decode_message(body).map(Some).map_err(|fault| status::of_frame(&fault))
    }
}
