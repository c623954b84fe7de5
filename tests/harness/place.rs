//! Where things are: the built programs, a folder for a test, free ports.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

/// A program of this workspace, built in the same profile as the test itself.
///
/// # Panics
/// When it was not built: `cargo build --release --workspace` first (tests/run does).
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its own path");
    // target/<profile>/deps/<test> -> target/<profile>/<program>
    let path = exe.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps").join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` in the profile of this test first", path.display());
    path
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

/// A port that is free on loopback for both TCP and UDP at this moment.
#[must_use]
pub fn port() -> u16 {
    for _ in 0..200 {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        let port = tcp.local_addr().expect("a bound socket has an address").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free for both TCP and UDP");
}
