//! The bytes that may wait for the store: one budget for all, and no more than a part of it for one tenant or edge.
//!
//! Parts: [`Rooms`], the budget; [`Room`], a share of it, given back when dropped. Promises: a tenant or edge that
//! sends without end leaves room for the others; what one request asks for is bounded by what one may have, so
//! that it always comes. Must not do: look at requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use proto_model::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A share of the waiting bytes.
#[derive(Debug, Default)]
pub struct Room {
    _held: Vec<OwnedSemaphorePermit>,
}

/// The waiting bytes; clones share them.
#[derive(Debug, Clone)]
pub struct Rooms {
    all: Arc<Semaphore>,
    budget: usize,
    tenants: Arc<Mutex<BTreeMap<TenantId, Weak<Semaphore>>>>,
}

/// What one session or request may hold at once: taken before the rest, so that whoever waits for it keeps nobody else waiting.
#[derive(Debug, Clone)]
pub struct Part {
    rooms: Rooms,
    own: Arc<Semaphore>,
    own_budget: usize,
}

impl Rooms {
    /// So many bytes.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(budget)), budget, tenants: Arc::default() }
    }

    /// All bytes.
    #[must_use]
    pub const fn budget(&self) -> usize {
        self.budget
    }

    /// Bytes taken now.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.budget.saturating_sub(self.all.available_permits())
    }

    /// A part of at most `bytes`.
    #[must_use]
    pub fn part(&self, bytes: usize) -> Part {
        let own_budget = bytes.min(self.budget);
        Part { rooms: self.clone(), own: Arc::new(Semaphore::new(own_budget)), own_budget }
    }

    /// What one tenant may have: another is never shut out by it alone.
    const fn tenant_budget(&self) -> usize {
        self.budget / 4 * 3
    }

    fn of_tenant(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = tenants.get(tenant).and_then(Weak::upgrade) {
            return found;
        }
        tenants.retain(|_, room| room.strong_count() > 0);
        let made = Arc::new(Semaphore::new(self.tenant_budget()));
        tenants.insert(tenant.clone(), Arc::downgrade(&made));
        made
    }
}

impl Part {
    /// Waits for room for `bytes` of `tenant`.
    pub async fn enter(&self, tenant: Option<&TenantId>, bytes: usize) -> Room {
        let of_tenant = tenant.map(|tenant| self.rooms.of_tenant(tenant));
        let mut held = Vec::with_capacity(3);
        let steps =
            [Some((&self.own, self.own_budget)), of_tenant.as_ref().map(|room| (room, self.rooms.tenant_budget())), Some((&self.rooms.all, self.rooms.budget))];
        for (room, most) in steps.into_iter().flatten() {
            let permits = u32::try_from(bytes.min(most)).unwrap_or(u32::MAX);
            // Nobody closes these.
            if let Ok(permit) = Arc::clone(room).acquire_many_owned(permits).await {
                held.push(permit);
            }
        }
        Room { _held: held }
    }
}

#[cfg(test)]
mod tests;
