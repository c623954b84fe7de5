//! Rows of the catalogue of bad input (`docs/bad-input.md`) that are an edge's own: what it finds at start, and what the
//! machine does to it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::ask::Ask;
use tests::edge::{Edge, EdgeParts, loopback};
use tests::hub::Hub;
use tests::lines::{Writer, time_base_ns};
use tests::place::{self, program};
use tests::process::Process;

use crate::{edge_of, settle};

/// An edge that was not started: its settings, with a WAL in `wal_dir`.
fn prepared(hub: &Hub, dir: &Path, name: &str, wal_dir: &Path) -> Edge {
    let identity = hub.identity("alpha", name, &[]);
    let logs = dir.join("logs-one");
    std::fs::create_dir_all(&logs).unwrap();
    let parts = EdgeParts {
        identity: &identity,
        ca_file: &identity.join("ca.crt"),
        hubs: vec![loopback(hub.link)],
        transport: "auto",
        logs: format!("{}/*.log", logs.display()),
        stages: crate::CRI,
        more: "",
        wal: "",
        wal_dir: Some(wal_dir),
        namespace: None,
    };
    Edge::prepare(dir, &format!("edge-{name}"), &parts)
}

/// Runs it until it ends by itself: its exit code and what it said.
fn refused(edge: &Edge) -> (Option<i32>, String) {
    let mut command = Command::new(program("tributary-edge"));
    command.arg("run").arg("--config").arg(edge.dir().join("edge.yaml"));
    let mut process = Process::start(command, edge.dir(), "refused");
    let code = process.wait(Duration::from_secs(20));
    (code, process.tail())
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_a_wal_that_cannot_be_there_is_named_at_start() {
    let dir = place::folder("rows-26");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let file = dir.path().join("a-file");
    std::fs::write(&file, "no folder").unwrap();
    for (name, wal) in [("beneath", file.join("wal")), ("instead", file.clone())] {
        let (code, said) = refused(&prepared(&hub, dir.path(), name, &wal));
        assert!(code.is_some_and(|code| code != 0), "{name}: {code:?}");
        assert!(said.contains(file.to_str().unwrap()), "{name}: {said}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "no folder");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_30_a_second_edge_on_one_wal_ends() {
    let dir = place::folder("rows-30");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let edge = edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let (code, said) = refused(&prepared(&hub, dir.path(), "two", &edge.dir().join("wal")));
    assert_eq!(code, Some(3), "{said}");
    assert!(edge.runs());
    let base = time_base_ns();
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    writer.write(100);
    settle(&hub, "{cluster=\"alpha\"}", &[&writer], base, Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_96_few_descriptors_are_shared_and_given_back() {
    let dir = place::folder("rows-96");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let edge = prepared(&hub, dir.path(), "one", &dir.path().join("wal"));
    let base = time_base_ns();
    let path = |number: u32| dir.path().join(format!("logs-one/{number:03}.log"));
    let mut writers: Vec<Writer> = (0..300).map(|number| Writer::new(&path(number), &format!("w{number:03}"), base)).collect();
    writers.iter_mut().for_each(|writer| writer.write(3));
    let mut command = Command::new("sh");
    let config = edge.dir().join("edge.yaml");
    command.arg("-c").arg("ulimit -n 300 && exec \"$0\" run --config \"$1\"").arg(program("tributary-edge")).arg(&config);
    let mut process = Process::start(command, edge.dir(), "few");
    let _ = process.listening(0);
    let ask = Ask::new(&hub.url(), &hub.acme);
    ask.until_count("{cluster=\"alpha\"}", 100, Duration::from_secs(60)).await;
    let (read, refused) = (edge.metric("tributary_edge_files", "read").await.unwrap(), edge.metric("tributary_edge_files", "refused").await.unwrap());
    assert!(read > 50.0 && read < 300.0 && read + refused == 300.0, "{read} read, {refused} refused");
    // The WAL, the session and the pages still have theirs; when files go, others are read.
    for number in 0..250 {
        std::fs::remove_file(path(number)).unwrap();
    }
    let selector = format!("{{cluster=\"alpha\", filename=\"{}\"}}", path(299).display());
    ask.until_count(&selector, 3, Duration::from_secs(60)).await;
    writers.drain(..250);
    for writer in &mut writers {
        writer.write(2);
    }
    ask.until_count(&selector, 5, Duration::from_secs(60)).await;
    assert!(process.alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn row_97_an_edge_that_is_told_to_end_ends_in_bounds_and_goes_on() {
    let dir = place::folder("rows-97");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let mut edge = edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let base = time_base_ns();
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    for round in 0..4 {
        for _ in 0..20 {
            writer.write(200);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let process = edge.process();
        match round {
            // Twice, under load.
            0 | 1 => {
                let began = Instant::now();
                process.signal("TERM");
                writer.write(2_000);
                if round == 1 {
                    process.signal("TERM");
                }
                let code = process.wait(Duration::from_secs(15));
                assert!(code.is_some(), "it did not end");
                assert!(round == 1 || code == Some(0), "{code:?}: {}", process.tail());
                assert!(began.elapsed() < Duration::from_secs(15));
                edge.resume();
            }
            2 => process.freeze(Duration::from_secs(4)).await,
            _ => {
                edge.kill();
                edge.resume();
            }
        }
    }
    writer.write(10);
    settle(&hub, "{cluster=\"alpha\"}", &[&writer], base, Duration::from_secs(60)).await;
}

/// User and system time of a process so far, in seconds.
fn cpu_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let ticks: Vec<f64> = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2).map(|number| number.parse().unwrap()).collect();
    ticks.iter().sum::<f64>() / 100.0
}

/// What 500 silent files in 50 folders cost: CPU in a minute, memory.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "by hand: it takes a minute and says figures"]
async fn five_hundred_idle_files_by_hand() {
    let dir = place::folder("idle");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let base = time_base_ns();
    for number in 0..500 {
        let folder = dir.path().join(format!("logs-one/{:02}", number / 10));
        std::fs::create_dir_all(&folder).unwrap();
        Writer::new(&folder.join(format!("{number}.log")), &format!("w{number}"), base).write(20);
    }
    let wish = crate::Wish { logs: Some("**/*.log"), ..crate::Wish::default() };
    let mut edge = crate::edge_with(&hub, dir.path(), "alpha", "one", "auto", &wish);
    Ask::new(&hub.url(), &hub.acme).until_count("{cluster=\"alpha\"}", 10_000, Duration::from_secs(120)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let id = edge.process().id();
    let before = cpu_seconds(id);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (watched, polled) =
        (edge.metric("tributary_edge_watched_directories", "watched").await, edge.metric("tributary_edge_watched_directories", "polled").await);
    eprintln!(
        "idle: {:.2} CPU-s in a minute, {} bytes resident, {watched:?} directories watched, {polled:?} polled",
        cpu_seconds(id) - before,
        edge.process().rss_bytes()
    );
}
