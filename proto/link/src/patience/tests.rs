//! Tests of `patience`.

use std::future::pending;
use std::time::Duration;

use tokio::time::sleep;

use super::*;

#[tokio::test(start_paused = true)]
async fn an_edge_that_says_nothing_or_dribbles_is_waited_for_once() {
    for (bytes, every) in [(0, Duration::from_secs(1)), (1, Duration::from_secs(1)), (100, Duration::from_millis(25))] {
        let heard = Heard::default();
        let mut patience = Patience::new(Side::Edge, heard.clone());
        let started = Instant::now();
        loop {
            let Some(()) = patience.wait(sleep(every)).await else { break };
            heard.add(bytes);
        }
        assert_eq!(started.elapsed(), PATIENCE, "{bytes} bytes each {every:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_message_over_a_slow_link_is_waited_for() {
    let heard = Heard::default();
    let mut patience = Patience::new(Side::Edge, heard.clone());
    for _ in 0..600 {
        assert_eq!(patience.wait(sleep(Duration::from_secs(1))).await, Some(()));
        heard.add(4 * 1024 + 200);
    }
}

#[tokio::test(start_paused = true)]
async fn time_in_which_this_side_does_not_read_does_not_count() {
    let mut patience = Patience::new(Side::Edge, Heard::default());
    for _ in 0..5 {
        sleep(Duration::from_secs(3600)).await;
        patience.renew();
        assert_eq!(patience.wait(sleep(Duration::from_secs(29))).await, Some(()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hub_may_be_silent_for_ever() {
    let mut patience = Patience::new(Side::Hub, Heard::default());
    assert!(tokio::time::timeout(Duration::from_secs(1_000_000), patience.wait(pending::<()>())).await.is_err());
}
