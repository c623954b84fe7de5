//! Tokens into whole queries: aggregations, ranges, binary operators, functions.
//!
//! Parts: [`query`] and [`selector_only`], the two ways in; [`Parser::expr`], operators by
//! precedence with a stack of waiting left sides; operands; ranges of log lines; groupings.
//! Promises: a scalar of two scalars is folded; senseless combinations are noted, not refused, until
//! the syntax is known to be right. Limits: calls recurse within `NESTING_MAX`; parentheses
//! are within `PARENTHESES_MAX`, without recursion.

use crate::ast::{Expr, Grouping, LogExpr, LogRange, Matcher, MetricExpr, Unwrap, VectorMatching};
use crate::check;
use crate::fault::LogqlFault;
use crate::op::{BinOp, GroupSide, RangeOp, UnwrapConversion, VectorOp};
use crate::parse::{Parsed, Parser};
use crate::token::Tok;

/// A whole query.
pub(crate) fn query(text: &str) -> Parsed<Expr> {
    let mut parser = Parser::new(text)?;
    let expr = parser.expr()?;
    parser.finish()?;
    Ok(expr)
}

/// A selector and nothing else. Any other query is refused as such, unless it is none.
pub(crate) fn selector_only(text: &str) -> Parsed<Vec<Matcher>> {
    match query(text)? {
        Expr::Log(LogExpr { matchers, stages }) if stages.is_empty() => Ok(matchers),
        Expr::Log(_) | Expr::Metric(_) => Err(LogqlFault::NotSelector),
    }
}

/// A left side with its operator, waiting for its right side.
struct Waiting {
    left: Expr,
    op: BinOp,
    matching: Option<VectorMatching>,
    return_bool: bool,
}

impl Parser {
    /// Operands between operators.
    pub(crate) fn expr(&mut self) -> Parsed<Expr> {
        // What waits outside of each open parenthesis.
        let mut outside: Vec<Vec<Waiting>> = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        loop {
            if *self.peek() == Tok::Sym("(") {
                self.parenthesis(outside.len())?;
                outside.push(std::mem::take(&mut waiting));
                continue;
            }
            let mut right = self.operand()?;
            let op = loop {
                if let Some(op) = self.binary_op() {
                    break op;
                }
                while let Some(left) = waiting.pop() {
                    right = self.binary(left, right);
                }
                let Some(before) = outside.pop() else { return Ok(right) };
                right = self.close(right)?;
                waiting = before;
            };
            self.count_term()?;
            while let Some(left) = waiting.pop_if(|before| before.op.ends_before(op)) {
                right = self.binary(left, right);
            }
            self.advance();
            let (matching, return_bool) = self.modifier()?;
            waiting.push(Waiting { left: right, op, matching, return_bool });
        }
    }

    /// The operator that is next.
    fn binary_op(&self) -> Option<BinOp> {
        if let Tok::Sym(word) = self.peek() { BinOp::of(word) } else { None }
    }

    /// Joins two sides; two scalars become one.
    fn binary(&mut self, waiting: Waiting, right: Expr) -> Expr {
        let Waiting { left, op, matching, return_bool } = waiting;
        self.note(check::binary(op, &left, &right));
        let (Expr::Metric(left), Expr::Metric(right)) = (left, right) else {
            // Noted above; what stands here is never seen.
            return Expr::Metric(MetricExpr::Literal(f64::NAN));
        };
        if let (MetricExpr::Literal(left), MetricExpr::Literal(right)) = (&left, &right) {
            return Expr::Metric(MetricExpr::Literal(op.apply(*left, *right)));
        }
        Expr::Metric(MetricExpr::Binary { op, left: Box::new(left), right: Box::new(right), matching, return_bool })
    }

    /// Behind an operator: `bool`, `on (a) group_left (b)`.
    fn modifier(&mut self) -> Parsed<(Option<VectorMatching>, bool)> {
        let return_bool = self.eat("bool");
        let on = self.eat("on");
        if !on && !self.eat("ignoring") {
            return Ok((None, return_bool));
        }
        let labels = self.labels()?;
        let group = if self.eat("group_left") {
            Some(GroupSide::Left)
        } else if self.eat("group_right") {
            Some(GroupSide::Right)
        } else {
            None
        };
        let include = if group.is_some() && *self.peek() == Tok::Sym("(") { self.labels()? } else { Vec::new() };
        let matches_all = !on && labels.is_empty() && group.is_none();
        Ok(((!matches_all).then_some(VectorMatching { on, labels, group, include }), return_bool))
    }

    /// `(a, b)` or `()`.
    fn labels(&mut self) -> Parsed<Vec<String>> {
        self.expect("(", &["("])?;
        let mut labels = Vec::new();
        if self.eat(")") {
            return Ok(labels);
        }
        loop {
            labels.push(self.identifier(if labels.is_empty() { &["IDENTIFIER", ")"] } else { &["IDENTIFIER"] })?);
            if self.eat(")") {
                return Ok(labels);
            }
            self.expect(",", &[",", ")"])?;
        }
    }

    /// An operand without parentheses around it.
    fn operand(&mut self) -> Parsed<Expr> {
        if *self.peek() == Tok::Sym("{") {
            return self.log_expr().map(Expr::Log);
        }
        if let Tok::Number(..) | Tok::Sym("+" | "-") = self.peek() {
            return self.signed_number().map(|n| Expr::Metric(MetricExpr::Literal(n)));
        }
        if let Tok::Function(name) = *self.peek() {
            self.enter()?;
            let call = self.call(name)?;
            self.leave();
            return Ok(Expr::Metric(call));
        }
        self.unexpected(&[])
    }

    /// The `)` behind `inner`. A bare `variants` cannot stand in parentheses.
    fn close(&mut self, inner: Expr) -> Parsed<Expr> {
        if matches!(inner, Expr::Metric(MetricExpr::Variants { .. })) {
            return self.unexpected(&[]);
        }
        self.expect(")", &[])?;
        Ok(inner)
    }

    /// An operand that must give samples.
    fn metric(&mut self) -> Parsed<MetricExpr> {
        match self.expr()? {
            Expr::Metric(MetricExpr::Variants { .. }) | Expr::Log(_) => self.unexpected(&[]),
            Expr::Metric(metric) => Ok(metric),
        }
    }

    fn call(&mut self, name: &'static str) -> Parsed<MetricExpr> {
        if let Some(op) = RangeOp::of(name) {
            return self.range_aggregation(op);
        }
        if let Some(op) = VectorOp::of(name) {
            return self.vector_aggregation(op);
        }
        match name {
            "vector" => {
                self.advance();
                self.expect("(", &["("])?;
                let (_, value) = self.number(&["NUMBER"])?;
                self.expect(")", &[")"])?;
                Ok(MetricExpr::VectorLiteral(value))
            }
            "label_replace" => self.label_replace(),
            "variants" => self.variants(),
            _ => self.unexpected(&[]),
        }
    }

    fn label_replace(&mut self) -> Parsed<MetricExpr> {
        self.advance();
        self.expect("(", &["("])?;
        let inner = Box::new(self.metric()?);
        let mut words = [const { String::new() }; 4];
        for (i, word) in words.iter_mut().enumerate() {
            self.expect(",", if i == 0 { &[] } else { &[","] })?;
            *word = self.string(&["STRING"])?;
        }
        self.expect(")", &[")"])?;
        let [dst, replacement, src, regex] = words;
        self.note(check::label_replace(&regex));
        Ok(MetricExpr::LabelReplace { inner, dst, replacement, src, regex })
    }

    fn variants(&mut self) -> Parsed<MetricExpr> {
        self.advance();
        self.expect("(", &["("])?;
        let mut variants = vec![self.metric()?];
        while self.eat(",") {
            variants.push(self.metric()?);
        }
        self.expect(")", &[])?;
        self.expect("of", &["of"])?;
        self.expect("(", &["("])?;
        let of = self.log_range(&["{", "("])?;
        self.expect(")", &[")"])?;
        Ok(MetricExpr::Variants { variants, of })
    }

    fn vector_aggregation(&mut self, op: VectorOp) -> Parsed<MetricExpr> {
        self.advance();
        let mut grouping = self.grouping()?;
        self.expect("(", &["("])?;
        let mut param = None;
        if let (Tok::Number(..), Tok::Sym(",")) = (self.peek(), self.peek_second()) {
            param = Some(self.number(&[])?);
            self.advance();
        }
        let inner = Box::new(self.metric()?);
        self.expect(")", &[])?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let checked = check::vector(op, param.as_ref(), grouping.as_ref());
        self.note(checked);
        // `by ()` puts everything into one group, as no grouping does; Loki prints both alike.
        let grouping = grouping.filter(|grouping| !grouping.is_by_nothing());
        Ok(MetricExpr::Vector { op, param: param.map(|(_, value)| value), inner, grouping })
    }

    fn range_aggregation(&mut self, op: RangeOp) -> Parsed<MetricExpr> {
        self.advance();
        self.expect("(", &["("])?;
        let mut param = None;
        let mut expected: &[&str] = &["NUMBER", "{", "("];
        if let Tok::Number(..) = self.peek() {
            param = Some(self.number(&[])?);
            self.expect(",", &[","])?;
            expected = &["{", "("];
        }
        let range = self.log_range(expected)?;
        self.expect(")", &[")"])?;
        let grouping = self.grouping()?;
        let checked = check::range(op, param.as_ref(), &range, grouping.as_ref());
        self.note(checked);
        Ok(MetricExpr::Range { op, param: param.map(|(_, value)| value), range, grouping })
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = self.eat("without");
        if !without && !self.eat("by") {
            return Ok(None);
        }
        Ok(Some(Grouping { without, labels: self.labels()? }))
    }

    /// `{..} | stages [5m] offset 1m`, with the range before or behind the stages, in parentheses or not.
    fn log_range(&mut self, expected: &[&str]) -> Parsed<LogRange> {
        if *self.peek() == Tok::Sym("{") {
            return self.open_range(false);
        }
        self.expect("(", expected)?;
        self.enter()?;
        let range = if *self.peek() == Tok::Sym("(") {
            let range = self.log_range(&["{", "("])?;
            self.expect(")", &[")"])?;
            range
        } else {
            self.open_range(true)?
        };
        self.leave();
        Ok(range)
    }

    /// From a selector to the end of its range; `in_parens`: the `)` before, between or behind is part of it.
    fn open_range(&mut self, in_parens: bool) -> Parsed<LogRange> {
        if *self.peek() != Tok::Sym("{") {
            return self.unexpected(&["{", "("]);
        }
        let matchers = self.selector()?;
        let mut range = LogRange { log: LogExpr { matchers, stages: Vec::new() }, range_ns: 0, offset_ns: 0, unwrap: None };
        let ranged_first = matches!(self.peek(), Tok::Range(_));
        if ranged_first {
            self.range_and_offset(&mut range, &[])?;
        }
        while self.stage(&mut range.log.stages)? {}
        range.unwrap = self.unwrap()?;
        if ranged_first {
            return if in_parens { self.expect(")", &[")"]).map(|()| range) } else { Ok(range) };
        }
        let closed_first = in_parens && self.eat(")");
        let expected: &[&str] = if closed_first {
            &["RANGE"]
        } else if range.unwrap.is_some() {
            if in_parens { &["RANGE", ")", "|"] } else { &["RANGE", "|"] }
        } else {
            &[]
        };
        self.range_and_offset(&mut range, expected)?;
        if in_parens && !closed_first {
            self.expect(")", &[")"])?;
        } else if closed_first && range.log.stages.is_empty() && range.unwrap.is_none() && *self.peek() == Tok::Sym("|") {
            range.unwrap = self.unwrap()?;
            if range.unwrap.is_none() {
                self.advance();
                return self.unexpected(&["unwrap"]);
            }
        }
        Ok(range)
    }

    fn range_and_offset(&mut self, range: &mut LogRange, expected: &[&str]) -> Parsed<()> {
        let Tok::Range(range_ns) = *self.peek() else { return self.unexpected(expected) };
        self.advance();
        range.range_ns = range_ns;
        if self.eat("offset") {
            let Tok::Duration(offset_ns) = *self.peek() else { return self.unexpected(&["DURATION"]) };
            self.advance();
            range.offset_ns = offset_ns;
        }
        Ok(())
    }

    /// `| unwrap label`, with the label filters behind it.
    fn unwrap(&mut self) -> Parsed<Option<Unwrap>> {
        if *self.peek() != Tok::Sym("|") || *self.peek_second() != Tok::Sym("unwrap") {
            return Ok(None);
        }
        self.advance();
        self.advance();
        let conversion = if let Tok::Function(name) = self.peek() { UnwrapConversion::of(name) } else { None };
        let label = if conversion.is_some() {
            self.advance();
            self.expect("(", &["("])?;
            let label = self.identifier(&["IDENTIFIER"])?;
            self.expect(")", &[")"])?;
            label
        } else {
            self.identifier(&["IDENTIFIER", "BYTES_CONV", "DURATION_CONV", "DURATION_SECONDS_CONV"])?
        };
        let mut filters = Vec::new();
        while self.eat("|") {
            filters.push(self.label_filter(&["IDENTIFIER", "("])?);
        }
        Ok(Some(Unwrap { label, conversion, filters }))
    }
}
