use super::super::records::{ContainerRecord, PodRecord};
use super::*;

fn pod(name: &str, uid: &str, phase: &str) -> Object {
    Object::Pod(PodRecord {
        meta: Meta { namespace: "n".to_owned(), name: name.to_owned(), uid: uid.to_owned(), ..Meta::default() },
        phase: phase.to_owned(),
        node: "node1".to_owned(),
        containers: vec![ContainerRecord { name: "c".to_owned(), ..ContainerRecord::default() }],
        ..PodRecord::default()
    })
}

fn node(zone: &str) -> Object {
    let meta = Meta { name: "node1".to_owned(), labels: BTreeMap::from([("zone".to_owned(), zone.to_owned())]), ..Meta::default() };
    Object::Node(NodeRecord { meta, ..NodeRecord::default() })
}

fn at(tables: &mut Tables, seconds: i64) {
    tables.at(Timestamp(seconds * 1_000_000_000));
}

fn sources(tables: &mut Tables) -> Vec<String> {
    tables.rebuild();
    tables.groups().into_keys().collect()
}

fn listed(tables: &mut Tables, scope: usize, objects: Vec<Object>) {
    tables.list_begins(scope);
    objects.into_iter().for_each(|object| tables.put(scope, object));
    tables.list_is_whole(scope);
}

#[test]
fn a_pod_that_lived_a_moment_is_named_for_a_while() {
    let mut tables = Tables::new(Kind::Pod, false);
    tables.begin(1);
    at(&mut tables, 100);
    listed(&mut tables, 0, vec![]);
    tables.put(0, pod("a", "1", "Pending"));
    tables.put(0, pod("a", "1", "Succeeded"));
    tables.gone(&pod("a", "1", "Succeeded"));
    assert_eq!(sources(&mut tables), ["pod/n/a/1"]);
    assert_eq!(tables.groups()["pod/n/a/1"].labels[0].value("__meta_kubernetes_pod_phase"), Some("Succeeded"));
    at(&mut tables, 159);
    assert!(!tables.rebuild());
    at(&mut tables, 160);
    assert!(tables.rebuild(), "it is named no longer");
    assert!(tables.groups().is_empty());
    assert_eq!(tables.remembered().len(), 1, "but remembered");
    at(&mut tables, 100 + 3_600);
    assert!(tables.remembered().is_empty());
}

#[test]
fn a_new_list_takes_away_what_it_does_not_name_and_only_that_of_its_scope() {
    let mut tables = Tables::new(Kind::Pod, false);
    tables.begin(2);
    listed(&mut tables, 0, vec![pod("a", "1", "Running"), pod("b", "2", "Running")]);
    assert!(!tables.is_all_whole());
    listed(&mut tables, 1, vec![pod("other", "9", "Running")]);
    assert!(tables.is_all_whole());
    assert!(tables.rebuild());
    let before = tables.groups();
    assert_eq!(before.len(), 3);
    // While the new list is under way nothing is gone.
    at(&mut tables, 10);
    tables.list_begins(0);
    tables.put(0, pod("a", "1", "Running"));
    assert!(!tables.rebuild());
    tables.list_is_whole(0);
    assert!(tables.rebuild());
    at(&mut tables, 10 + 60);
    assert_eq!(sources(&mut tables), ["pod/n/a/1", "pod/n/other/9"]);
    assert!(Arc::ptr_eq(&before["pod/n/a/1"], &tables.groups()["pod/n/a/1"]), "unchanged groups are the same pointer");
}

#[test]
fn a_new_pod_of_an_old_name_is_another_group() {
    let mut tables = Tables::new(Kind::Pod, false);
    tables.begin(1);
    at(&mut tables, 5);
    listed(&mut tables, 0, vec![pod("web-0", "1", "Running")]);
    // The deletion was missed: the list names its successor.
    listed(&mut tables, 0, vec![pod("web-0", "2", "Running")]);
    assert_eq!(sources(&mut tables), ["pod/n/web-0/1", "pod/n/web-0/2"]);
    at(&mut tables, 66);
    assert_eq!(sources(&mut tables), ["pod/n/web-0/2"]);
}

#[test]
fn what_was_recalled_stays_until_the_lists_are_whole() {
    let mut first = Tables::new(Kind::Pod, false);
    first.begin(1);
    at(&mut first, 1_000);
    listed(&mut first, 0, vec![pod("a", "1", "Running"), pod("b", "2", "Running"), pod("c", "3", "Running")]);
    first.gone(&pod("c", "3", "Running"));
    first.rebuild();
    let remembered = first.remembered();
    assert_eq!(remembered.len(), 3);

    let mut second = Tables::new(Kind::Pod, false);
    at(&mut second, 1_500);
    second.recall(remembered.clone());
    assert_eq!(sources(&mut second), ["pod/n/a/1", "pod/n/b/2", "pod/n/c/3"], "a gone one is named once more: its last lines may be unread");
    second.begin(1);
    second.list_begins(0);
    second.put(0, pod("b", "2", "Running"));
    assert_eq!(sources(&mut second).len(), 3);
    second.list_is_whole(0);
    at(&mut second, 1_561);
    assert_eq!(sources(&mut second), ["pod/n/b/2"]);
    // Too old to be recalled at all.
    let mut third = Tables::new(Kind::Pod, false);
    at(&mut third, 1_000 + 3_600);
    third.recall(remembered);
    assert_eq!(sources(&mut third), ["pod/n/a/1", "pod/n/b/2"]);
}

#[test]
fn a_nodes_labels_reach_the_pods_when_they_change() {
    let mut tables = Tables::new(Kind::Pod, true);
    tables.begin(2);
    listed(&mut tables, 0, vec![pod("a", "1", "Running")]);
    listed(&mut tables, 1, vec![node("x")]);
    let zone = |tables: &mut Tables| {
        tables.rebuild();
        tables.groups()["pod/n/a/1"].labels[0].value("__meta_kubernetes_node_label_zone").map(str::to_owned)
    };
    assert_eq!(zone(&mut tables).as_deref(), Some("x"));
    tables.put(1, node("y"));
    assert_eq!(zone(&mut tables).as_deref(), Some("y"));
    tables.gone(&node("y"));
    assert_eq!(zone(&mut tables), None);
}
