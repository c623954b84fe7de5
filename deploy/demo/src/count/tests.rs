use super::*;

#[test]
fn pieces_are_no_lines_and_times_are_kept() {
    let mut tally = Tally::default();
    tally.add(b"1970-01-01T00:00:05Z stdout P one \n1970-01-01T00:00:07Z stdout F two\nplain\n\n1970-03-01T00:00:00.5Z stderr F:x late\n", 10, 20);
    assert_eq!(tally.lines, 4);
    assert_eq!(tally.windows[&0], Times { first: 10, last: 7_000_000_000 });
    let late = 59 * 86_400 * 1_000_000_000 + 500_000_000;
    assert_eq!(tally.windows[&1], Times { first: late, last: late });
}

#[tokio::test]
async fn lines_of_others_are_counted_once_they_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let mut counter = Counter::new(dir.path().to_path_buf());
    fs::write(&path, "one\ntw").await.unwrap();
    fs::write(dir.path().join("a.txt"), "no\n").await.unwrap();
    counter.look().await.unwrap();
    assert_eq!(counter.tally.lines, 1);
    fs::write(&path, "one\ntwo\n").await.unwrap();
    counter.look().await.unwrap();
    counter.look().await.unwrap();
    assert_eq!(counter.tally.lines, 2);
    fs::rename(&path, dir.path().join("a.1")).await.unwrap();
    fs::write(&path, "three\n").await.unwrap();
    counter.look().await.unwrap();
    assert_eq!(counter.tally.lines, 3);
}
