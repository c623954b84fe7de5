//! Chance to bytes: flips, cuts, repeats, numbers at the edges, words of the language, parts of other inputs.

/// Longest input.
const BYTES_MAX: usize = 64 * 1024;

pub const LOGQL: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[5m]",
    "[1h30m]",
    "|",
    "|=",
    "!=",
    "|~",
    "!~",
    "|>",
    "!>",
    "=~",
    " or ",
    " and ",
    "unless",
    "by ",
    "without ",
    "sum",
    "topk(2,",
    "rate(",
    "count_over_time(",
    "quantile_over_time(0.99,",
    "json",
    "logfmt",
    "unwrap ",
    "duration(",
    "offset ",
    "-",
    "^",
    "%",
    "bool ",
    "on()",
    "group_left",
    "ip(\"",
    "line_format ",
    "label_format ",
    "drop ",
    "keep ",
    "`",
    "\"",
    "\\\"",
    "\\x",
    "#",
    "1e400",
    "0x",
    "NaN",
    "variants(",
    "of (",
    "label_replace(",
    "vector(",
    "pattern `<a> <_>`",
    "regexp \"(?P<n>.)\"",
    "--strict",
    "decolorize",
    "unpack",
    ",",
];
pub const TEMPLATE: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    "{{if ",
    "{{else}}",
    "{{end}}",
    "{{range ",
    "{{with ",
    "{{define \"a\"}}",
    "{{template \"a\" .}}",
    "{{block \"b\" .}}",
    "{{break}}",
    "{{continue}}",
    ".app",
    "$x := ",
    "$x",
    "|",
    "printf \"%v\"",
    "%08.3f",
    "%*d",
    "%[9]d",
    "%-2147483648d",
    "add 1 ",
    "div 1 0",
    "mod 1 0",
    "repeat 100000 ",
    "repeat 9223372036854775807 ",
    "regexReplaceAll \"(\" ",
    "alignLeft 999999999 ",
    "indent 99999999 ",
    "substr -5 3 ",
    "trunc -9 ",
    "fromJson ",
    "date \"2006\" ",
    "toDate \"2006\" \"x\"",
    "unixEpoch ",
    "index . \"a\"",
    "slice \"abc\" 2 1",
    "len ",
    "b64dec ",
    "urldecode ",
    "bytes ",
    "duration ",
    "__line__",
    "__timestamp__",
    "(",
    ")",
    "0x7fffffffffffffff",
    "-9223372036854775808",
];
pub const REGEX: &[&str] = &[
    "(?i)",
    "(?s)",
    "(?U)",
    "(?P<n>",
    "(?:",
    ")",
    "[",
    "]",
    "[^",
    "[[:alpha:]]",
    "\\pL",
    "\\p{Greek}",
    "\\d",
    "\\W",
    "\\b",
    "\\Q",
    "\\E",
    "\\x{10FFFF}",
    "\\z",
    "\\A",
    "{1000}",
    "{1,1000}",
    "{,3}",
    "*",
    "+?",
    "??",
    "|",
    "^",
    "$",
    ".",
    "\\C",
    "a{1000}",
    "-",
    "\\1",
    "(?<n>",
    "\\8",
    "(?-s:",
];
pub const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\\u",
    "\\ud800",
    "\\",
    "null",
    "true",
    "1e999",
    "-",
    "0.1",
    "\"streams\"",
    "\"stream\"",
    "\"values\"",
    "[[\"1\",\"x\"]]",
    "\"_entry\"",
    "=",
    " k=v ",
    "k=\"",
    "\"99999999999999999999\"",
    "\u{0}",
];

/// Makes inputs of inputs.
pub struct Mutator<'w> {
    state: u64,
    words: &'w [&'w str],
}

impl<'w> Mutator<'w> {
    pub fn new(seed: u64, words: &'w [&'w str]) -> Self {
        Self { state: seed, words }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    pub fn likely(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A part of `bytes`.
    fn part(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        let most = if self.likely(80) { 16 } else { bytes.len() };
        let length = self.below(most.min(bytes.len() - start) + 1);
        start..start + length
    }

    /// A mutation of one of `pool`.
    pub fn of(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = pool[self.below(pool.len())].clone();
        let count = if self.likely(70) { 1 + self.below(3) } else { 1 + self.below(12) };
        for _ in 0..count {
            self.once(&mut bytes, pool);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn once(&mut self, bytes: &mut Vec<u8>, pool: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        match self.below(11) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.next().to_le_bytes()[0],
            2 => {
                let part = self.part(bytes);
                bytes.drain(part);
            }
            3 => {
                // Nesting and lengths: a part again and again.
                let part = self.part(bytes);
                let times = if self.likely(10) { 1_000 } else { 1 + self.below(8) };
                let piece = bytes[part.clone()].repeat(times);
                bytes.splice(part.end..part.end, piece.into_iter().take(BYTES_MAX));
            }
            4 => {
                let other = &pool[self.below(pool.len())].clone();
                let part = self.part(other);
                bytes.splice(at..at, other[part].iter().copied());
            }
            5 => {
                // A number at an edge, in place, of any width.
                let value = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, u64::MAX, 1 << 63, (1 << 63) - 1][self.below(11)];
                let width = [1, 2, 4, 8][self.below(4)];
                for (place, byte) in value.to_le_bytes()[..width].iter().enumerate() {
                    if let Some(target) = bytes.get_mut(at + place) {
                        *target = *byte;
                    }
                }
            }
            6 => bytes.truncate(at),
            7 | 8 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())].as_bytes();
                let part = if self.likely(40) { self.part(bytes) } else { at..at };
                bytes.splice(part, word.iter().copied());
            }
            9 => {
                let byte = self.next().to_le_bytes()[0];
                bytes.insert(at, byte);
            }
            _ => {
                let (a, b) = (self.part(bytes), self.part(bytes));
                let piece = bytes[a].to_vec();
                bytes.splice(b, piece);
            }
        }
    }
}
