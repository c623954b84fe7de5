//! The command line: settings given as flags are taken out ([`read`]), the rest are commands and their own flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use hub_tenant::Role;
use proto_boot::arguments;
use proto_model::{ProducerId, TenantId, TokenId};

use crate::refuse;

/// Flags of this program that are no settings.
const OWN_FLAGS: [&str; 11] = ["config", "role", "tenant", "id", "expires", "json", "help", "version", "blocks", "repair", "skip-object"];

/// Takes in logs from edges, stores them per tenant, answers Loki's queries.
#[derive(Debug, Parser)]
#[command(name = "tributary-hub", version)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the hub. Every setting can be given as --a.b VALUE or `TRIBUTARY_HUB_A_B`.
    Serve {
        #[command(flatten)]
        file: SettingsFile,
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
        #[command(flatten)]
        file: SettingsFile,
    },
    /// Look at all that hubs read in the object store; exit code 4 when something is damaged.
    Fsck {
        #[command(flatten)]
        file: SettingsFile,
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
        #[command(flatten)]
        file: SettingsFile,
    },
}

/// What is done with segments.
#[derive(Debug, Subcommand)]
pub(crate) enum SegmentCommand {
    /// Streams and blocks of a segment; no lines.
    Show {
        /// Its key, `tenants/T/segments/ID`, as `segment list` and the admin API give it.
        key: String,
        #[command(flatten)]
        file: SettingsFile,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// The segments of a tenant.
    List {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        #[command(flatten)]
        file: SettingsFile,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
}

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is printed once and stored only as its hash.
    New {
        #[command(flatten)]
        file: SettingsFile,
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
        #[command(flatten)]
        file: SettingsFile,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token; running hubs obey within seconds.
    Revoke {
        /// Its id.
        id: TokenId,
        #[command(flatten)]
        file: SettingsFile,
    },
}

/// What is done with producers.
#[derive(Debug, Subcommand)]
pub(crate) enum ProducerCommand {
    /// List all that are open, quarantined, released or retired.
    List {
        #[command(flatten)]
        file: SettingsFile,
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
        #[command(flatten)]
        file: SettingsFile,
    },
    /// End a producer for ever: whoever asks for it is denied.
    Retire {
        /// Its id.
        id: ProducerId,
        #[command(flatten)]
        file: SettingsFile,
    },
}

/// Where the settings are.
#[derive(Debug, Args)]
pub(crate) struct SettingsFile {
    /// The settings file.
    #[arg(long)]
    pub(crate) config: PathBuf,
}

/// What was asked for, and settings given beside it; an exit code when that was told already.
pub(crate) fn read(given: impl Iterator<Item = String>) -> Result<(Command, Vec<(String, String)>), u8> {
    let taken = arguments::split(given, &OWN_FLAGS).map_err(|mistakes| refuse(&mistakes))?;
    match Arguments::try_parse_from(&taken.rest) {
        Ok(arguments) => Ok((arguments.command, taken.overrides)),
        Err(usage) => {
            drop(usage.print());
            Err(if usage.use_stderr() { 2 } else { 0 })
        }
    }
}
