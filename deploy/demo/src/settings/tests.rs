use super::*;

#[test]
fn an_s3_address_is_taken_apart() {
    let found = StoreChoice::parse_s3("http://user:p%40ss@127.0.0.1:9000/logs/demo/one/").unwrap();
    let wanted = StoreChoice::S3 {
        endpoint: "http://127.0.0.1:9000".to_owned(),
        place: "logs/demo/one".to_owned(),
        user: "user".to_owned(),
        password: "p@ss".to_owned(),
    };
    assert_eq!(found, wanted);
    assert!(found.yaml().contains("allow_http: true"));
    assert!(StoreChoice::parse_s3("https://s3.example.org/logs").unwrap().yaml().contains("allow_http: false"));
}

#[test]
fn other_addresses_are_refused() {
    for text in ["", "logs", "ftp://h/b", "http://h", "http://h/", "http://h/b?x=1", "http://u:%zz@h/b"] {
        assert_eq!(StoreChoice::parse_s3(text).unwrap_err().exit_code(), 2, "{text}");
    }
}

#[test]
fn values_are_quoted() {
    let store = StoreChoice::Folder("/a \"b\": c".into());
    assert_eq!(store.yaml(), "store: \"file:///a \\\"b\\\": c\"\n");
}
