//! What the demo says on stdout: a table for people, or one JSON object per line (`docs/contract.md`).
//!
//! Parts: the events, [`Reporter`]. Must not do: count.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde::Serialize;

use crate::settings::PAIRS;

/// Everything listens.
#[derive(Debug, Serialize)]
pub(crate) struct ReadyEvent {
    /// URL of the query API.
    pub(crate) http: String,
    /// URL of the admin API.
    pub(crate) admin: String,
    /// Address of the link.
    pub(crate) link: String,
    /// The folder.
    pub(crate) data: String,
    /// The CA that vouches for hub and edges.
    pub(crate) ca_file: String,
}

/// How to look at a tenant.
#[derive(Debug, Serialize)]
pub(crate) struct TenantEvent {
    /// The tenant.
    pub(crate) tenant: &'static str,
    /// Its cluster.
    pub(crate) cluster: &'static str,
    /// A reader's token.
    pub(crate) token: String,
    /// What its edge reads.
    pub(crate) files: String,
    /// A command.
    pub(crate) logcli: String,
    /// Settings of a data source.
    pub(crate) grafana: GrafanaSettings,
}

/// Settings of a data source.
#[derive(Debug, Serialize)]
pub(crate) struct GrafanaSettings {
    /// URL.
    pub(crate) url: String,
    /// HTTP header.
    pub(crate) header: String,
}

/// Lines of a tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Lines {
    /// Whole lines in its files.
    pub(crate) written: u64,
    /// Acknowledged by the hub.
    pub(crate) acked: u64,
    /// Found by a query.
    pub(crate) queryable: u64,
}

impl Lines {
    /// Whether all that was written was acked and is found, once.
    pub(crate) const fn are_equal(self) -> bool {
        self.written == self.acked && self.acked == self.queryable
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    Ready(&'a ReadyEvent),
    Tenant(&'a TenantEvent),
    Progress {
        t: f64,
        tenant: &'a str,
        #[serde(flatten)]
        lines: Lines,
    },
    Done {
        ok: bool,
        tenants: &'a BTreeMap<&'static str, Lines>,
    },
}

/// Rows between two heads of the table.
const ROWS: u32 = 20;

/// Says it.
#[derive(Debug)]
pub(crate) struct Reporter {
    is_json: bool,
    rows: u32,
}

impl Reporter {
    /// For people, or as JSON.
    pub(crate) const fn new(is_json: bool) -> Self {
        Self { is_json, rows: 0 }
    }

    /// Everything listens.
    pub(crate) fn ready(&self, ready: &ReadyEvent) {
        if self.is_json {
            return object(&Event::Ready(ready));
        }
        say(&format!("Two clusters, each with an edge; one hub. Everything lies in {}", ready.data));
        say(&format!("  query API {}   admin API {}   link {}", ready.http, ready.admin, ready.link));
    }

    /// How to look at a tenant.
    pub(crate) fn tenant(&self, tenant: &TenantEvent) {
        if self.is_json {
            return object(&Event::Tenant(tenant));
        }
        say(&format!("\nTenant {} (cluster {})", tenant.tenant, tenant.cluster));
        say(&format!("  files    {}", tenant.files));
        say(&format!("  token    {}", tenant.token));
        say(&format!("  grafana  data source Loki, URL {}, HTTP header {}", tenant.grafana.url, tenant.grafana.header));
        say(&format!("  logcli   {}", tenant.logcli));
    }

    /// How far each tenant is, `t` seconds after the begin.
    pub(crate) fn progress(&mut self, t: f64, tenants: &BTreeMap<&'static str, Lines>) {
        let t = (t * 10.0).round() / 10.0;
        if self.is_json {
            for (tenant, lines) in tenants {
                object(&Event::Progress { t, tenant, lines: *lines });
            }
            return;
        }
        if self.rows.is_multiple_of(ROWS) {
            let names: String = PAIRS.iter().map(|pair| format!("  | {:^32}", format!("{} ({})", pair.tenant, pair.cluster))).collect();
            let columns = PAIRS.map(|_| format!("  | {:>10} {:>10} {:>10}", "written", "acked", "queryable")).concat();
            say(&format!("\n{:>8}{names}\n{:>8}{columns}", "", "time"));
        }
        self.rows += 1;
        let cells: String = tenants.values().map(|lines| format!("  | {:>10} {:>10} {:>10}", lines.written, lines.acked, lines.queryable)).collect();
        say(&format!("{:>8}{cells}", format!("{t:.1} s")));
    }

    /// The end.
    pub(crate) fn done(&self, ok: bool, tenants: &BTreeMap<&'static str, Lines>) {
        if self.is_json {
            return object(&Event::Done { ok, tenants });
        }
        let lines: u64 = tenants.values().map(|lines| lines.written).sum();
        if ok {
            say(&format!("\ndone: all {lines} lines were written, acked and found, each once"));
        } else {
            say("\ndone: NOT ok, the numbers of a tenant differ; see the last row and the logs of the programs");
        }
    }
}

fn object(event: &Event<'_>) {
    say(&serde_json::to_string(event).expect("an event has string keys only"));
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_as_promised() {
        let lines = Lines { written: 1_000, acked: 990, queryable: 990 };
        let progress = serde_json::to_string(&Event::Progress { t: 5.0, tenant: "acme", lines }).unwrap();
        assert_eq!(progress, r#"{"event":"progress","t":5.0,"tenant":"acme","written":1000,"acked":990,"queryable":990}"#);
        let done = serde_json::to_string(&Event::Done { ok: false, tenants: &BTreeMap::from([("acme", lines)]) }).unwrap();
        assert_eq!(done, r#"{"event":"done","ok":false,"tenants":{"acme":{"written":1000,"acked":990,"queryable":990}}}"#);
        assert!(!lines.are_equal());
    }
}
