//! The known word that a mistyped one was probably meant to be.
//!
//! Promises: deterministic; the first of equally near words in the given order; nothing when none is
//! near. Must not do: be asked with unbounded words (it compares at most 64 characters of each).

/// Characters of a word that are compared.
const WORD_CHARS_MAX: usize = 64;

/// The nearest of `known` to `word`: at most a third of its characters (and at least one) may differ,
/// a swap of two neighbours counts once.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(WORD_CHARS_MAX).flat_map(char::to_lowercase).collect();
    let allowed = (word.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let other: Vec<char> = candidate.chars().take(WORD_CHARS_MAX).flat_map(char::to_lowercase).collect();
        let distance = distance(&word, &other);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edits (insert, remove, replace, swap neighbours) from one to the other: three rows of the usual table.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        let known = ["listen", "path_prefix", "max_line_size", "max_line_size_truncate", "store", "s3"];
        for (word, meant) in [
            ("lisen", Some("listen")),
            ("Listen", Some("listen")),
            ("litsen", Some("listen")),
            ("max_linesize", Some("max_line_size")),
            ("max_line_sizes", Some("max_line_size")),
            ("stroe", Some("store")),
            ("s4", Some("s3")),
            ("retention", None),
            ("", None),
            ("zzzzzzzzzz", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }

    #[test]
    fn a_huge_word_costs_little() {
        assert_eq!(nearest(&"a".repeat(1 << 20), ["listen"]), None);
    }
}
