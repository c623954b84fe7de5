//! What is told of losses, in words.

use hub_store::Loss;
use proto_model::{ClusterId, EdgeId, TenantId, TimeRange, Timestamp};

use super::of_losses;

const SECOND: i64 = 1_000_000_000;

fn loss(edge: &str, from_s: i64, to_s: i64, lines: Option<u64>) -> Loss {
    Loss {
        tenant: TenantId::new("acme").unwrap(),
        cluster: ClusterId::new("alpha").unwrap(),
        edge: EdgeId::new(edge).unwrap(),
        source: String::new(),
        reason: "drop_oldest".to_owned(),
        from_ns: from_s * SECOND,
        to_ns: to_s * SECOND,
        lines,
        bytes: None,
    }
}

fn seconds(start: i64, end: i64) -> TimeRange {
    TimeRange { start: Timestamp(start * SECOND), end: Timestamp(end * SECOND) }
}

#[test]
fn a_loss_is_told_when_it_touches_what_is_read() {
    let told = |range| of_losses(vec![loss("node-1", 100, 160, Some(120))], &[seconds(0, 10), range]);
    let text = "lines missing: 120 lines of edge alpha/node-1 between 1970-01-01T00:01:40Z and 1970-01-01T00:02:40Z (reason drop_oldest)";
    assert_eq!(told(seconds(160, 170)), [text]);
    assert_eq!(told(seconds(0, 200)), [text]);
    // The end of a range is outside, the end of a loss inside.
    assert!(told(seconds(50, 100)).is_empty());
    assert!(told(seconds(161, 200)).is_empty());
    assert!(of_losses(vec![loss("node-1", 100, 160, Some(120))], &[]).is_empty());
}

#[test]
fn unknown_numbers_sources_and_tenants_are_said() {
    let mut other = loss("node-2", 7, 7, None);
    other.source = "/var/log/app.log".to_owned();
    other.tenant = TenantId::new("blue").unwrap();
    let told = of_losses(vec![loss("node-1", 5, 6, Some(1)), other], &[seconds(0, 10)]);
    assert_eq!(
        told,
        [
            "lines missing: an unknown number of lines of edge alpha/node-2 of source /var/log/app.log for tenant blue at 1970-01-01T00:00:07Z (reason drop_oldest)",
            "lines missing: 1 line of edge alpha/node-1 for tenant acme between 1970-01-01T00:00:05Z and 1970-01-01T00:00:06Z (reason drop_oldest)",
        ]
    );
}

#[test]
fn a_few_are_told_and_the_rest_is_summed() {
    let mut losses: Vec<_> = (0..10).map(|at| loss(&format!("node-{at}"), at, at + 1, Some(10 + at.unsigned_abs()))).collect();
    losses.extend((0..4).map(|at| loss("node-x", 50 + at, 51 + at, None)));
    let told = of_losses(losses, &[seconds(0, 100)]);
    assert_eq!(told.len(), 4);
    assert!(told[..3].iter().all(|text| text.starts_with("lines missing: an unknown number of lines of edge alpha/node-x ")), "{told:?}");
    // 10 + 11 + .. + 19.
    assert_eq!(
        told[3],
        "lines missing: 145 lines and 1 times an unknown number of lines in 11 more places between 1970-01-01T00:00:00Z and 1970-01-01T00:00:54Z"
    );
}
