//! A tenant is a wall: no token, header or parameter shows another tenant's line, label or count.

use std::time::Duration;

use tests::ask::Ask;
use tests::hub::Hub;
use tests::lines::{Writer, time_base_ns};
use tests::place;

use crate::edge_of;

#[tokio::test(flavor = "multi_thread")]
async fn no_header_opens_the_wall() {
    let dir = place::folder("wall");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let _alpha = edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let _beta = edge_of(&hub, dir.path(), "beta", "two", "auto");
    let base = time_base_ns();
    Writer::new(&dir.path().join("logs-one/a.log"), "acmeline", base).write(50);
    Writer::new(&dir.path().join("logs-two/b.log"), "blueline", base).write(70);
    Ask::new(&hub.url(), &hub.acme).until_count("{job=\"files\"}", 50, Duration::from_secs(30)).await;
    Ask::new(&hub.url(), &hub.blue).until_count("{job=\"files\"}", 70, Duration::from_secs(30)).await;
    let (start, end) = (base.to_string(), (base + 3_600_000_000_000).to_string());
    let times = [("start", &*start), ("end", &*end)];
    let questions: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("/loki/api/v1/query_range", [&[("query", "{job=\"files\"}"), ("limit", "1000")][..], &times].concat()),
        ("/loki/api/v1/query_range", [&[("query", "sum by (filename,cluster) (count_over_time({job=\"files\"}[1m]))"), ("step", "60")][..], &times].concat()),
        ("/loki/api/v1/query", vec![("query", "sum by (cluster) (count_over_time({job=\"files\"}[1d]))")]),
        ("/loki/api/v1/labels", times.to_vec()),
        ("/loki/api/v1/label/cluster/values", times.to_vec()),
        ("/loki/api/v1/label/filename/values", times.to_vec()),
        ("/loki/api/v1/series", [&[("match[]", "{job=\"files\"}")][..], &times].concat()),
        ("/loki/api/v1/index/stats", [&[("query", "{job=\"files\"}")][..], &times].concat()),
    ];
    let headers = ["blue", "acme|blue", "acme,blue", "", "..", "*", "BLUE", "a".repeat(1_100).leak()];
    let acme = Ask::new(&hub.url(), &hub.acme);
    for (path, parameters) in &questions {
        let honest = acme.text(path, parameters).await;
        assert_eq!(honest.0, 200, "{path}: {}", honest.1);
        assert!(!honest.1.contains("beta") && !honest.1.contains("blueline") && !honest.1.contains("b.log"), "{path}: {}", honest.1);
        assert_eq!(acme.with_header("X-Scope-OrgID", "acme").text(path, parameters).await.0, 200);
        let mut refusals = std::collections::BTreeSet::new();
        for header in headers.iter().copied().chain(["nobody"]) {
            let (status, text) = acme.with_header("X-Scope-OrgID", header).text(path, parameters).await;
            assert!(matches!(status, 400 | 403), "{path} with X-Scope-OrgID {header:?}: {status} {text}");
            if status == 403 {
                refusals.insert(text);
            }
        }
        assert_eq!(refusals.len(), 1, "one text, whether the tenant exists or not: {refusals:?}");
        for token in ["", "trib_grafana_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x"] {
            let (status, text) = Ask::new(&hub.url(), token).with_header("X-Scope-OrgID", "acme").text(path, parameters).await;
            assert_eq!((status, text.as_str()), (401, "unauthorized\n"), "{path} with token {token:?}");
        }
        assert_eq!(Ask::new(&hub.url(), &hub.acme_writer).text(path, parameters).await.0, 403, "a writer may not read");
    }
    let body = br#"{"streams":[{"stream":{"a":"b"},"values":[]}]}"#.to_vec();
    let pushed = acme.post("/loki/api/v1/push", "application/json", body.clone()).await.unwrap();
    assert_eq!(pushed.status().as_u16(), 403, "a reader may not push");
    let pushed = Ask::new(&hub.url(), &hub.acme_writer).with_header("X-Scope-OrgID", "blue").post("/loki/api/v1/push", "application/json", body).await.unwrap();
    assert_eq!(pushed.status().as_u16(), 403, "a writer may not push for another");
    assert_eq!(acme.text("/metrics", &[]).await.0, 404, "metrics are not on the query port");
    assert_eq!(Ask::new(&hub.admin_url(), &hub.acme).text("/admin/v1/edges", &[]).await.0, 403);
    assert_eq!(Ask::new(&hub.admin_url(), "").text("/admin/v1/edges", &[]).await.0, 401);
    let edges = Ask::new(&hub.admin_url(), &hub.operator).json("/admin/v1/edges", &[]).await;
    assert_eq!(edges.as_array().map(Vec::len), Some(2), "{edges}");
}
