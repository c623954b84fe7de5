//! What stands in a simulated bucket, and what stood a moment ago.
//!
//! Parts: [`Shelf`]. Promises: a listing as of an earlier moment is exactly what stood then. Limits: remembers 10 s. Must not do: faults.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::path::Path;
use object_store::{Attributes, Error, GetOptions, GetResult, GetResultPayload, ObjectMeta, Result};

use crate::world::START_NS;

/// How long changes are remembered for listings.
const REMEMBERED: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) bytes: Bytes,
    at: Duration,
    tag: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    objects: BTreeMap<String, Stored>,
    /// What was there before each change, oldest first.
    before: VecDeque<(Duration, String, Option<Stored>)>,
    tags: u64,
}

fn meta(name: &str, stored: &Stored) -> ObjectMeta {
    let since_1970 = Duration::from_nanos(START_NS.unsigned_abs()) + stored.at;
    let mut meta = ObjectMeta {
        location: Path::from(name),
        last_modified: Default::default(),
        size: stored.bytes.len() as u64,
        e_tag: Some(format!("\"{}\"", stored.tag)),
        version: None,
    };
    meta.last_modified += since_1970;
    meta
}

impl Shelf {
    fn change(&mut self, name: &str, now: Duration, new: Option<Stored>) {
        let before = match new {
            Some(new) => self.objects.insert(name.to_owned(), new),
            None => self.objects.remove(name),
        };
        self.before.push_back((now, name.to_owned(), before));
        while self.before.front().is_some_and(|(at, _, _)| *at + REMEMBERED < now) {
            self.before.pop_front();
        }
    }

    pub(super) fn holds(&self, path: &Path) -> bool {
        self.objects.contains_key(path.as_ref())
    }

    pub(super) fn get(&self, path: &Path) -> Option<&Stored> {
        self.objects.get(path.as_ref())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.objects.keys().map(String::as_str)
    }

    pub(super) fn put(&mut self, path: &Path, bytes: Bytes, now: Duration) {
        self.tags += 1;
        let tag = self.tags;
        self.change(path.as_ref(), now, Some(Stored { bytes, at: now, tag }));
    }

    /// Whether it stood.
    pub(super) fn delete(&mut self, path: &Path, now: Duration) -> bool {
        let stood = self.holds(path);
        if stood {
            self.change(path.as_ref(), now, None);
        }
        stood
    }

    pub(super) fn flip(&mut self, path: &Path, at: usize) -> bool {
        let Some(stored) = self.objects.get_mut(path.as_ref()) else { return false };
        let mut bytes = stored.bytes.to_vec();
        let Some(byte) = bytes.get_mut(at) else { return false };
        *byte ^= 1;
        stored.bytes = bytes.into();
        true
    }

    pub(super) fn read(&self, path: &Path, options: &GetOptions) -> Result<GetResult> {
        let name = path.as_ref();
        let stored = self.objects.get(name).ok_or_else(|| Error::NotFound { path: name.to_owned(), source: "404 Not Found".into() })?;
        let len = stored.bytes.len() as u64;
        let range = match &options.range {
            None => 0..len,
            Some(asked) => asked.as_range(len).map_err(|fault| Error::Generic { store: "sim", source: fault.into() })?,
        };
        let ends = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let bytes = stored.bytes.slice(ends(range.start)..ends(range.end));
        Ok(GetResult {
            payload: GetResultPayload::Stream(futures::stream::iter([Ok(bytes)]).boxed()),
            meta: meta(name, stored),
            range,
            attributes: Attributes::default(),
            extensions: Default::default(),
        })
    }

    /// Everything below `prefix` as of `as_of`; whether that differs from now.
    pub(super) fn list(&self, prefix: &Path, as_of: Duration) -> (Vec<ObjectMeta>, bool) {
        let folder = if prefix.as_ref().is_empty() { String::new() } else { format!("{prefix}/") };
        let below = |name: &str| name.starts_with(&folder);
        let mut listed: BTreeMap<&str, &Stored> =
            self.objects.range(folder.clone()..).take_while(|(name, _)| below(name)).map(|(name, stored)| (name.as_str(), stored)).collect();
        let mut is_old = false;
        for (_, name, before) in self.before.iter().rev().take_while(|(at, _, _)| *at > as_of).filter(|(_, name, _)| below(name)) {
            is_old = true;
            match before {
                Some(stored) => drop(listed.insert(name, stored)),
                None => drop(listed.remove(name.as_str())),
            }
        }
        (listed.into_iter().map(|(name, stored)| meta(name, stored)).collect(), is_old)
    }
}
