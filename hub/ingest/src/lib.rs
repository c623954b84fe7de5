//! hub-ingest
