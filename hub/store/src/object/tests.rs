use proto_model::LaneId;

use super::*;
use crate::rig::{Fate, Rig, world};

fn key() -> Key {
    Key::lane_object(LaneId(1), 1)
}

fn objects(rig: &Arc<Rig>, prefix: &str) -> Objects {
    let store: Arc<dyn ObjectStore> = Arc::<Rig>::clone(rig);
    Objects::new(store, Path::from(prefix), world(1), StoreMetrics::default())
}

#[tokio::test(start_paused = true)]
async fn a_create_is_sent_once_whatever_happens() {
    for (fate, stands) in [(Fate::Refused, 0), (Fate::AnswerLost, 1), (Fate::Late, 0)] {
        let rig = Rig::new();
        let objects = objects(&rig, "");
        rig.tell("put", "", [fate]);
        let fault = objects.create(&key(), vec!["a".into(), "b".into()]).await.unwrap_err();
        assert!(matches!(fault, StoreFault::Unreachable { action: "create", .. }), "{fault}");
        assert_eq!((rig.seen("put", "").len(), rig.names("").await.len()), (1, stands));
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_of_what_stands_says_so_and_a_slow_one_ends() {
    let rig = Rig::new();
    let objects = objects(&rig, "");
    assert_eq!(objects.create(&key(), vec!["a".into()]).await.unwrap(), Create::Created);
    assert_eq!(objects.create(&key(), vec!["b".into()]).await.unwrap(), Create::Exists);
    assert_eq!(rig.read(key().as_str()).await, "a");
    rig.tell("put", "", [Fate::Slow(Duration::from_secs(3_600))]);
    let began = Instant::now();
    assert!(objects.create(&key(), vec!["c".into()]).await.is_err());
    assert_eq!(began.elapsed(), LARGE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn reads_are_tried_again_a_bounded_number_of_times() {
    let rig = Rig::new();
    let objects = objects(&rig, "");
    rig.write(key().as_str(), "0123456789").await;
    rig.tell("get", "", [Fate::Refused, Fate::AnswerLost, Fate::Slow(Duration::from_secs(60))]);
    assert_eq!(objects.get(&key(), Some(2..5), Size::Small).await.unwrap().unwrap(), "234");
    assert_eq!(rig.seen("get", "").len(), 4);
    rig.refuse_all("get", "");
    rig.forget_seen();
    assert!(objects.get(&key(), None, Size::Small).await.is_err());
    assert_eq!(rig.seen("get", "").len(), READ_TRIES as usize);
    rig.refuse_all("list", "");
    assert!(objects.list(&Key::tokens()).await.is_err());
    assert_eq!(rig.seen("list", "").len(), READ_TRIES as usize);
}

#[tokio::test(start_paused = true)]
async fn absent_empty_and_short_objects_are_told_apart() {
    let rig = Rig::new();
    let objects = objects(&rig, "");
    assert_eq!(objects.get(&key(), Some(0..9), Size::Small).await.unwrap(), None);
    rig.write(key().as_str(), "").await;
    assert_eq!(objects.get(&key(), Some(0..9), Size::Small).await.unwrap().unwrap(), "");
    rig.write(key().as_str(), "abc").await;
    assert_eq!(objects.get(&key(), Some(0..9), Size::Small).await.unwrap().unwrap(), "abc");
    assert_eq!(objects.get(&key(), Some(5..9), Size::Small).await.unwrap().unwrap(), "");
}

#[tokio::test(start_paused = true)]
async fn names_lie_below_the_prefix_and_listings_give_only_what_is_directly_there() {
    let rig = Rig::new();
    let objects = objects(&rig, "a b/c");
    objects.create(&Key::tokens(), vec!["x".into()]).await.unwrap();
    assert_eq!(rig.names("").await, ["a b/c/control/tokens"]);
    for name in ["z", "y", "y2/deeper"] {
        rig.write(&format!("a b/c/control/tokens/{name}"), "").await;
    }
    rig.write("a b/c/control/tokensandmore", "").await;
    rig.write("control/tokens/outside", "").await;
    assert_eq!(objects.list(&Key::tokens()).await.unwrap(), ["y", "z"]);
    objects.delete(&Key::tokens()).await.unwrap();
    objects.delete(&Key::tokens()).await.unwrap();
    assert!(objects.list(&Key::snapshots(LaneId(3))).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_permission_is_not_tried_again_and_its_text_is_one_bounded_line() {
    let long = "<Error>\n  <Code>AccessDenied</Code>\n</Error>".repeat(50);
    let error = object_store::Error::PermissionDenied { path: "p".to_owned(), source: long.into() };
    let Answer::Fault(StoreFault::Denied { reason, .. }) = Answer::of("get", &key(), &error) else { unreachable!() };
    assert!(reason.len() < 340 && !reason.contains('\n') && reason.contains("AccessDenied"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_answered_absent_means_that_there_is_no_bucket() {
    let rig = Rig::new();
    let objects = objects(&rig, "");
    rig.tell("put", "", [Fate::Absent, Fate::Absent]);
    for fault in [objects.create(&key(), vec!["a".into()]).await.unwrap_err(), objects.write(&key(), "a".into()).await.unwrap_err()] {
        assert!(fault.to_string().contains("bucket"), "{fault}");
        assert_eq!(fault.remedy(), proto_model::Remedy::Fix);
    }
}
