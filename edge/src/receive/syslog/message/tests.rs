//! Messages of both forms, as Promtail's labels name their parts; any bytes.

use proptest::prelude::*;

use super::*;

/// 2023-11-14.
const NOW: i64 = 1_700_000_000_000_000_000;

fn form(format: SyslogFormat) -> Form {
    Form { format, whole: false, structured: true }
}

fn parsed(text: &str, format: SyslogFormat) -> Option<Read> {
    read(&Bytes::copy_from_slice(text.as_bytes()), &form(format), &Labels::empty(), NOW)
}

fn of(read: &Read, name: &str) -> String {
    read.labels.value(&format!("__syslog_message_{name}")).unwrap_or_default().to_owned()
}

#[test]
fn the_newer_form_is_read_whole() {
    let text = r#"<191>1 2003-10-11T22:14:15.003Z host.example.com app 1234 ID47 [a@1 x="1"][b y="q\"]"] \xef said"#;
    let read = parsed(text, SyslogFormat::Rfc5424).unwrap();
    assert_eq!((read.line.as_ref(), read.is_sound), (&br"\xef said"[..], true));
    assert_eq!(read.time, Some(Timestamp(1_065_910_455_003_000_000)));
    let labels = ["severity", "facility", "hostname", "app_name", "proc_id", "msg_id", "sd_a_1_x", "sd_b_y"].map(|name| of(&read, name));
    assert_eq!(labels, ["debug", "local7", "host.example.com", "app", "1234", "ID47", "1", "q\"]"]);
    let bare = parsed("<0>1 - - - - - - said", SyslogFormat::Rfc5424).unwrap();
    assert_eq!((bare.labels.to_string().as_str(), bare.time), (r#"{__syslog_message_facility="kern", __syslog_message_severity="emergency"}"#, None));
    assert_eq!(parsed("<0>1 - - - - - - \u{feff}marked", SyslogFormat::Rfc5424).unwrap().line.as_ref(), b"marked");
    for empty in ["<0>1 - - - - - -", "<0>1 - - - - - - ", "", " \n"] {
        assert_eq!(parsed(empty, SyslogFormat::Rfc5424), None, "{empty:?}");
    }
}

#[test]
fn the_older_form_is_read_in_either_setting() {
    for format in [SyslogFormat::Rfc5424, SyslogFormat::Rfc3164] {
        let read = parsed("<13>Nov 14 10:00:01 host sshd[99]: accepted", format).unwrap();
        let labels = ["severity", "facility", "hostname", "app_name", "proc_id"].map(|name| of(&read, name));
        assert_eq!(labels, ["notice", "user", "host", "sshd", "99"]);
        assert_eq!((read.line.as_ref(), read.time, read.is_sound), (&b"accepted"[..], Some(Timestamp(1_699_956_001_000_000_000)), true));
    }
}

#[test]
fn a_date_without_a_year_is_the_nearest() {
    let day = 86_400_000_000_000;
    let january = 1_704_067_200_000_000_000;
    assert_eq!(year_of((12, 31, 0, 0, 0), january + day), 2023);
    assert_eq!(year_of((1, 1, 0, 0, 0), january - day), 2024);
    assert_eq!(year_of((6, 1, 0, 0, 0), january), 2024);
}

#[test]
fn what_is_not_understood_is_kept_whole() {
    for odd in ["no priority", "<>x", "<1000>x", "<192>x", "<a>x", "<1", "<13x>y"] {
        let read = parsed(odd, SyslogFormat::Rfc5424).unwrap();
        assert_eq!((read.line.as_ref(), read.is_sound, read.labels.is_empty()), (odd.as_bytes(), false, true), "{odd}");
    }
    let read = read(&Bytes::from_static(b"<13>1 - h\xff a - - - caf\xe9"), &form(SyslogFormat::Rfc5424), &Labels::empty(), NOW).unwrap();
    assert_eq!(of(&read, "hostname"), "h\u{fffd}");
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..120), head in "(<[0-9]{1,3}>1? ?)?(- |2023-01-01T00:00:00Z |Feb 29 01:02:03 )?") {
        let whole = Bytes::from([head.as_bytes(), &bytes].concat());
        for format in [SyslogFormat::Rfc5424, SyslogFormat::Rfc3164] {
            if let Some(found) = read(&whole, &form(format), &Labels::empty(), NOW) {
                prop_assert!(!found.line.is_empty());
            }
        }
    }
}
