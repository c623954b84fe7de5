//! What only a real machine has: loop disks that lose power, full disks, network namespaces, strace.
//!
//! Parts: [`LoopDisk`] (ext4 in a file), [`RamDisk`] (tmpfs of a size), [`Namespace`] (a network of its own, one
//! cable to the test), [`Strace`] (failing system calls of a running program). Each says why it cannot be made
//! on this machine ([`crate::skip::skipped`] is told so), and is undone with its value. Must not do: touch
//! anything it did not make.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::process::Process;

/// Runs a command of the machine; its standard output, or what is wrong.
fn try_run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let done = Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|fault| format!("{program} cannot be started: {fault}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim()))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

fn unmount(dir: &Path) {
    for _ in 0..50 {
        if try_run("umount", &[text(dir)]).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // Something still holds it: it goes with its last holder.
    let _ = try_run("umount", &["-l", text(dir)]);
}

/// An ext4 file system in a file, mounted through a loop device.
#[derive(Debug)]
pub struct LoopDisk {
    image: PathBuf,
    /// Where it is mounted.
    pub dir: PathBuf,
}

impl LoopDisk {
    /// Makes and mounts one of `mib` MiB in `dir`.
    ///
    /// # Errors
    /// Why this machine cannot.
    pub fn make(dir: &Path, mib: u64) -> Result<Self, String> {
        let (image, mount) = (dir.join("disk.img"), dir.join("disk"));
        std::fs::create_dir_all(&mount).map_err(|fault| fault.to_string())?;
        let file = std::fs::File::create(&image).map_err(|fault| fault.to_string())?;
        file.set_len(mib * 1024 * 1024).map_err(|fault| fault.to_string())?;
        try_run("mkfs.ext4", &["-q", "-F", "-m", "0", text(&image)])?;
        let disk = Self { image, dir: mount };
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        try_run("mount", &["-o", "loop", text(&self.image), text(&self.dir)]).map(drop)
    }

    /// Cuts the power: what was not synced is gone, every later call fails until [`Self::restore`].
    ///
    /// # Errors
    /// Why this machine cannot.
    pub fn cut_power(&self) -> Result<(), String> {
        // FS_IOC_SHUTDOWN = _IOR('X', 125, __u32) with 2 = without a flush of the log.
        let script = "open(my $d, '<', $ARGV[0]) or die $!; my $how = pack('L', 2); ioctl($d, 0x8004587d, $how) or die $!;";
        try_run("perl", &["-e", script, text(&self.dir)]).map(drop)
    }

    /// The power is back: the file system replays its journal. Whoever used it must have ended. A container that is begun beside this test has a copy
    /// of all mounts for a moment, and with it the dead file system: that is mounted again until it lives.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn restore(&self) -> Result<(), String> {
        let probe = self.dir.join(".probe");
        let mut last = String::new();
        for _ in 0..100 {
            unmount(&self.dir);
            self.mount()?;
            match std::fs::write(&probe, b"alive").and_then(|()| std::fs::remove_file(&probe)) {
                Ok(()) => return Ok(()),
                Err(fault) => last = fault.to_string(),
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Err(last)
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        unmount(&self.dir);
    }
}

/// A tmpfs of a given size.
#[derive(Debug)]
pub struct RamDisk {
    /// Where it is mounted.
    pub dir: PathBuf,
}

impl RamDisk {
    /// Mounts one of `mib` MiB at `dir`/ram.
    ///
    /// # Errors
    /// Why this machine cannot.
    pub fn make(dir: &Path, mib: u64) -> Result<Self, String> {
        let mount = dir.join("ram");
        std::fs::create_dir_all(&mount).map_err(|fault| fault.to_string())?;
        try_run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs", text(&mount)])?;
        Ok(Self { dir: mount })
    }

    /// Gives it another size.
    ///
    /// # Panics
    /// When the machine refuses.
    pub fn resize(&self, mib: u64) {
        try_run("mount", &["-o", &format!("remount,size={mib}m"), text(&self.dir)]).expect("a tmpfs can be resized");
    }
}

impl Drop for RamDisk {
    fn drop(&mut self) {
        unmount(&self.dir);
    }
}

/// Numbers of namespaces of this process: each has a subnet of its own.
static NAMESPACES: AtomicU32 = AtomicU32::new(0);

/// A network namespace with one cable to the test's own.
#[derive(Debug)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Address of the test's end of the cable: where a hub listens.
    pub outside: String,
    subnet: String,
    cable: String,
}

impl Namespace {
    /// Makes one with the address `.2` inside.
    ///
    /// # Errors
    /// Why this machine cannot.
    pub fn make() -> Result<Self, String> {
        let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        // 198.18.0.0/15 is for tests of networks (RFC 2544).
        let subnet = format!("198.18.{}", (id.wrapping_mul(7) + number) % 250 + 1);
        let name = format!("trib{id}-{number}");
        let cable = format!("tr{}v{number}", id % 1_000_000);
        try_run("nft", &["--version"])?;
        try_run("nsenter", &["--version"])?;
        try_run("ip", &["netns", "add", &name])?;
        let made = Self { outside: format!("{subnet}.1"), name, subnet, cable };
        made.wire()?;
        Ok(made)
    }

    fn wire(&self) -> Result<(), String> {
        let (outer, inner) = (format!("{}a", self.cable), format!("{}b", self.cable));
        try_run("ip", &["link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &self.name])?;
        try_run("ip", &["addr", "add", &format!("{}/24", self.outside), "dev", &outer])?;
        try_run("ip", &["link", "set", &outer, "up"])?;
        self.ip(&["link", "set", "lo", "up"])?;
        self.ip(&["link", "set", &inner, "up"])?;
        self.ip(&["addr", "add", &format!("{}.2/24", self.subnet), "dev", &inner])?;
        // The rules of this file live in one table of the namespace and go with it.
        for rule in [
            "add table inet test",
            "add chain inet test in { type filter hook input priority 0 ; }",
            "add chain inet test out { type filter hook output priority 0 ; }",
        ] {
            self.nft(rule)?;
        }
        Ok(())
    }

    fn ip(&self, arguments: &[&str]) -> Result<String, String> {
        try_run("ip", &[&["-n", &self.name], arguments].concat())
    }

    fn nft(&self, rule: &str) -> Result<String, String> {
        try_run("nsenter", &[&format!("--net=/run/netns/{}", self.name), "nft", rule])
    }

    /// Drops what `rule` matches (such as `udp dport != 0` or `meta length > 1200`) of what comes in and goes out on the cable.
    ///
    /// # Panics
    /// When the rule is refused.
    pub fn block(&self, rule: &str) {
        self.block_in(rule);
        self.nft(&format!("add rule inet test out oifname != \"lo\" {rule} drop")).expect("a rule can be added");
    }

    /// The same for what comes in alone: what is sent arrives, no answer does.
    ///
    /// # Panics
    /// When the rule is refused.
    pub fn block_in(&self, rule: &str) {
        self.nft(&format!("add rule inet test in iifname != \"lo\" {rule} drop")).expect("a rule can be added");
    }

    /// Takes all rules away.
    ///
    /// # Panics
    /// When the machine refuses.
    pub fn unblock(&self) {
        self.nft("flush table inet test").expect("rules can be removed");
    }

    /// From now on packets from inside that are larger than `bytes` (IP header included) vanish, and nobody is told.
    ///
    /// # Panics
    /// When the machine refuses.
    pub fn swallow(&self, bytes: u32) {
        let (outer, inner) = (format!("{}a", self.cable), format!("{}b", self.cable));
        // Packets are cut before they enter the cable: a rule of a filter would see batches of them.
        self.ip(&["link", "set", "dev", &inner, "gso_max_segs", "1"]).expect("batching can be switched off");
        // What is longer than the other end takes is dropped there without a word.
        try_run("ip", &["link", "set", "dev", &outer, "mtu", &bytes.to_string()]).expect("the size can be set");
    }

    /// The address inside becomes `.last`, as when a machine moves to another network.
    ///
    /// # Panics
    /// When the machine refuses.
    pub fn readdress(&self, last: u8) {
        let inner = format!("{}b", self.cable);
        self.ip(&["addr", "flush", "dev", &inner]).expect("addresses can be removed");
        self.ip(&["addr", "add", &format!("{}.{last}/24", self.subnet), "dev", &inner]).expect("an address can be added");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = try_run("ip", &["link", "del", &format!("{}a", self.cable)]);
        let _ = try_run("ip", &["netns", "del", &self.name]);
    }
}

/// System calls of a running program fail while this lives.
#[derive(Debug)]
pub struct Strace {
    process: Process,
}

impl Strace {
    /// Whether this machine can.
    ///
    /// # Errors
    /// Why not.
    pub fn works(dir: &Path) -> Result<(), String> {
        let trace = dir.join("strace.probe");
        let traced = try_run("strace", &["-f", "-o", text(&trace), "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1", "true"]);
        traced.map(drop)
    }

    /// Attaches to the process `id`; `inject` as `strace -e inject=` takes it, for calls on the files of the folder
    /// `only` alone, those that are there now (empty = all). The trace is `dir/name.trace`.
    ///
    /// # Panics
    /// When it does not attach within 10 s.
    #[must_use]
    pub fn attach(id: u32, inject: &[&str], only: Option<&Path>, dir: &Path, name: &str) -> Self {
        let calls: Vec<&str> = inject.iter().filter_map(|one| one.split(':').next()).collect();
        let mut command = Command::new("strace");
        command.args(["-f", "-o", text(&dir.join(format!("{name}.trace"))), "-e", &format!("trace={}", calls.join(","))]);
        for one in inject {
            command.args(["-e", &format!("inject={one}")]);
        }
        for file in only.into_iter().flat_map(|folder| std::fs::read_dir(folder).expect("the folder can be read").flatten()) {
            command.arg("-P").arg(file.path());
        }
        command.args(["-p", &id.to_string()]);
        let process = Process::start(command, dir, name);
        for _ in 0..200 {
            if process.tail().contains("attached") {
                return Self { process };
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("strace did not attach: {}", process.tail());
    }

    /// Detaches; how many calls were made to fail.
    #[must_use]
    pub fn end(mut self, dir: &Path, name: &str) -> usize {
        let _ = self.process.stop(Duration::from_secs(10));
        let trace = std::fs::read_to_string(dir.join(format!("{name}.trace"))).unwrap_or_default();
        trace.matches("(INJECTED)").count()
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // SIGTERM: it detaches. SIGKILL would leave the traced threads stopped.
        let _ = self.process.stop(Duration::from_secs(10));
    }
}
