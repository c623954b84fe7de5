use super::*;

#[test]
fn what_proc_says_is_told_and_what_it_does_not_say_is_left_out() {
    let stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 5 0 700 12345678 999 18446744073709551615";
    let limits = "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 524288               files\n";
    let all = of(stat, "cpu 1 2\nbtime 1700000000\n", limits, "Name:\ta\nVmRSS:\t    2048 kB\n");
    let value = |name: &str| all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok());
    assert_eq!(value("process_cpu_seconds_total"), Some(3.0));
    assert_eq!(value("process_max_fds"), Some(1024.0));
    assert_eq!(value("process_resident_memory_bytes"), Some(2048.0 * 1024.0));
    assert_eq!(value("process_start_time_seconds"), Some(1_700_000_007.0));
    assert_eq!(value("process_virtual_memory_bytes"), Some(12_345_678.0));
    assert_eq!(of("", "", "unlimited", ""), "");
}
