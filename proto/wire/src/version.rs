//! Who may talk to whom: both sides name a range, the hub picks the newest in common.

/// Oldest protocol version this program speaks.
pub const VERSION_MIN: u32 = 1;
/// Newest protocol version this program speaks.
pub const VERSION_MAX: u32 = 1;

/// The newest version that both ranges hold; `None` when they do not meet.
#[must_use]
pub fn choose(peer_min: u32, peer_max: u32) -> Option<u32> {
    let newest = VERSION_MAX.min(peer_max);
    (newest >= VERSION_MIN.max(peer_min) && peer_min <= peer_max).then_some(newest)
}
