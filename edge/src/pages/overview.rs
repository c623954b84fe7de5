//! `/`: how the edge is, on one page. The text is what `tributary-edge status` prints.
//!
//! Pure. Must not do: say anything that `/status` does not.

use serde_json::Value;

use super::html;
use crate::status::view::{Look, view};

/// Columns of the text: as wide as most terminals at least are.
const WIDTH: usize = 100;

pub(super) fn text(report: &Value) -> String {
    view(report, None, Look { width: WIDTH, colour: false })
}

pub(super) fn html(report: &Value, unready: Option<&str>) -> String {
    let state = match unready {
        None => "<p class=\"good\">Ready.</p>\n".to_owned(),
        Some(why) => format!("<p class=\"bad\">Not ready: {}.</p>\n", html::escape(why)),
    };
    let body = format!(
        "{state}{}<p class=\"note\">As JSON: <a href=\"status\">status</a>.</p>\n",
        html::block(&view(report, None, Look { width: 2 * WIDTH, colour: false }))
    );
    html::page("Overview", &body)
}
