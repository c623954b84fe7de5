//! `/patterns`: patterns of stored lines over the whole range.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use hub_query::{PatternAnswer, PatternRequest};
use hub_tenant::Need;

use super::Api;
use super::fault::ApiFault;
use super::params::Params;
use super::respond::{self, Form};

/// Patterns of the lines that a selector, with stages or without, keeps.
///
/// # Errors
/// In Loki's words.
pub async fn patterns(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let (range, limits) = (params.range(api.now())?, api.query_limits(&access.grants));
    let request = PatternRequest::new(hub_logql::parse(params.query())?, range, params.step_ns(range)?, &limits)?;
    let found = api.engine.patterns(&access.grants, &request, &limits).await?;
    Ok(respond::answer(json(&found), &Form::of(&headers)))
}

fn json(found: &PatternAnswer) -> String {
    let mut out = String::from("{\"status\":\"success\",");
    if !found.warnings.is_empty() {
        out.push_str("\"warnings\":");
        respond::list(&mut out, &found.warnings);
        out.push(',');
    }
    out.push_str("\"data\":[");
    for (i, pattern) in found.patterns.iter().enumerate() {
        out.push_str(if i == 0 { "{\"pattern\":" } else { ",{\"pattern\":" });
        respond::string(&mut out, &pattern.pattern);
        if let Some(level) = &pattern.level {
            out.push_str(",\"level\":");
            respond::string(&mut out, level);
        }
        let samples: Vec<String> = pattern.samples.iter().map(|(second, lines)| format!("[{second},{lines}]")).collect();
        out.push_str(&format!(",\"samples\":[{}]}}", samples.join(",")));
    }
    out + "]}"
}

#[cfg(test)]
mod tests {
    use hub_query::Pattern;

    use super::*;

    #[test]
    fn the_shape_is_lokis() {
        let pattern = |level: Option<&str>| Pattern { pattern: "a <_>\n".to_owned(), level: level.map(str::to_owned), samples: vec![(60, 2), (120, 1)] };
        let answer = PatternAnswer { patterns: vec![pattern(Some("info")), pattern(None)], ..PatternAnswer::default() };
        assert_eq!(
            json(&answer),
            r#"{"status":"success","data":[{"pattern":"a <_>\n","level":"info","samples":[[60,2],[120,1]]},{"pattern":"a <_>\n","samples":[[60,2],[120,1]]}]}"#
        );
        assert_eq!(json(&PatternAnswer::default()), r#"{"status":"success","data":[]}"#);
    }
}
