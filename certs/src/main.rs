//! `tributary-certs`: makes a CA, issues certificates for hubs and edges, shows certificates.
//!
//! Exit codes: 0 done; 1 failed at work; 2 usage; 3 refused so as not to overwrite. Answers go to
//! stdout, everything else to stderr. Must not do: tokens and revocation, which need the store.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use proto_model::{ClusterId, EdgeId, Timestamp};
use proto_seam::{Clock, Disk};

use certs::describe::rfc3339;
use certs::limits::{CA_DAYS, CERTIFICATE_FILE_BYTES_MAX, DAYS_MAX, EDGE_DAYS, HUB_DAYS};
use certs::{Authority, CertsFault, Description, TrustDomain, Validity};

/// Certificates for Tributary: a small CA, leaves for hubs and edges.
#[derive(Debug, Parser)]
#[command(name = "tributary-certs", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a CA: DIR/ca.crt and DIR/ca.key.
    Init(Init),
    /// Issue a certificate with its key.
    #[command(subcommand)]
    Issue(Issue),
    /// Print what stands in the certificates of a PEM file.
    Show(Show),
}

#[derive(Debug, Args)]
struct Init {
    /// Directory of the CA; made if absent, closed to others (mode 0700).
    dir: PathBuf,
    /// Trust domain of all identities, for example tributary.example.
    #[arg(long, value_name = "D")]
    trust_domain: TrustDomain,
    /// Life of the CA certificate.
    #[arg(long, default_value_t = CA_DAYS, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
    days: u32,
}

#[derive(Debug, Subcommand)]
enum Issue {
    /// OUT/hub.crt, OUT/hub.key, OUT/ca.crt.
    Hub(IssueHub),
    /// OUT/edge.crt, OUT/edge.key, OUT/ca.crt.
    Edge(IssueEdge),
}

#[derive(Debug, Args)]
struct IssueHub {
    /// Directory of the CA.
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// Directory for the certificate; made if absent.
    #[arg(long)]
    out: PathBuf,
    /// Host names or addresses that edges dial.
    #[arg(long = "name", value_name = "HOST_OR_IP", required = true, num_args = 1..)]
    names: Vec<String>,
    #[command(flatten)]
    life: Life,
}

#[derive(Debug, Args)]
struct IssueEdge {
    /// Directory of the CA.
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// Directory for the certificate; made if absent.
    #[arg(long)]
    out: PathBuf,
    /// Cluster of the edge: 1 to 63 of a-z, 0-9 and -.
    #[arg(long)]
    cluster: ClusterId,
    /// Name of the edge within its cluster: 1 to 63 of a-z, 0-9 and -.
    #[arg(long)]
    edge: EdgeId,
    #[command(flatten)]
    life: Life,
}

#[derive(Debug, Args)]
struct Life {
    /// Life of the certificate, shortened to that of its CA; 90 for a hub and 30 for an edge if not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
    days: Option<u32>,
    /// First moment of its life; five minutes ago if not given.
    #[arg(long, value_name = "RFC3339", value_parser = point)]
    not_before: Option<Timestamp>,
    /// Last moment of its life, in place of --days.
    #[arg(long, value_name = "RFC3339", value_parser = point)]
    not_after: Option<Timestamp>,
}

#[derive(Debug, Args)]
struct Show {
    /// PEM file with one or more certificates.
    file: PathBuf,
    /// One JSON object per certificate and line.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let disk = proto_seam::disk::real::RealDisk::new();
    let done = match &arguments.command {
        Command::Init(init) => make_authority(&disk, init),
        Command::Issue(Issue::Hub(hub)) => issue_hub(&disk, hub),
        Command::Issue(Issue::Edge(edge)) => issue_edge(&disk, edge),
        Command::Show(show) => print(&disk, show),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("tributary-certs: {fault}");
            ExitCode::from(fault.exit_code())
        }
    }
}

fn make_authority(disk: &dyn Disk, init: &Init) -> Result<(), CertsFault> {
    let validity = Validity::days(&Clock::real(), init.days)?;
    Authority::generate_valid(&init.trust_domain, validity)?.create(disk, &init.dir)?;
    // A directory that was there before may be open to others.
    rustix::fs::chmod(&init.dir, rustix::fs::Mode::RWXU).map_err(|errno| CertsFault::File {
        action: "chmod 0700",
        path: init.dir.clone(),
        source: errno.into(),
    })?;
    eprintln!("made a ca for {} in {}; keep {} secret", init.trust_domain, init.dir.display(), init.dir.join("ca.key").display());
    Ok(())
}

fn issue_hub(disk: &dyn Disk, hub: &IssueHub) -> Result<(), CertsFault> {
    let authority = Authority::load(disk, &hub.ca)?;
    authority.issue_hub(&hub.names, hub.life.under(&authority, HUB_DAYS)?)?.save(disk, &hub.out, "hub")?;
    eprintln!("issued {} for {}", hub.out.join("hub.crt").display(), hub.names.join(", "));
    Ok(())
}

fn issue_edge(disk: &dyn Disk, edge: &IssueEdge) -> Result<(), CertsFault> {
    let authority = Authority::load(disk, &edge.ca)?;
    authority.issue_edge(&edge.cluster, &edge.edge, edge.life.under(&authority, EDGE_DAYS)?)?.save(disk, &edge.out, "edge")?;
    eprintln!("issued {} for edge {} of cluster {}", edge.out.join("edge.crt").display(), edge.edge, edge.cluster);
    Ok(())
}

impl Life {
    fn under(&self, authority: &Authority, days_usual: u32) -> Result<Validity, CertsFault> {
        let asked = Validity::requested(&Clock::real(), self.days.unwrap_or(days_usual), self.not_before, self.not_after)?;
        // A date is a demand, which signing may refuse; days are a wish, which the CA's own life cuts.
        if self.not_after.is_some() { Ok(asked) } else { asked.ending_by(authority.not_after()) }
    }
}

fn print(disk: &dyn Disk, show: &Show) -> Result<(), CertsFault> {
    let mut out = String::new();
    for description in descriptions(disk, &show.file)? {
        if show.json {
            out += &serde_json::to_string(&description).expect("a description has string keys only");
            out.push('\n');
        } else {
            out += &for_people(&description);
        }
    }
    std::io::stdout().write_all(out.as_bytes()).map_err(|source| CertsFault::File { action: "write", path: "stdout".into(), source })
}

fn descriptions(disk: &dyn Disk, path: &Path) -> Result<Vec<Description>, CertsFault> {
    let bytes = disk.read_all(path, CERTIFICATE_FILE_BYTES_MAX).map_err(|source| CertsFault::File { action: "read", path: path.to_path_buf(), source })?;
    certs::pem::certificates(path, &bytes)?.iter().map(|der| Description::of(der)).collect()
}

fn for_people(description: &Description) -> String {
    format!(
        "subject uri  {}\nnames        {}\nissuer       {}\nserial       {}\nnot before   {}\nnot after    {}\nca           {}\nsha256       {}\n\n",
        description.subject_uri.as_deref().unwrap_or("-"),
        if description.names.is_empty() { "-".to_owned() } else { description.names.join(", ") },
        description.issuer,
        description.serial,
        rfc3339(description.not_before),
        rfc3339(description.not_after),
        if description.is_ca { "yes" } else { "no" },
        description.sha256,
    )
}

fn point(text: &str) -> Result<Timestamp, String> {
    let at: jiff::Timestamp = text.parse().map_err(|_| "not an RFC 3339 time such as 2026-01-31T12:00:00Z".to_owned())?;
    i64::try_from(at.as_nanosecond()).map(Timestamp).map_err(|_| "outside of the years 1678 to 2261".to_owned())
}
