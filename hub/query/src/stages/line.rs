//! Line filters: terms joined by `or`, each a text, an expression, a pattern or an address.
//!
//! Parts: [`LineStep`] with [`LineStep::needles`], by which a whole run of lines can be searched before
//! any line is looked at, and [`RunSearch`], that search. Must not do: change a line.

use hub_logql::{LineFilter, LineOp, LineTerm};
use memchr::memmem;
use proto_extract::selector::{self, LineTest};

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

    /// The one text that every passing line holds, when there is one.
    pub(crate) fn needle(&self) -> Option<&[u8]> {
        match self.terms.as_slice() {
            [Term::Test(test)] => test.required().filter(|needle| !needle.is_empty()),
            _ => None,
        }
    }
}

/// A search for one text through a run of lines, asked line by line, ascending.
#[derive(Debug)]
pub(crate) struct RunSearch<'r> {
    run: &'r [u8],
    finder: memmem::Finder<'r>,
    /// Where the text stands next, at or after the last line asked for.
    next: Option<usize>,
}

impl<'r> RunSearch<'r> {
    /// Looks for `needle` in `run`; `None` when it is nowhere in it, so that no line can pass.
    pub(crate) fn new(run: &'r [u8], needle: &'r [u8]) -> Option<Self> {
        let finder = memmem::Finder::new(needle);
        let next = finder.find(run)?;
        Some(Self { run, finder, next: Some(next) })
    }

    /// Whether the text stands wholly inside `start..end` of the run.
    pub(crate) fn stands_in(&mut self, start: usize, end: usize) -> bool {
        while let Some(next) = self.next {
            if next >= start {
                return next + self.finder.needle().len() <= end;
            }
            self.next = self.run.get(start..).and_then(|rest| self.finder.find(rest)).map(|at| at + start);
        }
        false
    }

    /// Whether no later line can hold the text.
    pub(crate) const fn is_over(&self) -> bool {
        self.next.is_none()
    }
}
