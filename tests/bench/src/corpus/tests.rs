//! The generator: the same seed gives the same bytes, and the counts are those of the files.

use super::*;

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .flat_map(|pod| fs::read_dir(pod.unwrap().path()).unwrap().map(|container| container.unwrap().path().join("0.log")).collect::<Vec<_>>())
        .collect();
    found.sort();
    found
}

#[test]
fn counts_are_those_of_the_files_and_a_seed_repeats() {
    let dir = std::env::temp_dir().join(format!("tributary-bench-test-{}", std::process::id()));
    let wanted = Wanted { bytes: 4 << 20, seed: 7, begin_ns: 1_700_000_000_000_000_000 };
    let corpus = write(&dir.join("a"), wanted).unwrap();
    write(&dir.join("b"), wanted).unwrap();
    let (mut lines, mut bytes, mut needles, mut absent) = (0, 0, 0, 0);
    for (one, two) in files(&dir.join("a")).iter().zip(files(&dir.join("b"))) {
        assert_eq!(fs::read(one).unwrap(), fs::read(&two).unwrap(), "{}", two.display());
        let text = String::from_utf8(messages(one).unwrap()).unwrap();
        lines += text.lines().count() as u64;
        bytes += text.lines().map(|line| line.len() as u64).sum::<u64>();
        needles += text.matches(NEEDLE).count() as u64;
        absent += text.matches(ABSENT).count();
        let raw = fs::read_to_string(one).unwrap();
        let times: Vec<&str> = raw.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert!(times.is_sorted(), "{}", one.display());
        assert!(times.iter().all(|time| time.len() == "2026-11-22T00:00:00.000000000Z".len()));
    }
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!((lines, bytes, needles, absent), (corpus.counts.lines, corpus.counts.bytes, corpus.counts.needles, 0));
    assert!(needles >= 4 && corpus.counts.json_errors > 0 && corpus.counts.timeouts > 0);
    assert!((4 << 20..5 << 20).contains(&bytes), "{bytes}");
}

#[test]
fn timeouts_are_seen() {
    for (message, is) in
        [("a timeout", true), ("timed out", true), ("time out", true), ("times out", false), ("", false), ("timed  out", false), ("time", false)]
    {
        assert_eq!(is_timeout(message), is, "{message}");
    }
}
