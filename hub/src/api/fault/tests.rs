use hub_store::StoreFault;
use proto_model::LaneId;

use super::*;

#[test]
fn a_tenant_is_not_told_where_the_store_is_or_what_it_holds() {
    let reason = "get tenants/blue/manifest/7: http://10.0.0.1:9000/logs".to_owned();
    let (status, text, retry) = ApiFault::Query(QueryFault::Store(StoreFault::LaneUnreadable { lane: LaneId(0xfeed), reason })).parts();
    assert_eq!((status.as_u16(), text.as_str()), (503, STORE_AWAY));
    assert!(retry.is_some(), "it may ask again");
}

#[test]
fn damage_is_told_for_to_ask_again_does_not_help() {
    let fault = StoreFault::Damaged { key: "lanes/1/log/2".to_owned(), reason: "its checksum is wrong".to_owned() };
    let (status, text, _) = ApiFault::Query(QueryFault::Store(fault)).parts();
    assert_eq!((status.as_u16(), text.as_str()), (503, "the log store cannot be read: lanes/1/log/2 is damaged: its checksum is wrong\n"));
}
