//! River's tokens to a tree.
//!
//! Pure. Parts: [`parse`]; [`Item`], [`Attribute`], [`Block`]; [`Expr`]. Must not do: give names a meaning.

use super::lex::{Token, Word, tokens};
use super::{At, DEPTH_MAX, RiverFault};

/// What stands in a file or block.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `name = expression`
    Attribute(Attribute),
    /// `name "label" { ... }`
    Block(Block),
}

/// `name = expression`
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Where it begins.
    pub at: At,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Expr,
}

/// `name "label" { ... }`
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Where it begins.
    pub at: At,
    /// Its name, with points.
    pub name: String,
    /// Its label.
    pub label: Option<String>,
    /// What stands in it.
    pub items: Vec<Item>,
}

impl Block {
    /// Name and label, as references name it.
    #[must_use]
    pub fn id(&self) -> String {
        self.label.as_ref().map_or_else(|| self.name.clone(), |label| format!("{}.{label}", self.name))
    }
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// Where it begins.
    pub at: At,
    /// What it is.
    pub kind: ExprKind,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// As written.
    Number(String),
    /// A text.
    Text(String),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `{a = b}`
    Object(Vec<(String, Expr)>),
    /// A name.
    Name(String),
    /// `a.b`
    Field(Box<Expr>, String),
    /// `a[b]`
    Index(Box<Expr>, Box<Expr>),
    /// `a(b, c)`
    Call(Box<Expr>, Vec<Expr>),
    /// `-a`, `!a`
    Unary(&'static str, Box<Expr>),
    /// `a + b`
    Binary(&'static str, Box<Expr>, Box<Expr>),
}

/// Operators by how they bind, the loosest first.
const LEVELS: [&[&str]; 6] = [&["||"], &["&&"], &["==", "!=", "<", "<=", ">", ">="], &["+", "-"], &["*", "/", "%"], &["^"]];

/// Reads a file.
///
/// # Errors
/// The first place that is no River.
pub fn parse(text: &str) -> Result<Vec<Item>, RiverFault> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, within: 0, depth: 0 };
    let items = parser.items(&Word::End)?;
    Ok(items)
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    /// Brackets that are open: line ends mean nothing in them.
    within: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&mut self) -> &'t Token {
        while self.within > 0 && self.here().word == Word::LineEnd {
            self.at += 1;
        }
        self.here()
    }

    fn here(&self) -> &'t Token {
        let last = self.tokens.len().saturating_sub(1);
        &self.tokens[self.at.min(last)]
    }

    fn next(&mut self) -> &'t Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn takes(&mut self, sign: &'static str) -> bool {
        let is = self.peek().word == Word::Sign(sign);
        self.at += usize::from(is);
        is
    }

    fn skip_line_ends(&mut self) {
        while matches!(self.here().word, Word::LineEnd | Word::Sign(";")) {
            self.at += 1;
        }
    }

    fn expect(&mut self, sign: &'static str, what: &str) -> Result<(), RiverFault> {
        if self.takes(sign) { Ok(()) } else { Err(self.unexpected(what)) }
    }

    fn unexpected(&mut self, wanted: &str) -> RiverFault {
        let token = self.peek();
        let found = match &token.word {
            Word::Name(name) => format!("{name:?}"),
            Word::Number(number) => number.clone(),
            Word::Text(_) => "a text".to_owned(),
            Word::Sign(sign) => format!("{sign:?}"),
            Word::LineEnd => "the end of the line".to_owned(),
            Word::End => "the end of the file".to_owned(),
        };
        RiverFault::new(token.at, format!("{found} where {wanted} should be"), "mend the file here or just above")
    }

    fn deeper(&mut self) -> Result<(), RiverFault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(RiverFault::new(self.here().at, format!("the nesting is deeper than {DEPTH_MAX}"), "make the file flatter"));
        }
        Ok(())
    }

    fn items(&mut self, end: &Word) -> Result<Vec<Item>, RiverFault> {
        let mut items = Vec::new();
        loop {
            self.skip_line_ends();
            if self.here().word == *end {
                self.at += 1;
                return Ok(items);
            }
            items.push(self.item()?);
            if !matches!(self.here().word, Word::LineEnd | Word::Sign(";")) && self.here().word != *end {
                return Err(self.unexpected("the end of the line"));
            }
        }
    }

    fn item(&mut self) -> Result<Item, RiverFault> {
        let Token { word: Word::Name(first), at } = self.next() else {
            self.at -= 1;
            return Err(self.unexpected("the name of an attribute or block"));
        };
        let mut name = first.clone();
        if self.takes("=") {
            return Ok(Item::Attribute(Attribute { at: *at, name, value: self.expression(0)? }));
        }
        while self.takes(".") {
            let Word::Name(part) = &self.peek().word else { return Err(self.unexpected("the rest of a name")) };
            name.push('.');
            name.push_str(part);
            self.at += 1;
        }
        let label = if let Word::Text(label) = &self.peek().word { Some(label.clone()) } else { None };
        self.at += usize::from(label.is_some());
        self.expect("{", "\"=\" or \"{\"")?;
        self.deeper()?;
        let within = std::mem::take(&mut self.within);
        let items = self.items(&Word::Sign("}"))?;
        self.within = within;
        self.depth -= 1;
        Ok(Item::Block(Block { at: *at, name, label, items }))
    }

    fn expression(&mut self, level: usize) -> Result<Expr, RiverFault> {
        let Some(signs) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.expression(level + 1)?;
        let mut count = 0;
        while let Word::Sign(sign) = self.peek().word {
            if !signs.contains(&sign) {
                break;
            }
            // Operators in a row nest to the left.
            count += 1;
            if count > DEPTH_MAX {
                return Err(RiverFault::new(left.at, format!("more than {DEPTH_MAX} operators in a row"), "split the expression"));
            }
            self.at += 1;
            while self.here().word == Word::LineEnd {
                self.at += 1;
            }
            let right = self.expression(level + 1)?;
            left = Expr { at: left.at, kind: ExprKind::Binary(sign, Box::new(left), Box::new(right)) };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, RiverFault> {
        let at = self.peek().at;
        for sign in ["-", "!"] {
            if self.takes(sign) {
                self.deeper()?;
                let inner = self.unary()?;
                self.depth -= 1;
                return Ok(Expr { at, kind: ExprKind::Unary(sign, Box::new(inner)) });
            }
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Expr, RiverFault> {
        let mut expr = self.operand()?;
        let mut count = 0;
        loop {
            count += 1;
            if count > DEPTH_MAX {
                return Err(RiverFault::new(expr.at, format!("more than {DEPTH_MAX} accesses in a row"), "split the expression"));
            }
            let at = expr.at;
            let kind = if self.takes(".") {
                let Word::Name(part) = &self.peek().word else { return Err(self.unexpected("a name after the point")) };
                self.at += 1;
                ExprKind::Field(Box::new(expr), part.clone())
            } else if self.takes("[") {
                let mut all = self.list("]")?;
                match (all.pop(), all.is_empty()) {
                    (Some(index), true) => ExprKind::Index(Box::new(expr), Box::new(index)),
                    _ => return Err(RiverFault::new(at, "an index is one value", "write a[0] or a[\"name\"]")),
                }
            } else if self.takes("(") {
                ExprKind::Call(Box::new(expr), self.list(")")?)
            } else {
                return Ok(expr);
            };
            expr = Expr { at, kind };
        }
    }

    fn list(&mut self, end: &'static str) -> Result<Vec<Expr>, RiverFault> {
        self.deeper()?;
        self.within += 1;
        let mut items = Vec::new();
        while self.peek().word != Word::Sign(end) {
            items.push(self.expression(0)?);
            if !self.takes(",") {
                break;
            }
        }
        if self.peek().word != Word::Sign(end) {
            return Err(self.unexpected(if end == "]" { "\",\" or \"]\"" } else { "\",\" or \")\"" }));
        }
        self.at += 1;
        self.within -= 1;
        self.depth -= 1;
        Ok(items)
    }

    fn object(&mut self) -> Result<Vec<(String, Expr)>, RiverFault> {
        self.deeper()?;
        self.within += 1;
        let mut fields = Vec::new();
        while self.peek().word != Word::Sign("}") {
            let (Word::Name(name) | Word::Text(name)) = &self.peek().word else { return Err(self.unexpected("the name of a field")) };
            self.at += 1;
            self.expect("=", "\"=\"")?;
            fields.push((name.clone(), self.expression(0)?));
            if !self.takes(",") {
                break;
            }
        }
        if self.peek().word != Word::Sign("}") {
            return Err(self.unexpected("\",\" or \"}\""));
        }
        self.at += 1;
        self.within -= 1;
        self.depth -= 1;
        Ok(fields)
    }

    fn operand(&mut self) -> Result<Expr, RiverFault> {
        let token = self.peek();
        let kind = match &token.word {
            Word::Name(name) => match name.as_str() {
                "null" => ExprKind::Null,
                "true" | "false" => ExprKind::Bool(name == "true"),
                _ => ExprKind::Name(name.clone()),
            },
            Word::Number(number) => ExprKind::Number(number.clone()),
            Word::Text(text) => ExprKind::Text(text.clone()),
            Word::Sign("[") => {
                self.at += 1;
                return Ok(Expr { at: token.at, kind: ExprKind::List(self.list("]")?) });
            }
            Word::Sign("{") => {
                self.at += 1;
                return Ok(Expr { at: token.at, kind: ExprKind::Object(self.object()?) });
            }
            Word::Sign("(") => {
                self.at += 1;
                let mut all = self.list(")")?;
                return match (all.pop(), all.is_empty()) {
                    (Some(inner), true) => Ok(inner),
                    _ => Err(RiverFault::new(token.at, "brackets hold one expression", "mend the expression")),
                };
            }
            Word::Sign(_) | Word::LineEnd | Word::End => return Err(self.unexpected("a value")),
        };
        self.at += 1;
        Ok(Expr { at: token.at, kind })
    }
}
