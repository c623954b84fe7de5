//! What the machine gives now: `zstd -1` and `memmem` over the messages of the corpus, one thread.
//!
//! Parts: [`measure`]. Promises: only the call itself is timed, in CPU time of this thread; reading the files is not.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::corpus::{ABSENT, messages};

/// What was measured.
pub(crate) struct Yardsticks {
    /// CPU seconds of `zstd -1`, all messages as one stream.
    pub(crate) zstd_cpu_s: f64,
    /// Bytes that it gave.
    pub(crate) zstd_bytes: u64,
    /// CPU seconds of a search for what is not there.
    pub(crate) memmem_cpu_s: f64,
}

/// Measures over all `files`.
pub(crate) fn measure(files: &[PathBuf]) -> Result<Yardsticks> {
    let mut encoder = zstd::stream::write::Encoder::new(Counted(0), 1).context("zstd cannot start")?;
    let finder = memchr::memmem::Finder::new(ABSENT);
    let mut out = Yardsticks { zstd_cpu_s: 0.0, zstd_bytes: 0, memmem_cpu_s: 0.0 };
    for path in files {
        let text = messages(path)?;
        let begun = thread_cpu_s();
        let found = finder.find(&text);
        let searched = thread_cpu_s();
        encoder.write_all(&text).context("zstd failed")?;
        out.zstd_cpu_s += thread_cpu_s() - searched;
        out.memmem_cpu_s += searched - begun;
        ensure!(found.is_none(), "{} holds the needle that must be absent", path.display());
    }
    let begun = thread_cpu_s();
    out.zstd_bytes = encoder.finish().context("zstd failed")?.0;
    out.zstd_cpu_s += thread_cpu_s() - begun;
    Ok(out)
}

/// Counts bytes and forgets them.
struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// CPU seconds of this thread. Not from `/proc`: that is brought up to date at scheduler ticks only, too seldom for one search.
fn thread_cpu_s() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
