use super::*;

fn amount(first: u64, raw: u64) -> Amount {
    Amount { first, last: first, raw }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn much_is_due_at_once_some_after_a_while_and_little_later() {
    let settings = UpkeepSettings { absorb_bytes: 6_400, absorb_after: SECOND * 60, absorb_after_small: SECOND * 300, ..UpkeepSettings::default() };
    let due = |raw, age: u32, late: u32| is_due(&amount(1, raw), SECOND * age, SECOND * late, &settings);
    assert!(due(6_400, 0, 0));
    assert!(!due(6_399, 59, 0));
    assert!(due(6_399, 60, 0));
    assert!(due(100, 60, 0));
    assert!(!due(99, 299, 0));
    assert!(due(99, 300, 0));
    // What belongs to another hub.
    assert!(!due(6_400, 59, 60));
    assert!(due(6_400, 60, 60));
    assert!(!due(99, 359, 60));
    assert!(due(99, 360, 60));
}

#[tokio::test(start_paused = true)]
async fn what_waits_ages_until_it_is_absorbed() {
    let (lane, tenant) = (LaneId(1), TenantId::new("acme").unwrap());
    let mut ages = Ages::default();
    let start = Instant::now();
    let note = |ages: &mut Ages, first: u64, at: u32| ages.note(lane, &[(tenant.clone(), amount(first, 1))].into(), start + SECOND * at);
    note(&mut ages, 5, 0);
    note(&mut ages, 5, 10);
    assert_eq!(ages.age(lane, &tenant, start + SECOND * 10), SECOND * 10);
    ages.note(LaneId(2), &BTreeMap::new(), start);
    assert_eq!(ages.age(lane, &tenant, start + SECOND * 10), SECOND * 10, "another lane");
    note(&mut ages, 9, 20);
    assert_eq!(ages.age(lane, &tenant, start + SECOND * 21), SECOND);
    ages.note(lane, &BTreeMap::new(), start + SECOND * 30);
    assert_eq!(ages.age(lane, &tenant, start + SECOND * 31), Duration::ZERO);
}

#[test]
fn each_job_belongs_to_one_of_those_alive() {
    let hubs = ["hub-a", "hub-b", "hub-c"];
    let mut shares = [0; 3];
    for job in 0..300 {
        let key = format!("lane-{job}");
        let mine: Vec<bool> = hubs.iter().map(|me| is_mine(&key, me, hubs.into_iter())).collect();
        assert_eq!(mine.iter().filter(|mine| **mine).count(), 1);
        for (share, mine) in shares.iter_mut().zip(mine) {
            *share += u32::from(mine);
        }
    }
    assert!(shares.iter().all(|share| (60..140).contains(share)), "{shares:?}");
    assert!(is_mine("any", "alone", std::iter::empty()));
}
