//! Labels of places and networks, from databases that the tests make.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto_model::Labels;

use crate::testing::{NOW, stages};
use crate::{Program, Run, Surroundings};

/// What a database holds.
enum Item {
    Text(&'static str),
    Number(u32),
    Float(f64),
    Map(Vec<(&'static str, Self)>),
    List(Vec<Self>),
}

use Item::{Float, List, Map, Number, Text};

fn head(kind: u8, size: usize, out: &mut Vec<u8>) {
    let more = u8::try_from(size.saturating_sub(29)).unwrap();
    let size = u8::try_from(size.min(29)).unwrap();
    if kind < 8 {
        out.push(kind << 5 | size);
    } else {
        out.extend([size, kind - 7]);
    }
    if size == 29 {
        out.push(more);
    }
}

fn encode(item: &Item, out: &mut Vec<u8>) {
    match item {
        Text(text) => {
            head(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Number(number) => {
            let bytes: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
            head(6, bytes.len(), out);
            out.extend(bytes);
        }
        Float(number) => {
            head(3, 8, out);
            out.extend(number.to_be_bytes());
        }
        Map(pairs) => {
            head(7, pairs.len(), out);
            for (name, value) in pairs {
                encode(&Text(name), out);
                encode(value, out);
            }
        }
        List(items) => {
            head(11, items.len(), out);
            items.iter().for_each(|item| encode(item, out));
        }
    }
}

/// A database in which 128.0.0.0/1 has this record and other addresses have none.
fn database(kind: &'static str, record: &Item) -> Vec<u8> {
    // one node of two 24-bit records: 0 -> nothing (the number of nodes), 1 -> the first item of the data
    let mut out = vec![0, 0, 1, 0, 0, 17];
    out.extend([0; 16]);
    encode(record, &mut out);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    let format = |n| {
        let mut bytes = Vec::new();
        head(5, 1, &mut bytes);
        bytes.push(n);
        bytes
    };
    let mut metadata = Vec::new();
    head(7, 9, &mut metadata);
    let mut field = |name: &'static str, value: &[u8]| {
        encode(&Text(name), &mut metadata);
        metadata.extend(value);
    };
    let encoded = |item: &Item| {
        let mut bytes = Vec::new();
        encode(item, &mut bytes);
        bytes
    };
    field("node_count", &encoded(&Number(1)));
    field("record_size", &format(24));
    field("ip_version", &format(4));
    field("database_type", &encoded(&Text(kind)));
    field("languages", &encoded(&List(vec![Text("en")])));
    field("binary_format_major_version", &format(2));
    field("binary_format_minor_version", &format(0));
    let mut epoch = Vec::new();
    head(9, 1, &mut epoch);
    epoch.push(1);
    field("build_epoch", &epoch);
    field("description", &encoded(&Map(vec![])));
    out.extend(metadata);
    out
}

fn english(name: &'static str) -> Item {
    Map(vec![("names", Map(vec![("en", Text(name)), ("de", Text("-"))]))])
}

fn labels(kind: &str, bytes: Vec<u8>, address: &str) -> String {
    let yaml = format!("- regex: {{expression: '(?P<ip>.*)'}}\n- geoip: {{db: /db, source: ip, db_type: {kind}}}");
    let surroundings = Surroundings { databases: BTreeMap::from([("/db".to_owned(), Ok(Arc::from(bytes)))]), ..Surroundings::default() };
    let program = Program::compile_in(&stages(&yaml), &surroundings).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let mut run = Run::new(program, Arc::new(Labels::empty()));
    let mut out = String::new();
    run.line(address.as_bytes(), NOW, &mut |record| out = record.labels.to_string());
    out
}

fn city() -> Vec<u8> {
    let part = |name, code| Map(vec![("iso_code", Text(code)), ("names", Map(vec![("en", Text(name))]))]);
    let record = Map(vec![
        ("city", english("Boxford")),
        ("country", english("United Kingdom")),
        ("continent", Map(vec![("code", Text("EU")), ("names", Map(vec![("en", Text("Europe"))]))])),
        ("location", Map(vec![("latitude", Float(51.75)), ("longitude", Float(-1.25)), ("time_zone", Text("Europe/London"))])),
        ("postal", Map(vec![("code", Text("OX1"))])),
        ("subdivisions", List(vec![part("England", "ENG"), part("West Berkshire", "WBK")])),
    ]);
    database("GeoLite2-City", &record)
}

#[test]
fn a_place() {
    let expected = r#"{geoip_city_name="Boxford", geoip_continent_code="EU", geoip_continent_name="Europe", geoip_country_name="United Kingdom", geoip_location_latitude="51.75", geoip_location_longitude="-1.25", geoip_postal_code="OX1", geoip_subdivision_code="WBK", geoip_subdivision_name="West Berkshire", geoip_timezone="Europe/London"}"#;
    assert_eq!(labels("city", city(), "192.168.1.1"), expected);
    assert_eq!(labels("city", city(), "10.0.0.1"), "{}", "not in the database");
    assert_eq!(labels("city", city(), "nonsense"), "{}");
}

#[test]
fn a_network_and_a_country() {
    let record = Map(vec![("autonomous_system_number", Number(64_500)), ("autonomous_system_organization", Text("Example"))]);
    assert_eq!(
        labels("asn", database("GeoLite2-ASN", &record), "200.0.0.1"),
        r#"{geoip_autonomous_system_number="64500", geoip_autonomous_system_organization="Example"}"#
    );
    let country = Map(vec![("country", Map(vec![("iso_code", Text("GB")), ("names", Map(vec![("en", Text("United Kingdom"))]))]))]);
    assert_eq!(labels("country", database("GeoLite2-Country", &country), "200.0.0.1"), r#"{geoip_country_code="GB", geoip_country_name="United Kingdom"}"#);
}

#[test]
fn a_damaged_database_is_a_mistake_or_changes_nothing() {
    let whole = city();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let yaml = "- regex: {expression: '(?P<ip>.*)'}\n- geoip: {db: /db, source: ip, db_type: city}";
        let surroundings = Surroundings { databases: BTreeMap::from([("/db".to_owned(), Ok(Arc::from(bytes)))]), ..Surroundings::default() };
        if let Ok(program) = Program::compile_in(&stages(yaml), &surroundings) {
            let mut run = Run::new(program, Arc::new(Labels::empty()));
            let mut lines = 0;
            run.line(b"192.168.1.1", NOW, &mut |_| lines += 1);
            assert_eq!(lines, 1);
        }
    }
    let surroundings = Surroundings { databases: BTreeMap::from([("/db".to_owned(), Err("no such file".to_owned()))]), ..Surroundings::default() };
    let mistakes = Program::compile_in(&stages("- geoip: {db: /db, source: ip, db_type: city}"), &surroundings).unwrap_err();
    assert!(mistakes[0].text.ends_with("\"/db\" cannot be used: no such file"), "{}", mistakes[0]);
    assert_eq!(crate::databases(&stages("- match: {selector: '{a=\"b\"}', stages: [{geoip: {db: /x}}]}\n- geoip: {db: /y}\n- geoip: {db: /x}")), ["/x", "/y"]);
}
