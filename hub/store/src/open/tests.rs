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
