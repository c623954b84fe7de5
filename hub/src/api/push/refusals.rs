//! How many pushes are refused, for whom and why.

use proto_boot::Metrics;
use proto_boot::telemetry::Counters;
use proto_model::TenantId;

use crate::api::fault::ApiFault;

/// The counter; clones share it. Its labels come from closed sets.
#[derive(Clone, Debug)]
pub struct Refusals(Counters<2>);

impl Refusals {
    /// Registers it.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let help = "Pushes that were refused, and OTLP requests of which records were left out, by Loki's reasons";
        Self(metrics.counters("tributary_hub_pushes_refused_total", help, ["tenant", "reason"]))
    }

    /// A push of `tenant` was refused, as a whole or in part.
    pub fn count(&self, tenant: &TenantId, fault: &ApiFault) {
        self.0.with([tenant.as_str(), fault.reason()]).inc();
    }
}
