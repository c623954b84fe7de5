//! What all sources share that the edge asks for their lines: where they stand, and deliveries under way.
//!
//! Parts: [`Stands`] (where each source stands, kept over a reload), `Pull` (one source's way into the intake). A delivery carries
//! the cursor after it, both become durable in one record of the WAL; up to [`UNDER_WAY_MAX`] are under way at once, so that nobody waits
//! for a sync for each. Promises: after [`NotTaken`] the source goes on at its last durable cursor, and what was handed in behind a
//! delivery that was not taken is not taken either (its count does not follow: `streams` refuses it). Must not do: know a source.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use edge_wal::SourcePosition;

use super::post::Post;
use super::sender::Sender;
use super::{Arrival, Durable, NotTaken};

/// Deliveries of one source that are not durable yet: more than are handed in while a sync takes its time.
pub const UNDER_WAY_MAX: usize = 32;

/// Where pulled sources stand, by the path of their position; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stands(Arc<Mutex<BTreeMap<String, Stand>>>);

/// Where one source stands.
#[derive(Debug, Default)]
struct Stand {
    durable: Option<Cursor>,
    under_way: VecDeque<(Cursor, Durable)>,
}

/// Behind which record a source goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cursor {
    /// Records taken until then.
    pub(super) count: u64,
    /// In the source's own words.
    pub(super) held: Vec<u8>,
}

impl Stands {
    /// Takes what the WAL knew when it was opened: positions of files are passed over.
    pub fn recovered(&self, positions: impl IntoIterator<Item = SourcePosition>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for position in positions {
            let durable = Some(Cursor { count: position.offset, held: position.held });
            all.insert(position.path, Stand { durable, under_way: VecDeque::new() });
        }
    }

    /// The paths that begin with `prefix`, of sources that nobody reads now.
    pub(super) fn below(&self, prefix: &str) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.range(prefix.to_owned()..).take_while(|(path, _)| path.starts_with(prefix)).map(|(path, _)| path.clone()).collect()
    }

    fn take(&self, path: &str) -> Stand {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(path).unwrap_or_default()
    }

    fn put_back(&self, path: &str, stand: Stand) {
        if stand.durable.is_none() && stand.under_way.is_empty() {
            return;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), stand);
    }
}

/// One source's way into the intake. What it knows goes back to the [`Stands`] when it is dropped.
pub(super) struct Pull {
    post: Arc<Post>,
    path: String,
    stands: Stands,
    stand: Stand,
    sender: Arc<Sender>,
}

impl Pull {
    /// The way of the source whose position is called `path`.
    pub(super) fn new(post: Arc<Post>, path: String) -> Self {
        let stands = post.intake().stands.clone();
        let stand = stands.take(&path);
        Self { post, path, stands, stand, sender: Arc::default() }
    }

    /// Who waits if the source's lines use a budget up: nothing more is to be read of it then.
    pub(super) fn sender(&self) -> Arc<Sender> {
        Arc::clone(&self.sender)
    }

    /// Where the source goes on: behind all that was handed in.
    pub(super) fn cursor(&self) -> Option<&[u8]> {
        let last = self.stand.under_way.back().map(|(cursor, _)| cursor).or(self.stand.durable.as_ref());
        last.map(|cursor| cursor.held.as_slice())
    }

    fn count(&self) -> u64 {
        self.stand.under_way.back().map(|(cursor, _)| cursor).or(self.stand.durable.as_ref()).map_or(0, |cursor| cursor.count)
    }

    /// Hands records in with the cursor behind them. `passed` of the source's own records led to them, at least one.
    ///
    /// # Errors
    /// [`NotTaken`]: something under way was not taken; the source must go on at [`Self::cursor`] again.
    pub(super) async fn hand_in(&mut self, records: Vec<Arrival>, held: Vec<u8>, passed: u64) -> Result<(), NotTaken> {
        while self.stand.under_way.len() >= UNDER_WAY_MAX {
            self.settle_first().await?;
        }
        let before = self.count();
        let cursor = Cursor { count: before + passed.max(1), held };
        let position = SourcePosition { path: self.path.clone(), offset: cursor.count, resume: before, held: cursor.held.clone(), ..SourcePosition::default() };
        match self.post.hand_in_with(&self.sender, records, vec![position]).await {
            Ok(durable) => {
                self.stand.under_way.push_back((cursor, durable));
                Ok(())
            }
            Err(NotTaken) => {
                self.stand.under_way.clear();
                Err(NotTaken)
            }
        }
    }

    /// Waits until all that is under way is durable.
    ///
    /// # Errors
    /// [`NotTaken`], as [`Self::hand_in`].
    pub(super) async fn settle(&mut self) -> Result<(), NotTaken> {
        while !self.stand.under_way.is_empty() {
            self.settle_first().await?;
        }
        Ok(())
    }

    /// There is no such source any more: what is known of it is forgotten, here and in the WAL.
    ///
    /// # Errors
    /// [`NotTaken`]: the edge ends, or its WAL began anew.
    pub(super) async fn forget(mut self) -> Result<(), NotTaken> {
        self.settle().await?;
        if self.stand.durable.is_none() {
            return Ok(());
        }
        let before = self.count();
        let gone = SourcePosition { path: self.path.clone(), offset: before + 1, resume: before, gone: true, ..SourcePosition::default() };
        self.post.hand_in_with(&self.sender, Vec::new(), vec![gone]).await?.wait().await?;
        self.stand = Stand::default();
        Ok(())
    }

    /// Waits for the oldest that is under way; with none there, for ever. Safe to be dropped.
    pub(super) async fn settle_first(&mut self) -> Result<(), NotTaken> {
        let Some((_, durable)) = self.stand.under_way.front_mut() else { return std::future::pending().await };
        let told = durable.told().await;
        let Some((cursor, _)) = self.stand.under_way.pop_front() else { return Ok(()) };
        match told {
            Ok(()) => {
                self.stand.durable = Some(cursor);
                Ok(())
            }
            Err(NotTaken) => {
                self.stand.under_way.clear();
                Err(NotTaken)
            }
        }
    }

    /// The cursor that is durable: what is told to a source that keeps one of its own.
    pub(super) fn durable(&self) -> Option<&[u8]> {
        self.stand.durable.as_ref().map(|cursor| cursor.held.as_slice())
    }

    /// Whether nothing is under way.
    pub(super) fn is_settled(&self) -> bool {
        self.stand.under_way.is_empty()
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        self.stands.put_back(&self.path, std::mem::take(&mut self.stand));
    }
}
