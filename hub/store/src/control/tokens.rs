//! Tokens made by command and their revocations.
//!
//! Parts: [`Tokens`]; [`StoredToken`]. Promises: a token that cannot be read is left out (it opens
//! nothing); a revocation stands for ever. Limits: [`Tokens::list`] rests on a listing, which on some
//! stores lags by seconds. Must not do: know roles or secrets; the body is the caller's.

use bytes::Bytes;
use proto_model::TokenId;

use crate::fault::StoreFault;
use crate::keys::{Key, token_of};
use crate::limits::CREATE_ROUNDS;
use crate::numbered::{create_control, read_control};
use crate::object::Create;
use crate::proto::TokenEntry;
use crate::store::Store;

/// A token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// Its id.
    pub id: TokenId,
    /// What the hub wrote about it (never the secret itself).
    pub body: Bytes,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// Reads and writes tokens.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'s> {
    pub(crate) store: &'s Store,
}

impl Tokens<'_> {
    /// Stores a new token.
    ///
    /// # Errors
    /// [`StoreFault::TokenTaken`] when the id is in use or was revoked; else the store's fault.
    pub async fn create(&self, id: &TokenId, body: Bytes) -> Result<(), StoreFault> {
        let taken = || StoreFault::TokenTaken { id: id.to_string() };
        if self.read(&Key::revocation(id)).await?.is_some() {
            return Err(taken());
        }
        let entry = TokenEntry { id: id.to_string(), body, written_ns: self.store.shore().objects.moment().wall.nanos() };
        self.create_once(&Key::token(id), &entry).await?.then_some(()).ok_or_else(taken)
    }

    /// Revokes a token; revoking it again is well.
    ///
    /// # Errors
    /// [`StoreFault::NoToken`] when there is none of that id; else the store's fault.
    pub async fn revoke(&self, id: &TokenId) -> Result<(), StoreFault> {
        if self.read(&Key::token(id)).await?.is_none() {
            return Err(StoreFault::NoToken { id: id.to_string() });
        }
        let entry = TokenEntry { id: id.to_string(), body: Bytes::new(), written_ns: self.store.shore().objects.moment().wall.nanos() };
        self.create_once(&Key::revocation(id), &entry).await.map(drop)
    }

    /// All tokens, in order of ids.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn list(&self) -> Result<Vec<StoredToken>, StoreFault> {
        let names = self.store.shore().objects.list(&Key::tokens()).await?;
        let named: Vec<(TokenId, bool)> = names.iter().filter_map(|name| token_of(name)).collect();
        let mut tokens = Vec::new();
        for (id, _) in named.iter().filter(|(_, revocation)| !revocation) {
            let revoked = named.contains(&(id.clone(), true));
            if let Some(body) = self.body(id).await? {
                tokens.push(StoredToken { id: id.clone(), body, revoked });
            }
        }
        Ok(tokens)
    }

    /// A token's body, read once: it never changes.
    async fn body(&self, id: &TokenId) -> Result<Option<Bytes>, StoreFault> {
        if let Some(known) = self.store.known_token(id) {
            return Ok(Some(known));
        }
        match self.read(&Key::token(id)).await {
            Ok(Some(entry)) => {
                self.store.keep_token(id, entry.body.clone());
                Ok(Some(entry.body))
            }
            Ok(None) => Ok(None),
            Err(fault @ (StoreFault::Damaged { .. } | StoreFault::Version { .. })) => {
                tracing::warn!(%fault, "a token is left out");
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    async fn read(&self, key: &Key) -> Result<Option<TokenEntry>, StoreFault> {
        let shore = self.store.shore();
        read_control(&shore.objects, &shore.keys, key).await
    }

    /// Whether `entry` stands under `key`, by this call; the answer to a create may be lost.
    async fn create_once(&self, key: &Key, entry: &TokenEntry) -> Result<bool, StoreFault> {
        let shore = self.store.shore();
        let mut unanswered = None;
        for _ in 0..CREATE_ROUNDS {
            match create_control(&shore.objects, &shore.keys, key, entry).await {
                Ok(Create::Created) => return Ok(true),
                Ok(Create::Exists) => {}
                Err(fault) if fault.is_transient() => unanswered = Some(fault),
                Err(fault) => return Err(fault),
            }
            if let Some(stands) = self.read(key).await? {
                return Ok(unanswered.is_some() && stands == *entry);
            }
        }
        let absent = || StoreFault::Unreachable { action: "create", key: key.to_string(), reason: "it never stood".to_owned() };
        Err(unanswered.unwrap_or_else(absent))
    }
}
