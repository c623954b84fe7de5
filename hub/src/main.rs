//! `tributary-hub`: serve, token, producer, revoke, check-config. Arguments, then [`hub::serve`].
//!
//! Exit codes: 0 done, 1 failed at work, 2 usage or configuration, 3 refused so as not to overwrite.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use hub::fsck::{self, Asked};
use hub::producers::{self, Action, ProducerFault};
use hub::settings::{Checked, HubSettings};
use hub::tokens::{self, TokenFault, Wanted};
use hub::{Addresses, HubFault, segments, tenant_map};
use hub_store::{GiveUpFault, SegmentId, SegmentRef, StoreFault};
use hub_tenant::{Role, Tenants};
use proto_boot::telemetry::log;
use proto_boot::{Mistake, Stop, arguments, settings, units};
use proto_model::{ProducerId, TenantId, Timestamp, TokenId};
use proto_seam::World;

/// Takes in logs from edges, stores them per tenant, answers Loki's queries.
#[derive(Debug, Parser)]
#[command(name = "tributary-hub", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub. Every setting can be given as --a.b VALUE or `TRIBUTARY_HUB_A_B`.
    Serve {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Make, list and revoke access tokens.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// List the producers of edges, release quarantined ones, retire those of edges that are gone.
    Producer {
        #[command(subcommand)]
        command: ProducerCommand,
    },
    /// Revoke an edge's identity for ever; running hubs close its sessions within seconds.
    Revoke {
        /// `spiffe://<trust domain>/cluster/<cluster>/edge/<edge>`.
        uri: String,
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Look at all that hubs read in the object store; exit code 4 when something is damaged.
    Fsck {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
        /// Every block of every segment too: reads the whole store.
        #[arg(long)]
        blocks: bool,
        /// Delete damaged snapshots and write new ones.
        #[arg(long)]
        repair: bool,
        /// Give up what this damaged lane object held, so that its lane goes on; a loss is recorded.
        #[arg(long, value_name = "KEY")]
        skip_object: Vec<String>,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Look into segments.
    Segment {
        #[command(subcommand)]
        command: SegmentCommand,
    },
    /// Check a settings file and all that it names.
    CheckConfig {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum SegmentCommand {
    /// Streams and blocks of a segment; no lines.
    Show {
        /// Its key, `tenants/T/segments/ID`, as `segment list` and the admin API give it.
        key: String,
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// The segments of a tenant.
    List {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token; it is printed once and stored only as its hash.
    New {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
        /// reader, writer or operator.
        #[arg(long)]
        role: Role,
        /// For this tenant; may be repeated.
        #[arg(long)]
        tenant: Vec<TenantId>,
        /// Its id; made up when absent.
        #[arg(long)]
        id: Option<TokenId>,
        /// How long it is good, such as 90d.
        #[arg(long)]
        expires: Option<String>,
    },
    /// List all tokens.
    List {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token; running hubs obey within seconds.
    Revoke {
        /// Its id.
        id: TokenId,
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum ProducerCommand {
    /// List all that are open, quarantined, released or retired.
    List {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
        /// Of this tenant alone.
        #[arg(long)]
        tenant: Option<TenantId>,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// End a quarantine: the edge goes on under a numbering of its own and sends what is not stored.
    Release {
        /// Its id.
        id: ProducerId,
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
    /// End a producer for ever: whoever asks for it is denied.
    Retire {
        /// Its id.
        id: ProducerId,
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
}

/// Flags of this program that are no settings.
const OWN_FLAGS: [&str; 11] = ["config", "role", "tenant", "id", "expires", "json", "help", "version", "blocks", "repair", "skip-object"];

fn main() -> ExitCode {
    proto_boot::memory::settle();
    let taken = match arguments::split(std::env::args(), &OWN_FLAGS) {
        Ok(taken) => taken,
        Err(mistakes) => return ExitCode::from(refuse(&mistakes)),
    };
    let arguments = match Arguments::try_parse_from(&taken.rest) {
        Ok(arguments) => arguments,
        Err(usage) => {
            drop(usage.print());
            return ExitCode::from(if usage.use_stderr() { 2 } else { 0 });
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            complain(&format!("the runtime cannot start: {fault}"));
            return ExitCode::from(1);
        }
    };
    ExitCode::from(runtime.block_on(act(arguments.command, &taken.overrides)))
}

fn complain(text: &str) {
    drop(writeln!(std::io::stderr(), "tributary-hub: {text}"));
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

fn refuse(mistakes: &[Mistake]) -> u8 {
    for mistake in mistakes {
        drop(writeln!(std::io::stderr(), "{mistake}"));
    }
    2
}

async fn act(command: Command, overrides: &[(String, String)]) -> u8 {
    let world = World::real();
    match command {
        Command::Serve { config } => serve(world, &config, overrides).await,
        Command::Revoke { uri, config } => revoke(world, &config, overrides, &uri).await,
        Command::Fsck { config, blocks, repair, skip_object, json } => fsck(&world, &config, overrides, (Asked { blocks, repair }, &skip_object), json).await,
        Command::Segment { command: SegmentCommand::List { tenant, config, json } } => segment_show(&world, &config, overrides, (&tenant, None), json).await,
        Command::Segment { command: SegmentCommand::Show { key, config, json } } => match SegmentRef::parse_key(&key) {
            Some((tenant, id)) => segment_show(&world, &config, overrides, (&tenant, Some(id)), json).await,
            None => {
                complain(&format!("{key} is no key of a segment; fix: write tenants/T/segments/ID, as segment list --tenant T shows it"));
                2
            }
        },
        Command::CheckConfig { config } => check_config(&world, &config, overrides).await,
        Command::Producer { command: ProducerCommand::List { config, tenant, json } } => producer_list(world, &config, overrides, tenant, json).await,
        Command::Producer { command: ProducerCommand::Release { id, config } } => producer_act(world, &config, overrides, id, Action::Release).await,
        Command::Producer { command: ProducerCommand::Retire { id, config } } => producer_act(world, &config, overrides, id, Action::Retire).await,
        Command::Token { command: TokenCommand::New { config, role, tenant, id, expires } } => {
            let expires = match expires.as_deref().map(units::parse_span).transpose() {
                Ok(span) => span.map(|span| Timestamp(world.clock.now_ns()).plus(span)),
                Err(fault) => {
                    complain(&format!("--expires: {fault}"));
                    return 2;
                }
            };
            token_new(world, &config, overrides, Wanted { id, role, tenants: tenant, expires }).await
        }
        Command::Token { command: TokenCommand::List { config, json } } => token_list(world, &config, overrides, json).await,
        Command::Token { command: TokenCommand::Revoke { id, config } } => token_revoke(world, &config, overrides, &id).await,
    }
}

fn load(world: &World, file: &Path, overrides: &[(String, String)]) -> Result<(HubSettings, Checked), Vec<Mistake>> {
    let parsed: HubSettings = settings::load(world.disk.as_ref(), file, "TRIBUTARY_HUB", overrides)?;
    let checked = parsed.check(&file.to_string_lossy())?;
    Ok((parsed, checked))
}

async fn serve(world: World, file: &Path, overrides: &[(String, String)]) -> u8 {
    let (parsed, checked) = match load(&world, file, overrides) {
        Ok(loaded) => loaded,
        Err(mistakes) => return refuse(&mistakes),
    };
    let log = match log::start(parsed.log, world.clock.clone()) {
        Ok(log) => log,
        Err(fault) => {
            complain(&fault.to_string());
            return 1;
        }
    };
    for remark in parsed.without_effect() {
        tracing::warn!(remark, "a setting has no effect");
    }
    let stop = Stop::new();
    if let Err(fault) = stop.on_signals() {
        complain(&format!("signals cannot be handled: {fault}"));
        return 1;
    }
    match hub::serve(parsed, checked, log, world, stop, listening).await {
        Ok(()) => 0,
        Err(HubFault::Mistakes(mistakes)) => refuse(&mistakes),
        Err(fault) => {
            complain(&fault.to_string());
            fault.exit_code()
        }
    }
}

fn listening(addresses: &Addresses) {
    let text = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string()).unwrap_or_default();
    let event = serde_json::json!({
        "event": "listening",
        "http": addresses.http.to_string(),
        "admin": addresses.admin.to_string(),
        "quic": text(addresses.quic),
        "grpc": text(addresses.grpc),
    });
    say(&event.to_string());
}

/// Everything that can be known without opening a socket or the store.
async fn check_config(world: &World, file: &Path, overrides: &[(String, String)]) -> u8 {
    let (parsed, checked) = match load(world, file, overrides) {
        Ok(loaded) => loaded,
        Err(mistakes) => return refuse(&mistakes),
    };
    let mut mistakes = Vec::new();
    let name = file.to_string_lossy();
    if let Err(found) = tenant_map::read(world, &parsed.tenants.file.value, &checked.limits) {
        let unreadable = found.iter().any(|mistake| mistake.text.starts_with("cannot read"));
        if unreadable {
            let at = settings::place(&parsed.tenants.file);
            mistakes.extend(found.into_iter().map(|mistake| Mistake::new(name.as_ref(), at, format!("{}: {}", mistake.file, mistake.text), mistake.fix)));
        } else {
            mistakes.extend(found);
        }
    }
    if let Err(fault) = certs::store::load_server(&hub::link_paths(&parsed), world).await {
        let at = settings::place(&parsed.link.cert_file);
        mistakes.push(Mistake::new(name.as_ref(), at, fault.to_string(), "give the files that tributary-certs issue hub writes"));
    }
    if let Err(fault) = hub_store::open_objects(&parsed.store.value, &parsed.s3, world) {
        mistakes.push(Mistake::new(
            name.as_ref(),
            settings::place(&parsed.store),
            fault.to_string(),
            "write file:///path or s3://bucket/prefix with its s3 settings",
        ));
    }
    if mistakes.is_empty() {
        say(&format!("{}: ok", file.display()));
        0
    } else {
        refuse(&mistakes)
    }
}

/// The store and the tenant map, for the token commands; an exit code when they cannot be had.
async fn store_of(world: &World, file: &Path, overrides: &[(String, String)]) -> Result<(Arc<hub_store::Store>, Tenants), u8> {
    let (parsed, checked) = load(world, file, overrides).map_err(|mistakes| refuse(&mistakes))?;
    let (tenants, _) = tenant_map::read(world, &parsed.tenants.file.value, &checked.limits).map_err(|mistakes| refuse(&mistakes))?;
    let store = hub::open_store(&parsed, world).await.map_err(|fault| {
        complain(&fault.to_string());
        1
    })?;
    Ok((store, tenants))
}

async fn token_new(world: World, file: &Path, overrides: &[(String, String)], wanted: Wanted) -> u8 {
    let (store, tenants) = match store_of(&world, file, overrides).await {
        Ok(found) => found,
        Err(code) => return code,
    };
    match tokens::new(&store, &tenants, &world.entropy, wanted).await {
        Ok(secret) => {
            say(secret.expose());
            0
        }
        Err(fault) => {
            complain(&fault.to_string());
            match fault {
                TokenFault::Wrong(_) => 2,
                TokenFault::Store(StoreFault::TokenTaken { .. }) => 3,
                TokenFault::Store(_) => 1,
            }
        }
    }
}

async fn token_list(world: World, file: &Path, overrides: &[(String, String)], json: bool) -> u8 {
    let (store, tenants) = match store_of(&world, file, overrides).await {
        Ok(found) => found,
        Err(code) => return code,
    };
    match tokens::list(&store, &tenants).await {
        Ok(listed) => {
            for token in listed {
                let tenants: Vec<&str> = token.tenants.iter().map(TenantId::as_str).collect();
                let state = if token.revoked { "revoked" } else { "good" };
                say(&if json {
                    serde_json::to_string(&token).unwrap_or_default()
                } else {
                    format!("{:24} {:8} {state:8} {:24} {}", token.id, token.role, tenants.join(","), token.expires.unwrap_or_default())
                });
            }
            0
        }
        Err(fault) => {
            complain(&fault.to_string());
            1
        }
    }
}

async fn segment_show(world: &World, file: &Path, overrides: &[(String, String)], (tenant, id): (&TenantId, Option<SegmentId>), json: bool) -> u8 {
    let store = match store_of(world, file, overrides).await {
        Ok((store, _)) => store,
        Err(code) => return code,
    };
    let shown = segments_of(&store, tenant, id).await;
    match shown {
        Ok(rows) => {
            for row in rows {
                say(&if json { row.to_string() } else { plain(&row) });
            }
            0
        }
        Err(fault) => {
            complain(&fault.to_string());
            1
        }
    }
}

async fn fsck(world: &World, file: &Path, overrides: &[(String, String)], (asked, given_up): (Asked, &[String]), json: bool) -> u8 {
    let store = match store_of(world, file, overrides).await {
        Ok((store, _)) => store,
        Err(code) => return code,
    };
    let mut shown = |row: serde_json::Value| say(&if json { row.to_string() } else { plain(&row) });
    for key in given_up {
        if let Err(fault) = fsck::give_up(&store, key, &mut shown).await {
            complain(&fault.to_string());
            return if matches!(fault, GiveUpFault::Unfit(_)) { 3 } else { 1 };
        }
    }
    match fsck::examine(&store, asked, &mut shown).await {
        Ok(false) => 0,
        Ok(true) => 4,
        Err(fault) => {
            complain(&format!("not all could be looked at: {fault}"));
            1
        }
    }
}

async fn producer_list(world: World, file: &Path, overrides: &[(String, String)], tenant: Option<TenantId>, json: bool) -> u8 {
    let (store, tenants) = match store_of(&world, file, overrides).await {
        Ok(found) => found,
        Err(code) => return code,
    };
    match producers::list(&store, &tenants, tenant.as_ref()).await {
        Ok(listed) => {
            for row in listed {
                say(&if json {
                    serde_json::to_string(&row).unwrap_or_default()
                } else {
                    let next = row.next.unwrap_or_default();
                    format!(
                        "{} {:11} {:32} track {} epoch {} last {} {} {next}",
                        row.producer, row.state, row.identity, row.track, row.epoch, row.last, row.reason
                    )
                });
            }
            0
        }
        Err(fault) => {
            complain(&fault.to_string());
            1
        }
    }
}

async fn segments_of(store: &Arc<hub_store::Store>, tenant: &TenantId, id: Option<SegmentId>) -> Result<Vec<serde_json::Value>, anyhow::Error> {
    let keeper = hub_store::Keeper::new(Arc::clone(store));
    let manifest = keeper.newest(tenant).await?.ok_or_else(|| anyhow::anyhow!("tenant {tenant} has no segments"))?;
    let Some(id) = id else { return Ok(manifest.segments.iter().map(segments::shown).collect()) };
    let found = manifest.segments.iter().find(|segment| segment.id == id);
    let segment =
        found.ok_or_else(|| anyhow::anyhow!("the newest manifest of {tenant} names no segment {id}; segment list --tenant {tenant} shows what there is"))?;
    let footer = keeper.footer(segment).await?;
    Ok(std::iter::once(segments::shown(segment)).chain(segments::footer(&footer)).collect())
}

/// `key=value` for people.
fn plain(row: &serde_json::Value) -> String {
    let pairs = row.as_object().into_iter().flatten().map(|(key, value)| match value.as_str() {
        Some(text) => format!("{key}={text}"),
        None => format!("{key}={value}"),
    });
    pairs.collect::<Vec<_>>().join(" ")
}

async fn producer_act(world: World, file: &Path, overrides: &[(String, String)], id: ProducerId, action: Action) -> u8 {
    let (store, _) = match store_of(&world, file, overrides).await {
        Ok(found) => found,
        Err(code) => return code,
    };
    match producers::act(&store, &world.entropy, id, action).await {
        Ok(()) => 0,
        Err(fault) => {
            complain(&fault.to_string());
            match fault {
                ProducerFault::Unknown(_) | ProducerFault::Unfit(_) => 2,
                ProducerFault::Store(_) => 1,
            }
        }
    }
}

async fn revoke(world: World, file: &Path, overrides: &[(String, String)], uri: &str) -> u8 {
    let checked = match load(&world, file, overrides) {
        Ok((_, checked)) => checked,
        Err(mistakes) => return refuse(&mistakes),
    };
    let identity = match certs::EdgeIdentity::from_uri(uri, &checked.trust_domain) {
        Ok(identity) => identity,
        Err(fault) => {
            complain(&fault.to_string());
            return 2;
        }
    };
    let store = match store_of(&world, file, overrides).await {
        Ok((store, _)) => store,
        Err(code) => return code,
    };
    match store.revocations().revoke(&identity.cluster, &identity.edge, Timestamp(world.clock.now_ns())).await {
        Ok(()) => 0,
        Err(fault) => {
            complain(&fault.to_string());
            1
        }
    }
}

async fn token_revoke(world: World, file: &Path, overrides: &[(String, String)], id: &TokenId) -> u8 {
    let (store, _) = match store_of(&world, file, overrides).await {
        Ok(found) => found,
        Err(code) => return code,
    };
    match tokens::revoke(&store, id).await {
        Ok(()) => 0,
        Err(fault) => {
            complain(&fault.to_string());
            1
        }
    }
}
