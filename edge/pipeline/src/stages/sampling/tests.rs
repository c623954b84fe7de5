//! Shares of lines.

use crate::testing::{NOW, run};

fn share(rate: &str, labels: &[(&str, &str)]) -> Vec<usize> {
    let mut run = run(&format!("- sampling: {{rate: {rate}, drop_counter_reason: thinned}}"), labels);
    let mut kept = Vec::new();
    for n in 0..10_000 {
        run.line(b"x", NOW, &mut |_| kept.push(n));
    }
    let dropped = run.take_counters().lines_dropped.get("thinned").copied().unwrap_or(0);
    assert_eq!(kept.len() as u64 + dropped, 10_000);
    kept
}

#[test]
fn the_share_is_kept() {
    assert_eq!(share("0", &[]).len(), 0);
    assert_eq!(share("1", &[]).len(), 10_000);
    assert!((850..1150).contains(&share("0.1", &[]).len()));
    assert!((4_800..5_200).contains(&share("0.5", &[("job", "a")]).len()));
}

#[test]
fn a_source_has_its_own_sample_and_has_it_again() {
    assert_eq!(share("0.3", &[("job", "a")]), share("0.3", &[("job", "a")]));
    assert_ne!(share("0.3", &[("job", "a")]), share("0.3", &[("job", "b")]));
}
