//! Who an edge may write for: the cluster that its certificate proves, to a [`Grant`].
//!
//! Promises: a cluster outside of the map gets nothing, there is no default tenant. The answer holds
//! for this version of the map; a session asks again when the map changes. Must not do: look at
//! certificates (`certs` proves the cluster before).

use proto_model::ClusterId;

use crate::grant::Grant;
use crate::tenants::Tenants;

impl Tenants {
    /// The grant for the tenant that `cluster` belongs to; `None` when it belongs to none.
    #[must_use]
    pub fn identify(&self, cluster: &ClusterId) -> Option<Grant> {
        self.tenant_of(cluster).map(|tenant| Grant::new(tenant.clone()))
    }

    /// The labels that name a service in this cluster's tenant (limit `discover_service_name`), the first present wins.
    #[must_use]
    pub fn services(&self, cluster: &ClusterId) -> Vec<String> {
        self.tenant_of(cluster).map_or_else(Vec::new, |tenant| self.limits(tenant).discover_service_name.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use proto_boot::Bytes;
    use proto_model::{ClusterId, TenantId};

    use crate::limits::Limits;
    use crate::tenants::Tenants;

    fn map() -> Tenants {
        let text = "version: 1\ntenants:\n  acme: {clusters: [alpha, alpha-2], limits: {discover_service_name: [svc], max_line_size: 1MB}}\n  blue: {clusters: [beta]}\n  idle:\n";
        Tenants::parse("t", text).unwrap()
    }

    #[test]
    fn a_cluster_acts_for_its_own_tenant_only() {
        let granted = |cluster: &str| map().identify(&ClusterId::new(cluster).unwrap()).map(|grant| grant.tenant().to_string());
        assert_eq!(granted("alpha").as_deref(), Some("acme"));
        assert_eq!(granted("alpha-2").as_deref(), Some("acme"));
        assert_eq!(granted("beta").as_deref(), Some("blue"));
        for unknown in ["gamma", "acme", "alph", "idle"] {
            assert_eq!(granted(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn limits_are_the_tenants_own_over_the_defaults() {
        let defaults = Limits { max_line_size: Bytes(7), ..Limits::default() };
        let map = map().over(defaults);
        let size = |tenant: &str| map.limits(&TenantId::new(tenant).unwrap()).max_line_size;
        assert_eq!((size("acme"), size("blue"), size("nobody")), (Bytes(1 << 20), Bytes(7), Bytes(7)));
        let services = |cluster: &str| map.services(&ClusterId::new(cluster).unwrap());
        assert_eq!(services("alpha"), ["svc"]);
        assert_eq!(services("beta")[..2], ["service", "app"]);
        assert!(services("gamma").is_empty());
    }
}
