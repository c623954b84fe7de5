//! proto-extract
