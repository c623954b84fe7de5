//! What must hold, as pure functions over ledger, oracle and answers.
//!
//! Parts: [`sound`] (nothing foreign, nothing twice, nothing out of order: holds at any time); [`complete`] (and
//! nothing missing over all tenants: holds once everything has drained); [`acked`]; [`wal_bytes`]. Must not do: wait, or mend.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::Ledger;
use crate::oracle::Oracle;

/// An answered stream: its labels as text, its lines in order.
pub type Answered = (String, Vec<String>);
/// Lines found: source and number.
pub type Found = BTreeSet<(String, usize)>;

/// Every line of `answer` was written for `tenant`, is there once, byte for byte, and in order within its stream. Order is judged only
/// where `is_ordered`: equal times may order by commit across producers.
///
/// # Errors
/// The first breach.
pub fn sound(ledger: &Ledger, tenant: &str, answer: &[Answered], is_ordered: bool) -> Result<Found, String> {
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
                && is_ordered
            {
                return Err(format!("line {number} of {source} was answered after line {before} of it, in {labels}"));
            }
        }
    }
    Ok(seen.into_keys().collect())
}

/// Every line that is owed is found by one tenant, none by two; gives what is missing, by source.
///
/// # Errors
/// A line that two tenants found.
pub fn complete(ledger: &Ledger, found: &[Found]) -> Result<BTreeMap<String, Vec<usize>>, String> {
    let mut all: BTreeMap<(&str, usize), u32> = BTreeMap::new();
    for (source, number) in found.iter().flatten() {
        *all.entry((source, *number)).or_default() += 1;
    }
    if let Some(((source, number), count)) = all.iter().find(|(_, count)| **count > 1) {
        return Err(format!("line {number} of {source} was found by {count} tenants"));
    }
    let mut missing: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (source, numbers) in ledger.sources() {
        for number in numbers.filter(|number| !all.contains_key(&(source, *number))) {
            missing.entry(source.to_owned()).or_default().push(number);
        }
    }
    Ok(missing)
}

/// What an edge takes for acknowledged is committed.
///
/// # Errors
/// The breach.
pub fn acked(oracle: &Oracle, edge: &str, producer: &str, acked: u64) -> Result<(), String> {
    let committed = oracle.committed(producer);
    if acked <= committed { Ok(()) } else { Err(format!("{edge} takes {acked} of {producer} for acknowledged, but only {committed} is committed")) }
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
        ledger.own("a", "acme");
        ledger.own("b", "blue");
        for _ in 0..3 {
            ledger.write("a.x", "x");
            ledger.write("b.x", "x");
        }
        ledger
    }

    fn stream(lines: &[&str]) -> Vec<Answered> {
        vec![("{}".to_owned(), lines.iter().map(|line| (*line).to_owned()).collect())]
    }

    const WHOLE: [&str; 3] = ["src=a.x n=000000 x", "src=a.x n=000001 x", "src=a.x n=000002 x"];
    const OTHER: [&str; 3] = ["src=b.x n=000000 x", "src=b.x n=000001 x", "src=b.x n=000002 x"];

    #[test]
    fn the_whole_passes() {
        let ledger = ledger();
        let found = [sound(&ledger, "acme", &stream(&WHOLE), true).unwrap(), sound(&ledger, "blue", &stream(&OTHER), true).unwrap()];
        assert_eq!(complete(&ledger, &found), Ok(BTreeMap::new()));
        assert_eq!(complete(&ledger, &found[..1]), Ok([("b.x".to_owned(), vec![0, 1, 2])].into()));
        complete(&ledger, &[found[0].clone(), found[0].clone()]).unwrap_err();
    }

    #[test]
    fn each_breach_is_found() {
        let ledger = ledger();
        let breach = |lines: &[&str]| sound(&ledger, "acme", &stream(lines), true).unwrap_err();
        assert!(breach(&[WHOLE[0], WHOLE[0]]).contains("twice"));
        assert!(breach(&[WHOLE[1], WHOLE[0]]).contains("after"));
        assert!(breach(&["src=a.x n=000000 y"]).contains("was written as"));
        assert!(breach(&[OTHER[0]]).contains("not its own"));
        assert!(breach(&["noise"]).contains("nobody wrote"));
        sound(&ledger, "acme", &stream(&[WHOLE[1], WHOLE[0]]), false).unwrap();
    }

    #[test]
    fn a_line_that_nobody_promised_may_be_missing_until_somebody_does() {
        let mut ledger = ledger();
        let whole = [sound(&ledger, "acme", &stream(&WHOLE), true).unwrap(), sound(&ledger, "blue", &stream(&OTHER), true).unwrap()];
        let (number, _) = ledger.offer("a.push", "p");
        assert_eq!(complete(&ledger, &whole).unwrap().len(), 0);
        ledger.owe("a.push", number);
        assert_eq!(complete(&ledger, &whole).unwrap().len(), 1);
    }

    #[test]
    fn an_ack_of_nothing_is_a_breach() {
        acked(&Oracle::default(), "edge", "p", 0).unwrap();
        acked(&Oracle::default(), "edge", "p", 1).unwrap_err();
        wal_bytes("edge", 11, 10).unwrap_err();
    }
}
