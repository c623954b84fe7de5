//! `loki.source.*` to what a job reads.
//!
//! Parts: `Graph::source` (which of them), one function for each that can be read here; the others are told with another
//! way. Jobs are called after their components, so that Alloy's journal cursor is found. Must not do: follow `forward_to`.

use super::super::report::Verdict;
use super::super::river::syntax::Block;
use super::super::river::value::Val;
use super::super::tree::Node;
use super::fields::Fields;
use super::{Draft, Graph};

/// Sources that are not read here, and what to do instead.
const REFUSED: [(&str, &str); 8] = [
    ("heroku", "let a Heroku drain send syslog over TLS to a job with syslog"),
    ("gcplog", "let the OpenTelemetry Collector read Pub/Sub and send to a job with otlp"),
    ("azure_event_hubs", "read them through their Kafka endpoint with a job that has kafka"),
    ("cloudflare", "let Cloudflare's Logpush send to a job with loki_push_api"),
    ("windowsevent", "let an agent on the Windows host send to a job with forward or otlp"),
    ("awsfirehose", "let a collector that speaks Firehose send to a job with otlp"),
    ("kubernetes_events", "let an exporter of events write them to its standard output, which is read as a pod's log"),
    ("podlogs", "pods are chosen by kubernetes_sd_configs and relabel_configs, not by PodLogs resources"),
];

/// Where a pod's logs lie, by its uid and container; and those of a static pod, by its hash.
fn pod_log_rules() -> Vec<Node> {
    let list = |names: &[&str]| Some(Node::List(names.iter().copied().map(Node::text).collect()));
    let (path, separator, replacement) = (Some(Node::text("__path__")), Some(Node::text("/")), Some(Node::text("/var/log/pods/*$1/*.log")));
    let uid = list(&["__meta_kubernetes_pod_uid", "__meta_kubernetes_pod_container_name"]);
    let hash = list(&[
        "__meta_kubernetes_pod_annotationpresent_kubernetes_io_config_hash",
        "__meta_kubernetes_pod_annotation_kubernetes_io_config_hash",
        "__meta_kubernetes_pod_container_name",
    ]);
    vec![
        Node::map([("source_labels", uid), ("separator", separator.clone()), ("target_label", path.clone()), ("replacement", replacement.clone())]),
        Node::map([
            ("source_labels", hash),
            ("separator", separator),
            ("regex", Some(Node::text("true/(.*)"))),
            ("target_label", path),
            ("replacement", replacement),
        ]),
    ]
}

type Pairs = Vec<(String, Node)>;

impl Graph<'_> {
    /// Makes the jobs of a source.
    pub(super) fn source(&mut self, block: &Block) {
        let (id, line) = (block.id(), block.at.line);
        self.used.insert(id.clone());
        let kind = block.name.trim_start_matches("loki.source.");
        if let Some((_, instead)) = REFUSED.iter().find(|(name, _)| *name == kind) {
            self.tell(line, Verdict::Refused, id, format!("it is not read here; {instead}"));
            return;
        }
        let mut fields = Fields::new(block);
        let Some(forward_to) = fields.take(self, "forward_to") else {
            self.tell(line, Verdict::Refused, id, "it forwards to nothing");
            return;
        };
        let draft = Draft { name: id.clone(), line, ..Draft::default() };
        match kind {
            "file" => self.file(fields, draft, &forward_to),
            "kubernetes" => self.pods_by_api(fields, &draft, &forward_to),
            "docker" => self.containers(fields, &draft, &forward_to),
            "journal" => self.journal(fields, draft, &forward_to),
            "syslog" => self.syslog(fields, &draft, &forward_to),
            "api" => self.api(fields, draft, &forward_to),
            "gelf" => self.gelf(fields, draft, &forward_to),
            "kafka" => self.kafka(fields, draft, &forward_to),
            _ => self.tell(line, Verdict::Refused, id, "this source is not known here"),
        }
    }

    /// A job for each set of targets with rules of their own.
    fn targets(&mut self, fields: &mut Fields<'_>, draft: &Draft) -> Vec<Draft> {
        let targets = fields.take(self, "targets").unwrap_or(Val::Null);
        let feeds = self.feeds(&targets, draft.line, &draft.name);
        let job = |feed: super::targets::Feed| Draft {
            keys: feed.keys.into_iter().map(|(name, nodes)| (name, Node::List(nodes))).chain(draft.keys.iter().cloned()).collect(),
            rules: feed.rules.into_iter().chain(draft.rules.iter().cloned()).collect(),
            ..draft.clone()
        };
        feeds.into_iter().map(job).collect()
    }

    fn file(&mut self, mut fields: Fields<'_>, mut draft: Draft, forward_to: &Val) {
        draft.keys.extend(fields.node(self, "encoding").filter(|name| *name != Node::text("")).map(|name| ("encoding".to_owned(), name)));
        let packed = [("enabled", "enabled"), ("initial_delay", "initial_delay"), ("format", "format")];
        draft.keys.extend(fields.inner(self, "decompression", &packed).map(|node| ("decompression".to_owned(), node)));
        if let Some(block) = fields.blocks("file_match").into_iter().next() {
            let mut inner = Fields::new(block);
            self.search_period(&mut inner);
            inner.take(self, "enabled");
            inner.end(self);
        }
        if fields.take(self, "tail_from_end") == Some(Val::Bool(true)) {
            let note = "files that are new to the edge are read from their beginning; those that Alloy has read go on where it stood";
            self.tell(fields.line("tail_from_end"), Verdict::Changed, format!("{} tail_from_end", draft.name), note);
        }
        fields.ignore(self, &["legacy_positions_file"], "Alloy has taken it over already; name it under positions.legacy if Alloy itself never ran");
        fields.ignore(self, &["file_watch", "on_positions_file_error"], "files are looked at when they change; positions lie in the WAL");
        let jobs = self.targets(&mut fields, &draft);
        fields.end(self);
        self.positions.push(draft.name.clone());
        for job in jobs {
            self.jobs_of(&job, forward_to, false);
        }
    }

    fn pods_by_api(&mut self, mut fields: Fields<'_>, draft: &Draft, forward_to: &Val) {
        fields.ignore(self, &["client", "clustering"], "each edge reads the files of its own node");
        let jobs = self.targets(&mut fields, draft);
        fields.end(self);
        let note = "pods are read from their files below /var/log/pods, not through the API: run an edge on every node (deploy/edge); Alloy's labels job and instance of this component are not set";
        self.tell(draft.line, Verdict::Changed, &draft.name, note);
        for mut job in jobs {
            job.rules.extend(pod_log_rules());
            job.stages.push(Node::map([("cri", Some(Node::Map(Vec::new())))]));
            self.jobs_of(&job, forward_to, false);
        }
    }

    fn containers(&mut self, mut fields: Fields<'_>, draft: &Draft, forward_to: &Val) {
        let mut own = Vec::new();
        fields.same(self, &["host", "refresh_interval"], &mut own);
        if let Some(block) = fields.blocks("http_client_config").into_iter().next() {
            let mut inner = Fields::new(block);
            inner.http(self, &mut own);
            inner.end(self);
        }
        let labels = fields.node(self, "labels").filter(|labels| !labels.is_empty());
        let jobs = self.targets(&mut fields, draft);
        let rules = self.named_rules(&mut fields, &draft.name);
        fields.end(self);
        self.positions.push(draft.name.clone());
        for mut job in jobs {
            for (key, value) in &mut job.keys {
                if let (true, Node::List(all)) = (key == "docker_sd_configs", value) {
                    all.iter_mut().for_each(|one| with_absent(one, &own));
                }
            }
            job.rules.extend(rules.iter().cloned());
            if let Some(labels) = &labels {
                job.stages.push(Node::map([("static_labels", Some(labels.clone()))]));
            }
            self.jobs_of(&job, forward_to, false);
        }
    }

    fn journal(&mut self, mut fields: Fields<'_>, mut draft: Draft, forward_to: &Val) {
        let mut pairs = Vec::new();
        fields.copy(self, &[("format_as_json", "json"), ("max_age", "max_age"), ("path", "path"), ("matches", "matches")], &mut pairs);
        // Alloy names the job after the component.
        let mut labels = vec![("job".to_owned(), Node::text(&draft.name))];
        if let Some(Node::Map(own)) = fields.node(self, "labels") {
            labels.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
            labels.extend(own);
        }
        pairs.push(("labels".to_owned(), Node::Map(labels)));
        draft.rules = self.named_rules(&mut fields, &draft.name);
        fields.ignore(self, &["legacy_position"], "Alloy has taken it over already");
        fields.end(self);
        draft.keys.push(("journal".to_owned(), Node::Map(pairs)));
        self.positions.push(draft.name.clone());
        self.jobs_of(&draft, forward_to, true);
    }

    fn syslog(&mut self, mut fields: Fields<'_>, draft: &Draft, forward_to: &Val) {
        let rules = self.named_rules(&mut fields, &draft.name);
        for block in fields.blocks("listener") {
            let (mut inner, mut pairs) = (Fields::new(block), Vec::new());
            inner.copy(self, &[("address", "listen_address"), ("protocol", "listen_protocol")], &mut pairs);
            let names =
                ["idle_timeout", "label_structured_data", "labels", "use_incoming_timestamp", "use_rfc5424_message", "max_message_length", "syslog_format"];
            inner.same(self, &names, &mut pairs);
            pairs.extend(inner.tls(self, "tls_config").map(|tls| ("tls_config".to_owned(), tls)));
            inner.end(self);
            let job = Draft { keys: vec![("syslog".to_owned(), Node::Map(pairs))], rules: rules.clone(), line: block.at.line, ..draft.clone() };
            self.jobs_of(&job, forward_to, false);
        }
        fields.end(self);
    }

    fn api(&mut self, mut fields: Fields<'_>, mut draft: Draft, forward_to: &Val) {
        let mut server = vec![("http_listen_address".to_owned(), Node::text("0.0.0.0")), ("http_listen_port".to_owned(), Node::Number("8080".to_owned()))];
        if let Some(block) = fields.blocks("http").into_iter().next() {
            let (mut inner, mut pairs) = (Fields::new(block), Vec::new());
            inner.copy(
                self,
                &[("listen_address", "http_listen_address"), ("listen_port", "http_listen_port"), ("conn_limit", "http_listen_conn_limit")],
                &mut pairs,
            );
            let tls = [("cert_file", "cert_file"), ("key_file", "key_file"), ("client_ca_file", "client_ca_file"), ("client_auth_type", "client_auth_type")];
            pairs.extend(inner.inner(self, "tls", &tls).map(|tls| ("http_tls_config".to_owned(), tls)));
            inner.ignore(
                self,
                &["server_read_timeout", "server_write_timeout", "server_idle_timeout"],
                "a connection that keeps others waiting is closed after some seconds",
            );
            inner.end(self);
            server.retain(|(name, _)| pairs.iter().all(|(other, _)| other != name));
            server.extend(pairs);
        }
        let mut pairs = vec![("server".to_owned(), Node::Map(server))];
        fields.same(self, &["labels", "use_incoming_timestamp"], &mut pairs);
        draft.rules = self.named_rules(&mut fields, &draft.name);
        fields.ignore(self, &["grpc", "graceful_shutdown_timeout", "max_send_message_size"], "only HTTP is served there");
        fields.end(self);
        draft.keys.push(("loki_push_api".to_owned(), Node::Map(pairs)));
        self.jobs_of(&draft, forward_to, false);
    }

    fn gelf(&mut self, mut fields: Fields<'_>, mut draft: Draft, forward_to: &Val) {
        let mut pairs = Vec::new();
        fields.same(self, &["listen_address", "use_incoming_timestamp"], &mut pairs);
        draft.rules = self.named_rules(&mut fields, &draft.name);
        fields.end(self);
        draft.keys.push(("gelf".to_owned(), Node::Map(pairs)));
        self.jobs_of(&draft, forward_to, false);
    }

    fn kafka(&mut self, mut fields: Fields<'_>, mut draft: Draft, forward_to: &Val) {
        let mut pairs = Vec::new();
        fields.same(self, &["brokers", "topics", "group_id", "assignor", "version", "labels", "use_incoming_timestamp"], &mut pairs);
        if pairs.iter().all(|(name, _)| name != "group_id") {
            pairs.push(("group_id".to_owned(), Node::text("loki.source.kafka")));
        }
        if let Some(block) = fields.blocks("authentication").into_iter().next() {
            let (mut inner, mut own) = (Fields::new(block), Vec::new());
            inner.same(self, &["type"], &mut own);
            own.extend(inner.tls(self, "tls_config").map(|tls| ("tls_config".to_owned(), tls)));
            if let Some(block) = inner.blocks("sasl_config").into_iter().next() {
                let (mut sasl, mut keys) = (Fields::new(block), Vec::new());
                sasl.same(self, &["mechanism", "user", "password", "use_tls"], &mut keys);
                if let Some(Node::Map(tls)) = sasl.tls(self, "tls_config") {
                    keys.extend(tls);
                }
                sasl.end(self);
                own.push(("sasl_config".to_owned(), Node::Map(keys)));
            }
            inner.end(self);
            pairs.push(("authentication".to_owned(), Node::Map(own)));
        }
        draft.rules = self.named_rules(&mut fields, &draft.name);
        fields.end(self);
        draft.keys.push(("kafka".to_owned(), Node::Map(pairs)));
        self.jobs_of(&draft, forward_to, false);
    }
}

/// Adds what a map does not have.
fn with_absent(node: &mut Node, more: &Pairs) {
    if let Node::Map(pairs) = node {
        let absent: Pairs = more.iter().filter(|(name, _)| pairs.iter().all(|(own, _)| own != name)).cloned().collect();
        pairs.extend(absent);
    }
}
