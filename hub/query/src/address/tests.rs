//! Addresses in lines.

use super::AddressTest;

fn found(pattern: &str, text: &str) -> bool {
    AddressTest::parse(pattern).unwrap().found_in(text.as_bytes())
}

#[test]
fn addresses_ranges_and_networks_are_found_inside_text() {
    assert!(found("10.0.0.1", "from 10.0.0.1:8080 to x"));
    assert!(!found("10.0.0.1", "from 10.0.0.10 to x"));
    assert!(found("10.0.0.0/8", "a=10.255.1.2"));
    assert!(!found("10.0.0.0/8", "a=11.0.0.0"));
    assert!(found("192.168.0.3-192.168.0.9", "192.168.0.9"));
    assert!(!found("192.168.0.3-192.168.0.9", "192.168.0.10"));
    assert!(found("2001:db8::/32", "peer [2001:db8::1]"));
    assert!(found("::1", "at ::1 now"));
    assert!(found("0.0.0.0/0", "1.2.3.4"));
    assert!(!found("0.0.0.0/0", "version 1.2.3 and 999.1.1.1"));
}

#[test]
fn broken_patterns_are_refused() {
    for pattern in ["", "10.0.0.x", "10.0.0.0/33", "::/129", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "a-b"] {
        assert!(AddressTest::parse(pattern).is_err(), "{pattern}");
    }
    assert_eq!(AddressTest::parse("10.0.0.x").unwrap_err(), "ip: invalid pattern: \"10.0.0.x\"");
}
