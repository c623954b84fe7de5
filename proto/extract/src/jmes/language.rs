//! The whole of JMESPath as a tree: projections, filters, slices, lists and maps of expressions, operators, functions.
//!
//! Parts: [`Node`], [`parse`] (by binding powers, as the language's specification orders them). Limits: `NODES_MAX` parts,
//! `NEST_MAX` deep. Must not do: evaluate; `evaluate` does.

use serde_json::Value;

use super::evaluate::FUNCTIONS;
use crate::fault::ExtractFault;

/// Parts of one expression.
const NODES_MAX: usize = 500;
/// How deep parts may lie in each other.
const NEST_MAX: usize = 50;

/// One part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Current,
    Field(String),
    Index(i64),
    Slice([Option<i64>; 3]),
    Literal(Value),
    /// The right one of what the left one gives; also a pipe, which ends projections.
    Then(Box<Self>, Box<Self>),
    /// The right one of each item of the list, or value of the object, that the left one gives.
    Each(Items, Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    And(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Compare(&'static str, Box<Self>, Box<Self>),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    Call(String, Vec<Self>),
    /// `&`: an expression given to a function.
    Reference(Box<Self>),
}

/// What a projection goes over.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Items {
    /// `[*]`, slices
    List,
    /// `*`
    Values,
    /// `[]`: lists in the list are taken apart.
    Flat,
    /// `[?…]`
    Where(Box<Node>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Quoted(String),
    Literal(Value),
    Number(i64),
    Sign(&'static str),
}

/// Longer signs before those they begin with.
const SIGNS: [&str; 23] = ["[?", "[]", "||", "&&", "==", "!=", "<=", ">=", "<", ">", "!", ".", "*", "[", "]", "{", "}", "(", ")", ",", ":", "|", "&"];

/// Powers from which on a sign takes what stands before it.
fn power(token: &Token) -> u8 {
    let Token::Sign(sign) = token else { return 0 };
    match *sign {
        "|" => 1,
        "||" => 2,
        "&&" => 3,
        "==" | "!=" | "<" | "<=" | ">" | ">=" => 5,
        "[]" => 9,
        "[?" => 21,
        "." => 40,
        "[" => 55,
        "(" => 60,
        _ => 0,
    }
}

const PROJECTION_ENDS: u8 = 10;

pub(super) fn parse(expression: &str) -> Result<Node, ExtractFault> {
    let fault = |column: usize, reason: String| ExtractFault::Expression { expression: expression.to_owned(), column, reason };
    let tokens = tokens(expression).map_err(|(at, reason)| fault(at + 1, reason))?;
    if tokens.is_empty() {
        return Err(fault(1, "a key is wanted; the expression is empty".to_owned()));
    }
    let mut parser = Parser { tokens: &tokens, at: 0, end: expression.len(), nodes: 0, depth: 0 };
    let parsed = parser.expression(0).and_then(|node| if parser.at == tokens.len() { Ok(node) } else { Err(parser.wrong("the end is wanted")) });
    parsed.map_err(|(at, reason)| fault(at + 1, reason))
}

type Wrong = (usize, String);

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, length) = match c {
            ' ' | '\t' | '\n' | '\r' => {
                at += 1;
                continue;
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                (Token::Name(rest[..length].to_owned()), length)
            }
            '-' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => return Err((at, "a key with a dash is quoted, as in \"a-b\"".to_owned())),
            '0'..='9' | '-' => {
                let length = 1 + rest[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - 1);
                (Token::Number(rest[..length].parse().map_err(|_| (at, "a number is wanted".to_owned()))?), length)
            }
            '"' => {
                let length = enclosed(rest, '"').ok_or_else(|| (at, "the quoted key has no end".to_owned()))?;
                let key = serde_json::from_str(&rest[..length]).map_err(|_| (at, "the quoted key has an escape that JSON does not know".to_owned()))?;
                (Token::Quoted(key), length)
            }
            '\'' => {
                let length = enclosed(rest, '\'').ok_or_else(|| (at, "the text has no end".to_owned()))?;
                (Token::Literal(Value::String(rest[1..length - 1].replace("\\'", "'"))), length)
            }
            '`' => {
                let length = enclosed(rest, '`').ok_or_else(|| (at, "the literal has no end".to_owned()))?;
                let inner = rest[1..length - 1].replace("\\`", "`");
                let inner = inner.trim();
                // a literal that is no JSON is a text, as old versions of the language have it
                let value = serde_json::from_str(inner).unwrap_or_else(|_| Value::String(inner.to_owned()));
                (Token::Literal(value), length)
            }
            '@' => (Token::Sign("@"), 1),
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => return Err((at, format!("unexpected {c:?}; a key with other characters than letters, digits and _ is quoted with \""))),
            },
        };
        tokens.push((at, token));
        at += length;
    }
    Ok(tokens)
}

/// Bytes up to the quote that ends what `text` begins with; a backslash takes the next character along.
fn enclosed(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

struct Parser<'t> {
    tokens: &'t [(usize, Token)],
    at: usize,
    /// Where the text ends.
    end: usize,
    nodes: usize,
    depth: usize,
}

impl Parser<'_> {
    fn wrong(&self, wanted: &str) -> Wrong {
        (self.tokens.get(self.at).map_or(self.end, |(at, _)| *at), wanted.to_owned())
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Sign(next)) if *next == sign);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, sign: &str) -> Result<(), Wrong> {
        if self.take(sign) { Ok(()) } else { Err(self.wrong(&format!("{sign} is wanted"))) }
    }

    fn expression(&mut self, above: u8) -> Result<Node, Wrong> {
        self.depth += 1;
        self.nodes += 1;
        if self.depth > NEST_MAX || self.nodes > NODES_MAX {
            return Err(self.wrong("the expression is too large"));
        }
        let mut left = self.begin()?;
        while self.peek().is_some_and(|token| power(token) > above) {
            self.nodes += 1;
            left = self.go_on(left)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// What an expression begins with.
    fn begin(&mut self) -> Result<Node, Wrong> {
        let at = self.at;
        let begun = match self.next() {
            Some(Token::Name(name)) => Node::Field(name),
            Some(Token::Quoted(name)) if self.peek() != Some(&Token::Sign("(")) => Node::Field(name),
            Some(Token::Literal(value)) => Node::Literal(value),
            Some(Token::Sign("@")) => Node::Current,
            Some(Token::Sign("*")) => Node::Each(Items::Values, Box::new(Node::Current), Box::new(self.projected()?)),
            Some(Token::Sign("[]")) => Node::Each(Items::Flat, Box::new(Node::Current), Box::new(self.projected()?)),
            Some(Token::Sign("[?")) => self.filtered(Node::Current)?,
            Some(Token::Sign("[")) => self.bracket(Node::Current, true)?,
            Some(Token::Sign("{")) => self.map()?,
            Some(Token::Sign("!")) => Node::Not(Box::new(self.expression(45)?)),
            Some(Token::Sign("&")) => Node::Reference(Box::new(self.expression(0)?)),
            Some(Token::Sign("(")) => {
                let inner = self.expression(0)?;
                self.expect(")")?;
                inner
            }
            _ => {
                self.at = at;
                return Err(self.wrong("a key is wanted"));
            }
        };
        Ok(begun)
    }

    /// What follows an expression.
    fn go_on(&mut self, left: Node) -> Result<Node, Wrong> {
        let boxed = |node| Box::new(node);
        let Some(Token::Sign(sign)) = self.next() else { return Err(self.wrong("an operator is wanted")) };
        Ok(match sign {
            "." if self.take("*") => Node::Each(Items::Values, boxed(left), boxed(self.projected()?)),
            "." => Node::Then(boxed(left), boxed(self.member()?)),
            "|" => Node::Then(boxed(left), boxed(self.expression(1)?)),
            "||" => Node::Or(boxed(left), boxed(self.expression(2)?)),
            "&&" => Node::And(boxed(left), boxed(self.expression(3)?)),
            "[]" => Node::Each(Items::Flat, boxed(left), boxed(self.projected()?)),
            "[?" => self.filtered(left)?,
            "[" => self.bracket(left, false)?,
            "(" => {
                let Node::Field(name) = left else { return Err(self.wrong("only a name can be called")) };
                let Some((_, least, most)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
                    return Err(self.wrong(&format!("there is no function {name}")));
                };
                let arguments = self.several(")")?;
                if !(*least..=*most).contains(&arguments.len()) {
                    return Err(self.wrong(&format!("{name} takes another number of arguments than {}", arguments.len())));
                }
                Node::Call(name, arguments)
            }
            sign => Node::Compare(sign, boxed(left), boxed(self.expression(5)?)),
        })
    }

    /// What stands behind a point.
    fn member(&mut self) -> Result<Node, Wrong> {
        match self.peek() {
            Some(Token::Name(_) | Token::Quoted(_)) => self.expression(40),
            Some(Token::Sign("[")) => {
                self.at += 1;
                Ok(Node::List(self.several("]")?))
            }
            Some(Token::Sign("{")) => {
                self.at += 1;
                self.map()
            }
            _ => Err(self.wrong("a key is wanted after the point")),
        }
    }

    /// What is done with each item of a projection.
    fn projected(&mut self) -> Result<Node, Wrong> {
        match self.peek() {
            Some(token) if power(token) < PROJECTION_ENDS && !matches!(token, Token::Sign("[" | "[?")) => Ok(Node::Current),
            None => Ok(Node::Current),
            Some(Token::Sign(".")) => {
                self.at += 1;
                if self.take("*") {
                    return Ok(Node::Each(Items::Values, Box::new(Node::Current), Box::new(self.projected()?)));
                }
                let mut node = self.member()?;
                while self.peek().is_some_and(|token| power(token) > 20) {
                    node = self.go_on(node)?;
                }
                Ok(node)
            }
            Some(Token::Sign("[" | "[?")) => self.expression(20),
            Some(_) => Err(self.wrong("a key is wanted")),
        }
    }

    fn filtered(&mut self, left: Node) -> Result<Node, Wrong> {
        let condition = self.expression(0)?;
        self.expect("]")?;
        Ok(Node::Each(Items::Where(Box::new(condition)), Box::new(left), Box::new(self.projected()?)))
    }

    /// Behind `[`: an index, a slice, `*`, or, where an expression begins, a list of expressions.
    fn bracket(&mut self, left: Node, begins: bool) -> Result<Node, Wrong> {
        let is_star = self.peek() == Some(&Token::Sign("*")) && self.tokens.get(self.at + 1).map(|(_, token)| token) == Some(&Token::Sign("]"));
        if is_star {
            self.at += 2;
            return Ok(Node::Each(Items::List, Box::new(left), Box::new(self.projected()?)));
        }
        if !matches!(self.peek(), Some(Token::Number(_) | Token::Sign(":"))) {
            return if begins { Ok(Node::List(self.several("]")?)) } else { Err(self.wrong("an index is wanted")) };
        }
        let mut parts = [None; 3];
        let mut place = 0;
        loop {
            match self.next() {
                Some(Token::Number(number)) if parts[place].is_none() => parts[place] = Some(number),
                Some(Token::Sign(":")) if place < 2 => place += 1,
                Some(Token::Sign("]")) => break,
                _ => {
                    self.at -= 1;
                    return Err(self.wrong("] is wanted"));
                }
            }
        }
        match (place, parts[0]) {
            (0, Some(index)) => Ok(Node::Then(Box::new(left), Box::new(Node::Index(index)))),
            _ if parts[2] == Some(0) => Err(self.wrong("a slice goes on by one item or more")),
            _ => {
                let slice = Node::Then(Box::new(left), Box::new(Node::Slice(parts)));
                Ok(Node::Each(Items::List, Box::new(slice), Box::new(self.projected()?)))
            }
        }
    }

    fn several(&mut self, close: &str) -> Result<Vec<Node>, Wrong> {
        let mut nodes = Vec::new();
        if close == ")" && self.take(close) {
            return Ok(nodes);
        }
        loop {
            nodes.push(self.expression(0)?);
            if self.take(close) {
                return Ok(nodes);
            }
            self.expect(",")?;
        }
    }

    fn map(&mut self) -> Result<Node, Wrong> {
        let mut pairs = Vec::new();
        loop {
            let name = match self.next() {
                Some(Token::Name(name) | Token::Quoted(name)) => name,
                _ => {
                    self.at -= 1;
                    return Err(self.wrong("a key is wanted"));
                }
            };
            self.expect(":")?;
            pairs.push((name, self.expression(0)?));
            if self.take("}") {
                return Ok(Node::Map(pairs));
            }
            self.expect(",")?;
        }
    }
}
