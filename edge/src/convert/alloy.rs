//! Alloy's components as this edge's jobs: from every source along what it forwards to.
//!
//! Parts: [`convert`]; `Graph` (components by their names, chains from a source to what writes), [`fields`] (a block's
//! attributes, each taken once), [`targets`] (discoveries and their rules), [`sources`] (what reads), [`stages`] (what
//! processes), [`write`] (where it goes), [`rest`] (what leads nowhere, or is not for logs). Promises: every attribute and
//! block of a component that is used becomes a part of a job or a row; a job reads once: what would need two is told.
//! Must not do: read files that are named.

mod fields;
mod rest;
mod sources;
mod stages;
mod targets;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use super::Wish;
use super::report::{Report, Verdict};
use super::river::RiverFault;
use super::river::syntax::{Block, Item, parse};
use super::river::value::Val;
use super::tree::Node;
use fields::Fields;

/// Longest chain from a source, and most chains of one.
const CHAIN_MAX: usize = 32;

/// A job being put together.
#[derive(Debug, Clone, Default)]
struct Draft {
    name: String,
    line: u64,
    /// What it reads.
    keys: Vec<(String, Node)>,
    rules: Vec<Node>,
    stages: Vec<Node>,
    /// The `loki.write` components that its lines go to.
    ends: BTreeSet<String>,
}

/// From a source to what writes: the components between, and the ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Chain {
    steps: Vec<String>,
    ends: BTreeSet<String>,
}

struct Graph<'a> {
    blocks: BTreeMap<String, &'a Block>,
    wish: &'a Wish,
    report: Report,
    used: BTreeSet<String>,
    jobs: Vec<Draft>,
    /// Seconds between searches, if a component says so.
    sync_period: Option<Node>,
    /// Components that keep positions.
    positions: Vec<String>,
}

/// The edge's settings, and what became of each part.
///
/// # Errors
/// What is no River.
pub(super) fn convert(text: &str, wish: &Wish) -> Result<(Node, Report), RiverFault> {
    let items = parse(text)?;
    let mut graph =
        Graph { blocks: BTreeMap::new(), wish, report: Report::default(), used: BTreeSet::new(), jobs: Vec::new(), sync_period: None, positions: Vec::new() };
    let mut blocks = Vec::new();
    for item in &items {
        match item {
            Item::Attribute(attribute) => {
                return Err(RiverFault::new(attribute.at, format!("{:?} stands in no block", attribute.name), "put it into a component"));
            }
            Item::Block(block) => {
                let is_many = ["import", "declare"].iter().any(|name| block.name.starts_with(name));
                if graph.blocks.insert(block.id(), block).is_some() && !is_many {
                    return Err(RiverFault::new(block.at, format!("{} is there twice", block.id()), "give each component a label of its own"));
                }
                blocks.push(block);
            }
        }
    }
    for block in &blocks {
        if block.name.starts_with("loki.source.") {
            graph.source(block);
        }
    }
    Ok(graph.end(&blocks))
}

impl<'a> Graph<'a> {
    fn tell(&mut self, line: u64, verdict: Verdict, what: impl Into<String>, note: impl Into<String>) {
        self.report.tell(line, verdict, what, note);
    }

    /// The component that a reference leads to, and which of its exports is meant.
    fn component(&mut self, path: &[String], line: u64, by: &str) -> Option<(String, &'a Block, String)> {
        let (export, id) = path.split_last()?;
        let id = id.join(".");
        let Some(block) = self.blocks.get(&id).copied() else {
            self.tell(line, Verdict::Refused, by, format!("it names {id}, which is not in this file"));
            return None;
        };
        self.used.insert(id.clone());
        Some((id, block, export.clone()))
    }

    /// The file that a `local.file` names.
    fn local_file(&mut self, path: &[String]) -> Option<String> {
        let id = path.split_last()?.1.join(".");
        let block = self.blocks.get(&id).copied().filter(|block| block.name == "local.file")?;
        self.used.insert(id.clone());
        let mut fields = Fields::new(block);
        let file = fields.take(self, "filename").and_then(|value| value.text().map(str::to_owned));
        fields.ignore(self, &["is_secret", "poll_frequency", "detector"], "the file is named in the settings, and read by whoever needs it");
        fields.end(self);
        file
    }

    /// All ways from `forward_to` to what writes; those with the same steps are one.
    fn chains(&mut self, forward_to: &Val, line: u64, by: &str) -> Vec<Chain> {
        let mut found: Vec<Chain> = Vec::new();
        let mut open: Vec<(Vec<String>, Val)> = vec![(Vec::new(), forward_to.clone())];
        while let Some((steps, receivers)) = open.pop() {
            let receivers = if let Val::List(receivers) = receivers { receivers } else { vec![receivers] };
            for receiver in receivers.into_iter().rev() {
                let Val::Reference(path) = &receiver else {
                    if let Val::List(_) = receiver {
                        open.push((steps.clone(), receiver));
                    }
                    continue;
                };
                let Some((id, block, _)) = self.component(path, line, by) else { continue };
                match block.name.as_str() {
                    "loki.write" => match found.iter_mut().find(|chain| chain.steps == steps) {
                        Some(chain) => drop(chain.ends.insert(id)),
                        None => found.push(Chain { steps: steps.clone(), ends: BTreeSet::from([id]) }),
                    },
                    "loki.process" | "loki.relabel" if steps.len() < CHAIN_MAX && open.len() < CHAIN_MAX && !steps.contains(&id) => {
                        let next = Fields::new(block).take(self, "forward_to").unwrap_or(Val::Null);
                        let mut steps = steps.clone();
                        steps.push(id);
                        open.push((steps, next));
                    }
                    "loki.process" | "loki.relabel" => {
                        self.tell(block.at.line, Verdict::Refused, id, "it leads round in a circle, or too many ways lead on from it")
                    }
                    "loki.echo" => self.tell(block.at.line, Verdict::Ignored, id, "what an edge would send is shown by -dry-run"),
                    _ => {
                        let note = "lines cannot be forwarded to it from here; that part is left out: send to the hub or to a loki.write";
                        self.tell(block.at.line, Verdict::Refused, id, note);
                    }
                }
            }
        }
        found
    }

    /// Makes jobs of a source: one for each chain where the source can be read twice, else the first alone.
    fn jobs_of(&mut self, draft: &Draft, forward_to: &Val, can_be_read_twice: bool) {
        let chains = self.chains(forward_to, draft.line, &draft.name);
        if chains.is_empty() {
            self.tell(draft.line, Verdict::Ignored, &draft.name, "nothing that is written comes of it");
            return;
        }
        for (number, chain) in chains.iter().enumerate() {
            if number > 0 && !can_be_read_twice {
                let way = if chain.steps.is_empty() { "the way without a process".to_owned() } else { chain.steps.join(" -> ") };
                let note = format!("{way} is left out: what it reads goes through one pipeline here; put both into one with stage.match");
                self.tell(draft.line, Verdict::Refused, &draft.name, note);
                continue;
            }
            let mut job = Draft { ends: chain.ends.clone(), ..draft.clone() };
            self.steps(&mut job, chain);
            self.push(job);
        }
    }

    fn steps(&mut self, job: &mut Draft, chain: &Chain) {
        let mut is_processed = false;
        for id in &chain.steps {
            let Some(block) = self.blocks.get(id).copied() else { continue };
            if block.name == "loki.process" {
                is_processed = true;
                let stages = self.process(block);
                job.stages.extend(stages);
            } else if is_processed {
                let stages = self.relabel_as_stages(block);
                job.stages.extend(stages);
            } else {
                let rules = self.relabel_rules(block);
                if rules.iter().any(reads_filename) && job.keys.iter().any(|(name, _)| name.ends_with("_configs") && name != "docker_sd_configs") {
                    let note = "a rule reads the label filename, which a file gets after its targets are relabelled here: match __path__, or use stage.match";
                    self.tell(block.at.line, Verdict::Refused, id, note);
                }
                job.rules.extend(rules);
            }
            self.tell(block.at.line, Verdict::Kept, id, format!("in job {}", job.name));
        }
    }

    /// Adds a job under a name of its own.
    fn push(&mut self, mut job: Draft) {
        let own = job.name.clone();
        let mut number = 1;
        while self.jobs.iter().any(|other| other.name == job.name) {
            number += 1;
            job.name = format!("{own}-{number}");
        }
        self.tell(job.line, Verdict::Kept, own, format!("job {}", job.name));
        self.jobs.push(job);
    }

    /// The whole file.
    fn end(mut self, blocks: &[&'a Block]) -> (Node, Report) {
        self.tell(0, Verdict::Changed, "server", "the pages listen where Alloy's do by default, 127.0.0.1:12345; Alloy's own flags are not in its file");
        let server = self.server(blocks);
        let (clients, labels) = self.clients();
        let positions = self.positions_node();
        self.rest(blocks);
        let jobs: Vec<Node> = self.jobs.iter().map(job_node).collect();
        if jobs.is_empty() {
            self.tell(0, Verdict::Refused, "scrape_configs", "no source of this file can be read here");
        }
        let state = &self.wish.state_dir;
        let sync = self.sync_period.take().map(|period| Node::map([("sync_period", Some(period))]));
        let tree = Node::map([
            ("server", Some(server)),
            ("hub", self.wish.hub()),
            ("clients", clients),
            ("client", labels.map(|labels| Node::map([("external_labels", Some(labels))]))),
            ("wal", Some(Node::map([("dir", Some(Node::text(format!("{state}/wal"))))]))),
            ("positions", Some(positions)),
            ("target_config", sync),
            ("scrape_configs", Some(Node::List(jobs))),
        ]);
        (tree, self.report)
    }

    fn positions_node(&mut self) -> Node {
        let storage = self.wish.alloy_storage.trim_end_matches('/').to_owned();
        let files: Vec<Node> = self.positions.iter().map(|id| Node::text(format!("{storage}/{id}/positions.yml"))).collect();
        if !files.is_empty() {
            let note = format!("Alloy's positions below {storage} are read once, at the first start: stop Alloy before; --alloy-storage names another folder");
            self.tell(0, Verdict::Changed, "positions", note);
        }
        let filename = format!("{}/positions.yaml", self.wish.state_dir);
        Node::map([("filename", Some(Node::text(filename))), ("legacy", Some(Node::List(files)).filter(|files| !files.is_empty()))])
    }
}

fn reads_filename(rule: &Node) -> bool {
    let Node::Map(pairs) = rule else { return false };
    pairs.iter().any(|(name, value)| name == "source_labels" && matches!(value, Node::List(labels) if labels.contains(&Node::text("filename"))))
}

fn job_node(job: &Draft) -> Node {
    let mut pairs = vec![("job_name".to_owned(), Node::text(&job.name))];
    pairs.extend(job.keys.iter().cloned());
    for (name, list) in [("relabel_configs", &job.rules), ("pipeline_stages", &job.stages)] {
        if !list.is_empty() {
            pairs.push((name.to_owned(), Node::List(list.clone())));
        }
    }
    Node::Map(pairs)
}
