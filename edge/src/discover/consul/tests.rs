use std::sync::Mutex;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use proto_boot::Metrics;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::discover::groups::{Feed, feed};
use crate::settings::discovery::ConsulSdSettings;

#[derive(Default)]
struct Catalogue {
    services: BTreeMap<&'static str, (Vec<&'static str>, Vec<u16>)>,
    is_down: bool,
    asked: Vec<String>,
}

#[derive(Clone)]
struct Fake {
    state: Arc<Mutex<Catalogue>>,
    index: watch::Sender<u64>,
}

impl Fake {
    fn change(&self, change: impl FnOnce(&mut Catalogue)) {
        change(&mut self.state.lock().unwrap());
        self.index.send_modify(|index| *index += 1);
    }
}

fn instances(name: &str, ports: &[u16]) -> Value {
    let one = |port: &u16| json!({"Node": {"Node": "n", "Address": "10.0.0.1"}, "Service": {"ID": format!("{name}-{port}"), "Service": name, "Port": port}, "Checks": []});
    ports.iter().map(one).collect()
}

async fn consul(State(fake): State<Fake>, uri: Uri, headers: HeaderMap) -> Response {
    if headers.get("x-consul-token").is_none_or(|token| token != "t") {
        return (StatusCode::FORBIDDEN, "ACL not found").into_response();
    }
    let query = uri.query().unwrap_or_default().to_owned();
    fake.state.lock().unwrap().asked.push(uri.to_string());
    let path = uri.path().strip_prefix("/c").unwrap();
    if !path.starts_with("/v1/agent")
        && let Some(known) = query.split('&').find_map(|pair| pair.strip_prefix("index="))
    {
        let known: u64 = known.parse().unwrap();
        let _has_changed = tokio::time::timeout(Duration::from_secs(3), fake.index.subscribe().wait_for(|index| *index > known)).await.is_ok();
    }
    let (state, index) = (fake.state.lock().unwrap(), *fake.index.borrow());
    if state.is_down {
        return (StatusCode::INTERNAL_SERVER_ERROR, "no cluster leader").into_response();
    }
    let index = [("x-consul-index", index.to_string())];
    if path == "/v1/agent/self" {
        return Json(json!({"Config": {"Datacenter": "dc1", "NodeName": "n"}, "Member": {"Addr": "10.0.0.1"}})).into_response();
    }
    if path == "/v1/catalog/services" {
        return (index, Json(json!(state.services.iter().map(|(name, (tags, _))| (*name, tags)).collect::<BTreeMap<_, _>>()))).into_response();
    }
    if path == "/v1/agent/services" {
        let all = state.services.iter().map(|(name, (tags, _))| (format!("{name}-id"), json!({"Service": name, "Tags": tags})));
        return Json(Value::Object(all.collect())).into_response();
    }
    let name = path.rsplit('/').next().unwrap();
    let ports = state.services.get(name).map(|(_, ports)| ports.clone()).unwrap_or_default();
    if path.starts_with("/v1/agent/health") {
        let one = |port: &u16| json!({"AggregatedStatus": "critical", "Service": {"ID": "x", "Service": name, "Port": port}});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(ports.iter().map(one).collect::<Value>())).into_response();
    }
    (index, Json(instances(name, &ports))).into_response()
}

struct Site {
    fake: Fake,
    feed: Feed,
    stop: CancellationToken,
}

/// A discovery with these further settings, checked as a file's are.
async fn start(is_agent: bool, more: &str) -> Site {
    let fake = Fake { state: Arc::default(), index: watch::channel(1).0 };
    fake.change(|state| {
        state.services.insert("web", (vec!["front", "v2"], vec![80]));
        state.services.insert("db", (vec!["back"], vec![5432]));
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let routes = Router::new().fallback(consul).with_state(fake.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let text = format!("server: '{server}'\npath_prefix: /c/\ntoken: t\nrefresh_interval: 50ms\n{more}");
    let (parsed, mistakes) = proto_boot::settings::parse_all::<ConsulSdSettings>("f", &text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let settings = crate::settings::check::consul_of(&parsed.unwrap(), is_agent).unwrap();
    let (sender, feed) = feed();
    let stop = CancellationToken::new();
    tokio::spawn(run(Arc::new(settings), sender, World::real(), FeedMetrics::new(&Metrics::new()), stop.clone()));
    Site { fake, feed, stop }
}

impl Site {
    /// Waits until the addresses are these.
    async fn until(&mut self, wanted: &[&str]) {
        let addresses = |groups: &Arc<crate::discover::groups::Groups>| -> Vec<String> {
            groups.groups.values().flat_map(|group| &group.labels).map(|labels| labels.value("__address__").unwrap().to_owned()).collect()
        };
        let is_found = tokio::time::timeout(Duration::from_secs(20), self.feed.wait_for(|groups| groups.known && addresses(groups) == wanted)).await.is_ok();
        assert!(is_found, "{:?}", self.feed.borrow());
    }
}

#[tokio::test]
async fn the_catalogue_is_watched_service_by_service() {
    let mut site = start(false, "datacenter: dc9\nnode_meta: {rack: '7'}\nfilter: 'ServiceName != x'").await;
    site.until(&["10.0.0.1:5432", "10.0.0.1:80"]).await;
    site.fake.change(|state| state.services.get_mut("web").unwrap().1.push(81));
    site.until(&["10.0.0.1:5432", "10.0.0.1:80", "10.0.0.1:81"]).await;
    // A cluster without a leader takes nothing away.
    site.fake.change(|state| state.is_down = true);
    tokio::time::timeout(Duration::from_secs(20), site.feed.wait_for(|groups| groups.trouble.contains("no cluster leader"))).await.unwrap().unwrap();
    site.until(&["10.0.0.1:5432", "10.0.0.1:80", "10.0.0.1:81"]).await;
    site.fake.change(|state| {
        state.is_down = false;
        state.services.remove("db");
        state.services.insert("new", (vec![], vec![1]));
    });
    site.until(&["10.0.0.1:1", "10.0.0.1:80", "10.0.0.1:81"]).await;
    let asked = site.fake.state.lock().unwrap().asked.clone();
    assert!(asked.iter().any(|uri| uri.starts_with("/c/v1/catalog/services?dc=dc9&stale=&node-meta=rack%3A7&filter=ServiceName%20%21%3D%20x")), "{asked:?}");
    assert!(asked.iter().any(|uri| uri.starts_with("/c/v1/health/service/web?dc=dc9&stale=&node-meta=rack%3A7&index=")), "{asked:?}");
    site.stop.cancel();
}

#[tokio::test]
async fn named_services_and_tags_narrow_it() {
    let mut site = start(false, "services: [db]\nallow_stale: false").await;
    site.until(&["10.0.0.1:5432"]).await;
    let labels = site.feed.borrow().groups["db"].labels[0].clone();
    assert_eq!((labels.value("__meta_consul_dc"), labels.value("__meta_consul_health")), (Some("dc1"), Some("passing")));
    assert!(!site.fake.state.lock().unwrap().asked.iter().any(|uri| uri.contains("catalog") || uri.contains("stale")));
    site.stop.cancel();
    let mut site = start(false, "tags: [front, v2]").await;
    site.until(&["10.0.0.1:80"]).await;
    assert!(site.fake.state.lock().unwrap().asked.iter().any(|uri| uri.contains("health/service/web?stale=&tag=front&tag=v2")));
    site.stop.cancel();
}

#[tokio::test]
async fn an_agent_is_asked_for_its_own_services() {
    let mut site = start(true, "").await;
    site.until(&["10.0.0.1:5432", "10.0.0.1:80"]).await;
    assert_eq!(site.feed.borrow().groups["web"].labels[0].value("__meta_consulagent_health"), Some("critical"));
    site.fake.change(|state| drop(state.services.remove("web")));
    site.until(&["10.0.0.1:5432"]).await;
    site.stop.cancel();
}
