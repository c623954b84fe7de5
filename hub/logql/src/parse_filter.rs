//! Label conditions: single tests and how `and`, `or`, `,` and mere adjacency join them.
//!
//! Parts: [`Parser::label_filter`], which keeps a stack of waiting left sides instead of recursing;
//! then one test of a label.
//! Promise: joins as Loki's generated parser does: `and` binds tighter than `or`, both to the left; a
//! comma or a blank takes everything that follows as its right side, whatever stands before it.
//! Limits: parentheses within `PARENTHESES_MAX`, without recursion; terms within `TERMS_MAX`.

use proto_model::MatchOp;

use crate::ast::LabelFilter;
use crate::op::CmpOp;
use crate::parse::{Parsed, Parser};
use crate::token::Tok;

/// What joins two conditions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Join {
    /// `and`
    And,
    /// `or`
    Or,
    /// `,` or nothing: "and" too.
    Adjacent,
}

impl Join {
    fn tree(self, left: LabelFilter, right: LabelFilter) -> LabelFilter {
        let (left, right) = (Box::new(left), Box::new(right));
        if self == Self::Or { LabelFilter::Or(left, right) } else { LabelFilter::And(left, right) }
    }

    /// Whether `left self right` is a whole when `next` follows.
    const fn ends_before(self, next: Self) -> bool {
        match (self, next) {
            (Self::And, Self::And | Self::Or) | (Self::Or, Self::Or) => true,
            (Self::Or, Self::And) | (Self::Adjacent, _) | (_, Self::Adjacent) => false,
        }
    }
}

impl Parser {
    /// A condition; `expected` belongs to the fault of its first token.
    pub(crate) fn label_filter(&mut self, expected: &[&str]) -> Parsed<LabelFilter> {
        let mut expected = expected;
        // What waits outside of each open parenthesis.
        let mut outside: Vec<Vec<(LabelFilter, Join)>> = Vec::new();
        let mut waiting: Vec<(LabelFilter, Join)> = Vec::new();
        loop {
            if *self.peek() == Tok::Sym("(") {
                self.parenthesis(outside.len())?;
                outside.push(std::mem::take(&mut waiting));
                expected = &["IDENTIFIER", "("];
                continue;
            }
            self.count_term()?;
            let mut right = self.label_test(expected)?;
            let join = loop {
                if let Some(join) = self.join() {
                    break join;
                }
                while let Some((left, join)) = waiting.pop() {
                    right = join.tree(left, right);
                }
                let Some(before) = outside.pop() else { return Ok(right) };
                self.expect(")", &[])?;
                waiting = before;
            };
            while let Some((left, before)) = waiting.pop_if(|(_, before)| before.ends_before(join)) {
                right = before.tree(left, right);
            }
            waiting.push((right, join));
            expected = &["IDENTIFIER", "("];
        }
    }

    /// Goes over what joins the condition with a next one.
    fn join(&mut self) -> Option<Join> {
        if self.eat("and") {
            Some(Join::And)
        } else if self.eat("or") {
            Some(Join::Or)
        } else if self.eat(",") || matches!(self.peek(), Tok::Identifier(_) | Tok::Sym("(")) {
            Some(Join::Adjacent)
        } else {
            None
        }
    }

    fn label_test(&mut self, expected: &[&str]) -> Parsed<LabelFilter> {
        let name = self.identifier(expected)?;
        let Tok::Sym(op @ ("=" | "!=" | "=~" | "!~" | "==" | ">" | ">=" | "<" | "<=")) = *self.peek() else { return self.unexpected(&[]) };
        self.advance();
        match op {
            "=" => self.equality(name, MatchOp::Equal, CmpOp::Equal),
            "!=" => self.equality(name, MatchOp::NotEqual, CmpOp::NotEqual),
            "=~" => self.matcher(name, MatchOp::Regex).map(LabelFilter::Matcher),
            "!~" => self.matcher(name, MatchOp::NotRegex).map(LabelFilter::Matcher),
            "==" => self.comparison(name, CmpOp::Equal),
            ">" => self.comparison(name, CmpOp::Greater),
            ">=" => self.comparison(name, CmpOp::GreaterOrEqual),
            "<" => self.comparison(name, CmpOp::Less),
            _ => self.comparison(name, CmpOp::LessOrEqual),
        }
    }

    /// Behind `=` or `!=`: text, an address or a value.
    fn equality(&mut self, name: String, op: MatchOp, cmp: CmpOp) -> Parsed<LabelFilter> {
        if let Tok::String(_) = self.peek() {
            return self.matcher(name, op).map(LabelFilter::Matcher);
        }
        if *self.peek() == Tok::Function("ip") {
            return Ok(LabelFilter::Ip { name, not: op == MatchOp::NotEqual, pattern: self.ip_pattern()? });
        }
        self.comparison(name, cmp)
    }

    /// Behind a comparison: a duration, a size or a number.
    fn comparison(&mut self, name: String, op: CmpOp) -> Parsed<LabelFilter> {
        if let Tok::Duration(value_ns) = *self.peek() {
            self.advance();
            return Ok(LabelFilter::Duration { name, op, value_ns });
        }
        if let Tok::Bytes(value) = *self.peek() {
            self.advance();
            return Ok(LabelFilter::Bytes { name, op, value });
        }
        if let Tok::Number(..) | Tok::Sym("+" | "-") = self.peek() {
            return Ok(LabelFilter::Number { name, op, value: self.signed_number()? });
        }
        self.unexpected(&[])
    }

    /// `5`, `+5` or `-5`.
    pub(crate) fn signed_number(&mut self) -> Parsed<f64> {
        let negative = *self.peek() == Tok::Sym("-");
        if negative || *self.peek() == Tok::Sym("+") {
            self.advance();
        }
        let (_, value) = self.number(&["NUMBER"])?;
        Ok(if negative { -value } else { value })
    }

    /// A number as written and its value.
    pub(crate) fn number(&mut self, expected: &[&str]) -> Parsed<(String, f64)> {
        let Tok::Number(text, value) = self.peek() else { return self.unexpected(expected) };
        let number = (text.clone(), *value);
        self.advance();
        Ok(number)
    }
}
