//! The attributes and blocks of a component: each is taken once, what is left is told.
//!
//! Parts: [`Fields`]; [`Fields::http`] (an HTTP client, the same wherever one is made). A secret that is a file's content
//! becomes the key that names the file. Must not do: guess at what it does not know.

use std::collections::BTreeSet;

use super::super::report::Verdict;
use super::super::river::syntax::{Attribute, Block, Item};
use super::super::river::value::{Val, evaluate};
use super::super::tree::Node;
use super::Graph;

/// Keys beside which a key with `_file` at its end stands.
const IN_FILES: [&str; 5] = ["password", "username", "credentials", "bearer_token", "client_secret"];

/// A block being read.
pub(super) struct Fields<'b> {
    block: &'b Block,
    taken: BTreeSet<&'b str>,
}

impl<'b> Fields<'b> {
    pub(super) fn new(block: &'b Block) -> Self {
        Self { block, taken: BTreeSet::new() }
    }

    fn attribute(&mut self, name: &str) -> Option<&'b Attribute> {
        let found =
            self.block.items.iter().find_map(|item| if let Item::Attribute(attribute) = item { Some(attribute).filter(|a| a.name == name) } else { None })?;
        self.taken.insert(&found.name);
        Some(found)
    }

    /// The line of an attribute, or that of the block.
    pub(super) fn line(&self, name: &str) -> u64 {
        let own =
            self.block.items.iter().find_map(|item| if let Item::Attribute(attribute) = item { Some(attribute).filter(|a| a.name == name) } else { None });
        own.map_or(self.block.at, |attribute| attribute.at).line
    }

    /// The value of an attribute; what has none is told.
    pub(super) fn take(&mut self, graph: &mut Graph<'_>, name: &str) -> Option<Val> {
        let attribute = self.attribute(name)?;
        match evaluate(&attribute.value) {
            Ok(Val::Null) => None,
            Ok(value) => Some(value),
            Err(fault) => {
                graph.tell(fault.at.line, Verdict::Refused, format!("{} {name}", self.block.id()), format!("{}; {}", fault.text, fault.fix));
                None
            }
        }
    }

    /// The same as it is written.
    pub(super) fn node(&mut self, graph: &mut Graph<'_>, name: &str) -> Option<Node> {
        let value = self.take(graph, name)?;
        let node = node(&value);
        if node.is_none() {
            graph.tell(
                self.line(name),
                Verdict::Refused,
                format!("{} {name}", self.block.id()),
                "it comes from another component, which is not taken over: write the value",
            );
        }
        node
    }

    /// Attributes as keys: (Alloy's name, ours). A secret in a file becomes the key that names the file.
    pub(super) fn copy(&mut self, graph: &mut Graph<'_>, names: &[(&str, &str)], into: &mut Vec<(String, Node)>) {
        for (own, ours) in names {
            if let Some(Val::Reference(path)) = self.attribute(own).and_then(|attribute| evaluate(&attribute.value).ok())
                && IN_FILES.contains(ours)
                && let Some(file) = graph.local_file(&path)
            {
                into.push((format!("{ours}_file"), Node::text(file)));
                continue;
            }
            into.extend(self.node(graph, own).map(|node| ((*ours).to_owned(), node)));
        }
    }

    /// Attributes under their own names.
    pub(super) fn same(&mut self, graph: &mut Graph<'_>, names: &[&str], into: &mut Vec<(String, Node)>) {
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (*name, *name)).collect();
        self.copy(graph, &pairs, into);
    }

    /// Its blocks of a name.
    pub(super) fn blocks(&mut self, name: &str) -> Vec<&'b Block> {
        let found: Vec<&Block> =
            self.block.items.iter().filter_map(|item| if let Item::Block(block) = item { Some(block).filter(|b| b.name == name) } else { None }).collect();
        self.taken.extend(found.iter().map(|block| block.name.as_str()));
        found
    }

    /// Its blocks whose names begin so, in their order.
    pub(super) fn blocks_below(&mut self, prefix: &str) -> Vec<&'b Block> {
        let found: Vec<&Block> = self
            .block
            .items
            .iter()
            .filter_map(|item| if let Item::Block(block) = item { Some(block).filter(|b| b.name.starts_with(prefix)) } else { None })
            .collect();
        self.taken.extend(found.iter().map(|block| block.name.as_str()));
        found
    }

    /// Attributes and blocks that have no effect here.
    pub(super) fn ignore(&mut self, graph: &mut Graph<'_>, names: &[&str], why: &str) {
        for item in &self.block.items {
            let (name, line) = match item {
                Item::Attribute(attribute) => (&attribute.name, attribute.at.line),
                Item::Block(block) => (&block.name, block.at.line),
            };
            if names.contains(&name.as_str()) && self.taken.insert(name) {
                graph.tell(line, Verdict::Ignored, format!("{} {name}", self.block.id()), why);
            }
        }
    }

    /// What was not taken is told.
    pub(super) fn end(self, graph: &mut Graph<'_>) {
        for item in &self.block.items {
            let (name, line) = match item {
                Item::Attribute(attribute) => (&attribute.name, attribute.at.line),
                Item::Block(block) => (&block.name, block.at.line),
            };
            if !self.taken.contains(name.as_str()) {
                graph.tell(line, Verdict::Refused, format!("{} {name}", self.block.id()), "it is not known here and was left out");
            }
        }
    }

    /// A block as a map of these keys; absent, no map.
    pub(super) fn inner(&mut self, graph: &mut Graph<'_>, name: &str, keys: &[(&str, &str)]) -> Option<Node> {
        let block = self.blocks(name).into_iter().next()?;
        let (mut fields, mut pairs) = (Fields::new(block), Vec::new());
        fields.copy(graph, keys, &mut pairs);
        fields.end(graph);
        Some(Node::Map(pairs))
    }

    /// `tls_config`
    pub(super) fn tls(&mut self, graph: &mut Graph<'_>, name: &str) -> Option<Node> {
        const KEYS: [(&str, &str); 9] = [
            ("ca_pem", "ca"),
            ("ca_file", "ca_file"),
            ("cert_pem", "cert"),
            ("cert_file", "cert_file"),
            ("key_pem", "key"),
            ("key_file", "key_file"),
            ("server_name", "server_name"),
            ("insecure_skip_verify", "insecure_skip_verify"),
            ("min_version", "min_version"),
        ];
        self.inner(graph, name, &KEYS)
    }

    /// The keys of an HTTP client.
    pub(super) fn http(&mut self, graph: &mut Graph<'_>, into: &mut Vec<(String, Node)>) {
        self.same(
            graph,
            &[
                "bearer_token",
                "bearer_token_file",
                "proxy_url",
                "no_proxy",
                "proxy_from_environment",
                "proxy_connect_header",
                "follow_redirects",
                "enable_http2",
            ],
            into,
        );
        let basic: [(&str, &str); 4] =
            [("username", "username"), ("username_file", "username_file"), ("password", "password"), ("password_file", "password_file")];
        let own: [(&str, &str); 3] = [("type", "type"), ("credentials", "credentials"), ("credentials_file", "credentials_file")];
        for (name, keys) in [("basic_auth", basic.as_slice()), ("authorization", own.as_slice())] {
            into.extend(self.inner(graph, name, keys).map(|node| (name.to_owned(), node)));
        }
        if let Some(block) = self.blocks("oauth2").into_iter().next() {
            let (mut fields, mut pairs) = (Fields::new(block), Vec::new());
            let keys = [
                "client_id",
                "client_secret",
                "client_secret_file",
                "scopes",
                "token_url",
                "endpoint_params",
                "proxy_url",
                "no_proxy",
                "proxy_from_environment",
                "proxy_connect_header",
            ];
            fields.same(graph, &keys, &mut pairs);
            pairs.extend(fields.tls(graph, "tls_config").map(|tls| ("tls_config".to_owned(), tls)));
            fields.end(graph);
            into.push(("oauth2".to_owned(), Node::Map(pairs)));
        }
        into.extend(self.tls(graph, "tls_config").map(|tls| ("tls_config".to_owned(), tls)));
    }
}

/// A value as it is written; `None` where a component comes in.
pub(super) fn node(value: &Val) -> Option<Node> {
    Some(match value {
        Val::Null => Node::Null,
        Val::Bool(value) => Node::Bool(*value),
        Val::Number(number) => Node::Number(number.clone()),
        Val::Text(text) => Node::text(text),
        Val::List(items) => Node::List(items.iter().map(node).collect::<Option<_>>()?),
        Val::Object(fields) => Node::Map(fields.iter().map(|(name, value)| Some((name.clone(), node(value)?))).collect::<Option<_>>()?),
        Val::Reference(_) => return None,
    })
}
