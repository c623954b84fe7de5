//! `docs/promtail.md` is held true: every row of its tables is loaded, and must be what the row says.
//!
//! Rows are keys of the file (`a.b[].c`), relabel actions, stages, flags and examples (`promtail/*.yaml`). Every key that
//! the settings have, every flag and every example must have a row.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared with the tests crate, which uses other parts")]
#[path = "../../tests/harness/disk.rs"]
mod sim_disk;

#[path = "promtail/keys.rs"]
mod keys;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use edge::flags::{FLAGS, take};
use edge::settings::load::{Written, load};
use edge::settings::{Purpose, discovery, http, pulled, receivers, scrape, top};
use keys::keys_of;
use proto_seam::Entropy;
use sim_disk::SimDisk;

const HUB: &str = "hub: {url: 'https://hub:9443', ca_file: /c, identity_dir: /i}\n";

struct Row {
    item: String,
    example: String,
    here: String,
    note: String,
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// The rows of the tables with four columns.
fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(here().join("../docs/promtail.md")).unwrap();
    let mut out = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<String> = line.replace("\\|", "\u{1}").split('|').map(|cell| cell.replace('\u{1}', "|").trim().to_owned()).collect();
        let [_, item, example, here, note, _] = cells.as_slice() else { continue };
        let plain = |cell: &str| cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap_or(cell).to_owned();
        out.push(Row { item: plain(item), example: plain(example), here: here.clone(), note: note.clone() });
    }
    assert!(out.len() > 300, "the tables were not read");
    out
}

/// What loading came to: mistakes and remarks.
struct Came {
    mistakes: Vec<String>,
    remarks: Vec<String>,
}

fn came(text: &str, overrides: &[(String, String)], purpose: Purpose) -> Came {
    let disk = SimDisk::new(&Entropy::seeded(1));
    let written = Written { file: "f", text, variables: None, overrides, host: "h", disk: &disk, inspector: None };
    match load(&written, purpose) {
        Ok(loaded) => Came { mistakes: Vec::new(), remarks: loaded.prepared.remarks.iter().map(ToString::to_string).collect() },
        Err(mistakes) => Came { mistakes: mistakes.iter().map(ToString::to_string).collect(), remarks: Vec::new() },
    }
}

/// Whether what came is what the row says; `word` is the item's own name.
fn holds(row: &Row, word: &str, came: &Came) -> Result<(), String> {
    let Came { mistakes, remarks } = came;
    let is_without_effect = remarks.iter().any(|remark| remark.contains(word) && remark.contains("has no effect"));
    let is_right = match row.here.as_str() {
        "kept" => mistakes.is_empty() && !is_without_effect,
        "changed" => mistakes.is_empty() && !is_without_effect && !row.note.is_empty(),
        "ignored" => mistakes.is_empty() && is_without_effect && !row.note.is_empty(),
        "refused" => !mistakes.is_empty() && !row.note.is_empty(),
        other => return Err(format!("{}: {other:?} is none of the words", row.item)),
    };
    if is_right { Ok(()) } else { Err(format!("{} is not {:?} ({:?}): {mistakes:?} {remarks:?}", row.item, row.here, row.note)) }
}

/// What must stand beside a key for its block to be whole.
fn beside(parent: &str) -> &'static [(&'static str, &'static str)] {
    match parent {
        "clients[]" => &[("url", "'http://l/push'")],
        "scrape_configs[]" => &[("job_name", "a"), ("static_configs", "[{labels: {job: a, __path__: /var/log/a.log}}]")],
        "scrape_configs[].syslog" => &[("listen_address", "':1514'")],
        "scrape_configs[].kafka" => &[("brokers", "['a:9092']"), ("topics", "[t]")],
        "scrape_configs[].docker_sd_configs[]" => &[("host", "unix:///d")],
        "scrape_configs[].kubernetes_sd_configs[]" => &[("role", "pod"), ("api_server", "'https://api:6443'")],
        "scrape_configs[].file_sd_configs[]" => &[("files", "[/a/b.yaml]")],
        "scrape_configs[].loki_push_api" => &[("server", "{http_listen_port: 3500}")],
        "scrape_configs[].otlp" => &[("http_listen_address", "':4318'")],
        _ => &[],
    }
}

/// A file in which the key `item` has the value `example`.
fn file_of(item: &str, example: &str) -> String {
    let parts: Vec<&str> = item.split('.').collect();
    let is_source = parts.first() == Some(&"scrape_configs[]") && keys_of::<scrape::ScrapeSettings>().contains(&parts[1].trim_end_matches("[]"));
    let is_file_key = ["job_name", "relabel_configs", "pipeline_stages", "encoding", "decompression"].contains(parts.get(1).unwrap_or(&""));
    let mut value = example.to_owned();
    for depth in (0..parts.len()).rev() {
        let parent = parts[..depth].join(".");
        let own = parts[depth].trim_end_matches("[]");
        let written = if parts[depth].ends_with("[]") { format!("[{value}]") } else { value };
        // A job with a source of its own has no files.
        let skip =
            |key: &str| key == own || (key == "api_server" && own == "kubeconfig_file") || (key == "static_configs" && depth == 1 && is_source && !is_file_key);
        let more = beside(&parent).iter().filter(|(key, _)| !skip(key)).map(|(key, value)| format!("{key}: {value}"));
        let all: Vec<String> = more.chain([format!("{own}: {written}")]).collect();
        value = if depth == 0 { all.join("\n") } else { format!("{{{}}}", all.join(", ")) };
    }
    let base = if parts[0] == "hub" { "" } else { HUB };
    format!("{base}{value}\n")
}

fn job(key: &str, value: &str) -> String {
    let job = "job_name: a, static_configs: [{labels: {job: a, __path__: /var/log/a.log}}]";
    format!("{HUB}scrape_configs: [{{{job}, {key}: {value}}}]\n")
}

fn check(row: &Row) -> Result<(), String> {
    if let Some(action) = row.item.strip_prefix("action ") {
        let rule = row.example.replacen('{', &format!("{{action: {action}, "), 1);
        return holds(row, action, &came(&job("relabel_configs", &format!("[{rule}]")), &[], Purpose::Run));
    }
    if let Some(stage) = row.item.strip_prefix("stage ") {
        return holds(row, stage, &came(&job("pipeline_stages", &format!("[{{{stage}: {}}}]", row.example)), &[], Purpose::Run));
    }
    if let Some(example) = row.item.strip_prefix("example ") {
        return check_example(row, example);
    }
    if let Some(flag) = row.item.strip_prefix('-') {
        return check_flag(row, flag);
    }
    let word = row.item.rsplit('.').next().unwrap().trim_end_matches("[]");
    holds(row, word, &came(&file_of(&row.item, &row.example), &[], Purpose::Run))
}

fn check_flag(row: &Row, flag: &str) -> Result<(), String> {
    let written = if row.example.is_empty() { format!("-{flag}") } else { format!("-{flag}={}", row.example) };
    let (rest, flags) = take([written]).map_err(|mistakes| format!("{}: {mistakes:?}", row.item))?;
    if !rest.is_empty() {
        return Err(format!("{} is no flag", row.item));
    }
    let mut came = came(HUB, &flags.overrides, Purpose::Run);
    came.remarks.extend(flags.remarks);
    let word = flags.overrides.first().map_or(flag, |(key, _)| key.rsplit('.').next().unwrap());
    holds(row, word, &came)
}

/// An example is read, and would run, but for what its sources are.
fn check_example(row: &Row, name: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(here().join("tests/promtail").join(name)).unwrap();
    let read = came(&text, &[], Purpose::Show);
    let run = came(&text, &[], Purpose::Run);
    if read.mistakes != run.mistakes {
        return Err(format!("{name}: {:?} or {:?}", read.mistakes, run.mistakes));
    }
    if row.here == "changed" {
        return if read.mistakes.is_empty() && !read.remarks.is_empty() { Ok(()) } else { Err(format!("{name}: {:?}", read.mistakes)) };
    }
    let named = row.note.split('`').nth(1).unwrap_or_default();
    if let Some(other) = read.mistakes.iter().find(|mistake| !mistake.contains(named.split('_').next().unwrap_or_default())) {
        return Err(format!("{name} is not refused for {named}, but {other}"));
    }
    holds(row, named, &read)
}

#[test]
fn every_row_of_the_tables_is_true() {
    let wrong: Vec<String> = rows().iter().filter_map(|row| check(row).err()).collect();
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_key_flag_and_example_has_a_row() {
    let rows: BTreeMap<String, Row> = rows().into_iter().map(|row| (row.item.clone(), row)).collect();
    let mut wanted = BTreeSet::new();
    let mut of = |prefix: &str, keys: &[&str]| wanted.extend(keys.iter().map(|key| format!("{prefix}{key}")));
    of("", keys_of::<edge::settings::EdgeSettings>());
    of("server.", keys_of::<edge::settings::ServerSettings>());
    of("clients[].", keys_of::<edge::settings::ClientSettings>());
    of("positions.", keys_of::<edge::settings::PositionsSettings>());
    of("target_config.", keys_of::<edge::settings::TargetSettings>());
    of("global.", keys_of::<edge::settings::GlobalSettings>());
    of("global.file_watch_config.", keys_of::<top::FileWatchSettings>());
    of("limits_config.", keys_of::<edge::settings::LimitsYaml>());
    of("wal.", keys_of::<edge::settings::WalYaml>());
    of("scrape_configs[].", keys_of::<scrape::ScrapeSettings>());
    of("scrape_configs[].journal.", keys_of::<pulled::JournalSettings>());
    of("scrape_configs[].kafka.", keys_of::<pulled::KafkaSettings>());
    of("scrape_configs[].syslog.", keys_of::<receivers::SyslogSettings>());
    of("scrape_configs[].loki_push_api.", keys_of::<receivers::PushSettings>());
    of("scrape_configs[].gelf.", keys_of::<receivers::GelfSettings>());
    of("scrape_configs[].otlp.", keys_of::<receivers::OtlpSettings>());
    of("scrape_configs[].forward.", keys_of::<receivers::ForwardSettings>());
    of("scrape_configs[].file_sd_configs[].", keys_of::<discovery::FileSdSettings>());
    // An HTTP client's own keys have their rows under `clients`.
    let client: Vec<&str> = keys_of::<edge::settings::ClientSettings>().to_vec();
    let own = |keys: &'static [&'static str]| keys.iter().filter(|key| !client.contains(key)).copied().collect::<Vec<_>>();
    of("scrape_configs[].docker_sd_configs[].", &own(keys_of::<pulled::DockerSdSettings>()));
    of("scrape_configs[].kubernetes_sd_configs[].", &own(keys_of::<discovery::KubernetesSdSettings>()));
    of("-", &FLAGS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    assert!(keys_of::<http::BasicAuth>().contains(&"password_file"), "keys are found");
    let missing: Vec<&String> = wanted.iter().filter(|item| !rows.contains_key(*item) && *item != "limit_config").collect();
    assert!(missing.is_empty(), "no row: {missing:?}");
    let files: BTreeSet<String> =
        std::fs::read_dir(here().join("tests/promtail")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let files: BTreeSet<String> = files.into_iter().filter(|name| name.ends_with(".yaml")).map(|name| format!("example {name}")).collect();
    let told: BTreeSet<String> = rows.keys().filter(|item| item.starts_with("example ")).cloned().collect();
    assert_eq!(files, told);
}

#[test]
fn a_key_or_job_that_is_there_twice_is_a_mistake_in_every_example() {
    for entry in std::fs::read_dir(here().join("tests/promtail")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let unknown = came(&format!("{text}\nscrape_config: []\n"), &[], Purpose::Show).mistakes;
        assert!(unknown.iter().any(|mistake| mistake.contains("unknown key \"scrape_config\"")), "{name}: {unknown:?}");
        let twice = came(&format!("{text}\nscrape_configs: []\n"), &[], Purpose::Show).mistakes;
        assert!(!twice.is_empty(), "{name}");
    }
}
