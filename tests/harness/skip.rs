//! Saying that a test cannot be run on this machine: loudly, and never as a pass.
//!
//! The test runner knows no "skipped while running", so [`skipped`] writes one line that `tests/run` counts:
//! it takes the test from those that passed. Must not do: be called where the machine could, but something broke.

use std::io::Write;

/// What the line begins with; `tests/run` looks for it.
pub const MARK: &str = "SKIPPED TEST";

/// Says that `test` is skipped and why. The line goes to the real standard error: the runner hides what passed tests print.
pub fn skipped(test: &str, why: &str) {
    let line = format!("\n{MARK} {test}: {}\n", why.replace('\n', " "));
    let _ = std::io::stderr().write_all(line.as_bytes());
}
