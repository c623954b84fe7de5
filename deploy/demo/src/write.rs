//! Writes lines of one cluster's programs to their files, so many a second.
//!
//! Files are opened anew for each write: who renames or removes one gets a new one, as from a container runtime.
//! Promises: whole lines only, also when it is told to stop.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::fault::DemoFault;
use crate::lines::{Generator, apps};

/// Between two writes.
const EVERY: Duration = Duration::from_millis(100);
/// Lines of one write at most: a machine that slept does not make up for all of it at once.
const LINES_MAX: u64 = 20_000;

/// Writes until `stop` says true.
pub(crate) async fn write(logs: PathBuf, cluster: &'static str, rate: u64, mut stop: watch::Receiver<bool>) -> Result<(), DemoFault> {
    let apps = apps(cluster);
    let mut generator = Generator::new(cluster.bytes().map(u64::from).sum());
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut written, mut begun) = (0, Instant::now());
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stopped| *stopped) => return Ok(()),
            _ = tick.tick() => {}
        }
        let due = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_mul(rate) / 1_000;
        if due.saturating_sub(written) > LINES_MAX {
            (written, begun) = (0, Instant::now());
            continue;
        }
        let mut texts = [const { String::new() }; 3];
        for number in written..due {
            let turn = usize::try_from(number % 3).unwrap_or(0);
            generator.line(apps[turn].1, Timestamp::now(), &mut texts[turn]);
        }
        written = due;
        for (text, (pod, _)) in texts.iter().zip(&apps).filter(|(text, _)| !text.is_empty()) {
            let path = logs.join(format!("{pod}.log"));
            let mut file = tokio::fs::File::options().create(true).append(true).open(&path).await.map_err(DemoFault::file("open", &path))?;
            file.write_all(text.as_bytes()).await.map_err(DemoFault::file("write", &path))?;
            file.flush().await.map_err(DemoFault::file("write", &path))?;
        }
    }
}
