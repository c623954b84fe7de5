//! A real MinIO: a process on loopback with its own data folder and bucket.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::place;
use crate::process::Process;

/// Name of the bucket every test uses.
pub const BUCKET: &str = "logs";
/// Access key of the test server.
pub const USER: &str = "tributary";
/// Secret key of the test server: made for the test, worth nothing elsewhere.
pub const PASSWORD: &str = "only-for-tests";

/// A running MinIO.
#[derive(Debug)]
pub struct Minio {
    process: Option<Process>,
    data: PathBuf,
    logs: PathBuf,
    /// Its port on loopback.
    pub port: u16,
}

/// Where `tests/run` put the server: `$TRIBUTARY_MINIO`, else `target/tools/minio` of the workspace.
#[must_use]
pub fn server() -> PathBuf {
    std::env::var_os("TRIBUTARY_MINIO").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/minio"), PathBuf::from)
}

impl Minio {
    /// Starts it with an empty bucket in `dir`.
    ///
    /// # Panics
    /// When it is not installed (run `tests/run prepare`) or does not come up.
    #[must_use]
    pub fn start(dir: &Path) -> Self {
        let data = dir.join("minio");
        std::fs::create_dir_all(data.join(BUCKET)).expect("the data folder can be made");
        let mut minio = Self { process: None, data, logs: dir.to_path_buf(), port: place::port() };
        minio.resume();
        minio
    }

    /// Starts it again on the same port and data.
    pub fn resume(&mut self) {
        let program = server();
        assert!(program.exists(), "MinIO is not at {}: run `tests/run prepare`", program.display());
        let mut command = Command::new(program);
        command
            .args(["server", "--quiet", "--address", &format!("127.0.0.1:{}", self.port), "--console-address", &format!("127.0.0.1:{}", place::port())])
            .arg(&self.data)
            .env("MINIO_ROOT_USER", USER)
            .env("MINIO_ROOT_PASSWORD", PASSWORD)
            .env("MINIO_UPDATE", "off")
            .env("HOME", &self.logs);
        self.process = Some(Process::start(command, &self.logs, "minio"));
        self.until_ready();
    }

    fn until_ready(&mut self) {
        let until = Instant::now() + Duration::from_secs(60);
        let probe = format!("http://127.0.0.1:{}/minio/health/ready", self.port);
        while Instant::now() < until {
            if crate::ask::status_of(&probe) == Some(200) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("MinIO did not come up:\n{}", self.process.as_ref().map(Process::tail).unwrap_or_default());
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Its process, to be paused or measured.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// The hub's `store` and `s3` settings; `endpoint_port` may be a relay's.
    #[must_use]
    pub fn settings(&self, prefix: &str, endpoint_port: u16) -> String {
        format!(
            "store: s3://{BUCKET}/{prefix}\ns3: {{endpoint: \"http://127.0.0.1:{endpoint_port}\", region: us-east-1, access_key_id: {USER}, secret_access_key: {PASSWORD}, allow_http: true}}\n"
        )
    }
}
