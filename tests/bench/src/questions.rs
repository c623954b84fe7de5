//! What is asked of the corpus, and what must be answered.
//!
//! Parts: [`questions`], one for each row. Promises: whatever the generator counts is checked. Must not do: ask.

use anyhow::{Context as _, Result};

use crate::ask::{Form, Question};
use crate::corpus::{ABSENT, Corpus, HOURS, NEEDLE};

/// Steps of 60 s over the corpus whose windows hold lines: the first line stands behind the first step.
const POINTS: u64 = HOURS * 60;
/// Windows of 5 min in which each line lies, at steps of 60 s.
const WINDOWS: u64 = 5;

/// All questions, in order.
pub(crate) fn questions(corpus: &Corpus) -> Result<Vec<Question>> {
    let counts = corpus.counts;
    let largest = corpus.containers.iter().max_by_key(|container| container.stdout_lines).context("a corpus has containers")?;
    let all = "{cluster=\"alpha\", job=\"bench\"}";
    let checkout = "{cluster=\"alpha\", job=\"bench\", app=\"checkout\"}";
    let hours = HOURS + 1;
    let make = |name, query: String, form, expected, goal| Question { name, query, form, expected: Some(expected), goal, is_scaled: true };
    let fixed = |name, query: String, form, expected, goal| Question { is_scaled: false, ..make(name, query, form, expected, goal) };
    let of_checkout = corpus.counts_of(|_, app| app == "checkout").json_errors;
    let of_shop = corpus.counts_of(|namespace, _| namespace == "shop").needles;
    let timeout = "time(d)? ?out";
    Ok(vec![
        make("a1 needle, one namespace", format!("{{job=\"bench\", namespace=\"shop\"}} |= \"{NEEDLE}\""), Form::Lines(100_000), of_shop, "<= 0.05"),
        make("a2 needle, everywhere", format!("{all} |= \"{NEEDLE}\""), Form::Lines(100_000), counts.needles, "<= 0.05"),
        make("a3 needle, absent", format!("{all} |= \"{ABSENT}\""), Form::Lines(100_000), 0, "<= 0.05"),
        make("b  sum by app, 5m", format!("sum by (app) (count_over_time({all}[5m]))"), Form::Sum, WINDOWS * counts.lines, "<= 0.1"),
        make("c  json error, checkout", format!("sum(count_over_time({checkout} | json | level=\"error\" [{hours}h]))"), Form::Number, of_checkout, "<= 0.05"),
        make("c2 json error, all", format!("sum(count_over_time({all} | json | level=\"error\" [{hours}h]))"), Form::Number, counts.json_errors, ""),
        make("d  regex, limit 1000", format!("{all} |~ \"{timeout}\""), Form::Lines(1000), counts.timeouts.min(1000), ""),
        make("d2 regex, counted", format!("sum(count_over_time({all} |~ \"{timeout}\" [{hours}h]))"), Form::Number, counts.timeouts, "<= 0.8"),
        fixed(
            "e  last 1000 of a stream",
            format!("{{cluster=\"alpha\", pod=\"{}\", stream=\"stdout\"}}", largest.pod),
            Form::Lines(1000),
            largest.stdout_lines.min(1000),
            "<= 0.02 CPU-s",
        ),
        make(
            "f  p99 of a json field",
            format!("quantile_over_time(0.99, {checkout} | json | unwrap latency_ms [5m]) by (app)"),
            Form::Points,
            POINTS,
            "<= 0.2",
        ),
        fixed("g1 labels", all.to_owned(), Form::List("labels"), LABELS, "about nothing"),
        fixed("g2 values of pod", all.to_owned(), Form::List("label/pod/values"), corpus.containers.len() as u64, "about nothing"),
        fixed("g3 series", all.to_owned(), Form::List("series"), counts.streams, "about nothing"),
    ])
}

/// `app`, `cluster`, `filename`, `job`, `namespace`, `pod`, `service_name`, `stream`
const LABELS: u64 = 8;
