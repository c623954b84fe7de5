use proto_seam::disk::real::RealDisk;

use super::*;

#[test]
fn what_was_written_is_read_and_damage_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, path) = (RealDisk::new(), dir.path().join("discovery/kubernetes-1"));
    assert_eq!(read(&disk, &path).unwrap(), None);
    let group =
        |source: &str| Arc::new(TargetGroup { source: source.to_owned(), labels: vec![Labels::from_pairs([("a", "1"), ("b", "ä\"\n")]), Labels::empty()] });
    let remembered = vec![Remembered { group: group("pod/n/p/u"), gone_ns: None }, Remembered { group: group("pod/n/q/v"), gone_ns: Some(5) }];
    write(&disk, &path, &remembered).unwrap();
    assert_eq!(read(&disk, &path).unwrap(), Some(remembered.clone()));
    let bytes = disk.read_all(&path, BYTES_MAX).unwrap();
    for at in [0, 7, 8, 39, 40, bytes.len() - 1] {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        disk.write_all(&path, &bad).unwrap();
        assert_eq!(read(&disk, &path).unwrap_err().kind(), io::ErrorKind::InvalidData, "byte {at}");
    }
    for len in [0, 8, 20, 40, bytes.len() - 1] {
        disk.write_all(&path, &bytes[..len]).unwrap();
        assert_eq!(read(&disk, &path).unwrap_err().kind(), io::ErrorKind::InvalidData, "{len} bytes");
    }
    write(&disk, &path, &remembered[..1]).unwrap();
    assert_eq!(read(&disk, &path).unwrap().unwrap().len(), 1);
}
