//! Deletes on a real bucket with two hubs: gone on both at once, new lines stay, the objects shrink, a restart brings nothing back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::ask::Ask;
use tests::minio::Minio;
use tests::place;

use crate::hubs::two;

/// Lines of each stream.
const LINES: u64 = 2_000;

async fn push(writer: &Ask, app: &str, word: &str, lines: u64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64 - 60_000_000_000;
    let text = |n: u64| format!("{word} {n} {:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let values: Vec<Value> = (0..lines).map(|n| json!([(now + i64::try_from(n).unwrap()).to_string(), text(n)])).collect();
    let body = json!({"streams": [{"stream": {"app": app}, "values": values}]});
    let pushed = writer.post("/loki/api/v1/push", "application/json", body.to_string().into_bytes()).await.unwrap();
    assert_eq!(pushed.status().as_u16(), 204);
}

/// Lines and bytes of all segments, as an operator sees them.
async fn stored(admin: &Ask) -> (u64, u64, usize) {
    let segments = admin.json("/admin/v1/segments", &[("tenant", "acme")]).await;
    let sum = |name: &str| segments.as_array().unwrap().iter().map(|segment| segment[name].as_u64().unwrap()).sum();
    (sum("lines"), sum("bytes"), segments.as_array().unwrap().len())
}

async fn absorb(admin: &Ask) {
    let done = admin.post("/admin/v1/absorb", "application/json", b"{}".to_vec()).await.unwrap();
    assert_eq!(done.status().as_u16(), 200, "{}", done.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_gone_on_both_hubs_at_once_and_for_good() {
    let dir = place::folder("deletes");
    let minio = Minio::start(dir.path());
    let mut hubs = two(dir.path(), &minio);
    let readers: Vec<Ask> = hubs.iter().map(|hub| Ask::new(&hub.url(), &hub.acme)).collect();
    let writers: Vec<Ask> = hubs.iter().map(|hub| Ask::new(&hub.url(), &hub.acme_writer)).collect();
    let operators: Vec<Ask> = hubs.iter().map(|hub| Ask::new(&hub.url(), &hub.operator).with_header("X-Scope-OrgID", "acme")).collect();
    let admins: Vec<Ask> = hubs.iter().map(|hub| Ask::new(&hub.admin_url(), &hub.operator)).collect();
    // Some in segments, some in the lanes of both hubs.
    push(&writers[0], "web", "secret", LINES).await;
    push(&writers[0], "db", "plain", LINES).await;
    absorb(&admins[0]).await;
    let (lines, bytes, _) = stored(&admins[0]).await;
    assert_eq!(lines, 2 * LINES);
    push(&writers[1], "web", "secret", 10).await;
    push(&writers[0], "web", "plain", 10).await;
    for reader in &readers {
        reader.until_count(r#"{app=~"web|db"}"#, 2 * LINES + 20, Duration::from_secs(30)).await;
    }
    let asked = [("query", r#"{app="web"} |= "secret""#), ("start", "0")];
    assert_eq!(operators[1].send("POST", "/loki/api/v1/delete", &asked).await, (204, String::new()));
    // The very first question on either hub.
    for reader in &readers {
        assert_eq!(reader.count(r#"{app="web"}"#).await, 10, "what was deleted is gone, the rest of the stream is there");
        assert_eq!(reader.count(r#"{app="db"}"#).await, LINES);
    }
    // A line that comes later is a new one, on any hub.
    push(&writers[0], "web", "secret", 3).await;
    for reader in &readers {
        reader.until_count(r#"{app="web"} |= "secret""#, 3, Duration::from_secs(30)).await;
    }
    // Carried out by the hub that did not take it in.
    absorb(&admins[0]).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_done = |listed: &Value| listed[0]["status"] == "processed";
    while !is_done(&readers[1].json("/loki/api/v1/delete", &[]).await) {
        assert!(Instant::now() < deadline, "{}", readers[1].json("/loki/api/v1/delete", &[]).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (left, left_bytes, segments) = stored(&admins[0]).await;
    eprintln!("{lines} lines in {bytes} bytes before the delete, {left} in {left_bytes} of {segments} segments after it");
    assert_eq!(left, LINES + 13, "lines of segments");
    assert!(left_bytes < bytes, "{left_bytes} of {bytes} bytes are left");
    let taken = readers[0].json("/loki/api/v1/delete", &[]).await[0]["deleted_lines"].as_u64();
    assert_eq!(taken, Some(LINES + 10));
    for hub in &mut hubs {
        hub.kill();
        hub.resume();
    }
    for reader in &readers {
        reader.until_count(r#"{app=~"web|db"}"#, LINES + 13, Duration::from_secs(60)).await;
        assert_eq!(reader.count(r#"{app=~"web|db"}"#).await, LINES + 13, "a restart brings nothing back");
    }
}
