//! hub-logql
