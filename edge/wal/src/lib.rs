//! edge-wal
