use std::sync::Mutex;

use proto_boot::Metrics;
use tokio::net::TcpListener;

use super::*;
use crate::discover::groups::{Feed, feed};

/// Records: type and data.
type Data = Vec<(u16, Vec<u8>)>;

/// A name server on UDP and TCP: names with their code and records (type, data), and which of them do not fit a datagram.
#[derive(Default)]
struct Zone {
    names: Vec<(&'static str, u8, Data)>,
    cut: bool,
    asked: Vec<String>,
}

fn name_of(message: &[u8]) -> (String, usize) {
    let (mut name, mut at) = (String::new(), 12);
    while message[at] != 0 {
        let len = usize::from(message[at]);
        name.push_str(&String::from_utf8_lossy(&message[at + 1..=at + len]));
        name.push('.');
        at += len + 1;
    }
    (name, at + 5)
}

fn answer(zone: &Mutex<Zone>, message: &[u8], is_tcp: bool) -> Vec<u8> {
    let mut zone = zone.lock().unwrap();
    let (name, end) = name_of(message);
    zone.asked.push(name.clone());
    let is_cut = zone.cut && !is_tcp;
    let (code, records) = zone.names.iter().find(|(known, ..)| *known == name).map_or((3, Vec::new()), |(_, code, records)| (*code, records.clone()));
    let records = if is_cut { Vec::new() } else { records };
    let id = u16::from_be_bytes([message[0], message[1]]);
    let flags = 0x8180 | u16::from(code) | if is_cut { 0x200 } else { 0 };
    message::tests::answer(id, flags, &message[12..end], &records)
}

async fn serve(zone: Arc<Mutex<Zone>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let of_tcp = Arc::clone(&zone);
    tokio::spawn(async move {
        let mut buffer = [0; 4_096];
        loop {
            let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
            // Something that is no answer comes first.
            socket.send_to(&[0xff; 12], from).await.unwrap();
            socket.send_to(&answer(&zone, &buffer[..len], false), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut message = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut message).await.unwrap();
            let answer = answer(&of_tcp, &message, true);
            stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    address
}

struct Site {
    _dir: tempfile::TempDir,
    feed: Feed,
    stop: CancellationToken,
}

/// A discovery before `server`, of `names`, every 50 ms.
fn start(server: SocketAddr, names: &[&str], kind: Kind) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let resolv_conf = dir.path().join("resolv.conf");
    World::real().disk.write_all(&resolv_conf, format!("# ours\nsearch site.example\nnameserver {server}\n").as_bytes()).unwrap();
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let settings = DnsSd { names, kind, port: 9_100, refresh: Duration::from_millis(50), resolv_conf };
    let (sender, feed) = feed();
    let stop = CancellationToken::new();
    tokio::spawn(run(Arc::new(settings), sender, World::real(), FeedMetrics::new(&Metrics::new()), stop.clone()));
    Site { _dir: dir, feed, stop }
}

impl Site {
    async fn until(&mut self, what: impl Fn(&crate::discover::groups::Groups) -> bool) -> Vec<String> {
        let found = tokio::time::timeout(Duration::from_secs(20), self.feed.wait_for(|groups| what(groups))).await.unwrap().unwrap();
        found.groups.values().flat_map(|group| &group.labels).map(ToString::to_string).collect()
    }
}

fn srv(port: u16, target: &[u8]) -> (u16, Vec<u8>) {
    (33, [&[0, 0, 0, 0], &port.to_be_bytes()[..], target].concat())
}

#[tokio::test]
async fn records_become_targets_and_stay_while_no_server_answers() {
    let zone =
        Arc::new(Mutex::new(Zone { names: vec![("_web._tcp.site.example.", 0, vec![srv(80, b"\x01a\x00"), srv(81, b"\x01b\x00")])], ..Zone::default() }));
    let mut site = start(serve(Arc::clone(&zone)).await, &["_web._tcp", "gone.example."], Kind::Srv);
    let found = site.until(|groups| groups.known).await;
    let wanted = [
        r#"{__address__="a:80", __meta_dns_name="_web._tcp", __meta_dns_srv_record_port="80", __meta_dns_srv_record_target="a."}"#,
        r#"{__address__="b:81", __meta_dns_name="_web._tcp", __meta_dns_srv_record_port="81", __meta_dns_srv_record_target="b."}"#,
    ];
    assert_eq!(found, wanted);
    // A server that fails takes nothing away, one that knows of no such name does.
    zone.lock().unwrap().names[0].1 = 2;
    assert_eq!(site.until(|groups| groups.trouble.contains("code 2")).await, wanted);
    zone.lock().unwrap().names[0].1 = 0;
    site.until(|groups| groups.trouble.is_empty()).await;
    zone.lock().unwrap().names.clear();
    site.until(|groups| groups.groups.values().all(|group| group.labels.is_empty())).await;
    assert!(zone.lock().unwrap().asked.iter().any(|name| name == "gone.example."));
    site.stop.cancel();
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_over_tcp() {
    let addresses = (0..200).map(|n| (1, vec![10, 0, 0, n])).collect();
    let zone = Arc::new(Mutex::new(Zone { names: vec![("many.example.", 0, addresses)], cut: true, ..Zone::default() }));
    let mut site = start(serve(zone).await, &["many.example"], Kind::A);
    let found = site.until(|groups| groups.known).await;
    assert_eq!(found.len(), 200);
    assert_eq!(found[7], r#"{__address__="10.0.0.7:9100", __meta_dns_name="many.example"}"#);
    site.stop.cancel();
}

#[test]
fn the_list_of_servers_is_read_as_resolvers_do() {
    let servers = Servers::parse("nameserver 10.0.0.1 ; first\nnameserver fd00::1\nnameserver bad\nsearch a.example. b\noptions timeout:1 ndots:2\n");
    assert_eq!(servers.addresses, ["10.0.0.1:53".parse().unwrap(), "[fd00::1]:53".parse().unwrap()]);
    assert_eq!(servers.tried("x.y"), ["x.y.a.example.", "x.y.b.", "x.y."]);
    assert_eq!(servers.tried("x.y.z"), ["x.y.z.", "x.y.z.a.example.", "x.y.z.b."]);
    assert_eq!(servers.tried("x."), ["x."]);
}

#[test]
fn addresses_of_each_kind() {
    let of = |record| labels("n", &record, 5).value("__address__").unwrap().to_owned();
    assert_eq!(of(Record::Aaaa("fd00::1".parse().unwrap())), "[fd00::1]:5");
    assert_eq!(labels("n", &Record::Mx("m.".into()), 5).to_string(), r#"{__address__="m:5", __meta_dns_mx_record_target="m.", __meta_dns_name="n"}"#);
    assert_eq!(labels("n", &Record::Ns("s.".into()), 5).value("__meta_dns_ns_record_target"), Some("s."));
}
