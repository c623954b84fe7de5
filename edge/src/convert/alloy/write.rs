//! `loki.write` to clients, or to the hub that is wished for.
//!
//! Every line goes to every client here: where jobs forward to different ones, that is told. Must not do: send.

use std::collections::BTreeSet;

use super::super::report::Verdict;
use super::super::river::syntax::Block;
use super::super::tree::Node;
use super::Graph;
use super::fields::Fields;

/// Keys of an endpoint: Alloy's, ours.
const KEYS: [(&str, &str); 7] = [
    ("url", "url"),
    ("name", "name"),
    ("headers", "headers"),
    ("tenant_id", "tenant_id"),
    ("batch_wait", "batchwait"),
    ("batch_size", "batchsize"),
    ("remote_timeout", "timeout"),
];
const BACKOFF: [(&str, &str); 3] = [("min_backoff_period", "min_period"), ("max_backoff_period", "max_period"), ("max_backoff_retries", "max_retries")];

impl Graph<'_> {
    /// The clients, and the labels of every line where a hub takes their place.
    pub(super) fn clients(&mut self) -> (Option<Node>, Option<Node>) {
        let all: BTreeSet<String> = self.jobs.iter().flat_map(|job| job.ends.iter().cloned()).collect();
        let partial: Vec<(u64, String, String)> = self
            .jobs
            .iter()
            .filter(|job| job.ends != all)
            .map(|job| (job.line, job.name.clone(), job.ends.iter().cloned().collect::<Vec<_>>().join(", ")))
            .collect();
        for (line, name, ends) in partial {
            let note = format!("it forwards to {ends} only, but every line goes to every client here: run an edge for each, or send to one");
            let verdict = if self.wish.hub.is_some() { Verdict::Changed } else { Verdict::Refused };
            let note = if self.wish.hub.is_some() { format!("it forwards to {ends}; the hub takes the place of all of them") } else { note };
            self.tell(line, verdict, name, note);
        }
        let (mut clients, mut labels) = (Vec::new(), Vec::new());
        for id in &all {
            let Some(block) = self.blocks.get(id).copied() else { continue };
            let (mut own, external) = self.write(block);
            clients.append(&mut own);
            labels.push(external);
        }
        if self.wish.hub.is_none() {
            return (Some(Node::List(clients)).filter(|clients| !clients.is_empty()), None);
        }
        labels.dedup();
        match labels.as_slice() {
            [] | [None] => (None, None),
            [Some(labels)] => (None, Some(labels.clone())),
            _ => {
                self.tell(
                    0,
                    Verdict::Refused,
                    "external_labels",
                    "the loki.write components have different ones, and one hub takes their place: write stage static_labels into the jobs",
                );
                (None, None)
            }
        }
    }

    fn write(&mut self, block: &Block) -> (Vec<Node>, Option<Node>) {
        let (mut fields, id, line) = (Fields::new(block), block.id(), block.at.line);
        let labels = fields.node(self, "external_labels").filter(|labels| !labels.is_empty());
        let has_hub = self.wish.hub.is_some();
        let mut clients = Vec::new();
        for endpoint in fields.blocks("endpoint") {
            let mut inner = Fields::new(endpoint);
            let client = self.endpoint(&mut inner, &id, endpoint.at.line, labels.as_ref());
            inner.end(self);
            clients.push(client);
        }
        fields.ignore(self, &["wal"], "this edge's WAL is on in any case, and frees what is acknowledged");
        if let Some(most) = fields.take(self, "max_streams")
            && most != super::Val::Number("0".to_owned())
        {
            self.tell(line, Verdict::Refused, format!("{id} max_streams"), "write limits_config.max_streams, which counts the streams of one batch");
        }
        fields.end(self);
        let note = if has_hub { "the hub takes its place; tenants are known there by the edge's cluster, not by a header" } else { "clients" };
        self.tell(line, if has_hub { Verdict::Changed } else { Verdict::Kept }, id, note);
        (clients, labels)
    }

    fn endpoint(&mut self, fields: &mut Fields<'_>, id: &str, line: u64, labels: Option<&Node>) -> Node {
        let (mut pairs, mut backoff) = (Vec::new(), Vec::new());
        fields.copy(self, &KEYS, &mut pairs);
        fields.copy(self, &BACKOFF, &mut backoff);
        if backoff.iter().all(|(name, _)| name != "max_retries") && self.wish.hub.is_none() {
            self.tell(line, Verdict::Changed, format!("{id} max_backoff_retries"), "absent: a batch is tried for ever, not 10 times");
        }
        if !backoff.is_empty() {
            pairs.push(("backoff_config".to_owned(), Node::Map(backoff)));
        }
        if fields.take(self, "retry_on_http_429") == Some(super::Val::Bool(false)) {
            pairs.push(("drop_rate_limited_batches".to_owned(), Node::Bool(true)));
        }
        fields.http(self, &mut pairs);
        fields.ignore(self, &["queue_config"], "what waits lies in the WAL");
        pairs.extend(labels.map(|labels| ("external_labels".to_owned(), labels.clone())));
        Node::Map(pairs)
    }
}
