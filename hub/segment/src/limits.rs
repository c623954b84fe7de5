//! Ceilings of a segment, with their reasons.

/// A block is closed at this many bytes of lines, line ends and metadata: large enough that zstd sees what repeats, small enough to
/// unpack for one line.
pub const BLOCK_BYTES: usize = 2 * 1024 * 1024;
/// Most lines in a block: 16 bytes a line at [`BLOCK_BYTES`]; bounds the columns beside the lines.
pub const BLOCK_LINES_MAX: usize = 128 * 1024;
/// Longest line: as much as a batch can hold.
pub const LINE_BYTES_MAX: usize = proto_wire::limits::BATCH_RAW_BYTES_MAX;
/// Most metadata of one line, written as in a batch.
pub const METADATA_BYTES_MAX: usize = proto_wire::limits::BATCH_RAW_BYTES_MAX;
/// Largest unpacked column of a block: a full block and one longest line that overshoots it.
pub const COLUMN_BYTES_MAX: usize = BLOCK_BYTES + LINE_BYTES_MAX + BLOCK_LINES_MAX;
/// Most names, and most shapes, of metadata in a block that is written by columns: past that it is written by rows.
pub const METADATA_NAMES_MAX: usize = 4 * 1024;
/// Most values of a metadata dictionary: past that they are plain.
pub const METADATA_DICTIONARY_MAX: usize = 64 * 1024;
/// Largest block as stored: its two large columns (lines, metadata) may both be incompressible.
pub const BLOCK_PACKED_MAX: usize = 2 * COLUMN_BYTES_MAX + 8 * 1024 * 1024;
/// Most blocks in a segment: 128 GiB of full ones.
pub const BLOCKS_MAX: usize = 64 * 1024;
/// Most streams in a segment: about 64 MiB of labels in memory.
pub const STREAMS_MAX: usize = 64 * 1024;
/// Most bytes of labels of all streams, counted as they lie in memory ([`LABEL_OVERHEAD`] a label).
pub const LABELS_BYTES_MAX: usize = 96 * 1024 * 1024;
/// Memory of a label beside its texts: two strings.
pub const LABEL_OVERHEAD: usize = 64;
/// Most runs in a segment: each stream may lie in a few blocks.
pub const RUNS_MAX: usize = STREAMS_MAX + BLOCKS_MAX;
/// Largest footer, unpacked.
pub const FOOTER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of lines and metadata that a builder takes: it holds them until it is finished, and the hub lives within 512 MiB.
pub const BUILD_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Most lines that a builder takes: 32 bytes of memory each.
pub const BUILD_LINES_MAX: usize = 2 * 1024 * 1024;
/// Most segments merged at once: a block of each is in memory.
pub const MERGE_INPUTS_MAX: usize = 64;
/// Most bytes that are set aside for the output of a merge at its begin: 1 GiB of lines, packed; past that it grows.
pub const MERGE_ROOM_MAX: usize = 256 * 1024 * 1024;
/// A filter takes at most this part of a block's lines: their share of what is stored is five times theirs of the lines.
pub const FILTER_SHARE: usize = 85;
/// Words of the shortest filter; shorter blocks have only their set of bytes.
pub const FILTER_WORDS_MIN: usize = 64;
/// Largest filters of a segment: a query holds them.
pub const FILTERS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A run has tallies when it has so many lines a minute, on the mean: else reading its times is not much dearer.
pub const TALLY_LINES_MIN: usize = 8;
/// Largest tallies of a segment, unpacked.
pub const TALLIES_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest tallies as stored: what does not pack is kept as it is.
pub const TALLIES_STORED_MAX: usize = TALLIES_BYTES_MAX + 64;
