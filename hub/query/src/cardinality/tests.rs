use proto_model::Timestamp;

use super::*;
use crate::rig::{engine, grant, line};

#[tokio::test]
async fn labels_are_counted_by_value_and_stream() {
    let engine = engine(&[vec![line("web", 1, "aa"), line("db", 2, "b")], vec![line("web", 3, "c"), line("web", 900, "later")]]).await;
    let range = TimeRange { start: Timestamp(0), end: Timestamp(1_000) };
    let found = engine.cardinality(&[grant("alpha")], range, 1, &Limits::default()).await.unwrap();
    assert_eq!((found.streams, found.lines, found.bytes), (2, 4, 9));
    let app = &found.labels[0];
    assert_eq!((app.name.as_str(), app.values, app.streams, app.top.len()), ("app", 2, 2, 1));
    assert_eq!(app.top[0], ValueCardinality { value: "web".to_owned(), streams: 1, lines: 3, bytes: 8 });
    let env = found.labels.iter().find(|label| label.name == "env").unwrap();
    assert_eq!((env.values, env.top[0].streams), (1, 2));
    let tight = Limits { max_query_memory: 100, ..Limits::default() };
    let refused = engine.cardinality(&[grant("alpha")], range, 1, &tight).await.unwrap_err();
    assert!(refused.to_string().starts_with("the query needs more memory than it may use"), "{refused}");
}
