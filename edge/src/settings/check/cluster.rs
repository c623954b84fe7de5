//! `kubernetes_sd_configs` as written to what its task takes.
//!
//! Promises: pods are narrowed to those of this node, as Promtail narrows them, unless the settings name nodes themselves;
//! what cannot be done is refused by name. Must not do: reach a cluster.

use super::super::discovery::KubernetesSdSettings;
use super::super::http::{Authorization, BasicAuth, HttpSettings};
use super::Checker;
use crate::discover::kube::client::{Access, Secret, ServerAccess};
use crate::discover::kube::records::Kind;
use crate::discover::kube::{KubeSettings, Selector};

/// The field that says on which node a pod is.
const NODE_FIELD: &str = "spec.nodeName";

impl Checker<'_> {
    /// One entry; `None` after a mistake, told at `at`.
    pub(super) fn kubernetes(&mut self, written: &KubernetesSdSettings, host: &str, at: (u64, u64)) -> Option<KubeSettings> {
        let before = self.mistakes.len();
        let access = self.access(written, at);
        let role = written.role;
        let selectors = self.selectors(written, host, at);
        if written.attach_metadata.namespace {
            self.mistake_at(at, "attach_metadata.namespace is not supported", "take it out; attach_metadata.node is there");
        }
        if written.namespaces.own_namespace && access != Access::InCluster {
            self.mistake_at(at, "namespaces.own_namespace is only known inside the cluster", "name the namespace under namespaces.names");
        }
        (self.mistakes.len() == before).then(|| KubeSettings {
            role,
            access,
            namespaces: written.namespaces.names.clone(),
            own_namespace: written.namespaces.own_namespace,
            selectors,
            attach_node: written.attach_metadata.node,
        })
    }

    fn access(&mut self, written: &KubernetesSdSettings, at: (u64, u64)) -> Access {
        let http = written.http();
        match (&written.api_server, &written.kubeconfig_file) {
            (Some(_), Some(_)) => {
                self.mistake_at(at, "kubernetes_sd_configs has both api_server and kubeconfig_file", "keep one of them");
                Access::InCluster
            }
            (Some(url), None) => {
                if !url.value.starts_with("https://") && !url.value.starts_with("http://") {
                    self.mistake(url, format!("api_server {:?} is no address", url.value), "write https://HOST:PORT");
                }
                self.server(&url.value, &http, at)
            }
            (None, file) => {
                let is_told = http.basic_auth.is_some() || http.authorization.is_some() || http.tls.ca_file.is_some() || http.tls.cert_file.is_some();
                if is_told || http.oauth2.is_some() || !http.http_headers.is_empty() {
                    let fix = "add api_server, or take the keys of the HTTP client out: the service account or the kubeconfig says who the edge is";
                    self.mistake_at(at, "kubernetes_sd_configs has authentication or TLS without api_server", fix);
                }
                file.clone().map_or(Access::InCluster, Access::Kubeconfig)
            }
        }
    }

    fn server(&mut self, url: &str, http: &HttpSettings, at: (u64, u64)) -> Access {
        let tls = &http.tls;
        let refused = [
            (http.oauth2.is_some(), "oauth2", "give a token with authorization.credentials_file"),
            (!http.http_headers.is_empty(), "http_headers", "take it out"),
            (http.proxy_url.is_some() || http.proxy_from_environment, "a proxy", "reach the API server without one"),
            (tls.cert.is_some() || tls.key.is_some(), "tls_config.cert and key in place", "name files with cert_file and key_file"),
            (tls.min_version.as_deref().is_some_and(|version| version != "TLS12"), "tls_config.min_version", "take it out: TLS 1.2 and 1.3 are spoken"),
            (tls.max_version.is_some(), "tls_config.max_version", "take it out: TLS 1.2 and 1.3 are spoken"),
            (http.basic_auth.as_ref().is_some_and(|basic| basic.username_file.is_some()), "basic_auth.username_file", "write username"),
            (http.authorization.as_ref().is_some_and(|own| !own.scheme.eq_ignore_ascii_case("bearer")), "authorization.type", "write Bearer"),
        ];
        for (_, what, fix) in refused.into_iter().filter(|(is_there, ..)| *is_there) {
            self.mistake_at(at, format!("{what} is not supported for the API server of kubernetes_sd_configs"), fix);
        }
        let (user, password) = http.basic_auth.as_ref().map(basic).unwrap_or_default();
        let ca = tls.ca.clone().map(Secret::Text).or_else(|| tls.ca_file.clone().map(Secret::File)).unwrap_or_default();
        Access::Server(Box::new(ServerAccess {
            url: url.to_owned(),
            user,
            password,
            token: http.authorization.as_ref().map(token).unwrap_or_default(),
            ca,
            cert_file: tls.cert_file.clone(),
            key_file: tls.key_file.clone(),
            server_name: tls.server_name.clone().unwrap_or_default(),
            insecure: tls.insecure_skip_verify,
        }))
    }

    fn selectors(&mut self, written: &KubernetesSdSettings, host: &str, at: (u64, u64)) -> Vec<Selector> {
        let allowed: &[Kind] = match written.role {
            Kind::Pod => &[Kind::Pod],
            Kind::Node => &[Kind::Node],
            Kind::Service => &[Kind::Service],
            Kind::Endpoints => &[Kind::Pod, Kind::Service, Kind::Endpoints],
            Kind::EndpointSlice => &[Kind::Pod, Kind::Service, Kind::EndpointSlice],
            Kind::Ingress => &[Kind::Ingress],
        };
        let mut out: Vec<Selector> = Vec::new();
        for selector in &written.selectors {
            let kind = selector.role;
            if !allowed.contains(&kind) {
                self.mistake_at(at, format!("role {:?} has no use for a selector of role {:?}", written.role, selector.role), "take the selector out");
            } else if out.iter().any(|other| other.kind == kind) {
                self.mistake_at(at, format!("there are two selectors of role {:?}", selector.role), "join them with commas in one");
            }
            out.push(Selector { kind, label: selector.label.clone(), field: selector.field.clone() });
        }
        if written.role == Kind::Pod {
            narrow(&mut out, host);
        }
        out
    }
}

/// Pods of this node only, as Promtail does it, unless nodes are named already.
fn narrow(selectors: &mut Vec<Selector>, host: &str) {
    let own = format!("{NODE_FIELD}={host}");
    match selectors.iter_mut().find(|selector| selector.kind == Kind::Pod) {
        Some(selector) if selector.field.contains(NODE_FIELD) => {}
        Some(selector) if selector.field.is_empty() => selector.field = own,
        Some(selector) => selector.field = format!("{},{own}", selector.field),
        None => selectors.push(Selector { kind: Kind::Pod, label: String::new(), field: own }),
    }
}

fn basic(basic: &BasicAuth) -> (String, Secret) {
    let password = basic.password_file.clone().map_or_else(|| Secret::Text(basic.password.expose().to_owned()), Secret::File);
    (basic.username.clone(), password)
}

fn token(own: &Authorization) -> Secret {
    match (&own.credentials, &own.credentials_file) {
        (_, Some(file)) => Secret::File(file.clone()),
        (Some(text), None) => Secret::Text(text.expose().to_owned()),
        (None, None) => Secret::None,
    }
}

#[cfg(test)]
mod tests;
