use super::*;

#[test]
fn stamps_are_those_of_the_kubelet_and_of_logrotate() {
    let dated = |digits: &str| Some(Stamp::Dated(digits.to_owned()));
    for (suffix, expected) in [
        (".20260102-030405", dated("20260102030405")),
        ("-20260102", dated("20260102")),
        ("-2026-01-02T03:04:05", dated("20260102030405")),
        (".1700000000", dated("1700000000")),
        (".1", Some(Stamp::Numbered(1))),
        ("-12", Some(Stamp::Numbered(12))),
        (".old", Some(Stamp::Numbered(1))),
        ("", None),
        ("1", None),
        (".err", None),
        (".1.err", None),
        (".copy", None),
        (".", None),
        ("-", None),
    ] {
        assert_eq!(Stamp::of(suffix), expected, "{suffix}");
    }
}

fn at(name: &str, modified_ns: i64) -> Sibling {
    let stamp = Stamp::of(name).unwrap();
    Sibling { at: PathBuf::from(name), identity: FileIdentity::default(), len: 0, modified_ns, stamp, packing: None }
}

#[test]
fn dates_tell_the_order_and_times_where_there_are_none() {
    let mut all = [at("-20260102", 1), at("-20260101", 3), at("-20251231", 2)];
    sort(&mut all);
    assert_eq!(all.map(|sibling| sibling.at), ["-20251231", "-20260101", "-20260102"].map(PathBuf::from));
    let mut all = [at(".1", 1), at(".3", 3), at(".2", 2)];
    sort(&mut all);
    assert_eq!(all.map(|sibling| sibling.at), [".1", ".2", ".3"].map(PathBuf::from), "by time");
    let mut all = [at("-20260103", 1), at(".1", 2), at("-20260102", 3)];
    sort(&mut all);
    assert_eq!(all.map(|sibling| sibling.at), ["-20260103", ".1", "-20260102"].map(PathBuf::from), "by time");
}

#[test]
fn what_came_after_a_file_is_told_by_where_it_lies_or_by_what_was_there_before() {
    let stamp = Stamp::Dated("20260102".to_owned());
    let known = Anchor { stamp: Some(&stamp), after: "20260101", modified_ns: 50 };
    assert!(known.precedes(&at("-20260103", 1)), "packed later or not, its name is later");
    assert!(!known.precedes(&at("-20260101", 99)), "packed after the anchor was written last");
    let number = Stamp::Numbered(3);
    let known = Anchor { stamp: Some(&number), after: "", modified_ns: 50 };
    assert!(known.precedes(&at(".2", 51)) && known.precedes(&at(".4", 51)) && !known.precedes(&at(".2", 50)));
    // It is nowhere.
    let lost = Anchor { stamp: None, after: "20260101", modified_ns: 50 };
    assert!(lost.precedes(&at("-20260102", 1)) && !lost.precedes(&at("-20260101", 99)));
    assert!(lost.precedes(&at(".1", 51)) && !lost.precedes(&at(".1", 50)));
    let unknown = Anchor { stamp: None, after: "", modified_ns: 0 };
    assert!(!unknown.precedes(&at("-20260102", 99)) && !unknown.precedes(&at(".1", 99)), "nothing is known: nothing is claimed");
}
