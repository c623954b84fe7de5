//! Faults of our own making, which the simulation must find: each is one expression under `cfg!(planted = "name")` in a crate that ships.
//!
//! Parts: [`PLANTED`], the list; a test that it is the whole list. `tests/planted` builds one of them, runs its seeds until a breach shows, and says
//! caught or missed. Must not do: be built into anything that ships; only the simulation sets the condition.

/// One planted fault.
pub struct Planted {
    pub name: &'static str,
    /// What is broken, and what is promised no longer.
    pub breaks: &'static str,
    /// What finds it, with a breach that is its own.
    pub found: Found,
}

/// What finds a planted fault.
pub enum Found {
    /// One of so many seeds, from the first on.
    BySeeds(u64, u64),
    /// A directed test of the simulation: for what seeds seldom bring.
    ByTest(&'static str),
}

const fn planted(name: &'static str, breaks: &'static str, (first, count): (u64, u64)) -> Planted {
    Planted { name, breaks, found: Found::BySeeds(first, count) }
}

const fn directed(name: &'static str, breaks: &'static str, test: &'static str) -> Planted {
    Planted { name, breaks, found: Found::ByTest(test) }
}

/// All of them. `tests/planted` reads these lines: one each.
pub const PLANTED: [Planted; 26] = [
    planted("ack_before_put", "acks whatever became of the create: acknowledged lines are not stored", (0, 300)),
    planted("conflict_is_created", "412 is taken for written: acks into the void, cursors of another's object never folded", (0, 300)),
    directed("lane_rule_6", "a lane object at a collected number counts", "sleepers::a_sleeper_creates_a_lane_object_that_was_collected"),
    planted("lane_second_look", "a fold goes on from a number that was collected meanwhile (rule 7)", (42, 300)),
    directed("manifest_rule_6", "a manifest at a collected number counts", "sleepers::a_sleeper_creates_a_manifest_that_was_collected"),
    planted("floor_before_manifest", "the floor passes sections that no manifest holds: they are read nowhere", (0, 300)),
    planted("collected_without_snapshot", "lane objects go before two snapshots stand behind them", (0, 300)),
    planted("collected_above_floor", "lane objects go before they are absorbed", (0, 300)),
    planted("sweep_without_doom", "segments are deleted that a job is about to name (rule 16)", (0, 300)),
    planted("manifest_of_any_age", "a query takes a manifest that lacks what the floors say is absorbed (rule 14)", (0, 300)),
    planted("view_of_any_age", "a query answers from folds as old as they are: acknowledged lines are missing", (0, 300)),
    planted("close_ignored", "a producer that ended goes on in its old lane (rule 8)", (0, 300)),
    planted("push_key_forgotten", "a push that is retried at another hub is stored twice (rule 10)", (6, 300)),
    planted("positions_forgotten", "hubs do not know how far sources are stored: a lost WAL is read twice", (7, 300)),
    planted("epoch_not_checked", "batches of a fenced session are stored, under its epoch (reliability 2.4)", (5, 300)),
    planted("chain_not_compared", "an edge whose WAL contradicts what is stored goes on with it", (30, 300)),
    planted("old_map", "a batch goes to the tenant that its cluster left (rule 9)", (41, 300)),
    planted("sequence_reset_on_wal_loss", "an edge that lost its WAL is not given the end of its chain", (7, 300)),
    planted("hub_positions_ignored", "an edge that lost its WAL does not read on where its hub stands: what it forgets then is read nowhere again", (7, 300)),
    planted("torn_tail_kept", "half a record after a power cut is taken for whole", (11, 300)),
    planted("position_saved_apart", "how far files are read is not saved with the lines: a restart reads them twice", (0, 300)),
    planted("sent_before_sync", "batches are sent before they are durable: after a power cut their numbers mean other lines", (19, 300)),
    planted("retry_at_another_number", "after a create without answer the next number is tried, as if the first had been written", (3, 300)),
    planted("acks_forgotten_at_close", "a producer that moves begins anew at 0", (0, 300)),
    directed("late_opening_ends_others", "the opening of a process that died counts as one of a newer WAL", "tracks::the_opening_of_a_lost_wal_comes_late"),
    directed("unreadable_lane_is_empty", "queries pass over a lane (rule 1)", "sleepers::a_lane_that_cannot_be_read_is_not_taken_for_empty"),
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
    assert!(PLANTED.iter().all(|planted| !planted.breaks.is_empty()));
    for planted in &PLANTED {
        match planted.found {
            Found::BySeeds(first, count) => assert!(first + count > first, "{}", planted.name),
            Found::ByTest(test) => {
                assert!(directed_tests().contains(test), "{test} is no test");
            }
        }
    }
}

/// The directed tests of the simulation, by module and name.
fn directed_tests() -> std::collections::BTreeSet<String> {
    let sources = [
        ("copies", include_str!("copies.rs")),
        ("deletes", include_str!("deletes.rs")),
        ("directed", include_str!("directed.rs")),
        ("holes", include_str!("holes.rs")),
        ("sleepers", include_str!("sleepers.rs")),
        ("tracks", include_str!("tracks.rs")),
    ];
    let names = sources.iter().flat_map(|(module, text)| {
        let tests = text.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split_once('(')).map(|(name, _)| name);
        tests.map(move |name| format!("{module}::{name}"))
    });
    names.collect()
}

/// The table of `docs/simulation.md` names each directed test, and none that is not there.
#[test]
fn the_cases_are_tested() {
    let table = include_str!("../../docs/simulation.md").split("## One case, one test").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let named: std::collections::BTreeSet<String> =
        rows.flat_map(|row| row.split('`').skip(1).step_by(2)).filter(|name| name.contains("::")).map(str::to_owned).collect();
    let mut tests = directed_tests();
    // What it would be without faults.
    assert!(tests.remove("directed::calm_water_stores_everything_at_once"));
    assert_eq!(named, tests, "left: in the table, right: in the sources");
}
