//! edge-pipeline
