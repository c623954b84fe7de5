//! The path of a demo: folder, programs, certificates, settings, tokens, hub, edges, lines, and the reckoning.
//!
//! Parts: [`run`], then its steps in order. Promises: what is said of a moment is asked in the order query, edge, files.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::fs;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::ask::{Acked, Asker};
use crate::child::Child;
use crate::count::Counter;
use crate::fault::DemoFault;
use crate::place::Place;
use crate::programs::{Programs, answer};
use crate::report::{GrafanaSettings, Lines, ReadyEvent, Reporter, TenantEvent};
use crate::settings::{self, EdgeParts, Listen, PAIRS, Pair, StoreChoice, TRUST_DOMAIN};
use crate::{Options, complain, write};

/// Longest wait, after the last line, for the numbers to be equal.
const QUIET_MAX: Duration = Duration::from_secs(10);
/// And after the demo's own last line, when others go on writing.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// Between two looks while waiting; equal numbers are looked at twice, since a repeat would come late.
const SETTLE_EVERY: Duration = Duration::from_millis(500);

/// One tenant while the demo runs.
struct Seat {
    pair: Pair,
    token: String,
    logs: PathBuf,
    edge: Child,
    pages: SocketAddr,
    counter: Counter,
    acked: Acked,
    lines: Lines,
}

/// Runs the demo; whether all that was written was acked and found.
pub(crate) async fn run(options: Options) -> Result<bool, DemoFault> {
    let store = options.s3.as_deref().map(StoreChoice::parse_s3).transpose()?;
    let place = Place::claim(&options.data).await?;
    let programs = Programs::ready().await?;
    let store = store.unwrap_or_else(|| StoreChoice::Folder(place.join("hub/store")));
    let tokens = prepare(&place, &programs, &options, &store).await?;

    let config = text(place.join("hub/hub.yaml"))?;
    let hub = Child::start("tributary-hub", &programs.hub, &["serve", "--config", &config], &place.join("hub/hub.log")).await?;
    let (http, admin, link) = (reachable(hub.address("http")?), reachable(hub.address("admin")?), reachable(hub.address("quic")?));
    let mut seats = Vec::new();
    for (pair, token) in PAIRS.into_iter().zip(tokens) {
        seats.push(sit(&place, &programs, pair, token, link).await?);
    }

    let reporter = Reporter::new(options.json);
    reporter.ready(&ReadyEvent {
        http: format!("http://{http}"),
        admin: format!("http://{admin}"),
        link: link.to_string(),
        data: place.dir().display().to_string(),
        ca_file: place.join("ca/ca.crt").display().to_string(),
    });
    for seat in &seats {
        reporter.tenant(&invitation(seat, http));
    }
    let mut demo = Demo { asker: Asker::new()?, http, hub, seats, reporter, begun: Instant::now(), told: String::new() };
    let ok = demo.watch(&options).await?;
    demo.end().await;
    Ok(ok)
}

/// A wildcard address, as one dials it.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()) } else { address }
}

fn text(path: PathBuf) -> Result<String, DemoFault> {
    path.into_os_string().into_string().map_err(|path| DemoFault::Usage(format!("--data: {} is not UTF-8", path.display())))
}

/// Certificates, settings and a reader's token for each tenant.
async fn prepare(place: &Place, programs: &Programs, options: &Options, store: &StoreChoice) -> Result<Vec<String>, DemoFault> {
    let (ca, hub) = (text(place.join("ca"))?, place.join("hub"));
    fs::create_dir_all(&hub).await.map_err(DemoFault::file("make", &hub))?;
    answer(&programs.certs, &["init", &ca, "--trust-domain", TRUST_DOMAIN]).await?;
    let (tls, own) = (text(hub.join("tls"))?, options.link.ip().to_string());
    let mut names = vec!["issue", "hub", "--ca", &ca, "--out", &tls, "--name", "localhost", "--name", "127.0.0.1"];
    if !options.link.ip().is_unspecified() && own != "127.0.0.1" {
        names.extend(["--name", &own]);
    }
    answer(&programs.certs, &names).await?;
    let listen = Listen { http: options.http, admin: options.admin, link: options.link };
    let config = hub.join("hub.yaml");
    write_private(&config, &settings::hub(&hub, &listen, store)).await?;
    write_private(&hub.join("tenants.yaml"), &settings::tenants()).await?;
    let config = text(config)?;
    let mut tokens = Vec::new();
    for pair in PAIRS {
        let (dir, edge) = (place.join(&format!("clusters/{}", pair.cluster)), edge_name());
        let (identity, logs) = (text(dir.join("identity"))?, dir.join("logs"));
        fs::create_dir_all(&logs).await.map_err(DemoFault::file("make", &logs))?;
        answer(&programs.certs, &["issue", "edge", "--ca", &ca, "--out", &identity, "--cluster", pair.cluster, "--edge", &edge]).await?;
        tokens.push(answer(&programs.hub, &["token", "new", "--config", &config, "--role", "reader", "--tenant", pair.tenant]).await?);
    }
    Ok(tokens)
}

/// New in each run: a bucket that is used again knows the edges of earlier runs, whose WALs are gone.
fn edge_name() -> String {
    format!("node-{}", jiff::Timestamp::now().as_millisecond())
}

/// The hub's settings may hold the store's secret.
async fn write_private(path: &std::path::Path, text: &str) -> Result<(), DemoFault> {
    let file = fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(path).await;
    let mut file = file.map_err(DemoFault::file("create", path))?;
    tokio::io::AsyncWriteExt::write_all(&mut file, text.as_bytes()).await.map_err(DemoFault::file("write", path))?;
    tokio::io::AsyncWriteExt::flush(&mut file).await.map_err(DemoFault::file("write", path))
}

/// Starts the edge of a tenant's cluster.
async fn sit(place: &Place, programs: &Programs, pair: Pair, token: String, link: SocketAddr) -> Result<Seat, DemoFault> {
    let dir = place.join(&format!("clusters/{}", pair.cluster));
    let config = dir.join("edge.yaml");
    write_private(&config, &settings::edge(&EdgeParts { dir: &dir, link })).await?;
    let edge = Child::start("tributary-edge", &programs.edge, &["run", "--config", &text(config)?], &dir.join("edge.log")).await?;
    let (logs, pages) = (dir.join("logs"), edge.address("http")?);
    Ok(Seat { pair, token, counter: Counter::new(logs.clone()), logs, edge, pages, acked: Acked::default(), lines: Lines::default() })
}

fn invitation(seat: &Seat, http: SocketAddr) -> TenantEvent {
    let Pair { tenant, cluster } = seat.pair;
    TenantEvent {
        tenant,
        cluster,
        token: seat.token.clone(),
        files: seat.logs.join("*.log").display().to_string(),
        logcli: format!("logcli --addr=http://{http} --bearer-token={} query '{{cluster=\"{cluster}\"}}'", seat.token),
        grafana: GrafanaSettings { url: format!("http://{http}"), header: format!("Authorization: Bearer {}", seat.token) },
    }
}

/// Everything that runs.
struct Demo {
    asker: Asker,
    http: SocketAddr,
    hub: Child,
    seats: Vec<Seat>,
    reporter: Reporter,
    begun: Instant,
    /// The last complaint: each is made once.
    told: String,
}

impl Demo {
    /// Writes for as long as was asked, shows each second where things are, waits for quiet.
    async fn watch(&mut self, options: &Options) -> Result<bool, DemoFault> {
        let (stop, stopped) = watch::channel(false);
        let mut writers = JoinSet::new();
        for seat in &self.seats {
            writers.spawn(write::write(seat.logs.clone(), seat.pair.cluster, options.rate, stopped.clone()));
        }
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        second.tick().await;
        let end = self.begun + options.duration.0;
        loop {
            tokio::select! {
                biased;
                Some(ended) = writers.join_next() => written(ended)?,
                () = tokio::time::sleep_until(end) => break,
                _ = second.tick() => {
                    self.look().await?;
                    self.progress();
                }
            }
        }
        stop.send_replace(true);
        while let Some(ended) = writers.join_next().await {
            written(ended)?;
        }
        self.settle().await
    }

    /// Waits until all numbers are equal, at two looks, or quiet has lasted long enough.
    async fn settle(&mut self) -> Result<bool, DemoFault> {
        let stopped = Instant::now();
        let (mut quiet_since, mut equal_before, mut shown) = (stopped, None, None::<Instant>);
        let ok = loop {
            let before = self.lines();
            self.look().await?;
            let now = self.lines();
            if now.iter().any(|(tenant, lines)| before[tenant].written != lines.written) {
                quiet_since = Instant::now();
            }
            let is_equal = now.values().all(|lines| lines.are_equal());
            if is_equal && equal_before.as_ref() == Some(&now) {
                break true;
            }
            if quiet_since.elapsed() >= QUIET_MAX || stopped.elapsed() >= SETTLE_MAX {
                break false;
            }
            equal_before = is_equal.then_some(now);
            if shown.is_none_or(|shown| shown.elapsed() >= Duration::from_secs(1)) {
                shown = Some(Instant::now());
                self.progress();
            }
            sleep(SETTLE_EVERY).await;
        };
        self.progress();
        let lines = self.lines();
        self.reporter.done(ok, &lines);
        Ok(ok)
    }

    fn lines(&self) -> BTreeMap<&'static str, Lines> {
        self.seats.iter().map(|seat| (seat.pair.tenant, seat.lines)).collect()
    }

    fn progress(&mut self) {
        let (t, lines) = (self.begun.elapsed().as_secs_f64(), self.lines());
        self.reporter.progress(t, &lines);
    }

    /// Query, then edge, then files: what was found was acked or will be, what was acked was written.
    async fn look(&mut self) -> Result<(), DemoFault> {
        self.hub.check().await?;
        for seat in &mut self.seats {
            seat.edge.check().await?;
            let windows = seat.counter.windows();
            match self.asker.queryable(self.http, &seat.token, seat.pair.cluster, &windows).await {
                Ok(found) => seat.lines.queryable = found,
                Err(why) => complain_once(&mut self.told, &format!("tenant {}: {why}", seat.pair.tenant)),
            }
            match self.asker.acked(seat.pages, &mut seat.acked).await {
                Ok(()) => seat.lines.acked = seat.acked.lines(),
                Err(why) => complain_once(&mut self.told, &format!("edge of {}: {why}", seat.pair.cluster)),
            }
            seat.counter.look().await?;
            seat.lines.written = seat.counter.tally.lines;
        }
        Ok(())
    }

    /// Edges first, so that they take their leave of the hub.
    async fn end(self) {
        for seat in self.seats {
            seat.edge.end().await;
        }
        self.hub.end().await;
    }
}

fn complain_once(told: &mut String, why: &str) {
    if told != why {
        complain(why);
        why.clone_into(told);
    }
}

fn written(ended: Result<Result<(), DemoFault>, JoinError>) -> Result<(), DemoFault> {
    ended.map_err(|fault| DemoFault::Program(format!("a writer failed: {fault}")))?
}
