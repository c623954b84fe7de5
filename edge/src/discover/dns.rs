//! `dns_sd_configs`: targets from records of a name server.
//!
//! Parts: [`DnsSd`] (which names), [`run`] (asks again and again), `Servers` (whom, by `/etc/resolv.conf`; read anew each time), `message`
//! (the wire format; pure). As in Prometheus: each server in turn, over TCP when an answer is cut; a name without a dot at its end goes
//! through the search list. Promises: a name that no server answers for keeps its targets; one that does not exist has none. Limits:
//! [`WITHIN`] for each question. Must not do: keep answers, trust a reply to another question.

mod message;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proto_model::Labels;
use proto_seam::{Entropy, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::feeds::FeedMetrics;
use super::groups::{FeedSender, TargetGroup, publish};
use super::kube::labels::join;
pub use message::Kind;
use message::{Answer, DATAGRAM_BYTES, Record};

/// For one server's answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Servers that are asked.
const SERVERS_MAX: usize = 8;
/// Largest `/etc/resolv.conf`.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// The answer's code: no such name.
const NO_SUCH_NAME: u8 = 3;

/// Which names, and how often they are asked for.
#[derive(Debug, Clone)]
pub struct DnsSd {
    /// The names.
    pub names: Vec<String>,
    /// What is asked for.
    pub kind: Kind,
    /// Port of targets whose records have none.
    pub port: u16,
    /// `refresh_interval`.
    pub refresh: Duration,
    /// Who is asked: a file in the form of `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
}

/// What `/etc/resolv.conf` says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Servers {
    addresses: Vec<SocketAddr>,
    search: Vec<String>,
    dots: usize,
}

impl Servers {
    fn parse(text: &str) -> Self {
        let mut out = Self { addresses: Vec::new(), search: Vec::new(), dots: 1 };
        for line in text.lines().map(|line| line.split(['#', ';']).next().unwrap_or_default()) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => out.addresses.extend(words.next().and_then(address)),
                Some("search" | "domain") => out.search = words.map(|word| word.trim_end_matches('.').to_owned()).filter(|word| !word.is_empty()).collect(),
                Some("options") => {
                    let dots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok()).next_back();
                    out.dots = dots.map_or(out.dots, |dots: usize| dots.min(15));
                }
                Some(_) | None => {}
            }
        }
        out.addresses.truncate(SERVERS_MAX);
        out
    }

    /// The names that are tried for one, in turn.
    fn tried(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let itself = format!("{name}.");
        let mut out: Vec<String> = self.search.iter().map(|suffix| format!("{name}.{suffix}.")).collect();
        let at = if name.matches('.').count() >= self.dots { 0 } else { out.len() };
        out.insert(at, itself);
        out
    }
}

/// `ADDRESS`, or as some resolvers write it `[ADDRESS]:PORT` or `ADDRESS:PORT`.
fn address(word: &str) -> Option<SocketAddr> {
    // A zone says by which interface; the link-local server of one is not asked.
    word.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)).or_else(|_| word.parse()).ok()
}

/// Keeps `sender` up to date until `stop`.
pub async fn run(settings: Arc<DnsSd>, sender: FeedSender, world: World, metrics: FeedMetrics, stop: CancellationToken) {
    let entropy = world.entropy.fork("dns");
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = look(&settings, &sender, &world, &entropy, &metrics) => {}
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(settings.refresh) => {}
        }
    }
}

async fn look(settings: &DnsSd, sender: &FeedSender, world: &World, entropy: &Entropy, metrics: &FeedMetrics) {
    let (disk, path) = (Arc::clone(&world.disk), settings.resolv_conf.clone());
    let read = world.workers.run(move || disk.read_all(&path, FILE_BYTES_MAX).map_err(|fault| format!("{}: {fault}", path.display()))).await;
    let servers = match read.map(|bytes| Servers::parse(&String::from_utf8_lossy(&bytes))) {
        Ok(servers) => servers,
        Err(why) => return metrics.failed("dns", "the list of name servers", &why, sender),
    };
    let servers = &servers;
    let asked = settings.names.iter().map(|name| async move { (name, lookup(servers, name, settings.kind, entropy).await) });
    let mut groups = std::collections::BTreeMap::new();
    let mut troubles = Vec::new();
    for (name, found) in futures::future::join_all(asked).await {
        let group = match found {
            Ok(records) => Some(TargetGroup { source: name.clone(), labels: records.iter().map(|record| labels(name, record, settings.port)).collect() }),
            Err(why) => {
                metrics.failed_in_part("dns", name, &why);
                troubles.push(format!("{name}: {why}"));
                sender.borrow().groups.get(name).map(|known| TargetGroup::clone(known))
            }
        };
        groups.extend(group.map(|group| (name.clone(), group)));
    }
    let known = troubles.is_empty() || sender.borrow().known;
    publish(sender, groups, known, &troubles.join("; "));
}

fn labels(name: &str, record: &Record, port: u16) -> Labels {
    let mut labels = Labels::from_pairs([("__meta_dns_name", name)]);
    let host = |target: &str| target.trim_end_matches('.').to_owned();
    let address = match record {
        Record::A(ip) => join(&ip.to_string(), i32::from(port)),
        Record::Aaaa(ip) => join(&ip.to_string(), i32::from(port)),
        Record::Mx(target) => {
            labels.set("__meta_dns_mx_record_target", target.as_str());
            join(&host(target), i32::from(port))
        }
        Record::Ns(target) => {
            labels.set("__meta_dns_ns_record_target", target.as_str());
            join(&host(target), i32::from(port))
        }
        Record::Srv { target, port } => {
            labels.set("__meta_dns_srv_record_target", target.as_str());
            labels.set("__meta_dns_srv_record_port", port.to_string());
            join(&host(target), i32::from(*port))
        }
    };
    labels.set("__address__", address);
    labels
}

/// The records of a name: none if it does not exist.
async fn lookup(servers: &Servers, name: &str, kind: Kind, entropy: &Entropy) -> Result<Vec<Record>, String> {
    let mut trouble = None;
    for tried in servers.tried(name) {
        match ask_any(servers, &tried, kind, entropy).await {
            Ok(answer) if answer.code == 0 && !answer.records.is_empty() => return Ok(answer.records),
            Ok(_) => {}
            Err(why) => trouble = Some(why),
        }
    }
    trouble.map_or(Ok(Vec::new()), Err)
}

/// The first server's word that counts.
async fn ask_any(servers: &Servers, name: &str, kind: Kind, entropy: &Entropy) -> Result<Answer, String> {
    let mut why = "no name server is configured; see /etc/resolv.conf".to_owned();
    for server in &servers.addresses {
        let id = u16::try_from(entropy.below(1 << 16)).unwrap_or_default();
        let question = message::question(id, name, kind)?;
        let answered = tokio::time::timeout(WITHIN, ask(*server, &question, id, kind)).await;
        why = match answered {
            Ok(Ok(answer)) if answer.code == 0 || answer.code == NO_SUCH_NAME => return Ok(answer),
            Ok(Ok(answer)) => format!("{server} answers with code {}", answer.code),
            Ok(Err(why)) => format!("{server}: {why}"),
            Err(_) => format!("{server} does not answer within {} s", WITHIN.as_secs()),
        };
    }
    Err(why)
}

async fn ask(server: SocketAddr, question: &[u8], id: u16, kind: Kind) -> Result<Answer, String> {
    let told = |fault: std::io::Error| fault.to_string();
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(told)?;
    socket.connect(server).await.map_err(told)?;
    socket.send(question).await.map_err(told)?;
    let mut buffer = vec![0; usize::from(DATAGRAM_BYTES)];
    let answer = loop {
        let len = socket.recv(&mut buffer).await.map_err(told)?;
        // Anything else that comes is no answer to this.
        if let Some(answer) = Answer::parse(&buffer[..len], id, kind)? {
            break answer;
        }
    };
    if !answer.is_cut {
        return Ok(answer);
    }
    let mut stream = TcpStream::connect(server).await.map_err(told)?;
    let len = u16::try_from(question.len()).map_err(|_| "the question is too long".to_owned())?;
    stream.write_all(&[&len.to_be_bytes(), question].concat()).await.map_err(told)?;
    let len = stream.read_u16().await.map_err(told)?;
    let mut whole = vec![0; usize::from(len)];
    stream.read_exact(&mut whole).await.map_err(told)?;
    Answer::parse(&whole, id, kind)?.ok_or_else(|| "the answer is to another question".to_owned())
}

#[cfg(test)]
mod tests;
