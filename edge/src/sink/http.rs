//! One request to a target, and what of its answer counts.
//!
//! Parts: [`Http`], [`Answer`]. Promises: an answer is read up to [`ANSWER_BYTES_MAX`]. Must not do: try again.

use std::time::Duration;

use bytes::Bytes;
use proto_seam::World;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Request};

use super::target::Target;
use crate::http::Client;

/// Of an answer's text so much is read.
const ANSWER_BYTES_MAX: usize = 1_024;
/// Whose lines a request holds.
pub(super) const TENANT_HEADER: &str = "X-Scope-OrgID";

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: u16,
    /// The beginning of its text, on one line.
    pub(super) text: String,
    /// How long it wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// Requests to one target.
#[derive(Debug)]
pub(super) struct Http {
    target: Target,
    client: Client,
}

impl Http {
    /// Connects with the first request.
    pub(super) fn new(target: Target, world: &World) -> Self {
        Self { client: Client::new(target.http.clone(), None, world), target }
    }

    /// Where it goes.
    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// Sends `body`, snappy protobuf, for `tenant`.
    ///
    /// # Errors
    /// A text: there was no answer, or a file of the settings cannot be read.
    pub(super) async fn post(&self, tenant: &str, body: Bytes) -> Result<Answer, String> {
        let mut headers = self.target.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if !tenant.is_empty() {
            headers.insert(TENANT_HEADER, HeaderValue::from_str(tenant).map_err(|_| "the tenant cannot be sent as a header".to_owned())?);
        }
        let mut request = Request::new(Method::POST, self.target.url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        *request.timeout_mut() = Some(self.target.settings.timeout.0);
        let mut response = self.client.send(request).await?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
        let mut text = Vec::new();
        while text.len() < ANSWER_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => text.extend_from_slice(&chunk),
                // What it means stands in the status.
                Ok(None) | Err(_) => break,
            }
        }
        text.truncate(ANSWER_BYTES_MAX);
        Ok(Answer { status, text: one_line(&text), retry_after })
    }
}

fn one_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).split(|c: char| c.is_control()).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
