//! A simulated month of 200 tenants, most of them idle: what stands in the store and what a start reads stay bounded.
//!
//! Two hubs with the default settings of absorption, keeping and dooming; ten tenants write all the time, ten daily,
//! eighty every few days, fifty once, fifty never after the first day. Compressed: hub 1 writes an object each 20
//! minutes, hub 2 each hour; they follow and look each 10 minutes, tidy each 2 hours, sweep each 6 hours, and count as
//! alive accordingly. Each day from the second on the store is counted; the bounds are derived where they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hub_segment::Kind;
use hub_store::limits::{MANIFESTS_KEPT, SNAPSHOT_EVERY, SNAPSHOTS_KEPT};
use hub_store::{BatchDraft, Draft, LaneRecord, LaneWriter, Origin, SectionDraft};
use hub_tenant::Grant;
use proto_model::{LaneId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::UpkeepSettings;
use crate::limits::MERGE_FAN;
use crate::rig::{Hub, Sea, Weather, batch, grant, shown};

const TENANTS: usize = 200;
const BUSY: usize = 10;
const DAYS: u64 = 30;
const TICKS: u64 = 72;
const TICK: Duration = Duration::from_secs(1_200);
const LOOK: Duration = Duration::from_secs(600);
const LINES: usize = 2;

/// Numbers that a lane gets in a day at most: a floor for each object, since only sections bring floors.
const NUMBERS_A_DAY: u64 = 2 * TICKS;
/// What is kept for `lane.keep` or for two snapshots, whichever is more, each for four hours (looks and tidies) too long.
const LANE_MAX: u64 = NUMBERS_A_DAY / 6 + if NUMBERS_A_DAY > 2 * SNAPSHOT_EVERY { NUMBERS_A_DAY } else { 2 * SNAPSHOT_EVERY };
/// A pile that is not yet collected, and those kept.
const IDLE_MANIFESTS_MAX: usize = 8 + MANIFESTS_KEPT;
/// And what a busy tenant commits between two tidies: an absorption each tick, less merges than that.
const MANIFESTS_MAX: usize = IDLE_MANIFESTS_MAX + 2 * 6;
/// Of each size (1, 4, 16 and 64 of a day's 72 inputs) less than are merged at once.
const SEGMENTS_A_DAY_MAX: usize = (MERGE_FAN - 1) * 4;
/// Registrations of two lanes and of each tenant's manifests.
const CONTROL_MAX: usize = 2 + TENANTS;
/// Replaced segments: what busy tenants write, and less than that again by merging, until doomed (1 h, then a sweep)
/// and deleted (1 h, then a sweep): 14 hours at most.
const REPLACED_MAX: usize = BUSY * 14 * 2 * 3;
/// Segments of the day that is not over: of the busy, and of the idle that wrote in it.
const TODAY_MAX: usize = BUSY * SEGMENTS_A_DAY_MAX + TENANTS;
/// All that is not a segment of a finished day nor a manifest.
const REST_MAX: usize = 2 * (LANE_MAX as usize + SNAPSHOTS_KEPT) + CONTROL_MAX + REPLACED_MAX + TODAY_MAX;
/// GETs of a start: of each lane a snapshot and what came since, with looks; the registry, the manifest.
const START_GETS_MAX: u64 = 2 * (SNAPSHOT_EVERY + NUMBERS_A_DAY / 6) + 32;
/// Listings of a start: the snapshots of each lane, the manifests of the tenant.
const START_LISTS_MAX: u64 = 3;
/// Bytes of a start: about 1 KiB for each header, and snapshots of what stands above the floor.
const START_BYTES_MAX: u64 = START_GETS_MAX * 1_024 + 2 * 64 * 1_024;

fn compressed() -> UpkeepSettings {
    UpkeepSettings {
        look_every: LOOK,
        tidy_every: Duration::from_secs(2 * 3_600),
        sweep_every: Duration::from_secs(6 * 3_600),
        others_after: Duration::from_secs(1_200),
        alive: Duration::from_secs(2 * 3_600),
        ..UpkeepSettings::default()
    }
}

/// Whether a tenant writes in a tick; of each two neighbours the even one by hub 1, the odd one by hub 2.
fn writes(tenant: usize, tick: u64) -> bool {
    let (day, of_day, own) = (tick / TICKS, tick % TICKS, tenant as u64);
    let comes = of_day == own * 3 % TICKS;
    match tenant {
        0..10 => true,
        10..20 => comes,
        20..100 => comes && day % (2 + own % 6) == 0,
        100..150 => comes && day == (own - 100) * (DAYS - 1) / 50,
        _ => comes && day == 0,
    }
}

struct Month {
    sea: Arc<Sea>,
    grants: Vec<Grant>,
    hubs: Vec<Hub>,
    writers: Vec<LaneWriter>,
    /// Lines by tenant.
    sent: Vec<u64>,
}

/// What stands in the store.
#[derive(Debug, Default)]
struct Count {
    objects: usize,
    control: usize,
    /// Lane objects, snapshots, and the length from the oldest that stands to the head, by lane.
    lanes: BTreeMap<LaneId, (usize, usize, u64)>,
    manifests: usize,
    manifests_most: usize,
    manifests_most_idle: usize,
    segments: usize,
    /// Of days that are over.
    finished: usize,
    a_day_most: usize,
    replaced: usize,
}

impl Count {
    fn rest(&self) -> usize {
        self.objects - self.finished - self.manifests
    }
}

impl Month {
    async fn begin(settings: UpkeepSettings) -> Self {
        let sea = Sea::new(30, Weather::default());
        sea.oracle.lock().unwrap().forgets = true;
        let grants = (0..TENANTS).map(|tenant| grant(&name(tenant))).collect();
        let (mut hubs, mut writers) = (Vec::new(), Vec::new());
        for seed in 1..=2 {
            let hub = Hub::open_with(&sea, seed, settings).await.unwrap();
            writers.push(hub.store.writer().await.unwrap());
            hubs.push(hub);
        }
        Self { sea, grants, hubs, writers, sent: vec![0; TENANTS] }
    }

    /// Upkeep and looks of both hubs go on from now.
    fn run(&self, stop: &CancellationToken) {
        for hub in &self.hubs {
            tokio::spawn(Arc::clone(&hub.upkeep).run_shared(stop.clone()));
            let store = Arc::clone(&hub.store);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LOOK).await;
                    store.follow_round().await.unwrap();
                    store.keep_snapshots().await.unwrap();
                }
            });
        }
    }

    /// What tenants write in a tick, and the time of it.
    async fn pass(&mut self, tick: u64) {
        self.write(0, tick).await;
        if tick.is_multiple_of(3) {
            self.write(1, tick).await;
        }
        tokio::time::sleep(TICK).await;
    }

    async fn write(&mut self, of: usize, tick: u64) {
        let key = format!("k{tick}");
        let now = self.sea.clock.now_ns();
        let writing: Vec<usize> = (of..TENANTS).step_by(2).filter(|tenant| writes(*tenant, tick)).collect();
        let (body, rows) = batch(&key, LINES, now);
        let writer = &mut self.writers[of];
        loop {
            writer.follow().await.unwrap();
            let mut draft = Draft { map_version: writer.fold().map_version(), ..Draft::default() };
            for tenant in &writing {
                let grant = self.grants[*tenant].clone();
                draft.records.push(LaneRecord::PushKey { tenant: grant.tenant().clone(), key: key.clone().into_bytes(), at: Timestamp(now) });
                let batch = BatchDraft { origin: Origin::Push { key: key.clone().into_bytes() }, cluster: None, body: body.clone(), rows: rows.clone() };
                draft.sections.push(SectionDraft { grant, batches: vec![batch] });
            }
            // In fine weather only a floor of the other hub can stand under the number: nothing was written.
            if writer.put(draft).await.is_ok() {
                break;
            }
        }
        for tenant in writing {
            self.sent[tenant] += LINES as u64;
        }
    }

    async fn count(&self, day: u64) -> Count {
        let mut count = Count::default();
        let mut of_tenants: BTreeMap<String, usize> = BTreeMap::new();
        let mut numbers: BTreeMap<LaneId, BTreeSet<u64>> = BTreeMap::new();
        for name in self.sea.names("").await {
            count.objects += 1;
            match name.split('/').collect::<Vec<_>>().as_slice() {
                ["control", ..] => count.control += 1,
                ["lanes", lane, "log", number] => {
                    count.lanes.entry(lane.parse().unwrap()).or_default().0 += 1;
                    numbers.entry(lane.parse().unwrap()).or_default().insert(number.parse().unwrap());
                }
                ["lanes", lane, "snap", _] => count.lanes.entry(lane.parse().unwrap()).or_default().1 += 1,
                ["tenants", tenant, "manifest", _] => *of_tenants.entry((*tenant).to_owned()).or_default() += 1,
                ["tenants", _, "segments", _] => count.segments += 1,
                _ => panic!("{name} is nobody's"),
            }
        }
        for (lane, numbers) in numbers {
            count.lanes.entry(lane).or_default().2 = numbers.last().unwrap() + 1 - numbers.first().unwrap();
        }
        count.manifests = of_tenants.values().sum();
        let most = |names: std::ops::Range<usize>| names.filter_map(|tenant| of_tenants.get(&name(tenant)).copied()).max().unwrap_or(0);
        (count.manifests_most, count.manifests_most_idle) = (most(0..BUSY), most(BUSY..TENANTS));
        let today = i32::try_from(self.sea.clock.now_ns() / 86_400_000_000_000).unwrap();
        let mut named = 0;
        for tenant in 0..TENANTS {
            let Some(manifest) = self.hubs[0].upkeep.manifest(self.grants[tenant].tenant()).await.unwrap() else { continue };
            named += manifest.segments.len();
            let mut days: BTreeMap<Kind, usize> = BTreeMap::new();
            for segment in &manifest.segments {
                *days.entry(segment.facts.kind).or_default() += 1;
                count.finished += usize::from(!matches!(segment.facts.kind, Kind::Day(of) if i64::from(of) >= i64::from(today)));
            }
            count.a_day_most = count.a_day_most.max(days.into_values().max().unwrap_or(0));
        }
        count.replaced = count.segments - named;
        println!("day {day}: {count:?}");
        count
    }

    /// GETs, listings and bytes of a new hub until it knows of what a tenant's first query reads.
    async fn start(&self, tenant: usize) -> (u64, u64, u64) {
        let hub = Hub::open(&self.sea, 50).await.unwrap();
        let view = hub.store.fresh(Timestamp(self.sea.clock.now_ns())).await.unwrap();
        let manifest = hub.store.manifest(&self.grants[tenant], &view).await.unwrap();
        assert!(!manifest.segments.is_empty());
        let read = (hub.way.gets.load(Relaxed), hub.way.lists.load(Relaxed), hub.way.bytes.load(Relaxed));
        println!("a start reads {read:?}: GETs, listings, bytes");
        read
    }
}

fn name(tenant: usize) -> String {
    format!("t{tenant:03}")
}

/// Which bound is passed, if one is.
fn bounded(day: u64, count: &Count) -> Result<(), String> {
    for (lane, (objects, snapshots, length)) in &count.lanes {
        if *length > LANE_MAX || *objects as u64 > *length {
            return Err(format!("day {day}: lane {lane} is {length} long, of {LANE_MAX}"));
        }
        if *snapshots > SNAPSHOTS_KEPT {
            return Err(format!("day {day}: lane {lane} has {snapshots} snapshots"));
        }
    }
    let bounds = [
        ("manifests of a tenant", count.manifests_most, MANIFESTS_MAX),
        ("manifests of an idle tenant", count.manifests_most_idle, IDLE_MANIFESTS_MAX),
        ("segments of a day", count.a_day_most, SEGMENTS_A_DAY_MAX),
        ("replaced segments", count.replaced, REPLACED_MAX),
        ("control objects", count.control, CONTROL_MAX),
        ("objects that no finished day needs", count.rest(), REST_MAX),
    ];
    match bounds.into_iter().find(|(_, found, most)| found > most) {
        Some((what, found, most)) => Err(format!("day {day}: {found} {what}, of {most}: {count:?}")),
        None => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_month_of_mostly_idle_tenants_leaves_the_store_bounded() {
    let mut month = Month::begin(compressed()).await;
    let stop = CancellationToken::new();
    month.run(&stop);
    let mut rests = Vec::new();
    for tick in 0..DAYS * TICKS {
        month.pass(tick).await;
        let day = (tick + 1) / TICKS;
        if (tick + 1) % TICKS != 0 || day < 2 {
            continue;
        }
        let count = month.count(day).await;
        bounded(day, &count).unwrap();
        rests.push(count.rest());
        if [2, 10, 30].contains(&day) {
            let (gets, lists, bytes) = month.start(0).await;
            assert!(gets <= START_GETS_MAX && lists <= START_LISTS_MAX && bytes <= START_BYTES_MAX, "day {day}: a start reads {gets}, {lists}, {bytes}");
        }
        month.sea.must_be_sound();
    }
    // Lanes are sawteeth of several days, so means are held against each other: of days 11 to 20, and 21 to 30.
    let (before, last) = (rests[9..19].iter().sum::<usize>(), rests[19..].iter().sum::<usize>());
    println!("all but manifests and segments of finished days, by day: {rests:?}");
    assert!(last * 100 <= before * 115, "{rests:?}");
    for tenant in [0, 3, 12, 40, 41, 120, 160, 199] {
        let found = shown(&month.hubs[0].store, &name(tenant), Timestamp::MAX).await.unwrap();
        assert!(found.values().all(|times| *times == 1), "a line of {} is shown twice", name(tenant));
        assert_eq!(found.len() as u64, month.sent[tenant], "lines of {}", name(tenant));
    }
    stop.cancel();
}

/// The first bound that a month under `settings` passes, within `days`.
async fn first_passed(settings: UpkeepSettings, days: u64) -> Option<String> {
    let mut month = Month::begin(settings).await;
    let stop = CancellationToken::new();
    month.run(&stop);
    let mut passed = None;
    for tick in 0..days * TICKS {
        month.pass(tick).await;
        let day = (tick + 1) / TICKS;
        if (tick + 1) % TICKS == 0 && day >= 2 {
            passed = bounded(day, &month.count(day).await).err();
        }
        if passed.is_some() {
            break;
        }
    }
    stop.cancel();
    passed
}

/// The bounds are such that each part of upkeep is needed: without it one is passed within days.
#[tokio::test(start_paused = true)]
async fn without_a_part_of_upkeep_the_bounds_are_passed() {
    let never = Duration::from_secs(10 * 365 * 86_400);
    let nothing_absorbed = UpkeepSettings { absorb_bytes: u64::MAX, absorb_after: never, absorb_after_small: never, ..compressed() };
    let nothing_collected = UpkeepSettings { lane_keep: never, ..compressed() };
    let nothing_swept = UpkeepSettings { sweep_every: never, ..compressed() };
    for (settings, what) in [(nothing_absorbed, "lane"), (nothing_collected, "lane"), (nothing_swept, "replaced segments")] {
        let passed = first_passed(settings, 14).await.unwrap_or_else(|| panic!("no bound was passed without {what}"));
        assert!(passed.contains(what), "{passed}");
    }
}
