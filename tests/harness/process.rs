//! A child process that is ended with its value, by id; its output kept in files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    ended: bool,
    name: String,
    /// Its standard output.
    pub stdout: PathBuf,
    /// Its standard error.
    pub stderr: PathBuf,
}

impl Process {
    /// Starts `command`; output goes to files in `dir` named after `name` (appended over restarts).
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut command: Command, dir: &Path, name: &str) -> Self {
        let stdout = dir.join(format!("{name}.stdout"));
        let stderr = dir.join(format!("{name}.stderr"));
        let open = |path: &Path| File::options().create(true).append(true).open(path).expect("an output file can be opened");
        let child =
            command.stdin(Stdio::null()).stdout(open(&stdout)).stderr(open(&stderr)).spawn().unwrap_or_else(|e| panic!("{name} cannot be started: {e}"));
        Self { child, ended: false, name: name.to_owned(), stdout, stderr }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once (SIGKILL) and waits.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.ended = true;
    }

    /// Asks it to end (SIGTERM) and waits; its exit code, or `None` after `within` (it is killed then).
    pub fn stop(&mut self, within: Duration) -> Option<i32> {
        if !self.alive() {
            return self.wait(Duration::ZERO);
        }
        self.signal("TERM");
        let until = Instant::now() + within;
        while Instant::now() < until {
            if !self.alive() {
                return self.wait(Duration::ZERO);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        None
    }

    /// Sends a signal by name (`TERM`, `STOP`, `CONT`).
    ///
    /// Nothing happens once it has ended and [`Self::alive`], [`Self::wait`] or [`Self::stop`] has seen that: its id may be another's by then.
    pub fn signal(&self, name: &str) {
        if self.ended {
            return;
        }
        let _ = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        self.ended = !matches!(self.child.try_wait(), Ok(None));
        !self.ended
    }

    /// Stops it (SIGSTOP) for `span`, then lets it go on.
    pub async fn freeze(&self, span: Duration) {
        self.signal("STOP");
        tokio::time::sleep(span).await;
        self.signal("CONT");
    }

    /// Waits for it to end by itself; its exit code, `None` when it did not within the time.
    pub fn wait(&mut self, within: Duration) -> Option<i32> {
        let until = Instant::now() + within;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.ended = true;
                return status.code();
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Resident memory in bytes, from /proc.
    #[must_use]
    pub fn rss_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// The n-th (from 0) `{"event":"listening"...}` object on its standard output.
    ///
    /// # Panics
    /// When it ends first, or does not say it within 30 s: with the end of its standard error.
    #[must_use]
    pub fn listening(&mut self, nth: usize) -> serde_json::Value {
        self.try_listening(nth).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same where it may not come up.
    ///
    /// # Errors
    /// The end of its standard error.
    pub fn try_listening(&mut self, nth: usize) -> Result<serde_json::Value, String> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            // Asked first: what it said before it ended counts.
            let lives = self.alive() && Instant::now() < until;
            let text = std::fs::read_to_string(&self.stdout).unwrap_or_default();
            let events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            if let Some(event) = events.filter(|event| event["event"] == "listening").nth(nth) {
                return Ok(event);
            }
            if !lives {
                return Err(format!("{} did not come up ({:?}):\n{}", self.name, self.child.try_wait(), self.tail()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The end of its standard error.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.stderr).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
