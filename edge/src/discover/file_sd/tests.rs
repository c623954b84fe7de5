use proto_seam::disk::real::RealDisk;

use super::*;

fn sets(groups: &Groups) -> Vec<String> {
    groups.groups.values().flat_map(|group| &group.labels).map(ToString::to_string).collect()
}

#[test]
fn json_and_yaml_name_targets() {
    let json = br#"[{"targets": ["a:1", "b:2"], "labels": {"job": "x"}}, {"labels": {"__path__": "/l/*.log"}}]"#;
    let groups = parse(Path::new("/sd/t.json"), json).unwrap();
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[0].labels[1].to_string(), r#"{__address__="b:2", __meta_filepath="/sd/t.json", job="x"}"#);
    assert_eq!(groups[1].labels[0].to_string(), r#"{__meta_filepath="/sd/t.json", __path__="/l/*.log"}"#);
    let yaml = parse(Path::new("/sd/t.yml"), b"- targets: ['a:1']\n  labels: {job: x}\n- targets: []\n").unwrap();
    assert_eq!((yaml[0].labels.len(), yaml[1].labels.len()), (1, 0));
    assert!(parse(Path::new("/sd/t.yml"), b"").unwrap().is_empty());
    for bad in ["{}", "[{\"target\": []}]", "[{\"labels\": {\"a-b\": \"x\"}}]", "[", "[{\"targets\": [1]}]"] {
        assert!(parse(Path::new("/sd/t.json"), bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_broken_file_keeps_what_it_named_and_a_removed_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::new();
    let pattern = Pattern::new(&format!("{}/*.json", dir.path().display())).unwrap();
    let settings = FileSd { patterns: vec![pattern], refresh: LOOK_EVERY };
    let mut seen = BTreeMap::new();
    let path = dir.path().join("t.json");
    disk.write_all(&path, br#"[{"targets": ["a"], "labels": {"x": "1"}}]"#).unwrap();
    let first = look(&settings, &disk, &mut seen);
    assert_eq!(sets(&first).len(), 1);
    let again = look(&settings, &disk, &mut seen);
    assert!(same(&first.groups, &again.groups), "what did not change is the same pointer");
    disk.write_all(&path, b"[{").unwrap();
    let broken = look(&settings, &disk, &mut seen);
    assert_eq!(sets(&broken), sets(&first));
    assert!(broken.trouble.contains("t.json"), "{}", broken.trouble);
    disk.write_all(&path, br#"[{"targets": ["a", "b"], "labels": {"x": "2"}}]"#).unwrap();
    let mended = look(&settings, &disk, &mut seen);
    assert!(mended.trouble.is_empty());
    assert_eq!(sets(&mended).len(), 2);
    disk.remove(&path).unwrap();
    assert!(sets(&look(&settings, &disk, &mut seen)).is_empty());
}
