//! What is answered where a caller takes a part: after damage and after the timeout.

use super::*;
use crate::rig::{Door, Meets};

fn partial(partial: bool, timeout: Duration) -> Limits {
    Limits { partial, query_timeout: timeout, max_query_length: Duration::ZERO, ..Limits::default() }
}

async fn logs(engine: &Engine, limits: &Limits) -> Result<LogAnswer, QueryFault> {
    let range = TimeRange { start: Timestamp(0), end: Timestamp(1_000) };
    engine.logs(&[grant("alpha")], &LogRequest::new(log(r#"{app="a"}"#), range, 100, Direction::Forward, limits)?, limits).await
}

async fn counted(engine: &Engine, limits: &Limits) -> Result<VectorAnswer, QueryFault> {
    let expr = metric(r#"sum(count_over_time({app="a"} |= "line" [1s]))"#);
    engine.instant(&[grant("alpha")], &InstantRequest::new(expr, Timestamp(1_000), limits)?, limits).await
}

fn value(answer: &VectorAnswer) -> f64 {
    match &answer.value {
        InstantValue::Vector(samples) => samples[0].value,
        InstantValue::Scalar(..) => panic!("{answer:?}"),
    }
}

fn texts(answer: &LogAnswer) -> Vec<String> {
    entries(answer).into_iter().map(|(_, text)| text).collect()
}

#[tokio::test]
async fn damage_leaves_the_rest_where_a_part_is_taken() {
    let mut objects: Vec<_> = (1..=3_i64).map(|at| (grant("alpha"), batch(&[line("a", at, format!("line {at}"))], at.unsigned_abs()))).collect();
    let mut body = objects[1].1.body.to_vec();
    *body.last_mut().unwrap() ^= 0xff;
    objects[1].1.body = body.into();
    let engine = engine_of_batches(objects).await;
    let whole = partial(false, Duration::ZERO);
    assert!(matches!(logs(&engine, &whole).await, Err(QueryFault::Damaged { .. })));
    assert!(matches!(counted(&engine, &whole).await, Err(QueryFault::Damaged { .. })));

    let part = partial(true, Duration::ZERO);
    let answer = logs(&engine, &part).await.unwrap();
    assert_eq!(texts(&answer), ["line 1", "line 3"]);
    assert!(matches!(&answer.warnings[..], [only] if only.starts_with("partial answer: ") && only.contains("cannot be read")), "{:?}", answer.warnings);
    let answer = counted(&engine, &part).await.unwrap();
    assert_eq!((value(&answer), answer.warnings.len()), (2.0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_leaves_what_was_found_where_a_part_is_taken() {
    let memory = Arc::new(InMemory::new());
    let objects = (1..=3_i64).map(|at| (grant("alpha"), batch(&[line("a", at, format!("line {at}"))], at.unsigned_abs()))).collect();
    engine_in(Arc::clone(&memory), objects).await;
    for is_log in [true, false] {
        // A hub that has read nothing yet, on a way that is slow for the lines between.
        let door = Door::new(Arc::clone(&memory));
        let engine = engine_in(Arc::clone(&door), Vec::new()).await;
        engine.store.follow_round().await.unwrap();
        let between = engine.store.view().sections(&grant("alpha"), TimeRange::ALL)[1].clone();
        door.tell(format!("lanes/{}/log/{:020}", between.lane, between.number), Meets::Delay(Duration::from_secs(600)));
        let (whole, part) = (partial(false, Duration::from_secs(2)), partial(true, Duration::from_secs(2)));
        let asked = Instant::now();
        if is_log {
            assert!(matches!(logs(&engine, &whole).await, Err(QueryFault::Timeout)));
            let answer = logs(&engine, &part).await.unwrap();
            let found = texts(&answer);
            assert!(found.contains(&"line 1".to_owned()) && !found.contains(&"line 2".to_owned()), "{found:?}");
            assert!(matches!(&answer.warnings[..], [only] if only.starts_with("partial answer: ") && only.contains("timed out")), "{:?}", answer.warnings);
        } else {
            assert!(matches!(counted(&engine, &whole).await, Err(QueryFault::Timeout)));
            let answer = counted(&engine, &part).await.unwrap();
            assert!((1.0..3.0).contains(&value(&answer)) && answer.warnings.len() == 1, "{answer:?}");
        }
        assert!(asked.elapsed() < Duration::from_secs(5), "each within its timeout: {:?}", asked.elapsed());
    }
}
