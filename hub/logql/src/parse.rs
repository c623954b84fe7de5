//! Tokens into the log half of the tree: selectors and pipelines.
//!
//! Parts: [`Parser`], the cursor that all parsing shares; [`Parser::selector`]; [`Parser::pipeline`]
//! with one function per kind of stage. Label conditions are in [`crate::parse_filter`], everything
//! that makes samples in [`crate::parse_metric`].
//! Promises: stops at the first token that no LogQL query could have there, as Loki does, and names
//! it. What is grammatical but senseless is kept for the end ([`Parser::note`]), since Loki names a
//! syntax error first. Limits: [`crate::limits`]. Must not do: look further ahead than two tokens.

use proto_model::MatchOp;

use crate::ast::{Extraction, LabelFormat, LabelFormatValue, LabelPick, LineFilter, LineTerm, LogExpr, Matcher, Stage};
use crate::check;
use crate::fault::LogqlFault;
use crate::limits::{MATCHERS_MAX, NESTING_MAX, PARENTHESES_MAX, TERMS_MAX};
use crate::op::LineOp;
use crate::token::{Tok, Token, tokens};

pub(crate) type Parsed<T> = Result<T, LogqlFault>;

/// The words that begin a stage; each has its arm in [`Parser::named_stage`].
const STAGES: [&str; 10] = ["json", "logfmt", "regexp", "pattern", "unpack", "line_format", "label_format", "drop", "keep", "decolorize"];

/// Where parsing stands in a query.
pub(crate) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    terms: usize,
    noted: Option<LogqlFault>,
    unselective: bool,
}

impl Parser {
    pub(crate) fn new(text: &str) -> Parsed<Self> {
        Ok(Self { tokens: tokens(text)?, at: 0, depth: 0, terms: 0, noted: None, unselective: false })
    }

    /// The next token.
    pub(crate) fn peek(&self) -> &Tok {
        &self.token().tok
    }

    /// The one after it.
    pub(crate) fn peek_second(&self) -> &Tok {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].tok
    }

    fn token(&self) -> &Token {
        &self.tokens[self.at]
    }

    /// Goes over the next token; the end stays.
    pub(crate) fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    /// Goes over `sym` if it is next.
    pub(crate) fn eat(&mut self, sym: &'static str) -> bool {
        let found = *self.peek() == Tok::Sym(sym);
        if found {
            self.advance();
        }
        found
    }

    /// Goes over `sym`, which must be next.
    pub(crate) fn expect(&mut self, sym: &'static str, expected: &[&str]) -> Parsed<()> {
        if self.eat(sym) { Ok(()) } else { self.unexpected(expected) }
    }

    /// The fault of the next token.
    pub(crate) fn unexpected<T>(&self, expected: &[&str]) -> Parsed<T> {
        Err(self.token().unexpected(expected))
    }

    pub(crate) fn identifier(&mut self, expected: &[&str]) -> Parsed<String> {
        let Tok::Identifier(name) = self.peek() else { return self.unexpected(expected) };
        let name = name.clone();
        self.advance();
        Ok(name)
    }

    pub(crate) fn string(&mut self, expected: &[&str]) -> Parsed<String> {
        let Tok::String(value) = self.peek() else { return self.unexpected(expected) };
        let value = value.clone();
        self.advance();
        Ok(value)
    }

    /// Keeps the first thing that is senseless; it is the answer unless the syntax is wrong further on.
    pub(crate) fn note(&mut self, checked: Parsed<()>) {
        if let (None, Err(fault)) = (&self.noted, checked) {
            self.noted = Some(fault);
        }
    }

    /// The end of the text, nothing noted on the way, and every selector rules out the empty value.
    pub(crate) fn finish(self) -> Parsed<()> {
        if *self.peek() != Tok::End {
            return self.unexpected(&[]);
        }
        let unselective = self.unselective.then_some(LogqlFault::NoMatcher);
        self.noted.or(unselective).map_or(Ok(()), Err)
    }

    /// One level deeper; each caller goes one up again with [`Self::leave`].
    pub(crate) fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        self.within(self.depth <= NESTING_MAX, || format!("expression nests deeper than {NESTING_MAX} levels"))
    }

    /// Goes over a `(` that is `open` levels deep.
    pub(crate) fn parenthesis(&mut self, open: usize) -> Parsed<()> {
        self.within(open < PARENTHESES_MAX, || format!("expression nests deeper than {PARENTHESES_MAX} levels"))?;
        self.advance();
        Ok(())
    }

    pub(crate) const fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Counts one more label test or operator.
    pub(crate) fn count_term(&mut self) -> Parsed<()> {
        self.terms += 1;
        self.within(self.terms <= TERMS_MAX, || format!("more than {TERMS_MAX} label tests and operators"))
    }

    fn within(&self, holds: bool, text: impl Fn() -> String) -> Parsed<()> {
        let Token { line, col, .. } = *self.token();
        if holds { Ok(()) } else { Err(LogqlFault::TooLarge { line, col, text: text() }) }
    }

    /// `{a="b", c=~"d"}`; what it takes beyond reason, `{}` too, is refused at the end.
    pub(crate) fn selector(&mut self) -> Parsed<Vec<Matcher>> {
        let matchers = self.matchers()?;
        self.unselective |= !check::is_selective(&matchers);
        Ok(matchers)
    }

    fn matchers(&mut self) -> Parsed<Vec<Matcher>> {
        self.expect("{", &[])?;
        let mut matchers = Vec::new();
        if self.eat("}") {
            return Ok(matchers);
        }
        loop {
            let name = self.identifier(if matchers.is_empty() { &["IDENTIFIER", "}"] } else { &["IDENTIFIER"] })?;
            let Some(op) = self.match_op() else { return self.unexpected(&["=", "=~", "!~", "!="]) };
            matchers.push(self.matcher(name, op)?);
            self.within(matchers.len() <= MATCHERS_MAX, || format!("more than {MATCHERS_MAX} matchers in a selector"))?;
            if self.eat("}") {
                return Ok(matchers);
            }
            self.expect(",", &["}", ","])?;
        }
    }

    /// Goes over `=`, `!=`, `=~` or `!~`.
    pub(crate) fn match_op(&mut self) -> Option<MatchOp> {
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        ops.into_iter().find(|op| self.eat(op.as_str()))
    }

    /// The string that ends a matcher.
    pub(crate) fn matcher(&mut self, name: String, op: MatchOp) -> Parsed<Matcher> {
        let matcher = Matcher { name, op, value: self.string(&["STRING"])? };
        check::matcher(&matcher)?;
        Ok(matcher)
    }

    /// A selector and its stages, without `unwrap`.
    pub(crate) fn log_expr(&mut self) -> Parsed<LogExpr> {
        let matchers = self.selector()?;
        let mut log = LogExpr { matchers, stages: Vec::new() };
        while self.stage(&mut log.stages)? {}
        if self.eat("|") {
            // What stopped the stages is `unwrap`, which only a range can have.
            return self.unexpected(&[]);
        }
        Ok(log)
    }

    /// The next stage, if one is next; `| unwrap` is none.
    pub(crate) fn stage(&mut self, stages: &mut Vec<Stage>) -> Parsed<bool> {
        if let Some(op) = self.line_op() {
            self.line_filter(op, stages)?;
            return Ok(true);
        }
        if *self.peek() != Tok::Sym("|") || *self.peek_second() == Tok::Sym("unwrap") {
            return Ok(false);
        }
        self.advance();
        let stage = if let Tok::Identifier(_) | Tok::Sym("(") = self.peek() { Stage::LabelFilter(self.label_filter(&[])?) } else { self.named_stage()? };
        stages.push(stage);
        Ok(true)
    }

    /// A stage that begins with its name.
    fn named_stage(&mut self) -> Parsed<Stage> {
        let Tok::Sym(word) = *self.peek() else { return self.unexpected(&[]) };
        if !STAGES.contains(&word) {
            return self.unexpected(&[]);
        }
        self.advance();
        Ok(match word {
            "json" => Stage::Json { expressions: self.extractions()? },
            "logfmt" => {
                let (mut strict, mut keep_empty) = (false, false);
                while matches!(self.peek(), Tok::Strict | Tok::KeepEmpty) {
                    strict |= *self.peek() == Tok::Strict;
                    keep_empty |= *self.peek() == Tok::KeepEmpty;
                    self.advance();
                }
                Stage::Logfmt { strict, keep_empty, expressions: self.extractions()? }
            }
            "regexp" => {
                let source = self.string(&["STRING"])?;
                check::regexp_stage(&source)?;
                Stage::Regexp(source)
            }
            "pattern" => {
                let source = self.string(&["STRING"])?;
                check::pattern_stage(&source)?;
                Stage::Pattern(source)
            }
            "line_format" => Stage::LineFormat(self.string(&["STRING"])?),
            "label_format" => Stage::LabelFormat(self.list(Self::label_format)?),
            "drop" => Stage::Drop(self.list(Self::label_pick)?),
            "keep" => Stage::Keep(self.list(Self::label_pick)?),
            "decolorize" => Stage::Decolorize,
            _ => Stage::Unpack,
        })
    }

    /// One or more items between commas.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `a, b="path"`, or nothing.
    fn extractions(&mut self) -> Parsed<Vec<Extraction>> {
        if !matches!(self.peek(), Tok::Identifier(_)) {
            return Ok(Vec::new());
        }
        self.list(|parser| {
            let name = parser.identifier(&["IDENTIFIER"])?;
            let path = if parser.eat("=") { parser.string(&["STRING"])? } else { name.clone() };
            Ok(Extraction { name, path })
        })
    }

    fn label_format(&mut self) -> Parsed<LabelFormat> {
        let name = self.identifier(&["IDENTIFIER"])?;
        self.expect("=", &["="])?;
        let value = if let Tok::String(_) = self.peek() {
            LabelFormatValue::Template(self.string(&["STRING"])?)
        } else {
            LabelFormatValue::Rename(self.identifier(&["IDENTIFIER", "STRING"])?)
        };
        Ok(LabelFormat { name, value })
    }

    /// A name or a matcher.
    fn label_pick(&mut self) -> Parsed<LabelPick> {
        let name = self.identifier(&["IDENTIFIER"])?;
        match self.match_op() {
            Some(op) => Ok(LabelPick::Matcher(self.matcher(name, op)?)),
            None => Ok(LabelPick::Name(name)),
        }
    }

    /// Goes over the operator of a line filter.
    fn line_op(&mut self) -> Option<LineOp> {
        let ops = [LineOp::Contains, LineOp::NotContains, LineOp::Match, LineOp::NotMatch, LineOp::Pattern, LineOp::NotPattern];
        ops.into_iter().find(|op| self.eat(op.as_str()))
    }

    /// `"a" or ip("b")`. Negated, none of them may hold, which is a filter each.
    fn line_filter(&mut self, op: LineOp, stages: &mut Vec<Stage>) -> Parsed<()> {
        let mut terms = vec![self.line_term()?];
        while self.eat("or") {
            terms.push(self.line_term()?);
        }
        if op.is_negated() {
            stages.extend(terms.into_iter().map(|term| Stage::LineFilter(LineFilter { op, terms: vec![term] })));
        } else {
            stages.push(Stage::LineFilter(LineFilter { op, terms }));
        }
        Ok(())
    }

    fn line_term(&mut self) -> Parsed<LineTerm> {
        if *self.peek() != Tok::Function("ip") {
            return self.string(&["STRING", "ip"]).map(LineTerm::Text);
        }
        self.ip_pattern().map(LineTerm::Ip)
    }

    /// `ip("...")`.
    pub(crate) fn ip_pattern(&mut self) -> Parsed<String> {
        self.advance();
        self.expect("(", &["("])?;
        let pattern = self.string(&["STRING"])?;
        self.expect(")", &[")"])?;
        Ok(pattern)
    }
}

#[cfg(test)]
mod tests;
