//! Who listens where: two listeners of one address cannot both start.
//!
//! Pure. Parts: [`Checker::listeners`]. Names of hosts are compared as they are written. Must not do: ask whether somebody else listens there.

use super::super::labels::ListenAddress;
use super::super::receivers::SyslogProtocol;
use super::super::{EdgeSettings, Origin, ScrapeSettings};
use super::Checker;

/// One that listens.
struct Listener {
    who: String,
    is_udp: bool,
    address: ListenAddress,
}

impl Checker<'_> {
    /// Finds jobs that listen where another job or the edge's own pages do.
    pub(super) fn listeners(&mut self, settings: &EdgeSettings) {
        let server = &settings.server;
        let pages = ListenAddress { host: server.http_listen_address.clone(), port: server.http_listen_port };
        let pages = Listener { who: "the edge's own pages (server.http_listen_port)".to_owned(), is_udp: false, address: pages };
        let mut known: Vec<Listener> = if server.disable { Vec::new() } else { vec![pages] };
        for scrape in &settings.scrape_configs {
            for (address, is_udp) in addresses(scrape) {
                let job = &scrape.job_name;
                if let Some(other) = known.iter().find(|other| other.is_udp == is_udp && meets(&other.address, &address)) {
                    let text = format!("job {:?} listens on {address}, where {} listens on {}", job.value, other.who, other.address);
                    self.mistake(job, text, "give each a port of its own");
                }
                known.push(Listener { who: format!("job {:?}", job.value), is_udp, address });
            }
        }
    }
}

/// Where the source of a job that counts listens, and whether by UDP.
fn addresses(scrape: &ScrapeSettings) -> Vec<(ListenAddress, bool)> {
    match scrape.kinds().into_iter().next().and_then(|kind| kind.origin) {
        Some(Origin::Syslog(syslog)) => vec![(syslog.listen_address, syslog.listen_protocol == SyslogProtocol::Udp)],
        Some(Origin::Push(push)) => vec![(ListenAddress { host: push.server.http_listen_address, port: push.server.http_listen_port }, false)],
        Some(Origin::Gelf(gelf)) => vec![(gelf.listen_address, true)],
        Some(Origin::Otlp(otlp)) => otlp.http_listen_address.into_iter().chain(otlp.grpc_listen_address).map(|address| (address, false)).collect(),
        Some(Origin::Forward(forward)) => vec![(forward.listen_address, false)],
        Some(Origin::Files(_) | Origin::Journal(_) | Origin::Kafka(_) | Origin::Docker(_)) | None => Vec::new(),
    }
}

/// Whether two listeners want the same.
fn meets(one: &ListenAddress, other: &ListenAddress) -> bool {
    let ((one, port), (other, other_port)) = (one.bind(), other.bind());
    // All addresses of one family; those of the newer one are both's.
    let covers = |all: &str, host: &str| all == "::" || (all == "0.0.0.0" && !host.contains(':'));
    port != 0 && port == other_port && (one == other || covers(&one, &other) || covers(&other, &one))
}
