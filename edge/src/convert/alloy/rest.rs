//! Blocks that no source leads to: the program's own, those for other signals, those that cannot be kept.
//!
//! Parts: `Graph::server` (`logging`), `Graph::rest`, [`KNOWN`] (names by their beginnings). Must not do: convert.

use super::super::report::Verdict;
use super::super::river::syntax::Block;
use super::super::tree::Node;
use super::Graph;
use super::fields::Fields;

const NO_LOGS: &str = "it is not for logs: keep an agent for it";
const NOT_LED_TO: &str = "no source of logs leads to it";

/// By the beginning of the name, the first that fits.
const KNOWN: [(&str, Verdict, &str); 27] = [
    ("otelcol.receiver.otlp", Verdict::Refused, "write a job with otlp: {http_listen_address: ':4318', grpc_listen_address: ':4317'}"),
    ("otelcol.receiver.filelog", Verdict::Refused, "write a job with static_configs and __path__"),
    ("otelcol.receiver.syslog", Verdict::Refused, "write a job with syslog"),
    ("otelcol.receiver.fluentforward", Verdict::Refused, "write a job with forward"),
    ("otelcol.receiver.kafka", Verdict::Refused, "write a job with kafka"),
    ("otelcol.", Verdict::Refused, "pipelines of OpenTelemetry are not taken over: let them send to a job with otlp"),
    ("prometheus.", Verdict::Ignored, NO_LOGS),
    ("pyroscope.", Verdict::Ignored, NO_LOGS),
    ("mimir.", Verdict::Ignored, NO_LOGS),
    ("beyla.", Verdict::Ignored, NO_LOGS),
    ("faro.", Verdict::Refused, "what browsers send is not taken: let a collector send it to a job with otlp or loki_push_api"),
    ("loki.rules", Verdict::Refused, "rules are not loaded by an edge"),
    ("loki.echo", Verdict::Ignored, "what an edge would send is shown by -dry-run"),
    ("loki.secretfilter", Verdict::Refused, "hide secrets with stage replace"),
    ("loki.enrich", Verdict::Refused, "labels of targets come from relabel_configs"),
    ("loki.", Verdict::Ignored, NOT_LED_TO),
    ("discovery.", Verdict::Ignored, NOT_LED_TO),
    ("local.file_match", Verdict::Ignored, NOT_LED_TO),
    ("local.file", Verdict::Ignored, NOT_LED_TO),
    ("remote.", Verdict::Refused, "values from elsewhere are not taken over: write them, or take them from the environment"),
    ("logging", Verdict::Kept, "server.log_level, server.log_format"),
    ("livedebugging", Verdict::Ignored, "-inspect shows what each stage makes of a line"),
    ("tracing", Verdict::Ignored, "this edge makes no traces"),
    ("http", Verdict::Ignored, "the edge's own pages are plain, on 127.0.0.1"),
    ("remotecfg", Verdict::Refused, "settings come from the file alone"),
    ("import.", Verdict::Refused, "modules are not taken over: write their text in place of them"),
    ("declare", Verdict::Refused, "modules are not taken over: write their text in place of them"),
];

impl Graph<'_> {
    /// `server`, with what `logging` says.
    pub(super) fn server(&mut self, blocks: &[&Block]) -> Node {
        let mut pairs = vec![("http_listen_address".to_owned(), Node::text("127.0.0.1")), ("http_listen_port".to_owned(), Node::Number("12345".to_owned()))];
        for block in blocks.iter().filter(|block| block.name == "logging") {
            let mut fields = Fields::new(block);
            fields.copy(self, &[("level", "log_level"), ("format", "log_format")], &mut pairs);
            fields.ignore(self, &["write_to", "destination"], "the log goes to standard error");
            fields.end(self);
        }
        Node::Map(pairs)
    }

    /// Tells of all blocks that no job came of.
    pub(super) fn rest(&mut self, blocks: &[&Block]) {
        for block in blocks {
            if self.used.contains(&block.id()) {
                continue;
            }
            let known = KNOWN.iter().find(|(name, ..)| {
                if name.ends_with('.') { block.name.starts_with(name) } else { block.name == *name || block.name.starts_with(&format!("{name}.")) }
            });
            let (verdict, note) = known.map_or((Verdict::Refused, "it is not known here"), |(_, verdict, note)| (*verdict, *note));
            self.tell(block.at.line, verdict, block.id(), note);
        }
    }
}
