//! Pages as a browser shows them: one text, no script, no other file.
//!
//! Pure. Parts: [`page`], [`table`], [`block`], [`escape`]. Promises: what is handed to [`table`] and [`block`] is text and gets
//! escaped; links are relative, so that pages work below any prefix. Must not do: know what is shown.

/// Rows of a table that are shown.
pub(super) const ROWS_MAX: usize = 1_000;

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:0 1rem 2rem;color:#1b1b1b;background:#fff}nav{margin:0 -1rem 1rem;padding:.6rem 1rem;background:#243447}\
nav a{color:#fff;margin-right:1.2rem;text-decoration:none}nav a:hover{text-decoration:underline}h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:1.6rem}\
table{border-collapse:collapse;max-width:100%}th,td{padding:.25rem .8rem .25rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #ddd;overflow-wrap:anywhere}\
th{font-weight:600;white-space:nowrap}td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}pre{background:#f4f4f4;padding:.8rem;overflow-x:auto}\
.bad{color:#a40000}.good{color:#1a6b1a}p.note{color:#555}\
@media(prefers-color-scheme:dark){body{background:#16191d;color:#ddd}th,td{border-color:#333}pre{background:#22262b}.bad{color:#ff8080}.good{color:#8fd18f}p.note{color:#aaa}}";

/// A whole page; `body` is HTML.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    let links = [
        ("./", "Overview"),
        ("targets", "Targets"),
        ("service-discovery", "Service discovery"),
        ("config", "Settings"),
        ("metrics", "Metrics"),
        ("ready", "Ready"),
    ];
    let nav: String = links.iter().map(|(to, name)| format!("<a href=\"{to}\">{name}</a>")).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} - tributary-edge</title><style>{STYLE}</style></head><body><nav>{nav}</nav><h1>{title}</h1>\n{body}</body></html>\n"
    )
}

/// Text that may stand anywhere in HTML, in an attribute too.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Cells of text under headings; of more than [`ROWS_MAX`] rows the first.
pub(super) fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head: String = heads.iter().map(|head| format!("<th>{}</th>", escape(head))).collect();
    let mut out = format!("<table><thead><tr>{head}</tr></thead><tbody>\n");
    let mut left = 0;
    for (at, row) in rows.enumerate() {
        if at >= ROWS_MAX {
            left += 1;
            continue;
        }
        let cells = row.iter().map(|cell| {
            let is_number = cell.starts_with(|c: char| c.is_ascii_digit());
            format!("<td{}>{}</td>", if is_number { " class=\"n\"" } else { "" }, escape(cell))
        });
        out.push_str(&format!("<tr>{}</tr>\n", cells.collect::<String>()));
    }
    out.push_str("</tbody></table>\n");
    if left > 0 {
        out.push_str(&format!("<p class=\"note\">{left} more: see <a href=\"?format=json\">all of them as JSON</a>.</p>\n"));
    }
    out
}

/// Text as it is.
pub(super) fn block(text: &str) -> String {
    format!("<pre>{}</pre>\n", escape(text))
}
