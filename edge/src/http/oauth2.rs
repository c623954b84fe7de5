//! Tokens by client credentials (RFC 6749, 4.4), kept until they end.
//!
//! Parts: [`Tokens`]. The edge names itself by Basic authentication and, where that is not taken, in the form, as Go's
//! library does. Promises: one request for a token at a time; no error text holds a secret or an answer. Must not do: send anything else.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use proto_seam::World;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{basic_text, explained, header, made, secret};
use crate::settings::http::OAuth2;

/// A token is not used in its last moments.
const EARLY: Duration = Duration::from_secs(10);
/// Longest answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// The token in use.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    kept: std::sync::Mutex<Option<Token>>,
    /// Who asks for a token; the others wait.
    asking: Mutex<()>,
}

#[derive(Clone)]
struct Token {
    text: String,
    until: Option<Instant>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    #[serde(default)]
    expires_in: Option<f64>,
}

impl Tokens {
    fn kept(&self) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|token| token.until.is_none_or(|until| Instant::now() < until)).map(|token| token.text.clone())
    }

    /// Forgets a token that was not taken, if it is still the one in use.
    pub(super) fn forget(&self, refused: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take_if(|token| token.text == refused);
    }

    /// A token that holds.
    ///
    /// # Errors
    /// A text: none can be had.
    pub(super) async fn token(&self, settings: &OAuth2, world: &World) -> Result<String, String> {
        let _asking = self.asking.lock().await;
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let asked = Instant::now();
        let given = ask(settings, world).await?;
        let lives = given.expires_in.filter(|seconds| *seconds > 0.0 && *seconds < 1e9).map(Duration::from_secs_f64);
        let until = lives.map(|lives| asked + lives.saturating_sub(EARLY.min(lives / 2)));
        let token = Token { text: given.access_token, until };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token.text)
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn ask(settings: &OAuth2, world: &World) -> Result<Given, String> {
    let (own, disk) = (settings.clone(), Arc::clone(&world.disk));
    let make = move || {
        let client = made(&own.http(), None, disk.as_ref())?;
        Ok::<_, String>((client, secret(own.client_secret.as_ref(), own.client_secret_file.as_ref(), disk.as_ref())?))
    };
    let (client, secret) = world.workers.run(make).await?;
    let mut form: BTreeMap<&str, &str> = settings.endpoint_params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let scopes = settings.scopes.join(" ");
    form.insert("grant_type", "client_credentials");
    if !scopes.is_empty() {
        form.insert("scope", &scopes);
    }
    let basic = basic_text(&encoded(&settings.client_id), &encoded(&secret));
    let first = request(&client, settings, &form, Some(basic)).await?;
    if let Ok(given) = first {
        return Ok(given);
    }
    form.insert("client_id", &settings.client_id);
    form.insert("client_secret", &secret);
    request(&client, settings, &form, None).await?.map_err(|why| format!("oauth2.token_url gives no token: {why}; check client_id and its secret"))
}

/// One request: no answer at all, or an answer with or without a token.
async fn request(client: &reqwest::Client, settings: &OAuth2, form: &BTreeMap<&str, &str>, basic: Option<String>) -> Result<Result<Given, String>, String> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut request = client.post(&settings.token_url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body).timeout(REQUEST_MAX);
    if let Some(basic) = basic {
        request = request.header(AUTHORIZATION, header(&basic)?);
    }
    let mut response = request.send().await.map_err(|fault| format!("oauth2.token_url: {}", explained(&fault)))?;
    let status = response.status();
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|fault| format!("oauth2.token_url: {}", explained(&fault)))? {
        text.extend_from_slice(&chunk);
        if text.len() > ANSWER_BYTES_MAX {
            return Ok(Err("its answer is too long".to_owned()));
        }
    }
    if !status.is_success() {
        return Ok(Err(format!("it answers {}", status.as_u16())));
    }
    Ok(serde_json::from_slice::<Given>(&text).map_err(|_| "its answer holds no access_token".to_owned()))
}
