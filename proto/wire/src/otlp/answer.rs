//! What an OTLP sender is answered, in the form of its request.

use prost::Message as _;

use crate::otlp_messages::{ExportLogsServiceResponse, PartialSuccess, Status};

/// Bytes of `ExportLogsServiceResponse` for a request of which `rejected` records were not stored.
#[must_use]
pub fn partial_success(rejected: u64, message: &str, json: bool) -> Vec<u8> {
    if json {
        // 64-bit numbers are text in OTLP's JSON.
        return serde_json::json!({"partialSuccess": {"rejectedLogRecords": rejected.to_string(), "errorMessage": message}}).to_string().into_bytes();
    }
    let partial = PartialSuccess { rejected_log_records: i64::try_from(rejected).unwrap_or(i64::MAX), error_message: message.to_owned() };
    ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec()
}

/// Bytes of `google.rpc.Status` for an HTTP status.
#[must_use]
pub fn status(http: u16, message: &str, json: bool) -> Vec<u8> {
    let code = match http {
        400 | 413 | 422 => 3,
        401 => 16,
        403 => 7,
        429 => 8,
        503 => 14,
        _ => 2,
    };
    if json {
        return serde_json::json!({"code": code, "message": message}).to_string().into_bytes();
    }
    Status { code, message: message.to_owned() }.encode_to_vec()
}
