//! Discoveries and relabelling: what a source's `targets` come to.
//!
//! Parts: [`Feed`] (where targets are named, and the rules they go through), `Graph::feeds`, rules of `discovery.relabel` and
//! `loki.relabel`. The selector that narrows pods to the own node is left out: this edge adds it by itself. Must not do: discover.

use super::super::report::Verdict;
use super::super::river::syntax::Block;
use super::super::river::value::{Val, variables_of};
use super::super::tree::Node;
use super::Graph;
use super::fields::{Fields, node};

/// Deepest chain of components that name targets.
const DEPTH_MAX: usize = 16;
/// What selects the pods of a node.
const OWN_NODE: &str = "spec.nodeName=";
/// Selectors of a discovery, and what a discovery is called here.
const DISCOVERIES: [(&str, &str, &[&str]); 4] = [
    ("discovery.file", "file_sd_configs", &["files", "refresh_interval"]),
    ("discovery.http", "http_sd_configs", &["url", "refresh_interval"]),
    ("discovery.dns", "dns_sd_configs", &["names", "refresh_interval", "type", "port"]),
    (
        "discovery.consul",
        "consul_sd_configs",
        &[
            "server",
            "path_prefix",
            "token",
            "datacenter",
            "namespace",
            "partition",
            "tag_separator",
            "scheme",
            "username",
            "password",
            "allow_stale",
            "refresh_interval",
            "services",
            "tags",
            "node_meta",
            "filter",
        ],
    ),
];

/// Where targets are named, and their rules.
#[derive(Debug, Clone, Default)]
pub(super) struct Feed {
    /// Keys of a job.
    pub(super) keys: Vec<(String, Vec<Node>)>,
    /// Rules.
    pub(super) rules: Vec<Node>,
}

impl Graph<'_> {
    /// What `targets` come to: those with the same rules are one.
    pub(super) fn feeds(&mut self, targets: &Val, line: u64, by: &str) -> Vec<Feed> {
        let mut found: Vec<Feed> = Vec::new();
        for feed in self.feeds_of(targets, line, by, 0) {
            match found.iter_mut().find(|other| other.rules == feed.rules) {
                None => found.push(feed),
                Some(other) => {
                    for (key, mut nodes) in feed.keys {
                        match other.keys.iter_mut().find(|(own, _)| *own == key) {
                            Some((_, own)) => own.append(&mut nodes),
                            None => other.keys.push((key, nodes)),
                        }
                    }
                }
            }
        }
        found
    }

    fn feeds_of(&mut self, targets: &Val, line: u64, by: &str, depth: usize) -> Vec<Feed> {
        if depth > DEPTH_MAX {
            self.tell(line, Verdict::Refused, by, "its targets lead round in a circle");
            return Vec::new();
        }
        match targets {
            Val::List(all) => all.iter().flat_map(|one| self.feeds_of(one, line, by, depth + 1)).collect(),
            Val::Object(labels) => {
                let labels =
                    labels.iter().filter(|(name, _)| name != "__address__").map(|(name, value)| Some((name.clone(), node(value)?))).collect::<Option<Vec<_>>>();
                let Some(labels) = labels else {
                    self.tell(line, Verdict::Refused, by, "a label of its targets comes from another component: write the value");
                    return Vec::new();
                };
                let target = Node::map([("targets", Some(Node::List(vec![Node::text("localhost")]))), ("labels", Some(Node::Map(labels)))]);
                vec![Feed { keys: vec![("static_configs".to_owned(), vec![target])], rules: Vec::new() }]
            }
            Val::Reference(path) => {
                let Some((id, block, _)) = self.component(path, line, by) else { return Vec::new() };
                self.feeds_by(&id, block, depth)
            }
            Val::Null | Val::Bool(_) | Val::Number(_) | Val::Text(_) => {
                self.tell(line, Verdict::Refused, by, "its targets are no list of targets");
                Vec::new()
            }
        }
    }

    fn feeds_by(&mut self, id: &str, block: &Block, depth: usize) -> Vec<Feed> {
        let line = block.at.line;
        let mut fields = Fields::new(block);
        let feeds = match block.name.as_str() {
            "discovery.relabel" => {
                let targets = fields.take(self, "targets").unwrap_or(Val::Null);
                let rules = self.rules(&mut fields);
                fields.ignore(self, &["max_cache_size"], "results are kept without a bound of their own");
                let mut feeds = self.feeds_of(&targets, line, id, depth + 1);
                feeds.iter_mut().for_each(|feed| feed.rules.extend(rules.iter().cloned()));
                feeds
            }
            "local.file_match" => {
                let targets = fields.take(self, "path_targets").unwrap_or(Val::Null);
                self.search_period(&mut fields);
                self.feeds_of(&targets, line, id, depth + 1)
            }
            "discovery.kubernetes" => {
                let discovery = self.kubernetes(&mut fields, id);
                vec![Feed { keys: vec![("kubernetes_sd_configs".to_owned(), vec![discovery])], rules: Vec::new() }]
            }
            "discovery.docker" => {
                let discovery = self.docker(&mut fields);
                vec![Feed { keys: vec![("docker_sd_configs".to_owned(), vec![discovery])], rules: Vec::new() }]
            }
            other => match DISCOVERIES.iter().find(|(name, ..)| *name == other) {
                Some((_, key, names)) => {
                    let mut pairs = Vec::new();
                    fields.same(self, names, &mut pairs);
                    if matches!(other, "discovery.http" | "discovery.consul") {
                        fields.http(self, &mut pairs);
                    }
                    vec![Feed { keys: vec![((*key).to_owned(), vec![Node::Map(pairs)])], rules: Vec::new() }]
                }
                None => {
                    self.tell(
                        line,
                        Verdict::Refused,
                        id,
                        "its targets are not discovered here: name the files with static_configs, or let a program write them for file_sd_configs",
                    );
                    return Vec::new();
                }
            },
        };
        fields.end(self);
        self.tell(line, Verdict::Kept, id, "");
        feeds
    }

    /// `sync_period` is the whole edge's here.
    pub(super) fn search_period(&mut self, fields: &mut Fields<'_>) {
        let line = fields.line("sync_period");
        if let Some(period) = fields.node(self, "sync_period") {
            if self.sync_period.as_ref().is_some_and(|other| *other != period) {
                self.tell(line, Verdict::Changed, "sync_period", "files of all jobs are searched for in one rhythm: the first one counts");
            } else {
                self.sync_period = Some(period);
            }
        }
        fields.ignore(self, &["ignore_older_than"], "old files are read too; a relabelling rule or a narrower glob keeps them out");
    }

    fn kubernetes(&mut self, fields: &mut Fields<'_>, id: &str) -> Node {
        let mut pairs = Vec::new();
        fields.same(self, &["role", "api_server", "kubeconfig_file"], &mut pairs);
        pairs.extend(fields.inner(self, "namespaces", &[("own_namespace", "own_namespace"), ("names", "names")]).map(|node| ("namespaces".to_owned(), node)));
        pairs.extend(fields.inner(self, "attach_metadata", &[("node", "node"), ("namespace", "namespace")]).map(|node| ("attach_metadata".to_owned(), node)));
        let mut selectors = Vec::new();
        for block in fields.blocks("selectors") {
            let (mut inner, line) = (Fields::new(block), block.at.line);
            let (role, label, field) = (inner.node(self, "role"), inner.node(self, "label"), inner.node(self, "field"));
            inner.end(self);
            let field = field.map(|field| {
                let Node::Text(field) = field else { return field };
                let is_own = |part: &&str| part.strip_prefix(OWN_NODE).is_some_and(|node| variables_of(node).iter().any(|(is_variable, _)| *is_variable));
                let rest: Vec<&str> = field.split(',').filter(|part| !is_own(part)).collect();
                if rest.len() < field.split(',').count() {
                    let note = "the own node's pods are selected without it: HOSTNAME must be spec.nodeName in the pod, as in deploy/edge";
                    self.tell(line, Verdict::Changed, format!("{id} selectors"), note);
                }
                Node::text(rest.join(","))
            });
            let field = field.filter(|field| *field != Node::text(""));
            if label.is_some() || field.is_some() {
                selectors.push(Node::map([("role", role), ("label", label), ("field", field)]));
            }
        }
        if !selectors.is_empty() {
            pairs.push(("selectors".to_owned(), Node::List(selectors)));
        }
        fields.http(self, &mut pairs);
        Node::Map(pairs)
    }

    /// `discovery.docker`
    pub(super) fn docker(&mut self, fields: &mut Fields<'_>) -> Node {
        let mut pairs = Vec::new();
        fields.same(self, &["host", "port", "refresh_interval", "host_networking_host", "match_first_network"], &mut pairs);
        let filters = fields.blocks("filter").into_iter().map(|block| {
            let (mut inner, mut pairs) = (Fields::new(block), Vec::new());
            inner.same(self, &["name", "values"], &mut pairs);
            inner.end(self);
            Node::Map(pairs)
        });
        let filters: Vec<Node> = filters.collect();
        if !filters.is_empty() {
            pairs.push(("filters".to_owned(), Node::List(filters)));
        }
        fields.http(self, &mut pairs);
        Node::Map(pairs)
    }

    /// The blocks `rule` of a component.
    pub(super) fn rules(&mut self, fields: &mut Fields<'_>) -> Vec<Node> {
        let mut rules = Vec::new();
        for block in fields.blocks("rule") {
            let (mut inner, mut pairs) = (Fields::new(block), Vec::new());
            inner.same(self, &["source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action"], &mut pairs);
            inner.end(self);
            rules.push(Node::Map(pairs));
        }
        rules
    }

    /// Rules of a `loki.relabel`, or of a `discovery.relabel` that is named for them.
    pub(super) fn relabel_rules(&mut self, block: &Block) -> Vec<Node> {
        let mut fields = Fields::new(block);
        // Of a `discovery.relabel` too only the rules are wanted here.
        fields.take(self, "forward_to");
        fields.take(self, "targets");
        let rules = self.rules(&mut fields);
        fields.ignore(self, &["max_cache_size"], "results are kept without a bound of their own");
        fields.end(self);
        rules
    }

    /// Rules that a source names with `relabel_rules`.
    pub(super) fn named_rules(&mut self, fields: &mut Fields<'_>, by: &str) -> Vec<Node> {
        let line = fields.line("relabel_rules");
        let Some(Val::Reference(path)) = fields.take(self, "relabel_rules") else { return Vec::new() };
        let Some((id, block, _)) = self.component(&path, line, by) else { return Vec::new() };
        self.tell(block.at.line, Verdict::Kept, id, format!("relabel_configs of job {by}"));
        self.relabel_rules(block)
    }

    /// A `loki.relabel` after a `loki.process`: labels of lines, which stages change here.
    pub(super) fn relabel_as_stages(&mut self, block: &Block) -> Vec<Node> {
        let (mut stages, id, line) = (Vec::new(), block.id(), block.at.line);
        for rule in self.relabel_rules(block) {
            let Node::Map(pairs) = &rule else { continue };
            let text = |name: &str| {
                pairs.iter().find(|(own, _)| own == name).and_then(|(_, value)| if let Node::Text(text) = value { Some(text.as_str()) } else { None })
            };
            let regex = text("regex").unwrap_or_default();
            let names: Vec<Node> = regex.trim_start_matches('(').trim_end_matches(')').split('|').map(Node::text).collect();
            let is_plain =
                !regex.is_empty() && regex.trim_start_matches('(').trim_end_matches(')').chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '|');
            match text("action").unwrap_or_default() {
                "labeldrop" if is_plain => stages.push(Node::map([("labeldrop", Some(Node::List(names)))])),
                "labelkeep" if is_plain => stages.push(Node::map([("labelallow", Some(Node::List(names)))])),
                action => {
                    let note = format!(
                        "a rule ({}) after a loki.process: lines are not relabelled here; write stages: labels, template, labeldrop, match",
                        if action.is_empty() { "replace" } else { action }
                    );
                    self.tell(line, Verdict::Refused, &id, note);
                }
            }
        }
        stages
    }
}
