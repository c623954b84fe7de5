use super::*;

/// Bytes of files that are mapped and present.
#[expect(clippy::disallowed_methods, reason = "what the kernel says of this process is no file of a world")]
fn of_files() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssFile")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn what_is_not_run_any_more_does_not_count_and_what_is_run_comes_back() {
    // Other tests run code meanwhile.
    let fell = (0..10).any(|round| {
        let text = serde_json::json!({"round": round, "list": [1, 2.5, null]}).to_string();
        let before = of_files();
        forget_code();
        let after = of_files();
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["list"][1], 2.5);
        after + (512 << 10) < before
    });
    assert!(fell, "the program's pages count as before");
}
