//! `/service-discovery`: of each job the label sets that were discovered, and what became of them.
//!
//! Pure. Those that are dropped are shown with their reason, at most 100 of a job (as in Promtail), and counted. Must not do: relabel.

use serde_json::{Value, json};

use super::html;
use crate::discover::live::{Discovered, JobDiscovered};
use proto_model::Labels;

pub(super) fn json(jobs: &[JobDiscovered]) -> Value {
    let map = |labels: &Labels| Value::Object(labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect());
    let job = |job: &JobDiscovered| {
        let kept = job.sets.iter().filter_map(|set| Some(json!({"discovered": map(&set.discovered), "labels": map(set.kept.as_ref()?)})));
        let dropped = job.sets.iter().filter(|set| set.kept.is_none()).map(|set| json!({"discovered": map(&set.discovered), "reason": set.why}));
        json!({
            "job": job.job, "kept": job.kept, "dropped": job.dropped, "reasons": job.reasons, "trouble": job.trouble,
            "targets": kept.collect::<Vec<_>>(), "dropped_targets": dropped.collect::<Vec<_>>(),
        })
    };
    Value::Array(jobs.iter().map(job).collect())
}

pub(super) fn text(jobs: &[JobDiscovered]) -> String {
    let mut out = String::new();
    for job in jobs {
        out.push_str(&format!("job={:?} kept={} dropped={} trouble={:?}\n", job.job, job.kept, job.dropped, job.trouble));
        for Discovered { discovered, kept, why } in &job.sets {
            match kept {
                Some(kept) => out.push_str(&format!("  kept labels={kept} discovered={discovered}\n")),
                None => out.push_str(&format!("  dropped reason={why} discovered={discovered}\n")),
            }
        }
    }
    out
}

pub(super) fn html(jobs: &[JobDiscovered]) -> String {
    let mut body = String::new();
    for job in jobs {
        body.push_str(&format!("<h2>{} ({} of {} label sets in use)</h2>\n", html::escape(&job.job), job.kept, job.kept + job.dropped));
        if !job.trouble.is_empty() {
            body.push_str(&format!("<p class=\"bad\">Not up to date: {}</p>\n", html::escape(&job.trouble)));
        }
        let row =
            |set: &Discovered| vec![set.kept.as_ref().map_or_else(|| format!("dropped: {}", reason(set.why)), Labels::to_string), set.discovered.to_string()];
        body.push_str(&html::table(&["Labels", "Discovered"], job.sets.iter().map(row)));
        let shown = job.sets.iter().filter(|set| set.kept.is_none()).count();
        if shown < job.dropped {
            body.push_str(&format!("<p class=\"note\">{} more are dropped.</p>\n", job.dropped - shown));
        }
    }
    if jobs.is_empty() {
        body.push_str("<p class=\"note\">No job reads files or containers.</p>\n");
    }
    html::page("Service discovery", &body)
}

/// A reason in words.
fn reason(why: &str) -> &str {
    match why {
        "wrong_host" => "__host__ is another host",
        "no_path" => "no usable __path__ is left",
        _ => "a rule drops it",
    }
}
