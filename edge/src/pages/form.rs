//! In which form a page is wanted.
//!
//! Pure. `?format=html|json|text` counts, else the first known type of `Accept`, else text: what a browser, a program and curl each expect.

use axum::http::{HeaderMap, header};
use serde::Deserialize;

/// A page's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    Json,
    Text,
}

/// What an address may ask for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    format: String,
}

pub(super) fn of(asked: &Asked, headers: &HeaderMap) -> Form {
    let named = match asked.format.as_str() {
        "html" => Some(Form::Html),
        "json" => Some(Form::Json),
        "text" => Some(Form::Text),
        _ => None,
    };
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let known = accepted.filter_map(|kind| match kind.split(';').next().unwrap_or_default().trim() {
        "text/html" | "application/xhtml+xml" => Some(Form::Html),
        "application/json" => Some(Form::Json),
        "text/plain" => Some(Form::Text),
        _ => None,
    });
    named.or_else(|| known.take(1).next()).unwrap_or(Form::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_a_program_and_curl_get_their_own() {
        let form = |format: &str, accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            of(&Asked { format: format.to_owned() }, &headers)
        };
        assert_eq!(form("", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Form::Html);
        assert_eq!(form("", "application/json"), Form::Json);
        assert_eq!(form("", "image/png, application/json;q=0.9, text/html"), Form::Json);
        assert_eq!(form("", "*/*"), Form::Text);
        assert_eq!(form("json", "text/html"), Form::Json);
        assert_eq!(form("text", "text/html"), Form::Text);
        assert_eq!(form("pdf", "text/html"), Form::Html);
        assert_eq!(of(&Asked::default(), &HeaderMap::new()), Form::Text);
    }
}
