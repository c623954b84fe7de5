//! The tenant for `clients`.

use crate::testing::through;

#[test]
fn the_tenant_comes_from_a_value_a_label_or_the_configuration() {
    let regex = "- regex: {expression: '^customer=(?P<customer>\\w*)'}\n";
    for (yaml, labels) in [
        (format!("{regex}- tenant: {{source: customer}}"), r#"{__tenant_id__="acme", job="test"}"#),
        ("- tenant: {label: job}".to_owned(), r#"{__tenant_id__="test", job="test"}"#),
        ("- tenant: {value: blue}".to_owned(), r#"{__tenant_id__="blue", job="test"}"#),
    ] {
        let (out, _) = through(&yaml, &["customer=acme x"]);
        assert_eq!(out[0].labels, labels);
    }
}

#[test]
fn an_empty_tenant_changes_nothing() {
    let yaml = "- tenant: {value: first}\n- regex: {expression: '^customer=(?P<customer>\\w*)'}\n- tenant: {source: customer}\n- tenant: {label: none}\n";
    let (out, _) = through(yaml, &["customer="]);
    assert_eq!(out[0].labels, r#"{__tenant_id__="first", job="test"}"#);
}
