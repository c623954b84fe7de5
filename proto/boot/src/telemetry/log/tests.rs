//! The lines of the log, as written.

use std::io;
use std::sync::{Arc, Mutex};

use proto_seam::Clock;
use tracing_subscriber::fmt::MakeWriter;

use super::{LogFormat, LogLevel, LogSettings, build};
use crate::limits::LOG_VALUE_BYTES_MAX;

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Written {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// 2026-01-02T03:04:05.678Z
const NOW_NS: i64 = 1_767_323_045_678_000_000;

async fn told(level: LogLevel, format: LogFormat, tell: impl FnOnce()) -> String {
    let written = Written::default();
    let (subscriber, _handle) = build(LogSettings { level, format }, Clock::simulated(NOW_NS), written.clone());
    tracing::subscriber::with_default(subscriber, tell);
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn an_event() {
    let span = tracing::info_span!("session", cluster = "alpha", edge = tracing::field::Empty);
    span.record("edge", "node 1");
    let _inside = span.enter();
    let fault = io::Error::other("disk full");
    tracing::warn!(target: "hub", lines = 5, ratio = 0.5, ok = true, nan = f64::NAN, key = "a=b", empty = "", error = &fault as &dyn std::error::Error, "sealed {}", 7);
}

#[tokio::test(start_paused = true)]
async fn logfmt() {
    let line = told(LogLevel::Info, LogFormat::Logfmt, an_event).await;
    assert_eq!(
        line,
        "ts=2026-01-02T03:04:05.678Z level=warn target=hub msg=\"sealed 7\" lines=5 ratio=0.5 ok=true nan=NaN key=\"a=b\" empty=\"\" error=\"disk full\" cluster=alpha edge=\"node 1\"\n"
    );
}

#[tokio::test(start_paused = true)]
async fn json() {
    let line = told(LogLevel::Info, LogFormat::Json, an_event).await;
    let value: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
    assert_eq!(
        value,
        serde_json::json!({"ts": "2026-01-02T03:04:05.678Z", "level": "warn", "target": "hub", "msg": "sealed 7", "lines": 5, "ratio": 0.5, "ok": true,
            "nan": "NaN", "key": "a=b", "empty": "", "error": "disk full", "cluster": "alpha", "edge": "node 1"})
    );
}

#[tokio::test(start_paused = true)]
async fn untrusted_text_cannot_leave_its_line() {
    let nasty = "a\nts=0 level=error msg=forged\u{1b}[31m\u{202e}\"\\ \u{7f}\u{9b}";
    for format in [LogFormat::Logfmt, LogFormat::Json] {
        let line = told(LogLevel::Info, format, || tracing::info!(path = nasty, "read")).await;
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(line.contains(r#""a\nts=0 level=error msg=forged\u001b[31m\u202e\"\\ \u007f\u009b""#), "{line}");
        assert!(!line.trim_end().contains(|c: char| c.is_control()), "{line:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_value_is_cut_with_a_mark() {
    let line = told(LogLevel::Info, LogFormat::Logfmt, || tracing::info!(value = "é".repeat(LOG_VALUE_BYTES_MAX), "x")).await;
    assert!(line.len() < LOG_VALUE_BYTES_MAX + 300, "{}", line.len());
    assert!(line.ends_with(&format!("é... ({LOG_VALUE_BYTES_MAX} bytes more)\"\n")), "{}", &line[line.len() - 60..]);
}

#[tokio::test(start_paused = true)]
async fn the_level_holds_and_libraries_are_quiet() {
    let tell = || {
        tracing::debug!(target: "tributary", "how");
        tracing::info!(target: "tributary", "what");
        tracing::info!(target: "quinn::connection", "noise");
        tracing::warn!(target: "quinn::connection", "trouble");
    };
    let messages = |text: String| text.lines().map(|line| line.rsplit('=').next().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    assert_eq!(messages(told(LogLevel::Info, LogFormat::Logfmt, tell).await), ["what", "trouble"]);
    assert_eq!(messages(told(LogLevel::Debug, LogFormat::Logfmt, tell).await), ["how", "what", "noise", "trouble"]);
    assert_eq!(messages(told(LogLevel::Error, LogFormat::Logfmt, tell).await), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_level_changes_while_running() {
    let written = Written::default();
    let (subscriber, handle) = build(LogSettings::default(), Clock::simulated(NOW_NS), written.clone());
    tracing::subscriber::with_default(subscriber, || {
        tracing::debug!("before");
        handle.set_level(LogLevel::Debug).unwrap();
        tracing::debug!("after");
    });
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("before") && text.contains("after"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_warning_without_end_does_not_fill_the_log() {
    let again = || (0..1_000).for_each(|n| tracing::warn!(n, "the store is away"));
    let lines = told(LogLevel::Info, LogFormat::Logfmt, again).await;
    assert_eq!(lines.lines().count(), crate::limits::LOG_WARNINGS_MAX as usize, "{lines}");
    let lines = told(LogLevel::Info, LogFormat::Json, || (0..1_000).for_each(|n| tracing::info!(n, "a query"))).await;
    assert_eq!(lines.lines().count(), 1_000, "what happened is told each time");
}
