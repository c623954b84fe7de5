//! Other settings for an edge that runs: nothing lost, nothing twice, labels and stages from then on.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use crate::host::{Host, Running, Talk, settings};
use crate::{Books, numbered, text};

const REST: &str =
    "hub: {url: 'https://hub:9443', ca_file: /c, identity_dir: /i, compression: none}\nwal: {dir: /wal}\nbatch: {max_bytes: 64KB, max_wait: 200ms}\n";

fn with(jobs: &str) -> String {
    format!("scrape_configs: [{jobs}]\n{REST}")
}

async fn reload(running: &mut Running, jobs: &str) {
    let (prepared, _) = settings(&with(jobs));
    assert!(running.edge.reload(prepared, Duration::from_secs(1), false).await);
}

async fn begin(jobs: &str, more: &str) -> (Host, Books, Running, Talk) {
    let mut host = Host::new();
    let mut books = Books::default();
    host.append("a.log", "");
    let running = host.start_text(&format!("{}{more}", with(jobs))).await;
    let mut talk = host.accept().await;
    talk.open().await;
    books.welcome(&talk, 64).await;
    (host, books, running, talk)
}

/// How many lines have which labels.
fn counts(books: &Books) -> BTreeMap<&str, usize> {
    books.labelled.iter().fold(BTreeMap::new(), |mut counts, (labels, _)| {
        *counts.entry(labels.as_str()).or_default() += 1;
        counts
    })
}

#[tokio::test(start_paused = true)]
async fn a_file_goes_on_under_new_labels_and_a_new_name_of_its_job() {
    let job = |name: &str, env: &str| format!("{{job_name: {name}, static_configs: [{{labels: {{env: {env}, __path__: /logs/a.log}}}}]}}");
    let (host, mut books, mut running, mut talk) = begin(&job("one", "test"), "").await;
    host.append("a.log", &text(1, 100));
    books.take(&mut talk, 100).await;
    let mut last = 100;
    for (name, env) in [("one", "prod"), ("two", "prod"), ("two", "prod"), ("three", "last")] {
        // Written while the reload is under way.
        host.append("a.log", &text(last + 1, last + 50));
        reload(&mut running, &job(name, env)).await;
        host.append("a.log", &text(last + 51, last + 100));
        last += 100;
        books.take(&mut talk, last).await;
    }
    assert_eq!(books.lines, numbered(last));
    assert!(talk.within(Duration::from_secs(5)).await.is_none(), "nothing comes after the last line");
    let counts = counts(&books);
    let of = |env: &str| counts.iter().filter(|(labels, _)| labels.contains(env)).map(|(_, lines)| lines).sum::<usize>();
    assert_eq!(of("test") + of("prod") + of("last"), last);
    assert!((100..=150).contains(&of("test")) && (50..=100).contains(&of("last")), "{counts:?}");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_pipeline_holds_goes_on_in_the_new_one() {
    let job = |label: &str| {
        format!(
            "{{job_name: a, static_configs: [{{labels: {{x: {label}, __path__: /logs/a.log}}}}], \
             pipeline_stages: [{{multiline: {{firstline: '^first', max_wait_time: 60s}}}}]}}"
        )
    };
    let (host, mut books, mut running, mut talk) = begin(&job("old"), "").await;
    host.append("a.log", "first 1\nmore 1\nfirst 2\nmore 2\n");
    books.take(&mut talk, 1).await;
    sleep(Duration::from_secs(2)).await;
    reload(&mut running, &job("new")).await;
    host.append("a.log", "and more 2\nfirst 3\n");
    books.take(&mut talk, 2).await;
    assert_eq!(books.lines, ["first 1\nmore 1", "first 2\nmore 2\nand more 2"]);
    // A pipeline that holds nothing lets go of it.
    reload(&mut running, "{job_name: a, static_configs: [{labels: {x: plain, __path__: /logs/a.log}}]}").await;
    host.append("a.log", "first 4\n");
    books.take(&mut talk, 4).await;
    assert_eq!(books.lines[2..], ["first 3", "first 4"]);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_no_longer_named_is_read_to_its_end_and_goes_on_there_when_it_is_again() {
    let (a, b) = ("{job_name: a, static_configs: [{labels: {__path__: /logs/a.log}}]}", "{job_name: b, static_configs: [{labels: {__path__: /logs/b.log}}]}");
    let (host, mut books, mut running, mut talk) = begin(&format!("{a}, {b}"), "").await;
    host.append("b.log", "b 1\n");
    host.append("a.log", &text(1, 10));
    books.take(&mut talk, 11).await;
    host.append("a.log", &text(11, 20));
    reload(&mut running, b).await;
    books.take(&mut talk, 21).await;
    sleep(Duration::from_secs(10)).await;
    let shown = running.status.fresh().await;
    assert!(shown.files.len() == 1 && shown.files[0].path == "/logs/b.log", "{shown:?}");
    host.append("b.log", "b 2\n");
    books.take(&mut talk, 22).await;
    reload(&mut running, &format!("{b}, {a}")).await;
    host.append("a.log", &text(21, 30));
    sleep(Duration::from_secs(5)).await;
    let of_a = |books: &Books| books.lines.iter().filter(|line| line.starts_with("line")).cloned().collect::<Vec<_>>();
    while let Some(kind) = talk.within(Duration::from_secs(5)).await {
        let proto_wire::edge_hub::message::Kind::Batch(batch) = kind else { panic!("{kind:?}") };
        books.enter(&batch);
        books.ack(&talk).await;
    }
    let read = of_a(&books);
    assert_eq!(read[..20], numbered(20)[..], "the first twenty once");
    assert_eq!(read[read.len() - 10..], numbered(30)[20..], "and the last ten");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn limits_hold_for_what_is_read_and_change_with_a_reload() {
    let job = "{job_name: a, static_configs: [{labels: {__path__: /logs/a.log}}]}";
    let slow = "limits_config: {readline_rate_enabled: true, readline_rate: 10, readline_burst: 10, readline_rate_drop: false}\n";
    let (host, mut books, mut running, mut talk) = begin(job, slow).await;
    host.append("a.log", &text(1, 50));
    let began = tokio::time::Instant::now();
    books.take(&mut talk, 50).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(3_500) && took < Duration::from_secs(8), "fifty lines at ten a second, ten at once: {took:?}");
    let short =
        format!("{}limits_config: {{max_line_size: 8, max_line_size_truncate: true}}\nclient: {{external_labels: {{site: one, filename: no}}}}\n", with(job));
    assert!(running.edge.reload(settings(&short).0, Duration::from_secs(1), false).await);
    host.append("a.log", "a line that is too long\n");
    books.take(&mut talk, 51).await;
    assert_eq!(books.labelled[50], (r#"{filename="/logs/a.log", site="one"}"#.to_owned(), "a line t".to_owned()));
    let dropping = format!("{}limits_config: {{max_line_size: 8, max_streams: 1}}\n", with(job));
    assert!(running.edge.reload(settings(&dropping).0, Duration::from_secs(1), false).await);
    host.append("a.log", "a line that is too long\nshort\n");
    books.take(&mut talk, 52).await;
    assert_eq!(books.lines[51], "short");
    running.end().await;
}
