//! Prometheus' text format 0.0.4, read strictly: what Prometheus would refuse is refused.
//!
//! A family's lines stand together, HELP and TYPE once each and first, names and labels are well formed, values are numbers, no sample stands twice,
//! a counter is not negative, a histogram's buckets rise to its count.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Exposition {
    pub(crate) families: BTreeMap<String, Family>,
}

#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Family {
    /// The label names of each sample, without a histogram's bound.
    pub(crate) fn labels(&self) -> impl Iterator<Item = BTreeSet<String>> {
        self.samples.iter().map(|(_, labels, _)| labels.keys().filter(|name| *name != "le").cloned().collect())
    }
}

impl Exposition {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        let mut out = Self::default();
        let (mut helped, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut current: Option<String> = None;
        for line in text.lines() {
            let wrong = |why: &str| format!("{why}: {line}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("HELP without a text"))?;
                if !is_name(name) || !helped.insert(name.to_owned()) {
                    return Err(wrong("HELP twice, or of no name"));
                }
                if help.replace("\\\\", "").replace("\\n", "").contains('\\') {
                    return Err(wrong("HELP is escaped wrongly"));
                }
                current = None;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("TYPE without a type"))?;
                if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) || !is_name(name) {
                    return Err(wrong("TYPE is unknown"));
                }
                if out.families.insert(name.to_owned(), Family { kind: kind.to_owned(), samples: Vec::new() }).is_some() {
                    return Err(wrong("TYPE twice"));
                }
                current = Some(name.to_owned());
            } else if line.is_empty() || line.starts_with('#') {
                return Err(wrong("a line that nobody needs"));
            } else {
                let (name, labels, value) = sample(line)?;
                let family = current.clone().ok_or_else(|| wrong("a sample before its TYPE"))?;
                let of = out.families.get_mut(&family).ok_or_else(|| wrong("a sample of no family"))?;
                let ends: &[&str] = if of.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                if !ends.iter().any(|end| name == format!("{family}{end}")) {
                    return Err(wrong("a sample of another family"));
                }
                if of.kind == "counter" && (value < 0.0 || value.is_nan()) {
                    return Err(wrong("a counter that is none"));
                }
                if !seen.insert((name.clone(), labels.clone())) {
                    return Err(wrong("a sample twice"));
                }
                of.samples.push((name, labels, value));
            }
        }
        out.families.iter().filter(|(_, family)| family.kind == "histogram").try_for_each(|(name, family)| histogram(name, family))?;
        Ok(out)
    }

    /// The one sample with these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: BTreeMap<String, String> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.families.get(name)?.samples.iter().find(|(_, own, _)| *own == labels).map(|(_, _, value)| *value)
    }
}

fn histogram(name: &str, family: &Family) -> Result<(), String> {
    let mut last: BTreeMap<BTreeMap<String, String>, (f64, f64)> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        let mut labels = labels.clone();
        let bound = labels.remove("le");
        if sample.ends_with("_bucket") {
            let bound: f64 = bound.ok_or("a bucket without a bound")?.parse().map_err(|_| "a bound that is no number")?;
            let (before, count) = last.get(&labels).copied().unwrap_or((f64::NEG_INFINITY, 0.0));
            if bound <= before || *value < count {
                return Err(format!("the buckets of {name} do not rise"));
            }
            last.insert(labels, (bound, *value));
        } else if sample.ends_with("_count") && last.get(&labels) != Some(&(f64::INFINITY, *value)) {
            return Err(format!("{name} does not count what is in its buckets"));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn sample(line: &str) -> Result<(String, BTreeMap<String, String>, f64), String> {
    let wrong = |why: &str| format!("{why}: {line}");
    let end = line.find(['{', ' ']).ok_or_else(|| wrong("a sample without a value"))?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").ok_or_else(|| wrong("a label without a value"))?;
            if !is_name(label) || label.contains(':') {
                return Err(wrong("a label without a name"));
            }
            let (value, after) = quoted(after).ok_or_else(|| wrong("a value without an end"))?;
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(wrong("a label twice"));
            }
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').ok_or_else(|| wrong("no blank before the value"))?;
    let value = value.parse().map_err(|_| wrong("the value is no number"))?;
    if !is_name(name) {
        return Err(wrong("a sample without a name"));
    }
    Ok((name.to_owned(), labels, value))
}

/// A quoted value and what comes after its quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                c @ ('\\' | '"') => out.push(c),
                _ => return None,
            },
            c => out.push(c),
        }
    }
    None
}

#[test]
fn what_prometheus_refuses_is_refused() {
    let sound = "# HELP a_total x\n# TYPE a_total counter\na_total{p=\"a\\\"b\\\\c\\nd\"} 1\na_total 2.5e3\n";
    assert_eq!(Exposition::read(sound).unwrap().value("a_total", &[("p", "a\"b\\c\nd")]), Some(1.0));
    for bad in [
        "a 1\n",
        "# HELP a x\n# TYPE a counter\na -1\n",
        "# HELP a x\n# TYPE a gauge\na 1\na 1\n",
        "# HELP a x\n# TYPE a gauge\na 1",
        "# HELP a x\n# TYPE a gauge\nb 1\n",
        "# HELP a x\n# TYPE a gauge\na{b=\"c} 1\n",
        "# HELP a x\n# TYPE a gauge\na{b=\"c\\x\"} 1\n",
        "# HELP a x\n# TYPE a gauge\na{b=\"c\",b=\"d\"} 1\n",
        "# HELP a x\n# TYPE a gauge\na one\n",
        "# HELP a x\n# TYPE a gauge\n# HELP a x\n# TYPE a gauge\n",
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 3\na_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 2\n",
    ] {
        assert!(Exposition::read(bad).is_err(), "{bad}");
    }
}
