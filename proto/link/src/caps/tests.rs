//! Tests of `caps`.

use super::*;

#[test]
fn seats_are_counted_in_all_and_for_each_and_come_back() {
    let caps = Caps::with_limits(3, 2);
    let (one, _two) = (caps.enter("a".to_owned()).unwrap(), caps.enter("a".to_owned()).unwrap());
    let _three = caps.enter("b".to_owned()).unwrap();
    assert_eq!(caps.enter("c".to_owned()).unwrap_err(), "the hub has 3 sessions, as many as it takes");
    assert_eq!(caps.sessions(), 3);
    drop(one);
    assert_eq!(caps.sessions(), 2);
    let four = caps.enter("a".to_owned()).unwrap();
    drop(four);
    assert!(caps.0.lock().keys.contains_key("a") && caps.0.lock().keys.contains_key("b"));
}

#[tokio::test]
async fn who_comes_once_more_than_it_may_takes_the_seat_of_its_oldest() {
    let caps = Caps::with_limits(5, 2);
    let seats: Vec<_> = (0..3).map(|_| caps.enter("a".to_owned()).unwrap()).collect();
    seats[0].replaced().await;
    for kept in &seats[1..] {
        assert!(tokio::time::timeout(std::time::Duration::from_millis(10), kept.replaced()).await.is_err());
    }
    assert_eq!(caps.sessions(), 3);
    drop(seats);
    assert_eq!((caps.sessions(), caps.0.lock().keys.len()), (0, 0));
}

#[test]
fn a_key_without_seats_is_forgotten() {
    let gate = Gate::new();
    let seats: Vec<_> = (0..HANDSHAKES_PER_ADDRESS_MAX).map(|_| gate.enter([10, 0, 0, 1].into()).unwrap()).collect();
    assert!(gate.enter([10, 0, 0, 1].into()).is_err());
    assert!(gate.enter([10, 0, 0, 2].into()).is_ok());
    drop(seats);
    assert_eq!((gate.in_flight(), gate.0.lock().keys.len()), (0, 0));
}
