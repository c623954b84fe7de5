use proptest::prelude::*;
use proto_model::{BatchDigest, Chain, Epoch, Sequence};
use proto_wire::digest;
use proto_wire::edge_hub::Position;

use super::*;
use crate::header::{Checksum, SectionEntry};
use crate::limits::{DIGESTS_KEPT, SOURCES_MAX, TIDY_EVERY};
use crate::mac::StoreKeys;

const LANE: LaneId = LaneId(7);
const GENESIS: CommitId = CommitId([9; 16]);
const DAY_NS: i64 = 24 * 3_600 * 1_000_000_000;

fn tenant(text: &str) -> TenantId {
    TenantId::new(text).unwrap()
}

fn id(unique: u128) -> ProducerId {
    ProducerId { lane: LANE, unique }
}

fn entry(owner: &str) -> SectionEntry {
    SectionEntry {
        tenant: tenant(owner),
        offset: 100,
        length: 50,
        checksum: Checksum([1; 16]),
        table_length: 10,
        table_checksum: Checksum([2; 16]),
        lines: 3,
        bytes: 30,
        min: Timestamp(1),
        max: Timestamp(2),
        batches: 1,
    }
}

fn header(fold: &Fold, records: Vec<LaneRecord>) -> LaneHeader {
    let number = fold.head() + 1;
    LaneHeader {
        lane: LANE,
        number,
        commit: CommitId(u128::from(number).to_be_bytes()),
        previous: fold.head_commit(),
        writer: format!("hub-{}", number % 3),
        written: Timestamp(i64::try_from(number).unwrap() * 1_000_000_000),
        map_version: fold.map_version(),
        records,
        sections: Vec::new(),
    }
}

fn open(fold: &Fold, producer: ProducerId) -> LaneRecord {
    let (epoch, sequence, chain) = fold.producer(&producer).map_or((0, Sequence(0), Chain::default()), |state| (state.epoch.0, state.last, state.chain));
    LaneRecord::Open {
        producer,
        epoch: Epoch(epoch + 1),
        identity: "alpha/one".to_owned(),
        nonce: [3; 16],
        wal_id: 4,
        track: 1,
        sequence,
        chain,
        positions: Vec::new(),
        after: None,
    }
}

/// `producer` is opened after `before`, at what that one left.
fn follow_on(producer: ProducerId, before: ProducerId, (sequence, chain): (Sequence, Chain), positions: Vec<Position>) -> LaneRecord {
    let identity = "alpha/one".to_owned();
    LaneRecord::Open { producer, epoch: Epoch(1), identity, nonce: [3; 16], wal_id: 4, track: 2, sequence, chain, positions, after: Some(before) }
}

fn advance(fold: &Fold, producer: ProducerId, count: u64, positions: Vec<Position>) -> LaneRecord {
    let state = fold.producer(&producer).unwrap();
    let digests: Vec<BatchDigest> = (1..=count).map(|i| BatchDigest(u128::from(state.last.0 + i).to_be_bytes())).collect();
    let chain_to = digests.iter().fold(state.chain, |chain, digest| digest::extend(chain, *digest));
    let (from, to) = (state.last.next(), Sequence(state.last.0 + count));
    LaneRecord::Advance { producer, epoch: state.epoch, from, to, chain_to, digests, positions }
}

fn at(inode: u64, offset: u64, gone: bool) -> Position {
    Position { path: format!("/var/log/{inode}"), device: 1, inode, head: 5, head_len: 6, generation: 0, offset, gone, ..Position::default() }
}

fn loss(edge: &str, from_ns: i64, lines: Option<u64>) -> Loss {
    Loss {
        tenant: tenant("acme"),
        cluster: ClusterId::new("alpha").unwrap(),
        edge: EdgeId::new(edge).unwrap(),
        source: "/var/log/x".to_owned(),
        reason: "rotated".to_owned(),
        from_ns,
        to_ns: from_ns + 10,
        lines,
        bytes: Some(1),
    }
}

/// A step of a random history; what does not fit where it comes is passed over.
#[derive(Debug, Clone)]
enum Step {
    Open(u8),
    Advance(u8, u64, Vec<(u8, u64, bool)>),
    Gap(u8, u64),
    Close(u8),
    Move(u8),
    Arrive(u8, u64),
    Quarantine(u8),
    Loss(u8, i64, Option<u64>),
    Push(u8, u8),
    Map(u64),
    Floor(u64),
    Section(Vec<u8>),
    Sleep(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let positions = prop::collection::vec((0_u8..5, any::<u64>(), any::<bool>()), 0..4);
    prop_oneof![
        3 => (0_u8..4).prop_map(Step::Open),
        6 => (0_u8..4, 1_u64..90, positions).prop_map(|(p, n, places)| Step::Advance(p, n, places)),
        1 => (0_u8..4, 1_u64..50).prop_map(|(p, n)| Step::Gap(p, n)),
        1 => (0_u8..4).prop_map(Step::Close),
        1 => (0_u8..4).prop_map(Step::Move),
        1 => (0_u8..4, 0_u64..50).prop_map(|(p, at)| Step::Arrive(p, at)),
        1 => (0_u8..4).prop_map(Step::Quarantine),
        2 => (0_u8..3, any::<i64>().prop_map(|at| at / 4), any::<Option<u64>>()).prop_map(|(e, at, lines)| Step::Loss(e, at, lines)),
        2 => (0_u8..3, any::<u8>()).prop_map(|(t, key)| Step::Push(t, key)),
        1 => (0_u64..9).prop_map(Step::Map),
        1 => (0_u64..300).prop_map(Step::Floor),
        4 => prop::collection::vec(0_u8..3, 0..3).prop_map(Step::Section),
        1 => (0_i64..9 * DAY_NS).prop_map(Step::Sleep),
    ]
}

/// The headers of a history that is valid by construction.
fn history(steps: &[Step]) -> Vec<LaneHeader> {
    let (mut fold, mut headers, mut slept) = (Fold::genesis(LANE, GENESIS), Vec::new(), 0);
    let owner = |n: u8| ["acme", "blue", "cyan"][usize::from(n)];
    for step in steps {
        let mut next = header(&fold, Vec::new());
        let live = |p: &u8| fold.producer(&id(u128::from(*p))).filter(|state| state.closed.is_none() && !state.quarantined);
        match step {
            Step::Open(p) if live(p).is_some() || fold.producer(&id(u128::from(*p))).is_none() => next.records.push(open(&fold, id(u128::from(*p)))),
            Step::Advance(p, count, places) if live(p).is_some() => {
                let positions = places.iter().map(|(inode, offset, gone)| at(u64::from(*inode), *offset, *gone)).collect();
                next.records.push(advance(&fold, id(u128::from(*p)), *count, positions));
            }
            Step::Gap(p, count) if let Some(state) = live(p) => next.records.push(LaneRecord::Advance {
                producer: id(u128::from(*p)),
                epoch: state.epoch,
                from: state.last.next(),
                to: Sequence(state.last.0 + count),
                chain_to: Chain([8; 16]),
                digests: Vec::new(),
                positions: Vec::new(),
            }),
            Step::Close(p) if let Some(state) = live(p) => {
                next.records.push(LaneRecord::Close { producer: id(u128::from(*p)), sequence: state.last, chain: state.chain, next: id(99) });
            }
            Step::Move(p) if let Some(state) = fold.producer(&id(u128::from(*p))).filter(|state| state.closed.is_none()) => {
                let (before, next_one) = (id(u128::from(*p)), id(u128::from(*p) + 100));
                next.records.push(LaneRecord::Close { producer: before, sequence: state.last, chain: state.chain, next: next_one });
                let (sequence, chain) = if state.quarantined { (Sequence(0), Chain::default()) } else { (state.last, state.chain) };
                next.records.push(follow_on(next_one, before, (sequence, chain), state.positions.values().cloned().collect()));
            }
            Step::Arrive(p, at) if fold.producer(&id(u128::from(*p) + 200)).is_none() => {
                let chain = if *at == 0 { Chain::default() } else { Chain([4; 16]) };
                let before = ProducerId { lane: LaneId(8), unique: 1 };
                next.records.push(follow_on(id(u128::from(*p) + 200), before, (Sequence(*at), chain), Vec::new()));
            }
            Step::Quarantine(p) if live(p).is_some() => {
                next.records.push(LaneRecord::Quarantine { producer: id(u128::from(*p)), reason: "diverged".to_owned() })
            }
            Step::Loss(e, from_ns, lines) => next.records.push(loss(&format!("edge-{e}"), *from_ns, *lines).into()),
            Step::Push(t, key) => next.records.push(LaneRecord::PushKey {
                tenant: tenant(owner(*t)),
                key: vec![*key],
                at: next.written.plus(std::time::Duration::from_nanos(slept)),
            }),
            Step::Map(version) => next.records.push(LaneRecord::Map(*version)),
            Step::Floor(floor) => next.records.push(LaneRecord::Floor((*floor).min(fold.head()))),
            Step::Section(owners) => {
                let mut owners = owners.clone();
                owners.sort_unstable();
                owners.dedup();
                next.sections = owners.into_iter().map(|n| entry(owner(n))).collect();
            }
            Step::Sleep(ns) => slept += u64::try_from(*ns).unwrap(),
            Step::Open(_) | Step::Advance(..) | Step::Gap(..) | Step::Close(_) | Step::Move(_) | Step::Arrive(..) | Step::Quarantine(_) => {}
        }
        next.written = next.written.plus(std::time::Duration::from_nanos(slept));
        fold.apply(&next).unwrap();
        headers.push(next);
    }
    headers
}

fn folded(headers: &[LaneHeader]) -> Fold {
    let mut fold = Fold::genesis(LANE, GENESIS);
    for header in headers {
        fold.apply(header).unwrap();
    }
    fold
}

fn through_snapshot(fold: &Fold) -> Fold {
    let bytes = snapshot::encode(fold, &StoreKeys::none()).unwrap();
    snapshot::decode(&bytes, LANE, fold.head(), &StoreKeys::none()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_fold_read_through_a_snapshot_is_the_same_and_goes_on_the_same(steps in prop::collection::vec(step(), 0..120), cut in any::<prop::sample::Index>()) {
        let headers = history(&steps);
        let whole = folded(&headers);
        prop_assert_eq!(&through_snapshot(&whole), &whole);
        let mut split = through_snapshot(&folded(&headers[..cut.index(headers.len() + 1)]));
        for header in &headers[cut.index(headers.len() + 1)..] {
            split.apply(header).unwrap();
        }
        prop_assert_eq!(split, whole);
    }

    #[test]
    fn what_a_fold_says_of_its_log_is_what_was_applied(steps in prop::collection::vec(step(), 1..120)) {
        let headers = history(&steps);
        let fold = folded(&headers);
        for header in &headers {
            let known = fold.commit_id(header.number);
            prop_assert_eq!(known.is_some(), header.number > fold.floor() || header.number == fold.head());
            prop_assert!(known.is_none_or(|commit| commit == header.commit));
        }
        for owner in ["acme", "blue", "cyan"] {
            let last = headers.iter().filter(|header| header.sections.iter().any(|entry| entry.tenant.as_str() == owner)).map(|header| header.number).max();
            prop_assert_eq!(fold.last_section(&tenant(owner)), last);
        }
    }

    #[test]
    fn arbitrary_snapshots_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let sealed = crate::frame::seal(crate::frame::Kind::Snapshot, &crate::keys::Key::snapshot(LANE, 1), &bytes, &StoreKeys::none()).unwrap();
        drop(snapshot::decode(&sealed, LANE, 1, &StoreKeys::none()));
    }

    #[test]
    fn a_changed_byte_in_a_snapshot_never_panics(steps in prop::collection::vec(step(), 1..40), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let fold = folded(&history(&steps));
        let sealed = snapshot::encode(&fold, &StoreKeys::none()).unwrap();
        let mut body = sealed[crate::frame::HEAD_BYTES..].to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        let again = crate::frame::seal(crate::frame::Kind::Snapshot, &crate::keys::Key::snapshot(LANE, fold.head()), &body, &StoreKeys::none()).unwrap();
        if let Ok(mut read) = snapshot::decode(&again, LANE, fold.head(), &StoreKeys::none()) {
            // What passes must be fit for use.
            let next = header(&read, Vec::new());
            read.apply(&next).unwrap();
        }
    }
}

#[test]
fn a_changed_clone_leaves_the_other_as_it_was() {
    let mut fold = folded(&history(&[Step::Open(1), Step::Section(vec![0]), Step::Push(0, 1)]));
    let (before, copy) = (through_snapshot(&fold), fold.clone());
    let next = LaneHeader { sections: vec![entry("blue")], ..header(&fold, vec![advance(&fold, id(1), 2, vec![at(1, 2, false)])]) };
    fold.apply(&next).unwrap();
    assert_eq!(copy, before);
    assert_ne!(fold, copy);
}

#[test]
fn what_does_not_follow_is_refused_and_changes_nothing() {
    let mut fold =
        folded(&history(&[Step::Open(1), Step::Advance(1, 3, Vec::new()), Step::Open(2), Step::Close(2), Step::Open(3), Step::Quarantine(3), Step::Map(4)]));
    let state = fold.producer(&id(1)).unwrap().clone();
    let good = advance(&fold, id(1), 2, Vec::new());
    let LaneRecord::Advance { digests, chain_to, .. } = good.clone() else { unreachable!() };
    let turned = |producer, epoch, from, to, chain_to, digests: Vec<BatchDigest>| LaneRecord::Advance {
        producer,
        epoch: Epoch(epoch),
        from: Sequence(from),
        to: Sequence(to),
        chain_to,
        digests,
        positions: Vec::new(),
    };
    let opened = |producer, epoch, sequence, chain, identity: &str| LaneRecord::Open {
        producer,
        epoch: Epoch(epoch),
        identity: identity.to_owned(),
        nonce: [0; 16],
        wal_id: 0,
        track: 1,
        sequence: Sequence(sequence),
        chain,
        positions: Vec::new(),
        after: None,
    };
    let (last, chain, foreign) = (state.last.0, state.chain, ProducerId { lane: LaneId(8), unique: 1 });
    let bad: Vec<(&str, LaneRecord)> = vec![
        ("unknown producer", turned(id(50), 1, 4, 5, chain_to, digests.clone())),
        ("closed", turned(id(2), 1, 1, 2, chain_to, digests.clone())),
        ("quarantined", turned(id(3), 1, 1, 2, chain_to, digests.clone())),
        ("older epoch", turned(id(1), 0, 4, 5, chain_to, digests.clone())),
        ("newer epoch", turned(id(1), 2, 4, 5, chain_to, digests.clone())),
        ("overlap", turned(id(1), 1, 3, 4, chain_to, digests.clone())),
        ("hole", turned(id(1), 1, 5, 6, chain_to, digests.clone())),
        ("backwards", turned(id(1), 1, 4, 3, chain_to, Vec::new())),
        ("too far", turned(id(1), 1, 4, u64::MAX, chain_to, Vec::new())),
        ("wrong chain", turned(id(1), 1, 4, 5, chain, digests.clone())),
        ("too many digests", turned(id(1), 1, 4, 4, chain_to, digests.clone())),
        ("too few digests", turned(id(1), 1, 4, 6, chain_to, digests)),
        ("opened again under its epoch", opened(id(1), 1, last, chain, "alpha/one")),
        ("opened elsewhere", opened(id(1), 2, last + 1, chain, "alpha/one")),
        ("opened with another chain", opened(id(1), 2, last, Chain([1; 16]), "alpha/one")),
        ("opened for another", opened(id(1), 2, last, chain, "alpha/two")),
        ("opened though closed", opened(id(2), 2, 0, Chain::default(), "alpha/one")),
        ("opened though quarantined", opened(id(3), 2, 0, Chain::default(), "alpha/one")),
        ("opened under epoch 0", opened(id(60), 0, 0, Chain::default(), "alpha/one")),
        ("opened in another lane", opened(foreign, 1, 0, Chain::default(), "alpha/one")),
        ("quarantined though closed", LaneRecord::Quarantine { producer: id(2), reason: String::new() }),
        ("closed elsewhere", LaneRecord::Close { producer: id(1), sequence: Sequence(last + 1), chain, next: id(70) }),
        ("closed twice", LaneRecord::Close { producer: id(2), sequence: Sequence(0), chain: Chain::default(), next: id(70) }),
        ("quarantined but unknown", LaneRecord::Quarantine { producer: id(50), reason: String::new() }),
        ("floor above the head", LaneRecord::Floor(fold.head() + 1)),
    ];
    let before = fold.clone();
    for (what, record) in bad {
        // Behind a good record, so that "nothing changed" means the whole header.
        let next = header(&fold, vec![LaneRecord::Map(9), record]);
        assert!(matches!(fold.apply(&next), Err(StoreFault::Chain { .. })), "{what}");
        assert_eq!(fold, before, "{what}");
    }
    let next = header(&fold, vec![good]);
    for (what, wrong) in [
        ("number", LaneHeader { number: next.number + 1, ..next.clone() }),
        ("number again", LaneHeader { number: next.number - 1, ..next.clone() }),
        ("previous commit", LaneHeader { previous: GENESIS, ..next.clone() }),
        ("old map", LaneHeader { map_version: 3, sections: vec![entry("acme")], ..next.clone() }),
    ] {
        assert!(fold.apply(&wrong).is_err(), "{what}");
    }
    fold.apply(&next).unwrap();
}

#[test]
fn rule_8_who_does_not_begin_where_another_ended_is_refused() {
    let fold = folded(&history(&[Step::Open(1), Step::Advance(1, 3, Vec::new()), Step::Open(2), Step::Close(2)]));
    let foreign = ProducerId { lane: LaneId(8), unique: 1 };
    let (last, chain) = fold.producer(&id(1)).map(|state| (state.last.0, state.chain)).unwrap();
    let opened = |sequence, chain| {
        let LaneRecord::Open { producer, epoch, identity, nonce, wal_id, track, positions, .. } = open(&fold, id(60)) else { unreachable!() };
        LaneRecord::Open { producer, epoch, identity, nonce, wal_id, track, sequence: Sequence(sequence), chain, positions, after: None }
    };
    for (what, record) in [
        ("opened out of nothing but not at 0", opened(1, Chain([1; 16]))),
        ("opened out of nothing with a chain", opened(0, Chain([1; 16]))),
        ("opened after itself", follow_on(id(60), id(60), (Sequence(0), Chain::default()), Vec::new())),
        ("opened after one that is open", follow_on(id(60), id(1), (Sequence(last), chain), Vec::new())),
        ("opened after one that is unknown", follow_on(id(60), id(50), (Sequence(0), Chain::default()), Vec::new())),
        ("opened after one whose end names another", follow_on(id(60), id(2), (Sequence(0), Chain::default()), Vec::new())),
        ("opened after one elsewhere at 0 with a chain", follow_on(id(60), foreign, (Sequence(0), Chain([1; 16])), Vec::new())),
        ("opened elsewhere than where the one before ended", follow_on(id(99), id(2), (Sequence(1), Chain([1; 16])), Vec::new())),
        ("opened again as if it went on for another", follow_on(id(1), foreign, (Sequence(last), chain), Vec::new())),
        ("opened with too many positions", follow_on(id(60), foreign, (Sequence(0), Chain::default()), vec![at(1, 1, false); SOURCES_MAX + 1])),
    ] {
        assert!(matches!(fold.check(&header(&fold, vec![record])), Err(StoreFault::Chain { .. })), "{what}");
    }
    fold.check(&header(&fold, vec![opened(0, Chain::default())])).unwrap();
    fold.check(&header(&fold, vec![follow_on(id(99), id(2), (Sequence(0), Chain::default()), Vec::new())])).unwrap();
}

#[test]
fn records_of_one_header_build_on_each_other() {
    let mut fold = Fold::genesis(LANE, GENESIS);
    let opened = folded(&history(&[Step::Open(1)]));
    let first = advance(&opened, id(1), 2, Vec::new());
    let LaneRecord::Advance { chain_to, .. } = first.clone() else { unreachable!() };
    let gap = LaneRecord::Advance {
        producer: id(1),
        epoch: Epoch(1),
        from: Sequence(3),
        to: Sequence(9),
        chain_to: digest::extend_gap(chain_to, 3, 9),
        digests: Vec::new(),
        positions: Vec::new(),
    };
    let next = header(&fold, vec![open(&fold, id(1)), first, gap]);
    fold.apply(&next).unwrap();
    let state = fold.producer(&id(1)).unwrap();
    assert_eq!((state.last, state.chain), (Sequence(9), digest::extend_gap(chain_to, 3, 9)));
    assert_eq!(state.digest_of(Sequence(2)), Some(BatchDigest(2_u128.to_be_bytes())));
    assert_eq!((state.digest_of(Sequence(3)), state.digest_of(Sequence(9))), (None, None));
}

#[test]
fn the_newest_digests_are_kept() {
    let fold = folded(&history(&[Step::Open(1), Step::Advance(1, 60, Vec::new()), Step::Advance(1, 60, Vec::new())]));
    let state = fold.producer(&id(1)).unwrap();
    let kept = u64::try_from(DIGESTS_KEPT).unwrap();
    assert_eq!(state.digest_of(Sequence(120)), Some(BatchDigest(120_u128.to_be_bytes())));
    assert!(state.digest_of(Sequence(121 - kept)).is_some());
    assert_eq!(state.digest_of(Sequence(120 - kept)), None);
}

#[test]
fn positions_are_absolute_and_a_gone_source_is_forgotten_a_week_later() {
    let mut fold = folded(&history(&[Step::Open(1)]));
    let mut report = |written_ns: i64, positions: Vec<Position>| {
        let next = LaneHeader { written: Timestamp(written_ns), ..header(&fold, vec![advance(&fold, id(1), 1, positions)]) };
        fold.apply(&next).unwrap();
        let state = fold.producer(&id(1)).unwrap();
        state.positions.values().map(|position| (position.inode, position.offset)).collect::<Vec<_>>()
    };
    assert_eq!(report(0, vec![at(1, 10, false), at(2, 20, false)]), [(1, 10), (2, 20)]);
    // Renamed, read on: the same source.
    assert_eq!(report(1, vec![Position { path: "/var/log/1.old".to_owned(), ..at(1, 15, false) }]), [(1, 15), (2, 20)]);
    assert_eq!(report(DAY_NS, vec![at(2, 25, true)]), [(1, 15), (2, 25)]);
    // Said again: the week counts from the first time.
    assert_eq!(report(6 * DAY_NS, vec![at(2, 25, true)]), [(1, 15), (2, 25)]);
    assert_eq!(report(8 * DAY_NS, Vec::new()), [(1, 15), (2, 25)]);
    assert_eq!(report(8 * DAY_NS + 2, Vec::new()), [(1, 15)]);
}

#[test]
fn sources_without_an_inode_go_by_path_and_too_many_push_the_unheard_out() {
    let mut fold = folded(&history(&[Step::Open(1)]));
    let named = |path: &str| Position { path: path.to_owned(), ..Position::default() };
    let all: Vec<u64> = (1..=u64::try_from(SOURCES_MAX).unwrap()).collect();
    for positions in
        [vec![named("journal"), named("syslog")], all.iter().map(|inode| at(*inode, 1, false)).collect(), vec![at(3, 2, true)], vec![named("late")]]
    {
        let next = header(&fold, vec![advance(&fold, id(1), 1, positions)]);
        fold.apply(&next).unwrap();
    }
    let state = fold.producer(&id(1)).unwrap();
    assert_eq!(state.positions.len(), SOURCES_MAX);
    assert!(state.positions.values().any(|position| position.path == "late"));
    assert!(!state.positions.values().any(|position| position.path == "journal" || position.inode == 3));
}

#[test]
fn push_keys_are_kept_an_hour_and_belong_to_their_tenant() {
    let hour = 3_600_000_000_000;
    let mut fold = Fold::genesis(LANE, GENESIS);
    let key = |at| LaneRecord::PushKey { tenant: tenant("acme"), key: b"k".to_vec(), at: Timestamp(at) };
    let first = header(&fold, vec![key(0)]);
    fold.apply(&first).unwrap();
    assert_eq!(fold.push_key(&tenant("blue"), b"k"), None);
    assert_eq!(fold.push_key(&tenant("acme"), b"other"), None);
    for _ in 0..200 {
        let next = LaneHeader { written: Timestamp(hour), ..header(&fold, Vec::new()) };
        fold.apply(&next).unwrap();
    }
    assert_eq!(fold.push_key(&tenant("acme"), b"k"), Some(Timestamp(0)));
    for _ in 0..64 {
        let next = LaneHeader { written: Timestamp(2 * hour), ..header(&fold, Vec::new()) };
        fold.apply(&next).unwrap();
    }
    assert_eq!(fold.push_key(&tenant("acme"), b"k"), None);
}

#[test]
fn losses_are_bounded_and_none_becomes_silent() {
    let mut fold = Fold::genesis(LANE, GENESIS);
    let count = i64::try_from(LOSSES_KEPT).unwrap() + 40;
    for at in 0..count {
        let next = header(&fold, vec![loss("one", at * 100, Some(2)).into(), loss("two", at, None).into()]);
        fold.apply(&next).unwrap();
    }
    let acme = tenant("acme");
    let of = |edge: &str| fold.losses(&acme).filter(|loss| loss.edge.as_str() == edge).cloned().collect::<Vec<_>>();
    let one = of("one");
    assert_eq!(one.len(), LOSSES_KEPT);
    assert_eq!(one.iter().map(|loss| loss.lines.unwrap()).sum::<u64>(), 2 * u64::try_from(count).unwrap());
    assert_eq!((one[0].from_ns, one[0].to_ns), (0, 40 * 100 + 10));
    assert_eq!(of("two")[0].lines, None);
    assert_eq!(fold.losses(&tenant("blue")).count(), 0);
}

#[test]
fn a_closed_producer_stays_with_who_follows_it() {
    let fold = folded(&history(&[Step::Open(1), Step::Advance(1, 3, vec![(1, 2, false)]), Step::Close(1)]));
    let state = fold.producer(&id(1)).unwrap();
    assert_eq!((state.closed, state.last), (Some(id(99)), Sequence(3)));
}

/// Applies `count` headers written at `now`.
fn pass(fold: &mut Fold, count: u64, now: i64) {
    for _ in 0..count {
        let next = LaneHeader { written: Timestamp(now), ..header(fold, Vec::new()) };
        fold.apply(&next).unwrap();
    }
}

#[test]
fn rule_8_what_a_closed_producer_knew_is_kept_a_day_and_where_it_stood_for_ever() {
    let mut fold = folded(&history(&[Step::Open(1), Step::Advance(1, 3, vec![(1, 2, false)]), Step::Quarantine(1), Step::Move(1)]));
    let place = |fold: &Fold| {
        let state = fold.producer(&id(1)).unwrap();
        (state.closed, state.last, state.chain, state.quarantined)
    };
    let (before, closed) = (place(&fold), fold.written().nanos());
    assert_eq!((before.0, before.1, before.3), (Some(id(101)), Sequence(3), true));
    pass(&mut fold, 2 * TIDY_EVERY, closed + DAY_NS);
    let state = fold.producer(&id(1)).unwrap();
    assert_eq!((state.digests().count(), state.positions.len()), (3, 1));
    assert_eq!(through_snapshot(&fold), fold);
    pass(&mut fold, TIDY_EVERY, closed + DAY_NS + 1);
    let state = fold.producer(&id(1)).unwrap();
    assert_eq!((state.digests().count(), state.positions.len(), place(&fold)), (0, 0, before));
    assert_eq!(through_snapshot(&fold), fold);
    // Positions that were taken over live on with the one that goes on.
    assert_eq!(fold.producer(&id(101)).unwrap().positions.len(), 1);
    pass(&mut fold, TIDY_EVERY, closed + 99 * DAY_NS);
    assert_eq!(place(&fold), before);
}

#[test]
fn rule_8_the_next_one_begins_where_the_one_before_ended_or_at_0_when_that_was_quarantined() {
    let steps = |end: &[Step]| [&[Step::Open(1), Step::Advance(1, 3, vec![(1, 2, false)])], end].concat();
    let plain = folded(&history(&steps(&[Step::Move(1)])));
    let (before, next) = (plain.producer(&id(1)).unwrap(), plain.producer(&id(101)).unwrap());
    assert_eq!((next.last, next.chain, next.after, next.track), (before.last, before.chain, Some(id(1)), 2));
    assert_eq!(next.positions, before.positions);
    let released = folded(&history(&steps(&[Step::Quarantine(1), Step::Move(1)])));
    let next = released.producer(&id(101)).unwrap();
    assert_eq!((next.last, next.chain, next.quarantined), (Sequence(0), Chain::default(), false));
    // What the same object quarantines, closes and opens anew is judged in its order.
    let mut fold = folded(&history(&steps(&[])));
    let state = fold.producer(&id(1)).unwrap().clone();
    let close = LaneRecord::Close { producer: id(1), sequence: state.last, chain: state.chain, next: id(5) };
    let quarantine = LaneRecord::Quarantine { producer: id(1), reason: "diverged".to_owned() };
    let wrong = follow_on(id(5), id(1), (state.last, state.chain), Vec::new());
    let next = header(&fold, vec![quarantine.clone(), close.clone(), wrong]);
    assert!(fold.apply(&next).is_err());
    let right = follow_on(id(5), id(1), (Sequence(0), Chain::default()), Vec::new());
    let next = header(&fold, vec![quarantine, close, right]);
    fold.apply(&next).unwrap();
}

#[test]
fn rule_8_advances_after_a_close_do_not_fit_in_whatever_object_they_come() {
    let fold = folded(&history(&[Step::Open(1), Step::Advance(1, 3, Vec::new())]));
    let state = fold.producer(&id(1)).unwrap();
    let pending = advance(&fold, id(1), 2, Vec::new());
    let close = LaneRecord::Close { producer: id(1), sequence: state.last, chain: state.chain, next: id(5) };
    assert!(fold.check(&header(&fold, vec![close.clone(), pending.clone()])).is_err());
    let mut closed = fold.clone();
    closed.apply(&header(&fold, vec![close])).unwrap();
    assert!(closed.check(&header(&closed, vec![pending])).is_err());
    // Retired: it goes on for itself, which is nobody.
    let retire = LaneRecord::Close { producer: id(1), sequence: state.last, chain: state.chain, next: id(1) };
    let mut retired = fold.clone();
    retired.apply(&header(&fold, vec![retire])).unwrap();
    assert!(retired.check(&header(&retired, vec![open(&fold, id(1))])).is_err());
    assert_eq!(retired.producer(&id(1)).unwrap().closed, Some(id(1)));
}

/// A new WAL ends the later of two tracks in the older one, which had not sent yet what it had of a source.
#[test]
fn what_an_older_track_had_not_sent_of_a_source_is_missing_once_the_later_one_ends_in_it() {
    let mut fold = Fold::genesis(LANE, GENESIS);
    let of_track = |fold: &Fold, producer, track| {
        let LaneRecord::Open { epoch, identity, nonce, wal_id, sequence, chain, positions, after, .. } = open(fold, producer) else { unreachable!() };
        LaneRecord::Open { producer, epoch, identity, nonce, wal_id, track, sequence, chain, positions, after }
    };
    fold.apply(&header(&fold, vec![of_track(&fold, id(1), 2), of_track(&fold, id(2), 3)])).unwrap();
    let begun = |inode, from, offset| Position { from, ..at(inode, offset, false) };
    fold.apply(&header(&fold, vec![advance(&fold, id(1), 1, vec![begun(3, 0, 70)])])).unwrap();
    fold.apply(&header(&fold, vec![advance(&fold, id(2), 1, vec![begun(3, 100, 150), begun(7, 40, 90)])])).unwrap();
    let end = |fold: &Fold, which: u128, next: u128| {
        let state = fold.producer(&id(which)).unwrap();
        LaneRecord::Close { producer: id(which), sequence: state.last, chain: state.chain, next: id(next) }
    };
    let told = |fold: &Fold, which: u128| -> Vec<(u64, u64, u64, u64)> {
        fold.producer(&id(which)).unwrap().positions.values().map(|told| (told.inode, told.from, told.offset, told.missing)).collect()
    };
    let mut drained = fold.clone();
    fold.apply(&header(&fold, vec![end(&fold, 2, 1)])).unwrap();
    assert_eq!(told(&fold, 1), [(3, 0, 150, 30), (7, 0, 90, 40)]);
    // The older one, drained, ends in the later: nothing is missing.
    drained.apply(&header(&drained, vec![advance(&drained, id(1), 1, vec![begun(3, 0, 100), begun(8, 10, 20)])])).unwrap();
    drained.apply(&header(&drained, vec![end(&drained, 1, 2)])).unwrap();
    assert_eq!(told(&drained, 2), [(3, 0, 150, 0), (7, 40, 90, 0), (8, 10, 20, 0)]);
}

#[test]
fn positions_that_come_with_an_open_are_added_to_what_is_known() {
    let mut fold = folded(&history(&[Step::Open(1), Step::Advance(1, 3, vec![(1, 2, false), (2, 5, false)])]));
    let LaneRecord::Open { producer, epoch, identity, nonce, wal_id, track, sequence, chain, after, .. } = open(&fold, id(1)) else { unreachable!() };
    let positions = vec![at(2, 9, false), at(3, 1, false)];
    let next = header(&fold, vec![LaneRecord::Open { producer, epoch, identity, nonce, wal_id, track, sequence, chain, positions, after }]);
    fold.apply(&next).unwrap();
    let offsets: Vec<_> = fold.producer(&id(1)).unwrap().positions.values().map(|position| (position.inode, position.offset)).collect();
    assert_eq!(offsets, [(1, 2), (2, 9), (3, 1)]);
}

#[test]
fn what_lies_above_the_floor_is_counted() {
    let mut fold = folded(&history(&[Step::Section(vec![0, 1]), Step::Map(1), Step::Section(vec![0])]));
    assert_eq!(fold.behind(), (3, 150));
    let next = header(&fold, vec![LaneRecord::Floor(2)]);
    fold.apply(&next).unwrap();
    assert_eq!((fold.behind(), through_snapshot(&fold).behind()), ((2, 50), (2, 50)));
    let next = header(&fold, vec![LaneRecord::Floor(4)]);
    fold.apply(&next).unwrap();
    assert_eq!(fold.behind(), (1, 0));
}

/// A fold that holds something of everything.
fn golden() -> Fold {
    let mut fold =
        folded(&history(&[Step::Open(1), Step::Advance(1, 3, vec![(1, 2, false), (2, 9, true)]), Step::Push(0, 1), Step::Map(4), Step::Section(vec![0, 1])]));
    let next = header(&fold, vec![loss("one", 5, None).into(), open(&fold, id(2)), LaneRecord::Quarantine { producer: id(2), reason: "diverged".to_owned() }]);
    fold.apply(&next).unwrap();
    let state = fold.producer(&id(1)).unwrap();
    let (sequence, chain) = (state.last, state.chain);
    let LaneRecord::Open { epoch, identity, nonce, wal_id, .. } = open(&fold, id(7)) else { unreachable!() };
    let close = LaneRecord::Close { producer: id(1), sequence, chain, next: id(7) };
    let positions = vec![at(1, 2, false)];
    let after = LaneRecord::Open { producer: id(7), epoch, identity, nonce, wal_id, track: 2, sequence, chain, positions, after: Some(id(1)) };
    let records = vec![LaneRecord::Floor(5), close, after, LaneRecord::Owner("hub-1".to_owned())];
    let next = LaneHeader { sections: vec![entry("blue")], ..header(&fold, records) };
    fold.apply(&next).unwrap();
    fold
}

#[test]
fn a_snapshot_of_format_version_1_still_reads_as_it_was_written() {
    let stored = bytes::Bytes::from_static(include_bytes!("../../golden/snap-1.bin"));
    let fold = golden();
    assert_eq!(snapshot::decode(&stored, LANE, fold.head(), &StoreKeys::none()).unwrap(), fold);
    assert_eq!(snapshot::encode(&fold, &StoreKeys::none()).unwrap(), stored, "the same fold gives the same bytes");
    assert_eq!((fold.last_section(&tenant("acme")), fold.last_section(&tenant("blue"))), (Some(5), Some(7)));
}

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    let fold = folded(&history(&[Step::Open(1), Step::Advance(1, 3, Vec::new()), Step::Section(vec![0])]));
    let read = |fold: &Fold| snapshot::decode(&snapshot::encode(fold, &StoreKeys::none()).unwrap(), LANE, fold.head, &StoreKeys::none());
    read(&fold).unwrap();
    let state = |change: fn(&mut ProducerState)| {
        let mut fold = fold.clone();
        fold.change(&id(1), change);
        fold
    };
    for (what, wrong) in [
        ("another head", Fold { head_commit: GENESIS, ..fold.clone() }),
        ("a number too many", Fold { head: fold.head + 1, ..fold.clone() }),
        ("a floor inside", Fold { floor: 1, ..fold.clone() }),
        ("numbers beyond all", Fold { head: u64::MAX, floor: u64::MAX - 3, ..fold.clone() }),
        ("a sequence beyond all", state(|state| state.last = Sequence(u64::MAX))),
        ("digests out of order", state(|state| state.digests.make_contiguous().reverse())),
        ("closed at an unknown time", state(|state| state.closed = Some(id(9)))),
        ("too many digests", state(|state| state.digests.extend((10..200).map(|n| (Sequence(n), BatchDigest::default()))))),
    ] {
        assert!(matches!(read(&wrong), Err(StoreFault::Damaged { .. })), "{what}");
    }
    let bytes = snapshot::encode(&fold, &StoreKeys::none()).unwrap();
    assert!(snapshot::decode(&bytes, LaneId(8), fold.head, &StoreKeys::none()).is_err());
    assert!(snapshot::decode(&bytes, LANE, fold.head + 1, &StoreKeys::none()).is_err());
}
