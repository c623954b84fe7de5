//! Text to tree: splits a template at its actions and reads each as a pipe.
//!
//! Parts: [`parse`], then [`Parser`], one method per level of the grammar: action, pipe, command, operand. What Go's
//! language has beyond that is refused by name. Limits: [`TEMPLATE_NEST_MAX`], which bounds the recursion.

use super::functions::Function;
use super::lex::{Lexer, SPACES, Token};
use super::{Call, Node, Operand, Pipe, Place};
use crate::fault::TemplateFault;
use crate::limits::TEMPLATE_NEST_MAX;

/// Words with which actions other than printing begin.
const KEYWORDS: [&str; 10] = ["if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"];

pub(super) fn parse(name: &'static str, source: &str) -> Result<Vec<Node>, TemplateFault> {
    let mut nodes = Vec::new();
    let mut at = 0;
    // Whether the action before ended in ` -}}`.
    let mut trim = false;
    loop {
        let open = source[at..].find("{{").map(|found| at + found);
        let mut text = &source[at..open.unwrap_or(source.len())];
        if trim {
            text = text.trim_start_matches(SPACES);
        }
        let Some(open) = open else {
            push_text(&mut nodes, text);
            return Ok(nodes);
        };
        at = open + 2;
        if source[at..].strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES)) {
            at += 1;
            text = text.trim_end_matches(SPACES);
        }
        push_text(&mut nodes, text);
        if let Some((after, trims)) = comment(name, source, at)? {
            (at, trim) = (after, trims);
            continue;
        }
        let mut parser = Parser { lexer: Lexer { name, source, at }, depth: 0, ahead: None };
        let (pipe, trims) = parser.action()?;
        nodes.push(Node::Print(pipe));
        (at, trim) = (parser.lexer.at, trims);
    }
}

fn push_text(nodes: &mut Vec<Node>, text: &str) {
    if !text.is_empty() {
        nodes.push(Node::Text(text.to_owned()));
    }
}

/// Where the comment at `at` ends and whether it trims what follows; `None` when there is none.
fn comment(name: &'static str, source: &str, at: usize) -> Result<Option<(usize, bool)>, TemplateFault> {
    let Some(inside) = source[at..].trim_start_matches(SPACES).strip_prefix("/*") else { return Ok(None) };
    let fault = |reason| Lexer { name, source, at }.fault(reason);
    let (_, after) = inside.split_once("*/").ok_or_else(|| fault("unclosed comment"))?;
    let plain = after.strip_prefix("}}").map(|rest| (rest, false));
    let trimming = || after.strip_prefix(SPACES).and_then(|rest| rest.trim_start_matches(SPACES).strip_prefix("-}}")).map(|rest| (rest, true));
    let (rest, trim) = plain.or_else(trimming).ok_or_else(|| fault("comment ends before closing delimiter"))?;
    Ok(Some((source.len() - rest.len(), trim)))
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// Open parentheses.
    depth: usize,
    /// A token read too early, with where it begins.
    ahead: Option<(Token, usize)>,
}

/// What ends a pipe.
enum PipeEnd {
    Close,
    Action { trim: bool },
}

impl Parser<'_> {
    /// The next token, and where it begins.
    fn token(&mut self) -> Result<(Token, usize), TemplateFault> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(ahead);
        }
        let start = self.lexer.at;
        Ok((self.lexer.next()?, start))
    }

    /// The next token that is no space.
    fn solid(&mut self) -> Result<(Token, usize), TemplateFault> {
        loop {
            let (token, start) = self.token()?;
            if token != Token::Space {
                return Ok((token, start));
            }
        }
    }

    fn action(&mut self) -> Result<(Pipe, bool), TemplateFault> {
        let (first, start) = self.solid()?;
        if let Token::Name(word) = &first
            && KEYWORDS.contains(&word.as_str())
        {
            return Err(self.lexer.fault(&format!("the action {word} is not supported")));
        }
        self.ahead = Some((first, start));
        match self.pipe()? {
            (pipe, PipeEnd::Action { trim }) => Ok((pipe, trim)),
            (_, PipeEnd::Close) => Err(self.lexer.fault("unexpected right paren")),
        }
    }

    /// Commands joined by `|`.
    fn pipe(&mut self) -> Result<(Pipe, PipeEnd), TemplateFault> {
        let mut commands = Vec::new();
        let mut command = Vec::new();
        let end = loop {
            let (token, start) = self.solid()?;
            if let Token::End { trim } = token {
                break PipeEnd::Action { trim };
            }
            if token == Token::Close {
                break PipeEnd::Close;
            }
            if token == Token::Pipe {
                commands.push(std::mem::take(&mut command));
                continue;
            }
            command.push(self.operand(token, start)?);
            self.separated()?;
        };
        commands.push(command);
        let mut commands = commands.into_iter();
        let first = self.command(commands.next().unwrap_or_default(), 0)?;
        let mut calls = Vec::new();
        for (stage, command) in commands.enumerate() {
            match self.command(command, 1)? {
                Operand::Call(call) => calls.push(*call),
                Operand::Field(..) | Operand::Constant(_) | Operand::Pipe(_) => {
                    return Err(self.lexer.fault(&format!("non executable command in pipeline stage {}", stage + 2)));
                }
            }
        }
        Ok((Pipe { first, calls }, end))
    }

    /// An operand and its arguments; `piped` values come to it from before.
    fn command(&self, operands: Vec<Operand>, piped: usize) -> Result<Operand, TemplateFault> {
        let mut operands = operands.into_iter();
        let Some(head) = operands.next() else { return Err(self.lexer.fault("missing value for command")) };
        let arguments: Vec<Operand> = operands.map(|argument| self.checked(argument, 0)).collect::<Result<_, _>>()?;
        match head {
            Operand::Call(mut call) => {
                call.arguments = arguments;
                self.checked(Operand::Call(call), piped)
            }
            head if arguments.is_empty() => Ok(head),
            Operand::Field(..) | Operand::Constant(_) | Operand::Pipe(_) => Err(self.lexer.fault("can't give argument to non-function")),
        }
    }

    /// Refuses a call with another number of arguments than its function wants.
    fn checked(&self, operand: Operand, piped: usize) -> Result<Operand, TemplateFault> {
        if let Operand::Call(call) = &operand {
            let (name, wanted) = call.function.signature();
            let got = call.arguments.len() + piped;
            if got != wanted {
                return Err(self.lexer.fault(&format!("wrong number of args for {name}: want {wanted} got {got}")));
            }
        }
        Ok(operand)
    }

    fn operand(&mut self, token: Token, start: usize) -> Result<Operand, TemplateFault> {
        match token {
            Token::Field(name) => {
                let mut path = vec![name];
                let mut last = start;
                while let (Token::Field(part), at) = self.peek()? {
                    self.ahead = None;
                    path.push(part);
                    last = at;
                }
                let place = self.place(last, format!(".{}", path.join(".")));
                Ok(Operand::Field(path, place))
            }
            Token::Text(text) => Ok(Operand::Constant(text)),
            Token::Name(name) => match Function::named(&name) {
                Some(function) => Ok(Operand::Call(Box::new(Call { function, arguments: Vec::new(), place: self.place(start, name) }))),
                None if matches!(name.as_str(), "true" | "false" | "nil") => Err(self.lexer.fault(&format!("the constant {name} is not supported"))),
                None => Err(self.lexer.fault(&format!("function {name:?} not defined"))),
            },
            Token::Open => {
                self.depth += 1;
                if self.depth > TEMPLATE_NEST_MAX {
                    return Err(self.lexer.fault(&format!("parentheses nest deeper than {TEMPLATE_NEST_MAX} levels")));
                }
                let (pipe, end) = self.pipe()?;
                self.depth -= 1;
                match end {
                    PipeEnd::Close => Ok(Operand::Pipe(Box::new(pipe))),
                    PipeEnd::Action { .. } => Err(self.lexer.fault("unclosed left paren")),
                }
            }
            Token::Dot => Err(self.lexer.fault("the whole record . is not supported; name one field of it, as in .name")),
            Token::Other(what) => Err(self.lexer.fault(&format!("{what} not supported"))),
            Token::Space | Token::Pipe | Token::Close | Token::End { .. } => Err(self.lexer.fault("missing value for command")),
        }
    }

    fn peek(&mut self) -> Result<(Token, usize), TemplateFault> {
        let ahead = self.token()?;
        self.ahead = Some(ahead.clone());
        Ok(ahead)
    }

    /// Refuses two operands with nothing between them.
    fn separated(&mut self) -> Result<(), TemplateFault> {
        match self.peek()?.0 {
            Token::Space | Token::Pipe | Token::Close | Token::End { .. } => Ok(()),
            Token::Field(_) | Token::Dot | Token::Name(_) | Token::Text(_) | Token::Open | Token::Other(_) => {
                Err(self.lexer.fault("operands have to be separated by a space"))
            }
        }
    }

    fn place(&self, start: usize, part: String) -> Place {
        let before = &self.lexer.source[..start];
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        Place { line, column, part }
    }
}
