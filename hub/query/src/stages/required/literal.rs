//! Texts of a regular expression: each match holds at least one of them.
//!
//! Parts: [`of_regex`]. What the match begins with, what it ends with, or the longest text in the middle, whichever tells
//! most. Promises: texts are ASCII, so that the repair of broken lines does not matter. Must not do: match.

use proto_extract::dialect;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

/// More texts than this are dearer to look for than they spare.
const TEXTS_MAX: usize = 32;
/// Shorter texts stand nearly everywhere.
const LENGTH_MIN: usize = 3;

/// Texts of a line filter's expression, as written in a query; `None` when none are known.
pub(crate) fn of_regex(re2: &str) -> Option<Vec<Vec<u8>>> {
    let source = dialect::translate(re2).ok()?;
    let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(&source).ok()?;
    let by = |kind| {
        let mut extractor = Extractor::new();
        extractor.kind(kind).limit_total(TEXTS_MAX);
        texts_of(&extractor.extract(&hir))
    };
    let inner = inner(&hir).filter(|text| text.is_ascii()).map(|text| vec![text]);
    let found = [by(ExtractKind::Prefix), by(ExtractKind::Suffix), inner].into_iter().flatten();
    let shortest = |texts: &Vec<Vec<u8>>| texts.iter().map(Vec::len).min().unwrap_or(0);
    found.filter(|texts| shortest(texts) >= LENGTH_MIN).max_by_key(shortest)
}

fn texts_of(found: &Seq) -> Option<Vec<Vec<u8>>> {
    let mut texts: Vec<Vec<u8>> = found.literals()?.iter().map(|literal| literal.as_bytes().to_vec()).collect();
    texts.sort();
    texts.dedup();
    (!texts.is_empty() && texts.iter().all(|text| text.is_ascii() && !text.contains(&b'\n'))).then_some(texts)
}

/// The longest text that stands in every match. Depth is bounded by what the dialect lets through.
fn inner(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_vec()),
        HirKind::Capture(capture) => inner(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => inner(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(inner).max_by_key(Vec::len),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => None,
    }
}
