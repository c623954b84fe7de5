//! Where things are: the built programs, a folder for a test, free ports.

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A program of this workspace, built in the same profile as the test itself.
///
/// # Panics
/// When it was not built: `cargo build --release --workspace` first (tests/run does).
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = programs().join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` in the profile of this test first", path.display());
    path
}

/// Where the programs of this workspace are built: `target/<profile>`.
///
/// # Panics
/// When the own path cannot be told.
#[must_use]
pub fn programs() -> PathBuf {
    let exe = std::env::current_exe().expect("a program knows its own path");
    let folder = exe.parent().expect("a program lies in a folder");
    // A test is target/<profile>/deps/<test>, a program of this package target/<profile>/<program>.
    if folder.ends_with("deps") { folder.parent().expect("deps lies in a folder").to_path_buf() } else { folder.to_path_buf() }
}

/// A fresh folder, removed with the value; kept when `TRIBUTARY_KEEP` is set.
#[must_use]
pub fn folder(name: &str) -> tempfile::TempDir {
    let mut dir = tempfile::Builder::new().prefix(&format!("tributary-{name}-")).tempdir().expect("a temporary folder can be made");
    if std::env::var_os("TRIBUTARY_KEEP").is_some() {
        dir.disable_cleanup(true);
        eprintln!("kept: {}", dir.path().display());
    }
    dir
}

/// Ports below those that the system gives to whoever connects: between the asking and the listening nobody else is given one.
const PORTS: std::ops::Range<u32> = 10_000..32_000;
/// How many were asked for in this process; each process begins elsewhere.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// A port that is free on loopback for both TCP and UDP at this moment, and that no other test of this process was given.
///
/// # Panics
/// When none is free.
#[must_use]
pub fn port() -> u16 {
    let first = std::process::id().wrapping_mul(1_009);
    for _ in 0..PORTS.end - PORTS.start {
        let asked = first.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + asked % (PORTS.end - PORTS.start)).expect("the range is one of ports");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free for both TCP and UDP");
}
