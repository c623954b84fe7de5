use super::*;

#[tokio::test(start_paused = true)]
async fn who_is_held_waits_the_longest_of_what_it_was_told() {
    let sender = Sender::default();
    assert_eq!(sender.wait(), None);
    sender.ready().await;
    let began = Instant::now();
    sender.hold(Duration::from_secs(5));
    sender.hold(Duration::from_secs(2));
    assert_eq!(sender.wait(), Some(Duration::from_secs(5)));
    sender.ready().await;
    assert!((5_000..5_010).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!(sender.wait(), None);
}

#[tokio::test(start_paused = true)]
async fn callers_are_told_apart_and_bounded() {
    let callers = Callers::default();
    let at = |n: u32| IpAddr::from(n.to_be_bytes());
    callers.caller(at(1), "a").hold(Duration::from_secs(60));
    assert!(callers.caller(at(1), "a").wait().is_some());
    assert!(callers.caller(at(1), "b").wait().is_none() && callers.caller(at(2), "a").wait().is_none());
    let mapped = IpAddr::from(std::net::Ipv4Addr::from(1_u32.to_be_bytes()).to_ipv6_mapped());
    assert!(callers.caller(mapped, "a").wait().is_some(), "the same address, written as IPv6");
    for n in 0..20_000 {
        drop(callers.caller(at(n), "x"));
    }
    assert!(callers.caller(at(1), "a").wait().is_some(), "who waits is not forgotten");
    for n in 0..20_000 {
        callers.caller(at(n), "y").hold(Duration::from_secs(1));
    }
    let count = || callers.0.lock().unwrap_or_else(PoisonError::into_inner).len();
    assert!(count() <= CALLERS_MAX + 1, "{}", count());
    assert!(callers.caller(at(19_999), "y").wait().is_some(), "what came after shares one");
    tokio::time::sleep(Duration::from_secs(61)).await;
    drop(callers.caller(at(77), "z"));
    assert_eq!(count(), 1, "who waits no more is forgotten");
}
