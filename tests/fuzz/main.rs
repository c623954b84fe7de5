//! Fuzz functions on stable Rust: what reads bytes of others, fed with mutations of a kept corpus.
//!
//! One test per function; each starts from `tests/fuzz/corpus/<name>/` and from sound inputs made here, mutates them
//! by a seed (`TRIBUTARY_SEED`, printed) for `TRIBUTARY_FUZZ_SECONDS` (2 by default, 30 in CI). Parts: `mutate`
//! (chance to bytes), `seeds` (sound inputs), `targets` (a function per reader). Promises: a panic, an input that takes
//! longer than [`ONE_INPUT_MAX`], a result beyond the reader's limits or memory beyond [`MEMORY_MAX`] fails the test
//! with the input, which is written to `target/fuzz/`: add it to the corpus with its fix.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a test says what it did and may panic")]

mod mutate;
mod seeds;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mutate::Mutator;

/// No input of at most 64 KiB takes longer, in an unoptimised build on a busy machine.
const ONE_INPUT_MAX: Duration = Duration::from_secs(20);
/// Peak memory of the whole test program: all functions run side by side.
const MEMORY_MAX: u64 = 2 << 30;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} holds nothing", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Peak memory of this process, in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Writes the input down and says where.
fn keep(name: &str, input: &[u8]) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}-{:08x}", input.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)))));
    std::fs::write(&path, input).unwrap();
    format!("{} ({} bytes: {:?})", path.display(), input.len(), String::from_utf8_lossy(&input[..input.len().min(200)]))
}

/// Runs `target` over the corpus, then over mutations until the time is over. `target` says whether it took the input.
fn run(name: &str, seeds: Vec<Vec<u8>>, words: &[&str], target: impl Fn(&[u8]) -> bool) {
    let seconds = Duration::from_secs(setting("TRIBUTARY_FUZZ_SECONDS", 2));
    let seed = setting("TRIBUTARY_SEED", 1);
    let mut pool = corpus(name);
    pool.extend(seeds);
    let kept = pool.len();
    let mut mutator = Mutator::new(seed, words);
    let (began, mut inputs, mut taken) = (Instant::now(), 0_u64, 0_u64);
    while inputs < kept as u64 || began.elapsed() < seconds {
        let at = usize::try_from(inputs).unwrap();
        let input = if at < kept { pool[at].clone() } else { mutator.of(&pool) };
        let from = Instant::now();
        let took = catch_unwind(AssertUnwindSafe(|| target(&input)));
        let fits = took.unwrap_or_else(|_| panic!("{name}: seed {seed}: a panic over {}", keep(name, &input)));
        assert!(from.elapsed() < ONE_INPUT_MAX, "{name}: seed {seed}: {:?} over {}", from.elapsed(), keep(name, &input));
        if inputs % 64 == 0 {
            assert!(peak_bytes() < MEMORY_MAX, "{name}: seed {seed}: {} bytes of memory after {}", peak_bytes(), keep(name, &input));
        }
        inputs += 1;
        if fits {
            taken += 1;
            // What was taken is worth mutating further.
            if at >= kept && pool.len() < 2_000 && mutator.likely(20) {
                pool.push(input);
            }
        }
    }
    println!("{name}: seed {seed}: {inputs} inputs, {taken} taken, {} kept, peak memory {} MiB", pool.len(), peak_bytes() >> 20);
    assert!(taken > 0, "{name}: nothing was taken, so nothing was tested");
}

#[test]
fn logql_parses_prints_and_parses_again() {
    run("logql", seeds::queries(), mutate::LOGQL, targets::logql);
}

#[test]
fn templates_end_within_their_limits() {
    run("template", seeds::templates(), mutate::TEMPLATE, targets::template);
}

#[test]
fn regular_expressions_are_translated_or_refused() {
    run("regex", Vec::new(), mutate::REGEX, targets::regex);
}

#[test]
fn lines_are_parsed_whatever_they_are() {
    run("lines", Vec::new(), mutate::JSON, targets::lines);
}

#[test]
fn pushes_in_json() {
    run("push-json", Vec::new(), mutate::JSON, targets::push_json);
}

#[test]
fn pushes_in_protobuf() {
    run("push-protobuf", seeds::push_protobuf(), &[], targets::push_protobuf);
}

#[test]
fn pushes_in_snappy() {
    run("push-snappy", seeds::push_snappy(), &[], targets::push_snappy);
}

#[test]
fn pushes_in_gzip_and_deflate() {
    run("push-gzip", seeds::push_gzip(), &[], targets::push_gzip);
}

#[test]
fn batches() {
    run("batch", seeds::batches(), &[], targets::batch);
}

#[test]
fn segment_footers() {
    run("footer", seeds::segments(), &[], targets::footer);
}

#[test]
fn segment_blocks() {
    run("block", seeds::segments(), &[], targets::block);
}

#[test]
fn lane_headers() {
    run("lane", seeds::lanes(), &[], targets::lane);
}
