//! The name of a sender's address: from the hosts file, else from DNS.
//!
//! Parts: [`of`], `question` and `answer` (a PTR query in DNS' own form; pure). A name is asked for once per connection and not waited for longer
//! than [`WAIT`]; without one the label is not there, as with Promtail. Must not do: cache.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proto_seam::World;
use tokio::net::UdpSocket;

/// For a name.
const WAIT: Duration = Duration::from_secs(1);
/// Largest file that is looked through.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Names of one address.
const NAMES_MAX: usize = 8;
const PTR: u16 = 12;
const IN: u16 = 1;

/// The names of an address, with commas between them; empty when it has none.
pub(super) async fn of(world: &World, ip: IpAddr) -> String {
    let known = in_hosts(&text_of(world, "/etc/hosts").await, ip);
    if !known.is_empty() {
        return known.join(",");
    }
    let Some(server) = resolver(&text_of(world, "/etc/resolv.conf").await) else { return String::new() };
    tokio::time::timeout(WAIT, ask(server, ip)).await.ok().flatten().unwrap_or_default().join(",")
}

async fn text_of(world: &World, path: &'static str) -> String {
    let disk = Arc::clone(&world.disk);
    let read = world.workers.run(move || disk.read_all(Path::new(path), FILE_BYTES_MAX)).await;
    read.ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

fn in_hosts(text: &str, ip: IpAddr) -> Vec<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut names: Vec<String> = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        if words.next().and_then(|first| first.parse::<IpAddr>().ok()) == Some(ip) {
            names.extend(words.map(str::to_owned));
        }
    }
    names.truncate(NAMES_MAX);
    names
}

fn resolver(text: &str) -> Option<SocketAddr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok());
    servers.map(|ip| SocketAddr::new(ip, 53)).next()
}

async fn ask(server: SocketAddr, ip: IpAddr) -> Option<Vec<String>> {
    let own = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(own).await.ok()?;
    socket.connect(server).await.ok()?;
    let id = socket.local_addr().ok()?.port();
    socket.send(&question(id, ip)).await.ok()?;
    let mut buffer = [0; 1_232];
    let len = socket.recv(&mut buffer).await.ok()?;
    answer(id, &buffer[..len])
}

fn question(id: u16, ip: IpAddr) -> Vec<u8> {
    let labels: Vec<String> = match ip {
        IpAddr::V4(ip) => ip.octets().iter().rev().map(ToString::to_string).chain(["in-addr".to_owned(), "arpa".to_owned()]).collect(),
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}")).chain(["ip6".to_owned(), "arpa".to_owned()]).collect()
        }
    };
    let mut out = id.to_be_bytes().to_vec();
    // Recursion is desired; one question.
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in labels {
        out.push(u8::try_from(label.len()).unwrap_or(0));
        out.extend(label.as_bytes());
    }
    out.push(0);
    out.extend(PTR.to_be_bytes());
    out.extend(IN.to_be_bytes());
    out
}

fn answer(id: u16, message: &[u8]) -> Option<Vec<String>> {
    let two = |at: usize| message.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    let (flags, questions, answers) = (two(2)?, two(4)?, two(6)?);
    if two(0)? != id || flags & 0x8000 == 0 || flags & 0xf != 0 {
        return None;
    }
    let mut at = 12;
    for _ in 0..questions {
        at = name(message, at)?.1 + 4;
    }
    let mut names = Vec::new();
    for _ in 0..usize::from(answers).min(NAMES_MAX) {
        at = name(message, at)?.1;
        let (kind, length) = (two(at)?, usize::from(two(at + 8)?));
        if kind == PTR {
            names.push(name(message, at + 10)?.0);
        }
        at += 10 + length;
    }
    Some(names)
}

/// The name at a place, and where it ends.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let (mut out, mut end, mut jumps) = (String::new(), None, 0);
    loop {
        let length = *message.get(at)?;
        match length {
            0 => return Some((out, end.unwrap_or(at + 1))),
            1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                out.push_str(&String::from_utf8_lossy(label));
                out.push('.');
                at += 1 + usize::from(length);
            }
            192.. => {
                end = end.or(Some(at + 2));
                at = usize::from(length & 63) << 8 | usize::from(*message.get(at + 1)?);
                jumps += 1;
            }
            _ => return None,
        }
        if jumps > 8 || out.len() > 255 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests;
