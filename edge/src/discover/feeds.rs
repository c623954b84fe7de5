//! Who finds targets while the edge runs: one task for each discovery.
//!
//! Parts: [`Discovery`] (the kinds), [`start`], [`FeedMetrics`] (what went wrong). Promises: a feed's task ends with `stop` and never
//! otherwise; a job without discoveries has none. Must not do: relabel.

use std::path::Path;
use std::sync::Arc;

use proto_boot::Metrics;
use proto_boot::telemetry::Counters;
use proto_seam::World;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Job;
use super::consul::{self, ConsulSd};
use super::dns::{self, DnsSd};
use super::file_sd::{self, FileSd};
use super::groups::{Feed, FeedSender, Groups, feed};
use super::http_sd::{self, HttpSd};
use super::kube::{self, KubeSettings};

/// One `*_sd_configs` entry, checked.
#[derive(Debug, Clone)]
pub enum Discovery {
    /// `file_sd_configs`
    Files(Arc<FileSd>),
    /// `kubernetes_sd_configs`
    Kubernetes(Arc<KubeSettings>),
    /// `http_sd_configs`
    Http(Arc<HttpSd>),
    /// `dns_sd_configs`
    Dns(Arc<DnsSd>),
    /// `consul_sd_configs` and `consulagent_sd_configs`
    Consul(Arc<ConsulSd>),
}

/// Counters of discoveries that ask servers.
#[derive(Debug, Clone)]
pub struct FeedMetrics {
    failures: Counters<1>,
}

impl FeedMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self { failures: metrics.counters("tributary_edge_discovery_failures_total", "Questions of discoveries that were not answered", ["kind"]) }
    }

    /// A question was not answered: what was known stays, and the page says why.
    pub(super) fn failed(&self, kind: &'static str, asked: &str, why: &str, sender: &FeedSender) {
        self.failed_in_part(kind, asked, why);
        let trouble = format!("{asked}: {why}");
        sender.send_if_modified(|known| {
            let is_new = known.trouble != trouble;
            if is_new {
                *known = Arc::new(Groups { trouble, ..Groups::clone(known) });
            }
            is_new
        });
    }

    /// Counts a question that was not answered.
    pub(super) fn count(&self, kind: &'static str) {
        self.failures.with([kind]).inc();
    }

    /// The same of one question among many.
    pub(super) fn failed_in_part(&self, kind: &'static str, asked: &str, why: &str) {
        self.count(kind);
        tracing::warn!(kind, asked, why, "a discovery is not answered; the targets it named before stay");
    }
}

/// Starts the discoveries of `jobs` among `tasks`; what they find reaches the jobs through their feeds. Jobs that ask the same
/// of a cluster have one feed in common. `dir` is a folder of their own for what must outlive the program.
pub fn start(jobs: &mut [Job], dir: &Path, world: &World, metrics: &FeedMetrics, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
    let mut clusters: Vec<(Arc<KubeSettings>, Feed)> = Vec::new();
    for job in jobs {
        for discovery in std::mem::take(&mut job.discoveries) {
            let (sender, receiver) = feed();
            let (world, metrics, stop) = (world.clone(), metrics.clone(), stop.clone());
            match discovery {
                Discovery::Files(settings) => drop(tasks.spawn(file_sd::run(settings, sender, world, stop))),
                Discovery::Http(settings) => drop(tasks.spawn(http_sd::run(settings, sender, world, metrics, stop))),
                Discovery::Dns(settings) => drop(tasks.spawn(dns::run(settings, sender, world, metrics, stop))),
                Discovery::Consul(settings) => drop(tasks.spawn(consul::run(settings, sender, world, metrics, stop))),
                Discovery::Kubernetes(settings) => {
                    if let Some((_, known)) = clusters.iter().find(|(other, _)| *other == settings) {
                        job.live.add(known.clone());
                        continue;
                    }
                    clusters.push((Arc::clone(&settings), receiver.clone()));
                    tasks.spawn(kube::run(settings, dir.to_path_buf(), sender, (world, metrics), stop));
                }
            }
            job.live.add(receiver);
        }
    }
}
