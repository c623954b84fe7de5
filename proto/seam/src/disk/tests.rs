#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the real disk is looked at from beside it")]

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

#[test]
fn row_13_a_link_swapped_between_check_and_open_leads_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, secret) = (dir.path().join("logs"), dir.path().join("secret"));
    let disk = RealDisk::new();
    disk.make_dirs(&logs).unwrap();
    disk.write_all(&secret, b"secret").unwrap();
    let path = logs.join("a.log");
    let (swapped, stop) = (path.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let stopped = std::sync::Arc::clone(&stop);
    let swapping = std::thread::spawn(move || {
        let (plain, link) = (swapped.with_extension("plain"), swapped.with_extension("link"));
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            std::fs::write(&plain, b"fine").unwrap();
            std::fs::rename(&plain, &swapped).unwrap();
            std::os::unix::fs::symlink(&secret, &link).unwrap();
            std::fs::rename(&link, &swapped).unwrap();
        }
    });
    let (mut fine, mut refused) = (0, 0);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while (fine < 100 || refused < 100) && std::time::Instant::now() < until {
        match disk.open_beneath(&path, std::slice::from_ref(&logs)) {
            Ok(file) => {
                let mut bytes = [0; 6];
                let got = file.read_at(&mut bytes, 0).unwrap();
                assert_ne!(&bytes[..got], b"secret");
                fine += 1;
            }
            Err(_) => refused += 1,
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    swapping.join().unwrap();
    assert!(fine > 0 && refused > 0, "{fine} opened, {refused} refused: both were met");
}

#[test]
fn what_happens_in_a_watched_directory_is_told() {
    use super::watch::Noticed;
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::new();
    let (logs, file) = (dir.path().join("logs"), dir.path().join("logs/a.log"));
    disk.make_dirs(&logs).unwrap();
    let mut watch = match disk.watch().and_then(|mut watch| watch.add(&logs).map(|()| watch)) {
        Ok(watch) => watch,
        // A filesystem that other machines may write to is refused, and says so.
        Err(refused) => return assert_eq!(refused.kind(), io::ErrorKind::Unsupported),
    };
    watch.add(&logs).unwrap();
    assert_eq!(watch.take().unwrap(), []);
    disk.open(&file, OpenHow::Append).unwrap().append(b"x").unwrap();
    assert_eq!(watch.take().unwrap(), [Noticed::Written(file.clone()), Noticed::Named(file.clone())]);
    disk.open(&file, OpenHow::Append).unwrap().append(b"x").unwrap();
    assert_eq!(watch.take().unwrap(), [Noticed::Written(file.clone())]);
    disk.rename(&file, &logs.join("b.log")).unwrap();
    assert_eq!(watch.take().unwrap(), [Noticed::Named(file), Noticed::Named(logs.join("b.log"))]);
    // More than the queue holds.
    let queue = disk.read_all(Path::new("/proc/sys/fs/inotify/max_queued_events"), 32).unwrap();
    let queue: usize = String::from_utf8(queue).unwrap().trim().parse().unwrap();
    if queue <= 100_000 {
        let mut files: Vec<_> = ["c", "d"].iter().map(|name| disk.open(&logs.join(name), OpenHow::Append).unwrap()).collect();
        for at in 0..queue + 100 {
            files[at % 2].append(b"x").unwrap();
        }
        assert!(watch.take().unwrap().contains(&Noticed::Overflowed));
    }
    std::fs::remove_dir_all(&logs).unwrap();
    assert!(watch.take().unwrap().contains(&Noticed::Ended(logs)));
    assert!(watch.add(dir.path().join("absent").as_path()).is_err());
    assert_eq!(disk.watch().unwrap().add(Path::new("/proc/self")).unwrap_err().kind(), io::ErrorKind::Unsupported);
}
