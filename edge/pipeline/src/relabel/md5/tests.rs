//! The test suite of RFC 1321, and lengths around a block's end.

use super::{digest, last_eight};

fn hex(text: &[u8]) -> String {
    digest(text).iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_suite_of_the_standard() {
    for (text, sum) in [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
        ("12345678901234567890123456789012345678901234567890123456789012345678901234567890", "57edf4a22be3c955ac49da2e2107b67a"),
    ] {
        assert_eq!(hex(text.as_bytes()), sum);
        assert_eq!(format!("{:016x}", last_eight(text.as_bytes())), sum[16..]);
    }
}

#[test]
fn lengths_around_a_blocks_end() {
    // md5sum of that many times the letter x
    for (count, sum) in [(55, "04364420e25c512fd958a70738aa8f72"), (56, "668a72d5ba17f08e62dabcafad6db14b"), (64, "c1bb4f81d892b2d57947682aeb252456")] {
        assert_eq!(hex("x".repeat(count).as_bytes()), sum, "{count}");
    }
}
