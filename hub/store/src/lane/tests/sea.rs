//! A bad store for `random`: rates drawn by seed, hubs that sleep, and an oracle that holds the truth.
//!
//! Parts: [`Weather`]; [`Oracle`] (the first object created under a number is the truth, any other is
//! garbage); [`Sea`] (the bucket); [`Way`] (one hub's way to it).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use proto_model::{LaneId, ProducerId, Sequence};
use proto_seam::Entropy;
use tokio::time::Instant;

use crate::fold::{Fold, ProducerState};
use crate::header::{CommitId, LaneHeader};
use crate::keys::number_of;
use crate::mac::StoreKeys;
use crate::record::LaneRecord;
use crate::rig::lost;

/// How bad it is, drawn per seed; each rate is often 0.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    pub(super) refused: f64,
    pub(super) lost: f64,
    pub(super) late: f64,
    pub(super) slow_ms: u64,
    pub(super) sleep: f64,
    pub(super) sleep_ms: u64,
    pub(super) crash: f64,
    pub(super) list_lag: bool,
    pub(super) collect: bool,
    pub(super) keep_ms: u64,
    pub(super) snapshot_every: u64,
    /// All hubs have one name, hence one lane.
    pub(super) shared: bool,
}

impl Weather {
    pub(super) fn draw(entropy: &Entropy) -> Self {
        // A quarter: hubs that fall asleep together on one lane that is soon collected.
        let deep = entropy.chance(0.25);
        let rate = |most: f64| if entropy.chance(0.3) { 0.0 } else { most * f64::from(u32::try_from(entropy.below(1_000)).unwrap()) / 1_000.0 };
        Self {
            refused: rate(0.1),
            lost: rate(0.2),
            late: rate(0.2),
            slow_ms: 1 + entropy.below(200),
            sleep: if deep { 0.04 } else { rate(0.02) },
            sleep_ms: 50 + entropy.below(38_000),
            crash: rate(0.02),
            list_lag: entropy.chance(0.3),
            collect: deep || entropy.chance(0.7),
            keep_ms: entropy.below(if deep { 500 } else { 6_000 }),
            snapshot_every: if deep { 2 } else { 2 + entropy.below(8) },
            shared: deep || entropy.chance(0.3),
        }
    }
}

/// The truth, and what was seen.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    pub(super) lanes: BTreeMap<LaneId, Truth>,
    /// Name and content of every create sent.
    pub(super) sent: BTreeSet<(String, [u8; 32])>,
    pub(super) acked: BTreeMap<(LaneId, u64), Instant>,
    /// Newest sequence of each identity, in whatever lane.
    pub(super) lasts: BTreeMap<String, Sequence>,
    /// The newest map version whose publication was answered.
    pub(super) map: u64,
    pub(super) moves: u64,
    pub(super) garbage: u64,
    pub(super) collected: u64,
}

/// The objects that were the first under their numbers.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) fold: Fold,
    pub(super) commits: BTreeMap<u64, (CommitId, Instant)>,
}

impl Oracle {
    pub(super) fn commit(&self, lane: LaneId, number: u64) -> Option<CommitId> {
        self.lanes.get(&lane)?.commits.get(&number).map(|(commit, _)| *commit)
    }

    fn sends(&mut self, name: &str, body: &[u8]) {
        // Control logs are never collected: sending an entry again cannot harm there.
        assert!(!name.contains("/log/") || self.sent.insert((name.to_owned(), *blake3::hash(body).as_bytes())), "the same bytes were sent twice under {name}");
    }

    fn created(&mut self, name: &str, body: &Bytes) {
        let Some((lane, number)) = name.strip_prefix("lanes/").and_then(|rest| rest.split_once("/log/")) else { return };
        let (lane, number): (LaneId, u64) = (lane.parse().unwrap(), number_of(number).unwrap());
        if self.commit(lane, number).is_some() {
            self.garbage += 1;
            return;
        }
        let header = LaneHeader::open(body, lane, number, &StoreKeys::none()).unwrap();
        self.judge(lane, &header);
        if number == 0 {
            self.lanes.insert(lane, Truth { fold: Fold::genesis(lane, header.commit), commits: BTreeMap::new() });
        }
        let truth = self.lanes.get_mut(&lane).unwrap();
        if number > 0 {
            truth.fold.apply(&header).unwrap_or_else(|fault| panic!("committed though it does not follow: {fault}"));
        }
        truth.commits.insert(number, (header.commit, Instant::now()));
    }
}

impl Oracle {
    fn producer(&self, producer: &ProducerId) -> Option<&ProducerState> {
        self.lanes.get(&producer.lane)?.fold.producer(producer)
    }

    /// What no single lane's fold can see: an identity's numbers are dense over all lanes, one of its producers is
    /// open, each goes on where the one before ended, nothing is stored by a map that was replaced.
    fn judge(&mut self, lane: LaneId, header: &LaneHeader) {
        assert!(header.sections.is_empty() || header.map_version >= self.map, "stored by map {}, {} is in force", header.map_version, self.map);
        for record in &header.records {
            match record {
                LaneRecord::Advance { producer, from, to, .. } => {
                    let identity = self.producer(producer).unwrap().identity.clone();
                    let last = self.lasts.entry(identity.clone()).or_default();
                    assert_eq!(last.next(), *from, "{identity}");
                    *last = *to;
                }
                LaneRecord::Open { producer, identity, after, sequence, chain, .. } if self.producer(producer).is_none() => {
                    self.moves += u64::from(after.is_some_and(|after| after.lane != lane));
                    let states = self.lanes.values().flat_map(|truth| truth.fold.producers());
                    let others: Vec<_> = states.filter(|(id, state)| *id != producer && state.identity == *identity).collect();
                    assert!(others.iter().all(|(_, state)| state.closed.is_some()), "two open producers of {identity}");
                    assert_eq!(after.is_some(), !others.is_empty(), "a second first producer of {identity}");
                    if let Some(after) = after {
                        let before = self.producer(after).unwrap();
                        assert_eq!((before.closed, before.last, before.chain), (Some(*producer), *sequence, *chain));
                    }
                }
                LaneRecord::Open { .. } | LaneRecord::Close { .. } | LaneRecord::Quarantine { .. } | LaneRecord::Loss { .. } => {}
                LaneRecord::PushKey { .. } | LaneRecord::Map(_) | LaneRecord::Floor(_) | LaneRecord::Owner(_) | LaneRecord::Manifest { .. } => {}
            }
        }
    }
}

pub(super) struct Sea {
    pub(super) bucket: InMemory,
    pub(super) oracle: Mutex<Oracle>,
    pub(super) weather: Mutex<Weather>,
    pub(super) entropy: Entropy,
    /// An earlier listing, for lag.
    pub(super) listed: Mutex<VecDeque<(Instant, Vec<ObjectMeta>)>>,
    /// All hubs have one time.
    pub(super) born: Instant,
}

/// A hub's way to the sea; all its requests wait while it sleeps.
pub(super) struct Way {
    pub(super) sea: Arc<Sea>,
    pub(super) asleep: Mutex<Instant>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("way")
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("way")
    }
}

impl Way {
    async fn pass(&self) -> Weather {
        let weather = self.sea.weather.lock().unwrap().clone();
        if self.sea.entropy.chance(weather.sleep) {
            *self.asleep.lock().unwrap() = Instant::now() + Duration::from_millis(self.sea.entropy.below(weather.sleep_ms));
        }
        tokio::time::sleep(Duration::from_millis(self.sea.entropy.below(weather.slow_ms))).await;
        self.awake().await;
        weather
    }

    pub(super) async fn awake(&self) {
        loop {
            let until = *self.asleep.lock().unwrap();
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

impl Sea {
    pub(super) fn calm(&self) {
        let mut weather = self.weather.lock().unwrap();
        *weather = Weather { refused: 0.0, lost: 0.0, late: 0.0, slow_ms: 5, sleep: 0.0, list_lag: false, ..weather.clone() };
    }

    async fn put(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        let body: Bytes = payload.iter().flatten().copied().collect();
        let done = self.bucket.put_opts(path, payload, options).await;
        if done.is_ok() {
            self.oracle.lock().unwrap().created(path.as_ref(), &body);
        }
        done
    }
}

#[async_trait::async_trait]
impl ObjectStore for Way {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        if options.mode == object_store::PutMode::Create {
            let body: Bytes = payload.iter().flatten().copied().collect();
            self.sea.oracle.lock().unwrap().sends(path.as_ref(), &body);
        }
        let weather = self.pass().await;
        let entropy = &self.sea.entropy;
        if entropy.chance(weather.refused) {
            return Err(lost("503"));
        }
        if entropy.chance(weather.late) {
            // Applied whenever it arrives, whatever became of its sender.
            let (sea, path, wait) = (Arc::clone(&self.sea), path.clone(), entropy.below(31_000));
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                drop(sea.put(&path, payload, options).await);
            });
            return Err(lost("timeout"));
        }
        let done = self.sea.put(path, payload, options).await;
        self.pass().await;
        if entropy.chance(weather.lost) { Err(lost("reset")) } else { done }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(lost("not here"))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let weather = self.pass().await;
        if self.sea.entropy.chance(weather.refused) {
            return Err(lost("503"));
        }
        let found = self.sea.bucket.get_opts(path, options).await;
        self.pass().await;
        found
    }

    fn delete_stream(&self, paths: BoxStream<'static, object_store::Result<Path>>) -> BoxStream<'static, object_store::Result<Path>> {
        self.sea.bucket.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let now: Vec<ObjectMeta> = self.sea.bucket.list(None).map(Result::unwrap).collect().now_or_never().unwrap();
        let lag = self.sea.weather.lock().unwrap().list_lag;
        let mut listed = self.sea.listed.lock().unwrap();
        listed.push_back((Instant::now(), now.clone()));
        let long_ago = |(at, _): &(Instant, Vec<ObjectMeta>)| at.elapsed() > Duration::from_secs(6);
        while listed.len() > 1 && long_ago(&listed[1]) {
            listed.pop_front();
        }
        let shown = if lag { listed[0].1.clone() } else { now };
        let prefix = prefix.cloned().unwrap_or_default();
        futures::stream::iter(shown.into_iter().filter(move |meta| meta.location.prefix_matches(&prefix)).map(Ok)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.sea.bucket.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.sea.bucket.copy_opts(from, to, options).await
    }
}
