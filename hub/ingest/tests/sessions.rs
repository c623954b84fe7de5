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
use hub_store::{Draft, LaneRecord, Store};
use hub_tenant::Tenants;
use proto_boot::Metrics;
use proto_link::{Dial, DirectNet, Session, Targets};
use proto_model::{Chain, EdgeId, ProducerId};
use proto_seam::Clock;
use proto_wire::edge_hub::message::Kind;
use proto_wire::edge_hub::{Ack, Batch, Bye, Close, Gap, Heartbeat, Hello, Message, Open, Position, Refuse, RefuseCode, Welcome};
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
    store: Arc<Store>,
    authority: Arc<Authority>,
    ingest: Ingest,
    metrics: Metrics,
    maps: watch::Sender<Arc<Tenants>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

async fn hub() -> Hub {
    let authority = Authority::generate(&TrustDomain::new(DOMAIN).unwrap(), &Clock::real()).unwrap();
    hub_on(&Arc::new(Bucket::default()), &Arc::new(authority), 1).await
}

/// A hub of its own name on `bucket`.
async fn hub_on(bucket: &Arc<Bucket>, authority: &Arc<Authority>, seed: u64) -> Hub {
    let net = DirectNet::new();
    let (maps, map) = watch::channel(Arc::new(tenants(1)));
    let (stop, metrics) = (CancellationToken::new(), Metrics::new());
    let store = store(bucket, seed).await;
    let parts = IngestParts {
        store: Arc::clone(&store),
        tenants: map,
        revoked: watch::channel(Default::default()).1,
        listeners: vec![Box::new(net.listen("hub"))],
        trust_domain: TrustDomain::new(DOMAIN).unwrap(),
        linger: Duration::from_millis(100),
        object_bytes_max: 1 << 20,
        metrics: IngestMetrics::new(&metrics),
        // Not the numbers that the store draws.
        world: world(seed + 500),
    };
    let (ingest, tasks) = Ingest::start(parts, &stop);
    Hub { net, bucket: Arc::clone(bucket), store, authority: Arc::clone(authority), ingest, metrics, maps, stop, tasks }
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
        self.greeted_as(cluster_name, edge, hello()).await
    }

    async fn greeted_as(&self, cluster_name: &str, edge: &str, hello: Hello) -> Talk {
        let mut talk = self.dial(Some(self.certificate(cluster_name, edge))).await;
        talk.say(Kind::Hello(hello)).await;
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
        self.open_as(Open { track: 1, producer: producer.clone(), ..Open::default() }).await
    }

    /// Opens; acks of before may come first.
    async fn open_as(&mut self, open: Open) -> Welcome {
        self.say(Kind::Open(open)).await;
        loop {
            match self.hear().await {
                Some(Kind::Welcome(welcome)) => return welcome,
                Some(Kind::Ack(_)) => {}
                other => panic!("no Welcome: {other:?}"),
            }
        }
    }

    async fn refused(&mut self) -> Refuse {
        match self.hear().await {
            Some(Kind::Refuse(refuse)) => refuse,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Opens the first track of a WAL that is new: the hub makes sure that it is still there before others end.
    async fn open_for_good(&mut self) -> Welcome {
        self.asks_in_vain().await;
        self.open(&Bytes::new()).await
    }

    async fn asks_in_vain(&mut self) {
        self.say(Kind::Open(Open { track: 1, ..Open::default() })).await;
        let refuse = self.refused().await;
        assert_eq!((refuse.code(), refuse.producer.len()), (RefuseCode::RefuseUnavailable, 0));
        assert!(refuse.text.contains("still there"), "{}", refuse.text);
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

/// Two hubs on one bucket, each with a lane of its own.
/// A session of `alpha/one` with its first two tracks.
async fn with_two_tracks(hub: &Hub) -> (Talk, Welcome, Welcome) {
    let mut talk = hub.greeted("alpha", "one").await;
    let first = talk.open(&Bytes::new()).await;
    let second = talk.open_as(Open { track: 2, ..Open::default() }).await;
    (talk, first, second)
}

async fn two_hubs() -> [Hub; 2] {
    let left = hub().await;
    let right = hub_on(&left.bucket, &left.authority, 2).await;
    [left, right]
}

async fn sorted_lines(bucket: &Arc<Bucket>) -> Vec<String> {
    let mut found = lines(bucket, "alpha").await;
    found.sort_unstable();
    found
}

/// An edge with a WAL, wherever it is connected.
struct Roamer {
    wal: Wal,
    talk: Option<Talk>,
    welcome: Option<Welcome>,
    sent: u64,
}

impl Roamer {
    fn new(name: &'static str, count: u64) -> Self {
        Self { wal: Wal::new(name, count), talk: None, welcome: None, sent: 0 }
    }

    /// Opens at `hub`, leaving the session it had as it is; what is not committed is sent again.
    async fn turn_to(&mut self, hub: &Hub, nonce: u8) -> Option<Talk> {
        let hello = Hello { nonce: Bytes::from(vec![nonce; 16]), ..hello() };
        let mut talk = hub.greeted_as("alpha", self.wal.name, hello).await;
        let producer = self.welcome.as_ref().map(|welcome| welcome.producer.clone()).unwrap_or_default();
        let welcome = talk.open(&producer).await;
        let last = usize::try_from(welcome.last).unwrap();
        assert_eq!(welcome.chain.as_ref(), &self.wal.chains[last].0[..], "{} at {last}", self.wal.name);
        assert!(welcome.carry.is_none());
        self.sent = welcome.last;
        self.welcome = Some(welcome);
        self.talk.replace(talk)
    }

    async fn send(&mut self, up_to: u64) {
        let (talk, welcome) = (self.talk.as_ref().unwrap(), self.welcome.as_ref().unwrap());
        for sequence in self.sent + 1..=up_to {
            talk.say(Kind::Batch(self.wal.batch(welcome, sequence))).await;
        }
        self.sent = up_to.max(self.sent);
    }
}

#[tokio::test(start_paused = true)]
async fn edges_that_go_back_and_forth_between_hubs_with_batches_in_flight_are_stored_once() {
    for seed in 0..6_u64 {
        let hubs = two_hubs().await;
        let mut edges = [Roamer::new("one", 60), Roamer::new("two", 60), Roamer::new("three", 60)];
        let mut left_behind = Vec::new();
        for round in 1..=15_u64 {
            for (at, edge) in edges.iter_mut().enumerate() {
                let dice = (round * 7 + at as u64 * 3 + seed * 5) % 11;
                if round == 1 || !dice.is_multiple_of(3) {
                    // The session before stays, and what it holds is judged when it is judged.
                    left_behind.extend(edge.turn_to(&hubs[usize::try_from((round + at as u64 + dice / 4) % 2).unwrap()], 7).await);
                }
                edge.send(round * 4).await;
                if dice == 5 {
                    hubs[0].bucket.answers_lost.store(1, Ordering::Relaxed);
                }
            }
            sleep(Duration::from_millis((round * 37 + seed * 91) % 250)).await;
        }
        for edge in &mut edges {
            left_behind.extend(edge.turn_to(&hubs[usize::try_from(seed % 2).unwrap()], 7).await);
            edge.send(60).await;
            if edge.welcome.as_ref().unwrap().last < 60 {
                edge.talk.as_mut().unwrap().acked(60).await;
            }
        }
        let mut expected: Vec<String> = edges.iter().flat_map(|edge| edge.wal.lines(60)).collect();
        expected.sort_unstable();
        assert_eq!(sorted_lines(&hubs[0].bucket).await, expected, "seed {seed}");
        assert_ne!(hubs[0].store.own_lane(), hubs[1].store.own_lane());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_wal_ends_its_tracks_on_all_hubs_and_their_positions_come_together() {
    let hubs = two_hubs().await;
    let (mut old, first, second) = with_two_tracks(&hubs[0]).await;
    assert!(second.producer != first.producer && second.last == 0);
    let wal = Wal::new("one", 3);
    old.say(Kind::Batch(wal.batch(&first, 1))).await;
    let elsewhere = Position { inode: 6, offset: 77, ..wal.batch(&second, 1).positions[0].clone() };
    old.say(Kind::Batch(Batch { positions: vec![elsewhere], ..wal.batch(&second, 1) })).await;
    old.acked(1).await;
    old.acked(1).await;
    // Batches that are still on their way when the new WAL asks elsewhere.
    old.say(Kind::Batch(wal.batch(&second, 2))).await;
    let mut new = hubs[1].greeted_as("alpha", "one", Hello { wal_id: 4, ..hello() }).await;
    let welcome = new.open_for_good().await;
    assert_eq!((welcome.last, welcome.chain.as_ref()), (1, &wal.chains[1].0[..]), "the first track's numbering goes on");
    let mut offsets: Vec<(u64, u64)> = welcome.positions.iter().map(|position| (position.inode, position.offset)).collect();
    offsets.sort_unstable();
    let in_flight = sorted_lines(&hubs[0].bucket).await.len() == 3;
    assert_eq!(offsets, [(5, if in_flight { 200 } else { 100 }), (6, 77)]);
    assert_eq!(old.refused().await.code(), RefuseCode::RefuseFenced);
    // The same process asks for its track again: no second merger, the same producer.
    let again = new.open(&welcome.producer).await;
    assert_eq!((again.producer, again.epoch), (welcome.producer, 2));
}

#[tokio::test(start_paused = true)]
async fn a_wal_that_knows_one_track_is_told_of_the_later_one_by_whichever_hub() {
    let hubs = two_hubs().await;
    let (mut before, first, second) = with_two_tracks(&hubs[0]).await;
    assert_eq!((first.later, second.later), (0, 0));
    let wal = Wal::new("one", 3);
    before.say(Kind::Batch(wal.batch(&second, 1))).await;
    before.acked(1).await;
    let nonce = |byte| Hello { nonce: Bytes::copy_from_slice(&[byte; 16]), ..hello() };
    // The same process: it has not lost what it knew.
    assert_eq!(before.open(&first.producer).await.later, 0);
    let mut at = first.producer;
    for (hub, byte) in [(0, 8), (1, 9), (0, 10)] {
        let mut restored = hubs[hub].greeted_as("alpha", "one", nonce(byte)).await;
        let welcome = restored.open(&at).await;
        assert_eq!(welcome.later, 2, "hub {hub}");
        at = welcome.producer;
        // Its own again, whatever the lane, with what it has stored; the one before is fenced.
        let later = restored.open_as(Open { track: 2, ..Open::default() }).await;
        assert_eq!((later.later, later.last, later.chain.as_ref()), (0, 1, &wal.chains[1].0[..]));
        assert_eq!(restored.open_as(Open { track: 1, producer: at.clone(), followed: true, ..Open::default() }).await.later, 0);
    }
    before.say(Kind::Batch(wal.batch(&second, 2))).await;
    assert_eq!(before.refused().await.code(), RefuseCode::RefuseFenced);
    // Another WAL of the edge has no part in that numbering.
    let mut new = hubs[1].greeted_as("alpha", "one", Hello { wal_id: 4, ..nonce(11) }).await;
    assert_eq!(new.open_for_good().await.later, 0);
}

/// An opening that lay in a hub while its process died looks like one of a newer WAL, and nobody asks again.
#[tokio::test(start_paused = true)]
async fn an_opening_that_comes_late_ends_no_tracks() {
    let hubs = two_hubs().await;
    let (mut live, first, second) = with_two_tracks(&hubs[0]).await;
    let wal = Wal::new("one", 3);
    live.say(Kind::Batch(wal.batch(&second, 1))).await;
    live.acked(1).await;
    let lost = || Hello { wal_id: 4, nonce: Bytes::from_static(&[8; 16]), ..hello() };
    for hub in [1, 0, 1] {
        hubs[hub].greeted_as("alpha", "one", lost()).await.asks_in_vain().await;
    }
    live.say(Kind::Batch(wal.batch(&second, 2))).await;
    live.acked(2).await;
    // The first one only moved.
    let mut again = hubs[0].greeted("alpha", "one").await;
    assert_eq!(again.open(&first.producer).await.last, 0);
    let stands = again.open_as(Open { track: 2, producer: second.producer.clone(), ..Open::default() }).await;
    assert_eq!((stands.last, stands.carry), (2, None));
}

#[tokio::test(start_paused = true)]
async fn a_drained_track_is_closed_and_its_end_told_again() {
    let hub = hub().await;
    let wal = Wal::new("one", 2);
    let (mut talk, first, second) = with_two_tracks(&hub).await;
    talk.say(Kind::Batch(wal.batch(&first, 1))).await;
    talk.acked(1).await;
    let chain = Bytes::copy_from_slice(&wal.chains[1].0);
    let end = Close { producer: first.producer.clone(), epoch: first.epoch, sequence: 1, chain: chain.clone(), next: second.producer.clone() };
    for _ in 0..2 {
        talk.say(Kind::Close(end.clone())).await;
        assert_eq!(talk.hear().await, Some(Kind::Close(end.clone())));
    }
    talk.say(Kind::Batch(wal.batch(&first, 2))).await;
    assert_eq!(talk.refused().await.code(), RefuseCode::RefuseFenced);
    // The answer was lost, and the edge came back: the end is told in place of a Welcome.
    let mut later = hub.greeted("alpha", "one").await;
    later.say(Kind::Open(Open { track: 1, producer: first.producer.clone(), acked: 0, followed: true, ..Open::default() })).await;
    assert_eq!(later.hear().await, Some(Kind::Close(end)));
    assert_eq!(later.open_as(Open { track: 2, producer: second.producer.clone(), ..Open::default() }).await.last, 0);
}

/// What an operator's release does.
async fn release(store: &Arc<Store>, producer: &Bytes) {
    let producer = ProducerId::from_bytes(producer).unwrap();
    let next = ProducerId { unique: 4_711, ..producer };
    let judge = |fold: &hub_store::Fold| {
        let state = fold.producer(&producer).unwrap();
        assert!(state.quarantined);
        let close = LaneRecord::Close { producer, sequence: state.last, chain: state.chain, next };
        Ok(state.closed.is_none().then(|| Draft { records: vec![close], ..Draft::default() }))
    };
    store.amend(producer.lane, judge).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn clones_are_seen_set_aside_and_each_goes_on_after_the_release() {
    let hubs = two_hubs().await;
    let wal = Wal::new("one", 4);
    let mut producer = Bytes::new();
    let mut talks = Vec::new();
    for (at, nonce) in [(0, 1), (0, 2), (0, 1), (0, 2)] {
        let mut talk = hubs[at].greeted_as("alpha", "one", Hello { nonce: Bytes::from(vec![nonce; 16]), ..hello() }).await;
        let welcome = talk.open(&producer).await;
        if talks.is_empty() {
            talk.say(Kind::Batch(wal.batch(&welcome, 1))).await;
            talk.acked(1).await;
        }
        producer = welcome.producer;
        talks.push(talk);
    }
    let mut third = hubs[0].greeted_as("alpha", "one", Hello { nonce: Bytes::from(vec![1; 16]), ..hello() }).await;
    let ask = Open { track: 1, producer: producer.clone(), acked: 1, acked_chain: Bytes::copy_from_slice(&wal.chains[1].0), ..Open::default() };
    third.say(Kind::Open(ask.clone())).await;
    assert_eq!(third.refused().await.code(), RefuseCode::RefuseDiverged);
    // The other hub knows it too; nobody moves what is quarantined.
    let mut elsewhere = hubs[1].greeted("alpha", "one").await;
    elsewhere.say(Kind::Open(ask.clone())).await;
    assert_eq!(elsewhere.refused().await.code(), RefuseCode::RefuseDiverged);
    release(&hubs[1].store, &producer).await;
    let welcome = elsewhere.open_as(ask.clone()).await;
    let carry = welcome.carry.clone().unwrap();
    assert_eq!((welcome.last, carry.producer, carry.last, carry.digests.as_ref()), (0, producer.clone(), 1, &wal.batches[0].digest.0[..]));
    // What is not stored, under numbers of its own.
    let rest = Wal { name: "one", batches: wal.batches[1..].to_vec(), chains: Wal::new("rest", 0).chains };
    let chains = rest.batches.iter().fold(rest.chains, |mut chains, batch| {
        chains.push(digest::extend(chains[chains.len() - 1], batch.digest));
        chains
    });
    let rest = Wal { chains, ..rest };
    for sequence in 1..=3 {
        elsewhere.say(Kind::Batch(rest.batch(&welcome, sequence))).await;
    }
    elsewhere.acked(3).await;
    assert_eq!(sorted_lines(&hubs[0].bucket).await, wal.lines(4));
    // The clone, which got a name of its own, brings over as well.
    let mut renamed = hubs[0].greeted("alpha", "clone").await;
    let own = renamed.open_as(ask).await;
    assert!(own.producer != welcome.producer && own.last == 0 && own.carry.is_some_and(|carry| carry.last == 1));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_edges_are_told_to_slow_down_and_freed_again() {
    let hub = hub().await;
    let noise = |seed: u64| -> String {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
        };
        (0..2 << 20).map(|_| next()).collect()
    };
    let mut talks = Vec::new();
    for edge in ["a", "b", "c", "d", "e", "f"] {
        let mut talk = hub.greeted("alpha", edge).await;
        let welcome = talk.open(&Bytes::new()).await;
        talks.push((talk, welcome));
    }
    hub.bucket.away.store(true, Ordering::Relaxed);
    for (at, (talk, welcome)) in talks.iter().enumerate() {
        let batches = (0..4).map(|sequence| frozen(&[("app", "noise")], &[&noise(at as u64 * 10 + sequence)])).collect::<Vec<_>>();
        let chains = batches.iter().fold(vec![Chain::default()], |mut chains, batch| {
            chains.push(digest::extend(chains[chains.len() - 1], batch.digest));
            chains
        });
        let wal = Wal { name: "noise", batches, chains };
        for sequence in 1..=4 {
            talk.say(Kind::Batch(wal.batch(welcome, sequence))).await;
        }
    }
    for (talk, _) in &mut talks {
        let heard = talk.hear().await;
        let Some(Kind::Slow(slow)) = heard else { panic!("not slowed: {heard:?}") };
        assert!(slow.bytes_per_second > 0 && slow.for_ms >= 1_000);
    }
    hub.bucket.away.store(false, Ordering::Relaxed);
    for (talk, _) in &mut talks {
        let mut acked = 0;
        loop {
            talk.say(Kind::Heartbeat(Heartbeat::default())).await;
            match talk.hear().await {
                Some(Kind::Slow(slow)) if slow.bytes_per_second == 0 => break,
                Some(Kind::Slow(_)) => {}
                Some(Kind::Ack(ack)) => acked = ack.sequence,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(acked, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_edges_that_come_at_once_cost_a_few_objects() {
    const EDGES: usize = 300;
    let hubs = two_hubs().await;
    let mut talks = Vec::new();
    for at in 0..EDGES {
        talks.push(hubs[0].greeted("alpha", &format!("e{at}")).await);
    }
    let creates = |hub: &Hub| hub.bucket.creates.load(Ordering::Relaxed);
    let open = |producer: &Bytes| Kind::Open(Open { track: 1, producer: producer.clone(), ..Open::default() });
    let mut producers = vec![Bytes::new(); EDGES];
    // First meeting; coming back to the same hub; all of them going over to the other.
    for (round, most) in [(0, 60), (1, 10), (2, 60)] {
        if round == 2 {
            talks.clear();
            for at in 0..EDGES {
                talks.push(hubs[1].greeted("alpha", &format!("e{at}")).await);
            }
        }
        let before = creates(&hubs[0]);
        for (talk, producer) in talks.iter().zip(&producers) {
            talk.say(open(producer)).await;
        }
        for (talk, producer) in talks.iter_mut().zip(&mut producers) {
            let Some(Kind::Welcome(welcome)) = talk.hear().await else { panic!("no Welcome in round {round}") };
            *producer = welcome.producer;
        }
        let made = creates(&hubs[0]) - before;
        assert!(made <= most, "round {round}: {made} objects for {EDGES} edges");
    }
}
