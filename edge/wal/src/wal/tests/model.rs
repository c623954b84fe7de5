//! A WAL beside a model of what it must hold, with crashes and faults at every place.

use super::*;

/// What was appended, in order.
#[derive(Debug, Clone)]
struct Written {
    /// `None`: positions alone.
    numbered: Option<(u64, Option<FrozenBatch>)>,
    source: u64,
    offset: u64,
}

/// A WAL and what it must hold.
struct Run {
    disk: SimDisk,
    settings: WalSettings,
    wal: Option<Wal>,
    written: Vec<Written>,
    /// So many of them were synced.
    synced: usize,
    acked: u64,
    count: u64,
    sync_faults: u32,
}

impl Run {
    fn new(seed: u64, settings: WalSettings) -> Self {
        let mut run = Self { disk: disk(seed), settings, wal: None, written: Vec::new(), synced: 0, acked: 0, count: 0, sync_faults: 0 };
        run.open();
        run
    }

    /// Opens until it works: faults that a test planted strike here too.
    fn open(&mut self) {
        self.wal = None;
        for _ in 0..10 {
            match open_with(&self.disk, self.settings.clone()) {
                Ok(_) if self.disk.is_stopped() => self.disk.kill(),
                Ok((wal, recovered)) => {
                    self.wal = Some(wal);
                    return self.check(&recovered);
                }
                Err(WalFault::Io { .. } | WalFault::DiskFull { .. } | WalFault::Unwritable { .. }) => self.disk.kill(),
                Err(other) => panic!("{other}"),
            }
        }
        panic!("the WAL does not open");
    }

    fn append(&mut self, bytes: usize) {
        let Some(wal) = &mut self.wal else { return };
        self.count += 1;
        let (source, offset, frozen) = (self.count % 3 + 1, self.count, batch(self.count, bytes));
        if let Ok(sequence) = wal.append_batch(TRACK, &frozen, &[position(source, offset)], NOW) {
            self.written.push(Written { numbered: Some((sequence.0, Some(frozen))), source, offset });
        }
    }

    fn append_loss(&mut self) {
        let Some(wal) = &mut self.wal else { return };
        self.count += 1;
        let (source, offset) = (self.count % 3 + 1, self.count);
        let loss = Loss { lines: Some(self.count), reason: "truncated".to_owned(), source: "a".to_owned(), ..Loss::default() };
        if let Ok(sequence) = wal.append_loss(TRACK, &loss, &[position(source, offset)], NOW) {
            self.written.push(Written { numbered: Some((sequence.0, None)), source, offset });
        }
    }

    fn append_positions(&mut self) {
        let Some(wal) = &mut self.wal else { return };
        self.count += 1;
        let (source, offset) = (self.count % 3 + 1, self.count);
        if wal.append_positions(&[position(source, offset)]).is_ok() {
            self.written.push(Written { numbered: None, source, offset });
        }
    }

    fn sync(&mut self) {
        if let Some(wal) = &mut self.wal
            && wal.sync().is_ok()
        {
            self.synced = self.written.len();
        }
    }

    fn ack(&mut self, share: u64) {
        let Some(wal) = &mut self.wal else { return };
        let durable = wal.durable(TRACK).0;
        let sequence = self.acked + (durable - self.acked.min(durable)) * share / 4;
        drop(wal.acked(TRACK, Sequence(sequence)));
        self.acked = self.acked.max(sequence);
    }

    fn trim(&mut self) {
        if let Some(wal) = &mut self.wal {
            drop(wal.trim(NOW.plus(Duration::from_secs(7200))));
        }
    }

    /// All that was synced is there, in order, with its chain and the positions that go with it.
    fn check(&mut self, recovered: &Recovered) {
        assert_eq!(recovered.lost, []);
        // After several syncs failed in a row, what was never durable may look like damage; it is only counted.
        assert!(self.sync_faults > 2 || (recovered.bad_records, recovered.positions_doubtful) == (0, false), "{recovered:?}");
        let state = &recovered.tracks[0];
        let last = state.next.0 - 1;
        assert!(state.acked.0 <= self.acked && state.oldest.0 <= state.acked.0 + 1, "{state:?}, acked {}", self.acked);
        let found: BTreeMap<u64, u64> = recovered.positions.iter().map(|p| (p.identity.inode, p.offset)).collect();
        let kept = (self.synced..=self.written.len()).find(|kept| {
            let kept = &self.written[..*kept];
            let told: BTreeMap<u64, u64> = kept.iter().map(|w| (w.source, w.offset)).collect();
            told == found && kept.iter().filter_map(|w| w.numbered.as_ref()).map(|(sequence, _)| *sequence).max().unwrap_or(0) == last
        });
        let kept = kept.unwrap_or_else(|| panic!("{found:?} and {last} fit no end from {} on of {:?}", self.synced, self.written.len()));
        self.written.truncate(kept);
        self.synced = kept;
        self.acked = state.acked.0;
        self.check_entries(state.oldest.0);
    }

    fn check_entries(&self, oldest: u64) {
        let Some(wal) = &self.wal else { return };
        let mut chain = Chain::default();
        for (sequence, frozen) in self.written.iter().filter_map(|w| w.numbered.as_ref()) {
            let before = chain;
            chain = frozen.as_ref().map_or_else(|| digest::extend_gap(before, *sequence, *sequence), |frozen| digest::extend(before, frozen.digest));
            if *sequence < oldest {
                continue;
            }
            match (wal.read(TRACK, Sequence(*sequence)).unwrap(), frozen) {
                (Some(Entry::Batch { body, chain_previous, lines, .. }), Some(frozen)) => {
                    assert_eq!((&body, chain_previous, lines), (&frozen.body, before, 2));
                }
                (Some(Entry::Gap { from, to, chain_previous, chain_to, source, .. }), None) => {
                    assert_eq!((from.0, to.0, chain_previous, chain_to, source.as_str()), (*sequence, *sequence, before, chain, "a"));
                }
                (other, _) => panic!("{sequence} is {other:?}"),
            }
        }
        assert_eq!(wal.tracks()[0].chain, chain);
    }
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Loss,
    Positions,
    Sync,
    Ack(u64),
    Trim,
    Reopen,
    Kill,
    Crash,
    StopAfter(u64),
    FailSync(u64),
    FailWrite(u64),
    Full(u64),
    Room,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0_usize..30_000).prop_map(Step::Append),
        1 => Just(Step::Loss),
        2 => Just(Step::Positions),
        5 => Just(Step::Sync),
        3 => (0_u64..=4).prop_map(Step::Ack),
        2 => Just(Step::Trim),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        2 => Just(Step::Crash),
        1 => (0_u64..12).prop_map(Step::StopAfter),
        1 => (1_u64..4).prop_map(Step::FailSync),
        1 => (1_u64..4).prop_map(Step::FailWrite),
        1 => (0_u64..60_000).prop_map(Step::Full),
        2 => Just(Step::Room),
    ];
    prop::collection::vec(step, 1..80)
}

fn run(seed: u64, grace: bool, steps: &[Step]) {
    let mut settings = bed::settings();
    settings.grace_bytes = if grace { 100_000 } else { 0 };
    let mut run = Run::new(seed, settings);
    for step in steps {
        match step {
            Step::Append(bytes) => run.append(*bytes),
            Step::Loss => run.append_loss(),
            Step::Positions => run.append_positions(),
            Step::Sync => run.sync(),
            Step::Ack(share) => run.ack(*share),
            Step::Trim => run.trim(),
            Step::Reopen => run.open(),
            Step::Kill => {
                run.disk.kill();
                run.open();
            }
            Step::Crash => {
                run.disk.crash();
                run.open();
            }
            Step::StopAfter(n) => run.disk.stop_after(*n),
            Step::FailSync(n) => {
                run.sync_faults += 1;
                run.disk.fail_sync(*n);
            }
            Step::FailWrite(n) => run.disk.fail_write(*n),
            Step::Full(free) => run.disk.set_full(Some(*free)),
            Step::Room => run.disk.set_full(None),
        }
    }
    run.disk.set_full(None);
    run.disk.crash();
    run.open();
    run.append(100);
    run.sync();
    run.sync();
    run.disk.crash();
    run.open();
    assert_eq!(run.synced, run.written.len());
}

proptest! {
    #[test]
    fn what_was_synced_survives_anything(seed in any::<u64>(), grace in any::<bool>(), steps in steps()) {
        run(seed, grace, &steps);
    }
}

/// Appends, rotates, binds, acks and trims: every kind of I/O the WAL does.
fn scenario(run: &mut Run) {
    for round in 0..5 {
        run.append(9_000);
        run.append_positions();
        run.append(9_000);
        run.sync();
        run.append_loss();
        run.sync();
        if round == 1 {
            drop(run.wal.as_mut().map(|wal| wal.bind(TRACK, bed::producer(9))));
        }
        run.ack(2);
        run.append(30_000);
        run.sync();
        run.ack(4);
        run.trim();
    }
}

fn without_grace() -> WalSettings {
    WalSettings { grace_bytes: 0, ..bed::settings() }
}

#[test]
fn a_crash_at_every_single_io_loses_nothing_synced() {
    let mut whole = Run::new(1, without_grace());
    let before = whole.disk.changes();
    scenario(&mut whole);
    let changes = whole.disk.changes() - before;
    assert!(changes > 60, "{changes}");
    for at in 0..=changes {
        for (seed, kills) in [(1, true), (2, false), (3, false), (4, false), (5, false)] {
            let mut run = Run::new(seed, without_grace());
            run.disk.stop_after(at);
            scenario(&mut run);
            if kills {
                run.disk.kill()
            } else {
                run.disk.crash()
            }
            run.open();
            run.append(50);
            run.sync();
            assert_eq!(run.synced, run.written.len());
            run.disk.crash();
            run.open();
        }
    }
}

#[test]
fn a_crash_at_every_io_of_opening_loses_nothing() {
    for at in 0..12 {
        for seed in 0..8 {
            let mut run = Run::new(seed, without_grace());
            scenario(&mut run);
            run.append(70_000);
            run.append(10_000);
            run.disk.crash();
            run.disk.stop_after(at);
            run.wal = None;
            drop(open_with(&run.disk, run.settings.clone()));
            run.disk.crash();
            run.open();
        }
    }
}

#[test]
fn a_full_disk_at_every_write_refuses_one_append_and_no_more() {
    for n in 1..60 {
        let mut run = Run::new(n, without_grace());
        run.disk.fail_write(n);
        scenario(&mut run);
        run.sync();
        assert_eq!(run.synced, run.written.len());
        run.disk.crash();
        run.open();
    }
}

#[test]
fn a_failed_sync_at_every_place_is_made_up_for_in_a_new_file() {
    for n in 1..40 {
        for more in [0_u32, 1, 2] {
            let mut run = Run::new(n, without_grace());
            run.sync_faults = more + 1;
            (n..=n + u64::from(more)).for_each(|n| run.disk.fail_sync(n));
            scenario(&mut run);
            run.sync();
            run.sync();
            assert_eq!(run.synced, run.written.len(), "the {n}. sync and {more} more");
            run.disk.crash();
            run.open();
        }
    }
}

#[test]
fn a_disk_that_fails_every_sync_does_not_fill_up_and_forgets_nothing() {
    let mut run = Run::new(1, without_grace());
    run.append(9_000);
    run.append_positions();
    run.sync();
    run.ack(4);
    run.append(100);
    // A sync, the one of the cut after it, then one that works: files can be begun, but nothing else becomes durable.
    (1..4_000).filter(|n| n % 3 != 0).for_each(|n| run.disk.fail_sync(n));
    run.sync_faults = 1_000;
    for _ in 0..40 {
        run.sync();
        run.trim();
    }
    assert_eq!((run.synced, run.written.len()), (2, 3));
    let files = run.disk.paths().iter().filter(|path| path.extension().is_some_and(|ext| ext == "wal")).count();
    assert!(files <= 4, "{files}");
    run.disk.heal();
    run.disk.crash();
    run.open();
}
