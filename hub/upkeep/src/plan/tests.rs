use super::*;
use crate::rig::{Hub, Sea, Weather, commit, grant};

fn marks(of: &[(&str, u64)]) -> BTreeMap<TenantId, u64> {
    of.iter().map(|(tenant, mark)| (grant(tenant).tenant().clone(), *mark)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_plan_holds_all_sections_of_its_tenants_and_halves_down_to_one_object() {
    let sea = Sea::new(1, Weather::default());
    let hub = Hub::open(&sea, 1).await.unwrap();
    let mut writer = hub.store.writer().await.unwrap();
    for (at, tenants) in [&["acme"][..], &["acme", "blue"], &["blue"], &["acme"]].into_iter().enumerate() {
        commit(&sea, &mut writer, tenants, &format!("k{at}"), 3).await;
    }
    let view = hub.store.view();
    let sight = view.lanes().next().unwrap();
    let shape = |marks: &BTreeMap<TenantId, u64>, upto, portion| {
        let plan = plan(sight, marks, upto, portion)?;
        Some((plan.objects.iter().map(|object| (object.number, object.sections.len())).collect::<Vec<_>>(), plan.to, plan.from))
    };
    let whole = Portion::default();
    let both = marks(&[("acme", 0), ("blue", 0)]);
    assert_eq!(shape(&both, 99, whole), Some((vec![(1, 1), (2, 2), (3, 1), (4, 1)], 4, both.clone())));
    assert_eq!(shape(&marks(&[("blue", 0)]), 99, whole), Some((vec![(2, 1), (3, 1)], 3, marks(&[("blue", 0)]))));
    assert_eq!(shape(&marks(&[("acme", 1), ("blue", 3)]), 99, whole), Some((vec![(2, 1), (4, 1)], 4, marks(&[("acme", 1)]))));
    assert_eq!(shape(&both, 2, whole), Some((vec![(1, 1), (2, 2)], 2, both.clone())));
    assert_eq!(shape(&marks(&[("acme", 4), ("blue", 3)]), 99, whole), None);
    assert_eq!(shape(&BTreeMap::new(), 99, whole), None);
    let mut least = whole;
    let mut sizes = Vec::new();
    for _ in 0..20 {
        sizes.push(least.objects());
        least = least.lost();
    }
    assert_eq!((sizes[0], sizes[1], sizes[10], sizes[19]), (1_024, 512, 1, 1));
    assert_eq!(shape(&both, 99, least), Some((vec![(1, 1)], 1, marks(&[("acme", 0)]))));
    assert_eq!(least.done().objects(), 2);
}
