//! Keys that are accepted and have no effect, told once each.
//!
//! Parts: [`Unused`] (a key's value, any), `with_unused!` (writes a settings struct that knows which of its keys have
//! no effect, and why). Must not do: read what stands under such a key.

use super::Placed;

/// What stands under a key that has no effect; `None` when the key is absent.
pub type Unused = Option<Placed<serde_json::Value>>;

/// A key that is there and has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Without {
    /// The key.
    pub key: &'static str,
    /// Why it has none.
    pub why: &'static str,
    /// Its line and column.
    pub at: (u64, u64),
}

/// Writes a settings struct: keys with an effect, each with its default, and keys without one, each with the reason.
macro_rules! with_unused {
    (
        $(#[$outer:meta])*
        pub struct $name:ident {
            $($(#[$inner:meta])* pub $field:ident: $type:ty = $default:expr,)*
            unused { $($key:ident: $why:expr,)* }
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[allow(non_snake_case, reason = "keys are named as Promtail names them")]
        pub struct $name {
            $($(#[$inner])* pub $field: $type,)*
            $($key: $crate::settings::unused::Unused,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* $($key: None,)* }
            }
        }

        impl $name {
            /// Its keys that are there and have no effect.
            #[must_use]
            pub fn unused(&self) -> Vec<$crate::settings::unused::Without> {
                let mut out = Vec::new();
                $(if let Some(written) = &self.$key {
                    out.push($crate::settings::unused::Without { key: stringify!($key), why: $why, at: proto_boot::settings::place(written) });
                })*
                out
            }
        }
    };
}
pub(super) use with_unused;
