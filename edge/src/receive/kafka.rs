//! `kafka`: records of topics, read as a member of a consumer group.
//!
//! Parts: [`start`], `Reader` (joins, fetches, hands in, commits), [`group`] (one generation of it), [`calls`] and [`wire`] (what brokers are asked), [`connection`] and [`scram`] (TLS, users),
//! [`records`] (batches), [`assign`] (who reads what). Promises: an offset is durable with its records, and committed to the broker after that; a partition is begun at the larger of
//! the committed offset and our own, so that a crash repeats nothing that this edge has; without room nothing is fetched, and the group is kept. Must not do: read transactions that were
//! given up apart from others (as Promtail).

mod assign;
mod calls;
mod connection;
mod group;
mod records;
mod scram;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::Relabeling;
use proto_link::backoff::Backoff;
use proto_seam::World;
use regex::bytes::Regex;
use tokio_util::sync::CancellationToken;

use super::post::Post;
use super::start::{Running, Shared};
use crate::settings::pulled::{KafkaAssignor, KafkaAuthenticationKind, KafkaSettings};
use crate::status::Status;
use calls::{Cluster, Place};
use connection::{Access, Connection, Fault, Mechanism};
use scram::Hash;

/// The port of brokers that are named without one.
const PORT: u16 = 9_092;
/// After a fault.
const PAUSE: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(30), jitter: 50 };

/// One job's reading.
struct Reader {
    status: Status,
    post: Arc<Post>,
    access: Access,
    brokers: Vec<Place>,
    topics: Vec<Wanted>,
    group: String,
    assignor: KafkaAssignor,
    keep_times: bool,
    /// A rule looks at records' keys.
    needs_key: bool,
    stop: CancellationToken,
}

/// A topic that is wanted.
#[derive(Debug)]
enum Wanted {
    Name(String),
    Matching(Regex),
}

impl Wanted {
    fn new(text: &str) -> Result<Self, String> {
        if !text.starts_with('^') {
            return Ok(Self::Name(text.to_owned()));
        }
        proto_extract::dialect::compile(text).map(Self::Matching).map_err(|fault| fault.to_string())
    }

    fn wants(&self, topic: &str) -> bool {
        match self {
            Self::Name(name) => name == topic,
            Self::Matching(regex) => regex.is_match(topic.as_bytes()),
        }
    }
}

/// What is wrong with one of `topics`.
///
/// # Errors
/// Why it is no expression.
pub fn check_topic(text: &str) -> Result<(), String> {
    Wanted::new(text).map(drop)
}

/// A broker's place; `None` = it is none.
#[must_use]
pub fn broker(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty() && !host.contains('/')).then(|| (host.to_owned(), port))
}

/// Whether users can be proven by this mechanism.
#[must_use]
pub fn knows_mechanism(name: &str) -> bool {
    mechanism(name).is_some()
}

fn mechanism(name: &str) -> Option<Mechanism> {
    match name {
        "" | "PLAIN" => Some(Mechanism::Plain),
        "SCRAM-SHA-256" => Some(Mechanism::Scram(Hash::Sha256)),
        "SCRAM-SHA-512" => Some(Mechanism::Scram(Hash::Sha512)),
        _ => None,
    }
}

/// Starts reading for a job.
pub(super) fn start(shared: &Shared, post: Post, settings: &KafkaSettings, rules: &Relabeling, stop: CancellationToken) -> Running {
    let job = post.name().to_owned();
    let reader = Reader {
        status: shared.status.clone(),
        access: access(&shared.world, settings),
        brokers: settings.brokers.value.iter().filter_map(|text| broker(text)).collect(),
        topics: settings.topics.value.iter().filter_map(|written| Wanted::new(&written.value).ok()).collect(),
        group: settings.group_id.clone(),
        assignor: settings.assignor,
        keep_times: settings.use_incoming_timestamp,
        needs_key: rules.reads("__meta_kafka_message_key"),
        post: Arc::new(post),
        stop,
    };
    Running { job, kind: "kafka", address: None, task: tokio::spawn(reader.run()) }
}

fn access(world: &World, settings: &KafkaSettings) -> Access {
    let written = &settings.authentication;
    let sasl = Some(&written.sasl_config).filter(|_| written.kind == KafkaAuthenticationKind::Sasl);
    let user = sasl.and_then(|sasl| Some((mechanism(&sasl.mechanism)?, sasl.user.clone(), sasl.password.clone())));
    Access { world: world.clone(), tls: written.tls(), user }
}

impl Reader {
    async fn run(self) {
        let (mut member, mut failures) = (String::new(), 0_u32);
        let entropy = self.access.world.entropy.fork(self.post.name());
        while !self.stop.is_cancelled() {
            let began = tokio::time::Instant::now();
            let ended = self.generation(&mut member).await;
            failures = if ended.is_ok() || began.elapsed() > PAUSE.max { 1 } else { failures.saturating_add(1) };
            if let Err(fault) = ended
                && !self.stop.is_cancelled()
            {
                let pause = PAUSE.wait(failures, &entropy);
                tracing::warn!(job = self.post.name(), %fault, pause_ms = pause.as_millis(), "reading from Kafka is tried again");
                self.pause(pause).await;
            }
        }
    }

    /// Any broker's word on the cluster, and a connection to it.
    async fn cluster(&self) -> Result<(Connection, Cluster), Fault> {
        let mut last = Fault::NoTopic;
        for (host, port) in &self.brokers {
            let met = async {
                let mut connection = self.access.connect(host, *port).await?;
                let cluster = connection.cluster().await?;
                Ok((connection, cluster))
            };
            match met.await {
                Ok(met) => return Ok(met),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }
}
