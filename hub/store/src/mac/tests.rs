use super::*;

const ONE: &str = "0000000000000000000000000000000000000000000000000000000000000001";
const TWO: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

#[test]
fn the_first_key_signs_and_all_verify() {
    let both = StoreKeys::parse(&format!("# keys\n\n7 {ONE}\n9 {TWO}\n")).unwrap();
    let turned = StoreKeys::parse(&format!("9 {TWO}\n7 {ONE}")).unwrap();
    assert_eq!(both.signer(), 7);
    let mac = both.sign("a/name", [b"front", b"header"]);
    assert_eq!(turned.verify(7, &mac, "a/name", [b"front", b"header"]), Ok(()));
    assert!(turned.verify(9, &mac, "a/name", [b"front", b"header"]).is_err());
    assert!(turned.verify(7, &mac, "another/name", [b"front", b"header"]).is_err());
    assert!(turned.verify(7, &mac, "a/name", [b"front", b"Header"]).is_err());
    assert!(turned.verify(8, &mac, "a/name", [b"front", b"header"]).unwrap_err().contains("key 8"));
}

#[test]
fn an_unsigned_object_is_refused_where_keys_are_configured_and_a_signed_one_where_none_are() {
    let keys = StoreKeys::parse(&format!("1 {ONE}")).unwrap();
    assert!(keys.verify(0, &[0; 32], "n", [b"", b""]).is_err());
    assert_eq!(StoreKeys::none().verify(0, &[0; 32], "n", [b"", b""]), Ok(()));
    let mac = keys.sign("n", [b"", b""]);
    assert!(StoreKeys::none().verify(1, &mac, "n", [b"", b""]).is_err());
}

#[test]
fn what_is_not_a_key_file_is_refused_with_its_line_and_without_its_key() {
    for (text, line) in [
        ("", "line 1"),
        ("x", "line 1"),
        (&format!("0 {ONE}") as &str, "line 1"),
        (&format!("1 {ONE}\n1 {TWO}"), "line 2"),
        (&format!("1 {}", &ONE[1..]), "line 1"),
        (&format!("\n1 {}z", &TWO[1..]), "line 2"),
        (&format!("4294967296 {ONE}"), "line 1"),
    ] {
        let fault = StoreKeys::parse(text).unwrap_err().to_string();
        assert!(fault.contains(line), "{text:?}: {fault}");
        assert!(!fault.contains("00000000"), "{fault}");
    }
    assert!(!format!("{:?}", StoreKeys::parse(&format!("3 {TWO}")).unwrap()).contains("ff"));
}
