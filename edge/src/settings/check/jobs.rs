//! `scrape_configs` to jobs.

use std::sync::Arc;

use edge_pipeline::{Program, Relabeling};
use proto_boot::Mistake;
use proto_boot::settings::place;

use super::super::discovery::StaticSettings;
use super::super::pulled::JournalSettings;
use super::super::receivers::SyslogProtocol;
use super::super::scrape::{DecompressionFormat, Kind};
use super::super::{Discovery, Origin, ScrapeSettings};
use super::{Checker, supported};
use crate::discover::file_sd::FileSd;
use crate::discover::files::Pattern;
use crate::discover::live::Discovered;
use crate::discover::{Job, Relabel, Relabelled, Target, feeds};
use crate::receive::journal::check_matches;
use crate::tail::content::Packing;
use crate::tail::reading::{Archives, Reading};
use crate::tail::text::Text;

/// How files of `file_sd_configs` end, by which their format is known.
const FILE_ENDINGS: [&str; 3] = [".json", ".yml", ".yaml"];

impl Checker<'_> {
    /// With `stdin` no job's source is read: the first one's labels and stages count, and nobody needs a `__path__`.
    pub(super) fn jobs(&mut self, scrapes: &[ScrapeSettings], host: &str, stdin: bool) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        for scrape in scrapes {
            if jobs.iter().any(|job| job.name == scrape.job_name.value) {
                self.mistake(&scrape.job_name, format!("job {:?} is there twice", scrape.job_name.value), "give each job a name of its own");
            }
            if scrape.job_name.value.is_empty() {
                self.mistake(&scrape.job_name, "job_name is empty", "give the job a name");
            }
            let origin = if stdin { Some(Origin::Files(Vec::new())) } else { self.origin(scrape) };
            let reading = self.reading(scrape);
            self.traps(scrape);
            let file = self.file;
            let own = |found: Vec<edge_pipeline::Mistake>| found.into_iter().map(move |m| Mistake::new(file, (m.line as u64, m.column as u64), m.text, m.fix));
            let relabel = Relabeling::compile(&scrape.relabel_configs).map_err(|found| self.mistakes.extend(own(found)));
            let program = Program::compile_in(&scrape.pipeline_stages, &self.surroundings).map_err(|found| self.mistakes.extend(own(found)));
            let (Ok(relabel), Ok(program), Some(origin)) = (relabel, program, origin) else { continue };
            let relabel = Relabel { rules: relabel, host: host.to_owned() };
            let mut job = Job::new(scrape.job_name.value.clone(), Vec::new(), program);
            for written in scrape.statics() {
                let (target, why) = if stdin { self.unread(written) } else { self.target(written, &relabel) };
                let kept = target.as_ref().map(|target| target.labels.clone());
                job.named.push(Discovered { discovered: Arc::new(written.labels.value.labels()), kept, why });
                job.targets.extend(target);
            }
            if let Origin::Files(discoveries) = &origin {
                job.discoveries = discoveries.iter().filter_map(|written| self.discovery(written, host, place(&scrape.job_name))).collect();
            }
            job.reading = reading;
            (job.relabel, job.origin) = (Arc::new(relabel), Arc::new(origin));
            jobs.push(job);
        }
        jobs
    }

    /// The job's one source; `None` after a mistake.
    fn origin(&mut self, scrape: &ScrapeSettings) -> Option<Origin> {
        let mut kinds = scrape.kinds().into_iter();
        let Some(first) = kinds.next() else {
            let text = format!("job {:?} names no files and no other source", scrape.job_name.value);
            self.mistake(&scrape.job_name, text, "add static_configs with a label __path__, kubernetes_sd_configs, journal, syslog or another source");
            return None;
        };
        for other in kinds {
            let text = format!("job {:?} has {} and {}: only {} is read, as by Promtail", scrape.job_name.value, first.key, other.key, first.key);
            self.remark(other.at, text, "give each source a job of its own");
        }
        let refused = self.refuse(&first);
        let discoveries: Vec<_> = scrape.refused_discoveries();
        for (key, at) in &discoveries {
            self.refuse(&Kind { key, at: *at, origin: None });
        }
        let origin = first.origin.filter(|_| !refused && discoveries.is_empty())?;
        let before = self.mistakes.len();
        self.check_origin(&origin, scrape, first.at);
        (self.mistakes.len() == before).then_some(origin)
    }

    /// Whether a kind is refused, which is told.
    fn refuse(&mut self, kind: &Kind) -> bool {
        if let Some((key, why, instead)) = supported::REFUSED.iter().find(|(key, ..)| *key == kind.key) {
            self.mistake_at(kind.at, format!("{key} is not supported: {why}"), *instead);
            return true;
        }
        false
    }

    fn check_origin(&mut self, origin: &Origin, scrape: &ScrapeSettings, at: (u64, u64)) {
        match origin {
            Origin::Files(discoveries) => self.check_discoveries(discoveries, scrape, at),
            Origin::Journal(journal) => self.check_journal(journal, at),
            Origin::Syslog(syslog) => {
                self.label_names(&syslog.labels);
                let has_certificate = syslog.tls_config.cert_file.is_some() || syslog.tls_config.cert.is_some();
                if has_certificate && syslog.listen_protocol == SyslogProtocol::Udp {
                    self.mistake_at(at, "syslog over UDP has no TLS", "take tls_config out, or listen_protocol: udp");
                }
                if !(1..=MESSAGE_BYTES_MAX).contains(&syslog.max_message_length.value) {
                    let text = format!("syslog.max_message_length is {}", syslog.max_message_length.value);
                    self.mistake(&syslog.max_message_length, text, format!("write 1 to {MESSAGE_BYTES_MAX} bytes"));
                }
            }
            Origin::Push(push) => {
                self.label_names(&push.labels);
                self.unused("loki_push_api.server", push.server.without_effect());
            }
            Origin::Kafka(kafka) => self.kafka(kafka, at),
            Origin::Gelf(gelf) => self.label_names(&gelf.labels),
            Origin::Docker(all) => {
                for docker in all {
                    self.docker(docker, at);
                }
            }
            Origin::Otlp(otlp) => {
                self.label_names(&otlp.labels);
                if otlp.http_listen_address.is_none() && otlp.grpc_listen_address.is_none() {
                    self.mistake_at(at, "otlp listens nowhere", "write http_listen_address, grpc_listen_address or both");
                }
            }
            Origin::Forward(forward) => self.label_names(&forward.labels),
        }
    }

    fn check_journal(&mut self, journal: &JournalSettings, at: (u64, u64)) {
        self.label_names(&journal.labels);
        if let Some(matches) = &journal.matches
            && let Err(word) = check_matches(&matches.value)
        {
            let text = format!("journal.matches: {word:?} is no FIELD=value");
            self.mistake(matches, text, "write names in capitals and values without quotes, with spaces between: _TRANSPORT=kernel PRIORITY=3");
        }
        if journal.path.is_relative() && !journal.path.as_os_str().is_empty() {
            self.mistake_at(at, "journal.path is relative", "write an absolute path such as /var/log/journal");
        }
    }

    fn check_discoveries(&mut self, discoveries: &[Discovery], scrape: &ScrapeSettings, at: (u64, u64)) {
        if discoveries.is_empty() && scrape.statics().is_empty() {
            let text = format!("job {:?} names no files", scrape.job_name.value);
            self.mistake_at(at, text, "add a target with a label __path__");
        }
        for discovery in discoveries {
            if let Discovery::Kubernetes(one) = discovery {
                self.contradiction(one.http().contradiction(), at);
            }
        }
    }

    pub(super) fn contradiction(&mut self, why: Option<&'static str>, at: (u64, u64)) {
        if let Some(why) = why {
            self.mistake_at(at, format!("there is {why}"), "keep one of them");
        }
    }

    /// How its files are read.
    fn reading(&mut self, scrape: &ScrapeSettings) -> Reading {
        let text = scrape.encoding.as_ref().map(|encoding| (encoding, Text::named(&encoding.value)));
        let text = match text {
            None => Text::default(),
            Some((_, Ok(text))) => text,
            Some((encoding, Err(why))) => {
                self.mistake(
                    encoding,
                    why,
                    "write a name that IANA and the web share, such as utf-16le, iso-8859-1, windows-1252, gbk or shift_jis; or convert the files to utf-8",
                );
                Text::default()
            }
        };
        let packed = scrape.decompression.as_ref().map(|packed| &packed.value).filter(|packed| packed.enabled);
        let archives = packed.map(|packed| Archives {
            initial_delay: packed.initial_delay.0,
            packing: match packed.format {
                DecompressionFormat::Detect => None,
                DecompressionFormat::Gz => Some(Packing::Gzip),
                DecompressionFormat::Z => Some(Packing::Zlib),
                DecompressionFormat::Bz2 => Some(Packing::Bzip2),
            },
        });
        Reading { text, archives }
    }

    /// A discovery as its task takes it.
    fn discovery(&mut self, written: &Discovery, host: &str, at: (u64, u64)) -> Option<feeds::Discovery> {
        match written {
            Discovery::File(files) => {
                let patterns = files.files.value.iter().filter_map(|glob| match Pattern::new(&glob.value) {
                    Ok(_) if !FILE_ENDINGS.iter().any(|ending| glob.value.ends_with(ending)) => {
                        self.mistake(glob, "a file of file_sd_configs has another ending", "name files that end in .json, .yml or .yaml");
                        None
                    }
                    Ok(pattern) => Some(pattern),
                    Err(why) => {
                        self.mistake(glob, why, "give an absolute path such as /etc/targets/*.yaml");
                        None
                    }
                });
                Some(feeds::Discovery::Files(Arc::new(FileSd { patterns: patterns.collect(), refresh: files.refresh_interval.0 })))
            }
            Discovery::Kubernetes(written) => Some(feeds::Discovery::Kubernetes(Arc::new(self.kubernetes(written, host, at)?))),
            Discovery::Dns(dns) => Some(feeds::Discovery::Dns(Arc::new(self.dns(dns, at)?))),
            Discovery::Http(http) => Some(feeds::Discovery::Http(Arc::new(self.http_sd(http, at)?))),
            Discovery::Consul(consul) => Some(feeds::Discovery::Consul(Arc::new(self.consul(consul, false, at)?))),
            Discovery::ConsulAgent(consul) => Some(feeds::Discovery::Consul(Arc::new(self.consul(consul, true, at)?))),
        }
    }

    /// A target that is not read.
    fn unread(&mut self, written: &StaticSettings) -> (Option<Target>, &'static str) {
        self.label_names(&written.labels.value);
        (None, "stdin")
    }

    fn target(&mut self, written: &StaticSettings, relabel: &Relabel) -> (Option<Target>, &'static str) {
        let labels = &written.labels.value;
        self.label_names(labels);
        let relabelled = relabel.target(labels.labels());
        let why = relabelled.why();
        let target = match relabelled {
            Relabelled::Kept(target) => Some(*target),
            Relabelled::Dropped | Relabelled::Elsewhere => None,
            Relabelled::Unusable(why) => {
                let at = labels.0.get("__path__").map_or_else(|| place(&written.labels), place);
                self.mistake_at(at, why, "give an absolute glob such as /var/log/app/*.log in the label __path__");
                None
            }
        };
        (target, why)
    }
}

/// Longest syslog message that may be allowed: one line.
const MESSAGE_BYTES_MAX: u64 = 1024 * 1024;
