use std::path::PathBuf;

use super::real::RealDisk;
use super::*;

#[test]
fn a_link_cannot_lead_out_of_the_roots() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, secret) = (dir.path().join("logs"), dir.path().join("secret"));
    let disk = RealDisk::new();
    disk.make_dirs(&logs).unwrap();
    disk.write_all(&secret, b"root:x").unwrap();
    disk.write_all(&logs.join("plain.log"), b"line\n").unwrap();
    std::os::unix::fs::symlink(&secret, logs.join("evil.log")).unwrap();
    std::os::unix::fs::symlink(logs.join("plain.log"), logs.join("inside.log")).unwrap();
    let roots = [logs.clone()];
    assert_eq!(disk.open_beneath(&logs.join("evil.log"), &roots).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert!(disk.open_beneath(&logs.join("inside.log"), &roots).is_ok());
    assert_eq!(disk.open_beneath(&logs, &roots).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert!(disk.open_beneath(&PathBuf::from("/proc/1/environ"), &roots).is_err());
}

#[test]
fn one_lock_one_holder() {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::new();
    let held = disk.lock(&dir.path().join("LOCK")).unwrap();
    assert_eq!(disk.lock(&dir.path().join("LOCK")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(held);
    assert!(disk.lock(&dir.path().join("LOCK")).is_ok());
}

#[test]
fn write_all_replaces_and_read_all_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, path) = (RealDisk::new(), dir.path().join("f"));
    disk.write_all(&path, b"one").unwrap();
    disk.write_all(&path, b"two").unwrap();
    assert_eq!(disk.read_all(&path, 3).unwrap(), b"two");
    assert!(disk.read_all(&path, 2).is_err());
}
