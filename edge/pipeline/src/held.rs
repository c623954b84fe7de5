//! What a run holds back, as bytes for the WAL record that also holds the reading position.
//!
//! ```text
//! version u8 = 1
//! item*   kind u8, stage varint, then by kind:
//!   1 partial of a cri stage      stream text total since time labels
//!   2 partial of a docker stage   the same
//!   3 block of a multiline stage  labels time last lines text metadata values
//!   4 good time                   labels time
//!   5 record ready to be sent     labels time text metadata
//! text: length varint, bytes; times: 8 bytes, big endian, two's complement; stage: number among those of its kind
//! labels: against the source's own: count varint, names removed; count varint, names and values set
//! metadata: count varint, names and values; values: count varint, name, 0 (null) or 1 and a text
//! ```
//!
//! Promises: what is written is read back to the same state; an item whose stage the program no longer has becomes
//! a record ready to be sent (a good time is forgotten); no input panics or allocates more than its own length.
//! Must not do: keep what a run can do without (label addresses, counters).

use std::sync::Arc;

use proto_model::{Labels, Timestamp};

use crate::draft::{SlotId, Slots};
use crate::fault::PipelineFault;
use crate::held::bytes::{Reader, Writer};
use crate::label_sets::LabelSets;
use crate::partials::Partial;
use crate::program::{Holding, HoldingKind, Program};
use crate::stage::Op;
use crate::stages::multiline::Block;
use crate::state::{Ready, State, Values};

mod bytes;

const VERSION: u8 = 1;
const CRI: u8 = 1;
const DOCKER: u8 = 2;
const BLOCK: u8 = 3;
const GOOD_TIME: u8 = 4;
const READY: u8 = 5;

/// Everything `state` holds; `None` when it holds nothing.
pub(crate) fn write(program: &Program, state: &State) -> Option<Vec<u8>> {
    let base = state.sets.labels(LabelSets::BASE);
    let mut out = Writer::new(VERSION);
    for holding in &program.holding {
        match holding.kind {
            HoldingKind::Partials => {
                for partial in &state.partials[holding.index].held {
                    write_partial(&mut out, base, kind_of(program, holding), holding.index, partial);
                }
            }
            HoldingKind::Blocks => {
                for block in &state.blocks[holding.index].streams {
                    write_block(&mut out, base, program, holding.index, block);
                }
            }
        }
    }
    for (stage, good_times) in state.good_times.iter().enumerate() {
        for (labels, time) in &good_times.times {
            out.item(GOOD_TIME, stage);
            out.labels(base, labels);
            out.time(*time);
        }
    }
    for ready in &state.ready {
        out.item(READY, 0);
        out.labels(base, &ready.labels);
        out.time(ready.time);
        out.text(&ready.text);
        out.pairs(&ready.metadata);
    }
    out.finish()
}

fn kind_of(program: &Program, holding: &Holding) -> u8 {
    if matches!(program.ops.get(holding.op), Some(Op::Docker(_))) { DOCKER } else { CRI }
}

fn write_partial(out: &mut Writer, base: &Labels, kind: u8, stage: usize, partial: &Partial) {
    out.item(kind, stage);
    out.text(&partial.stream);
    out.text(&partial.text);
    out.number(partial.total);
    out.time(partial.since);
    out.time(partial.time);
    out.labels(base, &partial.labels);
}

fn write_block(out: &mut Writer, base: &Labels, program: &Program, stage: usize, block: &Block) {
    out.item(BLOCK, stage);
    out.labels(base, &block.labels);
    out.time(block.time);
    out.time(block.last);
    out.number(block.lines);
    out.text(&block.text);
    out.pairs(&block.metadata);
    out.count(block.slots.iter().count());
    for (id, text) in block.slots.iter() {
        out.text(program.slots[id.0].as_bytes());
        match text {
            None => out.byte(0),
            Some(text) => {
                out.byte(1);
                out.text(text);
            }
        }
    }
}

/// Puts what `bytes` hold into `state`, which is new.
pub(crate) fn read(program: &Program, state: &mut State, bytes: &[u8]) -> Result<(), PipelineFault> {
    let mut from = Reader::new(bytes);
    let found = from.byte()?;
    if found != VERSION {
        return Err(PipelineFault::HeldVersion { found, known: VERSION });
    }
    let base = Arc::clone(state.sets.labels(LabelSets::BASE));
    while !from.is_at_end() {
        let kind = from.byte()?;
        let stage = from.count()?;
        match kind {
            CRI | DOCKER => {
                let partial = read_partial(&mut from, &base)?;
                place_partial(program, state, kind, stage, partial);
            }
            BLOCK => {
                let block = read_block(&mut from, &base, program)?;
                place_block(program, state, stage, block);
            }
            GOOD_TIME => {
                let (labels, time) = (from.labels(&base)?, from.time()?);
                if let Some(good_times) = state.good_times.get_mut(stage) {
                    good_times.times.push((labels, time));
                }
            }
            READY => {
                let (labels, time) = (from.labels(&base)?, from.time()?);
                let (text, metadata) = (from.text()?.to_vec(), from.pairs()?);
                state.ready.push(Ready { next: program.ops.len(), time, labels, text, metadata, values: Values::Kept(empty(program)) });
            }
            _ => return Err(from.damage("no such kind of item")),
        }
    }
    Ok(())
}

fn read_partial(from: &mut Reader<'_>, base: &Labels) -> Result<Partial, PipelineFault> {
    Ok(Partial {
        stream: from.text()?.to_vec(),
        text: from.text()?.to_vec(),
        total: from.number()?,
        since: from.time()?,
        time: from.time()?,
        labels: from.labels(base)?,
    })
}

/// A partial line goes back to its stage, or, if that is gone, is sent as it is.
fn place_partial(program: &Program, state: &mut State, kind: u8, stage: usize, partial: Partial) {
    let home = program.holding.iter().find(|holding| holding.kind == HoldingKind::Partials && holding.index == stage && kind_of(program, holding) == kind);
    match home {
        Some(holding) => state.partials[holding.index].held.push(partial),
        None => {
            let (time, labels): (Timestamp, Arc<Labels>) = (partial.time, Arc::clone(&partial.labels));
            let held = partial.text.len();
            let joined = partial.joined(held);
            state.tally.truncated += u64::from(joined.is_cut);
            rehome(
                program,
                state,
                Ready { next: program.ops.len(), time, labels, text: joined.text, metadata: Vec::new(), values: Values::Kept(empty(program)) },
            );
        }
    }
}

fn read_block(from: &mut Reader<'_>, base: &Labels, program: &Program) -> Result<Block, PipelineFault> {
    let labels = from.labels(base)?;
    let (time, last) = (from.time()?, from.time()?);
    let lines = from.number()?;
    let (text, metadata) = (from.text()?.to_vec(), from.pairs()?);
    let mut slots = empty(program);
    for _ in 0..from.count()? {
        let name = from.text()?;
        let id = program.slots.binary_search_by(|slot| slot.as_bytes().cmp(name)).ok().map(SlotId);
        let value = match from.byte()? {
            0 => None,
            1 => Some(from.text()?),
            _ => return Err(from.damage("a value is neither null nor a text")),
        };
        match (id, value) {
            (Some(id), Some(text)) => slots.set(id, text),
            (Some(id), None) => slots.set_null(id),
            (None, _) => {}
        }
    }
    Ok(Block { labels, time, metadata, slots, text, lines, last })
}

/// A block goes back to its stage, or, if that is gone, its lines are sent as one record.
fn place_block(program: &Program, state: &mut State, stage: usize, block: Block) {
    if let Some(blocks) = state.blocks.get_mut(stage) {
        blocks.streams.push(block);
    } else if block.lines > 0 {
        let Block { labels, time, metadata, slots, text, .. } = block;
        rehome(program, state, Ready { next: program.ops.len(), time, labels, text, metadata, values: Values::Kept(slots) });
    }
}

fn rehome(program: &Program, state: &mut State, ready: Ready) {
    debug_assert_eq!(ready.next, program.ops.len(), "what no stage would hold passes no stage");
    state.tally.rehomed += 1;
    state.ready.push(ready);
}

fn empty(program: &Program) -> Slots {
    let mut slots = Slots::default();
    slots.reset(program.slots.len());
    slots
}

#[cfg(test)]
mod tests;
