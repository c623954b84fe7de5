//! The journal by `journalctl`: where a file needs what the reader of files does not know.
//!
//! Parts: [`is_there`], `Puller::by_command`. Promises: the same records, labels and promises as by files; the cursor is journald's own, so
//! either way goes on where the other ended. Limits: one program for a job; it is started again when it ends. Must not do: parse its output (`export` does).

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::Instant;

use super::cursor::{Cursor, Place};
use super::entry::Shape;
use super::export::{Export, Exported};
use super::reader::{Counts, arrival};
use super::{End, PAUSE, Puller};
use crate::receive::pulled::Pull;
use crate::receive::{Arrival, PULLED_BYTES_MAX};

const PROGRAM: &str = "journalctl";
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Entries wait so long for others to go with them.
const GATHER_WAIT: Duration = Duration::from_millis(100);

/// Whether the program can be run.
pub(super) async fn is_there() -> bool {
    Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await.is_ok_and(|status| status.success())
}

/// What was read and not handed in.
#[derive(Default)]
struct Batch {
    records: Vec<Arrival>,
    bytes: usize,
    passed: u64,
    last: Option<Exported>,
}

impl Puller {
    pub(super) async fn by_command(&self, pull: &mut Pull) -> End {
        loop {
            let cursor = self.known(pull);
            let Some(mut shape) = self.wanted.shape() else { return End::Stopped };
            match self.program(cursor.as_ref()) {
                Ok((mut child, out)) => {
                    let end = self.follow(pull, &mut shape, cursor, out).await;
                    drop(child.start_kill());
                    drop(child.wait().await);
                    if let Some(end) = end {
                        return end;
                    }
                    tracing::warn!(job = self.post.name(), "journalctl ended and is started again");
                }
                Err(fault) => tracing::error!(job = self.post.name(), %fault, "journalctl cannot be started; it is tried again"),
            }
            if self.pause(PAUSE).await {
                return End::Stopped;
            }
        }
    }

    fn program(&self, cursor: Option<&Cursor>) -> std::io::Result<(Child, ChildStdout)> {
        let mut command = Command::new(PROGRAM);
        command.args(["--output=export", "--follow", "--no-tail", "--no-pager", "--quiet"]);
        if !self.wanted.path.as_os_str().is_empty() {
            command.arg("--directory").arg(&self.wanted.path);
        }
        match cursor.map(|cursor| (cursor.journald().filter(|text| !text.is_empty()), cursor.since)) {
            Some((Some(text), _)) => command.arg(format!("--after-cursor={text}")),
            Some((None, since)) => command.arg(format!("--since=@{}", since / 1_000_000)),
            None => command.arg(format!("--since=@{}", self.wanted.since(self.now()) / 1_000_000)),
        };
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let out = child.stdout.take().ok_or_else(|| std::io::Error::other("its output is not there"))?;
        Ok((child, out))
    }

    /// Hands in what the program prints; `None` when it ended.
    async fn follow(&self, pull: &mut Pull, shape: &mut Shape, begun: Option<Cursor>, mut out: ChildStdout) -> Option<End> {
        let since = begun.map_or(0, |cursor| cursor.since);
        let (mut export, mut batch, mut buffer) = (Export::default(), Batch::default(), vec![0; READ_BYTES]);
        let (mut due, sender) = (Instant::now(), pull.sender());
        loop {
            let read = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Some(End::Stopped),
                () = tokio::time::sleep_until(due), if batch.passed > 0 => None,
                read = async { sender.ready().await; out.read(&mut buffer).await } => Some(read),
                settled = pull.settle_first() => {
                    if settled.is_err() {
                        return Some(End::NotTaken);
                    }
                    continue;
                }
            };
            let is_due = read.is_none();
            if batch.passed == 0 {
                due = Instant::now() + GATHER_WAIT;
            }
            match read {
                Some(Ok(0) | Err(_)) => return None,
                Some(Ok(read)) => self.take(&buffer[..read], &mut export, shape, &mut batch),
                None => {}
            }
            if batch.passed > 0 && (is_due || batch.bytes >= PULLED_BYTES_MAX) {
                let Batch { records, passed, last, .. } = std::mem::take(&mut batch);
                let text = last.map(|last| last.cursor).unwrap_or_default();
                let cursor = Cursor { last: Place::parse(&text), text: Some(text), since, ..Cursor::default() };
                match self.unless_stopped(pull.hand_in(records, cursor.to_bytes(), passed)).await {
                    None => return Some(End::Stopped),
                    Some(Err(_)) => return Some(End::NotTaken),
                    Some(Ok(())) => {}
                }
            }
        }
    }

    fn take(&self, bytes: &[u8], export: &mut Export, shape: &mut Shape, batch: &mut Batch) {
        let mut counts = Counts::default();
        let post = Arc::clone(&self.post);
        export.push(bytes, &mut |entry| {
            batch.passed += 1;
            if let Some(record) = arrival(&post, shape, entry.fields.iter(), entry.realtime, &mut counts) {
                batch.bytes += record.cost();
                batch.records.push(record);
            }
            batch.last = Some(Exported { fields: Vec::new(), ..entry });
        });
        self.count(&counts);
    }
}
