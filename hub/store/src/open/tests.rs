use futures::StreamExt as _;
use object_store::{ObjectStoreExt as _, PutMode};

use super::*;
use crate::rig::world;
use crate::store::{Store, StoreSettings};

#[tokio::test]
async fn a_folder_is_made_and_keeps_create_if_absent() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}/made/for it", dir.path().display());
    let world = world(1);
    let (objects, prefix) = open_objects(&url, &S3Settings::default(), &world).unwrap();
    let store = Store::open(StoreSettings::new(Arc::clone(&objects), prefix.clone()), world.clone()).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    let edge = crate::rig::Edge::new(proto_model::ProducerId { lane: writer.lane(), unique: 1 });
    writer.put(crate::rig::draft("acme", vec![edge.open()], Vec::new())).await.unwrap();
    let name = Path::from(format!("lanes/{}/log/00000000000000000001", writer.lane()));
    assert!(objects.put_opts(&name, "x".into(), PutMode::Create.into()).await.is_err());
    assert!(objects.get(&name).await.unwrap().bytes().await.unwrap().starts_with(b"TRIBLANE"));
    // The same after all of memory is gone.
    drop((writer, store));
    let (objects, _) = open_objects(&url, &S3Settings::default(), &world).unwrap();
    let again = Store::open(StoreSettings::new(Arc::clone(&objects), prefix), world).await.unwrap();
    assert_eq!(again.lanes()[0].head, 1);
    let names: Vec<_> = objects.list(None).collect().await;
    assert_eq!(names.len(), 3, "genesis, number 1, registration");
}

#[test]
fn the_folder_store_syncs_what_it_writes() {
    let dir = tempfile::tempdir().unwrap();
    let store = folder(dir.path(), &tokio_world()).unwrap();
    assert!(format!("{store:?}").contains("fsync: true"));
}

fn tokio_world() -> World {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    world(1)
}

#[test]
fn urls_and_settings_that_lead_nowhere_are_refused_with_a_remedy() {
    let world = tokio_world();
    let given = |endpoint: &str, id: &str, secret: &str| S3Settings {
        endpoint: endpoint.to_owned(),
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned(),
        ..S3Settings::default()
    };
    for (url, s3, part) in [
        ("", S3Settings::default(), "neither"),
        ("/var/lib/tributary", S3Settings::default(), "neither"),
        ("http://x", S3Settings::default(), "neither"),
        ("file://relative", S3Settings::default(), "absolute"),
        ("file:///dev/null/below", S3Settings::default(), "/dev/null/below"),
        ("s3://", S3Settings::default(), "bucket"),
        ("s3:///prefix", S3Settings::default(), "bucket"),
        ("s3://b/a//b", S3Settings::default(), "a//b"),
        ("s3://b", given("http://127.0.0.1:9000", "a", "topsecret"), "plain HTTP"),
        ("s3://b", given("https://127.0.0.1:9000", "a", ""), "empty"),
        ("s3://b", given("https://127.0.0.1:9000", "", "topsecret"), "empty"),
    ] {
        let fault = open_objects(url, &s3, &world).unwrap_err();
        assert!(matches!(fault, StoreFault::Settings { .. }), "{url}: {fault}");
        assert!(fault.to_string().contains(part) && !fault.to_string().contains("topsecret"), "{url}: {fault}");
    }
    assert!(!format!("{:?}", given("", "a", "topsecret")).contains("topsecret"));
}

#[test]
fn a_bucket_and_its_prefix_are_taken_apart() {
    let s3 = S3Settings {
        endpoint: "http://127.0.0.1:9000/".to_owned(),
        access_key_id: "a".to_owned(),
        secret_access_key: "b".to_owned(),
        allow_http: true,
        ..S3Settings::default()
    };
    for (url, prefix) in [("s3://bucket", ""), ("s3://bucket/", ""), ("s3://bucket/a/b", "a/b"), ("s3://bucket/a/b/", "a/b")] {
        let (store, found) = open_objects(url, &s3, &tokio_world()).unwrap();
        assert_eq!((store.to_string().as_str(), found.as_ref()), ("AmazonS3(bucket)", prefix));
    }
}

/// Everything that is asked of a store, on a real one. Run by hand or by a stage that starts one:
/// `TRIBUTARY_TEST_S3=http://127.0.0.1:9000 TRIBUTARY_TEST_S3_BUCKET=b AWS_ACCESS_KEY_ID=a
/// AWS_SECRET_ACCESS_KEY=s cargo test -p hub-store -- --ignored real_bucket`
#[tokio::test]
#[ignore = "needs a MinIO named by TRIBUTARY_TEST_S3"]
async fn a_real_bucket_gives_what_the_lane_rules_ask_for() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("set {name}"));
    let s3 = S3Settings {
        endpoint: variable("TRIBUTARY_TEST_S3"),
        access_key_id: variable("AWS_ACCESS_KEY_ID"),
        secret_access_key: variable("AWS_SECRET_ACCESS_KEY"),
        allow_http: true,
        ..S3Settings::default()
    };
    let world = World::real();
    let url = format!("s3://{}/run-{:x}", variable("TRIBUTARY_TEST_S3_BUCKET"), world.entropy.next_u64());
    let open = || async {
        let (objects, prefix) = open_objects(&url, &s3, &world).unwrap();
        Store::open(StoreSettings::new(objects, prefix), world.clone()).await.unwrap()
    };
    let (one, two) = (open().await, open().await);
    let (mut first, mut second) = (one.writer().await.unwrap(), two.writer().await.unwrap());
    assert_eq!(first.lane(), second.lane());
    let mut edge = crate::rig::Edge::new(proto_model::ProducerId { lane: first.lane(), unique: 1 });
    first.put(crate::rig::draft("acme", vec![edge.open()], Vec::new())).await.unwrap();
    second.follow().await.unwrap();
    let (advance, mut batches) = edge.next(1);
    batches[0].body = bytes::Bytes::from((0..9_000_000_u32).map(|at| at.to_le_bytes()[at as usize % 4]).collect::<Vec<_>>());
    let pending = crate::rig::draft("acme", vec![advance], batches.clone());
    first.put(pending.clone()).await.unwrap();
    let refused = second.put(pending).await.unwrap_err();
    assert!(matches!(&refused, crate::PutFault::NotWritten(cause) if cause.is_conflict()), "{refused}");
    second.follow().await.unwrap();
    assert_eq!(second.fold().head(), 2);
    let shown = crate::rig::shown(&two, "acme").await;
    assert_eq!(shown.iter().map(|(_, body)| body.clone()).collect::<Vec<_>>(), [batches[0].body.clone()]);
    for _ in 0..300 {
        let (advance, batches) = edge.next(1);
        second.put(crate::rig::draft("acme", vec![advance], batches)).await.unwrap();
    }
    two.keep_snapshots().await.unwrap();
    assert_eq!(open().await.lanes()[0].snapshot, 302);
    let id = proto_model::TokenId::new("t").unwrap();
    one.tokens().create(&id, "{}".into()).await.unwrap();
    two.tokens().revoke(&id).await.unwrap();
    assert!(one.tokens().list().await.unwrap()[0].revoked);
}
