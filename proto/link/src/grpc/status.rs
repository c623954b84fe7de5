//! Close codes as gRPC statuses, and statuses as faults. Pure.

use std::error::Error as _;
use std::sync::Arc;

use tonic::{Code, Status};

use super::stream::Failure;
use crate::fault::{CloseCode, LinkFault, Side};
use crate::frame::FrameFault;

/// A broken frame; the fault is found again in [`fault`].
pub(super) fn of_frame(fault: &FrameFault) -> Status {
    let mut status = Status::invalid_argument(fault.to_string());
    status.set_source(Arc::new(fault.clone()));
    status
}

/// How the hub ends its half of the call; `None` is OK.
pub(super) fn of_close(code: CloseCode, text: &str) -> Option<Status> {
    match code {
        CloseCode::Done => None,
        CloseCode::Protocol => Some(Status::invalid_argument(text)),
        CloseCode::Refused => Some(Status::permission_denied(text)),
        CloseCode::ShuttingDown => Some(Status::unavailable(text)),
    }
}

/// Why the call failed. A failure of the stream below, or a connection that ended, tells more than the status made of it.
pub(super) fn fault(status: &Status, failure: &Failure, peer: Side, address: &str) -> LinkFault {
    let address = address.to_owned();
    if let Some(reason) = status.source().and_then(|source| source.downcast_ref::<FrameFault>()) {
        return LinkFault::Frame { peer, address, reason: reason.clone() };
    }
    if let Some(fault) = failure.fault() {
        return fault;
    }
    if status.source().is_some() {
        return LinkFault::Lost { peer, address, reason: reasons(status) };
    }
    let closed = |code: CloseCode, address: String| LinkFault::Closed { peer, address, code, text: status.message().to_owned() };
    match status.code() {
        // tonic's words for what is wrong with gRPC's own framing; neither side of ours sends these codes.
        Code::OutOfRange | Code::Internal => LinkFault::Frame { peer, address, reason: FrameFault::Grpc(status.message().to_owned()) },
        Code::PermissionDenied | Code::ResourceExhausted | Code::Unauthenticated => closed(CloseCode::Refused, address),
        Code::Unavailable => closed(CloseCode::ShuttingDown, address),
        Code::Cancelled | Code::Unknown | Code::Aborted | Code::DeadlineExceeded | Code::DataLoss => {
            LinkFault::Lost { peer, address, reason: status.message().to_owned() }
        }
        Code::Ok | Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition | Code::Unimplemented => {
            closed(CloseCode::Protocol, address)
        }
    }
}

/// The texts of a status and of what caused it, the last one being what happened.
fn reasons(status: &Status) -> String {
    let mut last = status.source();
    while let Some(deeper) = last.and_then(std::error::Error::source) {
        last = Some(deeper);
    }
    last.map_or_else(|| status.message().to_owned(), ToString::to_string)
}
