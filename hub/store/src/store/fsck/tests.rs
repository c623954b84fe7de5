//! Damage of each kind is told; a damaged lane object is given up once, and the lane goes on without it.

use std::sync::Arc;

use proto_model::{Epoch, LaneId, ProducerId, Sequence, TimeRange};

use super::*;
use crate::lane::writer::LaneWriter;
use crate::rig::{Edge, Rig, draft, grant, hub, shown};
use crate::store::Store;

struct Bed {
    rig: Arc<Rig>,
    one: Arc<Store>,
    writer: LaneWriter,
    edge: Edge,
}

impl Bed {
    /// A hub that has committed `count` batches of an edge.
    async fn new(count: u64) -> Self {
        let rig = Rig::new();
        let one = hub(&rig, 1).await;
        let mut writer = one.writer().await.unwrap();
        let edge = Edge::new(ProducerId { lane: writer.lane(), unique: 1 });
        writer.put(draft("acme", vec![edge.open()], Vec::new())).await.unwrap();
        let mut bed = Self { rig, one, writer, edge };
        for _ in 0..count {
            bed.commit().await;
        }
        bed
    }

    async fn commit(&mut self) -> u64 {
        let (advance, batches) = self.edge.next(1);
        self.writer.put(draft("acme", vec![advance], batches)).await.unwrap().number
    }

    fn lane(&self) -> LaneId {
        self.writer.lane()
    }

    fn key(&self, number: u64) -> String {
        Key::lane_object(self.lane(), number).to_string()
    }

    async fn damage(&self, key: &str) {
        let mut bytes = self.rig.read(key).await.to_vec();
        let at = bytes.len().min(60) - 1;
        bytes[at] ^= 0x40;
        self.rig.write(key, bytes).await;
    }

    /// A hub that starts now.
    async fn keeper(&self, seed: u64) -> Keeper {
        Keeper::new(hub(&self.rig, seed).await)
    }
}

async fn examined(keeper: &Keeper, how: Examination) -> (Examined, Vec<Damage>) {
    let mut found = Vec::new();
    let examined = keeper.examine(how, &mut |damage| found.push(damage)).await.unwrap();
    assert_eq!(examined.damaged, found.len() as u64);
    (examined, found)
}

#[tokio::test(start_paused = true)]
async fn a_lane_goes_on_behind_an_object_that_was_given_up() {
    let mut bed = Bed::new(4).await;
    // Numbers 2 to 5 hold sequences 1 to 4.
    bed.damage(&bed.key(3)).await;
    let keeper = bed.keeper(2).await;
    assert_eq!(keeper.store().lanes()[0].head, 2);
    let (_, found) = examined(&keeper, Examination::default()).await;
    assert_eq!(found.iter().map(|damage| damage.key.as_str()).collect::<Vec<_>>(), [bed.key(3)]);
    assert_eq!(keeper.give_up(&bed.key(3)).await.unwrap(), 1);
    assert_eq!(keeper.give_up(&bed.key(3)).await.unwrap(), 1, "doing it again is well");
    // What stands behind it is there again, what it held is told as lost, once.
    let view = keeper.store().fresh(Timestamp::MAX).await.unwrap();
    assert_eq!((view.frozen().len(), view.sections(&grant("acme"), TimeRange::ALL).len()), (0, 3));
    let losses = keeper.store().losses(&[grant("acme")]);
    assert_eq!(losses.iter().map(|loss| (loss.reason.as_str(), loss.source.clone(), loss.lines)).collect::<Vec<_>>(), [("SKIPPED_OBJECT", bed.key(3), None)]);
    // All hubs agree, also one that starts now, and the one that read the object while it was whole.
    bed.writer.follow().await.unwrap();
    let producer = bed.edge.producer;
    for hub in [keeper.store(), &bed.one, bed.keeper(3).await.store()] {
        let fold = hub.only_cell().known().unwrap().fold;
        assert_eq!(fold.producer(&producer).unwrap().last, Sequence(4));
    }
    bed.commit().await;
    assert_eq!(shown(keeper.store(), "acme").await.len(), 4);
    assert_eq!(examined(&bed.keeper(4).await, Examination::default()).await.1, []);
}

#[tokio::test(start_paused = true)]
async fn what_the_newest_object_held_is_sent_again() {
    let mut bed = Bed::new(2).await;
    bed.damage(&bed.key(3)).await;
    let keeper = bed.keeper(2).await;
    keeper.give_up(&bed.key(3)).await.unwrap();
    let mut writer = keeper.store().writer_of(bed.lane()).await.unwrap();
    let stands = writer.fold().producer(&bed.edge.producer).unwrap().clone();
    assert_eq!(stands.last, Sequence(1));
    // The edge opens anew, is told where it stands, and sends number 2 once more: rule 6 holds on the skipped one.
    (bed.edge.epoch, bed.edge.last, bed.edge.chain) = (Epoch(stands.epoch.0 + 1), stands.last, stands.chain);
    writer.put(draft("acme", vec![bed.edge.open()], Vec::new())).await.unwrap();
    let (advance, batches) = bed.edge.next(1);
    writer.put(draft("acme", vec![advance], batches)).await.unwrap();
    assert_eq!(shown(keeper.store(), "acme").await.len(), 2);
    assert_eq!(shown(bed.keeper(3).await.store(), "acme").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_producer_opened_in_the_skipped_object_is_known_by_what_follows() {
    let mut bed = Bed::new(1).await;
    let mut late = Edge::new(ProducerId { lane: bed.lane(), unique: 2 });
    let opened = bed.writer.put(draft("acme", vec![late.open()], Vec::new())).await.unwrap().number;
    let (advance, batches) = late.next(1);
    bed.writer.put(draft("acme", vec![advance], batches)).await.unwrap();
    bed.damage(&bed.key(opened)).await;
    let keeper = bed.keeper(2).await;
    keeper.give_up(&bed.key(opened)).await.unwrap();
    let fold = keeper.store().only_cell().known().unwrap().fold;
    let state = fold.producer(&late.producer).unwrap();
    assert_eq!((state.last, state.identity.as_str()), (Sequence(1), ""));
    // Through a snapshot and back: the same.
    let bytes = snapshot::encode(&fold, &keeper.store().shore().keys).unwrap();
    assert_eq!(snapshot::decode(&bytes, fold.lane(), fold.head(), &keeper.store().shore().keys).unwrap(), *fold);
    // Its next Open gives it its name back; a second jump is not believed.
    late.epoch = Epoch(late.epoch.0 + 1);
    let mut writer = keeper.store().writer_of(bed.lane()).await.unwrap();
    writer.put(draft("acme", vec![late.open()], Vec::new())).await.unwrap();
    assert!(!writer.fold().producer(&late.producer).unwrap().identity.is_empty());
    late.next(1);
    let (advance, batches) = late.next(1);
    writer.put(draft("acme", vec![advance], batches)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn nothing_else_is_given_up() {
    let bed = Bed::new(2).await;
    let keeper = bed.keeper(2).await;
    for key in [bed.key(2), "lanes/x/log/1".to_owned(), bed.key(2).replace("log", "snap"), Key::lane_object(LaneId(99), 1).to_string()] {
        let fault = keeper.give_up(&key).await.unwrap_err();
        assert!(matches!(fault, GiveUpFault::Unfit(_)), "{key}: {fault}");
    }
    bed.damage(&bed.key(2)).await;
    let keeper = bed.keeper(3).await;
    let fault = keeper.give_up(&bed.key(3)).await.unwrap_err();
    assert!(fault.to_string().contains("frozen at number 2"), "{fault}");
    assert!(bed.rig.names("control/skips").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn damage_that_is_in_nobodys_way_yet_is_told_and_mended() {
    let mut bed = Bed::new(3).await;
    let lane = bed.lane();
    Keeper::new(Arc::clone(&bed.one)).snapshot(lane, 1).await.unwrap();
    let snapshot = Key::snapshot(lane, 4).to_string();
    bed.commit().await;
    let reading = bed.keeper(2).await;
    assert_eq!(examined(&reading, Examination { blocks: true, repair: false }).await.1, []);
    // A header behind the head, a section, a snapshot.
    bed.damage(&bed.key(3)).await;
    let mut bytes = bed.rig.read(&bed.key(4)).await.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bed.rig.write(&bed.key(4), bytes).await;
    bed.damage(&snapshot).await;
    let (_, found) = examined(&reading, Examination::default()).await;
    let keys: Vec<&str> = found.iter().map(|damage| damage.key.as_str()).collect();
    assert_eq!(keys, [snapshot.as_str(), &bed.key(4), &bed.key(3)]);
    assert!(found[1].reason.starts_with("section of acme"), "{}", found[1].reason);
    assert!(bed.rig.names("/snap/").await.len() == 1, "looking changes nothing");
    let (after, _) = examined(&reading, Examination { repair: true, ..Examination::default() }).await;
    assert_eq!((after.damaged, after.mended), (3, 2));
    // A hub that starts now never reads the damaged header: the new snapshot stands behind it.
    let fresh = bed.keeper(3).await;
    assert_eq!((fresh.store().lanes()[0].head, fresh.store().view().frozen().len()), (5, 0));
}
