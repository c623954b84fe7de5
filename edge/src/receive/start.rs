//! Receivers of all jobs, and what pulls, started together and ended together.
//!
//! Parts: [`start`], [`Receivers`] (what runs), [`Running`] (one listener). A reload ends all of them and starts those of the new
//! settings, on the same intake: nothing that was handed in is lost by it. Must not do: read jobs that are files.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use proto_model::Labels;
use proto_seam::World;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::http::Room;
use super::listen::ReceiveFault;
use super::post::Post;
use super::{Inlet, Intake, docker, forward, gelf, journal, kafka, otlp, push, syslog};
use crate::discover::Job;
use crate::settings::Origin;
use crate::status::Status;

/// What all receivers share.
pub(super) struct Shared {
    pub(super) world: World,
    pub(super) room: Room,
    pub(super) status: Status,
    /// Ends of the positions' paths of all Docker entries.
    pub(super) docker: BTreeSet<String>,
}

/// One listener.
#[derive(Debug)]
pub struct Running {
    /// Its job.
    pub job: String,
    /// What it speaks: `http`, `grpc`, `syslog`, `gelf`, `forward`, `journal`, `kafka`.
    pub kind: &'static str,
    /// Where it listens; `None` = it asks.
    pub address: Option<SocketAddr>,
    pub(super) task: JoinHandle<()>,
}

/// All listeners of an edge.
#[derive(Debug)]
pub struct Receivers {
    running: Vec<Running>,
    stop: CancellationToken,
}

impl Receivers {
    /// Those that run.
    #[must_use]
    pub fn running(&self) -> &[Running] {
        &self.running
    }

    /// Takes nothing more, and waits until what was taken is handed in: their addresses are free then.
    pub async fn end(self) {
        self.stop.cancel();
        for running in self.running {
            if let Err(failed) = running.task.await {
                tracing::error!(job = running.job, %failed, "a receiver ended badly");
            }
        }
    }
}

/// Starts the receivers of `jobs`; jobs of other kinds are passed over. They end after `stop`, or by [`Receivers::end`].
///
/// # Errors
/// The [`ReceiveFault`] of the first that cannot be started; those before it are ended.
pub async fn start(jobs: &[Job], intake: &Intake, status: &Status, world: &World, stop: &CancellationToken) -> Result<Receivers, ReceiveFault> {
    let shared = Shared { world: world.clone(), room: Room::new(world.clone()), status: status.clone(), docker: docker_suffixes(jobs) };
    let mut receivers = Receivers { running: Vec::new(), stop: stop.child_token() };
    for job in jobs {
        match start_one(job, intake, &shared, &receivers.stop).await {
            Ok(started) => receivers.running.extend(started),
            Err(fault) => {
                receivers.end().await;
                return Err(fault);
            }
        }
    }
    intake.board.running(&receivers.running);
    for running in &receivers.running {
        match running.address {
            Some(address) => tracing::info!(job = running.job, kind = running.kind, %address, "a receiver listens"),
            None => tracing::info!(job = running.job, kind = running.kind, "a source is read"),
        }
    }
    Ok(receivers)
}

fn docker_suffixes(jobs: &[Job]) -> BTreeSet<String> {
    let entries = jobs.iter().filter_map(|job| match &*job.origin {
        Origin::Docker(entries) => Some(entries.iter().map(|entry| docker::suffix(&job.name, entry))),
        #[rustfmt::skip]
        Origin::Files(_) | Origin::Journal(_) | Origin::Kafka(_) | Origin::Syslog(_) | Origin::Push(_) | Origin::Gelf(_) | Origin::Otlp(_) | Origin::Forward(_) => None,
    });
    entries.flatten().collect()
}

async fn start_one(job: &Job, intake: &Intake, shared: &Shared, stop: &CancellationToken) -> Result<Vec<Running>, ReceiveFault> {
    let inlet = Inlet { name: job.name.as_str().into(), program: Arc::clone(&job.program) };
    let post = |kind, labels: Labels| Post::new(inlet.clone(), intake.clone(), kind, labels, job.relabel.rules.clone(), shared.world.clock.clone());
    let stop = stop.clone();
    match &*job.origin {
        Origin::Push(settings) => Ok(vec![push::start(shared, post("push", settings.labels.labels()), settings, stop).await?]),
        Origin::Syslog(settings) => Ok(vec![syslog::start(shared, post("syslog", settings.labels.labels()), settings, stop).await?]),
        Origin::Gelf(settings) => Ok(vec![gelf::start(shared, post("gelf", settings.labels.labels()), settings, stop).await?]),
        Origin::Forward(settings) => Ok(vec![forward::start(shared, post("forward", settings.labels.labels()), settings, stop).await?]),
        Origin::Otlp(settings) => otlp::start(shared, post("otlp", settings.labels.labels()), settings, stop).await,
        Origin::Docker(entries) => docker::start(shared, || post("docker", Labels::empty()), entries, &stop),
        Origin::Journal(settings) => Ok(vec![journal::start(shared, post("journal", settings.labels.labels()), settings, &job.relabel.rules, stop)]),
        Origin::Kafka(settings) => Ok(vec![kafka::start(shared, post("kafka", settings.labels.labels()), settings, &job.relabel.rules, stop)]),
        Origin::Files(_) => Ok(Vec::new()),
    }
}
