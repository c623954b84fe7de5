//! An edge takes the place of Promtail: what that had read is not sent again, what it had not is sent once.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use tests::ask::Ask;
use tests::hub::Hub;
use tests::lines::{Writer, reckon_part, time_base_ns};
use tests::place;

use crate::{Wish, edge_with};

/// Lines that Promtail had read of each file.
const READ: u64 = 300;

fn set_modified(path: &std::path::Path, at: SystemTime) {
    std::fs::File::options().write(true).open(path).expect("the file is there").set_modified(at).expect("its time can be set");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_promtail_had_not_read_arrives_once_through_rotations_and_a_kill() {
    let dir = place::folder("migration");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let logs = dir.path().join("logs-one");
    std::fs::create_dir_all(&logs).expect("the folder can be made");
    let (base, minute, now) = (time_base_ns(), Duration::from_secs(60), SystemTime::now());
    let mut still = Writer::new(&logs.join("still.log"), "still", base);
    let mut rotated = Writer::new(&logs.join("rotated.log"), "rotated", base);
    let mut done = Writer::new(&logs.join("done.log"), "done", base);
    for writer in [&mut still, &mut rotated, &mut done] {
        writer.write(READ);
    }
    // Promtail's last word, and its end.
    let offset = |name: &str| std::fs::metadata(logs.join(name)).expect("the file is there").len();
    let entries: Vec<String> =
        ["still.log", "rotated.log", "done.log"].iter().map(|name| format!("  {}: \"{}\"\n", logs.join(name).display(), offset(name))).collect();
    let positions = dir.path().join("positions.yaml");
    std::fs::write(&positions, format!("positions:\n{}", entries.concat())).expect("positions can be written");
    set_modified(&positions, now - 10 * minute);
    // While nothing reads: one file grows, one is rotated twice, one was read to its end and rotated then.
    still.write(100);
    rotated.write(100);
    rotated.rotate(&logs.join("rotated.log.2"));
    set_modified(&logs.join("rotated.log.2"), now - 8 * minute);
    rotated.write(100);
    rotated.rotate(&logs.join("rotated.log.1"));
    set_modified(&logs.join("rotated.log.1"), now - 4 * minute);
    rotated.write(READ + 200);
    set_modified(&logs.join("done.log"), now - 20 * minute);
    done.rotate(&logs.join("done.log.1"));
    done.write(READ + 50);
    let more = format!("\npositions: {{filename: {}}}\n", positions.display());
    let mut edge = edge_with(&hub, dir.path(), "alpha", "one", "auto", &Wish { more: &more, ..Wish::default() });
    // The file is stale from now on, and damaged.
    std::fs::write(&positions, [0; 64]).expect("positions can be written");
    let ask = Ask::new(&hub.url(), &hub.acme);
    let unread = |writer: &Writer| writer.written - READ;
    ask.until_count("{cluster=\"alpha\"}", unread(&still) + unread(&rotated) + unread(&done), Duration::from_secs(60)).await;
    edge.kill();
    for writer in [&mut still, &mut rotated, &mut done] {
        writer.write(10);
    }
    edge.resume();
    ask.until_count("{cluster=\"alpha\"}", unread(&still) + unread(&rotated) + unread(&done), Duration::from_secs(60)).await;
    let found = ask.every_line("{cluster=\"alpha\"}", base, base + 3_600_000_000_000, 20_000).await;
    let expected: BTreeMap<String, (u64, u64)> =
        [&still, &rotated, &done].iter().map(|writer| (writer.name().to_owned(), (READ + 1, writer.written + 1))).collect();
    let reckoning = reckon_part(&found, &expected);
    assert!(reckoning.is_exact(), "{reckoning:?}");
}
