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
