//! What became of each part of a file that was converted: the table for people.
//!
//! Parts: [`Row`], [`Verdict`], [`Report`], [`Report::table`]. Must not do: decide.

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It does what it did.
    Kept,
    /// It does what the note says.
    Changed,
    /// It has no effect and was left out.
    Ignored,
    /// It could not be kept.
    Refused,
}

impl Verdict {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Changed => "changed",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
        }
    }
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Its line in the file; 0 = the whole.
    pub line: u64,
    /// What became of it.
    pub verdict: Verdict,
    /// Its name.
    pub what: String,
    /// What it is now, why it is so, what to do.
    pub note: String,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In order of their lines.
    pub rows: Vec<Row>,
}

impl Report {
    /// Adds a row.
    pub fn tell(&mut self, line: u64, verdict: Verdict, what: impl Into<String>, note: impl Into<String>) {
        let row = Row { line, verdict, what: what.into(), note: note.into() };
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
    }

    /// How many rows have a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }

    /// The table, a row per line, and a last line with counts.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = self.rows.clone();
        rows.sort();
        let clean = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        let wide = rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0).min(48);
        let mut out = String::new();
        for row in rows {
            let line = if row.line == 0 { String::new() } else { row.line.to_string() };
            out.push_str(format!("{line:>5}  {:8} {:wide$}  {}", row.verdict.word(), clean(&row.what), clean(&row.note)).trim_end());
            out.push('\n');
        }
        let counts = [Verdict::Kept, Verdict::Changed, Verdict::Ignored, Verdict::Refused].map(|verdict| format!("{} {}", self.count(verdict), verdict.word()));
        out.push_str(&format!("{}\n", counts.join(", ")));
        out
    }
}
