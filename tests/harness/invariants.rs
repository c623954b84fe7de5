//! What must hold, as pure functions over ledger, oracle and answers.
//!
//! Parts: [`sound`] (nothing foreign, nothing twice, nothing out of order: holds at any time); [`complete`] (and
//! nothing missing: holds once everything has drained); [`acked`]; [`wal_bytes`]. Must not do: wait, or mend.

use std::collections::BTreeMap;

use crate::ledger::{Ledger, Oracle};

/// An answered stream: its labels as text, its lines in order.
pub type Answered = (String, Vec<String>);

/// Every line of `answer` was written for `tenant`, is there once, byte for byte, and in order within its stream.
///
/// # Errors
/// The first breach.
pub fn sound(ledger: &Ledger, tenant: &str, answer: &[Answered]) -> Result<BTreeMap<String, usize>, String> {
    let mut seen: BTreeMap<(String, usize), &str> = BTreeMap::new();
    for (labels, lines) in answer {
        let mut newest: BTreeMap<&str, usize> = BTreeMap::new();
        for line in lines {
            let (source, number) = name_of(line).ok_or_else(|| format!("{tenant} was answered a line that nobody wrote: {line:?}"))?;
            match ledger.line(tenant, source, number) {
                None => return Err(format!("{tenant} was answered a line that is not its own: {line:?}")),
                Some(written) if written != line => return Err(format!("{line:?} was written as {written:?}")),
                Some(_) => {}
            }
            if let Some(before) = seen.insert((source.to_owned(), number), labels) {
                return Err(format!("line {number} of {source} was answered twice, in {before} and in {labels}"));
            }
            if let Some(before) = newest.insert(source, number)
                && before > number
            {
                return Err(format!("line {number} of {source} was answered after line {before} of it, in {labels}"));
            }
        }
    }
    let mut counts = BTreeMap::new();
    for (source, _) in seen.into_keys() {
        *counts.entry(source).or_default() += 1;
    }
    Ok(counts)
}

/// As [`sound`], and every line that was written is there.
///
/// # Errors
/// The first breach.
pub fn complete(ledger: &Ledger, tenant: &str, answer: &[Answered]) -> Result<(), String> {
    let counts = sound(ledger, tenant, answer)?;
    for (source, lines) in ledger.of(tenant) {
        let found = counts.get(source).copied().unwrap_or(0);
        if found != lines.len() {
            return Err(format!("{found} of {} lines of {source} were answered", lines.len()));
        }
    }
    Ok(())
}

/// What an edge takes for acknowledged is committed.
///
/// # Errors
/// The breach.
pub fn acked(oracle: &Oracle, edge: &str, producer: &str, acked: u64) -> Result<(), String> {
    let committed = oracle.committed(producer);
    if acked <= committed { Ok(()) } else { Err(format!("{edge} takes {acked} for acknowledged, but only {committed} is committed")) }
}

/// A WAL is no larger than its setting, but for what the file in hand may hold.
///
/// # Errors
/// The breach.
pub fn wal_bytes(edge: &str, found: u64, max: u64) -> Result<(), String> {
    if found <= max { Ok(()) } else { Err(format!("the WAL of {edge} has {found} bytes of at most {max}")) }
}

/// Source and number of a line of the ledger.
fn name_of(line: &str) -> Option<(&str, usize)> {
    let mut words = line.split(' ');
    let source = words.next()?.strip_prefix("src=")?;
    let number = words.next()?.strip_prefix("n=")?.parse().ok()?;
    Some((source, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for _ in 0..3 {
            ledger.write("acme", "a", "x");
            ledger.write("blue", "b", "x");
        }
        ledger
    }

    fn stream(lines: &[&str]) -> Vec<Answered> {
        vec![("{}".to_owned(), lines.iter().map(|line| (*line).to_owned()).collect())]
    }

    const WHOLE: [&str; 3] = ["src=a n=000000 x", "src=a n=000001 x", "src=a n=000002 x"];

    #[test]
    fn the_whole_passes() {
        complete(&ledger(), "acme", &stream(&WHOLE)).unwrap();
    }

    #[test]
    fn each_breach_is_found() {
        let ledger = ledger();
        let breach = |lines: &[&str]| complete(&ledger, "acme", &stream(lines)).unwrap_err();
        assert!(breach(&WHOLE[..2]).contains("2 of 3"));
        assert!(breach(&[WHOLE[0], WHOLE[0]]).contains("twice"));
        assert!(breach(&[WHOLE[1], WHOLE[0]]).contains("after"));
        assert!(breach(&["src=a n=000000 y"]).contains("was written as"));
        assert!(breach(&["src=b n=000000 x"]).contains("not its own"));
        assert!(breach(&["noise"]).contains("nobody wrote"));
    }

    #[test]
    fn an_ack_of_nothing_is_a_breach() {
        acked(&Oracle::default(), "edge", "p", 0).unwrap();
        acked(&Oracle::default(), "edge", "p", 1).unwrap_err();
        wal_bytes("edge", 11, 10).unwrap_err();
    }
}
