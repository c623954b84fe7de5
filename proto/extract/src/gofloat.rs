//! Floats as Go prints them: what sample values, labels and templates show.
//!
//! Parts: [`format_f`] (sample values: `FormatFloat(v, 'f', -1, 64)`), [`format_g`] (`%v` and `FormatFloat(v, 'g', -1, 64)`:
//! an exponent for large and small numbers). Promises: the shortest digits that read back as the same number.

/// `v` without an exponent, as Loki prints sample values: `1`, `0.5`, `100000000000000000000000`, `NaN`, `+Inf`, `-Inf`.
#[must_use]
pub fn format_f(v: f64) -> String {
    special(v).map_or_else(|| format!("{v}"), str::to_owned)
}

/// `v` as Go's `%v` prints it: with an exponent of at least two digits below 1e-4 and where seven or more digits would stand
/// before the point: `1`, `100000`, `1e+06`, `1e-05`.
#[must_use]
pub fn format_g(v: f64) -> String {
    exponential(v).unwrap_or_else(|| format_f(v))
}

fn special(v: f64) -> Option<&'static str> {
    match v {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

/// `v` with an exponent; `None` where it is printed without one.
fn exponential(v: f64) -> Option<String> {
    let small = v.is_finite().then(|| format_e(v)).flatten()?;
    let exponent: i32 = small.split_once('e')?.1.parse().ok()?;
    (!(-4..6).contains(&exponent)).then_some(small)
}

/// A finite `v` as Go's JSON has it: with an exponent below 1e-6 and from 1e21 on, one digit in it where one will do.
pub(crate) fn format_json(v: f64) -> String {
    let size = v.abs();
    let text = if size == 0.0 || (1e-6..1e21).contains(&size) { None } else { format_e(v) };
    text.map_or_else(|| format_f(v), |text| text.replace("e-0", "e-"))
}

/// A finite `v` with an exponent of at least two digits, `FormatFloat(v, 'e', -1, 64)`: `1e-07`, `1.5e+21`.
pub(crate) fn format_e(v: f64) -> Option<String> {
    let text = format!("{v:e}");
    let (digits, exponent) = text.split_once('e')?;
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    Some(format!("{digits}e{sign}{exponent:0>2}"))
}

#[cfg(test)]
mod tests;
