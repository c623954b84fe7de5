//! Tests: packed lines, lines that are not, broken ones.

use proptest::prelude::*;

use super::*;

type Unpacked = (Vec<(String, String)>, Result<Option<String>, JsonFault>);

fn unpacked(line: &[u8]) -> Unpacked {
    let mut labels = Vec::new();
    let entry = unpack(line, &mut |name, value| labels.push((name.to_owned(), value.to_owned())));
    (labels, entry.map(|entry| entry.map(Cow::into_owned)))
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn packed_lines_give_their_labels_and_their_line() {
    let line = br#"{"container": "c1", "_entry": "a \"line\"\n", "k8s/pod": "p", "num": 1, "o": {"x": "y"}}"#;
    assert_eq!(unpacked(line), (pairs(&[("container", "c1"), ("k8s_pod", "p")]), Ok(Some("a \"line\"\n".into()))));
    assert_eq!(unpacked(br#"{"_entry":"","a":"b"}"#), (pairs(&[("a", "b")]), Ok(Some(String::new()))));
    assert_eq!(unpacked(b"{\"_entry\":\"x\xff\",\"1a\":\"\xff\"}"), (pairs(&[("_1a", " ")]), Ok(Some("x ".into()))));
}

#[test]
fn other_lines_give_nothing() {
    for line in [&b""[..], b"{}", br#"{"container":"noentry"}"#, br#"{"_entry":5,"a":"b"}"#] {
        assert_eq!(unpacked(line), (vec![], Ok(None)));
    }
    for (line, fault) in [
        (&b"text"[..], "expecting json object(6), but it is not"),
        (b"42", "expecting json object(6), but it is not"),
        (b"[\"_entry\"]", "expecting json object(6), but it is not"),
        (br#"{"a":}"#, "Unknown value type"),
        (br#"{"a":"b","_entry":"x""#, "Value is array, but can't find closing ']' symbol"),
        (br#"{"a":{"b":1}"#, "Value is array, but can't find closing ']' symbol"),
    ] {
        let (labels, entry) = unpacked(line);
        assert_eq!((labels, entry.unwrap_err().to_string().as_str()), (vec![], fault));
    }
}

proptest! {
    #[test]
    fn what_was_packed_is_unpacked(labels in prop::collection::btree_map("[a-z]{1,8}", "\\PC{0,8}", 0..5), entry in ".{0,24}") {
        let mut object: serde_json::Map<String, serde_json::Value> = labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        object.insert("_entry".into(), entry.as_str().into());
        let line = serde_json::to_string(&object).unwrap();
        let plain = |text: &str| text.replace('\u{fffd}', " ");
        let wanted = labels.iter().map(|(name, value)| (name.clone(), plain(value))).collect::<Vec<_>>();
        prop_assert_eq!(unpacked(line.as_bytes()), (wanted, Ok(Some(plain(&entry)))));
    }

    #[test]
    fn bytes_never_panic_and_faults_emit_nothing(line in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'{'), Just(b'"'), Just(b':'), Just(b'}')], 0..48)) {
        let (labels, entry) = unpacked(&line);
        prop_assert!(labels.is_empty() || entry.is_ok_and(|entry| entry.is_some()));
    }
}
