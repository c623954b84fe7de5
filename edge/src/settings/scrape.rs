//! `scrape_configs`: a job's source, rules and stages.
//!
//! Parts: [`ScrapeSettings`] (every key a job may have), [`Origin`] (its one source, as the parts that read it take it),
//! [`Discovery`] (where a job's files are named), [`ScrapeSettings::origin`]. A job has one kind of source; where it
//! names several, Promtail silently takes the first in a fixed order: that order is kept, and told. Must not do: read.

use edge_pipeline::{RelabelSettings, StageSettings};
use proto_boot::Span;
use serde::Deserialize;

use super::Placed;
use super::discovery::{ConsulSdSettings, DnsSdSettings, FileSdSettings, HttpSdSettings, KubernetesSdSettings, StaticSettings};
use super::pulled::{DockerSdSettings, JournalSettings, KafkaSettings};
use super::receivers::{ForwardSettings, GelfSettings, OtlpSettings, PushSettings, SyslogSettings};
use super::unused::Unused;

/// One of `scrape_configs`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrapeSettings {
    /// Its name, unique.
    pub job_name: Placed<String>,
    /// Rules for its labels.
    #[serde(default)]
    pub relabel_configs: Vec<RelabelSettings>,
    /// What happens to its lines.
    #[serde(default)]
    pub pipeline_stages: Vec<StageSettings>,
    /// IANA name of its files' encoding; absent and UTF-8: bytes pass as they are.
    #[serde(default)]
    pub encoding: Option<Placed<String>>,
    /// Its files are packed.
    #[serde(default)]
    pub decompression: Option<Placed<DecompressionSettings>>,
    /// Files.
    #[serde(default)]
    pub static_configs: Option<Placed<Vec<StaticSettings>>>,
    /// Files, named by Kubernetes' API.
    #[serde(default)]
    pub kubernetes_sd_configs: Option<Placed<Vec<KubernetesSdSettings>>>,
    /// Files, named by files.
    #[serde(default)]
    pub file_sd_configs: Option<Placed<Vec<FileSdSettings>>>,
    /// Files, named by DNS.
    #[serde(default)]
    pub dns_sd_configs: Option<Placed<Vec<DnsSdSettings>>>,
    /// Files, named by Consul.
    #[serde(default)]
    pub consul_sd_configs: Option<Placed<Vec<ConsulSdSettings>>>,
    /// Files, named by the local Consul agent.
    #[serde(default)]
    pub consulagent_sd_configs: Option<Placed<Vec<ConsulSdSettings>>>,
    /// Files, named by an HTTP server; not Promtail's.
    #[serde(default)]
    pub http_sd_configs: Option<Placed<Vec<HttpSdSettings>>>,
    /// The journal; `journal: {}` is all of it.
    #[serde(default)]
    pub journal: Option<Placed<JournalSettings>>,
    /// Syslog.
    #[serde(default)]
    pub syslog: Option<Placed<SyslogSettings>>,
    /// Loki's push API.
    #[serde(default)]
    pub loki_push_api: Option<Placed<PushSettings>>,
    /// Kafka.
    #[serde(default)]
    pub kafka: Option<Placed<KafkaSettings>>,
    /// GELF.
    #[serde(default)]
    pub gelf: Option<Placed<GelfSettings>>,
    /// Containers, through Docker's API.
    #[serde(default)]
    pub docker_sd_configs: Option<Placed<Vec<DockerSdSettings>>>,
    /// OTLP logs; not Promtail's.
    #[serde(default)]
    pub otlp: Option<Placed<OtlpSettings>>,
    /// Fluent forward; not Promtail's.
    #[serde(default)]
    pub forward: Option<Placed<ForwardSettings>>,
    /// Refused, each with an alternative: see `REFUSED`.
    #[serde(default)]
    pub(super) gcplog: Unused,
    #[serde(default)]
    pub(super) azure_event_hubs: Unused,
    #[serde(default)]
    pub(super) cloudflare: Unused,
    #[serde(default)]
    pub(super) heroku_drain: Unused,
    #[serde(default)]
    pub(super) windows_events: Unused,
    #[serde(default)]
    pub(super) ec2_sd_configs: Unused,
    #[serde(default)]
    pub(super) gce_sd_configs: Unused,
    #[serde(default)]
    pub(super) azure_sd_configs: Unused,
    #[serde(default)]
    pub(super) openstack_sd_configs: Unused,
    #[serde(default)]
    pub(super) digitalocean_sd_configs: Unused,
    #[serde(default)]
    pub(super) dockerswarm_sd_configs: Unused,
    #[serde(default)]
    pub(super) triton_sd_configs: Unused,
    #[serde(default)]
    pub(super) marathon_sd_configs: Unused,
    #[serde(default)]
    pub(super) nerve_sd_configs: Unused,
    #[serde(default)]
    pub(super) serverset_sd_configs: Unused,
}

/// `decompression`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecompressionSettings {
    /// Unpack the job's files.
    pub enabled: bool,
    /// So long a file is left alone after it was found.
    pub initial_delay: Span,
    /// `gz`, `z` or `bz2`.
    pub format: DecompressionFormat,
}

/// `decompression.format`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecompressionFormat {
    /// By the ending of the file's name.
    #[default]
    #[serde(rename = "")]
    Detect,
    /// gzip
    Gz,
    /// zlib
    Z,
    /// bzip2
    Bz2,
}

/// A job's one source.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Files: those of `static_configs` and those that are discovered.
    Files(Vec<Discovery>),
    /// `journal`
    Journal(Box<JournalSettings>),
    /// `syslog`
    Syslog(Box<SyslogSettings>),
    /// `loki_push_api`
    Push(Box<PushSettings>),
    /// `kafka`
    Kafka(Box<KafkaSettings>),
    /// `gelf`
    Gelf(Box<GelfSettings>),
    /// `docker_sd_configs`
    Docker(Vec<DockerSdSettings>),
    /// `otlp`
    Otlp(Box<OtlpSettings>),
    /// `forward`
    Forward(Box<ForwardSettings>),
}

/// Where a job's files are named, beside `static_configs`.
#[derive(Debug, Clone)]
pub enum Discovery {
    /// `kubernetes_sd_configs`
    Kubernetes(Box<KubernetesSdSettings>),
    /// `file_sd_configs`
    File(FileSdSettings),
    /// `dns_sd_configs`
    Dns(DnsSdSettings),
    /// `consul_sd_configs`
    Consul(Box<ConsulSdSettings>),
    /// `consulagent_sd_configs`
    ConsulAgent(Box<ConsulSdSettings>),
    /// `http_sd_configs`
    Http(Box<HttpSdSettings>),
}

/// A key that names a kind of source, where it stands.
pub(super) struct Kind {
    /// The key.
    pub(super) key: &'static str,
    /// Its line and column.
    pub(super) at: (u64, u64),
    /// What it says; `None` = it is refused.
    pub(super) origin: Option<Origin>,
}

impl ScrapeSettings {
    /// The kinds of source it names, in the order in which Promtail chooses; ours after Promtail's.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        let files = self.discoveries();
        if let Some((key, at)) = self.files_at() {
            kinds.push(Kind { key, at, origin: Some(Origin::Files(files)) });
        }
        macro_rules! of {
            ($key:ident, $variant:ident) => {
                if let Some(written) = &self.$key {
                    kinds.push(Kind {
                        key: stringify!($key),
                        at: proto_boot::settings::place(written),
                        origin: Some(Origin::$variant(written.value.clone().into())),
                    });
                }
            };
            ($key:ident) => {
                if let Some(written) = &self.$key {
                    kinds.push(Kind { key: stringify!($key), at: proto_boot::settings::place(written), origin: None });
                }
            };
        }
        of!(journal, Journal);
        of!(syslog, Syslog);
        of!(gcplog);
        of!(loki_push_api, Push);
        of!(windows_events);
        of!(kafka, Kafka);
        of!(azure_event_hubs);
        of!(gelf, Gelf);
        of!(cloudflare);
        of!(docker_sd_configs, Docker);
        of!(heroku_drain);
        of!(otlp, Otlp);
        of!(forward, Forward);
        kinds
    }

    fn discoveries(&self) -> Vec<Discovery> {
        fn all<T: Clone>(written: Option<&Placed<Vec<T>>>, each: impl Fn(T) -> Discovery) -> Vec<Discovery> {
            written.iter().flat_map(|list| list.value.iter().cloned()).map(each).collect()
        }
        let mut out = all(self.kubernetes_sd_configs.as_ref(), |one| Discovery::Kubernetes(Box::new(one)));
        out.extend(all(self.file_sd_configs.as_ref(), Discovery::File));
        out.extend(all(self.dns_sd_configs.as_ref(), Discovery::Dns));
        out.extend(all(self.consul_sd_configs.as_ref(), |one| Discovery::Consul(Box::new(one))));
        out.extend(all(self.consulagent_sd_configs.as_ref(), |one| Discovery::ConsulAgent(Box::new(one))));
        out.extend(all(self.http_sd_configs.as_ref(), |one| Discovery::Http(Box::new(one))));
        out
    }

    /// The first key that names files.
    fn files_at(&self) -> Option<(&'static str, (u64, u64))> {
        macro_rules! first {
            ($($key:ident)*) => {
                [$((stringify!($key), self.$key.as_ref().map(proto_boot::settings::place)),)*]
            };
        }
        let keys = first!(static_configs kubernetes_sd_configs file_sd_configs dns_sd_configs consul_sd_configs consulagent_sd_configs http_sd_configs);
        let refused = first!(ec2_sd_configs gce_sd_configs azure_sd_configs openstack_sd_configs digitalocean_sd_configs dockerswarm_sd_configs
            triton_sd_configs marathon_sd_configs nerve_sd_configs serverset_sd_configs);
        keys.into_iter().chain(refused).find_map(|(key, at)| Some((key, at?)))
    }

    /// Discoveries that are refused: the key and its place.
    pub(super) fn refused_discoveries(&self) -> Vec<(&'static str, (u64, u64))> {
        macro_rules! there {
            ($($key:ident)*) => {
                [$((stringify!($key), self.$key.as_ref().map(proto_boot::settings::place)),)*]
            };
        }
        let all = there!(ec2_sd_configs gce_sd_configs azure_sd_configs openstack_sd_configs digitalocean_sd_configs dockerswarm_sd_configs
            triton_sd_configs marathon_sd_configs nerve_sd_configs serverset_sd_configs);
        all.into_iter().filter_map(|(key, at)| Some((key, at?))).collect()
    }

    /// Its static targets.
    pub(super) fn statics(&self) -> &[StaticSettings] {
        self.static_configs.as_ref().map_or(&[], |written| &written.value)
    }
}
