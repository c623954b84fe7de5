//! Files renamed, and copied and cut, under load, as logrotate does both.

use std::collections::BTreeMap;
use std::time::Duration;

use tests::ask::Ask;
use tests::hub::Hub;
use tests::lines::{Writer, reckon, time_base_ns};
use tests::place;

use crate::edge_of;

#[tokio::test(flavor = "multi_thread")]
async fn rename_under_load_loses_nothing() {
    let dir = place::folder("rename");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let mut edge = edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let base = time_base_ns();
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    let ask = Ask::new(&hub.url(), &hub.acme);
    // Its first file may bear its name for less than a look takes.
    for round in 0..12 {
        for _ in 0..20 {
            writer.write(100);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        writer.rotate(&dir.path().join(format!("logs-one/a.log.{round}")));
        if round == 6 {
            // Rotated while nobody looks: the renamed file is found beside its old path.
            edge.kill();
            writer.write(500);
            writer.rotate(&dir.path().join("logs-one/a.log.100"));
            writer.write(100);
            edge.resume();
        }
    }
    writer.write(100);
    ask.until_count("{cluster=\"alpha\"}", writer.written, Duration::from_secs(60)).await;
    let found = ask.every_line("{cluster=\"alpha\"}", base, base + 3_600_000_000_000, 20_000).await;
    let reckoning = reckon(&found, &BTreeMap::from([("a".to_owned(), writer.written)]));
    assert!(reckoning.is_exact(), "{reckoning:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn copytruncate_is_counted_never_silent() {
    let dir = place::folder("copytruncate");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let edge = edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let base = time_base_ns();
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    // A file that is cut before the edge's first look at its name (each second) is new to it.
    writer.write(50);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let cuts = 10;
    for round in 0..cuts {
        for _ in 0..40 {
            writer.write(50);
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        writer.copy_truncate(&dir.path().join(format!("logs-one/a.log.{round}")));
        // The edge looks twice a second: a file that has grown past where it was read before the next look is not known as cut.
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    writer.write(50);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let ask = Ask::new(&hub.url(), &hub.acme);
    let found = ask.every_line("{cluster=\"alpha\"}", base, base + 3_600_000_000_000, 20_000).await;
    let reckoning = reckon(&found, &BTreeMap::from([("a".to_owned(), writer.written)]));
    assert_eq!(reckoning.repeated, 0, "{reckoning:?}");
    assert_eq!(reckoning.foreign, Vec::<String>::new());
    let metrics = Ask::new(&edge.url(), "").text("/metrics", &[]).await.1;
    let counted: u64 = metrics
        .lines()
        .filter(|line| line.starts_with("tributary_edge_losses_total") && line.contains("truncated"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .map(|number| number as u64)
        .sum();
    eprintln!("copytruncate: {} of {} lines missing, {counted} cuts counted", reckoning.missing_count, writer.written);
    assert_eq!(counted, cuts, "every cut is counted");
    let losses = Ask::new(&hub.admin_url(), &hub.operator).json("/admin/v1/losses", &[("tenant", "acme")]).await;
    assert_eq!(losses.as_array().map_or(0, Vec::len), usize::try_from(cuts).unwrap(), "every cut reaches the hub as a loss record: {losses}");
    let counted = tests::ask::metric(&hub.admin_url(), "tributary_hub_losses_total", "tenant=\"acme\",reason=\"truncated\"").await;
    assert_eq!(counted, Some(cuts as f64), "and is counted there");
}
