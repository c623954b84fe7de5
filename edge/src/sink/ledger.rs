//! What a sink has read and not delivered: lines on their way into requests, requests on their way, and the cursor behind them.
//!
//! Pure. Parts: [`Parcel`] (one request: one tenant's lines of one or more batches), [`Ledger`]. Promises: requests of a tenant
//! go one after the other, in order; the cursor stands before the first batch of which any line is not delivered; each line is delivered,
//! given up or cut, one of these; what is held is bounded by [`BYTES_MAX`] and one batch. Must not do: send.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use edge_wal::Cursor;
use proto_model::{Labels, Record, Timestamp};
use proto_wire::push::Pushed;

use super::unpack::Portions;

/// Bytes held before no more are read: a few requests of the usual size for each of several tenants.
pub(super) const BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Batches held before no more are read.
const ENTRIES_MAX: usize = 1_024;
/// Lines of one request: far fewer than a hub takes.
const LINES_MAX: u64 = 50_000;
/// What a line takes beside its bytes.
const LINE_BYTES: u64 = 96;

/// One request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parcel {
    /// Whose lines they are; empty = nobody said.
    pub(super) tenant: String,
    /// The lines.
    pub(super) streams: Vec<Pushed>,
    /// How many.
    pub(super) lines: u64,
    /// Their bytes, metadata included.
    pub(super) bytes: u64,
    /// The batches they are of, by number, and how many of each.
    entries: Vec<(u64, u64)>,
}

/// What is left of a parcel when its lines are packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    /// See [`Parcel`].
    pub(super) tenant: String,
    /// See [`Parcel`].
    pub(super) lines: u64,
    /// See [`Parcel`].
    pub(super) bytes: u64,
    entries: Vec<(u64, u64)>,
}

/// What is on its way.
#[derive(Debug)]
pub(super) struct Ledger {
    size_max: u64,
    wait: Duration,
    /// Batches not delivered as a whole, oldest first, from number `first` on.
    entries: VecDeque<Open>,
    first: u64,
    lanes: BTreeMap<String, Lane>,
    /// The tenant that was served last.
    served: String,
    bytes: u64,
}

#[derive(Debug)]
struct Open {
    at: Cursor,
    /// Requests with lines of it.
    parcels: u32,
}

#[derive(Debug, Default)]
struct Lane {
    filling: Option<Filling>,
    sealed: VecDeque<Parcel>,
    /// The batches of the request that is on its way.
    in_flight: Option<Vec<(u64, u64)>>,
}

#[derive(Debug)]
struct Filling {
    parcel: Parcel,
    places: BTreeMap<Labels, usize>,
    since: Timestamp,
}

impl Parcel {
    /// The lines, and what is left.
    pub(super) fn split(self) -> (Ticket, Vec<Pushed>) {
        let Self { tenant, streams, lines, bytes, entries } = self;
        (Ticket { tenant, lines, bytes, entries }, streams)
    }
}

fn weight(record: &Record) -> u64 {
    (record.line.len() + record.metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()) as u64
}

impl Lane {
    fn seal(&mut self) {
        self.sealed.extend(self.filling.take().map(|filling| filling.parcel));
    }

    fn is_empty(&self) -> bool {
        self.filling.is_none() && self.sealed.is_empty() && self.in_flight.is_none()
    }

    /// Parcels that are not on their way.
    fn waiting(&self) -> impl Iterator<Item = &Parcel> {
        self.sealed.iter().chain(self.filling.as_ref().map(|filling| &filling.parcel))
    }

    /// Takes out the parcels that hold nothing of batch `first` or later. They come before all others.
    fn cut(&mut self, first: u64) -> Vec<Parcel> {
        let is_old = |parcel: &Parcel| parcel.entries.last().is_none_or(|(number, _)| *number < first);
        let count = self.sealed.iter().take_while(|parcel| is_old(parcel)).count();
        let mut gone: Vec<Parcel> = self.sealed.drain(..count).collect();
        if self.sealed.is_empty() {
            gone.extend(self.filling.take_if(|filling| is_old(&filling.parcel)).map(|filling| filling.parcel));
        }
        gone
    }
}

impl Ledger {
    /// Requests of up to `size_max` bytes of lines, of which the oldest waits `wait` for more.
    pub(super) fn new(size_max: u64, wait: Duration) -> Self {
        Self { size_max: size_max.max(1), wait, entries: VecDeque::new(), first: 0, lanes: BTreeMap::new(), served: String::new(), bytes: 0 }
    }

    /// Whether more may be read.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < BYTES_MAX && self.entries.len() < ENTRIES_MAX
    }

    /// Takes the batch at `at`. Gives the cursor if it moved: a batch may hold no line.
    pub(super) fn add(&mut self, at: Cursor, portions: Portions, now: Timestamp) -> Option<Cursor> {
        let number = self.first + self.entries.len() as u64;
        let mut open = Open { at, parcels: 0 };
        for (tenant, streams) in portions {
            let lane = self.lanes.entry(tenant.clone()).or_default();
            for Pushed { labels, records } in streams {
                for record in records {
                    let bytes = weight(&record);
                    self.bytes += bytes + LINE_BYTES;
                    if lane.filling.as_ref().is_some_and(|filling| filling.parcel.bytes + bytes > self.size_max || filling.parcel.lines >= LINES_MAX) {
                        lane.seal();
                    }
                    let filling = lane.filling.get_or_insert_with(|| Filling::new(&tenant, now));
                    open.parcels += u32::from(filling.add(&labels, record, bytes, number));
                }
            }
        }
        self.entries.push_back(open);
        self.advance()
    }

    /// Closes what waited long enough; everything that is being filled when there is no room for more.
    pub(super) fn seal(&mut self, now: Timestamp) {
        let all = !self.has_room();
        for lane in self.lanes.values_mut() {
            if lane.filling.as_ref().is_some_and(|filling| all || filling.age(now) >= self.wait) {
                lane.seal();
            }
        }
    }

    /// How long until something waited long enough; `None` when nothing waits.
    pub(super) fn due_in(&self, now: Timestamp) -> Option<Duration> {
        self.lanes.values().filter_map(|lane| lane.filling.as_ref()).map(|filling| self.wait.saturating_sub(filling.age(now))).min()
    }

    /// The next request, of a tenant that has none on its way, the tenants in turn; at most `most` are on their way.
    pub(super) fn next(&mut self, most: usize) -> Option<Parcel> {
        if self.lanes.values().filter(|lane| lane.in_flight.is_some()).count() >= most {
            return None;
        }
        let is_ready = |lane: &Lane| lane.in_flight.is_none() && !lane.sealed.is_empty();
        let ready = || self.lanes.iter().filter(|(_, lane)| is_ready(lane)).map(|(tenant, _)| tenant);
        let tenant = ready().find(|tenant| **tenant > self.served).or_else(|| ready().next())?.clone();
        let lane = self.lanes.get_mut(&tenant)?;
        let parcel = lane.sealed.pop_front()?;
        lane.in_flight = Some(parcel.entries.clone());
        self.served = tenant;
        Some(parcel)
    }

    /// A request is delivered, or given up. Gives the cursor if it moved.
    pub(super) fn done(&mut self, ticket: &Ticket) -> Option<Cursor> {
        self.bytes = self.bytes.saturating_sub(ticket.bytes + ticket.lines * LINE_BYTES);
        for (number, _) in &ticket.entries {
            // One that was cut is not among them any more.
            let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
            if let Some(open) = at.and_then(|at| self.entries.get_mut(at)) {
                open.parcels = open.parcels.saturating_sub(1);
            }
        }
        if let Some(lane) = self.lanes.get_mut(&ticket.tenant) {
            lane.in_flight = None;
            if lane.is_empty() {
                self.lanes.remove(&ticket.tenant);
            }
        }
        self.advance()
    }

    /// The WAL moved the sink on to `to`: what has not begun its way is given up, but for lines that share a request with later ones. Gives how
    /// many lines are. What is on its way stays so.
    pub(super) fn cut(&mut self, to: Cursor) -> u64 {
        let count = self.entries.iter().take_while(|open| open.at <= to).count();
        self.entries.drain(..count);
        self.first += count as u64;
        let mut lines = 0;
        for parcel in self.lanes.values_mut().flat_map(|lane| lane.cut(self.first)) {
            lines += parcel.lines;
            self.bytes = self.bytes.saturating_sub(parcel.bytes + parcel.lines * LINE_BYTES);
        }
        self.lanes.retain(|_, lane| !lane.is_empty());
        lines
    }

    /// Lines that are not delivered and of which a restart knows nothing: `is_there` says whether a batch would be read again.
    pub(super) fn left_behind(&self, is_there: impl Fn(Cursor) -> bool) -> u64 {
        let is_gone = |number: u64| match number.checked_sub(self.first).and_then(|at| self.entries.get(usize::try_from(at).ok()?)) {
            Some(open) => !is_there(open.at),
            None => true,
        };
        let on_their_way = self.lanes.values().filter_map(|lane| lane.in_flight.as_ref());
        let all = on_their_way.chain(self.lanes.values().flat_map(Lane::waiting).map(|parcel| &parcel.entries)).flatten();
        all.filter(|(number, _)| is_gone(*number)).map(|(_, lines)| lines).sum()
    }

    /// The batches at the front that are delivered as a whole.
    fn advance(&mut self) -> Option<Cursor> {
        let mut moved = None;
        while let Some(at) = self.entries.front().filter(|open| open.parcels == 0).map(|open| open.at) {
            self.entries.pop_front();
            self.first += 1;
            moved = Some(at);
        }
        moved
    }
}

impl Filling {
    fn new(tenant: &str, since: Timestamp) -> Self {
        let parcel = Parcel { tenant: tenant.to_owned(), streams: Vec::new(), lines: 0, bytes: 0, entries: Vec::new() };
        Self { parcel, places: BTreeMap::new(), since }
    }

    fn age(&self, now: Timestamp) -> Duration {
        now.since(self.since)
    }

    /// Adds a line of batch `number`; gives whether it is the batch's first in this request.
    fn add(&mut self, labels: &Labels, record: Record, bytes: u64, number: u64) -> bool {
        let place = match self.places.get(labels) {
            Some(place) => *place,
            None => {
                self.parcel.streams.push(Pushed { labels: labels.clone(), records: Vec::new() });
                self.places.insert(labels.clone(), self.parcel.streams.len() - 1);
                self.parcel.streams.len() - 1
            }
        };
        self.parcel.streams[place].records.push(record);
        self.parcel.lines += 1;
        self.parcel.bytes += bytes;
        match self.parcel.entries.last_mut().filter(|(last, _)| *last == number) {
            Some((_, lines)) => {
                *lines += 1;
                false
            }
            None => {
                self.parcel.entries.push((number, 1));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
