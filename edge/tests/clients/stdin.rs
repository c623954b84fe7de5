//! The standard input to a Loki: without a file, with what stages hold, and one run knows nothing of another.

use crate::loki::{Loki, Mood};
use crate::program::Place;

/// Where lines of the standard input lie until they are sent.
fn left(place: &Place) -> usize {
    std::fs::read_dir(place.path("home/.local/state/tributary-edge/stdin")).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standard_input_needs_no_file_and_leaves_nothing() {
    let (loki, place) = (Loki::start(Mood::Answers(204)).await, Place::new());
    let flags = ["--stdin".to_owned(), format!("--client.url={}", loki.url()), "--client.external-labels=k1=v1,k2=v2".to_owned()];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let code = tokio::task::block_in_place(|| place.fed(&flags, "one\n\ntwo\r\nlast"));
    assert_eq!((code, loki.lines()), (Some(0), ["one", "two", "last"].map(str::to_owned).to_vec()), "{}", place.said());
    let labels = loki.asked()[0].streams[0].labels.to_string();
    assert_eq!(labels, r#"{hostname="h1", job="stdin", k1="v1", k2="v2"}"#);
    assert_eq!(left(&place), 0, "what was sent is kept");

    // Another Loki gets nothing of what went to the first.
    let second = Loki::start(Mood::Answers(204)).await;
    let url = format!("-client.url={}", second.url());
    let code = tokio::task::block_in_place(|| place.fed(&["-stdin", &url, "-client.tenant-id=other"], "three\n"));
    assert_eq!((code, second.lines()), (Some(0), vec!["three".to_owned()]), "{}", place.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stages_hold_goes_out_at_the_end_of_the_standard_input() {
    let (loki, place) = (Loki::start(Mood::Answers(204)).await, Place::new());
    let file = place.write(
        "edge.yaml",
        &format!(
            "server: {{disable: true}}\nclients: [{{url: '{}'}}]\nscrape_configs:\n  - job_name: piped\n    pipeline_stages: [{{multiline: {{firstline: '^A', max_wait_time: 1h}}}}]\n    \
             relabel_configs: [{{action: drop, source_labels: [job], regex: a}}]\n    static_configs: [{{labels: {{job: a, x: one}}}}, {{labels: {{x: two, y: three, __path__: relative}}}}]\n",
            loki.url()
        ),
    );
    let code = tokio::task::block_in_place(|| place.fed(&["-config.file", &file, "-stdin"], "A1\n more\nA2\n rest\n"));
    assert_eq!((code, loki.lines()), (Some(0), ["A1\n more", "A2\n rest"].map(str::to_owned).to_vec()), "{}", place.said());
    let labels = loki.asked()[0].streams[0].labels.to_string();
    assert_eq!(labels, r#"{job="a", x="two", y="three"}"#, "the labels of all, unchanged by rules, as in Promtail");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_the_standard_input_do_not_wait_for_the_disk_one_by_one() {
    let (loki, place) = (Loki::start(Mood::Answers(204)).await, Place::new());
    let input: String = (0..120_000).map(|number| format!("line {number}\n")).collect();
    let url = format!("-client.url={}", loki.url());
    let began = std::time::Instant::now();
    let code = tokio::task::block_in_place(|| place.fed(&["-stdin", &url], &input));
    let lines = loki.lines();
    assert_eq!((code, lines.len()), (Some(0), 120_000), "{}", place.said());
    assert!(lines.iter().enumerate().all(|(at, line)| *line == format!("line {at}")), "in their order");
    // A thousand at a time, each after the last was durable, took 100 ms each.
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_is_named() {
    let (loki, place) = (Loki::start(Mood::Answers(503)).await, Place::new());
    let url = format!("-client.url={}", loki.url());
    let flags = ["-stdin", &url, "-client.max-backoff=1s"];
    let code = tokio::task::block_in_place(|| place.fed_until(&flags, "kept\n", || !loki.asked().is_empty()));
    assert_eq!(code, Some(0), "{}", place.said());
    assert!(place.said().contains("what was not sent lies in ") && left(&place) == 1, "{}", place.said());
}
