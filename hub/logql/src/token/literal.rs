//! String literals, in double quotes with Go's escapes or raw in backquotes, into their value.
//!
//! Parts: [`raw_string`], [`quoted_string`] with one escape at a time.
//! Promises: gives the value and the bytes that the literal takes, or Loki's words for what is wrong.
//! Limit: a value is UTF-8; `"\xff"` alone is refused, since labels and filters are text.

/// A literal's value and its length in bytes, quotes included.
type Literal = Result<(String, usize), &'static str>;

/// Reads a literal in backquotes; carriage returns are left out as Go does.
pub(crate) fn raw_string(text: &str) -> Literal {
    let end = text[1..].find('`').ok_or("literal not terminated")?;
    let inside = &text[1..=end];
    if inside.contains('\0') {
        return Err("invalid character NUL");
    }
    Ok((inside.replace('\r', ""), end + 2))
}

/// Reads a literal in double quotes, which stands on one line.
pub(crate) fn quoted_string(text: &str) -> Literal {
    let mut value = Vec::new();
    let mut rest = &text[1..];
    let mut fault = None;
    loop {
        let c = rest.chars().next().filter(|c| *c != '\n').ok_or("literal not terminated")?;
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => break,
            '\\' => match escape(rest, &mut value) {
                Some(after) => rest = after,
                // An unknown escape does not end the literal, so that a missing quote is named first.
                None => {
                    fault = Some("invalid char escape");
                    let escaped = rest.chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
                    rest = &rest[escaped..];
                }
            },
            '\0' => fault = Some("invalid character NUL"),
            c => value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    match fault {
        Some(fault) => Err(fault),
        None => String::from_utf8(value).map(|value| (value, text.len() - rest.len())).map_err(|_| "string is not valid utf-8"),
    }
}

/// Puts the value of the escape at the start of `rest` (behind the backslash) to `value`, gives what follows.
fn escape<'a>(rest: &'a str, value: &mut Vec<u8>) -> Option<&'a str> {
    let c = rest.chars().next()?;
    let after = &rest[c.len_utf8()..];
    let single = match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '"' => b'"',
        'x' => return numeric(after, 2, 16, value),
        'u' => return numeric(after, 4, 16, value),
        'U' => return numeric(after, 8, 16, value),
        '0'..='7' => return numeric(rest, 3, 8, value),
        _ => return None,
    };
    value.push(single);
    Some(after)
}

/// `digits` digits: a byte for two or three of them, else a character.
fn numeric<'a>(rest: &'a str, digits: usize, radix: u32, value: &mut Vec<u8>) -> Option<&'a str> {
    let (number, after) = rest.split_at_checked(digits)?;
    if !number.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let code = u32::from_str_radix(number, radix).ok()?;
    if digits < 4 {
        value.push(u8::try_from(code).ok()?);
    } else if code > 0x10_ffff {
        return None;
    } else {
        let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(after)
}
