use super::*;

#[tokio::test]
async fn an_earlier_demo_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("demo");
    let first = Place::claim(&at).await.unwrap();
    fs::create_dir_all(first.join("hub/store")).await.unwrap();
    fs::write(first.join("hub/store/object"), "x").await.unwrap();
    drop(first);
    let second = Place::claim(&at).await.unwrap();
    assert!(!fs::try_exists(second.join("hub")).await.unwrap());
}

#[tokio::test]
async fn a_folder_of_others_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter"), "dear").await.unwrap();
    let fault = Place::claim(dir.path()).await.unwrap_err();
    assert_eq!(fault.exit_code(), 3);
    assert_eq!(fs::read(dir.path().join("letter")).await.unwrap(), b"dear");
    assert!(!fs::try_exists(dir.path().join(MARKER)).await.unwrap());
}

#[tokio::test]
async fn a_running_demo_keeps_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Place::claim(dir.path()).await.unwrap();
    assert_eq!(Place::claim(dir.path()).await.unwrap_err().exit_code(), 3);
}
