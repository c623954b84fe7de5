use std::sync::atomic::Ordering;

use hub_store::{Draft, LaneRecord, Origin, SectionDraft};
use proto_boot::Metrics;
use proto_model::{Chain, Epoch, ProducerId, Sequence};
use proto_wire::digest;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::admit::hub_rows;
use crate::mover::Mover;
use crate::pushes::{PushLanes, Router};
use crate::request::{GapOffer, Offer, Room, Speaker, blank};
use crate::rig::{Bucket, cluster, frozen, lines, store, tenants, world};

/// A running sealer on a bucket, with its mover and its push lanes.
struct Hub {
    bucket: Arc<Bucket>,
    store: Arc<Store>,
    requests: mpsc::Sender<Request>,
    pushes: mpsc::Sender<Push>,
    lanes: PushLanes,
    maps: watch::Sender<Arc<Tenants>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    metrics: Metrics,
}

async fn hub(bucket: &Arc<Bucket>, seed: u64) -> Hub {
    hub_on(bucket, store(bucket, seed).await, seed)
}

fn hub_on(bucket: &Arc<Bucket>, store: Arc<Store>, seed: u64) -> Hub {
    let (requests, queue) = mpsc::channel(64);
    let (walker, asked) = mpsc::channel(64);
    let (pushes, pushed) = mpsc::channel(64);
    let (maps, tenants) = watch::channel(Arc::new(tenants(1)));
    let (stop, metrics) = (CancellationToken::new(), Metrics::new());
    let with = Seals {
        store: Arc::clone(&store),
        tenants,
        world: world(seed + 500),
        linger: Duration::from_millis(200),
        object_bytes_max: 1 << 20,
        metrics: IngestMetrics::new(&metrics),
        gauge: Gauge::default(),
        stop: stop.clone(),
    };
    tokio::spawn(Mover { store: Arc::clone(&store), asked, back: requests.clone(), world: world(seed + 500), stop: stop.clone() }.run());
    tokio::spawn(Router { pushes: pushed, own: requests.clone(), with: with.clone() }.run());
    let task = tokio::spawn(Sealer::new(with, Lane::Own(walker), queue).run());
    let lanes = PushLanes::new(Arc::clone(&store));
    Hub { bucket: Arc::clone(bucket), store, requests, pushes, lanes, maps, stop, task, metrics }
}

impl Hub {
    /// The value of a counter without labels.
    fn count(&self, name: &str) -> u64 {
        let text = self.metrics.text();
        let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    fn objects(&self) -> usize {
        self.bucket.creates.load(Ordering::Relaxed)
    }

    fn away(&self, away: bool) {
        self.bucket.away.store(away, Ordering::Relaxed);
    }

    async fn push(&self, key: &str, text: &str) -> oneshot::Receiver<Result<PushDone, PushRefused>> {
        let (reply, answer) = oneshot::channel();
        let batch = frozen(&[("app", "push")], &[text]);
        let view = proto_wire::BatchView::parse(batch.body.clone()).unwrap();
        let (rows, _) = hub_rows(&view.table().streams, None, &[]);
        let grant = tenants(1).identify(&cluster("alpha")).unwrap();
        let Ok(Some(lane)) = self.lanes.of(&grant).await else {
            reply.send(Err(PushRefused::Unavailable)).unwrap();
            return answer;
        };
        let arrived = Timestamp(i64::MAX);
        let push = Push { grant, lane, key: key.as_bytes().to_vec(), arrived, rows, body: batch.body, lines: 1, room: Room::default(), reply };
        self.pushes.send(push).await.unwrap();
        answer
    }
}

/// An edge as its hub's session shows it to the sealer.
struct Edge {
    speaker: Speaker,
    producer: Option<ProducerId>,
    epoch: Epoch,
    chains: Vec<Chain>,
    reply: mpsc::Sender<Reply>,
    replies: mpsc::Receiver<Reply>,
}

impl Edge {
    fn new(name: &str) -> Self {
        let (reply, replies) = mpsc::channel(256);
        let speaker = blank::speaker("alpha", name);
        Self { speaker, producer: None, epoch: Epoch(0), chains: vec![Chain::default()], reply, replies }
    }

    async fn ask(&self, hub: &Hub) {
        let open = Open { producer: self.producer, nonce: [1; 16], reply: self.reply.clone(), ..blank::open(self.speaker.clone()) };
        hub.requests.send(Request::Open(open)).await.unwrap();
    }

    async fn open(&mut self, hub: &Hub) -> Sequence {
        self.ask(hub).await;
        let Reply::Opened { producer, epoch, last, .. } = self.heard().await else { panic!("not opened") };
        self.producer = Some(producer);
        self.epoch = epoch;
        last
    }

    /// Sends batch `sequence`, whose one line names it; always the same bytes.
    async fn send(&mut self, hub: &Hub, sequence: u64) {
        let batch = frozen(&[("app", "web")], &[&format!("{} {sequence}", self.speaker.edge)]);
        let at = usize::try_from(sequence).unwrap();
        let chain_previous = self.chains[at - 1];
        if self.chains.len() == at {
            self.chains.push(digest::extend(chain_previous, batch.digest));
        }
        let view = proto_wire::BatchView::parse(batch.body.clone()).unwrap();
        let (rows, _) = hub_rows(&view.table().streams, Some(&self.speaker.cluster), &[]);
        let (reply, blank) = (self.reply.clone(), blank::offer(self.speaker.clone(), self.producer.unwrap(), sequence));
        let offer = Offer { epoch: self.epoch, chain_previous, digest: batch.digest, rows, body: batch.body, reply, ..blank };
        hub.requests.send(Request::Batch(offer)).await.unwrap();
    }

    async fn heard(&mut self) -> Reply {
        timeout(Duration::from_secs(120), self.replies.recv()).await.expect("an answer").expect("the sealer holds on")
    }

    async fn acked(&mut self, up_to: u64) {
        while let Reply::Acked { sequence, .. } = self.heard().await {
            if sequence.0 >= up_to {
                return;
            }
        }
        panic!("refused");
    }

    fn is_silent(&mut self) -> bool {
        self.replies.try_recv().is_err()
    }
}

fn numbered(name: &str, last: u64) -> Vec<String> {
    (1..=last).map(|sequence| format!("{name} {sequence}")).collect()
}

#[tokio::test(start_paused = true)]
async fn an_ack_means_that_a_fresh_hub_reads_the_line() {
    let bucket = Arc::new(Bucket::default());
    let hub = hub(&bucket, 1).await;
    let mut edge = Edge::new("one");
    assert_eq!(edge.open(&hub).await, Sequence(0));
    assert_eq!(edge.epoch, Epoch(1));
    let before = hub.objects();
    for sequence in 1..=5 {
        edge.send(&hub, sequence).await;
    }
    sleep(Duration::from_millis(100)).await;
    assert!(edge.is_silent(), "the object is still held open for others");
    assert_eq!(lines(&bucket, "alpha").await, [""; 0]);
    edge.acked(5).await;
    assert_eq!(hub.objects(), before + 1, "one object for all five");
    assert_eq!(lines(&bucket, "alpha").await, numbered("one", 5));
    edge.send(&hub, 3).await;
    assert!(matches!(edge.heard().await, Reply::Acked { sequence: Sequence(5), .. }));
    assert_eq!((hub.objects(), hub.count("tributary_hub_batches_duplicate_total")), (before + 1, 1));
    assert_eq!(lines(&bucket, "alpha").await, numbered("one", 5));
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_after_the_write_makes_no_second_copy() {
    let bucket = Arc::new(Bucket::default());
    let hub = hub(&bucket, 1).await;
    let mut edge = Edge::new("one");
    edge.open(&hub).await;
    for round in 0..4 {
        bucket.answers_lost.store(2, Ordering::Relaxed);
        let (first, last) = (round * 3 + 1, round * 3 + 3);
        for sequence in first..=last {
            edge.send(&hub, sequence).await;
        }
        edge.acked(last).await;
        bucket.answers_lost.store(0, Ordering::Relaxed);
    }
    assert_eq!(lines(&bucket, "alpha").await, numbered("one", 12));
    assert!(hub.count("tributary_hub_puts_unconfirmed_total") >= 4);
}

#[tokio::test(start_paused = true)]
async fn an_opening_whose_answer_is_lost_is_told_an_epoch_that_stands() {
    let bucket = Arc::new(Bucket::default());
    let hub = hub(&bucket, 1).await;
    let mut edge = Edge::new("one");
    // The lane is made with the first opening of all.
    Edge::new("other").open(&hub).await;
    bucket.answers_lost.store(1, Ordering::Relaxed);
    edge.open(&hub).await;
    assert_eq!(edge.epoch, Epoch(2), "the first stands too, and belongs to nobody");
    edge.send(&hub, 1).await;
    edge.acked(1).await;
    assert_eq!(lines(&bucket, "alpha").await, numbered("one", 1));
}

/// Writes into a lane of another hub, as if it were its own.
async fn rival(store: &Arc<Store>, lane: LaneId, at: u8) {
    let tenant = tenants(1).identify(&cluster("beta")).unwrap().tenant().clone();
    let mut writer = store.writer_of(lane).await.unwrap();
    let note = LaneRecord::PushKey { tenant, key: vec![at], at: Timestamp(0) };
    writer.put(Draft { records: vec![note], sections: Vec::new(), map_version: 1 }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_writer_on_the_lane_costs_tries_not_lines_and_then_has_it() {
    let bucket = Arc::new(Bucket::default());
    let (left, right) = (hub(&bucket, 1).await, store(&bucket, 2).await);
    let mut edge = Edge::new("one");
    edge.open(&left).await;
    let lane = edge.producer.unwrap().lane;
    let mut last = 0;
    for at in 0..20 {
        rival(&right, lane, at).await;
        last += 1;
        edge.send(&left, last).await;
        match edge.heard().await {
            Reply::Acked { sequence, .. } => assert_eq!(sequence.0, last),
            Reply::Refused { why: Refusal::Fenced, .. } => {
                // The hub has another lane by now: the opening brings the producer over.
                last = edge.open(&left).await.0;
            }
            other @ (Reply::Opened { .. } | Reply::Closed { .. } | Reply::Expect { .. } | Reply::Refused { .. }) => panic!("{other:?}"),
        }
    }
    assert!(edge.producer.unwrap().lane != lane && left.store.own_lane() == Some(edge.producer.unwrap().lane));
    assert_eq!(left.count("tributary_hub_lanes_left_total"), 1, "the new one is its own");
    assert!(left.count("tributary_hub_puts_unconfirmed_total") >= 6, "they met");
    assert_eq!(lines(&bucket, "alpha").await.len() as u64, last);
}

#[tokio::test(start_paused = true)]
async fn pushes_of_a_tenant_go_to_one_lane_whichever_hub_takes_them() {
    let bucket = Arc::new(Bucket::default());
    let (left, right) = (hub(&bucket, 1).await, hub(&bucket, 2).await);
    Edge::new("one").open(&left).await;
    Edge::new("two").open(&right).await;
    assert_eq!(left.push("k1", "pushed 1").await.await.unwrap(), Ok(PushDone::Stored));
    assert_eq!(right.push("k1", "pushed 1").await.await.unwrap(), Ok(PushDone::Repeated), "the key stands in that lane");
    assert_eq!(right.push("k2", "pushed 2").await.await.unwrap(), Ok(PushDone::Stored));
    assert_ne!(left.store.own_lane(), right.store.own_lane());
    // Long idle, its sealer at the other hub ends; the next push makes another.
    sleep(Duration::from_secs(200)).await;
    assert_eq!(right.push("k3", "pushed 3").await.await.unwrap(), Ok(PushDone::Stored));
    assert_eq!(left.push("k3", "pushed 3").await.await.unwrap(), Ok(PushDone::Repeated));
    assert_eq!(lines(&bucket, "alpha").await, ["pushed 1", "pushed 2", "pushed 3"]);
}

#[test]
fn a_rival_is_one_that_comes_again_and_again() {
    let at = |seconds: u64| Timestamp(1).plus(Duration::from_secs(seconds));
    let mut rivals = Rivals::default();
    for round in 0..100 {
        assert!(!rivals.met(at(round * 11)), "now and then another hub writes what it must");
    }
    let mut rivals = Rivals::default();
    let told: Vec<bool> = (0..RIVAL_CONFLICTS).map(|_| rivals.met(at(5_000))).collect();
    assert!(told.iter().rev().skip(1).all(|told| !told) && told[RIVAL_CONFLICTS - 1]);
    assert!(!rivals.met(at(5_000)), "the count begins anew");
}

#[tokio::test(start_paused = true)]
async fn a_batch_pending_here_and_resent_to_another_hub_stands_once() {
    let bucket = Arc::new(Bucket::default());
    let (left, right) = (hub(&bucket, 1).await, hub(&bucket, 2).await);
    let mut edge = Edge::new("one");
    edge.open(&left).await;
    edge.send(&left, 1).await;
    // The edge turns to the other hub before the first has written.
    let before = edge.producer.unwrap();
    let last = edge.open(&right).await;
    assert!(edge.producer != Some(before) && edge.producer.unwrap().lane != before.lane, "it goes on in the other hub's lane");
    if last == Sequence(0) {
        edge.send(&right, 1).await;
    }
    sleep(Duration::from_secs(5)).await;
    let mut fenced = false;
    while let Ok(reply) = edge.replies.try_recv() {
        fenced |= matches!(reply, Reply::Refused { why: Refusal::Fenced, .. });
    }
    assert!(fenced || last == Sequence(1), "the old epoch takes nothing after the new one");
    assert_eq!(lines(&bucket, "alpha").await, numbered("one", 1));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_batches_wait_and_pushes_are_told_at_once() {
    let bucket = Arc::new(Bucket::default());
    let hub = hub(&bucket, 1).await;
    let mut edge = Edge::new("one");
    edge.open(&hub).await;
    hub.away(true);
    edge.send(&hub, 1).await;
    let with_batch = hub.push("k1", "pushed 1").await;
    assert_eq!(timeout(Duration::from_secs(60), with_batch).await.unwrap().unwrap(), Err(PushRefused::Unavailable));
    // Later ones meet a hub that already waits for its store.
    sleep(Duration::from_secs(60)).await;
    for key in ["k2", "k3"] {
        let asked = Instant::now();
        let late = hub.push(key, "pushed 2").await;
        assert_eq!(timeout(Duration::from_secs(60), late).await.unwrap().unwrap(), Err(PushRefused::Unavailable));
        assert!(asked.elapsed() < Duration::from_secs(1), "{key} {:?}", asked.elapsed());
    }
    edge.send(&hub, 2).await;
    sleep(Duration::from_secs(60)).await;
    assert!(edge.is_silent(), "neither acked nor refused");
    hub.away(false);
    edge.acked(2).await;
    let sent_again = hub.push("k1", "pushed 1").await;
    assert_eq!(sent_again.await.unwrap(), Ok(PushDone::Stored));
    let repeated = hub.push("k1", "pushed 1").await;
    assert_eq!(repeated.await.unwrap(), Ok(PushDone::Repeated));
    let mut expected = numbered("one", 2);
    expected.push("pushed 1".to_owned());
    assert_eq!(lines(&bucket, "alpha").await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_store_away_from_the_start_keeps_edges_waiting_and_pushes_not() {
    let bucket = Arc::new(Bucket::default());
    let opened = store(&bucket, 1).await;
    bucket.away.store(true, Ordering::Relaxed);
    let hub = hub_on(&bucket, opened, 1);
    let mut edge = Edge::new("one");
    edge.ask(&hub).await;
    let push = hub.push("k", "pushed").await;
    assert_eq!(timeout(Duration::from_secs(120), push).await.unwrap().unwrap(), Err(PushRefused::Unavailable));
    assert!(edge.is_silent());
    hub.away(false);
    assert!(matches!(edge.heard().await, Reply::Opened { .. }));
}

#[tokio::test(start_paused = true)]
async fn shutting_down_refuses_what_waits() {
    let bucket = Arc::new(Bucket::default());
    let hub = hub(&bucket, 1).await;
    let mut edge = Edge::new("one");
    edge.open(&hub).await;
    hub.away(true);
    edge.send(&hub, 1).await;
    sleep(Duration::from_secs(30)).await;
    edge.send(&hub, 2).await;
    let gap = GapOffer { epoch: edge.epoch, reply: edge.reply.clone(), ..blank::gap(edge.speaker.clone(), edge.producer.unwrap(), (3, 4)) };
    hub.requests.send(Request::Gap(gap)).await.unwrap();
    edge.ask(&hub).await;
    hub.stop.cancel();
    timeout(Duration::from_secs(60), hub.task).await.expect("it ends").unwrap();
    let mut refused = Vec::new();
    while let Ok(reply) = edge.replies.try_recv() {
        let Reply::Refused { sequence, why: Refusal::Unavailable(_), .. } = reply else { panic!("{reply:?}") };
        refused.push(sequence.0);
    }
    assert_eq!(refused, [1, 2, 3, 0], "each once");
    bucket.away.store(false, Ordering::Relaxed);
    assert_eq!(lines(&bucket, "alpha").await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_names_a_newer_map_is_not_written_before_this_hub_has_it() {
    let bucket = Arc::new(Bucket::default());
    let hub = hub(&bucket, 1).await;
    let mut edge = Edge::new("one");
    edge.open(&hub).await;
    let other = store(&bucket, 2).await;
    let mut writer = other.writer_of(edge.producer.unwrap().lane).await.unwrap();
    let key = LaneRecord::PushKey { tenant: tenants(1).identify(&cluster("beta")).unwrap().tenant().clone(), key: vec![1], at: Timestamp(0) };
    writer.put(Draft { records: vec![LaneRecord::Map(4), key], sections: Vec::<SectionDraft>::new(), map_version: 4 }).await.unwrap();
    edge.send(&hub, 1).await;
    sleep(Duration::from_secs(60)).await;
    assert!(edge.is_silent());
    hub.maps.send_replace(Arc::new(tenants(4)));
    edge.acked(1).await;
    assert_eq!(lines(&bucket, "alpha").await, numbered("one", 1));
}

#[tokio::test(start_paused = true)]
async fn a_divergent_twin_is_quarantined_durably_and_another_hub_knows_it() {
    let bucket = Arc::new(Bucket::default());
    let (left, right) = (hub(&bucket, 1).await, hub(&bucket, 2).await);
    let mut edge = Edge::new("one");
    edge.open(&left).await;
    edge.send(&left, 1).await;
    edge.acked(1).await;
    let mut twin = Edge { chains: vec![Chain::default()], ..Edge::new("one") };
    twin.open(&right).await;
    let other = frozen(&[("app", "web")], &["another line"]);
    let blank = blank::offer(twin.speaker.clone(), twin.producer.unwrap(), 1);
    let offer = Offer { epoch: twin.epoch, digest: other.digest, reply: twin.reply.clone(), ..blank };
    right.requests.send(Request::Batch(offer)).await.unwrap();
    assert!(matches!(twin.heard().await, Reply::Refused { why: Refusal::Diverged(_), .. }));
    edge.ask(&left).await;
    assert!(matches!(edge.heard().await, Reply::Refused { why: Refusal::Diverged(_), .. }), "the mark stands in the lane");
    assert_eq!(lines(&bucket, "alpha").await, numbered("one", 1));
}

#[tokio::test(start_paused = true)]
async fn origins_are_stored_with_their_batches() {
    let bucket = Arc::new(Bucket::default());
    let hub = hub(&bucket, 1).await;
    let mut edge = Edge::new("one");
    edge.open(&hub).await;
    edge.send(&hub, 1).await;
    let push = hub.push("key", "pushed").await;
    assert_eq!(push.await.unwrap(), Ok(PushDone::Stored));
    let reader = store(&bucket, 50).await;
    let grant = tenants(1).identify(&cluster("alpha")).unwrap();
    let mut origins = Vec::new();
    for of in reader.view().sections(&grant, proto_model::TimeRange::ALL) {
        origins.extend(reader.section(&grant, &of).await.unwrap().table.batches.iter().map(|entry| entry.origin.clone()));
    }
    assert_eq!(origins, [Origin::Producer { producer: edge.producer.unwrap(), sequence: Sequence(1) }, Origin::Push { key: b"key".to_vec() }]);
}
