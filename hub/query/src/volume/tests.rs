//! Volumes over sections: groups, buckets, limits.

use proto_model::{TimeRange, Timestamp};

use super::{AggregateBy, Volume, VolumeRequest};
use crate::budget::Limits;
use crate::engine::Engine;
use crate::rig::{engine, grant, line};

const S: i64 = 1_000_000_000;

async fn lines() -> Engine {
    engine(&[vec![line("a", S, "12345"), line("a", 2 * S, "12345"), line("b", S, "1")], vec![line("b", 11 * S, "12345678"), line("c", 25 * S, "123")]]).await
}

fn request(selector: &str, step_ns: i64, targets: &[&str], by: AggregateBy, limit: i64) -> VolumeRequest {
    let matchers = if selector == "{}" { Vec::new() } else { hub_logql::parse_selector(selector).unwrap() };
    let targets: Vec<String> = targets.iter().map(|name| (*name).to_owned()).collect();
    VolumeRequest::new(&matchers, TimeRange { start: Timestamp(S), end: Timestamp(30 * S) }, step_ns, &targets, by, limit).unwrap()
}

async fn volumes(engine: &Engine, request: &VolumeRequest) -> Vec<String> {
    let (found, _) = engine.volumes(&[grant("alpha")], request, &Limits::default()).await.unwrap();
    let shown = |Volume { labels, points }: Volume| {
        let names: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let points: Vec<String> = points.iter().map(|(at, bytes)| format!("{}:{bytes}", at.nanos() / 1_000_000)).collect();
        format!("{} {}", names.join(","), points.join(" "))
    };
    found.into_iter().map(shown).collect()
}

#[tokio::test]
async fn series_are_grouped_by_the_labels_of_the_selector() {
    let engine = lines().await;
    assert_eq!(volumes(&engine, &request("{app=~`.+`}", 0, &[], AggregateBy::Series, 100)).await, ["app=a 30000:10", "app=b 30000:9", "app=c 30000:3"]);
    assert_eq!(volumes(&engine, &request("{app=~`.+`}", 0, &[], AggregateBy::Series, 1)).await, ["app=a 30000:10"]);
    assert_eq!(volumes(&engine, &request("{env=\"test\"}", 0, &[], AggregateBy::Series, 100)).await, ["env=test 30000:22"]);
    assert_eq!(volumes(&engine, &request("{env=\"test\"}", 0, &["app"], AggregateBy::Series, 2)).await, ["app=a 30000:10", "app=b 30000:9"]);
    assert!(volumes(&engine, &request("{env=\"test\"}", 0, &["nothing"], AggregateBy::Series, 2)).await.is_empty(), "all streams lack it");
    let all = volumes(&engine, &request("{}", 0, &[], AggregateBy::Series, 100)).await;
    assert_eq!(all[0], "__internal__=1,app=a,env=test 30000:10");
}

#[tokio::test]
async fn labels_count_all_their_streams() {
    let engine = lines().await;
    let request = request("{env=\"test\", app=~`a|b`}", 0, &[], AggregateBy::Labels, 100);
    assert_eq!(volumes(&engine, &request).await, ["app= 30000:19", "env= 30000:19"]);
}

#[tokio::test]
async fn buckets_are_aligned_and_end_a_millisecond_early() {
    let engine = lines().await;
    let request = request("{app=~`.+`}", 10 * S, &[], AggregateBy::Series, 1);
    assert_eq!(volumes(&engine, &request).await, ["app=a 9999:10", "app=b 19999:8", "app=c 30000:3"], "the limit counts in each bucket");
}

#[test]
fn what_cannot_be_asked() {
    let range = TimeRange { start: Timestamp(0), end: Timestamp(100_000 * S) };
    let new = |range, step, limit| VolumeRequest::new(&[], range, step, &[], AggregateBy::Series, limit).map(|_| ()).unwrap_err().to_string();
    assert!(new(TimeRange { start: Timestamp(5), end: Timestamp(5) }, 0, 1).starts_with("end timestamp must not be before"));
    assert!(new(range, S, 1).starts_with("exceeded maximum resolution of 11,000 points"));
    assert_eq!(new(range, 0, 0), "limit must be a positive value");
    assert_eq!("x".parse::<AggregateBy>().unwrap_err().to_string(), "invalid aggregation option");
}
