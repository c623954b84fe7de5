//! Requests that wait for the next object, and who gets into it: fair by tenant, then by edge.
//!
//! Pure. Parts: [`Queue`], a row of requests per edge, taken in turn; [`Whose`]. Promises: the order of requests of one
//! edge is kept; each tenant gets a turn before any gets a second, each edge of a tenant likewise, and whose turn
//! it was is remembered from one object to the next, so that no sender, however fast, keeps another out.
//! Must not do: judge requests.

use std::collections::VecDeque;
use std::time::Duration;

use proto_model::{TenantId, Timestamp};

use crate::limits::OPENS_PER_OBJECT;
use crate::request::{Request, Speaker};

/// Whose a request is. All pushes of a tenant are one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// `None`: the cluster is in no tenant.
    pub tenant: Option<TenantId>,
    /// `None`: a push.
    pub edge: Option<Speaker>,
}

#[derive(Debug)]
struct OfEdge {
    edge: Option<Speaker>,
    requests: VecDeque<Request>,
}

#[derive(Debug)]
struct OfTenant {
    tenant: Option<TenantId>,
    /// The next in turn is in front; none is empty.
    edges: VecDeque<OfEdge>,
}

/// Requests that wait for the next object.
#[derive(Debug, Default)]
pub struct Queue {
    /// The next in turn is in front; none is empty.
    tenants: VecDeque<OfTenant>,
    len: usize,
    bytes: usize,
    opens: usize,
    oldest: Option<Timestamp>,
}

impl Queue {
    /// Adds a request that arrived at `now`.
    pub fn add(&mut self, request: Request, whose: Whose, now: Timestamp) {
        self.bytes += request.body_bytes();
        self.len += 1;
        self.opens += usize::from(matches!(request, Request::Open(_)));
        self.oldest.get_or_insert(now);
        let Whose { tenant, edge } = whose;
        let at = self.tenants.iter().position(|of| of.tenant == tenant).unwrap_or_else(|| {
            self.tenants.push_back(OfTenant { tenant, edges: VecDeque::new() });
            self.tenants.len() - 1
        });
        let Some(of_tenant) = self.tenants.get_mut(at) else { return };
        match of_tenant.edges.iter_mut().find(|of| of.edge == edge) {
            Some(of_edge) => of_edge.requests.push_back(request),
            None => of_tenant.edges.push_back(OfEdge { edge, requests: VecDeque::from([request]) }),
        }
    }

    /// How many requests wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How long the object may still be held open; zero = seal now. An open is sealed at once: a session waits for it.
    #[must_use]
    pub fn due_in(&self, now: Timestamp, linger: Duration, bytes_max: usize) -> Duration {
        let oldest = self.oldest.unwrap_or(now);
        // A clock that was set back leaves the age unknown: seal now.
        if self.bytes >= bytes_max || self.opens > 0 || now < oldest { Duration::ZERO } else { linger.saturating_sub(now.since(oldest)) }
    }

    /// Takes requests for one object, at most `bytes_max` of bodies (but at least one request).
    #[must_use]
    pub fn take(&mut self, bytes_max: usize) -> Vec<Request> {
        let (mut taken, mut bytes, mut opens) = (Vec::new(), 0, 0);
        while let Some(mut of_tenant) = self.tenants.pop_front() {
            let Some(mut of_edge) = of_tenant.edges.pop_front() else { continue };
            let Some(request) = of_edge.requests.pop_front() else { continue };
            let (size, open) = (request.body_bytes(), usize::from(matches!(request, Request::Open(_))));
            if (bytes > 0 && bytes + size > bytes_max) || opens + open > OPENS_PER_OBJECT {
                // It keeps its turn for the next object.
                of_edge.requests.push_front(request);
                of_tenant.edges.push_front(of_edge);
                self.tenants.push_front(of_tenant);
                break;
            }
            (bytes, opens) = (bytes + size, opens + open);
            taken.push(request);
            if !of_edge.requests.is_empty() {
                of_tenant.edges.push_back(of_edge);
            }
            if !of_tenant.edges.is_empty() {
                self.tenants.push_back(of_tenant);
            }
        }
        self.bytes -= bytes;
        self.len -= taken.len();
        self.opens -= opens;
        if self.is_empty() {
            self.oldest = None;
        }
        taken
    }

    /// Takes all.
    #[must_use]
    pub fn drain(&mut self) -> Vec<Request> {
        let mut taken = Vec::with_capacity(self.len);
        while !self.is_empty() {
            taken.extend(self.take(usize::MAX));
        }
        taken
    }
}

#[cfg(test)]
mod tests;
