use std::time::Duration;

use tokio::time::timeout;

use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// Whether room comes at once.
async fn fits(part: &Part, of: &str, bytes: usize) -> Option<Room> {
    timeout(Duration::from_millis(1), part.enter(Some(&tenant(of)), bytes)).await.ok()
}

#[tokio::test(start_paused = true)]
async fn neither_an_edge_nor_a_tenant_takes_all() {
    let rooms = Rooms::new(100);
    let (greedy, quiet, third, other) = (rooms.part(30), rooms.part(30), rooms.part(30), rooms.part(30));
    let held = fits(&greedy, "acme", 30).await.unwrap();
    assert!(fits(&greedy, "acme", 1).await.is_none(), "an edge has its part");
    let more = [fits(&quiet, "acme", 30).await.unwrap(), fits(&third, "acme", 15).await.unwrap()];
    assert!(fits(&third, "acme", 1).await.is_none(), "a tenant has three quarters");
    assert!(fits(&other, "blue", 25).await.is_some(), "another tenant comes in");
    assert_eq!(rooms.taken(), 75);
    drop((held, more));
    assert_eq!(rooms.taken(), 0);
    assert!(fits(&greedy, "acme", 30).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_a_part_comes_alone() {
    let rooms = Rooms::new(100);
    let part = rooms.part(10);
    let large = fits(&part, "acme", 1_000).await.unwrap();
    assert!(fits(&part, "acme", 1).await.is_none());
    drop(large);
    assert!(fits(&part, "acme", 1).await.is_some());
}
