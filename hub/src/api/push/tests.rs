use proto_model::Record;

use super::*;

fn pushed(time: Timestamp, line: &str) -> Vec<Pushed> {
    vec![Pushed { labels: Labels::from_pairs([("app", "a")]), records: vec![Record { time, line: line.to_owned().into(), metadata: vec![] }] }]
}

fn text(fault: &ApiFault) -> String {
    format!("{fault:?}").replace("\\\"", "\"")
}

#[test]
fn limits_speak_lokis_words() {
    let (now, limits) = (Timestamp::from_secs(2_000_000), Limits::default());
    assert!(judge(&mut pushed(now, "x"), &limits, now).is_ok());
    for (mut bad, word) in [
        (pushed(Timestamp::from_secs(1), "x"), "has timestamp too old"),
        (pushed(Timestamp::from_secs(2_100_000), "x"), "has timestamp too new"),
        (pushed(now, &"x".repeat(300 * 1024)), "max entry size '262144' bytes exceeded for stream '{app=\"a\"}'"),
    ] {
        let said = text(&judge(&mut bad, &limits, now).unwrap_err());
        assert!(said.contains(word), "{said}");
    }
    let many = Labels::from_pairs((0..16).map(|n| (format!("l{n}"), "v")));
    let mut stream = vec![Pushed { labels: many, records: vec![] }];
    assert!(text(&judge(&mut stream, &limits, now).unwrap_err()).contains("has 16 label names; limit 15"));
}

#[test]
fn a_long_line_is_cut_where_the_tenant_wants_it() {
    let limits = Limits { max_line_size_truncate: true, max_line_size_truncate_identifier: "<cut>".to_owned(), ..Limits::default() };
    let mut long = pushed(Timestamp::from_secs(2_000_000), &"x".repeat(300 * 1024));
    judge(&mut long, &limits, Timestamp::from_secs(2_000_000)).unwrap();
    assert_eq!(long[0].records[0].line.len(), 262_144);
    assert!(long[0].records[0].line.ends_with(b"<cut>"));
}

fn sized(name: &str, bytes: u64) -> Vec<Pushed> {
    let line = vec![b'x'; usize::try_from(bytes).unwrap()];
    vec![Pushed { labels: Labels::from_pairs([("app", name)]), records: vec![Record { line: line.into(), ..Record::default() }] }]
}

#[test]
fn rates_refill_with_time() {
    let (rates, tenant, limits) = (Rates::default(), TenantId::new("acme").unwrap(), Limits::default());
    let burst = limits.ingestion_burst_size_mb.bytes();
    assert!(rates.take(&tenant, &sized("a", burst), &limits, Timestamp::from_secs(0)).is_ok());
    assert!(matches!(rates.take(&tenant, &sized("a", 1_000_000), &limits, Timestamp::from_secs(0)), Err(ApiFault::TooFast { .. })));
    assert!(rates.take(&tenant, &sized("a", 1_000_000), &limits, Timestamp::from_secs(1)).is_ok());
    assert!(rates.take(&TenantId::new("blue").unwrap(), &sized("a", burst), &limits, Timestamp::from_secs(0)).is_ok(), "another tenant's bucket is its own");
}

#[test]
fn streams_are_rated_and_counted_where_a_tenant_wants_that() {
    let (rates, tenant, at) = (Rates::default(), TenantId::new("acme").unwrap(), Timestamp::from_secs);
    let limits = Limits { per_stream_rate_limit: proto_boot::Bytes(1_000), per_stream_rate_limit_burst: proto_boot::Bytes(2_000), ..Limits::default() };
    assert!(rates.take(&tenant, &sized("a", 2_000), &limits, at(0)).is_ok());
    let said = text(&rates.take(&tenant, &sized("a", 500), &limits, at(0)).unwrap_err());
    assert!(said.contains("Per stream rate limit exceeded (limit: ") && said.contains("for stream '{app=\"a\"}'"), "{said}");
    assert!(rates.take(&tenant, &sized("b", 500), &limits, at(0)).is_ok());
    assert!(rates.take(&tenant, &sized("a", 500), &limits, at(1)).is_ok());

    let (rates, limits) = (Rates::default(), Limits { max_streams_per_user: 5, max_global_streams_per_user: 2, ..Limits::default() });
    assert!(rates.take(&tenant, &[sized("a", 1), sized("b", 1), sized("a", 1)].concat(), &limits, at(0)).is_ok());
    let said = text(&rates.take(&tenant, &[sized("a", 1), sized("c", 1)].concat(), &limits, at(10)).unwrap_err());
    assert!(
        said.contains("maximum active stream limit exceeded when trying to create stream {app=\"c\"}, reduce")
            && said.ends_with("user: 'acme'\", retry_after_s: 1 }"),
        "{said}"
    );
    assert!(rates.take(&tenant, &sized("b", 1), &limits, at(10)).is_ok());
    assert!(rates.take(&tenant, &sized("c", 1), &limits, at(3_605)).is_ok(), "a had no line for an hour");
}

#[test]
fn a_line_longer_than_loki_takes_is_kept_or_cut_with_its_length() {
    let limits = Limits { max_line_size: proto_boot::Bytes(100), max_long_line_size: proto_boot::Bytes(200), ..Limits::default() };
    let now = Timestamp::from_secs(2_000_000);
    let mut kept = pushed(now, &"x".repeat(200));
    judge(&mut kept, &limits, now).unwrap();
    assert_eq!((kept[0].records[0].line.len(), kept[0].records[0].metadata.len()), (200, 0));
    let mut long = pushed(now, &"\u{fc}".repeat(5_000));
    judge(&mut long, &limits, now).unwrap();
    let record = &long[0].records[0];
    let line = std::str::from_utf8(&record.line).expect("no character is cut in two");
    assert!(line.ends_with("\u{fc} [cut, 10000 bytes]") && (198..=200).contains(&line.len()), "{line}");
    assert_eq!(record.metadata, [("original_length".to_owned(), "10000".to_owned())]);
}

#[test]
fn metadata_is_judged_named_and_levelled_as_loki_does() {
    let now = Timestamp::from_secs(2_000_000);
    let with = |pairs: &[(&str, &str)]| {
        let mut stream = pushed(now, "x");
        stream[0].records[0].metadata = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        stream
    };
    let off = Limits { allow_structured_metadata: false, ..Limits::default() };
    assert!(text(&judge(&mut with(&[("a", "b")]), &off, now).unwrap_err()).contains("includes structured metadata, but this feature is disallowed."));
    let many: Vec<_> = (0..129).map(|n| format!("n{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "v")).collect();
    assert!(text(&judge(&mut with(&many), &Limits::default(), now).unwrap_err()).contains("has too many structured metadata labels: '129', limit: '128'"));
    let mut record = with(&[("a.b", "1"), ("a-b", "2"), ("9", "3")])[0].records[0].clone();
    normalize(&mut record.metadata);
    assert_eq!(record.metadata, [("a_b".to_owned(), "1".to_owned()), ("key_9".to_owned(), "3".to_owned())]);
    let labels = Labels::from_pairs([("level", "Verbose")]);
    assert_eq!(find_level(&labels, &mut record), LEVEL_NONE);
    assert_eq!(record.metadata.last().unwrap(), &("detected_level".to_owned(), "Verbose".to_owned()));
    assert_eq!(find_level(&Labels::from_pairs([("level", "WARNING")]), &mut with(&[])[0].records[0]), Level::Warn.code());
}

#[test]
fn packed_bodies_are_bounded() {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&vec![b' '; PUSH_RAW_BYTES_MAX + 10]).unwrap();
    let bomb: Bytes = packer.finish().unwrap().into();
    assert!(matches!(unpack("gzip", &bomb), Err(ApiFault::TooLarge(_))));
    assert!(text(&unpack("br", &bomb).unwrap_err()).contains("Content-Encoding \"br\" not supported"));
}
