//! What a line costs: prints nanoseconds per line for common pipelines. Run alone and optimised:
//! `cargo test --release -p edge-pipeline --test cost -- --ignored --nocapture`.
//! For a profile of one pipeline: `TRIBUTARY_COST_ROW="cri" TRIBUTARY_COST_ROUNDS=1`, and
//! `valgrind --tool=callgrind --toggle-collect='*Run::line*'` before the test's program; 20,000 lines a round then.
//!
//! Must not do: assert a time; machines differ.

use std::hint::black_box;
use std::sync::Arc;

use edge_pipeline::{Emitted, Program, Run, StageSettings};
use proto_extract::level;
use proto_model::{Labels, Timestamp};
use proto_wire::{BatchBuilder, Compression};

const LINES: usize = 200_000;
const LINES_PROFILED: usize = 20_000;
const ROUNDS: usize = 7;

fn row_wanted() -> Option<String> {
    std::env::var("TRIBUTARY_COST_ROW").ok()
}

fn lines() -> usize {
    if row_wanted().is_some() { LINES_PROFILED } else { LINES }
}

/// Lines of about 170 bytes as containerd writes them; `body` makes the content.
fn corpus(body: impl Fn(usize) -> String) -> Vec<Vec<u8>> {
    let stream = |n: usize| if n.is_multiple_of(10) { "stderr" } else { "stdout" };
    (0..lines()).map(|n| format!("2024-03-10T12:{:02}:{:02}.{:09}Z {} F {}", n / 60 % 60, n % 60, n, stream(n), body(n)).into_bytes()).collect()
}

fn plain(n: usize) -> String {
    format!(
        "10.0.{}.{} - - \"GET /api/v1/items/{n} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\" rt=0.00{}",
        n % 250,
        n % 200,
        n % 5000,
        n % 9
    )
}

fn json(n: usize) -> String {
    format!(r#"{{"level":"info","ts":"2024-03-10T12:00:00Z","msg":"request served","path":"/api/v1/items/{n}","status":200,"ms":{}}}"#, n % 400)
}

fn logfmt(n: usize) -> String {
    format!("level=info ts=2024-03-10T12:00:00Z caller=http.go:42 msg=\"request served\" path=/api/v1/items/{n} status=200 duration={}ms", n % 400)
}

/// Bytes of lines in a batch, as an edge's default.
const BATCH_BYTES: u64 = 1024 * 1024;

/// What becomes of a record.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// It is looked at.
    Seen,
    /// Its level is found, it joins a batch, and batches are packed.
    Gathered,
}

fn gather(builder: &mut BatchBuilder, record: &Emitted<'_>) {
    let level = level::detect(record.labels, record.metadata, record.line);
    builder.push(record.labels, record.time, level.code(), record.metadata, record.line);
    if builder.raw_bytes() >= BATCH_BYTES {
        black_box(builder.freeze(Compression::Zstd).expect("a batch of lines is packed"));
    }
}

/// Best of some rounds, in nanoseconds per line.
#[expect(clippy::disallowed_methods, reason = "this is about real time")]
fn cost(yaml: &str, lines: &[Vec<u8>], end: End) -> f64 {
    let stages: Vec<StageSettings> = serde_saphyr::from_str(yaml).expect("the YAML above is read");
    let program = Program::compile(&stages).expect("the pipelines above compile");
    let labels =
        Labels::from_pairs([("namespace", "prod"), ("pod", "web-7c9f"), ("container", "nginx"), ("app", "web"), ("job", "prod/web"), ("node_name", "n1")]);
    let mut run = Run::new(program, Arc::new(labels));
    let mut builder = BatchBuilder::new();
    let mut best = f64::MAX;
    let rounds = std::env::var("TRIBUTARY_COST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    for _ in 0..rounds {
        let start = std::time::Instant::now();
        for line in lines {
            run.line(black_box(line), Timestamp(1_710_072_000_000_000_000), &mut |record| match end {
                End::Seen => drop(black_box((record.line, record.time, Arc::as_ptr(record.labels)))),
                End::Gathered => gather(&mut builder, &record),
            });
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / lines.len() as f64);
    }
    best
}

#[test]
#[ignore = "prints times; to be run alone, optimised"]
fn nanoseconds_per_line() {
    let mean = |lines: &[Vec<u8>]| lines.iter().map(Vec::len).sum::<usize>() / lines.len();
    let rows: [(&str, &str, Vec<Vec<u8>>, End); 9] = [
        ("no stages", "[]", corpus(plain), End::Seen),
        ("cri, gathered", "- cri: {}", corpus(plain), End::Gathered),
        ("cri, json, labels, gathered", "- cri: {}\n- json: {expressions: {level: }}\n- labels: {level: }", corpus(json), End::Gathered),
        ("cri", "- cri: {}", corpus(plain), End::Seen),
        ("cri, static_labels, labeldrop", "- cri: {}\n- static_labels: {site: north}\n- labeldrop: [node_name]", corpus(plain), End::Seen),
        ("cri, match drop by text", "- cri: {}\n- match: {selector: '{app=\"web\"} |= \"healthz\"', action: drop}", corpus(plain), End::Seen),
        (
            "cri, regex, labels",
            "- cri: {}\n- regex: {expression: '\"(?P<method>[A-Z]+) (?P<path>\\S+) [^\"]*\" (?P<status>\\d{3}) '}\n- labels: {method: , status: }",
            corpus(plain),
            End::Seen,
        ),
        (
            "cri, json, labels, timestamp",
            "- cri: {}\n- json: {expressions: {level: , ts: , msg: }}\n- labels: {level: }\n- timestamp: {source: ts, format: RFC3339}",
            corpus(json),
            End::Seen,
        ),
        ("cri, logfmt, labels", "- cri: {}\n- logfmt: {mapping: {level: , status: }}\n- labels: {level: , status: }", corpus(logfmt), End::Seen),
    ];
    for (name, yaml, lines, end) in rows.into_iter().filter(|(name, ..)| row_wanted().is_none_or(|wanted| wanted == *name)) {
        println!("{name:<32} {:>4} bytes {:>8.1} ns/line", mean(&lines), cost(yaml, &lines, end));
    }
}
