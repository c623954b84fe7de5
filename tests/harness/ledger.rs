//! What was written and what was committed: the two truths that a simulation is held against.
//!
//! Parts: [`Ledger`] (lines as they were written, by tenant and source); [`Oracle`] (what the lane objects that stand
//! say, read by a decoder of its own from `docs/formats/lane.md`, first object at a number is the truth). Promises: the
//! oracle shares no code with the store it judges. Must not do: ask a hub or an edge.

use std::collections::BTreeMap;

use proto_model::ProducerId;

/// All lines of all sources.
#[derive(Debug, Default)]
pub struct Ledger {
    lines: BTreeMap<(String, String), Vec<String>>,
}

impl Ledger {
    /// The line that is to be the next of `source`; noted as written.
    pub fn write(&mut self, tenant: &str, source: &str, padding: &str) -> String {
        let lines = self.lines.entry((tenant.to_owned(), source.to_owned())).or_default();
        let line = format!("src={source} n={:06} {padding}", lines.len());
        lines.push(line.clone());
        line
    }

    /// Lines of all sources of a tenant.
    #[must_use]
    pub fn count(&self, tenant: &str) -> u64 {
        self.of(tenant).map(|(_, lines)| lines.len() as u64).sum()
    }

    /// The sources of a tenant and their lines in order.
    pub fn of<'l>(&'l self, tenant: &'l str) -> impl Iterator<Item = (&'l str, &'l [String])> {
        self.lines.iter().filter(move |((of, _), _)| of == tenant).map(|((_, source), lines)| (source.as_str(), lines.as_slice()))
    }

    /// The line `number` of `source` of `tenant`.
    #[must_use]
    pub fn line(&self, tenant: &str, source: &str, number: usize) -> Option<&str> {
        self.lines.get(&(tenant.to_owned(), source.to_owned()))?.get(number).map(String::as_str)
    }
}

/// What stands in the lanes.
#[derive(Debug, Default)]
pub struct Oracle {
    commits: BTreeMap<(String, u64), Vec<u8>>,
    producers: BTreeMap<String, Cursor>,
    lines: BTreeMap<String, u64>,
    losses: u64,
    objects: Vec<Object>,
    violations: Vec<String>,
}

/// What one lane object brought.
#[derive(Debug, Default)]
struct Object {
    advances: Vec<(String, u64)>,
    lines: BTreeMap<String, u64>,
    writer: String,
}

#[derive(Debug, Default, Clone, Copy)]
struct Cursor {
    epoch: u64,
    last: u64,
}

impl Oracle {
    /// An object was created under `name`: the only one there will ever be.
    pub fn created(&mut self, name: &str, body: &[u8]) {
        let parts: Vec<&str> = name.split('/').collect();
        let ["lanes", lane, "log", number] = parts[..] else { return };
        let read = number.parse().map_err(|_| "no number".to_owned()).and_then(|number| self.lane_object(lane, number, body));
        if let Err(reason) = read {
            self.violations.push(format!("{name}: {reason}"));
        }
    }

    fn lane_object(&mut self, lane: &str, number: u64, body: &[u8]) -> Result<(), String> {
        let header_len = body.get(12..16).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes).ok_or("short")?;
        let header = body.get(56..56 + header_len as usize).ok_or("short")?;
        let (mut commit, mut previous) = (Vec::new(), Vec::new());
        self.objects.push(Object::default());
        for field in Fields(header) {
            match field? {
                (5, Value::Bytes(writer)) => self.newest().writer = String::from_utf8_lossy(writer).into_owned(),
                (3, Value::Bytes(bytes)) => commit = bytes.to_vec(),
                (4, Value::Bytes(bytes)) => previous = bytes.to_vec(),
                (8, Value::Bytes(record)) => self.record(record)?,
                (9, Value::Bytes(section)) => self.section(section)?,
                _ => {}
            }
        }
        if number > 0 {
            let before = self.commits.get(&(lane.to_owned(), number - 1));
            if before != Some(&previous) {
                return Err("it does not follow the object before it".to_owned());
            }
        }
        self.commits.insert((lane.to_owned(), number), commit);
        Ok(())
    }

    fn newest(&mut self) -> &mut Object {
        self.objects.last_mut().expect("one is being read")
    }

    fn record(&mut self, record: &[u8]) -> Result<(), String> {
        for field in Fields(record) {
            match field? {
                (1, Value::Bytes(open)) => self.open(open)?,
                (2, Value::Bytes(advance)) => self.advance(advance)?,
                (4, Value::Bytes(_)) => return Err("a producer was quarantined".to_owned()),
                (5, Value::Bytes(_)) => self.losses += 1,
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, open: &[u8]) -> Result<(), String> {
        let (producer, numbers) = producer_and_numbers(open)?;
        let (epoch, at) = (numbers.get(&2).copied().unwrap_or(0), numbers.get(&6).copied().unwrap_or(0));
        let cursor = self.producers.entry(producer.clone()).or_default();
        if epoch <= cursor.epoch || at != cursor.last {
            return Err(format!("{producer} was opened at {at} under epoch {epoch}, but stood at {} under {}", cursor.last, cursor.epoch));
        }
        cursor.epoch = epoch;
        Ok(())
    }

    fn advance(&mut self, advance: &[u8]) -> Result<(), String> {
        let (producer, numbers) = producer_and_numbers(advance)?;
        let of = |field: u32| numbers.get(&field).copied().unwrap_or(0);
        let (epoch, from, to) = (of(2), of(3), of(4));
        let cursor = self.producers.entry(producer.clone()).or_default();
        if from != cursor.last + 1 || to < from || epoch != cursor.epoch {
            return Err(format!("{producer} advanced {from}..={to} under epoch {epoch}, but stood at {} under {}", cursor.last, cursor.epoch));
        }
        cursor.last = to;
        self.newest().advances.push((producer, to));
        Ok(())
    }

    fn section(&mut self, section: &[u8]) -> Result<(), String> {
        let (mut tenant, mut lines) = (String::new(), 0);
        for field in Fields(section) {
            match field? {
                (1, Value::Bytes(name)) => tenant = String::from_utf8_lossy(name).into_owned(),
                (7, Value::Number(count)) => lines = count,
                _ => {}
            }
        }
        *self.newest().lines.entry(tenant.clone()).or_default() += lines;
        *self.lines.entry(tenant).or_default() += lines;
        Ok(())
    }

    /// Newest committed sequence of a producer; 0 when nothing of it is.
    #[must_use]
    pub fn committed(&self, producer: &str) -> u64 {
        self.producers.get(producer).map_or(0, |cursor| cursor.last)
    }

    /// Committed lines of a tenant.
    #[must_use]
    pub fn lines(&self, tenant: &str) -> u64 {
        self.lines.get(tenant).copied().unwrap_or(0)
    }

    /// Lines of a tenant in objects of which everything is acknowledged, when each producer's edge knows of an ack up to `acked`.
    #[must_use]
    pub fn lines_acked(&self, tenant: &str, acked: &BTreeMap<String, u64>) -> u64 {
        let known = |object: &&Object| object.advances.iter().all(|(producer, to)| acked.get(producer).is_some_and(|acked| acked >= to));
        self.objects.iter().filter(known).filter_map(|object| object.lines.get(tenant)).sum()
    }

    /// Loss records.
    #[must_use]
    pub const fn losses(&self) -> u64 {
        self.losses
    }

    /// Lane objects, those of them that follow one of another hub.
    #[must_use]
    pub fn objects(&self) -> (u64, u64) {
        let changes = self.objects.windows(2).filter(|pair| pair[0].writer != pair[1].writer);
        (self.objects.len() as u64, changes.count() as u64)
    }

    /// What must never happen and did.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }
}

fn producer_and_numbers(message: &[u8]) -> Result<(String, BTreeMap<u32, u64>), String> {
    let (mut producer, mut numbers) = (None, BTreeMap::new());
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(bytes)) => producer = ProducerId::from_bytes(bytes),
            (field, Value::Number(number)) => drop(numbers.insert(field, number)),
            (_, Value::Bytes(_)) => {}
        }
    }
    Ok((producer.ok_or("a record without producer")?.to_string(), numbers))
}

/// The fields of a protobuf message, as they lie.
struct Fields<'b>(&'b [u8]);

enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

impl<'b> Fields<'b> {
    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or("a number ends early")?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number is too long".to_owned())
    }

    fn take(&mut self, len: u64) -> Result<&'b [u8], String> {
        let len = usize::try_from(len).map_err(|_| "a field is too long")?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or("a field ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'b>), String> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Number(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| "short")?)),
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            other => return Err(format!("wire type {other}")),
        };
        Ok((u32::try_from(tag >> 3).unwrap_or(u32::MAX), value))
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u32, Value<'b>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}
