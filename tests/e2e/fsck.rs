//! A damaged store, by the real programs: a lane object with a flipped byte freezes its lane; `fsck` finds it, gives it up,
//! and the lane goes on, with the loss told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tests::ask::Ask;
use tests::hub::Hub;
use tests::place;

use crate::folder_store;

/// Lane objects below `store`, by name.
fn lane_objects(store: &Path) -> Vec<PathBuf> {
    let lanes = std::fs::read_dir(store.join("lanes")).unwrap().map(|entry| entry.unwrap().path().join("log"));
    let mut all: Vec<PathBuf> = lanes.flat_map(|log| std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()).collect();
    all.sort();
    all
}

/// Runs `tributary-hub fsck` with these arguments: its exit code and its lines.
fn fsck(hub: &Hub, arguments: &[&str]) -> (i32, Vec<serde_json::Value>) {
    let config = hub.config();
    let mut command = std::process::Command::new(place::program("tributary-hub"));
    let out = command.args(["fsck", "--json", "--config", config.to_str().unwrap()]).args(arguments).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    (out.status.code().unwrap(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

async fn push(ask: &Ask, app: &str, count: usize) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let values: Vec<[String; 2]> = (0..count).map(|n| [(now + n as u128).to_string(), format!("{app} {n}")]).collect();
    let body = serde_json::json!({"streams": [{"stream": {"app": app}, "values": values}]}).to_string();
    let answer = ask.post("/loki/api/v1/push", "application/json", body.into_bytes()).await.unwrap();
    assert_eq!(answer.status().as_u16(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_lane_object_is_found_and_given_up() {
    let dir = place::folder("fsck");
    let store = dir.path().join("store");
    let mut hub = Hub::start(dir.path(), &folder_store(dir.path()), "");
    let writer = Ask::new(&hub.url(), &hub.acme_writer);
    let reader = Ask::new(&hub.url(), &hub.acme);
    for app in ["one", "two", "three"] {
        push(&writer, app, 10).await;
    }
    reader.until_count("{app=~\".+\"}", 30, Duration::from_secs(20)).await;
    assert_eq!(fsck(&hub, &[]).0, 0, "a whole store");
    hub.kill();
    // The object that holds the second push: its header is damaged where it names its records.
    let objects = lane_objects(&store);
    let holds = |path: &PathBuf| std::fs::read(path).unwrap().windows(3).any(|bytes| bytes == b"two");
    let bad = objects.iter().find(|path| holds(path)).expect("the second push stands in an object");
    let mut bytes = std::fs::read(bad).unwrap();
    bytes[60] ^= 1;
    std::fs::write(bad, bytes).unwrap();
    let key = bad.strip_prefix(&store).unwrap().to_str().unwrap().to_owned();
    hub.resume();
    // Reads end before it, and say so; fsck names it.
    let answer = reader.json("/loki/api/v1/query_range", &[("query", "{app=~\".+\"}"), ("limit", "100")]).await;
    assert!(answer["warnings"].to_string().contains("cannot be read from number"), "{}", answer["warnings"]);
    let (code, found) = fsck(&hub, &[]);
    assert_eq!(code, 4, "{found:?}");
    assert_eq!((found[0]["kind"].as_str(), found[0]["key"].as_str()), (Some("damage"), Some(key.as_str())), "{found:?}");
    // What is whole is not given up.
    let whole = objects.iter().find(|path| *path > bad).map(|path| path.strip_prefix(&store).unwrap().to_str().unwrap().to_owned());
    assert_eq!(fsck(&hub, &["--skip-object", &whole.expect("one follows it")]).0, 3);
    let (code, found) = fsck(&hub, &["--skip-object", &key]);
    assert_eq!((code, found[0]["kind"].as_str()), (0, Some("skipped")), "{found:?}");
    // The running hub goes on: what stood behind is there, new lines are taken, the loss is told.
    reader.until_count("{app=~\".+\"}", 20, Duration::from_secs(20)).await;
    push(&writer, "four", 10).await;
    reader.until_count("{app=~\".+\"}", 30, Duration::from_secs(20)).await;
    let losses = Ask::new(&hub.admin_url(), &hub.operator).json("/admin/v1/losses", &[("tenant", "acme")]).await;
    assert!(losses.to_string().contains("SKIPPED_OBJECT"), "{losses}");
    // A hub that starts anew sees the same.
    hub.kill();
    hub.resume();
    reader.until_count("{app=~\".+\"}", 30, Duration::from_secs(20)).await;
    assert_eq!(fsck(&hub, &["--blocks"]).0, 0);
}
