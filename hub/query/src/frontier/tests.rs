//! The order in which a log query looks at what there is.
