//! Pages of the program are given back: alone in its process, so that nothing else maps any.

use std::path::Path;

use proto_boot::memory;
use proto_seam::Disk;
use proto_seam::disk::real::RealDisk;

/// Resident pages of the program's file, in KiB.
fn mapped_kib() -> u64 {
    let disk = RealDisk::new();
    let text = |path: &str| String::from_utf8(disk.read_all(Path::new(path), 4 << 20).expect("procfs is there")).expect("procfs is text");
    let (maps, own) = (text("/proc/self/smaps"), std::env::current_exe().expect("a program has a path"));
    let own = own.to_str().expect("its path is text");
    let (mut is_own, mut kib) = (false, 0);
    for line in maps.lines() {
        if let Some(rest) = line.strip_prefix("Rss:").filter(|_| is_own) {
            kib += rest.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("it is a number");
        } else if line.contains(" r--p ") || line.contains(" r-xp ") || line.contains(" rw-p ") {
            is_own = line.ends_with(own) && !line.contains(" rw-p ");
        }
    }
    kib
}

#[test]
fn what_ran_once_is_given_back() {
    let before = mapped_kib();
    memory::give_back_program();
    let after = mapped_kib();
    assert!(after < before, "{before} KiB before, {after} KiB after");
}
