//! `http_sd_configs`: label sets that a server gives as JSON, as files of `file_sd_configs` hold them.
//!
//! Parts: [`HttpSd`] (which server), [`run`] (asks it again and again), [`parse`] (an answer; pure). Limits: [`ANSWER_BYTES_MAX`], and
//! `groups::LABEL_SETS_MAX`. Promises: an answer that does not come or is not understood keeps what was known, and says why. Must not do: relabel.

use std::sync::Arc;
use std::time::Duration;

use proto_seam::World;
use tokio_util::sync::CancellationToken;

use super::feeds::FeedMetrics;
use super::groups::{FeedSender, TargetGroup, listed, publish};
use crate::http::Client;
use crate::http::answer::body;
use crate::settings::http::HttpSettings;

/// Largest answer.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// For an answer.
const WITHIN: Duration = Duration::from_secs(30);

/// Which server, and how often it is asked.
#[derive(Debug, Clone)]
pub struct HttpSd {
    /// What is asked for.
    pub url: String,
    /// How.
    pub http: HttpSettings,
    /// `refresh_interval`.
    pub refresh: Duration,
}

/// The groups of an answer.
///
/// # Errors
/// A text saying what is wrong with it.
pub fn parse(url: &str, bytes: &[u8]) -> Result<Vec<TargetGroup>, String> {
    let entries = serde_json::from_slice(bytes).map_err(|fault| format!("the answer is not understood: {fault}"))?;
    listed(entries, ("__meta_url", url))
}

/// Keeps `sender` up to date until `stop`.
pub async fn run(settings: Arc<HttpSd>, sender: FeedSender, world: World, metrics: FeedMetrics, stop: CancellationToken) {
    let client = Client::new(settings.http.clone(), None, &world);
    loop {
        let asked = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            asked = ask(&settings, &client) => asked,
        };
        match asked {
            Ok(groups) => publish(&sender, groups.into_iter().map(|group| (group.source.clone(), group)).collect(), true, ""),
            Err(why) => metrics.failed("http", &settings.url, &why, &sender),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(settings.refresh) => {}
        }
    }
}

async fn ask(settings: &HttpSd, client: &Client) -> Result<Vec<TargetGroup>, String> {
    let headers = [("accept", "application/json".to_owned()), ("x-prometheus-refresh-interval-seconds", settings.refresh.as_secs_f64().to_string())];
    let answer = client.get(&settings.url, &headers, WITHIN).await?;
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let (is_json, is_sound) = (kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json"), answer.status().is_success());
    let bytes = body(answer, ANSWER_BYTES_MAX, WITHIN).await?;
    if is_sound && !is_json {
        return Err(format!("the answer is of type {kind:?}, not application/json"));
    }
    parse(&settings.url, &bytes)
}

#[cfg(test)]
mod tests;
