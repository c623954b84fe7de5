//! Asks the running programs: counters, and queries with what they must answer.
//!
//! Parts: [`Asker`], [`Question`]. Promises: an answer that is not the expected one is a fault.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Client, Url};
use serde_json::Value;

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(600);

/// A query over the corpus.
pub(crate) struct Question {
    /// Of its row.
    pub(crate) name: &'static str,
    /// LogQL.
    pub(crate) query: String,
    /// How it is asked.
    pub(crate) form: Form,
    /// Lines, or the sum that it must answer; `None` = not known beforehand.
    pub(crate) expected: Option<u64>,
    /// The goal of its row, for 1 GiB.
    pub(crate) goal: &'static str,
    /// Whether its cost grows with the corpus.
    pub(crate) is_scaled: bool,
}

/// The window of [`Form::Sum`] in nanoseconds.
const WINDOW_NS: u64 = 300_000_000_000;

/// How a query is asked.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// `query_range`, lines, at most so many.
    Lines(u64),
    /// `query`, one number.
    Number,
    /// `query_range` with a step of 60 s, up to a window of 5 min behind the last line; the sum of all values.
    Sum,
    /// `query_range` with a step of 60 s; the number of values.
    Points,
    /// A list below this path: labels, values, series.
    List(&'static str),
}

/// A client.
pub(crate) struct Asker {
    client: Client,
    token: String,
}

/// What the admin page says of segments: how many, their bytes as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segments {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
}

impl Asker {
    /// A client for loopback.
    pub(crate) fn new(token: String) -> Result<Self> {
        Ok(Self { client: Client::builder().timeout(ANSWER_MAX).no_proxy().build()?, token })
    }

    /// The sum of all rows of a counter on a page of metrics.
    pub(crate) async fn counter(&self, address: &str, name: &str) -> Result<u64> {
        let text = self.client.get(format!("http://{address}/metrics")).send().await?.text().await?;
        let rows = text.lines().filter_map(|row| row.strip_prefix(name)).filter(|rest| rest.starts_with(['{', ' ']));
        let values: Vec<f64> = rows.filter_map(|rest| rest.rsplit(' ').next()?.parse().ok()).collect();
        ensure!(!values.is_empty(), "{address}/metrics shows no {name}");
        Ok(values.iter().sum::<f64>() as u64)
    }

    /// Absorbs all that is committed; returns when it stands in segments.
    pub(crate) async fn absorb(&self, admin: &str, operator: &str) -> Result<()> {
        let asked = self.client.post(format!("http://{admin}/admin/v1/absorb")).bearer_auth(operator).body("{}").send().await?;
        let (status, text) = (asked.status(), asked.text().await?);
        ensure!(status.is_success(), "absorb: the hub answers {status}: {}", text.trim());
        Ok(())
    }

    /// The segments of the tenant.
    pub(crate) async fn segments(&self, admin: &str, operator: &str) -> Result<Segments> {
        let asked = self.client.get(format!("http://{admin}/admin/v1/segments?tenant=acme")).bearer_auth(operator).send().await?;
        let (status, text) = (asked.status(), asked.text().await?);
        ensure!(status.is_success(), "segments: the hub answers {status}: {}", text.trim());
        let rows: Vec<Value> = serde_json::from_str(&text).context("the hub's list of segments is not JSON")?;
        let sum = |key: &str| rows.iter().filter_map(|row| row[key].as_u64()).sum();
        Ok(Segments { count: rows.len() as u64, bytes: sum("bytes"), lines: sum("lines") })
    }

    /// Asks, and checks the answer; how many lines, samples or what sum it holds.
    pub(crate) async fn ask(&self, http: &str, question: &Question, times: (u64, u64)) -> Result<u64> {
        let last = if matches!(question.form, Form::Sum) { times.1 + WINDOW_NS } else { times.1 };
        let (start, end) = (times.0.to_string(), last.to_string());
        let limit = if let Form::Lines(limit) = question.form { limit.to_string() } else { String::new() };
        let query = ("query", question.query.as_str());
        let (path, pairs) = match question.form {
            Form::Lines(_) => ("query_range", vec![query, ("start", &start), ("end", &end), ("limit", &limit), ("direction", "backward")]),
            Form::Number => ("query", vec![query, ("time", &end)]),
            Form::Sum | Form::Points => ("query_range", vec![query, ("start", &start), ("end", &end), ("step", "60")]),
            Form::List(path) => (path, vec![("match[]", question.query.as_str()), ("start", &start), ("end", &end)]),
        };
        let url = Url::parse_with_params(&format!("http://{http}/loki/api/v1/{path}"), pairs)?;
        let asked = self.client.get(url).bearer_auth(&self.token).send().await?;
        let (status, text) = (asked.status(), asked.text().await?);
        ensure!(status.is_success(), "{}: the hub answers {status}: {}", question.query, text.trim());
        let answer: Value = serde_json::from_str(&text).context("the hub's answer is not JSON")?;
        let found = held(question.form, &answer).with_context(|| format!("{}: the answer cannot be read", question.query))?;
        match question.expected {
            Some(expected) if expected != found => bail!("{}: {found} found, {expected} written", question.query),
            Some(_) | None => Ok(found),
        }
    }
}

/// Lines, a number, a sum, values or names.
fn held(form: Form, answer: &Value) -> Option<u64> {
    let rows = if matches!(form, Form::List(_)) { &answer["data"] } else { &answer["data"]["result"] }.as_array()?;
    match form {
        Form::Lines(_) | Form::Points => rows.iter().map(|row| Some(row["values"].as_array()?.len() as u64)).sum(),
        Form::Number => rows.iter().map(|row| row["value"][1].as_str()?.parse::<u64>().ok()).sum(),
        Form::Sum => rows.iter().map(|row| row["values"].as_array()?.iter().map(|point| point[1].as_str()?.parse::<u64>().ok()).sum::<Option<u64>>()).sum(),
        Form::List(_) => Some(rows.len() as u64),
    }
}
