//! Faults to status and body: the only such mapping. Plain text, as Loki answers; Grafana shows it as it is.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hub_ingest::request::PushRefused;
use hub_query::QueryFault;
use hub_store::StoreFault;
use hub_tenant::AccessFault;
use proto_model::Remedy;

/// Headers of every error.
pub const TEXT: [(HeaderName, &str); 2] = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];

/// What a tenant is told of a store that cannot be read.
const STORE_AWAY: &str = "the log store cannot be read now: ask again in a moment\n";

/// Why a request is not answered.
#[derive(Debug)]
pub enum ApiFault {
    /// No token, or not for this.
    Access(AccessFault),
    /// A web page of another site asks: 403.
    Foreign(String),
    /// The query has no answer.
    Query(QueryFault),
    /// The request is wrong: 400.
    Wrong(String),
    /// The push is beyond a limit of its tenant: 400.
    Refused {
        /// As Loki names it where it counts what it discards.
        reason: &'static str,
        /// In Loki's words.
        text: String,
    },
    /// What it names is not there: 404.
    Unknown(String),
    /// The request holds nothing to store: 422.
    Empty(String),
    /// The body is too large: 413.
    TooLarge(String),
    /// The tenant pushes too fast: 429.
    TooFast {
        /// As Loki names it where it counts what it discards.
        reason: &'static str,
        /// In Loki's words.
        text: String,
        /// Seconds until it may try again.
        retry_after_s: u64,
    },
    /// The push was not stored: 503.
    Push(PushRefused),
}

impl From<AccessFault> for ApiFault {
    fn from(fault: AccessFault) -> Self {
        Self::Access(fault)
    }
}

impl From<QueryFault> for ApiFault {
    fn from(fault: QueryFault) -> Self {
        Self::Query(fault)
    }
}

impl From<hub_logql::LogqlFault> for ApiFault {
    fn from(fault: hub_logql::LogqlFault) -> Self {
        Self::Query(QueryFault::Parse(fault))
    }
}

impl ApiFault {
    /// Why a push is refused, from a closed set; Loki's words where it has them.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Refused { reason, .. } | Self::TooFast { reason, .. } => reason,
            Self::TooLarge(_) => "request_body_too_large",
            Self::Push(_) => "not_stored",
            Self::Access(_) | Self::Foreign(_) => "not_allowed",
            Self::Query(_) | Self::Wrong(_) | Self::Unknown(_) | Self::Empty(_) => "malformed",
        }
    }

    /// Status, text, and the seconds until it may be tried again.
    #[must_use]
    pub fn parts(&self) -> (StatusCode, String, Option<u64>) {
        let (status, text, retry_after_s) = match self {
            Self::Access(fault) => (fault.status(), fault.body().to_owned(), None),
            Self::Query(fault) => {
                let retry = match fault.remedy() {
                    Remedy::RetryAfter(span) if fault.status() == 503 => Some(span.as_secs().max(1)),
                    Remedy::RetryAfter(_) | Remedy::Fix | Remedy::Drop | Remedy::Stop => None,
                };
                // Which request to the store failed, at which address, is the operator's to know: `into_response` logs it.
                // Damage is told: to ask again does not help, to ask for a part does.
                let is_away = matches!(fault, QueryFault::Store(store) if !matches!(store, StoreFault::Damaged { .. }));
                let text = if is_away { STORE_AWAY.to_owned() } else { format!("{fault}\n") };
                (fault.status(), text, retry)
            }
            Self::Foreign(text) => (403, format!("{text}\n"), None),
            Self::Wrong(text) | Self::Refused { text, .. } => (400, format!("{text}\n"), None),
            Self::Unknown(text) => (404, format!("{text}\n"), None),
            Self::Empty(text) => (422, format!("{text}\n"), None),
            Self::TooLarge(text) => (413, format!("{text}\n"), None),
            Self::TooFast { text, retry_after_s, .. } => (429, format!("{text}\n"), Some(*retry_after_s)),
            Self::Push(refused) => (503, format!("{refused}\n"), Some(2)),
        };
        (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text, retry_after_s)
    }
}

impl IntoResponse for ApiFault {
    fn into_response(self) -> Response {
        if let Self::Access(fault) = &self {
            tracing::info!(reason = fault.reason(), "a request was refused");
        }
        if let Self::Query(QueryFault::Store(fault)) = &self {
            tracing::warn!(%fault, "a query is not answered: the store cannot be read");
        }
        let (status, text, retry_after_s) = self.parts();
        let mut response = (status, TEXT, text).into_response();
        if let Some(value) = retry_after_s.and_then(|secs| secs.to_string().parse().ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

#[cfg(test)]
mod tests;
