//! Pages of a log answer: any number of lines, each once, in pieces.
//!
//! Parts: [`Page`] (which one is asked for), [`Cursor`] (where the next begins, with its text form), `Content` and
//! `Within` (a place among lines of one time), `Run::page`. A page ends between two times: lines of one time stay together and in order of
//! arrival. Only where one time alone has more lines than the limit it is cut, by content: where lines lie, and so
//! their order of arrival, may change under the caller when they are absorbed, what they say does not. Promises: as long as no
//! lines arrive behind the cursor, pages together hold every line exactly once. Must not do: trust a cursor; it grants nothing.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use proto_model::{Labels, TimeRange, Timestamp};

use crate::answer::{AnsweredEntry, AnsweredStream, Pairs, Stats};
use crate::engine::Asked;
use crate::fault::QueryFault;
use crate::limits::ENTRIES_MAX;
use crate::request::Direction;
use crate::run::{LogPlan, Run};

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The first.
    First,
    /// The one that begins here.
    At(Cursor),
}

/// Where a page begins: a time, and a place among the lines of that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    direction: Direction,
    time: Timestamp,
    within: Option<Within>,
}

/// Behind how many lines of one content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Within {
    pub(crate) content: Content,
    pub(crate) taken: usize,
}

/// What a line says: BLAKE3-128 of its labels, metadata, parsed labels and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Content(u128);

impl Content {
    const FIRST: Self = Self(0);

    pub(crate) fn of(labels: &Labels, entry: &AnsweredEntry) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut text = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        for (name, value) in labels.iter() {
            text(name);
            text(value);
        }
        let mut all = |pairs: &Pairs| {
            text("");
            for (name, value) in pairs {
                text(name);
                text(value);
            }
        };
        all(&entry.metadata);
        all(&entry.parsed);
        text("");
        text(&entry.line);
        let mut out = [0; 16];
        out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(u128::from_be_bytes(out))
    }
}

impl fmt::Display for Cursor {
    /// `f.<ns>` or `b.<ns>`; within a time `f.<ns>.<32 hex>.<count>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Forward => 'f',
            Direction::Backward => 'b',
        };
        write!(f, "{direction}.{}", self.time.nanos())?;
        match self.within {
            None => Ok(()),
            Some(Within { content, taken }) => write!(f, ".{:032x}.{taken}", content.0),
        }
    }
}

impl FromStr for Cursor {
    type Err = QueryFault;

    fn from_str(text: &str) -> Result<Self, QueryFault> {
        read(text).ok_or_else(|| QueryFault::Request("the cursor is none that this hub gave: send the one of the page before, or cursor=first".to_owned()))
    }
}

fn read(text: &str) -> Option<Cursor> {
    let mut parts = text.split('.');
    let direction = match parts.next()? {
        "f" => Direction::Forward,
        "b" => Direction::Backward,
        _ => return None,
    };
    let time = Timestamp(parts.next()?.parse().ok()?);
    let within = match parts.next() {
        None => None,
        Some(content) if content.len() == 32 => {
            let content = Content(u128::from_str_radix(content, 16).ok()?);
            Some(Within { content, taken: parts.next()?.parse().ok().filter(|taken| *taken > 0)? })
        }
        Some(_) => return None,
    };
    parts.next().is_none().then_some(Cursor { direction, time, within })
}

impl Cursor {
    /// What of `range` is left from here on.
    fn rest(&self, range: TimeRange) -> TimeRange {
        match self.direction {
            Direction::Forward => TimeRange { start: range.start.max(self.time), end: range.end },
            Direction::Backward => TimeRange { start: range.start, end: range.end.min(after(self.time)) },
        }
    }

    /// Behind all lines of `time`; `None` where `range` ends there.
    fn behind(direction: Direction, time: Timestamp, range: TimeRange) -> Option<Self> {
        let time = match direction {
            Direction::Forward => after(time),
            Direction::Backward => Timestamp(time.nanos().saturating_sub(1)),
        };
        range.contains(time).then_some(Self { direction, time, within: None })
    }
}

const fn after(time: Timestamp) -> Timestamp {
    Timestamp(time.nanos().saturating_add(1))
}

/// A page, and where the next begins.
pub(crate) type Paged = (Vec<AnsweredStream>, Option<Cursor>);

impl Run {
    /// One page of a log query.
    pub(crate) async fn page(self: Arc<Self>, plan: Arc<LogPlan>, page: Page) -> Asked<Paged> {
        let direction = plan.direction;
        let mut range = plan.range;
        if let Page::At(cursor) = page {
            if cursor.direction != direction || !plan.range.contains(cursor.time) {
                let text = "the cursor belongs to another query: ask for its pages with the same query, start, end and direction";
                return Err(QueryFault::Request(text.to_owned()));
            }
            if let Some(within) = cursor.within {
                return self.group(&plan, cursor.time, Some(within)).await;
            }
            range = cursor.rest(range);
        }
        // One more than the page may have, to see where it must end.
        let wider = LogPlan { range, limit: plan.limit + 1, ..plan.again() };
        let (mut streams, mut stats) = Arc::clone(&self).logs(Arc::new(wider)).await?;
        let entries = || streams.iter().flat_map(|stream| &stream.entries);
        if entries().count() <= plan.limit {
            return Ok(((streams, None), stats));
        }
        let times = entries().map(|entry| entry.time);
        let last = match direction {
            Direction::Forward => times.max(),
            Direction::Backward => times.min(),
        };
        let Some(last) = last else { return Ok(((streams, None), stats)) };
        if entries().all(|entry| entry.time == last) {
            let (paged, took) = self.group(&plan, last, None).await?;
            stats.add(&took);
            return Ok((paged, stats));
        }
        streams.iter_mut().for_each(|stream| stream.entries.retain(|entry| entry.time != last));
        streams.retain(|stream| !stream.entries.is_empty());
        Ok(((streams, Some(Cursor { direction, time: last, within: None })), stats))
    }

    /// A page out of the lines of one time.
    async fn group(self: Arc<Self>, plan: &LogPlan, time: Timestamp, before: Option<Within>) -> Asked<Paged> {
        let taken = before.map_or(0, |before| before.taken);
        if taken > ENTRIES_MAX {
            let text = format!("more than {ENTRIES_MAX} lines of one time say the same: narrow the query with a line filter");
            return Err(QueryFault::Limit(text));
        }
        let from = before.map_or(Content::FIRST, |before| before.content);
        let range = TimeRange { start: time, end: after(time) };
        let narrowed = LogPlan { range, limit: plan.limit + taken + 1, group: Some(from), ..plan.again() };
        let (top, stats): (_, Stats) = self.first(Arc::new(narrowed)).await?;
        let (streams, within) = top.into_group(plan.limit, before);
        let cursor = match within {
            Some(within) => Some(Cursor { direction: plan.direction, time, within: Some(within) }),
            None => Cursor::behind(plan.direction, time, plan.range),
        };
        Ok(((streams, cursor), stats))
    }
}

#[cfg(test)]
mod tests;
