//! A tenant's limits on the streams and entries of a push, in Loki's words.
//!
//! Pure but for lines that are cut where the tenant wants that.

use hub_ingest::limits::{EDGE_LABEL_VALUE_BYTES_MAX, EDGE_LABELS_MAX};
use hub_tenant::Limits;
use proto_model::labels::is_label_name;
use proto_model::{Labels, Record, Timestamp};
use proto_wire::push::Pushed;

use crate::api::fault::ApiFault;

/// The metadata that says how long a line was that was cut.
const ORIGINAL_LENGTH: &str = "original_length";

/// Judges every stream and entry by the tenant's limits; the first breach refuses the whole request.
///
/// # Errors
/// 400 in Loki's words.
pub fn judge(pushed: &mut [Pushed], limits: &Limits, now: Timestamp) -> Result<(), ApiFault> {
    for stream in pushed {
        judge_labels(&stream.labels, limits)?;
        let name = stream.labels.to_string();
        for record in &mut stream.records {
            judge_record(record, &name, limits, now)?;
        }
    }
    Ok(())
}

const fn refused(reason: &'static str, text: String) -> ApiFault {
    ApiFault::Refused { reason, text }
}

/// Judges one entry, and cuts its line where the tenant wants that.
///
/// # Errors
/// 400 in Loki's words.
pub fn judge_record(record: &mut Record, stream: &str, limits: &Limits, now: Timestamp) -> Result<(), ApiFault> {
    judge_time(record.time, stream, limits, now)?;
    judge_metadata(record, stream, limits)?;
    judge_line(record, stream, limits)
}

/// Judges the labels of a stream.
///
/// # Errors
/// 400 in Loki's words.
pub fn judge_labels(labels: &Labels, limits: &Limits) -> Result<(), ApiFault> {
    let wrong = |reason, text: String| Err(refused(reason, text));
    if let Some((name, _)) = labels.iter().find(|(name, _)| !is_label_name(name)) {
        return wrong(
            "invalid_labels",
            format!(
                "couldn't parse labels: 1:2: parse error: unexpected character inside braces: {:?}",
                name.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '_').unwrap_or('"')
            ),
        );
    }
    // Whatever the tenant's limits say, a table must stay small.
    let least = |limit: u64, ceiling: usize| if limit == 0 { ceiling as u64 } else { limit.min(ceiling as u64) };
    let most = least(limits.max_label_names_per_series, EDGE_LABELS_MAX);
    if labels.len() as u64 > most {
        return wrong("max_label_names_per_series", format!("entry for stream '{labels}' has {} label names; limit {most}", labels.len()));
    }
    for (name, value) in labels.iter() {
        if limits.max_label_name_length > 0 && name.len() as u64 > limits.max_label_name_length {
            return wrong("label_name_too_long", format!("stream '{labels}' has label name too long: '{name}'"));
        }
        if value.len() as u64 > least(limits.max_label_value_length, EDGE_LABEL_VALUE_BYTES_MAX) {
            return wrong("label_value_too_long", format!("stream '{labels}' has label value too long: '{value}'"));
        }
    }
    Ok(())
}

fn judge_time(time: Timestamp, stream: &str, limits: &Limits, now: Timestamp) -> Result<(), ApiFault> {
    let shown = |at: Timestamp| jiff::Timestamp::from_nanosecond(i128::from(at.nanos())).map(|at| at.to_string()).unwrap_or_default();
    if limits.reject_old_samples {
        let oldest = now.minus(limits.reject_old_samples_max_age.0);
        if time < oldest {
            return Err(refused(
                "greater_than_max_sample_age",
                format!("entry for stream '{stream}' has timestamp too old: {}, oldest acceptable timestamp is: {}", shown(time), shown(oldest)),
            ));
        }
    }
    if !limits.creation_grace_period.0.is_zero() && time > now.plus(limits.creation_grace_period.0) {
        return Err(refused("too_far_in_future", format!("entry for stream '{stream}' has timestamp too new: {}", shown(time))));
    }
    Ok(())
}

fn judge_line(record: &mut Record, stream: &str, limits: &Limits) -> Result<(), ApiFault> {
    let (most, long) = (limits.max_line_size.as_usize(), limits.max_long_line_size.as_usize());
    let length = record.line.len();
    if most == 0 || length <= most.max(long) {
        return Ok(());
    }
    if long > most {
        cut(record, long, &format!(" [cut, {length} bytes]"));
    } else if limits.max_line_size_truncate {
        cut(record, most, &limits.max_line_size_truncate_identifier);
    } else {
        return Err(refused(
            "line_too_long",
            format!("max entry size '{most}' bytes exceeded for stream '{stream}' while adding an entry with length '{length}' bytes"),
        ));
    }
    Ok(())
}

/// Cuts a line to `most` bytes, `mark` included, between two characters.
fn cut(record: &mut Record, most: usize, mark: &str) {
    let mut kept = most.saturating_sub(mark.len());
    // The bytes behind the first of a character all begin with 10.
    while kept > 0 && record.line.get(kept).is_some_and(|byte| byte & 0xc0 == 0x80) && most - kept < mark.len() + 4 {
        kept -= 1;
    }
    record.metadata.retain(|(name, _)| name != ORIGINAL_LENGTH);
    record.metadata.push((ORIGINAL_LENGTH.to_owned(), record.line.len().to_string()));
    record.line = [&record.line[..kept], mark.as_bytes()].concat().into();
}

fn judge_metadata(record: &Record, stream: &str, limits: &Limits) -> Result<(), ApiFault> {
    if !limits.allow_structured_metadata && !record.metadata.is_empty() {
        return Err(refused(
            "disallowed_structured_metadata",
            format!(
                "stream '{stream}' includes structured metadata, but this feature is disallowed. Please see `limits_config.allow_structured_metadata` or contact your Loki administrator to enable it."
            ),
        ));
    }
    let bytes: usize = record.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    let (most_bytes, most) = (limits.max_structured_metadata_size.as_usize(), limits.max_structured_metadata_entries_count);
    if most_bytes > 0 && bytes > most_bytes {
        return Err(refused(
            "structured_metadata_too_large",
            format!(
                "stream '{stream}' has structured metadata too large: '{bytes}' bytes, limit: '{most_bytes}' bytes. Please see `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it."
            ),
        ));
    }
    if most > 0 && record.metadata.len() as u64 > most {
        return Err(refused(
            "structured_metadata_too_many",
            format!(
                "stream '{stream}' has too many structured metadata labels: '{}', limit: '{most}'. Please see `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it.",
                record.metadata.len()
            ),
        ));
    }
    Ok(())
}
