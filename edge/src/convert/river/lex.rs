//! River's text to tokens.
//!
//! Pure. Parts: [`tokens`], [`Token`], [`Word`]. Comments are left out; line ends are tokens, since statements end there.
//! Texts are unescaped as Go does. Must not do: know the grammar.

use super::{At, RiverFault, TEXT_BYTES_MAX};

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// A name.
    Name(String),
    /// A number as written.
    Number(String),
    /// A text, unescaped.
    Text(String),
    /// A bracket, comma, operator.
    Sign(&'static str),
    /// The end of a line.
    LineEnd,
    /// The end of the file.
    End,
}

/// A token and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// What it is.
    pub word: Word,
    /// Where it begins.
    pub at: At,
}

/// Longer ones first.
const SIGNS: [&str; 25] = ["||", "&&", "==", "!=", "<=", ">=", "{", "}", "[", "]", "(", ")", ",", ".", "=", "<", ">", "+", "-", "*", "/", "%", "^", "!", ";"];

/// All tokens of a text, the end included.
///
/// # Errors
/// The first character that begins no token, a text that does not end.
pub fn tokens(text: &str) -> Result<Vec<Token>, RiverFault> {
    let start = At { line: 1, column: 1 };
    if text.len() > TEXT_BYTES_MAX {
        return Err(RiverFault::new(start, format!("the file is larger than {TEXT_BYTES_MAX} bytes"), "split it"));
    }
    let mut lexer = Lexer { rest: text, at: start };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        let is_end = token.word == Word::End;
        tokens.push(token);
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    rest: &'t str,
    at: At,
}

impl Lexer<'_> {
    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        if c == '\n' {
            self.at = At { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    fn take_while(&mut self, is_in: impl Fn(char) -> bool) -> String {
        let mut out = String::new();
        while let Some(c) = self.rest.chars().next().filter(|c| is_in(*c)) {
            out.push(c);
            self.bump();
        }
        out
    }

    fn skip_blanks(&mut self) -> Result<(), RiverFault> {
        loop {
            if self.rest.starts_with([' ', '\t', '\r', '\u{feff}']) {
                self.bump();
            } else if self.rest.starts_with("//") || self.rest.starts_with('#') {
                self.take_while(|c| c != '\n');
            } else if self.rest.starts_with("/*") {
                let at = self.at;
                let mut previous = ' ';
                self.bump();
                self.bump();
                loop {
                    match self.bump() {
                        Some('/') if previous == '*' => break,
                        Some(c) => previous = c,
                        None => return Err(RiverFault::new(at, "a comment does not end", "close it with */")),
                    }
                }
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Token, RiverFault> {
        self.skip_blanks()?;
        let at = self.at;
        let token = |word| Ok(Token { word, at });
        let Some(first) = self.rest.chars().next() else { return token(Word::End) };
        match first {
            '\n' => {
                self.bump();
                token(Word::LineEnd)
            }
            '"' => self.quoted(at),
            '`' => {
                self.bump();
                let raw = self.take_while(|c| c != '`');
                if self.bump().is_none() {
                    return Err(RiverFault::new(at, "a text does not end", "close it with a backquote"));
                }
                token(Word::Text(raw.replace('\r', "")))
            }
            c if c.is_alphabetic() || c == '_' => token(Word::Name(self.take_while(|c| c.is_alphanumeric() || c == '_'))),
            c if c.is_ascii_digit() => {
                let mut number = self.take_while(|c| c.is_ascii_digit() || c == '.');
                if self.rest.starts_with(['e', 'E']) {
                    number.extend(self.bump());
                    if self.rest.starts_with(['+', '-']) {
                        number.extend(self.bump());
                    }
                    number.push_str(&self.take_while(|c| c.is_ascii_digit()));
                }
                match number.parse::<f64>() {
                    Ok(_) => token(Word::Number(number)),
                    Err(_) => Err(RiverFault::new(at, format!("{number:?} is no number"), "write digits, with a point if need be")),
                }
            }
            other => match SIGNS.iter().find(|sign| self.rest.starts_with(**sign)) {
                Some(sign) => {
                    for _ in 0..sign.len() {
                        self.bump();
                    }
                    token(Word::Sign(sign))
                }
                None => Err(RiverFault::new(at, format!("{other:?} begins nothing here"), "texts stand in double quotes or backquotes")),
            },
        }
    }

    fn quoted(&mut self, at: At) -> Result<Token, RiverFault> {
        self.bump();
        let mut out = String::new();
        loop {
            let here = self.at;
            match self.bump() {
                Some('"') => return Ok(Token { word: Word::Text(out), at }),
                None | Some('\n') => return Err(RiverFault::new(at, "a text does not end in its line", "close it with a double quote, or use backquotes")),
                Some('\\') => out.push(self.escape(here)?),
                Some(c) => out.push(c),
            }
        }
    }

    fn escape(&mut self, at: At) -> Result<char, RiverFault> {
        let wrong = |what: String| RiverFault::new(at, what, "write \\\\ for a backslash, or use backquotes");
        let kind = self.bump();
        let digits = match kind {
            Some('n') => return Ok('\n'),
            Some('t') => return Ok('\t'),
            Some('r') => return Ok('\r'),
            Some('a') => return Ok('\u{7}'),
            Some('b') => return Ok('\u{8}'),
            Some('f') => return Ok('\u{c}'),
            Some('v') => return Ok('\u{b}'),
            Some(same @ ('\\' | '"' | '\'')) => return Ok(same),
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some(other) => return Err(wrong(format!("\\{} is no escape", other.escape_default()))),
            None => return Err(wrong("a text does not end".to_owned())),
        };
        let mut hex = String::new();
        while let Some(digit) = self.rest.chars().next().filter(|c| c.is_ascii_hexdigit() && hex.len() < digits) {
            hex.push(digit);
            self.bump();
        }
        let code = u32::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == digits);
        code.and_then(char::from_u32).ok_or_else(|| wrong(format!("an escape needs {digits} hexadecimal digits of a character")))
    }
}
