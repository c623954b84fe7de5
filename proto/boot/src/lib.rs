//! proto-boot
