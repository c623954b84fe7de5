//! Who may: tokens of people and programs, producers of edges, identities that are revoked.

use hub::producers::{self, Action, ProducerFault};
use hub::tokens::{self, TokenFault, Wanted};
use hub_store::StoreFault;
use hub_tenant::Role;
use proto_boot::units;
use proto_model::{ProducerId, TenantId, Timestamp, TokenId};

use crate::given::Given;
use crate::{complain, failed, say};

/// Makes a token and prints it.
pub(crate) async fn token_new(given: &Given, (id, role, tenants): (Option<TokenId>, Role, Vec<TenantId>), expires: Option<&str>) -> Result<(), u8> {
    let span = expires.map(units::parse_span).transpose().map_err(|fault| {
        complain(format!("--expires: {fault}"));
        2
    })?;
    let expires = span.map(|span| Timestamp(given.world.clock.now_ns()).plus(span));
    let (store, known) = given.store().await?;
    let made = tokens::new(&store, &known, &given.world.entropy, Wanted { id, role, tenants, expires }).await;
    let secret = made.map_err(|fault| {
        complain(&fault);
        match fault {
            TokenFault::Wrong(_) => 2,
            TokenFault::Store(StoreFault::TokenTaken { .. }) => 3,
            TokenFault::Store(_) => 1,
        }
    })?;
    say(secret.expose());
    Ok(())
}

/// Prints all tokens.
pub(crate) async fn token_list(given: &Given, json: bool) -> Result<(), u8> {
    let (store, tenants) = given.store().await?;
    for token in tokens::list(&store, &tenants).await.map_err(failed)? {
        let tenants: Vec<&str> = token.tenants.iter().map(TenantId::as_str).collect();
        let state = if token.revoked { "revoked" } else { "good" };
        say(&if json {
            serde_json::to_string(&token).unwrap_or_default()
        } else {
            format!("{:24} {:8} {state:8} {:24} {}", token.id, token.role, tenants.join(","), token.expires.unwrap_or_default())
        });
    }
    Ok(())
}

/// Ends a token.
pub(crate) async fn token_revoke(given: &Given, id: &TokenId) -> Result<(), u8> {
    let (store, _) = given.store().await?;
    tokens::revoke(&store, id).await.map_err(failed)
}

/// Prints producers.
pub(crate) async fn producer_list(given: &Given, tenant: Option<&TenantId>, json: bool) -> Result<(), u8> {
    let (store, tenants) = given.store().await?;
    for row in producers::list(&store, &tenants, tenant).await.map_err(failed)? {
        say(&if json {
            serde_json::to_string(&row).unwrap_or_default()
        } else {
            let next = row.next.unwrap_or_default();
            format!("{} {:11} {:32} track {} epoch {} last {} {} {next}", row.producer, row.state, row.identity, row.track, row.epoch, row.last, row.reason)
        });
    }
    Ok(())
}

/// Releases or retires a producer.
pub(crate) async fn producer_act(given: &Given, id: ProducerId, action: Action) -> Result<(), u8> {
    let (store, _) = given.store().await?;
    producers::act(&store, &given.world.entropy, id, action).await.map_err(|fault| {
        complain(&fault);
        match fault {
            ProducerFault::Unknown(_) | ProducerFault::Unfit(_) => 2,
            ProducerFault::Store(_) => 1,
        }
    })
}

/// Revokes an edge's identity for ever.
pub(crate) async fn revoke(given: &Given, uri: &str) -> Result<(), u8> {
    let (_, checked) = given.load()?;
    let identity = certs::EdgeIdentity::from_uri(uri, &checked.trust_domain).map_err(|fault| {
        complain(&fault);
        2
    })?;
    let (store, _) = given.store().await?;
    store.revocations().revoke(&identity.cluster, &identity.edge, Timestamp(given.world.clock.now_ns())).await.map_err(failed)
}
