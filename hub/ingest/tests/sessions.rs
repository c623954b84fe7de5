//! The way in, whole, over sessions within the process, with an edge driven by hand.
//!
//! What a session says is compared with what a fresh hub then reads from the bucket.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared with the crate's own tests")]
#[path = "../src/rig.rs"]
mod rig;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use certs::{Authority, TrustDomain, Validity};
use hub_ingest::metrics::IngestMetrics;
use hub_ingest::{Ingest, IngestParts};
use hub_tenant::Tenants;
use proto_boot::Metrics;
use proto_link::{Dial, DirectNet, Session, Targets};
use proto_model::{Chain, EdgeId};
use proto_seam::Clock;
use proto_wire::edge_hub::message::Kind;
use proto_wire::edge_hub::{Ack, Batch, Bye, Gap, Heartbeat, Hello, Message, Open, Position, Refuse, RefuseCode, Welcome};
use proto_wire::{FrozenBatch, digest};
use rig::{Bucket, cluster, frozen, lines, store, tenants, world};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const DOMAIN: &str = "td.example";

struct Hub {
    net: DirectNet,
    bucket: Arc<Bucket>,
    authority: Authority,
    ingest: Ingest,
    metrics: Metrics,
    maps: watch::Sender<Arc<Tenants>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

async fn hub() -> Hub {
    let (bucket, net) = (Arc::new(Bucket::default()), DirectNet::new());
    let (maps, map) = watch::channel(Arc::new(tenants(1)));
    let (stop, metrics) = (CancellationToken::new(), Metrics::new());
    let trust_domain = TrustDomain::new(DOMAIN).unwrap();
    let parts = IngestParts {
        store: store(&bucket, 1).await,
        tenants: map,
        revoked: watch::channel(Default::default()).1,
        listeners: vec![Box::new(net.listen("hub"))],
        trust_domain: trust_domain.clone(),
        linger: Duration::from_millis(100),
        object_bytes_max: 1 << 20,
        metrics: IngestMetrics::new(&metrics),
        world: world(1),
    };
    let (ingest, tasks) = Ingest::start(parts, &stop);
    let authority = Authority::generate(&trust_domain, &Clock::real()).unwrap();
    Hub { net, bucket, authority, ingest, metrics, maps, stop, tasks }
}

impl Hub {
    fn certificate(&self, cluster_name: &str, edge: &str) -> Vec<u8> {
        let validity = Validity::days(&Clock::real(), 5).unwrap();
        let issued = self.authority.issue_edge(&cluster(cluster_name), &EdgeId::new(edge).unwrap(), validity).unwrap();
        CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap().to_vec()
    }

    async fn dial(&self, certificate: Option<Vec<u8>>) -> Talk {
        let targets = Targets::parse(&["https://hub:9443".to_owned()], "", "").unwrap();
        Talk { session: self.net.client("link", certificate).dial(targets.current()).await.unwrap() }
    }

    async fn greeted(&self, cluster_name: &str, edge: &str) -> Talk {
        let mut talk = self.dial(Some(self.certificate(cluster_name, edge))).await;
        talk.say(Kind::Hello(hello())).await;
        assert!(matches!(talk.hear().await, Some(Kind::Hello(_))));
        talk
    }

    fn duplicates(&self) -> String {
        let text = self.metrics.text();
        text.lines().find(|line| line.starts_with("tributary_hub_batches_duplicate_total")).unwrap().rsplit(' ').next().unwrap().to_owned()
    }
}

fn hello() -> Hello {
    Hello { version_min: 1, version_max: 1, nonce: Bytes::from_static(&[7; 16]), wal_id: 3, ..Hello::default() }
}

/// One session, seen from the edge.
struct Talk {
    session: Session,
}

impl Talk {
    async fn say(&self, kind: Kind) {
        self.session.outgoing.send(Message { kind: Some(kind) }).await.unwrap();
    }

    async fn hear(&mut self) -> Option<Kind> {
        let heard = timeout(Duration::from_secs(100), self.session.incoming.recv()).await.expect("an answer in time");
        heard.and_then(Result::ok).map(|message| message.kind.unwrap())
    }

    async fn open(&mut self, producer: &Bytes) -> Welcome {
        self.say(Kind::Open(Open { track: 1, producer: producer.clone(), ..Open::default() })).await;
        match self.hear().await {
            Some(Kind::Welcome(welcome)) => welcome,
            other => panic!("no Welcome: {other:?}"),
        }
    }

    async fn refused(&mut self) -> Refuse {
        match self.hear().await {
            Some(Kind::Refuse(refuse)) => refuse,
            other => panic!("not refused: {other:?}"),
        }
    }

    async fn acked(&mut self, up_to: u64) {
        loop {
            match self.hear().await {
                Some(Kind::Ack(Ack { sequence, .. })) if sequence >= up_to => return,
                Some(Kind::Ack(_)) => {}
                other => panic!("no ack: {other:?}"),
            }
        }
    }

    /// The hub ended the session.
    async fn is_over(&mut self) -> bool {
        timeout(Duration::from_secs(100), self.session.closed()).await.is_ok()
    }
}

/// A WAL of a few batches, each of one line.
struct Wal {
    name: &'static str,
    batches: Vec<FrozenBatch>,
    chains: Vec<Chain>,
}

impl Wal {
    fn new(name: &'static str, count: u64) -> Self {
        let batches: Vec<FrozenBatch> =
            (1..=count).map(|sequence| frozen(&[("app", "web"), ("cluster", "forged")], &[&format!("{name} {sequence}")])).collect();
        let mut chains = vec![Chain::default()];
        for batch in &batches {
            chains.push(digest::extend(chains[chains.len() - 1], batch.digest));
        }
        Self { name, batches, chains }
    }

    fn batch(&self, welcome: &Welcome, sequence: u64) -> Batch {
        let at = usize::try_from(sequence).unwrap();
        let batch = &self.batches[at - 1];
        Batch {
            producer: welcome.producer.clone(),
            epoch: welcome.epoch,
            sequence,
            chain_previous: Bytes::copy_from_slice(&self.chains[at - 1].0),
            digest: Bytes::copy_from_slice(&batch.digest.0),
            positions: vec![Position { path: "/var/log/a.log".to_owned(), device: 1, inode: 5, offset: 100 * sequence, ..Position::default() }],
            body: batch.body.clone(),
        }
    }

    fn lines(&self, last: u64) -> Vec<String> {
        (1..=last).map(|sequence| format!("{} {sequence}", self.name)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn batches_are_acked_stored_once_and_known_after_a_reconnect() {
    let hub = hub().await;
    let wal = Wal::new("one", 6);
    let mut talk = hub.greeted("alpha", "one").await;
    let welcome = talk.open(&Bytes::new()).await;
    assert_eq!((welcome.epoch, welcome.last, welcome.positions.len()), (1, 0, 0));
    for sequence in 1..=4 {
        talk.say(Kind::Batch(wal.batch(&welcome, sequence))).await;
    }
    talk.acked(4).await;
    hub.net.cut("link");
    assert!(talk.is_over().await);
    hub.net.mend("link");

    let mut talk = hub.greeted("alpha", "one").await;
    let again = talk.open(&welcome.producer).await;
    assert_eq!((again.epoch, again.last, again.chain.as_ref()), (2, 4, &wal.chains[4].0[..]));
    assert_eq!((again.positions[0].offset, again.positions[0].path.as_str()), (400, "/var/log/a.log"));
    for sequence in 1..=6 {
        talk.say(Kind::Batch(wal.batch(&again, sequence))).await;
    }
    talk.acked(6).await;
    assert_eq!(hub.duplicates(), "4");
    assert_eq!(lines(&hub.bucket, "alpha").await, wal.lines(6));
    assert_eq!(lines(&hub.bucket, "beta").await, [""; 0]);
    let row = &hub.ingest.registry().list()[0];
    assert_eq!((row.speaker.to_string().as_str(), row.session, row.epoch.0, row.acked.0), ("alpha/one", "direct", 2, 6));
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_lost_its_wal_is_told_all_that_the_hub_knows() {
    let hub = hub().await;
    let wal = Wal::new("one", 2);
    let mut talk = hub.greeted("alpha", "one").await;
    let welcome = talk.open(&Bytes::new()).await;
    talk.say(Kind::Batch(wal.batch(&welcome, 1))).await;
    talk.acked(1).await;
    let mut talk = hub.greeted("alpha", "one").await;
    let again = talk.open(&Bytes::new()).await;
    assert_eq!((again.producer, again.epoch, again.last, again.positions.len()), (welcome.producer.clone(), 2, 1, 1));
    let mut other = hub.greeted("alpha", "two").await;
    let fresh = other.open(&Bytes::new()).await;
    assert!(fresh.producer != welcome.producer && fresh.last == 0 && fresh.positions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn opening_on_one_session_fences_the_other() {
    let hub = hub().await;
    let wal = Wal::new("one", 2);
    let mut old = hub.greeted("alpha", "one").await;
    let welcome = old.open(&Bytes::new()).await;
    let mut new = hub.greeted("alpha", "one").await;
    let newer = new.open(&welcome.producer).await;
    old.say(Kind::Batch(wal.batch(&welcome, 1))).await;
    assert_eq!(old.refused().await.code(), RefuseCode::RefuseFenced);
    new.say(Kind::Batch(wal.batch(&newer, 1))).await;
    new.acked(1).await;
    assert_eq!(lines(&hub.bucket, "alpha").await, wal.lines(1));
}

#[tokio::test(start_paused = true)]
async fn another_edges_producer_is_denied_and_the_session_closed() {
    let hub = hub().await;
    let mut owner = hub.greeted("alpha", "one").await;
    let welcome = owner.open(&Bytes::new()).await;
    for (cluster_name, edge) in [("alpha", "two"), ("beta", "one")] {
        let mut thief = hub.greeted(cluster_name, edge).await;
        thief.say(Kind::Open(Open { track: 1, producer: welcome.producer.clone(), ..Open::default() })).await;
        assert_eq!(thief.refused().await.code(), RefuseCode::RefuseDenied);
        assert!(thief.is_over().await);
    }
    let wal = Wal::new("one", 1);
    owner.say(Kind::Batch(wal.batch(&welcome, 1))).await;
    owner.acked(1).await;
}

#[tokio::test(start_paused = true)]
async fn certificates_without_a_usable_identity_are_turned_away() {
    let hub = hub().await;
    let elsewhere = Authority::generate(&TrustDomain::new("other.example").unwrap(), &Clock::real()).unwrap();
    let issued = elsewhere.issue_edge(&cluster("alpha"), &EdgeId::new("one").unwrap(), Validity::days(&Clock::real(), 5).unwrap()).unwrap();
    let foreign = CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap().to_vec();
    for certificate in [None, Some(vec![0x30; 20]), Some(foreign)] {
        let mut talk = hub.dial(certificate).await;
        assert_eq!(talk.refused().await.code(), RefuseCode::RefuseDenied);
        assert!(talk.is_over().await);
    }
    assert!(hub.ingest.registry().list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn breaches_are_refused_and_the_session_closed() {
    let hub = hub().await;
    let wal = Wal::new("one", 9);
    let breaches: [fn(&Wal, &Welcome) -> Kind; 5] = [
        |wal, welcome| Kind::Batch(Batch { epoch: welcome.epoch + 1, ..wal.batch(welcome, 1) }),
        |wal, welcome| Kind::Batch(Batch { sequence: 0, ..wal.batch(welcome, 1) }),
        |wal, welcome| Kind::Batch(Batch { sequence: 1 << 63, ..wal.batch(welcome, 1) }),
        |_, welcome| Kind::Gap(gap(welcome, 0, 5)),
        |_, _| Kind::Hello(hello()),
    ];
    for (at, breach) in breaches.into_iter().enumerate() {
        let mut talk = hub.greeted("alpha", "one").await;
        let welcome = talk.open(&Bytes::new()).await;
        talk.say(breach(&wal, &welcome)).await;
        assert_eq!(talk.refused().await.code(), RefuseCode::RefuseProtocol, "breach {at}");
        assert!(talk.is_over().await, "breach {at}");
    }
    let mut early = hub.dial(Some(hub.certificate("alpha", "one"))).await;
    early.say(Kind::Heartbeat(Heartbeat::default())).await;
    assert_eq!(early.refused().await.code(), RefuseCode::RefuseProtocol);
}

fn gap(welcome: &Welcome, from: u64, to: u64) -> Gap {
    let (zero, chain_to) = (Bytes::from_static(&[0; 16]), digest::extend_gap(Chain::default(), from, to));
    let (producer, chain_to) = (welcome.producer.clone(), Bytes::copy_from_slice(&chain_to.0));
    Gap { producer, epoch: welcome.epoch, from, to, chain_previous: zero, chain_to, reason: "x".repeat(10_000), ..Gap::default() }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_batch_is_asked_for_again_and_a_skipped_one_too() {
    let hub = hub().await;
    let wal = Wal::new("one", 3);
    let mut talk = hub.greeted("alpha", "one").await;
    let welcome = talk.open(&Bytes::new()).await;
    let mut body = wal.batches[0].body.to_vec();
    body[20] ^= 4;
    talk.say(Kind::Batch(Batch { body: body.into(), ..wal.batch(&welcome, 1) })).await;
    let refused = talk.refused().await;
    assert_eq!((refused.code(), refused.sequence, refused.producer), (RefuseCode::RefuseCorrupt, 1, welcome.producer.clone()));
    talk.say(Kind::Batch(wal.batch(&welcome, 2))).await;
    assert!(matches!(talk.hear().await, Some(Kind::Expect(expect)) if expect.sequence == 1));
    for sequence in 1..=3 {
        talk.say(Kind::Batch(wal.batch(&welcome, sequence))).await;
    }
    talk.acked(3).await;
    assert_eq!(lines(&hub.bucket, "alpha").await, wal.lines(3));
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_acked_to_its_end_whatever_its_texts_and_others_go_on() {
    let hub = hub().await;
    let mut talk = hub.greeted("alpha", "one").await;
    let welcome = talk.open(&Bytes::new()).await;
    talk.say(Kind::Gap(gap(&welcome, 1, 7))).await;
    talk.acked(7).await;
    let (wal, mut other) = (Wal::new("two", 1), hub.greeted("alpha", "two").await);
    let welcome = other.open(&Bytes::new()).await;
    other.say(Kind::Batch(wal.batch(&welcome, 1))).await;
    other.acked(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_in_no_tenant_waits_until_it_is_in_one() {
    let hub = hub().await;
    let mut talk = hub.greeted("gamma", "one").await;
    talk.say(Kind::Open(Open { track: 1, ..Open::default() })).await;
    let refused = talk.refused().await;
    assert_eq!(refused.code(), RefuseCode::RefuseNoTenant);
    assert!(refused.retry_after_ms > 0);
    let text = "version: 2\ntenants: {acme: {clusters: [alpha, gamma]}, blue: {clusters: [beta]}}\n";
    hub.maps.send_replace(Arc::new(Tenants::parse("tenants.yaml", text).unwrap()));
    let welcome = talk.open(&Bytes::new()).await;
    let wal = Wal::new("gamma", 1);
    talk.say(Kind::Batch(wal.batch(&welcome, 1))).await;
    talk.acked(1).await;
    assert_eq!(lines(&hub.bucket, "alpha").await, wal.lines(1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_and_comes_back_loses_and_doubles_nothing() {
    let hub = hub().await;
    let wal = Wal::new("one", 40);
    let mut talk = hub.greeted("alpha", "one").await;
    let mut welcome = talk.open(&Bytes::new()).await;
    for round in 0_u64..8 {
        match round % 4 {
            1 => hub.bucket.answers_lost.store(1, Ordering::Relaxed),
            2 => hub.bucket.away.store(true, Ordering::Relaxed),
            3 => {
                hub.net.cut("link");
                hub.net.mend("link");
                talk = hub.greeted("alpha", "one").await;
                let producer = welcome.producer.clone();
                welcome = talk.open(&producer).await;
            }
            _ => {}
        }
        // Everything again from far before: an edge that lost its acks.
        for sequence in (round * 5).saturating_sub(7).max(1)..=round * 5 + 5 {
            talk.say(Kind::Batch(wal.batch(&welcome, sequence))).await;
        }
        sleep(Duration::from_secs(7)).await;
        talk.say(Kind::Heartbeat(Heartbeat::default())).await;
        hub.bucket.away.store(false, Ordering::Relaxed);
        talk.acked(round * 5 + 5).await;
    }
    assert_eq!(lines(&hub.bucket, "alpha").await, wal.lines(40));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_and_heartbeats_keep_it() {
    let hub = hub().await;
    let mut mute = hub.dial(Some(hub.certificate("alpha", "one"))).await;
    assert!(matches!(timeout(Duration::from_secs(11), mute.hear()).await, Ok(Some(Kind::Bye(_)))), "no Hello in 10 s");
    let mut talk = hub.greeted("alpha", "two").await;
    for _ in 0..12 {
        sleep(Duration::from_secs(10)).await;
        talk.say(Kind::Heartbeat(Heartbeat { files_behind: 5, ..Heartbeat::default() })).await;
    }
    talk.open(&Bytes::new()).await;
    assert_eq!(hub.ingest.registry().list()[1].heartbeat.files_behind, 5);
    assert!(matches!(timeout(Duration::from_secs(31), talk.hear()).await, Ok(Some(Kind::Bye(_)))));
}

#[tokio::test(start_paused = true)]
async fn goodbyes_are_said_both_ways() {
    let mut hub = hub().await;
    let mut leaving = hub.greeted("alpha", "one").await;
    leaving.say(Kind::Bye(Bye::default())).await;
    assert!(matches!(leaving.hear().await, Some(Kind::Bye(_))));
    assert!(leaving.is_over().await);
    let mut staying = hub.greeted("alpha", "two").await;
    hub.stop.cancel();
    assert!(matches!(staying.hear().await, Some(Kind::Bye(bye)) if bye.text.contains("shutting down")));
    timeout(Duration::from_secs(30), async { while hub.tasks.join_next().await.is_some() {} }).await.expect("all tasks end");
}
