//! Tests: Go's own answers, and that what is printed reads back.

use proptest::prelude::*;

use super::*;

#[test]
fn prints_as_go() {
    for (value, f, g) in [
        (1.0, "1", "1"),
        (-0.0, "-0", "-0"),
        (0.1, "0.1", "0.1"),
        (100_000.0, "100000", "100000"),
        (1e6, "1000000", "1e+06"),
        (1_234_567.8, "1234567.8", "1.2345678e+06"),
        (123_456_789.0, "123456789", "1.23456789e+08"),
        (999_999.5, "999999.5", "999999.5"),
        (0.0001, "0.0001", "0.0001"),
        (0.00001, "0.00001", "1e-05"),
        (1e-7, "0.0000001", "1e-07"),
        (1e21, "1000000000000000000000", "1e+21"),
        (12_345_678_901_234_567_890.0, "12345678901234567000", "1.2345678901234567e+19"),
        (1e100, &("1".to_owned() + &"0".repeat(100)), "1e+100"),
        (f64::NAN, "NaN", "NaN"),
        (f64::INFINITY, "+Inf", "+Inf"),
        (f64::NEG_INFINITY, "-Inf", "-Inf"),
    ] {
        assert_eq!((format_f(value).as_str(), format_g(value).as_str()), (f, g), "{value:e}");
    }
    assert_eq!(format_g(5e-324), "5e-324");
    assert_eq!(format_g(1.797_693_134_862_315_7e308), "1.7976931348623157e+308");
}

proptest! {
    #[test]
    fn reads_back(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        prop_assert_eq!(format_f(value).parse::<f64>(), Ok(value));
        prop_assert_eq!(format_g(value).parse::<f64>(), Ok(value));
        prop_assert!(!format_f(value).contains('e'));
    }
}
