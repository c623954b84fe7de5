use std::collections::BTreeMap;

use super::*;

fn there() -> Partitions {
    [("a".to_owned(), vec![2, 0, 1]), ("b".to_owned(), vec![0, 1])].into()
}

fn members(all: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    all.iter().map(|(member, topics)| ((*member).to_owned(), topics.iter().map(|topic| (*topic).to_owned()).collect())).collect()
}

#[test]
fn ranges_are_neighbours_and_turns_go_round() {
    let two = members(&[("m1", &["a", "b"]), ("m2", &["a", "b"])]);
    let ranges = share(KafkaAssignor::Range, &two, &there());
    assert_eq!(ranges["m1"], [("a".to_owned(), vec![0, 1]), ("b".to_owned(), vec![0])].into());
    assert_eq!(ranges["m2"], [("a".to_owned(), vec![2]), ("b".to_owned(), vec![1])].into());
    let turns = share(KafkaAssignor::RoundRobin, &two, &there());
    assert_eq!(turns["m1"], [("a".to_owned(), vec![0, 2]), ("b".to_owned(), vec![1])].into());
    assert_eq!(turns["m2"], [("a".to_owned(), vec![1]), ("b".to_owned(), vec![0])].into());
}

#[test]
fn nobody_is_given_what_it_does_not_read_and_all_that_is_read_is_given_once() {
    let three = members(&[("m1", &["a"]), ("m2", &["b"]), ("m3", &["a", "b", "none"])]);
    for assignor in [KafkaAssignor::Range, KafkaAssignor::RoundRobin] {
        let shares = share(assignor, &three, &there());
        assert!(!shares["m1"].contains_key("b") && !shares["m2"].contains_key("a"));
        let mut all: Vec<(String, i32)> =
            shares.values().flat_map(|share| share.iter().flat_map(|(topic, all)| all.iter().map(|one| (topic.clone(), *one)))).collect();
        all.sort();
        assert_eq!(all.len(), 5);
        all.dedup();
        assert_eq!(all.len(), 5);
        for share in shares.values() {
            assert_eq!(partitions_of(&assignment(share)).unwrap(), *share);
        }
    }
    assert_eq!(topics_of(&subscription(["x".to_owned(), "y".to_owned()].iter())).unwrap(), ["x", "y"]);
    assert_eq!(partitions_of(&[]).unwrap(), Partitions::new());
    assert!(partitions_of(&[0, 0, 0, 0, 0, 9]).is_err());
}
