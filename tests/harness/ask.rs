//! The Loki API as a client speaks it: requests, tokens, answers as JSON; and paging through every line.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::Value;

/// The status of a plain GET, blocking; `None` when nobody answers. For http on loopback only.
#[must_use]
pub fn status_of(url: &str) -> Option<u16> {
    let rest = url.strip_prefix("http://")?;
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut head = [0; 16];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head).ok()?.split(' ').nth(1)?.parse().ok()
}

/// The sum of the samples of metric `name` at `url`/metrics whose labels hold `label`; `None` when nobody answers.
pub async fn metric(url: &str, name: &str, label: &str) -> Option<f64> {
    let (status, text) = Ask::new(url, "").text("/metrics", &[]).await;
    let samples = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label));
    (status == 200).then(|| samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// A client of one hub with one token.
#[derive(Debug, Clone)]
pub struct Ask {
    client: Client,
    url: String,
    token: String,
    headers: Vec<(String, String)>,
}

/// One line as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answered {
    /// Nanoseconds since 1970.
    pub ns: i64,
    /// The line.
    pub line: String,
}

impl Ask {
    /// A client of the hub at `url` (empty token = none is sent).
    ///
    /// # Panics
    /// When no client can be made.
    #[must_use]
    pub fn new(url: &str, token: &str) -> Self {
        let client = Client::builder().timeout(Duration::from_secs(120)).build().expect("a client can be made");
        Self { client, url: url.to_owned(), token: token.to_owned(), headers: Vec::new() }
    }

    /// The same with one more header on every request.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.push((name.to_owned(), value.to_owned()));
        other
    }

    /// A GET with query parameters.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Response, reqwest::Error> {
        let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request = self.client.get(format!("{}{path}{mark}{}", self.url, query.join("&")));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.send().await
    }

    /// A POST of `body`.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn post(&self, path: &str, content_type: &str, body: Vec<u8>) -> Result<Response, reqwest::Error> {
        let mut request = self.client.post(format!("{}{path}", self.url)).header("Content-Type", content_type).body(body);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.send().await
    }

    /// Any other request with query parameters and no body: status and text; status 0 when nobody answers.
    pub async fn send(&self, method: &str, path: &str, parameters: &[(&str, &str)]) -> (u16, String) {
        let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let mut request = self.client.request(method, format!("{}{path}?{}", self.url, query.join("&")));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match request.send().await {
            Ok(response) => (response.status().as_u16(), response.text().await.unwrap_or_default()),
            Err(fault) => (0, fault.to_string()),
        }
    }

    /// Status and text of a GET; status 0 when nobody answers.
    pub async fn text(&self, path: &str, parameters: &[(&str, &str)]) -> (u16, String) {
        match self.get(path, parameters).await {
            Ok(response) => (response.status().as_u16(), response.text().await.unwrap_or_default()),
            Err(fault) => (0, fault.to_string()),
        }
    }

    /// The JSON of a GET that must succeed.
    ///
    /// # Panics
    /// When it does not, with the answer.
    pub async fn json(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let (status, text) = self.text(path, parameters).await;
        assert_eq!(status, 200, "{path} {parameters:?}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path} {parameters:?}: {e}: {text}"))
    }

    /// Sum of `count_over_time` over everything up to now; 0 when there is nothing or nobody answers.
    pub async fn count(&self, selector: &str) -> u64 {
        let (status, text) = self.text("/loki/api/v1/query", &[("query", &format!("sum(count_over_time({selector}[30d]))"))]).await;
        if status != 200 {
            return 0;
        }
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        value["data"]["result"][0]["value"][1].as_str().and_then(|number| number.parse::<f64>().ok()).map_or(0, |number| number as u64)
    }

    /// Waits until [`Self::count`] is at least `lines`.
    ///
    /// # Panics
    /// After `within`, with what was found.
    pub async fn until_count(&self, selector: &str, lines: u64, within: Duration) {
        let until = tokio::time::Instant::now() + within;
        loop {
            let found = self.count(selector).await;
            if found >= lines {
                return;
            }
            assert!(tokio::time::Instant::now() < until, "{selector}: {found} of {lines} lines after {within:?}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Every line of `query` in `[start_ns, end_ns)`, oldest first, per stream, in the order answered.
    /// Pages by time: a full page ends before its last time stamp, which the next page begins with.
    ///
    /// # Panics
    /// When a page fails, or one time stamp holds more lines than a page.
    pub async fn every_line(&self, query: &str, start_ns: i64, end_ns: i64, page: usize) -> BTreeMap<String, Vec<Answered>> {
        self.try_every_line(query, start_ns, end_ns, page).await.unwrap_or_else(|why| panic!("{query}: {why}"))
    }

    /// The same where nobody may answer.
    ///
    /// # Errors
    /// What was answered instead.
    ///
    /// # Panics
    /// When one time stamp holds more lines than a page.
    pub async fn try_every_line(&self, query: &str, start_ns: i64, end_ns: i64, page: usize) -> Result<BTreeMap<String, Vec<Answered>>, String> {
        let mut streams: BTreeMap<String, Vec<Answered>> = BTreeMap::new();
        let mut from = start_ns;
        loop {
            let (start, end, limit) = (from.to_string(), end_ns.to_string(), page.to_string());
            let parameters = [("query", query), ("start", &start), ("end", &end), ("limit", &limit), ("direction", "forward")];
            let (status, text) = self.text("/loki/api/v1/query_range", &parameters).await;
            let answer: Value = serde_json::from_str(&text).ok().filter(|_| status == 200).ok_or_else(|| format!("{status} {text}"))?;
            let rows = rows_of(&answer).ok_or_else(|| format!("not an answer of lines: {text}"))?;
            let full = rows.len() >= page;
            let last = rows.iter().map(|(_, row)| row.ns).max().unwrap_or(end_ns);
            assert!(!full || last > from, "more than {page} lines have the time stamp {from}");
            for (name, row) in rows.into_iter().filter(|(_, row)| !full || row.ns < last) {
                streams.entry(name).or_default().push(row);
            }
            if !full {
                return Ok(streams);
            }
            from = last;
        }
    }
}

/// Lines of an answer with the name of their stream.
fn rows_of(answer: &Value) -> Option<Vec<(String, Answered)>> {
    let mut rows = Vec::new();
    for stream in answer["data"]["result"].as_array()? {
        let name = stream["stream"].to_string();
        for value in stream["values"].as_array()? {
            rows.push((name.clone(), Answered { ns: value[0].as_str()?.parse().ok()?, line: value[1].as_str()?.to_owned() }));
        }
    }
    Some(rows)
}

/// Percent-encodes everything but letters, digits and `-._~`.
#[must_use]
pub fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) { out.push(char::from(byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    out
}
