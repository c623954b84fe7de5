use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

use super::*;
use crate::metrics::StoreMetrics;
use crate::rig::{Fate, Rig, world};
use crate::store::{Store, StoreSettings};

fn objects(rig: &Arc<Rig>) -> Objects {
    let store: Arc<dyn ObjectStore> = Arc::<Rig>::clone(rig);
    Objects::new(store, Path::default(), world(1), StoreMetrics::default())
}

#[tokio::test(start_paused = true)]
async fn a_store_that_keeps_create_if_absent_passes_and_nothing_is_left_behind() {
    let rig = Rig::new();
    prove(&objects(&rig)).await.unwrap();
    assert!(rig.names("").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_ignores_it_is_refused_at_the_door() {
    let rig = Rig::careless();
    let store: Arc<dyn ObjectStore> = Arc::<Rig>::clone(&rig);
    let fault = Store::open(StoreSettings::new(store, Path::default()), world(1)).await.unwrap_err();
    assert!(matches!(fault, StoreFault::NoConditionalCreate { .. }), "{fault}");
    assert_eq!(fault.remedy(), proto_model::Remedy::Stop);
    assert!(rig.seen("put", "lanes").is_empty());
}

#[tokio::test(start_paused = true)]
async fn lost_answers_are_no_proof_either_way() {
    for fates in [vec![Fate::AnswerLost], vec![Fate::Fine, Fate::AnswerLost], vec![Fate::Refused, Fate::Refused], vec![Fate::Late]] {
        let rig = Rig::new();
        rig.tell("put", "probe", fates);
        prove(&objects(&rig)).await.unwrap();
    }
    let rig = Rig::new();
    rig.refuse_all("put", "probe");
    assert!(matches!(prove(&objects(&rig)).await.unwrap_err(), StoreFault::Unreachable { .. }));
    assert_eq!(rig.seen("put", "probe").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hides_or_replaces_what_was_written_is_refused() {
    for answer in [Fate::Absent, Fate::Answered("second".into())] {
        let rig = Rig::new();
        rig.tell("get", "probe", [answer]);
        assert!(matches!(prove(&objects(&rig)).await.unwrap_err(), StoreFault::NoConditionalCreate { .. }));
    }
}
