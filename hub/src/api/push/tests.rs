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

#[test]
fn rates_refill_with_time() {
    let (rates, tenant, limits) = (Rates::default(), TenantId::new("acme").unwrap(), Limits::default());
    let burst = limits.ingestion_burst_size_mb.bytes();
    assert!(rates.take(&tenant, burst, 1, &limits, Timestamp::from_secs(0)).is_ok());
    assert!(matches!(rates.take(&tenant, 1_000_000, 1, &limits, Timestamp::from_secs(0)), Err(ApiFault::TooFast { .. })));
    assert!(rates.take(&tenant, 1_000_000, 1, &limits, Timestamp::from_secs(1)).is_ok());
    assert!(rates.take(&TenantId::new("blue").unwrap(), burst, 1, &limits, Timestamp::from_secs(0)).is_ok(), "another tenant's bucket is its own");
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
