//! Claims: one at a time, kept for an hour, bounded.

use super::*;

fn key(n: u64) -> Key {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&n.to_be_bytes());
    key
}

#[tokio::test(start_paused = true)]
async fn a_key_is_claimed_once_within_the_hour() {
    let repeats = Repeats::default();
    repeats.claim(key(1)).await.unwrap().taken();
    assert!(repeats.claim(key(1)).await.is_none());
    tokio::time::advance(KEPT).await;
    assert!(repeats.claim(key(1)).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_it_is_under_way_waits_for_its_outcome() {
    let repeats = Repeats::default();
    let first = repeats.claim(key(1)).await.unwrap();
    let [second, third] = [(); 2].map(|()| {
        let repeats = repeats.clone();
        tokio::spawn(async move { repeats.claim(key(1)).await.map(Claim::taken).is_some() })
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!second.is_finished() && !third.is_finished());
    drop(first);
    // It was given up: one of them takes its place, the other is a repeat of that.
    let outcomes = [second.await.unwrap(), third.await.unwrap()];
    assert_eq!(outcomes.into_iter().filter(|taken| *taken).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_are_bounded() {
    let repeats = Repeats::default();
    for n in 0..KEYS_MAX as u64 + 100 {
        repeats.claim(key(n)).await.unwrap().taken();
    }
    {
        let books = repeats.0.lock().unwrap();
        assert!(books.known.len() <= KEYS_MAX && books.order.len() <= KEYS_MAX);
    }
    for _ in 0..2 * KEYS_MAX {
        drop(repeats.claim(key(7_000_000)).await);
    }
    assert!(repeats.0.lock().unwrap().order.len() <= KEYS_MAX, "a key that is given up again and again takes no more");
}
