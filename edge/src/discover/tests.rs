use proto_seam::disk::real::RealDisk;

use super::*;

#[test]
fn globs_find_what_they_name() {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::new();
    for path in ["a/x.log", "a/y.txt", "b/c/z.log", "top.log"] {
        let path = dir.path().join(path);
        disk.make_dirs(path.parent().unwrap()).unwrap();
        disk.write_all(&path, b"").unwrap();
    }
    let expand = |glob: &str| -> Vec<String> {
        let pattern = Pattern::new(&format!("{}/{glob}", dir.path().display())).unwrap();
        let found = pattern.expand(&disk, &mut |why| panic!("{why}"));
        found.iter().map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(expand("*.log"), ["top.log"]);
    assert_eq!(expand("*/*.log"), ["a/x.log"]);
    assert_eq!(expand("**/*.log"), ["a/x.log", "b/c/z.log", "top.log"]);
    assert_eq!(expand("a/{x.log,y.txt}"), ["a/x.log", "a/y.txt"]);
    assert_eq!(expand("top.log"), ["top.log"]);
    assert!(expand("none/*.log").is_empty());
}

#[test]
fn too_wide_or_relative_globs_are_refused() {
    for bad in ["/*", "/**", "relative/*.log", "/var/../etc/*", "", "/var/[", "/"] {
        assert!(Pattern::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_listing_serves_many_globs_and_only_fitting_directories_are_entered() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::new();
    for pod in 0..40 {
        let path = dir.path().join(format!("ns_p{pod}_uid{pod:02}/app/0.log"));
        disk.make_dirs(path.parent().unwrap()).unwrap();
        disk.write_all(&path, b"").unwrap();
    }
    let globs = ["*uid07/app/*.log", "*uid1?/app/*.log", "ns_p3*/a*/0.log", "*{uid01,uid02}/app/0.log", "*uid07/none/*.log", "*uid07/app/0.log/x.log"];
    let patterns: Vec<Pattern> = globs.iter().map(|glob| Pattern::new(&format!("{}/{glob}", dir.path().display())).unwrap()).collect();
    let troubles = AtomicUsize::new(0);
    let mut listing = Listing::new(&disk);
    let mut found = |at: usize| {
        patterns[at]
            .expand_listed(&mut listing, &mut |_| {
                troubles.fetch_add(1, Ordering::Relaxed);
            })
            .len()
    };
    assert_eq!([found(0), found(1), found(2), found(3), found(4), found(5)], [1, 10, 11, 2, 0, 0]);
    assert_eq!(troubles.load(Ordering::Relaxed), 0);
    assert!(listing.listed() < 40, "{} directories listed", listing.listed());
}
