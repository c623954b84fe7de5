//! Line filters: terms joined by `or`, each a text, an expression, a pattern or an address.
//!
//! Parts: [`LineStep`] with [`LineStep::required`], by which a whole run of lines can be searched before
//! any line is looked at. Must not do: change a line.

use hub_logql::{LineFilter, LineOp, LineTerm};
use proto_extract::selector::{self, LineTest};

use super::required::literal;
use crate::address::AddressTest;

/// One line filter, compiled.
#[derive(Debug, Clone)]
pub(crate) struct LineStep {
    terms: Vec<Term>,
}

#[derive(Debug, Clone)]
enum Term {
    Test(LineTest),
    Address { test: AddressTest, not: bool },
}

impl LineStep {
    /// Compiles a line filter.
    ///
    /// # Errors
    /// In Loki's words: a broken expression, pattern or address.
    pub(crate) fn new(filter: &LineFilter) -> Result<Self, String> {
        let op = match filter.op {
            LineOp::Contains => selector::LineOp::Contains,
            LineOp::NotContains => selector::LineOp::NotContains,
            LineOp::Match => selector::LineOp::Match,
            LineOp::NotMatch => selector::LineOp::NotMatch,
            LineOp::Pattern => selector::LineOp::Pattern,
            LineOp::NotPattern => selector::LineOp::NotPattern,
        };
        let terms = filter.terms.iter().map(|term| {
            Ok(match term {
                LineTerm::Text(text) => Term::Test(LineTest::new(op, text.as_str()).map_err(|fault| fault.to_string())?),
                LineTerm::Ip(pattern) => Term::Address { test: AddressTest::parse(pattern)?, not: filter.op.is_negated() },
            })
        });
        Ok(Self { terms: terms.collect::<Result<_, String>>()? })
    }

    /// Whether the line stays.
    pub(crate) fn passes(&self, line: &[u8]) -> bool {
        self.terms.iter().any(|term| match term {
            Term::Test(test) => test.passes(line),
            Term::Address { test, not } => test.found_in(line) != *not,
        })
    }

    /// Texts of which every passing line holds at least one, when they are known.
    pub(crate) fn required(&self) -> Option<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for term in &self.terms {
            let Term::Test(test) = term else { return None };
            match test.required() {
                Some(text) => all.push(text.to_vec()),
                None if test.op() == selector::LineOp::Match => all.extend(literal::of_regex(test.text())?),
                None => return None,
            }
        }
        Some(all)
    }
}
