//! Answers over HTTP, within bounds of bytes and time.
//!
//! Parts: [`body`], [`body_of_any_status`], [`json`]. Must not do: ask.

use std::time::Duration;

use reqwest::Response;
use serde::de::DeserializeOwned;

use super::explained;

/// A refusal is read so far, and so much of it is shown.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
const SHOWN_BYTES: usize = 300;

/// The body of an answer of status 200, whole.
///
/// # Errors
/// A text: another status with what the server says, a body beyond `bytes_max`, a connection that broke or stalled for `within`.
pub async fn body(answer: Response, bytes_max: usize, within: Duration) -> Result<Vec<u8>, String> {
    let status = answer.status();
    if status.is_success() {
        return body_of_any_status(answer, bytes_max, within).await;
    }
    let said = body_of_any_status(answer, REFUSAL_BYTES_MAX, within).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said[..said.len().min(SHOWN_BYTES)]).trim().to_owned();
    Err(format!("the server answers {}: {said:?}", status.as_u16()))
}

/// The body of an answer, whole, whatever its status.
///
/// # Errors
/// As [`body`], but for the status.
pub async fn body_of_any_status(mut answer: Response, bytes_max: usize, within: Duration) -> Result<Vec<u8>, String> {
    let read = async {
        let mut out = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|fault| explained(&fault))? {
            out.extend_from_slice(&chunk);
            if out.len() > bytes_max {
                return Err(format!("the answer is larger than {bytes_max} bytes"));
            }
        }
        Ok(out)
    };
    tokio::time::timeout(within, read).await.map_err(|_| format!("the answer did not end within {} s", within.as_secs()))?
}

/// The same, as JSON.
///
/// # Errors
/// As [`body`], and what is not the JSON that was expected.
pub async fn json<T: DeserializeOwned>(answer: Response, bytes_max: usize, within: Duration) -> Result<T, String> {
    let bytes = body(answer, bytes_max, within).await?;
    serde_json::from_slice(&bytes).map_err(|fault| format!("the answer is not understood: {fault}"))
}
