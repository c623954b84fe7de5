//! All labels but some taken away.

use crate::testing::through;

#[test]
fn only_listed_labels_stay() {
    let (out, _) = through("- static_labels: {a: 1, b: 2}\n- labelallow: [b, none]\n", &["x", "y"]);
    assert!(out.iter().all(|record| record.labels == r#"{b="2"}"#));
}
