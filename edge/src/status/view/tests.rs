use serde_json::json;

use super::*;

fn status() -> Value {
    json!({
        "session": "quic", "producer": "4-9", "epoch": 3, "sequence": 12, "acked": 10, "wal_bytes": 1_572_864, "wal_max_bytes": 10_737_418_240_u64,
        "oldest_unacked_s": 75, "unacked_lines": 1234, "unacked_bytes": 2048, "lost_lines": 7, "live_latency_ms": 120, "cert_not_after": "2026-12-24T00:00:00Z",
        "trouble": "", "version": "0.1.0", "stalled": false, "lines_read": 1_000_000, "lines_acked": 998_766, "bytes_behind": 5000, "files_behind": 2,
        "tracks": [{"track": 1, "state": "open", "sequence": 12, "acked": 10, "backlog_bytes": 2048, "oldest_s": 75}],
        "losses": [{"reason": "vanished", "times": 1, "lines": 0, "bytes": 4096}, {"reason": "wal_full", "times": 2, "lines": 7, "bytes": 0}],
        "jobs": [{"job": "pods", "files": 12, "files_behind": 2, "bytes_behind": 5000, "behind_s": 4.5, "lines": 999_000, "bytes": 123_456_789}],
        "receivers": [{"job": "sys", "kind": "syslog", "addresses": ["0.0.0.0:514"], "records": 1000, "last_entry_s": 3, "errors": [["unreadable", 2]]}],
        "clients": [{"client": "loki", "host": "loki:3100", "lag_bytes": 9, "lag_s": 61, "sent_lines": 1000, "lost_lines": 0, "trouble": "it answers 503"}],
    })
}

#[test]
fn a_wide_terminal_has_it_all_in_columns() {
    let text = view(&status(), None, Look { width: 120, colour: false });
    for line in [
        "hub       session over quic; producer 4-9, epoch 3; certificate until 2026-12-24T00:00:00Z",
        "lines     1,000,000 read, 998,766 acknowledged; the newest took 120 ms",
        "WAL       1.5 MiB of 10.0 GiB (0 %); 1,234 lines (2.0 KiB) wait, the oldest for 1 min 15 s",
        "behind    4.9 KiB of 2 files are not read yet",
        "losses    times  lines    bytes",
        "vanished      1      ?  4.0 KiB",
        "wal_full      2      7        ?",
        "job   files   behind  waited    lines     read",
        "pods     12  4.9 KiB     4 s  999,000  118 MiB",
        "receiver  kind    address      records     last  errors",
        "sys       syslog  0.0.0.0:514    1,000  3 s ago  unreadable 2",
        "    1  open      10  12  2.0 KiB  1 min 15 s",
        "client  host       waits     oldest   sent  lost  trouble",
        "loki    loki:3100    9 B  1 min 1 s  1,000     0  it answers 503",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours were asked for");
}

#[test]
fn a_narrow_terminal_has_no_line_that_is_too_long() {
    for width in [20, 24, 31, 40, 60, 79] {
        let text = view(&status(), None, Look { width, colour: false });
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line:?} in\n{text}");
        }
        for word in ["pods", "999,000", "vanished", "syslog", "loki", "1,234"] {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
    }
}

#[test]
fn what_is_bad_is_red_and_what_comes_from_outside_cannot_be() {
    let mut bad = status();
    (bad["session"], bad["trouble"], bad["stalled"]) = (json!("none"), json!("a\u{1b}[2Jb\nc"), json!(true));
    let text = view(&bad, None, Look { width: 200, colour: true });
    assert!(text.contains("\u{1b}[31mno session: a?[2Jb?c; producer"), "{text:?}");
    assert!(text.contains("reading waits for room\u{1b}[0m"), "{text:?}");
    assert!(text.contains("losses "), "{text}");
}

#[test]
fn rates_come_from_two_looks_and_an_empty_object_is_no_fault() {
    let mut before = status();
    (before["lines_read"], before["lines_acked"]) = (json!(999_000), json!(998_766));
    let text = view(&status(), Some((&before, Duration::from_secs(2))), Look { width: 120, colour: false });
    assert!(text.contains("(500 and 0 a second)"), "{text}");
    let text = view(&json!({}), None, Look { width: 80, colour: false });
    assert!(text.contains("no session; no certificate") && text.contains("losses    none since the start"), "{text}");
    let odd =
        view(&json!({"jobs": [1, null, {"job": 7}], "receivers": [{"errors": [1]}], "clients": [[]], "losses": "x"}), None, Look { width: 0, colour: false });
    assert!(odd.contains("losses"), "{odd}");
}

#[test]
fn numbers_have_their_units() {
    assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!([0, 999, 1000, 1_048_576, 150 << 20, u64::MAX].map(bytes), ["0 B", "999 B", "1.0 KiB", "1.0 MiB", "150 MiB", "16.0 EiB"]);
    let spans = [0, 1500, 59_999, 60_000, 3_660_000, 90_000_000].map(|ms| age(Duration::from_millis(ms)));
    assert_eq!(spans, ["0 s", "1 s", "59 s", "1 min 0 s", "1 h 1 min", "1 d 1 h"]);
    assert_eq!(age(Duration::from_millis(250)), "250 ms");
}

#[test]
fn an_edge_without_a_hub_is_not_reproached_with_it() {
    let mut status = status();
    for (name, value) in
        [("hub", json!(false)), ("session", json!("none")), ("producer", json!(null)), ("cert_not_after", json!("")), ("unacked_lines", json!(0))]
    {
        status[name] = value;
    }
    let text = view(&status, None, Look { width: 120, colour: true });
    for line in ["hub       none; lines go to the clients", "lines     1,000,000 read\n", "WAL       1.5 MiB of 10.0 GiB (0 %); all is sent"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("no session") && !text.contains("acknowledged"), "{text}");
}
