//! What is counted by path and job follows the files.

use std::path::Path;
use std::time::Duration;

use edge::metrics::series;
use proto_seam::Disk as _;
use tokio::time::sleep;

use crate::exposition::Exposition;
use crate::host::{Host, Running};

async fn look(running: &Running) -> Exposition {
    Exposition::read(&series::text(&*running.status.fresh().await, &[])).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_path_counts_on_over_a_rotation_and_goes_with_its_last_file() {
    let host = Host::new();
    host.append("a.log", "one\ntwo\n");
    host.append("b.log", "b\n");
    let running = host.start("{dir: /wal}").await;
    sleep(Duration::from_secs(2)).await;
    let a = [("path", "/logs/a.log")];
    let found = look(&running).await;
    assert_eq!((found.value("promtail_read_lines_total", &a), found.value("promtail_file_bytes_total", &a)), (Some(2.0), Some(8.0)));
    assert_eq!(found.value("promtail_read_bytes_total", &a), Some(8.0));
    assert_eq!(found.value("tributary_edge_job_files", &[("job_name", "t")]), Some(2.0));

    host.disk.rename(Path::new("/logs/a.log"), Path::new("/logs/a.log.1")).unwrap();
    host.append("a.log", "three\n");
    sleep(Duration::from_secs(3)).await;
    let found = look(&running).await;
    assert_eq!((found.value("promtail_read_lines_total", &a), found.value("promtail_file_bytes_total", &a)), (Some(3.0), Some(14.0)), "both are of one path");
    sleep(Duration::from_secs(30)).await;
    let found = look(&running).await;
    assert_eq!((found.value("promtail_read_lines_total", &a), found.value("promtail_file_bytes_total", &a)), (Some(3.0), Some(6.0)), "the old one is done");
    assert_eq!(found.value("tributary_edge_job_lines_total", &[("job_name", "t")]), Some(4.0));

    for name in ["/logs/a.log", "/logs/a.log.1"] {
        host.disk.remove(Path::new(name)).unwrap();
    }
    sleep(Duration::from_secs(30)).await;
    let found = look(&running).await;
    assert_eq!(found.value("promtail_read_lines_total", &a), None, "the file is gone, and its series with it");
    assert_eq!(found.value("promtail_read_lines_total", &[("path", "/logs/b.log")]), Some(1.0));
    assert_eq!(found.value("tributary_edge_job_lines_total", &[("job_name", "t")]), Some(4.0), "what was read stays read");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_told_in_bytes_and_seconds() {
    let host = Host::new();
    let wide: String = (0..240_000).map(|at| format!("line {at} {}\n", "y".repeat(60))).collect();
    host.append("a.log", "x\n");
    host.append("b.log", &wide);
    let running = host.start("{dir: /wal, max_bytes: 16MB, grace_bytes: 0, grace_age: 0s}").await;
    sleep(Duration::from_secs(40)).await;
    host.append("a.log", "written while nothing is read\n");
    sleep(Duration::from_secs(20)).await;
    let found = look(&running).await;
    let seconds = |path: &str| found.value("tributary_edge_file_seconds_behind", &[("path", path)]).unwrap();
    assert!((50.0..=61.0).contains(&seconds("/logs/b.log")), "{}", seconds("/logs/b.log"));
    assert!((8.0..=21.0).contains(&seconds("/logs/a.log")), "it was read to its end before: {}", seconds("/logs/a.log"));
    let job = [("job_name", "t")];
    assert_eq!(found.value("tributary_edge_job_seconds_behind", &job), Some(seconds("/logs/b.log")));
    assert_eq!(found.value("tributary_edge_job_files_behind", &job), Some(2.0));
    let behind = found.value("tributary_edge_job_bytes_behind", &job).unwrap();
    assert!(behind > 30.0 && behind < wide.len() as f64, "{behind}");
    let report = running.status.report();
    assert!(report.stalled && report.wal_max_bytes == 16 << 20 && report.bytes_behind == behind as u64, "{report:?}");
    running.end().await;
}
