//! Patterns out of lines: those of one shape whose words mostly agree become one, the words that differ become `<_>`.
//!
//! Parts: [`Miner`] ([`Miner::add`] a line, [`Miner::merge`] another miner, [`Miner::patterns`]), `Cluster` (a pattern so far),
//! [`Mined`] (a pattern as text). In the manner of Drain: a line joins the cluster it is most like, if at least half of its
//! telling words agree; values of keys and words with digits tell nothing. Promises: every line that is added counts in one
//! pattern, and `|>` with that pattern finds it; the same lines in the same order give the same patterns. Limits: [`CLUSTERS_MAX`],
//! [`ALIKE_MAX`]: beyond them lines join what is nearest, at last the pattern `<_>`. Must not do: read time or stores.

use std::collections::BTreeMap;

use super::shape::{HOLE, Shape, Word};

/// Patterns of one answer. What is beyond is rare, and Logs Drilldown shows 500.
pub(crate) const CLUSTERS_MAX: usize = 1_000;
/// Clusters of one shape: more differ in chance only, and each is compared with every line.
const ALIKE_MAX: usize = 64;
/// Of ten telling words so many must agree.
const AGREEING_TENTHS: usize = 5;

/// Lines that say the same, as far as is known.
#[derive(Debug, Clone)]
struct Cluster {
    /// `None`: differs between its lines.
    words: Vec<Option<Box<str>>>,
    /// Lines by bucket of time.
    counts: BTreeMap<i64, u64>,
}

/// The clusters of one shape.
#[derive(Debug, Clone, Default)]
struct Family {
    is_value: Vec<bool>,
    clusters: Vec<Cluster>,
}

/// The shapes of one level.
type Families = BTreeMap<Box<str>, Family>;

/// Patterns so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Miner {
    levels: BTreeMap<Box<str>, Families>,
    clusters: usize,
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mined {
    pub(crate) pattern: String,
    /// Empty: the lines have none.
    pub(crate) level: String,
    /// Lines by bucket of time.
    pub(crate) counts: BTreeMap<i64, u64>,
}

impl Miner {
    /// Counts a line in bucket `bucket` as `lines` lines. Empty lines have no pattern.
    pub(crate) fn add(&mut self, level: &str, bucket: i64, lines: u64, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let shape = Shape::of(line);
        let is_value = || shape.words.iter().map(|word| word.is_value).collect();
        let words: Vec<Option<&str>> = shape.words.iter().map(|word: &Word<'_>| word.text).collect();
        let cluster = self.place(level, &shape.text, is_value, &words);
        *cluster.counts.entry(bucket).or_default() += lines;
    }

    /// Takes what another miner found.
    pub(crate) fn merge(&mut self, other: Self) {
        for (level, families) in other.levels {
            for (shape, family) in families {
                for cluster in family.clusters {
                    let words: Vec<Option<&str>> = cluster.words.iter().map(Option::as_deref).collect();
                    let mine = self.place(&level, &shape, || family.is_value.clone(), &words);
                    for (bucket, lines) in cluster.counts {
                        *mine.counts.entry(bucket).or_default() += lines;
                    }
                }
            }
        }
    }

    /// The cluster that words of this shape belong to, widened to hold them.
    fn place(&mut self, level: &str, shape: &str, is_value: impl FnOnce() -> Vec<bool>, words: &[Option<&str>]) -> &mut Cluster {
        let is_full = self.clusters >= CLUSTERS_MAX;
        if !self.levels.contains_key(level) {
            self.levels.insert(level.into(), Families::new());
        }
        let families = self.levels.get_mut(level).expect("it was inserted above");
        let is_known = families.contains_key(shape);
        // Once full, a shape that is new has no place but among all others.
        let (shape, words) = if is_known || !is_full { (shape, words) } else { ("\u{0}", &[None][..]) };
        if !families.contains_key(shape) {
            let is_value = if is_full && !is_known { vec![false] } else { is_value() };
            families.insert(shape.into(), Family { is_value, clusters: Vec::new() });
        }
        let family = families.get_mut(shape).expect("it was inserted above");
        let (at, is_new) = family.nearest(words, is_full);
        self.clusters += usize::from(is_new);
        family.clusters[at].widened(words)
    }

    /// All patterns, the most frequent first.
    pub(crate) fn patterns(self) -> Vec<Mined> {
        let mut found: BTreeMap<(String, Box<str>), BTreeMap<i64, u64>> = BTreeMap::new();
        for (level, families) in self.levels {
            for (shape, family) in families {
                for cluster in family.clusters {
                    let counts = found.entry((rendered(&shape, &cluster.words), level.clone())).or_default();
                    for (bucket, lines) in cluster.counts {
                        *counts.entry(bucket).or_default() += lines;
                    }
                }
            }
        }
        let mut patterns: Vec<(u64, Mined)> =
            found.into_iter().map(|((pattern, level), counts)| (counts.values().sum(), Mined { pattern, level: level.into_string(), counts })).collect();
        // Stable: equal ones stay in order of their text.
        patterns.sort_by_key(|(lines, _)| std::cmp::Reverse(*lines));
        patterns.into_iter().map(|(_, mined)| mined).collect()
    }
}

impl Family {
    /// The place of the cluster that is most like `words`; whether it is new.
    fn nearest(&mut self, words: &[Option<&str>], is_full: bool) -> (usize, bool) {
        let likeness = |cluster: &Cluster| cluster.likeness(words, &self.is_value);
        let best = self.clusters.iter().map(likeness).enumerate().max_by_key(|(at, (tenths, agreeing))| (*tenths, *agreeing, std::cmp::Reverse(*at)));
        match best {
            Some((at, (tenths, _))) if tenths >= AGREEING_TENTHS || is_full || self.clusters.len() >= ALIKE_MAX => (at, false),
            _ => {
                self.clusters.push(Cluster { words: words.iter().map(|word| word.map(Into::into)).collect(), counts: BTreeMap::new() });
                (self.clusters.len() - 1, true)
            }
        }
    }
}

impl Cluster {
    /// How many tenths of the telling words agree, and how many words do.
    fn likeness(&self, words: &[Option<&str>], is_value: &[bool]) -> (usize, usize) {
        let (mut agreeing, mut differing, mut equal) = (0, 0, 0);
        for ((mine, other), is_value) in self.words.iter().zip(words).zip(is_value) {
            let (Some(mine), Some(other)) = (mine, other) else { continue };
            let is_equal = **mine == **other;
            equal += usize::from(is_equal);
            if *is_value || has_digit(mine) || has_digit(other) {
                continue;
            }
            agreeing += usize::from(is_equal);
            differing += usize::from(!is_equal);
        }
        // Where no word tells, all lines say the same.
        let tenths = (agreeing * 10_usize).checked_div(agreeing + differing).unwrap_or(10);
        (tenths, equal)
    }

    /// The same with a hole wherever `words` differ.
    fn widened(&mut self, words: &[Option<&str>]) -> &mut Self {
        for (mine, other) in self.words.iter_mut().zip(words) {
            if mine.as_deref() != *other {
                *mine = None;
            }
        }
        self
    }
}

fn has_digit(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}

/// The pattern as `|>` takes it.
fn rendered(shape: &str, words: &[Option<Box<str>>]) -> String {
    let mut out = String::with_capacity(shape.len() + 16);
    let mut words = words.iter();
    for c in shape.chars() {
        if c != HOLE {
            out.push(c);
            continue;
        }
        match words.next() {
            Some(Some(word)) => out.push_str(word),
            // Two captures side by side are no pattern.
            Some(None) | None if out.ends_with("<_>") => {}
            Some(None) | None => out.push_str("<_>"),
        }
    }
    out
}

#[cfg(test)]
mod tests;
