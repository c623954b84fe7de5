//! Producers as the lanes say: where each stands, under which epoch, what it goes on for.
//!
//! Part of the oracle: every record is held against what stood before. Must not do: look at lines.

use std::collections::BTreeMap;

use proto_model::ProducerId;

use super::Check;
use crate::fields::Message;

#[derive(Debug, Default, Clone)]
pub(super) struct Producers {
    cursors: BTreeMap<String, Cursor>,
    /// Of all batches that ever stood.
    digests: BTreeMap<Vec<u8>, String>,
    pub(super) closes: u64,
}

#[derive(Debug, Default, Clone)]
struct Cursor {
    epoch: u64,
    last: u64,
    chain: Vec<u8>,
    next: Option<String>,
    is_quarantined: bool,
}

fn producer(bytes: &[u8]) -> Result<ProducerId, String> {
    ProducerId::from_bytes(bytes).ok_or_else(|| "a record without producer".to_owned())
}

fn at_home(producer: ProducerId, lane: &str) -> Check {
    if producer.lane.to_string() == lane { Ok(()) } else { Err(format!("{producer} is not of this lane")) }
}

impl Producers {
    pub(super) fn open(&mut self, lane: &str, open: &Message<'_>) -> Check {
        let id = producer(open.bytes(1))?;
        at_home(id, lane)?;
        let (name, epoch, at, chain) = (id.to_string(), open.number(2), open.number(6), open.bytes(7));
        let begins = !self.cursors.contains_key(&name);
        let after = open.bytes(10);
        if begins && !after.is_empty() {
            let before = producer(after)?.to_string();
            let closed = self.cursors.get(&before).ok_or_else(|| format!("{name} goes on for {before}, which never was"))?;
            if closed.next.as_ref() != Some(&name) {
                return Err(format!("{name} goes on for {before}, which ended in {:?}", closed.next));
            }
            let (last, chain_last) = if closed.is_quarantined { (0, vec![0; closed.chain.len()]) } else { (closed.last, closed.chain.clone()) };
            if at != last || chain.iter().ne(chain_last.iter()) && last > 0 {
                return Err(format!("{name} goes on for {before} at {at}, which ended at {last}"));
            }
            self.cursors.insert(name.clone(), Cursor { last, chain: chain.to_vec(), ..Cursor::default() });
        } else if begins && at != 0 {
            return Err(format!("{name} begins at {at}"));
        }
        let cursor = self.cursors.entry(name.clone()).or_default();
        if let Some(next) = &cursor.next {
            return Err(format!("{name} was opened after it had ended in {next}"));
        }
        if epoch <= cursor.epoch || at != cursor.last {
            return Err(format!("{name} was opened at {at} under epoch {epoch}, but stood at {} under {}", cursor.last, cursor.epoch));
        }
        cursor.epoch = epoch;
        Ok(())
    }

    pub(super) fn advance(&mut self, lane: &str, advance: &Message<'_>) -> Result<(String, u64), String> {
        let id = producer(advance.bytes(1))?;
        at_home(id, lane)?;
        let name = id.to_string();
        let (epoch, from, to) = (advance.number(2), advance.number(3), advance.number(4));
        let cursor = self.cursors.get_mut(&name).ok_or_else(|| format!("{name} advanced before it was opened"))?;
        if from != cursor.last + 1 || to < from || epoch != cursor.epoch || cursor.next.is_some() || cursor.is_quarantined {
            return Err(format!(
                "{name} advanced {from}..={to} under epoch {epoch}, but stood at {} under {}, next {:?}",
                cursor.last, cursor.epoch, cursor.next
            ));
        }
        (cursor.last, cursor.chain) = (to, advance.bytes(5).to_vec());
        for digest in advance.bytes(6).chunks(16) {
            if let Some(before) = self.digests.insert(digest.to_vec(), format!("{from}..={to} of {name}")) {
                return Err(format!("a batch in {from}..={to} of {name} was committed before, in {before}"));
            }
        }
        Ok((name, to))
    }

    pub(super) fn close(&mut self, lane: &str, close: &Message<'_>) -> Check {
        let id = producer(close.bytes(1))?;
        at_home(id, lane)?;
        let (name, next) = (id.to_string(), producer(close.bytes(4))?.to_string());
        let cursor = self.cursors.entry(name.clone()).or_default();
        if cursor.next.is_some() {
            return Err(format!("{name} ended twice, in {:?} and in {next}", cursor.next));
        }
        if close.number(2) != cursor.last {
            return Err(format!("{name} ended at {}, but stood at {}", close.number(2), cursor.last));
        }
        cursor.next = Some(next);
        self.closes += 1;
        Ok(())
    }

    pub(super) fn quarantine(&mut self, quarantine: &Message<'_>) -> Check {
        let name = producer(quarantine.bytes(1))?.to_string();
        self.cursors.entry(name).or_default().is_quarantined = true;
        Ok(())
    }

    pub(super) fn last(&self, name: &str) -> u64 {
        self.cursors.get(name).map_or(0, |cursor| cursor.last)
    }

    pub(super) fn quarantined(&self) -> Vec<String> {
        self.cursors.iter().filter(|(_, cursor)| cursor.is_quarantined).map(|(name, _)| name.clone()).collect()
    }
}
