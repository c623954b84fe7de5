//! `limits_config` in a whole edge: each limit is in force, and what it costs is counted under Promtail's reason.

use std::time::Duration;

use crate::exposition::Exposition;
use crate::host::Host;
use crate::site::Site;

/// What an edge counts that reads these lines under these limits.
async fn counted(limits: &str, stages: &str, text: &str) -> Exposition {
    let site = Site::with(stages, "", &format!("limits_config: {limits}\n")).await;
    site.write("a.log", text);
    let offset = format!("offset={}", text.len());
    site.until("the file is read", |text| text.contains(&offset)).await;
    // Its counters are a turn old at most.
    let mut found = site.metrics().await;
    for _ in 0..100 {
        if found.value("tributary_edge_lines_read_total", &[]) == Some(text.lines().count() as f64) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        found = site.metrics().await;
    }
    site.end().await;
    found
}

fn dropped(found: &Exposition, reason: &str) -> f64 {
    found.value("logentry_dropped_lines_total", &[("reason", reason)]).unwrap_or_default()
}

#[tokio::test]
async fn lines_over_the_rate_are_dropped_as_promtail_counts_them() {
    let text: String = (0..50).map(|at| format!("line {at}\n")).collect();
    let found = counted("{readline_rate: 0.001, readline_burst: 20, readline_rate_enabled: true}", "[]", &text).await;
    assert_eq!(dropped(&found, "global_rate_limiter_drop"), 30.0);
    assert_eq!(found.value("tributary_edge_lines_dropped_total", &[("reason", "rate_limited")]), Some(30.0));
}

#[tokio::test]
async fn lines_that_are_too_long_are_dropped_or_cut() {
    let text = format!("short\n{}\nshort\n", "x".repeat(200));
    let found = counted("{max_line_size: 100}", "[]", &text).await;
    assert_eq!((dropped(&found, "line_too_long"), found.value("tributary_edge_lines_truncated_total", &[])), (1.0, Some(0.0)));
    let found = counted("{max_line_size: 100, max_line_size_truncate: true}", "[]", &text).await;
    assert_eq!((dropped(&found, "line_too_long"), found.value("tributary_edge_lines_truncated_total", &[])), (0.0, Some(1.0)));
}

#[tokio::test]
async fn streams_beyond_the_most_are_dropped() {
    let text: String = (0..10).map(|at| format!("app{at}\n")).collect();
    let found = counted("{max_streams: 4}", "[{regex: {expression: '^(?P<app>\\w+)$'}}, {labels: {app: }}]", &text).await;
    assert_eq!(dropped(&found, "stream_limited"), 6.0);
}

#[tokio::test]
async fn a_tenants_lines_beyond_its_budget_are_dropped_and_counted() {
    let text: String = (0..20).map(|at| format!("{} {:095}\n", if at % 2 == 0 { "loud" } else { "calm" }, at)).collect();
    let stages = "[{regex: {expression: '^(?P<who>\\w+)'}}, {tenant: {source: who}}]";
    let found = counted("{tenant_budgets: {loud: {bytes_rate: 1, bytes_burst: 350, drop: true}, '*': {bytes_rate: 1MiB}}}", stages, &text).await;
    assert_eq!(dropped(&found, "tenant_budget"), 6.0, "4 lines of 100 bytes use 350 up");
    let of = |name: &str, tenant: &str| found.value(name, &[("tenant", tenant)]);
    assert_eq!((of("tributary_edge_tenant_lines_total", "loud"), of("tributary_edge_tenant_dropped_lines_total", "loud")), (Some(4.0), Some(6.0)));
    assert_eq!((of("tributary_edge_tenant_lines_total", "*"), of("tributary_edge_tenant_bytes_total", "*")), (Some(10.0), Some(1_000.0)));
}

#[tokio::test(start_paused = true)]
async fn a_loud_tenants_file_waits_and_a_calm_ones_is_read() {
    let host = Host::new();
    let text = "scrape_configs: [{job_name: t, static_configs: [{labels: {__path__: /logs/*.log}}], pipeline_stages: [{regex: {expression: '^(?P<who>\\w+)'}}, {tenant: {source: who}}]}]\n\
                hub: {url: 'https://hub:9443', ca_file: /c, identity_dir: /i}\nwal: {dir: /wal}\nlimits_config: {tenant_budgets: {loud: {bytes_rate: 1000, bytes_burst: 1000}}}\n";
    let running = host.start_text(text).await;
    host.append("loud.log", &format!("loud {}\n", "x".repeat(94)).repeat(300));
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The calm one is written bit by bit meanwhile, and the loud one too: a change must not let it out.
    for at in 0..50 {
        host.append("calm.log", &format!("calm {at}\n"));
        host.append("loud.log", "loud more\n");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let files = running.status.fresh().await.files.clone();
    let of = |name: &str| files.iter().find(|file| file.path.ends_with(name)).unwrap().clone();
    assert!(of("calm.log").behind < 30, "{files:?}");
    let read = of("loud.log").offset;
    assert!((6_000..=9_500).contains(&read), "7 s at 1000 bytes a second and a burst of as many: {read}");
    assert!(of("loud.log").behind_s > 5.0, "{files:?}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let files = running.status.fresh().await.files.clone();
    assert!(files.iter().all(|file| file.behind == 0 && file.behind_s == 0.0), "all of it comes: {files:?}");
    running.end().await;
}
