//! Discovery of targets: what stands under the keys that end in `_sd_configs`.
//!
//! Parts: [`KubernetesSdSettings`], [`FileSdSettings`], [`DnsSdSettings`], [`ConsulSdSettings`], [`HttpSdSettings`].
//! The defaults are Prometheus'. Must not do: discover.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proto_boot::Span;
use serde::Deserialize;

use super::http::{Secret, with_http};
use super::labels::LabelsYaml;
use super::{Placed, span_of};
use crate::discover::kube::records::Kind;

/// One of `static_configs`, and one group of a file of `file_sd_configs`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticSettings {
    /// Promtail ignores them: the labels name files.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Labels, `__path__` among them.
    #[serde(default = "no_labels")]
    pub labels: Placed<LabelsYaml>,
}

with_http! {
    /// One of `kubernetes_sd_configs`
    pub struct KubernetesSdSettings {
        /// What is listed.
        pub role: Kind,
        /// Where the API is; absent = in the cluster, by the service account.
        #[serde(default)]
        pub api_server: Option<Placed<String>>,
        /// A kubeconfig instead.
        #[serde(default)]
        pub kubeconfig_file: Option<PathBuf>,
        /// Only these namespaces.
        #[serde(default)]
        pub namespaces: KubernetesNamespaces,
        /// Only what these select.
        #[serde(default)]
        pub selectors: Vec<KubernetesSelector>,
        /// What is attached to each target.
        #[serde(default)]
        pub attach_metadata: KubernetesAttach,
    }
}

/// `namespaces`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesNamespaces {
    /// These; empty = all.
    pub names: Vec<String>,
    /// And the one this edge runs in.
    pub own_namespace: bool,
}

/// One of `selectors`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSelector {
    /// What it selects.
    pub role: Kind,
    /// By labels, in Kubernetes' words.
    #[serde(default)]
    pub label: String,
    /// By fields.
    #[serde(default)]
    pub field: String,
}

/// `attach_metadata`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesAttach {
    /// Labels of the node.
    pub node: bool,
    /// Labels of the namespace.
    pub namespace: bool,
}

/// One of `file_sd_configs`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSdSettings {
    /// Paths ending in `.json`, `.yml` or `.yaml`; the last part may be a glob.
    pub files: Placed<Vec<Placed<String>>>,
    /// Between two looks at files that tell of no change.
    #[serde(default = "five_minutes")]
    pub refresh_interval: Span,
}

/// One of `dns_sd_configs`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsSdSettings {
    /// Names to ask for.
    pub names: Placed<Vec<String>>,
    /// Between two questions.
    #[serde(default = "half_a_minute")]
    pub refresh_interval: Span,
    /// `SRV`, `A`, `AAAA`, `MX` or `NS`.
    #[serde(default = "srv", rename = "type")]
    pub kind: String,
    /// Port of `A` and `AAAA`.
    #[serde(default)]
    pub port: Option<u16>,
}

with_http! {
    /// One of `consul_sd_configs` or `consulagent_sd_configs`
    pub struct ConsulSdSettings {
        /// `HOST:PORT`.
        #[serde(default = "consul")]
        pub server: String,
        /// What every path begins with.
        #[serde(default)]
        pub path_prefix: String,
        /// An access token.
        #[serde(default)]
        pub token: Secret,
        /// Data centre.
        #[serde(default)]
        pub datacenter: String,
        /// Namespace.
        #[serde(default)]
        pub namespace: String,
        /// Partition.
        #[serde(default)]
        pub partition: String,
        /// What stands between tags.
        #[serde(default = "comma")]
        pub tag_separator: String,
        /// `http` or `https`.
        #[serde(default)]
        pub scheme: String,
        /// User of the old way to authenticate.
        #[serde(default)]
        pub username: String,
        /// Its password.
        #[serde(default)]
        pub password: Secret,
        /// Answers may be stale.
        #[serde(default = "super::yes")]
        pub allow_stale: bool,
        /// Between two looks.
        #[serde(default = "half_a_minute")]
        pub refresh_interval: Span,
        /// Only these services; empty = all.
        #[serde(default)]
        pub services: Vec<String>,
        /// Only services with all of these tags.
        #[serde(default)]
        pub tags: Vec<String>,
        /// Only nodes with this metadata.
        #[serde(default)]
        pub node_meta: BTreeMap<String, String>,
        /// Consul's own filter.
        #[serde(default)]
        pub filter: String,
    }
}

with_http! {
    /// One of `http_sd_configs`: Prometheus', not Promtail's.
    pub struct HttpSdSettings {
        /// What gives the groups as JSON.
        pub url: Placed<String>,
        /// Between two looks.
        #[serde(default = "a_minute")]
        pub refresh_interval: Span,
    }
}

fn no_labels() -> Placed<LabelsYaml> {
    super::unplaced(LabelsYaml::default())
}

fn five_minutes() -> Span {
    span_of(300)
}

fn a_minute() -> Span {
    span_of(60)
}

fn half_a_minute() -> Span {
    span_of(30)
}

fn srv() -> String {
    "SRV".to_owned()
}

fn consul() -> String {
    "localhost:8500".to_owned()
}

fn comma() -> String {
    ",".to_owned()
}
