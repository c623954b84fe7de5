//! `control/revoked/<cluster>/<edge>`: identities of edges that are revoked, for ever.
//!
//! An object stands for one identity; it is created, never changed or deleted. Promises: a revocation that was
//! answered is seen by every hub at its next list. Must not do: decide what a revoked edge may still do (nothing).

use proto_model::{ClusterId, EdgeId, Timestamp};

use super::{create_control, read_control};
use crate::fault::StoreFault;
use crate::keys::Key;
use crate::object::Create;
use crate::proto::TokenEntry;
use crate::store::Store;

/// Reads and writes revocations.
#[derive(Debug, Clone, Copy)]
pub struct Revocations<'s> {
    pub(crate) store: &'s Store,
}

impl Revocations<'_> {
    /// Revokes an identity; revoking it again is well.
    ///
    /// # Errors
    /// The store's fault; it is not known then whether it stands: ask again.
    pub async fn revoke(&self, cluster: &ClusterId, edge: &EdgeId, now: Timestamp) -> Result<(), StoreFault> {
        let shore = self.store.shore();
        let key = Key::revoked(cluster, edge);
        let entry = TokenEntry { id: format!("{cluster}/{edge}"), body: bytes::Bytes::new(), written_ns: now.nanos() };
        match create_control(&shore.objects, &shore.keys, &key, &entry).await? {
            Create::Created => Ok(()),
            Create::Exists => read_control::<TokenEntry>(&shore.objects, &shore.keys, &key).await.map(drop),
        }
    }

    /// The revoked edges of `clusters`.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn list(&self, clusters: &[ClusterId]) -> Result<Vec<(ClusterId, EdgeId)>, StoreFault> {
        let mut out = Vec::new();
        for cluster in clusters {
            let names = self.store.shore().objects.list(&Key::revoked_of(cluster)).await?;
            out.extend(names.iter().filter_map(|name| EdgeId::new(name).ok()).map(|edge| (cluster.clone(), edge)));
        }
        Ok(out)
    }
}
