//! Tokens made by `token new`: written to the store, followed by running hubs within seconds.
//!
//! Parts: [`new`], [`list`], [`revoke`] for the command line and the admin API; [`follow`] for a running
//! hub. Promises: the secret is shown once and stored only as its hash. Must not do: decide who may what.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hub_ingest::request::Speaker;
use hub_store::{Store, StoreFault};
use hub_tenant::{Expiry, IssuedTokens, Role, Secret, Tenants, TokenRecord};
use proto_model::{ClusterId, TenantId, Timestamp, TokenId};
use proto_seam::Entropy;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two looks at the store: what is changed is obeyed within 5 s.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a new token is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its id; `None` = made up.
    pub id: Option<TokenId>,
    /// What it may do.
    pub role: Role,
    /// For whom.
    pub tenants: Vec<TenantId>,
    /// From when on it is void.
    pub expires: Option<Timestamp>,
}

/// Why a token was not made or found.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    /// The wish does not fit together.
    #[error("{0}")]
    Wrong(String),
    /// The store refuses or fails.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// One token, for people.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Listed {
    /// Its id.
    pub id: TokenId,
    /// What it may do.
    pub role: &'static str,
    /// For whom.
    pub tenants: Vec<TenantId>,
    /// When it ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// Makes and stores a token.
///
/// # Errors
/// [`TokenFault`].
pub async fn new(store: &Store, tenants: &Tenants, entropy: &Entropy, wanted: Wanted) -> Result<Secret, TokenFault> {
    if let Some(unknown) = wanted.tenants.iter().find(|tenant| !tenants.serves(tenant)) {
        return Err(TokenFault::Wrong(format!("there is no tenant {unknown}; add it to tenants.yaml first")));
    }
    let made_up = format!("t{:012x}", entropy.next_u64() >> 16);
    let id = match wanted.id {
        Some(id) => id,
        None => TokenId::new(&made_up).map_err(|fault| TokenFault::Wrong(fault.to_string()))?,
    };
    if tenants.token(&id).is_some() {
        return Err(TokenFault::Wrong(format!("tenants.yaml has a token {id} already; choose another id")));
    }
    let mut random = [0; 32];
    for chunk in random.chunks_exact_mut(8) {
        chunk.copy_from_slice(&entropy.next_u64().to_le_bytes());
    }
    let secret = Secret::from_entropy(&id, random);
    let record = TokenRecord { id: id.clone(), sha256: secret.hash(), role: wanted.role, tenants: wanted.tenants, expires: wanted.expires.map(Expiry) };
    if let Some((wrong, fix)) = record.mistake() {
        return Err(TokenFault::Wrong(format!("{wrong}; {fix}")));
    }
    let body = serde_json::to_vec(&record).map_err(|fault| TokenFault::Wrong(fault.to_string()))?;
    store.tokens().create(&id, body.into()).await?;
    Ok(secret)
}

/// All tokens: of the store, then of the file.
///
/// # Errors
/// The store's fault.
pub async fn list(store: &Store, tenants: &Tenants) -> Result<Vec<Listed>, StoreFault> {
    let issued = read(store).await?;
    let all = issued.iter().chain(tenants.tokens());
    Ok(all
        .map(|token| Listed {
            id: token.id.clone(),
            role: token.role.as_str(),
            tenants: token.tenants.clone(),
            expires: token.expires.map(|expires| expires.to_string()),
            revoked: issued.is_revoked(&token.id),
        })
        .collect())
}

/// Revokes a token of the store.
///
/// # Errors
/// The store's fault; there may be no such token.
pub async fn revoke(store: &Store, id: &TokenId) -> Result<(), StoreFault> {
    store.tokens().revoke(id).await
}

/// What the store holds.
///
/// # Errors
/// The store's fault.
pub async fn read(store: &Store) -> Result<IssuedTokens, StoreFault> {
    let stored = store.tokens().list().await?;
    let revoked: Vec<TokenId> = stored.iter().filter(|token| token.revoked).map(|token| token.id.clone()).collect();
    let records = stored.into_iter().filter_map(|token| match serde_json::from_slice::<TokenRecord>(&token.body) {
        Ok(record) if record.id == token.id => Some(record),
        _ => {
            tracing::error!(id = %token.id, "a stored token cannot be read and is void");
            None
        }
    });
    Ok(IssuedTokens::new(records.collect::<Vec<_>>(), revoked))
}

/// The clusters that belong to a tenant.
#[must_use]
pub fn clusters(tenants: &Tenants) -> Vec<ClusterId> {
    tenants.iter().flat_map(|(_, tenant)| tenant.clusters.iter().cloned()).collect()
}

/// The revoked edges of `clusters`.
///
/// # Errors
/// The store's fault.
pub async fn revoked(store: &Store, clusters: &[ClusterId]) -> Result<BTreeSet<Speaker>, StoreFault> {
    let found = store.revocations().list(clusters).await?;
    Ok(found.into_iter().map(|(cluster, edge)| Speaker { cluster, edge }).collect())
}

/// Follows tokens and revocations in the store until told to stop; while it is away the last lists stay in force.
pub async fn follow(
    store: Arc<Store>,
    tenants: watch::Receiver<Arc<Tenants>>,
    issued: watch::Sender<Arc<IssuedTokens>>,
    revocations: watch::Sender<Arc<BTreeSet<Speaker>>>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        match read(&store).await {
            Ok(found) => put_if_changed(&issued, found),
            Err(fault) => tracing::warn!(%fault, "tokens cannot be read now; the last list stays in force"),
        }
        let known = clusters(&tenants.borrow().clone());
        match revoked(&store, &known).await {
            Ok(found) => put_if_changed(&revocations, found),
            Err(fault) => tracing::warn!(%fault, "revocations cannot be read now; the last list stays in force"),
        }
    }
}

fn put_if_changed<T: PartialEq>(sender: &watch::Sender<Arc<T>>, found: T) {
    sender.send_if_modified(|known| {
        let changed = **known != found;
        if changed {
            *known = Arc::new(found);
        }
        changed
    });
}
