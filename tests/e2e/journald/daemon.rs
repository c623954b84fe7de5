//! A journald of our own, and what programs send it.
//!
//! Parts: [`Journald`] (the daemon, its folders bound over the machine's in a mount namespace), [`Sender`] (one program that logs by
//! journald's own protocol, by `/dev/log`, or by a standard output). A sender begins anew where journald went away.

use std::fmt::Write as _;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tests::process::Process;

const PROGRAMS: [&str; 2] = ["/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald"];
const SETTINGS: &str = "[Journal]\nStorage=persistent\nCompress=yes\nRateLimitIntervalSec=0\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\nForwardToKMsg=no\nForwardToConsole=no\nForwardToWall=no\nSystemKeepFree=1M\n";
const MOUNTS: &str = "mount --make-rprivate / && mount --bind \"$1/run\" /run && mount --bind \"$1/log\" /var/log && exec \"$2\"";

/// A running journald.
pub(super) struct Journald {
    process: Option<Process>,
    program: PathBuf,
    dir: PathBuf,
    machine: String,
}

impl Journald {
    /// One with these settings beside the usual; else why there is none.
    pub(super) fn start(dir: &Path, settings: &str) -> Result<Self, String> {
        let program = PROGRAMS.iter().map(PathBuf::from).find(|path| path.exists()).ok_or("systemd-journald is not installed")?;
        Command::new("journalctl").arg("--version").output().map_err(|_| "journalctl is not installed")?;
        let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default().trim().to_owned();
        if machine.len() != 32 {
            return Err("this machine has no /etc/machine-id".to_owned());
        }
        for folder in ["run/systemd/journal", "run/systemd/journald.conf.d", "run/log/journal", &format!("log/journal/{machine}")] {
            std::fs::create_dir_all(dir.join(folder)).expect("a folder can be made");
        }
        // What lies in memory is on the disk already.
        std::fs::write(dir.join("run/systemd/journal/flushed"), "").expect("a file can be written");
        let mut journald = Self { process: None, program, dir: dir.to_path_buf(), machine };
        journald.write(settings);
        journald.resume()?;
        Ok(journald)
    }

    fn write(&self, settings: &str) {
        std::fs::write(self.dir.join("run/systemd/journald.conf.d/test.conf"), format!("{SETTINGS}{settings}")).expect("settings can be written");
    }

    /// Starts it (again) and waits until it hears.
    pub(super) fn resume(&mut self) -> Result<(), String> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", MOUNTS, "sh"]).arg(&self.dir).arg(&self.program);
        let mut process = Process::start(command, &self.dir, "journald");
        let until = Instant::now() + Duration::from_secs(20);
        let sockets = self.sockets();
        while UnixDatagram::unbound().and_then(|socket| socket.connect(sockets.join("socket"))).is_err() || UnixStream::connect(sockets.join("stdout")).is_err()
        {
            if !process.alive() || Instant::now() >= until {
                return Err(format!("no journald can be run on this machine: {}", process.tail().lines().last().unwrap_or_default()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        self.process = None;
    }

    /// Ends it in peace and starts it with other settings.
    pub(super) fn restart(&mut self, settings: &str) -> Result<(), String> {
        if let Some(mut process) = self.process.take() {
            process.stop(Duration::from_secs(20));
        }
        self.write(settings);
        self.resume()
    }

    pub(super) fn rotate(&self) {
        self.process.iter().for_each(|process| process.signal("USR2"));
    }

    /// Waits until it has written all that it was sent.
    pub(super) async fn until_quiet(&self) {
        let mut known = usize::MAX;
        for _ in 0..100 {
            let entries = self.messages().len();
            if entries == known {
                return;
            }
            known = entries;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn sockets(&self) -> PathBuf {
        self.dir.join("run/systemd/journal")
    }

    /// The folder of its folders of files.
    pub(super) fn files(&self) -> PathBuf {
        self.dir.join("log/journal")
    }

    /// The names of its files.
    pub(super) fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.files().join(&self.machine)).expect("the folder can be read");
        names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }

    /// The numbers of the first and the last entry that are there.
    pub(super) fn numbers(&self) -> (u64, u64) {
        let entries = self.entries("PRIORITY");
        let numbers = entries.iter().filter_map(|entry| {
            let number = entry["__CURSOR"].as_str()?.split(';').find_map(|part| part.strip_prefix("i="))?;
            u64::from_str_radix(number, 16).ok()
        });
        numbers.fold((u64::MAX, 0), |(first, last), number| (first.min(number), last.max(number)))
    }

    /// The messages of all entries.
    pub(super) fn messages(&self) -> Vec<String> {
        self.entries("MESSAGE").iter().filter_map(message_of).collect()
    }

    /// All entries with one field, as `journalctl` reads them.
    fn entries(&self, field: &str) -> Vec<serde_json::Value> {
        let mut command = Command::new("journalctl");
        command.args(["--quiet", "--all", "--no-pager", "--output=json", &format!("--output-fields={field}"), "--directory"]).arg(self.files());
        let done = command.output().expect("journalctl can be started");
        String::from_utf8_lossy(&done.stdout).lines().map(|line| serde_json::from_str(line).expect("journalctl prints JSON")).collect()
    }
}

fn message_of(entry: &serde_json::Value) -> Option<String> {
    match entry.get("MESSAGE")? {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        other => panic!("a message that is no text: {other}"),
    }
}

/// How a program logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Native,
    Syslog,
    Stdout,
}

/// A program that logs.
pub(super) struct Sender {
    kind: Kind,
    sockets: PathBuf,
    datagrams: Option<UnixDatagram>,
    stream: Option<UnixStream>,
}

impl Sender {
    pub(super) fn new(kind: Kind, journald: &Journald) -> Self {
        Self { kind, sockets: journald.sockets(), datagrams: None, stream: None }
    }

    /// Says line `number`, to whichever journald is there.
    pub(super) fn say(&mut self, number: u64) {
        let until = Instant::now() + Duration::from_secs(60);
        while let Err(fault) = self.try_say(number) {
            assert!(Instant::now() < until, "journald does not hear: {fault}");
            (self.datagrams, self.stream) = (None, None);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn try_say(&mut self, number: u64) -> std::io::Result<()> {
        match self.kind {
            Kind::Native => {
                let (entry, is_large) = native(number);
                if is_large { self.by_file(&entry) } else { self.datagrams("socket")?.send(&entry).map(drop) }
            }
            Kind::Syslog => {
                let text = if number.is_multiple_of(100) { "y".repeat(3_000) } else { String::new() };
                self.datagrams("dev-log")?.send(format!("<12>Nov 23 07:00:00 old[7]: old line {number} {text}").as_bytes()).map(drop)
            }
            Kind::Stdout => {
                let text = if number.is_multiple_of(100) { "z".repeat(3_000) } else { String::new() };
                self.stream()?.write_all(format!("plain line {number} {text}\n").as_bytes())
            }
        }
    }

    fn datagrams(&mut self, name: &str) -> std::io::Result<&UnixDatagram> {
        if self.datagrams.is_none() {
            let socket = UnixDatagram::unbound()?;
            socket.connect(self.sockets.join(name))?;
            self.datagrams = Some(socket);
        }
        self.datagrams.as_ref().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    fn stream(&mut self) -> std::io::Result<&mut UnixStream> {
        if self.stream.is_none() {
            let mut stream = UnixStream::connect(self.sockets.join("stdout"))?;
            // Name, unit, priority, levels in lines, and where to forward.
            stream.write_all(b"plain\n\n5\n0\n0\n0\n0\n")?;
            self.stream = Some(stream);
        }
        self.stream.as_mut().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    /// An entry too large for a datagram goes as a sealed file in memory.
    fn by_file(&mut self, entry: &[u8]) -> std::io::Result<()> {
        let file = rustix::fs::memfd_create("entry", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = std::fs::File::from(file);
        file.write_all(entry)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        let files = [file.as_fd()];
        assert!(with.push(SendAncillaryMessage::ScmRights(&files)), "there is room for one");
        let socket = self.datagrams("socket")?;
        rustix::net::sendmsg(socket, &[IoSlice::new(&[])], &mut with, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// An entry of journald's own protocol, and whether it is too large for a datagram.
fn native(number: u64) -> (Vec<u8>, bool) {
    let mut message = format!("native line {number}");
    match number {
        n if n % 2_500 == 1 => message.push_str(&" large".repeat(60_000)),
        n if n % 500 == 2 => message.push_str(&format!(" {n}").repeat(20_000)),
        n if n % 100 == 3 => message.push_str(&"x".repeat(3_000)),
        n if n % 50 == 4 => message.push_str("\nits second line\n\tand its third"),
        n if n % 50 == 5 => message.push_str(" é € 💧"),
        _ => {}
    }
    let mut out = Vec::new();
    let mut plain = String::new();
    writeln!(plain, "PRIORITY=4\nSYSLOG_IDENTIFIER=native\nNUMBER={number}").expect("text");
    out.extend_from_slice(plain.as_bytes());
    let mut counted = |name: &str, value: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
        out.extend_from_slice(value);
        out.push(b'\n');
    };
    let mut message = message.into_bytes();
    if number % 50 == 6 {
        // No text.
        message.extend_from_slice(&[b' ', 0xff, 0xfe, 0, 1]);
    }
    counted("MESSAGE", &message);
    if number % 10 == 7 {
        counted("BLOB", &[0, 255, b'\n', b'=', 7, 128]);
    }
    let is_large = out.len() > 60_000;
    (out, is_large)
}
