//! The pipeline's bounds, each with its reason.
//!
//! Must not do: hold anything an operator may set; those are fields of the stages' settings.

use std::time::Duration;

/// Longest line that leaves a pipeline, and the most bytes one source may hold back at any time
/// (partial lines and multiline blocks together). 1 MiB is four times Loki's usual limit.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Room kept for the mark of a cut line, `…[cut from 18446744073709551615 bytes]`: 3 + 10 + 20 + 7.
pub const CUT_MARK_BYTES_MAX: usize = 40;

/// How long a partial line waits for its end after its first piece. A runtime writes the pieces of
/// one line back to back; what is older lost its end in a crash or a rotation.
pub const PARTIAL_WAIT_MAX: Duration = Duration::from_secs(30);

/// Streams of one source that may hold a partial line at once. A container has two, stdout and stderr.
pub const PARTIAL_STREAMS_MAX: usize = 4;

/// Docker cuts a line into pieces of this many bytes before it writes them as JSON.
pub const DOCKER_PIECE_BYTES: usize = 16 * 1024;

/// Label sets of one source of which a multiline stage remembers the block under way.
pub const BLOCKS_MAX: usize = 256;

/// Label sets of one source of which a timestamp stage remembers the last good time. Promtail keeps
/// 10,000 for all sources together.
pub const GOOD_TIMES_MAX: usize = 64;

/// Label sets of one source that keep their address. Beyond it the table is built anew, so a source
/// that makes a label of a request id costs time, never memory.
pub const LABEL_SETS_MAX: usize = 512;

/// Remembered ways from one label set to others; beyond it the oldest is forgotten.
pub const STEPS_MAX: usize = 32;

/// Longest value that a stage makes a label; twice what Loki accepts. Longer ones stay in the line.
pub const LABEL_VALUE_BYTES_MAX: usize = 4 * 1024;

/// Longest value of a remembered change of labels; longer ones are looked up by content each time.
pub const STEP_VALUE_BYTES_MAX: usize = 256;

/// Longest name of a stream that a Docker line may give. Docker itself writes stdout and stderr.
pub const STREAM_NAME_BYTES_MAX: usize = 64;

/// Largest buffer that a source keeps from line to line. Ten times the usual line; a source with one long line a
/// day must not hold a megabyte all day.
pub const BUFFER_BYTES_MAX: usize = 16 * 1024;

/// Stages of one pipeline, nested ones included. Far above any real configuration.
pub const STAGES_MAX: usize = 1_000;

/// How deep `match` and `pipeline` may nest.
pub const DEPTH_MAX: usize = 16;

/// Series of all `metrics` stages together. A metric per pod of a large node with a few label values fits; a label that
/// holds a request id does not.
pub const SERIES_MAX: usize = 20_000;

/// Between two searches for series that are idle.
pub const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// Default of `metrics.max_idle_duration`, as Promtail's.
pub const METRIC_IDLE_DEFAULT: Duration = Duration::from_secs(300);

/// Least `metrics.max_idle_duration`, as Promtail's.
pub const METRIC_IDLE_MIN: Duration = Duration::from_secs(1);

/// Buckets of one histogram.
pub const BUCKETS_MAX: usize = 200;

/// Least `limit.max_distinct_labels`, as Promtail's.
pub const DISTINCT_LABELS_MIN: u64 = 10_000;

/// How long a label value without a dropped line is shown among those that `limit` dropped.
pub const DROPPED_BY_LABEL_IDLE: Duration = Duration::from_secs(3_600);

/// How far a `limit` stage that makes lines wait may run ahead of its rate before the source is left alone.
pub const OWED_MAX: Duration = Duration::from_millis(20);

/// Default of `multiline.max_lines`, as Promtail's.
pub const BLOCK_LINES_DEFAULT: u64 = 128;

/// Default of `multiline.max_wait_time`, as Promtail's.
pub const BLOCK_WAIT_DEFAULT: Duration = Duration::from_secs(3);

/// Default of `cri.max_partial_lines`, as Promtail's.
pub const PARTIAL_LINES_DEFAULT: u64 = 100;
