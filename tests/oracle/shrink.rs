//! Smaller queries of a failing one: a stage less, a side less, an inner part alone.

use hub_logql::{Expr, LogExpr, MetricExpr, Stage};

fn without_stages(log: &LogExpr) -> Vec<LogExpr> {
    let shorter = |at: usize| {
        let mut log = log.clone();
        log.stages.remove(at);
        log
    };
    let mut all: Vec<LogExpr> = (0..log.stages.len()).rev().map(shorter).collect();
    for (at, stage) in log.stages.iter().enumerate() {
        if let Stage::LabelFilter(hub_logql::LabelFilter::And(left, right) | hub_logql::LabelFilter::Or(left, right)) = stage {
            for side in [left, right] {
                let mut log = log.clone();
                log.stages[at] = Stage::LabelFilter((**side).clone());
                all.push(log);
            }
        }
    }
    all
}

fn metrics(expr: &MetricExpr) -> Vec<MetricExpr> {
    match expr {
        MetricExpr::Range { op, param, range, grouping } => {
            let with = |log: LogExpr| {
                let mut range = range.clone();
                range.log = log;
                MetricExpr::Range { op: *op, param: *param, range, grouping: grouping.clone() }
            };
            let mut all: Vec<MetricExpr> = without_stages(&range.log).into_iter().map(with).collect();
            if range.offset_ns != 0 {
                let mut range = range.clone();
                range.offset_ns = 0;
                all.push(MetricExpr::Range { op: *op, param: *param, range, grouping: grouping.clone() });
            }
            all
        }
        MetricExpr::Vector { op, param, inner, grouping } => {
            let mut all = vec![(**inner).clone()];
            all.extend(metrics(inner).into_iter().map(|inner| MetricExpr::Vector {
                op: *op,
                param: *param,
                inner: Box::new(inner),
                grouping: grouping.clone(),
            }));
            all
        }
        MetricExpr::Binary { op, left, right, matching, return_bool } => {
            let mut all = vec![(**left).clone(), (**right).clone()];
            let with = |left: MetricExpr, right: MetricExpr| MetricExpr::Binary {
                op: *op,
                left: Box::new(left),
                right: Box::new(right),
                matching: matching.clone(),
                return_bool: *return_bool,
            };
            all.extend(metrics(left).into_iter().map(|left| with(left, (**right).clone())));
            all.extend(metrics(right).into_iter().map(|right| with((**left).clone(), right)));
            all
        }
        MetricExpr::LabelReplace { inner, .. } => vec![(**inner).clone()],
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) | MetricExpr::Variants { .. } => Vec::new(),
    }
}

/// Queries one step smaller.
pub fn smaller(query: &Expr) -> Vec<Expr> {
    match query {
        Expr::Log(log) => without_stages(log).into_iter().map(Expr::Log).collect(),
        Expr::Metric(metric) => metrics(metric).into_iter().map(Expr::Metric).collect(),
    }
}
