//! Attributes and bodies as text, as OpenTelemetry's collector and Loki write them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto_model::json::{self, Escapes};

use super::Pairs;
use crate::otlp_messages::any_value::Value;
use crate::otlp_messages::{AnyValue, KeyValue};
use crate::push::normalized;

/// An attribute as pairs: those inside a map get its name and `_` in front.
pub(super) fn flatten(attribute: &KeyValue, before: &str, out: &mut Pairs) {
    let name = if before.is_empty() { attribute.key.clone() } else { format!("{before}_{}", attribute.key) };
    let name = normalized(&name).into_owned();
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::KvlistValue(list)) => list.values.iter().for_each(|inner| flatten(inner, &name, out)),
        _ => out.push((name, attribute.value.as_ref().map(text).unwrap_or_default())),
    }
}

/// A value as text; maps and lists as JSON.
pub(super) fn text(value: &AnyValue) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => double(*number),
        Some(Value::BytesValue(bytes)) => STANDARD.encode(bytes),
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) => {
            let mut out = String::new();
            // What JSON has no form for (NaN) makes the whole empty, as there.
            if put_json(value, &mut out).is_some() { out } else { String::new() }
        }
    }
}

fn double(number: f64) -> String {
    if number.is_nan() {
        return "json: unsupported value: NaN".to_owned();
    }
    if number.is_infinite() {
        return format!("json: unsupported value: {}Inf", if number > 0.0 { '+' } else { '-' });
    }
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    if size < 1.0 { text } else { text.replacen('e', "e+", 1) }
}

fn put_json(value: &AnyValue, out: &mut String) -> Option<()> {
    match &value.value {
        None => out.push_str("null"),
        Some(Value::StringValue(text)) => json::string(out, text, Escapes::Go),
        Some(Value::BoolValue(_) | Value::IntValue(_)) => out.push_str(&text(value)),
        Some(Value::DoubleValue(number)) => out.push_str(&Some(number).filter(|number| number.is_finite()).map(|number| double(*number))?),
        Some(Value::BytesValue(_)) => json::string(out, &text(value), Escapes::Go),
        Some(Value::ArrayValue(list)) => {
            out.push('[');
            for (i, inner) in list.values.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                put_json(inner, out)?;
            }
            out.push(']');
        }
        Some(Value::KvlistValue(list)) => {
            let by_name: BTreeMap<&str, Option<&AnyValue>> = list.values.iter().map(|pair| (pair.key.as_str(), pair.value.as_ref())).collect();
            out.push('{');
            for (i, (name, inner)) in by_name.into_iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                json::string(out, name, Escapes::Go);
                out.push(':');
                put_json(inner.unwrap_or(&AnyValue { value: None }), out)?;
            }
            out.push('}');
        }
    }
    Some(())
}
