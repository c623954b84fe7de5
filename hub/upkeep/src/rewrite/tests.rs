//! What a footer tells before a block is read.

use hub_segment::{Kind, SegmentBuilder, limits};
use hub_store::Delete;
use proto_model::TimeRange;

use super::*;

fn deletion(query: &str, end: i64) -> Arc<Deletion> {
    let range = TimeRange { start: Timestamp(0), end: Timestamp(end) };
    let delete = Delete { number: 4, query: query.to_owned(), range, accepted: Timestamp(0), heads: BTreeMap::new(), pieces: 0, lines: 0, done: None };
    Arc::new(Deletion::new(&delete).unwrap())
}

/// Streams a and b, three lines each at 1, 2, 3.
fn footer() -> Footer {
    let mut builder = SegmentBuilder::new(Kind::Odd);
    for app in ["a", "b"] {
        let labels = Arc::new(Labels::from_pairs([("app", app)]));
        (1..4).for_each(|at| builder.push(&labels, Timestamp(at), 255, [], b"x"));
    }
    let built = builder.finish().unwrap();
    let from = usize::try_from(built.facts.footer_offset).unwrap();
    assert!(built.bytes.len() < limits::BLOCK_BYTES);
    Footer::read(&built.bytes.slice(from..from + built.facts.footer_length as usize), &built.facts).unwrap()
}

#[test]
fn a_footer_tells_what_need_not_be_read() {
    let told = |queries: &[(&str, i64)]| look(&footer(), &queries.iter().map(|(query, end)| deletion(query, *end)).collect::<Vec<_>>());
    assert_eq!(told(&[]), Meant::Nothing);
    assert_eq!(told(&[(r#"{app="c"}"#, 9)]), Meant::Nothing);
    assert_eq!(told(&[(r#"{app=~"a|b"}"#, 4)]), Meant::All(Lines::from([(4, 6)])));
    assert_eq!(told(&[(r#"{app="a"}"#, 9), (r#"{app="b"}"#, 9)]), Meant::All(Lines::from([(4, 6)])));
    assert_eq!(told(&[(r#"{app="a"}"#, 9)]), Meant::Some);
    assert_eq!(told(&[(r#"{app=~"a|b"}"#, 3)]), Meant::Some, "a line is later");
    assert_eq!(told(&[(r#"{app=~"a|b"} |= "y""#, 9)]), Meant::Some, "only lines tell");
}
