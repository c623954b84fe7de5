use super::*;
use crate::status::JobReport;

fn path(name: &str, size: u64, read: u64) -> PathReport {
    PathReport { path: name.to_owned(), size, read, lines: read / 10, behind_s: 1.5 }
}

#[test]
fn paths_and_jobs_have_their_series_with_escaped_names() {
    let snapshot = Snapshot {
        paths: vec![path("/a\"b\\c\nd", 100, 40)],
        jobs: vec![JobReport { job: "j".into(), files: 2, lines: 7, ..JobReport::default() }],
        ..Snapshot::default()
    };
    let receiver = ReceiverReport {
        job: "s".into(),
        kind: "syslog".into(),
        addresses: Vec::new(),
        records: 3,
        bytes: 9,
        last_entry_s: None,
        errors: Vec::new(),
        last_error: String::new(),
        last_error_s: None,
    };
    let text = text(&snapshot, &[receiver]);
    for line in [
        r#"promtail_file_bytes_total{path="/a\"b\\c\nd"} 100"#,
        r#"promtail_read_bytes_total{path="/a\"b\\c\nd"} 40"#,
        r#"promtail_read_lines_total{path="/a\"b\\c\nd"} 4"#,
        r#"tributary_edge_file_seconds_behind{path="/a\"b\\c\nd"} 1.5"#,
        r#"tributary_edge_job_files{job_name="j"} 2"#,
        r#"tributary_edge_job_lines_total{job_name="j"} 7"#,
        r#"tributary_edge_job_lines_total{job_name="s"} 3"#,
        "# TYPE promtail_read_lines_total counter",
        "# TYPE promtail_read_bytes_total gauge",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("last_entry_seconds{"), "nothing came yet");
}

#[test]
fn paths_beyond_the_bound_are_one() {
    let paths: Vec<PathReport> = (0..PATHS_MAX + 3).map(|at| path(&format!("/p{at:06}"), 10, 10)).collect();
    let text = text(&Snapshot { paths, ..Snapshot::default() }, &[]);
    assert_eq!(text.lines().filter(|line| line.starts_with("promtail_file_bytes_total{")).count(), PATHS_MAX + 1);
    assert!(text.contains("promtail_file_bytes_total{path=\"_other\"} 30\n"), "{}", &text[text.len() - 400..]);
}

#[test]
fn a_stage_cannot_take_a_name_of_ours() {
    let ours = "# HELP a x\n# TYPE a gauge\na 1\n";
    let stages = "# HELP a theirs\n# TYPE a counter\na{x=\"1\"} 2\n# HELP b theirs\n# TYPE b counter\nb 3\n";
    assert_eq!(without_repeats(ours, stages), "# HELP b theirs\n# TYPE b counter\nb 3\n");
    assert_eq!(without_repeats("", stages), stages);
}
