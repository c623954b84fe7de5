#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "files and their times are real")]

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use proto_boot::settings::parse_all;
use tempfile::TempDir;

use super::*;
use crate::settings::{EdgeSettings, Purpose};

/// A folder with logs and a positions file that was written an hour ago.
struct Place {
    dir: TempDir,
    saved: SystemTime,
}

const HOUR: Duration = Duration::from_secs(3_600);

impl Place {
    fn new() -> Self {
        Self { dir: TempDir::with_prefix("tributary-import").unwrap(), saved: SystemTime::now() - HOUR }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    /// A log, last written to so many minutes after the positions were (before, if negative).
    fn log(&self, name: &str, bytes: &[u8], minutes: i64) {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        let by = Duration::from_secs(minutes.unsigned_abs() * 60);
        let at = if minutes < 0 { self.saved - by } else { self.saved + by };
        std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    fn positions(&self, text: &[u8]) {
        self.log("positions.yaml", text, 0);
    }

    fn entries(&self, entries: &[(&str, &str)]) {
        let lines: Vec<String> = entries.iter().map(|(name, value)| format!("  {}: {value}\n", self.path(name))).collect();
        self.positions(format!("positions:\n{}", lines.concat()).as_bytes());
    }

    fn read_with(&self, keys: &str) -> Result<Imported, Vec<Mistake>> {
        let text = format!(
            "positions: {{filename: {}{keys}}}\nscrape_configs:\n- {{job_name: a, decompression: {{enabled: true}}, static_configs: [{{labels: {{__path__: '{}/*'}}}}]}}\n",
            self.path("positions.yaml"),
            self.dir.path().display()
        );
        let (settings, mistakes) = parse_all::<EdgeSettings>("e.yaml", &text);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let prepared = settings.unwrap().prepare_in(Purpose::Show, "e.yaml", "h", edge_pipeline::Surroundings::default()).unwrap();
        read(&prepared.import, &prepared.jobs, World::real().disk.as_ref())
    }

    fn read(&self) -> Result<Imported, Vec<Mistake>> {
        self.read_with("")
    }

    /// The file whose position was taken over, and where.
    fn found(&self) -> (String, u64) {
        let imported = self.read().unwrap();
        assert_eq!(imported.files, 1, "{imported:?}");
        let position = imported.positions.first().unwrap().clone();
        let names = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let disk = World::real().disk;
        let at = names.into_iter().find(|at| disk.state(at).unwrap().identity == position.identity).unwrap();
        (at.file_name().unwrap().to_string_lossy().into_owned(), position.offset)
    }

    fn refused(&self) -> String {
        let mistakes = self.read().unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        mistakes[0].to_string()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn both_shapes_are_read_and_entries_know_their_line() {
    let entries = parse::parse(b"positions:\n  /a: \"12\"\n  cursor-j: s=1;i=2\n").unwrap();
    assert_eq!(
        entries.iter().map(|entry| (entry.path.as_str(), entry.value.as_str(), entry.line)).collect::<Vec<_>>(),
        [("/a", "12", 2), ("cursor-j", "s=1;i=2", 3)]
    );
    for alloy in ["positions:\n  ? path: /a\n    labels: '{a=\"b\"}'\n  : \"12\"\n", "positions:\n  {path: /a, labels: '{a=\"b\"}'}: \"12\"\n"] {
        let entries = parse::parse(alloy.as_bytes()).unwrap();
        assert_eq!((entries[0].path.as_str(), entries[0].labels.as_str(), entries[0].value.as_str(), entries[0].line), ("/a", "{a=\"b\"}", "12", 2), "{alloy}");
    }
    assert_eq!(parse::parse(b"positions: {}\n"), Ok(Vec::new()));
    assert_eq!(parse::parse(b"positions:\n"), Ok(Vec::new()));
}

#[test]
fn damaged_files_stop_the_start_with_their_line_and_the_way_out() {
    let place = Place::new();
    let cases: [(&[u8], &str); 8] = [
        (b"", ":1:1: error: the positions file is empty"),
        (&[0; 300], ":1:1: error: the positions file holds nothing but NUL bytes"),
        (b"positions:\n  /a: \"1\"\n\0\0\0", ":3:1: error: the positions file holds NUL"),
        (b"positions:\n  /a: \"1\"\n bad", ":3:"),
        (b"positions:\n  /a: [1]\n", ":2:3: error: the positions file has an entry that is no text"),
        (b"positions: {}\nother: {}\n", ":2:1: error: the positions file holds another key"),
        (b"- a\n", ":1:1: error: the positions file is no map"),
        (b"positions: \xff\n", ":1:1: error: the positions file is not utf-8"),
    ];
    for (bytes, expected) in cases {
        place.positions(bytes);
        let told = place.refused();
        assert!(told.starts_with(&format!("{}{expected}", place.path("positions.yaml"))) && told.contains("ignore_invalid_yaml"), "{told}");
        let passed_over = place.read_with(", ignore_invalid_yaml: true").unwrap();
        assert_eq!((passed_over.positions.len(), passed_over.remarks.len()), (1, 1), "only the mark: it is not looked at again");
        assert!(passed_over.remarks[0].text().contains("all files are read from their beginning"));
    }
    std::fs::remove_file(place.path("positions.yaml")).unwrap();
    assert_eq!(place.read(), Ok(Imported::default()));
}

#[test]
fn entries_that_cannot_be_true_stop_the_start_or_do_as_the_settings_say() {
    let place = Place::new();
    place.log("a.log", b"one\ntwo\nthr", -5);
    for (value, expected) in [
        ("'400'", "400 lies past the end of its file, which has 11 bytes"),
        ("'-1'", "-1 is negative"),
        ("nine", "\"nine\" is no number"),
        ("'5'", "no line begins at 5"),
        ("'99999999999999999999999'", "is no number"),
    ] {
        place.entries(&[("a.log", value)]);
        let told = place.refused();
        assert!(told.contains(":2:3: error: ") && told.contains(expected) && told.contains("positions.when_doubtful: end, start or time"), "{told}");
        for (how, offset) in [("end", Some(8)), ("time", Some(8)), ("start", None)] {
            let imported = place.read_with(&format!(", when_doubtful: {how}")).unwrap();
            assert_eq!((imported.doubtful, imported.remarks.len()), (1, 1));
            assert_eq!(imported.positions.iter().find(|position| position.path != MARK).map(|position| position.offset), offset, "{how}");
        }
    }
    place.log("a.log", b"one\ntwo\nthr", 5);
    let imported = place.read_with(", when_doubtful: time").unwrap();
    assert_eq!(imported.files, 0, "it was written to since");
    place.positions(format!("positions:\n  {0}: '4'\n  {0}: '8'\n", place.path("a.log")).as_bytes());
    let mistakes = place.read().unwrap_err();
    assert!(mistakes.len() == 2 && mistakes[1].line == 3 && mistakes[1].text.contains("more than once"), "{mistakes:?}");
}

#[test]
fn the_file_is_the_one_that_bore_the_path_when_the_positions_were_written() {
    let place = Place::new();
    place.entries(&[("a.log", "'8'")]);
    place.log("a.log", b"one\ntwo\nthree\n", 10);
    assert_eq!(place.found(), ("a.log".to_owned(), 8));
    // An older one beside it is not meant.
    place.log("a.log.1", b"long ago\n", -30);
    assert_eq!(place.found(), ("a.log".to_owned(), 8));
    // Rotated twice since: the oldest written to since then, although the one there now is long enough.
    place.log("a.log.2", b"one\ntwo\nmore\n", 5);
    place.log("a.log.1", b"later\n", 8);
    assert_eq!(place.found(), ("a.log.2".to_owned(), 8));
    // Packed since.
    std::fs::remove_file(place.path("a.log.2")).unwrap();
    place.log("a.log.2.gz", &gzip(b"one\ntwo\nmore\n"), 5);
    assert_eq!(place.found(), ("a.log.2.gz".to_owned(), 8));
    std::fs::remove_file(place.path("a.log")).unwrap();
    assert_eq!(place.found(), ("a.log.2.gz".to_owned(), 8));
    // Too short to be it.
    place.log("a.log.2.gz", &gzip(b"one\n"), 5);
    assert!(place.refused().contains("a.log.2.gz, cannot be read: the archive holds less"), "{}", place.refused());
}

#[test]
fn a_file_that_was_read_whole_before_it_was_renamed_is_not_mistaken_for_the_next() {
    let place = Place::new();
    place.entries(&[("a.log", "'8'")]);
    place.log("a.log.1", b"one\ntwo\n", -2);
    place.log("a.log", b"new 1\nnew 2\nnew 3\n", 10);
    assert_eq!(place.found(), ("a.log.1".to_owned(), 8));
    place.log("a.log", b"new\n", 10);
    assert_eq!(place.found(), ("a.log.1".to_owned(), 8));
    place.log("a.log.1", b"one\n", -2);
    assert!(place.refused().contains("past the end"));
}

#[test]
fn the_kubelets_packed_files_tell_by_their_names_when_they_ended() {
    let place = Place::new();
    let stamp = |minutes: i64| {
        let saved = i64::try_from(place.saved.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap();
        // Two hours east of UTC.
        let at = jiff::Timestamp::from_second(saved + minutes * 60 + 7_200).unwrap();
        at.strftime("%Y%m%d-%H%M%S").to_string()
    };
    place.entries(&[("0.log", "'4'")]);
    // Packed after the positions were written, at the rotation that followed, but renamed before.
    place.log(&format!("0.log.{}.gz", stamp(-20)), &gzip(b"old\nold\n"), 10);
    place.log(&format!("0.log.{}", stamp(10)), b"one\ntwo\n", 10);
    place.log("0.log", b"a\nb\nc\nd\n", 20);
    assert_eq!(place.found(), (format!("0.log.{}", stamp(10)), 4));
}

#[test]
fn entries_of_packed_files_count_lines() {
    let place = Place::new();
    place.log("a.gz", &gzip(b"one\ntwo\nthree\nfour"), -5);
    for (lines, offset) in [("'0'", 0), ("'2'", 8), ("'3'", 14), ("'4'", 18)] {
        place.entries(&[("a.gz", lines)]);
        assert_eq!(place.found(), ("a.gz".to_owned(), offset), "{lines}");
    }
    place.entries(&[("a.gz", "'5'")]);
    assert!(place.refused().contains("5 lines were read of its file, which holds 4"));
}

#[test]
fn cursors_go_to_their_readers_and_the_rest_is_told() {
    let place = Place::new();
    let id = "0123456789abcdef0123456789abcdef";
    place.positions(format!("positions:\n  cursor-j: s=abc;i=12;b=x\n  cursor-{id}: '1700000000'\n  cursor-zone: '17'\n  /nowhere/x.log: '1'\n").as_bytes());
    let imported = place.read().unwrap();
    assert_eq!((imported.cursors, imported.skipped, imported.files), (2, 2, 0));
    let docker = imported.positions.iter().find(|position| position.path == format!("docker:{id}/imported")).unwrap();
    let last = 1_699_999_999_999_999_999_i64.to_le_bytes();
    assert_eq!((docker.held.len(), docker.held[0], &docker.held[1..9], &docker.held[21..29]), (41, 1, last.as_slice(), last.as_slice()));
    let journal = imported.positions.iter().find(|position| position.path == "journal:j").unwrap();
    assert_eq!(journal.held, b"s=abc;i=12;b=x");
    let told: Vec<&str> = imported.remarks.iter().map(Remark::text).collect();
    for expected in ["no job of these settings is called \"j\"", "may come twice", "not read here", "its file is gone"] {
        assert!(told.iter().any(|text| text.contains(expected)), "{expected} is not in {told:?}");
    }
    assert!(imported.positions.iter().all(crate::receive::streams::is_stream), "none is taken for a file's");
}

#[test]
fn a_file_with_several_entries_goes_on_at_the_least() {
    let place = Place::new();
    place.log("a.log", b"one\ntwo\nthree\n", 10);
    place.positions(
        format!("positions:\n  ? path: {0}\n    labels: '{{a=\"1\"}}'\n  : \"14\"\n  ? path: {0}\n    labels: '{{a=\"2\"}}'\n  : \"4\"\n", place.path("a.log"))
            .as_bytes(),
    );
    assert_eq!(place.found(), ("a.log".to_owned(), 4));
    assert_eq!(place.read().unwrap().remarks.len(), 1);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), text in "(positions|path|: |\\? |\\{|\\}|\n|  |'|\"|1|/a|&x|\\*x|-|,)*") {
        drop(parse::parse(&bytes));
        drop(parse::parse(text.as_bytes()));
    }
}
