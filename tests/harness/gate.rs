//! A faulty way to the store: an HTTP relay on loopback that delays, refuses, loses answers and applies late.
//!
//! Each request meets one [`Fate`], drawn from a seed by the rates in force. A request is read whole and sent on
//! over a connection of its own, unchanged but for `Connection: close`, so its signature stays valid.
//! Promises: what was drawn is counted per kind; a lost answer was applied; a late request is applied after its
//! client was cut off. Must not do: understand S3.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Chances in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// The request waits for up to `delay_max_ms` first.
    pub delay: u64,
    /// Longest such wait.
    pub delay_max_ms: u64,
    /// 503, not applied.
    pub refuse: u64,
    /// A write is applied, then the connection is cut without an answer.
    pub lose_answer: u64,
    /// The connection of a write is cut; the write is applied up to 3 s later.
    pub apply_late: u64,
    /// The answer ends in its middle.
    pub cut_answer: u64,
}

impl Rates {
    /// All kinds, each about `thousandths` of the requests.
    #[must_use]
    pub const fn all(thousandths: u64) -> Self {
        Self { delay: thousandths, delay_max_ms: 800, refuse: thousandths, lose_answer: thousandths, apply_late: thousandths, cut_answer: thousandths }
    }
}

/// How many requests met what.
#[derive(Debug, Default)]
pub struct Counts {
    /// All.
    pub requests: AtomicU64,
    /// See [`Rates`].
    pub delayed: AtomicU64,
    /// See [`Rates`].
    pub refused: AtomicU64,
    /// See [`Rates`].
    pub answers_lost: AtomicU64,
    /// See [`Rates`].
    pub applied_late: AtomicU64,
    /// See [`Rates`].
    pub answers_cut: AtomicU64,
}

impl Counts {
    /// One line.
    #[must_use]
    pub fn told(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        format!(
            "{} requests: {} delayed, {} refused, {} answers lost, {} applied late, {} answers cut",
            of(&self.requests),
            of(&self.delayed),
            of(&self.refused),
            of(&self.answers_lost),
            of(&self.applied_late),
            of(&self.answers_cut)
        )
    }

    /// Faults of all kinds.
    #[must_use]
    pub fn faults(&self) -> u64 {
        [&self.delayed, &self.refused, &self.answers_lost, &self.applied_late, &self.answers_cut].iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Delay(Duration),
    Refuse,
    LoseAnswer,
    ApplyLate(Duration),
    CutAnswer,
}

struct Shared {
    target: SocketAddr,
    rates: Mutex<Rates>,
    dice: Mutex<u64>,
    counts: Counts,
}

/// A running gate; ends with its value.
pub struct Gate {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Gate {
    /// Relays from a free port to `target`, without faults yet.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(target: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared { target, rates: Mutex::default(), dice: Mutex::new(seed), counts: Counts::default() });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move {
                    let _ = one(&shared, client).await;
                });
            }
        });
        Self { port, shared, task }
    }

    /// Brings other rates into force.
    pub fn set(&self, rates: Rates) {
        *self.shared.rates.lock().expect("no holder panics") = rates;
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn roll(&self, sides: u64) -> u64 {
        let mut dice = self.dice.lock().expect("no holder panics");
        *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*dice >> 33) % sides.max(1)
    }

    fn fate(&self, write: bool) -> Fate {
        let rates = *self.rates.lock().expect("no holder panics");
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        let mut rest = self.roll(1_000);
        let mut hit = |share: u64, allowed: bool, count: &AtomicU64| {
            let hit = allowed && rest < share;
            rest = rest.saturating_sub(share).max(if rest < share { 1_000 } else { 0 });
            if hit {
                count.fetch_add(1, Ordering::Relaxed);
            }
            hit
        };
        if hit(rates.delay, true, &self.counts.delayed) {
            return Fate::Delay(Duration::from_millis(self.roll(rates.delay_max_ms)));
        }
        if hit(rates.refuse, true, &self.counts.refused) {
            return Fate::Refuse;
        }
        if hit(rates.lose_answer, write, &self.counts.answers_lost) {
            return Fate::LoseAnswer;
        }
        if hit(rates.apply_late, write, &self.counts.applied_late) {
            return Fate::ApplyLate(Duration::from_millis(500 + self.roll(2_500)));
        }
        if hit(rates.cut_answer, true, &self.counts.answers_cut) { Fate::CutAnswer } else { Fate::Pass }
    }
}

/// One request on one connection.
async fn one(shared: &Shared, mut client: TcpStream) -> std::io::Result<()> {
    let Some((request, write)) = read_request(&mut client).await? else { return Ok(()) };
    let fate = shared.fate(write);
    match fate {
        Fate::Refuse => {
            let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            client.write_all(answer).await?;
            return client.shutdown().await;
        }
        Fate::ApplyLate(wait) => {
            drop(client);
            tokio::time::sleep(wait).await;
            return ask(shared, &request).await.map(drop);
        }
        Fate::Delay(wait) => tokio::time::sleep(wait).await,
        Fate::Pass | Fate::LoseAnswer | Fate::CutAnswer => {}
    }
    let answer = ask(shared, &request).await?;
    match fate {
        Fate::LoseAnswer => return Ok(()),
        Fate::CutAnswer => client.write_all(&answer[..answer.len() / 2]).await?,
        Fate::Pass | Fate::Delay(_) | Fate::Refuse | Fate::ApplyLate(_) => client.write_all(&answer).await?,
    }
    client.shutdown().await
}

/// Sends the request on; the whole answer.
async fn ask(shared: &Shared, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(shared.target).await?;
    server.write_all(request).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    // The client must not use this connection again.
    Ok(answer)
}

/// A whole request with `Connection: close` put into its head, and whether it writes; `None` at the end of the connection.
async fn read_request(client: &mut TcpStream) -> std::io::Result<Option<(Vec<u8>, bool)>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut length = 0;
    let mut kept = String::new();
    let mut waits = false;
    for line in head.split("\r\n") {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let value = line.split_once(':').map_or("", |(_, value)| value.trim());
        match name.as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "expect" => waits = true,
            "connection" => continue,
            _ => {}
        }
        if name != "expect" {
            kept.push_str(line);
            kept.push_str("\r\n");
        }
    }
    if waits {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if client.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    let write = ["PUT ", "POST ", "DELETE "].iter().any(|method| head.starts_with(method));
    let mut request = format!("{kept}Connection: close\r\n\r\n").into_bytes();
    request.extend_from_slice(&body);
    Ok(Some((request, write)))
}
