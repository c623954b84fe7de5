//! Asks the running programs: the edge how much was acked, the hub how much a query finds.
//!
//! Parts: [`Asker`], [`Acked`] (a counter that survives a restart of the edge). Promises: a query covers exactly the
//! times of what was written. Must not do: wait longer than [`ANSWER_MAX`].

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;

use crate::count::{Times, WINDOW_NS};
use crate::fault::DemoFault;
use crate::settings::JOB;

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The edge's counter.
const ACKED: &str = "tributary_edge_lines_acked_total";

/// Lines acked.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Acked {
    before: u64,
    last: u64,
}

impl Acked {
    /// Takes what the counter shows now; a smaller number means that it began anew.
    const fn shown(&mut self, now: u64) {
        if now < self.last {
            self.before += self.last;
        }
        self.last = now;
    }

    /// Of all of them.
    pub(crate) const fn lines(self) -> u64 {
        self.before + self.last
    }
}

/// A client.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    client: Client,
}

impl Asker {
    /// A client for loopback: no proxy.
    pub(crate) fn new() -> Result<Self, DemoFault> {
        let client = Client::builder().timeout(ANSWER_MAX).no_proxy().build();
        Ok(Self { client: client.map_err(|fault| DemoFault::Program(format!("no HTTP client can be made: {fault}")))? })
    }

    /// Reads the edge's counter into `acked`.
    pub(crate) async fn acked(&self, edge: SocketAddr, acked: &mut Acked) -> Result<(), String> {
        let asked = self.client.get(format!("http://{edge}/metrics")).send().await.map_err(|fault| fault.to_string())?;
        let text = asked.text().await.map_err(|fault| fault.to_string())?;
        acked.shown(counter(&text).ok_or_else(|| format!("the edge shows no {ACKED}"))?);
        Ok(())
    }

    /// How many lines of the demo's files in `cluster` a query with `token` finds, over these times.
    pub(crate) async fn queryable(&self, http: SocketAddr, token: &str, cluster: &str, windows: &[Times]) -> Result<u64, String> {
        let mut found = 0;
        for times in windows {
            let (range_ms, at) = range(*times);
            let query = format!("sum(count_over_time({{cluster=\"{cluster}\",job=\"{JOB}\"}}[{range_ms}ms]))");
            let url = reqwest::Url::parse_with_params(&format!("http://{http}/loki/api/v1/query"), [("query", query.as_str()), ("time", &at.to_string())]);
            let asked = self.client.get(url.map_err(|fault| fault.to_string())?).bearer_auth(token).send().await.map_err(|fault| fault.to_string())?;
            let (status, text) = (asked.status(), asked.text().await.map_err(|fault| fault.to_string())?);
            if !status.is_success() {
                return Err(format!("the hub answers {status}: {}", text.trim()));
            }
            found += counted(&text).ok_or_else(|| format!("the hub's answer cannot be read: {text}"))?;
        }
        Ok(found)
    }
}

/// A range of milliseconds that ends at nanosecond `at` and holds `times`: its begin is not part of it.
fn range(times: Times) -> (i128, i128) {
    let range_ms = ((times.last - times.first) / 1_000_000 + 1).min(WINDOW_NS / 1_000_000);
    (range_ms, times.last)
}

fn counter(text: &str) -> Option<u64> {
    let row = text.lines().find_map(|row| row.strip_prefix(ACKED))?;
    row.trim().parse::<f64>().ok().filter(|value| *value >= 0.0).map(|value| value as u64)
}

/// The one value of an instant vector; an empty one is 0.
fn counted(text: &str) -> Option<u64> {
    let answer: Value = serde_json::from_str(text).ok()?;
    match answer["data"]["result"].as_array()?.as_slice() {
        [] => Some(0),
        [row] => row["value"][1].as_str()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_goes_on_after_a_restart() {
        let mut acked = Acked::default();
        for (shown, lines) in [(5, 5), (9, 9), (0, 9), (4, 13)] {
            acked.shown(shown);
            assert_eq!(acked.lines(), lines);
        }
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(counter("# HELP x\ntributary_edge_lines_read_total 9\ntributary_edge_lines_acked_total 7\n"), Some(7));
        assert_eq!(counter("nothing"), None);
        assert_eq!(counted(r#"{"data":{"result":[{"metric":{},"value":[1,"12"]}]}}"#), Some(12));
        assert_eq!(counted(r#"{"data":{"result":[]}}"#), Some(0));
        assert_eq!(counted("unauthorized"), None);
    }

    #[test]
    fn a_range_holds_its_first_and_last() {
        for (first, last) in [(5, 5), (0, 999_999), (1, 1_000_001)] {
            let (range_ms, at) = range(Times { first, last });
            assert!(at == last && at - range_ms * 1_000_000 < first, "{first} {last}");
        }
    }
}
