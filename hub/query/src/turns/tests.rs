//! Turns: nobody is kept waiting by another's flood, no slot is lost, a full queue refuses.

use std::sync::Arc;
use std::time::Duration;

use proto_model::TenantId;
use tokio::time::Instant;

use super::*;

/// Of a tenant of that name.
fn grant(tenant: &str) -> Grant {
    let map = format!("version: 1\ntenants: {{{tenant}: {{clusters: [{tenant}]}}}}");
    hub_tenant::Tenants::parse("tenants.yaml", &map).unwrap().identify(&proto_model::ClusterId::new(tenant).unwrap()).unwrap()
}

const RULES: Rules = Rules { at_once: 4, at_once_tenant: 3, waiting_max: 100, waiting_max_tenant: 50 };

fn turns(rules: Rules) -> Arc<Turns> {
    Turns::new(rules, Gauge::default())
}

/// A query of that many milliseconds; how long it took from asking to its end.
fn ask(turns: &Arc<Turns>, tenant: &str, takes_ms: u64) -> tokio::task::JoinHandle<Result<Duration, QueryFault>> {
    let (turns, grants) = (Arc::clone(turns), [grant(tenant)]);
    tokio::spawn(async move {
        let began = Instant::now();
        let _turn = turns.take(&grants).await?;
        tokio::time::sleep(Duration::from_millis(takes_ms)).await;
        Ok(began.elapsed())
    })
}

fn is_idle(turns: &Turns) -> bool {
    let state = turns.state();
    state.running == 0 && state.waiting == 0 && state.tenants.is_empty() && turns.waiting.get() == 0
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_tenant_does_not_delay_the_light_queries_of_another() {
    let turns = Turns::new(Rules::default(), Gauge::default());
    // 1,000 queries of 10 s from one tenant, and as many as may wait from six others.
    let flood: Vec<_> = (0..1_000).map(|_| ask(&turns, "alpha", 10_000)).collect();
    let mut light = Vec::new();
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        light.push(ask(&turns, "beta", 20).await.unwrap().unwrap());
    }
    light.sort();
    assert!(light[197] <= Duration::from_millis(25), "p99 of the other tenant: {:?}", light[197]);
    let mut refused = 0;
    for asked in flood {
        match asked.await.unwrap() {
            Ok(_) => {}
            Err(fault) => {
                let text = format!(
                    "too many outstanding requests: {TENANT_QUERIES_AT_ONCE} queries of the tenant run and {TENANT_QUERIES_WAITING_MAX} wait; ask again later"
                );
                assert_eq!((fault.status(), fault.to_string()), (429, text));
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 1_000 - TENANT_QUERIES_AT_ONCE - TENANT_QUERIES_WAITING_MAX);
    assert!(is_idle(&turns));
}

#[tokio::test(start_paused = true)]
async fn when_all_slots_are_taken_tenants_have_them_in_rounds() {
    let turns = turns(RULES);
    let floods: Vec<_> = ["alpha", "beta"].iter().flat_map(|tenant| (0..40).map(|_| ask(&turns, tenant, 1_000)).collect::<Vec<_>>()).collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    // 76 wait; one of a third tenant has the second slot that is free, at the latest.
    let other = ask(&turns, "gamma", 10).await.unwrap().unwrap();
    assert!(other <= Duration::from_millis(1_011), "{other:?}");
    for asked in floods {
        asked.await.unwrap().unwrap();
    }
    assert!(is_idle(&turns));
}

#[tokio::test(start_paused = true)]
async fn one_tenant_alone_leaves_a_slot_and_runs_all_it_asked_in_order() {
    let turns = turns(RULES);
    let began = Instant::now();
    let asked: Vec<_> = (0..30).map(|_| ask(&turns, "alpha", 100)).collect();
    let mut last = Duration::ZERO;
    for asked in asked {
        let took = asked.await.unwrap().unwrap();
        assert!(took >= last, "first come, first served");
        last = took;
    }
    assert_eq!(began.elapsed().as_millis() / 100, 10, "30 queries of 100 ms, 3 at once");
}

#[tokio::test(start_paused = true)]
async fn a_query_given_up_loses_no_slot_whenever_that_is() {
    let turns = turns(RULES);
    for round in 0..200_u64 {
        let asked: Vec<_> = (0..20).map(|at| ask(&turns, ["alpha", "beta", "gamma"][at % 3], 5 + round % 7)).collect();
        tokio::time::sleep(Duration::from_millis(round % 23)).await;
        for (at, asked) in asked.into_iter().enumerate() {
            if (at as u64 + round).is_multiple_of(2) {
                asked.abort();
            } else {
                asked.await.unwrap().unwrap();
            }
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(is_idle(&turns), "{turns:?}");
}

#[tokio::test(start_paused = true)]
async fn the_whole_queue_is_bounded_too() {
    let turns = turns(Rules { waiting_max: 10, ..RULES });
    let asked: Vec<_> = (0..20).map(|at| ask(&turns, &format!("tenant-{}", at % 5), 10)).collect();
    let mut refused = 0;
    for asked in asked {
        refused += usize::from(matches!(asked.await.unwrap(), Err(QueryFault::Busy { .. })));
    }
    assert_eq!(refused, 20 - 4 - 10);
    assert!(is_idle(&turns));
    assert!(turns.take(&[]).await.is_ok(), "a query over nothing");
}

#[test]
fn the_round_goes_on_behind_the_last() {
    let tenant = |name: &str| TenantId::new(name).unwrap();
    let mut state = State::default();
    for name in ["a", "b", "c"] {
        let (sender, _) = oneshot::channel();
        state.tenants.entry(tenant(name)).or_default().queue.push_back((0, sender));
    }
    assert_eq!(state.next(1), Some(tenant("a")));
    state.last = Some(tenant("a"));
    assert_eq!(state.next(1), Some(tenant("b")));
    state.tenants.get_mut(&tenant("b")).unwrap().running = 1;
    assert_eq!(state.next(1), Some(tenant("c")));
    state.last = Some(tenant("c"));
    assert_eq!(state.next(1), Some(tenant("a")));
}
