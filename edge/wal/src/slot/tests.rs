use super::*;

#[test]
fn an_entry_costs_forty_eight_bytes() {
    assert_eq!(size_of::<Slot>(), 48);
}

#[test]
fn a_slot_keeps_what_it_is_told() {
    let place = Place { file: 9, offset: u32::MAX, len: 36 << 20 };
    let mut slot = Slot::new(SlotKind::Gap, 5, [1; 16], Timestamp(7), u64::MAX);
    assert!(!slot.is_durable());
    slot.place(place);
    assert!(!slot.is_durable() && slot.where_it_lies() == place && slot.kind() == SlotKind::Gap);
    slot.set_durable();
    assert!(slot.is_durable() && slot.where_it_lies() == place && slot.kind() == SlotKind::Gap);
    assert_eq!((slot.lines, slot.len()), (u32::MAX, 36 << 20));
}
