//! Whose query runs next: one tenant after the other, so that a flood of one keeps no other waiting.
//!
//! Parts: [`Turns`] (the slots and who waits for them), [`Turn`] (a slot, given back when it is dropped). A tenant takes a
//! part of the slots at most, waits in a queue of its own, and when a slot is free the next tenant in the round has it. A query over
//! several tenants stands in the queue of the first. Promises: no slot is lost, whenever a query is given up; a queue that is full refuses
//! at once. Must not do: know how dear a query is.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hub_tenant::Grant;
use prometheus_client::metrics::gauge::Gauge;
use proto_model::TenantId;
use tokio::sync::oneshot;

use crate::fault::QueryFault;
use crate::limits::{QUERIES_AT_ONCE, QUERIES_WAITING_MAX, TENANT_QUERIES_AT_ONCE, TENANT_QUERIES_WAITING_MAX};

/// Slots for queries.
#[derive(Debug)]
pub(crate) struct Turns {
    rules: Rules,
    waiting: Gauge,
    state: Mutex<State>,
}

/// How many may run and wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) at_once: usize,
    pub(crate) at_once_tenant: usize,
    pub(crate) waiting_max: usize,
    pub(crate) waiting_max_tenant: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            at_once: QUERIES_AT_ONCE,
            at_once_tenant: TENANT_QUERIES_AT_ONCE,
            waiting_max: QUERIES_WAITING_MAX,
            waiting_max_tenant: TENANT_QUERIES_WAITING_MAX,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    waiting: usize,
    /// Those that run or wait.
    tenants: BTreeMap<TenantId, Line>,
    /// Who had a slot last out of a queue.
    last: Option<TenantId>,
    next_number: u64,
}

/// One tenant's queries.
#[derive(Debug, Default)]
struct Line {
    running: usize,
    queue: VecDeque<(u64, oneshot::Sender<Turn>)>,
}

/// A slot.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Who it goes back to; `None` when it is no slot any more.
    of: Option<(Arc<Turns>, TenantId)>,
}

/// A place in a queue, left when it is dropped.
struct Place<'t> {
    turns: &'t Arc<Turns>,
    tenant: &'t TenantId,
    number: u64,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((turns, tenant)) = self.of.take() {
            turns.end(&tenant);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        if let Some(line) = state.tenants.get_mut(self.tenant)
            && let Some(at) = line.queue.iter().position(|(number, _)| *number == self.number)
        {
            line.queue.remove(at);
            state.waiting -= 1;
            self.turns.waiting.dec();
        }
        state.forget(self.tenant);
    }
}

impl State {
    /// Drops what is kept of a tenant that neither runs nor waits.
    fn forget(&mut self, tenant: &TenantId) {
        if self.tenants.get(tenant).is_some_and(|line| line.running == 0 && line.queue.is_empty()) {
            self.tenants.remove(tenant);
        }
    }

    /// The tenant behind the last in the round that waits and may run.
    fn next(&self, at_once_tenant: usize) -> Option<TenantId> {
        let may = |(_, line): &(&TenantId, &Line)| !line.queue.is_empty() && line.running < at_once_tenant;
        let behind = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let found = self.tenants.range::<TenantId, _>((behind, Bound::Unbounded)).find(may).or_else(|| self.tenants.iter().find(may));
        found.map(|(tenant, _)| tenant.clone())
    }
}

impl Turns {
    pub(crate) fn new(rules: Rules, waiting: Gauge) -> Arc<Self> {
        Arc::new(Self { rules, waiting, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot.
    ///
    /// # Errors
    /// [`QueryFault::Busy`] when too many wait already.
    pub(crate) async fn take(self: &Arc<Self>, grants: &[Grant]) -> Result<Turn, QueryFault> {
        // Nobody asks for nothing; it would cost nothing.
        let Some(tenant) = grants.first().map(Grant::tenant) else { return Ok(Turn { of: None }) };
        let (number, slot) = {
            let mut state = self.state();
            let (running, waiting, number) = (state.running, state.waiting, state.next_number);
            let line = state.tenants.entry(tenant.clone()).or_default();
            if running < self.rules.at_once && line.running < self.rules.at_once_tenant {
                line.running += 1;
                state.running += 1;
                return Ok(Turn { of: Some((Arc::clone(self), tenant.clone())) });
            }
            if line.queue.len() >= self.rules.waiting_max_tenant || waiting >= self.rules.waiting_max {
                let (running, queued) = (line.running, line.queue.len());
                state.forget(tenant);
                return Err(QueryFault::Busy { running, waiting: queued });
            }
            let (sender, slot) = oneshot::channel();
            line.queue.push_back((number, sender));
            state.next_number += 1;
            state.waiting += 1;
            self.waiting.inc();
            (number, slot)
        };
        let _place = Place { turns: self, tenant, number };
        slot.await.map_err(|_| QueryFault::Cancelled)
    }

    /// Takes a slot back and gives it, and any other that is free, to who waits.
    fn end(self: &Arc<Self>, tenant: &TenantId) {
        let mut state = self.state();
        state.running -= 1;
        if let Some(line) = state.tenants.get_mut(tenant) {
            line.running -= 1;
        }
        state.forget(tenant);
        while state.running < self.rules.at_once
            && let Some(next) = state.next(self.rules.at_once_tenant)
        {
            let Some((_, sender)) = state.tenants.get_mut(&next).and_then(|line| line.queue.pop_front()) else { break };
            state.waiting -= 1;
            self.waiting.dec();
            // Who was given up in the meantime gets none; it must not come back here, where the state is locked.
            match sender.send(Turn { of: Some((Arc::clone(self), next.clone())) }) {
                Ok(()) => {
                    state.running += 1;
                    if let Some(line) = state.tenants.get_mut(&next) {
                        line.running += 1;
                    }
                }
                Err(mut unwanted) => unwanted.of = None,
            }
            state.forget(&next);
            state.last = Some(next);
        }
    }
}

#[cfg(test)]
mod tests;
