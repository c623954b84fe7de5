//! Pages: every line once, in order, whatever the limit, the direction, equal times, or what is absorbed meanwhile.

use std::sync::Arc;

use hub_upkeep::{Upkeep, UpkeepMetrics, UpkeepSettings};

use super::*;
use crate::answer::LogAnswer;
use crate::budget::Limits;
use crate::engine::Engine;
use crate::request::LogRequest;
use crate::rig::{Line, batch, engine, entries, grant, line, log, put};

async fn ask(engine: &Engine, limit: i64, direction: Direction, page: Page) -> Result<LogAnswer, QueryFault> {
    let limits = Limits::default();
    let range = TimeRange { start: Timestamp(0), end: Timestamp(1_000) };
    let mut request = LogRequest::new(log("{app=~\".+\"}"), range, limit, direction, &limits)?;
    request.page = Some(page);
    engine.logs(&[grant("alpha")], &request, &limits).await
}

async fn all(engine: &Engine, limit: i64, direction: Direction) -> Vec<Vec<(i64, String)>> {
    let (mut page, mut pages) = (Page::First, Vec::new());
    loop {
        let answer = ask(engine, limit, direction, page).await.unwrap();
        let mut found = entries(&answer);
        assert!(found.len() <= usize::try_from(limit).unwrap());
        if direction == Direction::Forward {
            found.sort_by_key(|(time, _)| *time)
        } else {
            found.sort_by_key(|(time, _)| -time)
        }
        pages.push(found);
        let Some(cursor) = answer.cursor else { return pages };
        // Through its text, as a client sends it.
        page = Page::At(cursor.to_string().parse().unwrap());
        assert!(pages.len() < 1_000, "the pages end");
    }
}

/// Times with one, several and very many lines, among them lines that say the same.
fn lines() -> Vec<Vec<Line>> {
    let mut all = vec![line("web", 5, "a"), line("db", 5, "b"), line("web", 7, "c")];
    all.extend((0..40).map(|n| line("web", 9, format!("many {n}"))));
    all.extend((0..15).map(|_| line("web", 9, "same")));
    all.extend((0..5).map(|_| line("db", 9, "same")));
    all.push(line("web", 12, "last"));
    all.chunks(7).map(<[Line]>::to_vec).collect()
}

#[tokio::test]
async fn pages_hold_every_line_once_in_order() {
    let engine = engine(&lines()).await;
    let mut expected: Vec<(i64, String)> = lines().concat().into_iter().map(|(_, time, _, _, text)| (time, text)).collect();
    expected.sort();
    for direction in [Direction::Forward, Direction::Backward] {
        for limit in [1, 2, 3, 7, 59, 60, 61, 64, 65, 1_000] {
            let pages = all(&engine, limit, direction).await;
            let mut found: Vec<_> = pages.concat();
            let times: Vec<i64> = found.iter().map(|(time, _)| *time).collect();
            assert!(times.is_sorted_by(|a, b| if direction == Direction::Forward { a <= b } else { a >= b }), "{limit} {direction:?}");
            found.sort();
            assert_eq!(found, expected, "limit {limit}, {direction:?}");
        }
    }
}

#[tokio::test]
async fn a_page_ends_between_two_times_where_it_can() {
    let engine = engine(&lines()).await;
    let pages = all(&engine, 4, Direction::Forward).await;
    let mut first: Vec<&str> = pages[0].iter().map(|(_, text)| text.as_str()).collect();
    first.sort_unstable();
    assert_eq!(first, ["a", "b", "c"], "the lines of 9 do not fit");
    assert_eq!(pages[1].len(), 4, "one time alone is cut");
    assert_eq!(all(&engine, 1_000, Direction::Forward).await.len(), 1);
}

#[tokio::test]
async fn a_cursor_of_something_else_is_refused() {
    let engine = engine(&lines()).await;
    for text in ["", "f", "f.x", "f.1.zz.1", "f.1.00000000000000000000000000000001", "f.1.00000000000000000000000000000001.0", "f.1.2.3.4", "x.1"] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
    for text in ["b.5", "f.1000", "f.-1"] {
        let page = Page::At(text.parse().unwrap());
        assert!(matches!(ask(&engine, 5, Direction::Forward, page).await, Err(QueryFault::Request(_))), "{text}");
    }
    let back: Cursor = "b.-5.0000000000000000000000000000000a.3".parse().unwrap();
    assert_eq!(back.to_string(), "b.-5.0000000000000000000000000000000a.3");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_line_once_while_lines_are_absorbed_and_others_come() {
    for (direction, late) in [(Direction::Forward, 0), (Direction::Backward, 999)] {
        let engine = engine(&lines()).await;
        let upkeep = Upkeep::new(Arc::clone(&engine.store), engine.world.clone(), UpkeepSettings::default(), UpkeepMetrics::default());
        let mut expected: Vec<(i64, String)> = lines().concat().into_iter().map(|(_, time, _, _, text)| (time, text)).collect();
        let (mut page, mut found, mut pages) = (Page::First, Vec::new(), 0_u64);
        loop {
            // A line behind the cursor is in no later page; those before it are, wherever they stand by then.
            let came = batch(&[line("web", late, format!("late {pages}"))], 1_000 + pages);
            let absorbing = async {
                put(&engine.store, vec![(grant("alpha"), came)]).await;
                upkeep.absorb_all(None).await.unwrap();
            };
            let asking = ask(&engine, 5, direction, page);
            let answer = if pages == 0 { asking.await.unwrap() } else { tokio::join!(absorbing, asking).1.unwrap() };
            found.extend(entries(&answer));
            pages += 1;
            let Some(cursor) = answer.cursor else { break };
            page = Page::At(cursor.to_string().parse().unwrap());
        }
        assert!(pages > 10, "{pages} pages");
        let view = engine.store.fresh(Timestamp(engine.world.clock.now_ns())).await.unwrap();
        assert!(engine.store.manifest(&grant("alpha"), &view).await.unwrap().number > 5, "much was absorbed meanwhile");
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{direction:?}");
    }
}
