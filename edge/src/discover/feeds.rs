//! Who finds targets while the edge runs: one task for each discovery.
//!
//! Parts: [`Discovery`] (the kinds), [`start`]. Promises: a feed's task ends with `stop` and never otherwise; a job
//! without discoveries has none. Must not do: relabel.

use std::path::Path;
use std::sync::Arc;

use proto_seam::World;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Job;
use super::file_sd::{self, FileSd};
use super::groups::{Feed, feed};
use super::kube::{self, KubeSettings};

/// One `*_sd_configs` entry, checked.
#[derive(Debug, Clone)]
pub enum Discovery {
    /// `file_sd_configs`
    Files(Arc<FileSd>),
    /// `kubernetes_sd_configs`
    Kubernetes(Arc<KubeSettings>),
}

/// Starts the discoveries of `jobs` among `tasks`; what they find reaches the jobs through their feeds. Jobs that ask the same
/// of a cluster have one feed in common. `dir` is a folder of their own for what must outlive the program.
pub fn start(jobs: &mut [Job], dir: &Path, world: &World, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
    let mut clusters: Vec<(Arc<KubeSettings>, Feed)> = Vec::new();
    for job in jobs {
        for discovery in std::mem::take(&mut job.discoveries) {
            let (sender, receiver) = feed();
            match discovery {
                Discovery::Files(settings) => drop(tasks.spawn(file_sd::run(settings, sender, world.clone(), stop.clone()))),
                Discovery::Kubernetes(settings) => {
                    if let Some((_, known)) = clusters.iter().find(|(other, _)| *other == settings) {
                        job.live.add(known.clone());
                        continue;
                    }
                    clusters.push((Arc::clone(&settings), receiver.clone()));
                    tasks.spawn(kube::run(settings, dir.to_path_buf(), sender, world.clone(), stop.clone()));
                }
            }
            job.live.add(receiver);
        }
    }
}
