//! The admin API: `/ready` and `/metrics` open, all else for operator tokens.
//!
//! Parts: [`routes`]; one function per page. Errors are JSON: `{"error":TEXT,"fix":TEXT}`. Must not do:
//! show a tenant's lines; of its labels only what the cardinality page counts.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hub_store::Store;
use hub_tenant::{Need, Role};
use hub_upkeep::Upkeep;
use proto_boot::{Metrics, probes};
use proto_model::{ProducerId, TenantId, Timestamp, TokenId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::fault::ApiFault;
use crate::api::params::Params;
use crate::producers::{self, Action, ProducerFault};
use crate::segments;
use crate::tokens::{self, TokenFault, Wanted};

/// What the admin pages read.
#[derive(Clone)]
pub struct Admin {
    /// Who asks is judged as on the query port.
    pub api: Api,
    /// The store.
    pub store: Arc<Store>,
    /// Absorption on demand.
    pub upkeep: Arc<Upkeep>,
    /// Counters.
    pub metrics: Metrics,
}

/// All routes.
pub fn routes(admin: Admin) -> Router {
    let open = probes::routes(admin.api.ready.clone(), admin.metrics.clone());
    Router::new()
        .route("/admin/v1/edges", get(edges))
        .route("/admin/v1/losses", get(losses))
        .route("/admin/v1/lanes", get(lanes))
        .route("/admin/v1/absorb", axum::routing::post(absorb))
        .route("/admin/v1/segments", get(segments))
        .route("/admin/v1/cardinality", get(cardinality))
        .route("/admin/v1/producers", get(producer_list).post(producer_act))
        .route("/admin/v1/tenants", get(tenants).put(file_mode).delete(file_mode).post(file_mode))
        .route("/admin/v1/tenants/{tenant}", get(tenant).put(file_mode).delete(file_mode).post(file_mode))
        .route("/admin/v1/tokens", get(token_list).post(token_new))
        .route("/admin/v1/tokens/{id}", axum::routing::delete(token_revoke))
        .with_state(admin)
        .merge(open)
}

/// Why an admin request is not answered.
struct AdminFault {
    status: StatusCode,
    error: String,
    fix: &'static str,
}

impl IntoResponse for AdminFault {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.error, "fix": self.fix}))).into_response()
    }
}

fn fault(status: StatusCode, error: impl Into<String>, fix: &'static str) -> AdminFault {
    AdminFault { status, error: error.into(), fix }
}

type Answer = Result<Json<Value>, AdminFault>;

impl Admin {
    fn operator(&self, headers: &HeaderMap) -> Result<(), AdminFault> {
        match self.api.authorize(headers, Need::Operate) {
            Ok(_) => Ok(()),
            Err(ApiFault::Access(refused)) if refused.status() == 401 => {
                Err(fault(StatusCode::UNAUTHORIZED, "unauthorized", "send an operator's token: Authorization: Bearer trib_..."))
            }
            Err(_) => Err(fault(StatusCode::FORBIDDEN, "forbidden", "this page needs an operator's token: tributary-hub token new --role operator")),
        }
    }
}

pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.nanos())).map(|at| at.to_string()).unwrap_or_default()
}

#[derive(Default, Deserialize)]
struct OfTenant {
    tenant: Option<TenantId>,
    from: Option<String>,
    to: Option<String>,
}

async fn edges(State(admin): State<Admin>, headers: HeaderMap, asked: Query<OfTenant>) -> Answer {
    admin.operator(&headers)?;
    let rows = admin.api.ingest.registry().list();
    let wanted = rows.into_iter().filter(|row| asked.tenant.is_none() || row.tenant == asked.tenant);
    let rows = wanted.map(|row| {
        json!({
            "cluster": row.speaker.cluster, "edge": row.speaker.edge, "tenant": row.tenant, "session": row.session,
            "producer": row.producer.map(|producer| producer.to_string()), "epoch": row.epoch.0, "acked": row.acked.0,
            "backlog_bytes": row.heartbeat.backlog_bytes, "oldest_s": row.heartbeat.oldest_s, "lost_lines": row.heartbeat.lost_lines,
            "cert_not_after": rfc3339(Timestamp::from_secs(row.heartbeat.cert_not_after_s)), "version": row.heartbeat.version,
            "last_seen": rfc3339(row.last_seen),
        })
    });
    Ok(Json(rows.collect()))
}

async fn losses(State(admin): State<Admin>, headers: HeaderMap, asked: Query<OfTenant>) -> Answer {
    admin.operator(&headers)?;
    let time = |text: &Option<String>, default| match text {
        None => Ok(default),
        Some(text) => crate::api::params::time(text).map_err(|why| fault(StatusCode::BAD_REQUEST, why, "write RFC 3339 or nanoseconds")),
    };
    let (from, to) = (time(&asked.from, Timestamp::MIN)?, time(&asked.to, Timestamp::MAX)?);
    let tenants = Arc::clone(&admin.api.tenants.borrow());
    let clusters =
        tenants.iter().filter(|(id, _)| asked.tenant.as_ref().is_none_or(|wanted| wanted == *id)).filter_map(|(_, tenant)| tenant.clusters.iter().next());
    let grants: Vec<_> = clusters.filter_map(|cluster| tenants.identify(cluster)).collect();
    let found = admin.store.losses(&grants).into_iter().filter(|loss| loss.to_ns >= from.nanos() && loss.from_ns <= to.nanos());
    let rows = found.map(|loss| {
        json!({
            "tenant": loss.tenant, "cluster": loss.cluster, "edge": loss.edge, "source": loss.source, "reason": loss.reason,
            "from": rfc3339(Timestamp(loss.from_ns)), "to": rfc3339(Timestamp(loss.to_ns)), "lines": loss.lines, "bytes": loss.bytes,
        })
    });
    Ok(Json(rows.collect()))
}

async fn lanes(State(admin): State<Admin>, headers: HeaderMap) -> Answer {
    admin.operator(&headers)?;
    let rows = admin.store.lanes().into_iter().map(|lane| {
        json!({
            "lane": lane.lane.to_string(), "head": lane.head, "floor": lane.floor, "snapshot": lane.snapshot,
            "writer": lane.writer, "idle_s": lane.idle_s, "frozen": lane.frozen,
        })
    });
    Ok(Json(rows.collect()))
}

/// Absorbs all that is committed now; 200 when it stands in segments.
async fn absorb(State(admin): State<Admin>, headers: HeaderMap, body: axum::body::Bytes) -> Answer {
    const FORM: &str = "send {} for all tenants, or {\"tenant\":T}";
    admin.operator(&headers)?;
    let asked = if body.is_empty() { Ok(OfTenant::default()) } else { serde_json::from_slice::<OfTenant>(&body) };
    let asked = asked.map_err(|wrong| fault(StatusCode::BAD_REQUEST, wrong.to_string(), FORM))?;
    let done = admin.upkeep.absorb_all(asked.tenant.as_ref()).await;
    done.map(|()| Json(json!({})))
        .map_err(|fault| self::fault(StatusCode::SERVICE_UNAVAILABLE, fault.to_string(), "see that the store answers, then ask again"))
}

async fn segments(State(admin): State<Admin>, headers: HeaderMap, asked: Query<OfTenant>) -> Answer {
    admin.operator(&headers)?;
    let tenant = asked.0.tenant.ok_or_else(|| fault(StatusCode::BAD_REQUEST, "tenant is missing", "write ?tenant=T"))?;
    let newest = admin.upkeep.manifest(&tenant).await;
    let newest = newest.map_err(|away| fault(StatusCode::SERVICE_UNAVAILABLE, away.to_string(), "see that the store answers, then ask again"))?;
    Ok(Json(newest.map_or_else(|| json!([]), |manifest| manifest.segments.iter().map(segments::shown).collect())))
}

async fn cardinality(State(admin): State<Admin>, headers: HeaderMap, params: Params) -> Answer {
    admin.operator(&headers)?;
    let tenant = params.one("tenant").and_then(|text| TenantId::new(text).ok());
    let tenant = tenant.ok_or_else(|| fault(StatusCode::BAD_REQUEST, "tenant is missing", "write ?tenant=T"))?;
    let tenants = Arc::clone(&admin.api.tenants.borrow());
    let cluster = tenants.tenant(&tenant).and_then(|found| found.clusters.iter().next());
    let grant = cluster.and_then(|cluster| tenants.identify(cluster));
    let grant = grant.ok_or_else(|| fault(StatusCode::NOT_FOUND, "there is no such tenant", "GET /admin/v1/tenants lists them"))?;
    crate::api::cardinality::page(&admin.api, &[grant], &params).await.map_err(|refused| {
        let (status, text, _) = refused.parts();
        fault(status, text.trim_end(), "ask for start, end (or since) and limit as on /loki/api/v1/cardinality")
    })
}

async fn producer_list(State(admin): State<Admin>, headers: HeaderMap, asked: Query<OfTenant>) -> Answer {
    admin.operator(&headers)?;
    let tenants = Arc::clone(&admin.api.tenants.borrow());
    let rows = producers::list(&admin.store, &tenants, asked.tenant.as_ref()).await;
    rows.map(|rows| Json(json!(rows))).map_err(|away| fault(StatusCode::SERVICE_UNAVAILABLE, away.to_string(), "try again"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProducerAsked {
    producer: String,
    action: Action,
}

async fn producer_act(State(admin): State<Admin>, headers: HeaderMap, body: Result<Json<ProducerAsked>, axum::extract::rejection::JsonRejection>) -> Answer {
    const FORM: &str = "send {\"producer\":ID,\"action\":\"release\"} or \"retire\"; GET /admin/v1/producers lists them";
    admin.operator(&headers)?;
    let Json(asked) = body.map_err(|wrong| fault(StatusCode::BAD_REQUEST, wrong.body_text(), FORM))?;
    let producer: ProducerId = asked.producer.parse().map_err(|_| fault(StatusCode::BAD_REQUEST, "that is no id of a producer", FORM))?;
    producers::act(&admin.store, &admin.api.world.entropy, producer, asked.action).await.map_err(|wrong| match wrong {
        ProducerFault::Unknown(_) => fault(StatusCode::NOT_FOUND, wrong.to_string(), "GET /admin/v1/producers lists them"),
        ProducerFault::Unfit(text) => fault(StatusCode::CONFLICT, text, "GET /admin/v1/producers shows how it stands"),
        ProducerFault::Store(away) => fault(StatusCode::SERVICE_UNAVAILABLE, away.to_string(), "ask again: the same action twice does no harm"),
    })?;
    Ok(Json(json!({})))
}

async fn tenants(State(admin): State<Admin>, headers: HeaderMap) -> Answer {
    admin.operator(&headers)?;
    let map = Arc::clone(&admin.api.tenants.borrow());
    let rows: serde_json::Map<String, Value> = map.iter().map(|(id, tenant)| (id.to_string(), shown(tenant))).collect();
    Ok(Json(json!({"version": map.version(), "tenants": rows})))
}

fn shown(tenant: &hub_tenant::Tenant) -> Value {
    let state = match tenant.state {
        hub_tenant::TenantState::Active => "active",
        hub_tenant::TenantState::Erased => "erased",
    };
    json!({"state": state, "clusters": tenant.clusters, "retention": tenant.retention.to_string(), "limits": tenant.limits.to_json()})
}

async fn tenant(State(admin): State<Admin>, headers: HeaderMap, Path(id): Path<TenantId>) -> Answer {
    admin.operator(&headers)?;
    let map = Arc::clone(&admin.api.tenants.borrow());
    map.tenant(&id).map(|tenant| Json(shown(tenant))).ok_or_else(|| fault(StatusCode::NOT_FOUND, "there is no such tenant", "GET /admin/v1/tenants lists them"))
}

/// In file mode the file is the one truth.
async fn file_mode(State(admin): State<Admin>, headers: HeaderMap) -> Answer {
    admin.operator(&headers)?;
    Err(fault(StatusCode::CONFLICT, "the tenant map is a file", "edit tenants.yaml and raise its version; running hubs take it up"))
}

async fn token_list(State(admin): State<Admin>, headers: HeaderMap) -> Answer {
    admin.operator(&headers)?;
    let tenants = Arc::clone(&admin.api.tenants.borrow());
    let listed = tokens::list(&admin.store, &tenants).await.map_err(|away| fault(StatusCode::SERVICE_UNAVAILABLE, away.to_string(), "try again"))?;
    Ok(Json(json!(listed)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    id: Option<TokenId>,
    role: Role,
    #[serde(default)]
    tenants: Vec<TenantId>,
    expires: Option<proto_boot::Span>,
}

async fn token_new(State(admin): State<Admin>, headers: HeaderMap, body: Result<Json<NewToken>, axum::extract::rejection::JsonRejection>) -> Answer {
    admin.operator(&headers)?;
    let Json(asked) = body.map_err(|wrong| fault(StatusCode::BAD_REQUEST, wrong.body_text(), "send {\"role\":\"reader\",\"tenants\":[\"acme\"]}"))?;
    let tenants = Arc::clone(&admin.api.tenants.borrow());
    let wanted = Wanted { id: asked.id, role: asked.role, tenants: asked.tenants, expires: asked.expires.map(|span| admin.api.now().plus(span.0)) };
    let secret = tokens::new(&admin.store, &tenants, &admin.api.world.entropy, wanted).await.map_err(|wrong| match wrong {
        TokenFault::Wrong(text) => fault(StatusCode::BAD_REQUEST, text, "mend the request"),
        TokenFault::Store(away) => fault(StatusCode::SERVICE_UNAVAILABLE, away.to_string(), "choose another id, or try again"),
    })?;
    Ok(Json(json!({"token": secret.expose()})))
}

async fn token_revoke(State(admin): State<Admin>, headers: HeaderMap, Path(id): Path<TokenId>) -> Answer {
    admin.operator(&headers)?;
    tokens::revoke(&admin.store, &id).await.map_err(|wrong| fault(StatusCode::NOT_FOUND, wrong.to_string(), "GET /admin/v1/tokens lists them"))?;
    Ok(Json(json!({})))
}
