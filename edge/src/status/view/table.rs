//! Rows under their headings, or one below the other where the terminal is too narrow for that.
//!
//! Pure. Parts: [`table`], [`wrapped`] (a text to lines of a width). Must not do: know what the rows say.

/// Which side of its column a cell stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A column's heading.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) align: Align,
}

/// Between two columns.
const GAP: &str = "  ";

/// The rows as a table of at most `width` columns; empty when there are none.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>], width: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let wide = |at: usize| rows.iter().map(|row| row[at].chars().count()).chain([columns[at].name.chars().count()]).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns.len()).map(wide).collect();
    // What stands last may hang over the edge by its own blanks: these are cut.
    let total = widths.iter().sum::<usize>() + GAP.len() * (columns.len() - 1);
    if total > width {
        return rows.iter().map(|row| listed(columns, row, width)).collect();
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(columns).zip(&widths).map(|((cell, column), width)| match column.align {
            Align::Left => format!("{cell:width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        let line = cells.collect::<Vec<_>>().join(GAP);
        format!("{}\n", line.trim_end())
    };
    let mut out = line(&mut columns.iter().map(|column| column.name));
    for row in rows {
        out.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    out
}

/// One row below its first cell.
fn listed(columns: &[Column], row: &[String], width: usize) -> String {
    let first = format!("{} {}", columns[0].name, row[0]);
    let mut out: String = wrapped(&first, width).iter().map(|line| format!("{line}\n")).collect();
    let rest: Vec<String> =
        columns.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty()).map(|(column, cell)| format!("{} {cell}", column.name)).collect();
    for line in wrapped(&rest.join(", "), width.saturating_sub(2)) {
        out.push_str(&format!("  {line}\n"));
    }
    out
}

/// `text` in lines of at most `width` characters, broken at blanks; a word that is longer is cut.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let Some(line) = lines.last_mut() else { break };
            let taken = line.chars().count();
            let gap = usize::from(taken > 0);
            if taken + gap + word.len() <= width {
                line.extend(std::iter::repeat_n(' ', gap).chain(word.drain(..)));
            } else if taken == 0 {
                line.extend(word.drain(..width));
            } else {
                lines.push(String::new());
            }
        }
    }
    lines
}
