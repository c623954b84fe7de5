//! Faults of our own making, which the simulation must find: each is one expression under `cfg!(planted = "name")` in a crate that ships.
//!
//! Parts: [`PLANTED`], the list; a test that it is the whole list. `tests/planted` builds one of them, runs its seeds until a breach shows, and says
//! caught or missed. Must not do: be built into anything that ships; only the simulation sets the condition.

/// One planted fault.
pub struct Planted {
    pub name: &'static str,
    /// What is broken, and what is promised no longer.
    pub breaks: &'static str,
    /// The first seed that is tried, and how many.
    pub seeds: (u64, u64),
    /// Seeds have found it, with a breach that is its own: CI takes it in turn. Others are run by hand only.
    pub proven: bool,
}

const fn planted(name: &'static str, breaks: &'static str, seeds: (u64, u64)) -> Planted {
    Planted { name, breaks, seeds, proven: true }
}

/// One that no seed has found yet: nothing is known of how well the simulation guards what it breaks.
const fn by_hand(name: &'static str, breaks: &'static str, seeds: (u64, u64)) -> Planted {
    Planted { name, breaks, seeds, proven: false }
}

/// All of them. `tests/planted` reads these lines: one each. Those by hand were tried for 20 s to 80 s of seeds from 0 on in a build for debugging, without a breach.
pub const PLANTED: [Planted; 25] = [
    planted("ack_before_put", "acks whatever became of the create: acknowledged lines are not stored", (0, 300)),
    planted("conflict_is_created", "412 is taken for written: acks into the void, cursors of another's object never folded", (0, 300)),
    by_hand("lane_rule_6", "a lane object made by a sleeper at a collected number counts (caught once by an earlier tree, not since)", (0, 600)),
    planted("lane_second_look", "a fold goes on from a number that was collected meanwhile (rule 7)", (42, 300)),
    by_hand("manifest_rule_6", "a manifest made by a sleeper at a collected number counts", (0, 600)),
    planted("floor_before_manifest", "the floor passes sections that no manifest holds: they are read nowhere", (0, 300)),
    planted("collected_without_snapshot", "lane objects go before two snapshots stand behind them", (0, 300)),
    planted("collected_above_floor", "lane objects go before they are absorbed", (0, 300)),
    planted("sweep_without_doom", "segments are deleted that a job is about to name (rule 16)", (0, 300)),
    planted("manifest_of_any_age", "a query takes a manifest that lacks what the floors say is absorbed (rule 14)", (0, 300)),
    planted("view_of_any_age", "a query answers from folds as old as they are: acknowledged lines are missing", (0, 300)),
    planted("close_ignored", "a producer that ended goes on in its old lane (rule 8)", (0, 300)),
    planted("push_key_forgotten", "a push that is retried at another hub is stored twice (rule 10)", (6, 300)),
    planted("positions_forgotten", "hubs do not know how far sources are stored: a lost WAL is read twice", (7, 300)),
    by_hand("epoch_not_checked", "a fenced session goes on (reliability 2.4)", (0, 600)),
    by_hand("digest_not_compared", "another batch under a number that stands is acknowledged and lost", (0, 1_500)),
    planted("old_map", "a batch goes to the tenant that its cluster left (rule 9)", (41, 300)),
    planted("sequence_reset_on_wal_loss", "an edge that lost its WAL is not given the end of its chain", (7, 300)),
    planted("hub_positions_ignored", "an edge that lost its WAL does not read on where its hub stands: what it forgets then is read nowhere again", (7, 300)),
    planted("torn_tail_kept", "half a record after a power cut is taken for whole", (11, 300)),
    planted("position_saved_apart", "how far files are read is not saved with the lines: a restart reads them twice", (0, 300)),
    planted("sent_before_sync", "batches are sent before they are durable: after a power cut their numbers mean other lines", (19, 300)),
    planted("retry_at_another_number", "after a create without answer the next number is tried, as if the first had been written", (3, 300)),
    planted("acks_forgotten_at_close", "a producer that moves begins anew at 0", (0, 300)),
    by_hand("unreadable_lane_is_empty", "a lane whose genesis cannot be read is passed over by queries (rule 1)", (0, 600)),
];

/// What is planted in the sources is what the list says, and nothing else.
#[test]
fn the_list_is_whole() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = std::collections::BTreeSet::new();
    let mut folders: Vec<_> = ["proto", "edge", "hub", "certs"].iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(text.split("planted = \"").skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned)));
            }
        }
    }
    let listed: std::collections::BTreeSet<String> = PLANTED.iter().map(|planted| planted.name.to_owned()).collect();
    assert_eq!(listed.len(), PLANTED.len(), "a name stands twice");
    assert_eq!(found, listed, "left: in the sources, right: in the list");
    assert!(PLANTED.iter().all(|planted| !planted.breaks.is_empty() && planted.seeds.1 > 0));
    assert!(PLANTED.iter().filter(|planted| planted.proven).count() >= 15, "too few that the simulation is known to find");
}
