//! proto-link
