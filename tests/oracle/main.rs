//! The engine against a plain evaluator written apart from it: generated queries over generated lines.
//!
//! A run asks every query of a seed in three layouts of the data. `TRIBUTARY_SEED` (a number) moves the seeds,
//! `TRIBUTARY_QUERIES` is how many queries are asked; both are printed. A failing case is shrunk to one line:
//! seed, layout, question, query and what differs.

#![expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "small numbers of a generator")]

mod chance;
mod compare;
mod data;
mod engines;
mod generate;
mod shrink;

use chance::Chance;
use compare::{Verdict, compare};
use engines::{LAYOUTS, Layout};
use generate::Asked;
use hub_logql::Expr;
use hub_query::Engine;
use tests::evaluator::{self, Line, Question};

/// Queries over one set of lines.
const PER_SET: usize = 450;

#[derive(Debug, Default)]
struct Tally {
    asked: usize,
    found: usize,
    empty: usize,
    refused: usize,
    apart: usize,
    failed: Vec<String>,
}

fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

async fn differs(engine: &Engine, lines: &[Line], query: &Expr, question: Question) -> Result<Verdict, String> {
    let right = evaluator::answer(lines, query, question);
    let ours = engines::answer(engine, query, question).await;
    compare(&query.to_string(), ours.as_ref(), right.as_ref())
}

/// The smallest query found that still differs.
async fn shrunk(engine: &Engine, lines: &[Line], query: Expr, question: Question, why: String) -> (Expr, String) {
    let (mut query, mut why) = (query, why);
    'again: for _ in 0..40 {
        for smaller in shrink::smaller(&query) {
            // Only what its own text says: a part of a query need not be one.
            if hub_logql::parse(&smaller.to_string()).as_ref() != Ok(&smaller) {
                continue;
            }
            if let Err(reason) = differs(engine, lines, &smaller, question).await {
                (query, why) = (smaller, reason);
                continue 'again;
            }
        }
        break;
    }
    (query, why)
}

/// Fewer lines that still differ.
async fn fewer(lines: Vec<Line>, layout: Layout, query: &Expr, question: Question) -> Vec<Line> {
    let mut lines = lines;
    let mut size = lines.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < lines.len() {
            let mut kept = lines.clone();
            kept.drain(at..(at + size).min(kept.len()));
            if !kept.is_empty() && differs(&engines::engine(&kept, layout).await, &kept, query, question).await.is_err() {
                lines = kept;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    lines
}

async fn one_set(seed: u64, queries: usize) -> Tally {
    let lines = data::lines(seed);
    let mut chance = Chance::new(seed ^ 0xA5A5);
    let mut all = Vec::new();
    for layout in LAYOUTS {
        all.push((layout, engines::engine(&lines, layout).await));
    }
    let mut tally = Tally::default();
    for _ in 0..queries {
        let Asked { query, question } = generate::asked(&mut chance);
        let parsed = hub_logql::parse(&query).unwrap_or_else(|fault| panic!("seed {seed}: the generator wrote what is no query: {query}: {fault}"));
        assert_eq!(hub_logql::parse(&parsed.to_string()).as_ref(), Ok(&parsed), "seed {seed}: printed and read again: {query}");
        tally.asked += 1;
        let right = evaluator::answer(&lines, &parsed, question);
        let mut verdict = None;
        for (layout, engine) in &all {
            let ours = engines::answer(engine, &parsed, question).await;
            match compare(&query, ours.as_ref(), right.as_ref()) {
                Ok(found) => verdict = Some(found),
                Err(why) => {
                    if tally.failed.len() < 3 {
                        let (small, why) = shrunk(engine, &lines, parsed.clone(), question, why).await;
                        let few = fewer(lines.clone(), *layout, &small, question).await;
                        let shown: Vec<_> = few.iter().take(4).collect();
                        tally.failed.push(format!("seed {seed} {layout:?} {question:?} | {small} | {why} | {} lines: {shown:?}", few.len()));
                    } else {
                        tally.failed.push(format!("seed {seed} {layout:?} {question:?} | {query} | {why}"));
                    }
                    verdict = None;
                    break;
                }
            }
        }
        match verdict {
            Some(Verdict::Same { empty: true }) => tally.empty += 1,
            Some(Verdict::Same { empty: false }) => tally.found += 1,
            Some(Verdict::Refused) => tally.refused += 1,
            Some(Verdict::Apart) => tally.apart += 1,
            None => {}
        }
    }
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_answers_as_the_plain_evaluator() {
    let (first, queries) = (setting("TRIBUTARY_SEED", 1) as u64, setting("TRIBUTARY_QUERIES", 5_400));
    println!("seeds from {first}, {queries} queries");
    let sets = queries.div_ceil(PER_SET) as u64;
    let mut total = Tally::default();
    let runs: Vec<_> = (0..sets).map(|at| tokio::spawn(one_set(first + at, PER_SET))).collect();
    for run in runs {
        let tally = run.await.unwrap();
        total.asked += tally.asked;
        total.found += tally.found;
        total.empty += tally.empty;
        total.refused += tally.refused;
        total.apart += tally.apart;
        total.failed.extend(tally.failed);
    }
    println!(
        "{} asked: {} found lines or samples, {} empty, {} refused by both, {} not comparable",
        total.asked, total.found, total.empty, total.refused, total.apart
    );
    for failure in &total.failed {
        println!("DIFFERS {failure}");
    }
    assert!(total.failed.is_empty(), "{} of {} queries differ", total.failed.len(), total.asked);
    assert!(total.found * 2 >= total.asked, "at least half of the answers hold something");
    assert!(total.apart * 10 <= total.asked, "few cases cannot be compared");
}
