//! The command line: Promtail's flags ([`edge::flags`]) are taken out, the rest is read here.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use edge::flags::{FLAGS, Flags};

/// Collects logs, keeps them in its WAL, streams them to the hub. Promtail's flags work too, with one dash or two:
/// -config.file=FILE runs with that file.
#[derive(Debug, Parser)]
#[command(name = "tributary-edge", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the edge.
    Run {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Show what a running edge knows of itself.
    Status {
        /// Where its pages are, such as http://127.0.0.1:9080.
        #[arg(long)]
        url: String,
        /// One JSON object; with --watch one per line.
        #[arg(long)]
        json: bool,
        /// Again and again, so many seconds apart, until interrupted.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3_600))]
        watch: Option<u64>,
    },
    /// Look into a WAL.
    Wal {
        #[command(subcommand)]
        command: WalCommand,
    },
    /// Write another agent's configuration as this edge's YAML, with a table of what became of it on standard error.
    ///
    /// Exit code 0: converted; 1: something could not be kept (with --strict: was changed or has no effect, too).
    Convert(ConvertArguments),
    /// Check a settings file and all that it names.
    CheckConfig {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
}

/// `convert`
#[derive(Debug, clap::Args)]
pub(crate) struct ConvertArguments {
    /// The other agent's file.
    pub(crate) file: PathBuf,
    /// Whose it is: promtail or alloy; absent = by its name or text.
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Write the YAML here instead of to standard output; an existing file is not overwritten.
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
    /// Write the table here too; an existing file is not overwritten.
    #[arg(long)]
    pub(crate) report: Option<PathBuf>,
    /// Fail too when something was changed or has no effect.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Send to this hub (https://HOST:PORT) instead of to the Lokis of the file.
    #[arg(long)]
    pub(crate) hub: Option<String>,
    /// Where the edge's identity will lie.
    #[arg(long, default_value = "/etc/tributary/identity")]
    pub(crate) identity_dir: String,
    /// Where Alloy keeps its data.
    #[arg(long, default_value = "/var/lib/alloy/data")]
    pub(crate) alloy_storage: String,
    /// Where the edge will keep its WAL, if the file does not say.
    #[arg(long, default_value = "/var/lib/tributary-edge")]
    pub(crate) state_dir: String,
}

#[derive(Debug, Subcommand)]
enum WalCommand {
    /// List its records.
    Inspect {
        /// The WAL's folder.
        dir: PathBuf,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
}

/// What is to be done.
pub(crate) enum Task {
    /// Run, or show what running would send.
    Run,
    /// Check the settings.
    Check,
    /// Convert another agent's.
    Convert(Box<ConvertArguments>),
    /// Ask a running edge.
    Status { url: String, json: bool, watch: Option<u64> },
    /// List a WAL.
    InspectWal { dir: PathBuf, json: bool },
}

/// A command line, understood.
pub(crate) struct Asked {
    pub(crate) task: Task,
    pub(crate) flags: Flags,
}

/// Reads a command line, program's name included.
///
/// # Errors
/// The exit code, after the reason was told.
pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Asked, u8> {
    let program = arguments.next().unwrap_or_default();
    let (rest, mut flags) = edge::flags::take(arguments).map_err(|mistakes| crate::refuse(&mistakes))?;
    if flags.version {
        crate::say(&format!("tributary-edge {}", env!("CARGO_PKG_VERSION")));
        return Err(0);
    }
    if let Some(unknown) = rest.iter().find(|argument| argument.len() > 2 && argument.starts_with('-') && !argument.starts_with("--") && *argument != "-help") {
        crate::complain(&format!("the flag {unknown} is not known; --help names all of them"));
        return Err(2);
    }
    // Go takes `-help` for `--help`.
    let rest = rest.into_iter().map(|argument| if argument == "-help" { "--help".to_owned() } else { argument });
    let parsed = Arguments::try_parse_from(std::iter::once(program).chain(rest)).map_err(|usage| {
        drop(usage.print());
        if !usage.use_stderr() && usage.kind() == clap::error::ErrorKind::DisplayHelp {
            let names: Vec<String> = FLAGS.iter().map(|(name, _)| format!("-{name}")).collect();
            crate::say(&format!("\nPromtail's flags: -config.file, {}", names.join(", ")));
        }
        if usage.use_stderr() { 2 } else { 0 }
    })?;
    let mut of_file = |config: PathBuf| flags.files = vec![config.to_string_lossy().into_owned()];
    let task = match parsed.command {
        Some(Command::Status { url, json, watch }) => Task::Status { url, json, watch },
        Some(Command::Wal { command: WalCommand::Inspect { dir, json } }) => Task::InspectWal { dir, json },
        Some(Command::Convert(arguments)) => Task::Convert(Box::new(arguments)),
        Some(Command::CheckConfig { config }) => {
            of_file(config);
            Task::Check
        }
        Some(Command::Run { config }) => {
            of_file(config);
            if flags.check_syntax { Task::Check } else { Task::Run }
        }
        None if flags.files.is_empty() && !flags.reads_stdin() => {
            crate::complain("say what to do: run, status, wal inspect, check-config or convert, or -config.file=FILE; --help tells more");
            return Err(2);
        }
        None if flags.check_syntax => Task::Check,
        None => Task::Run,
    };
    Ok(Asked { task, flags })
}
